"""CONV with a filter for each channel, on the shapes of MobileNetV2, beside its peers and beside reading its input.

    python -m benchmarks.depthwise --threads 1

Each row is one layer, and each sum of it has three columns: microseconds for an image; "reads", these over the seconds
of reading the input of the minibatch once from memory, as numpy finds its maximum; and the seconds of PyTorch over
these. Forward has a fourth, the seconds of ONNX Runtime over these. A sum is forward, the gradient of the input, or
that of the weights. Ratios are medians over alternating rounds. The layers have no ReLU and no bias. With one thread,
seconds are those of the processor, which other processes disturb less.
"""

import math
from dataclasses import dataclass
from functools import lru_cache, partial
from time import perf_counter, thread_time

import numpy as np

from benchmarks import machine
from benchmarks.peers import require
from benchmarks.winograd import SUMS, seconds_of_call, timed_sums
from skconvnet.engine.program.target import CPU

_BATCH_SIZE = 2**23  # numbers of the input of a minibatch, at most


@dataclass(frozen=True)
class Layer:
    """A depthwise CONV with F = 3 and P = 1.

    Parameters
    ----------
    extent, channels, stride : int
        Height and width of the input, its depth, and S.
    """

    extent: int
    channels: int
    stride: int

    F = 3
    padding = 1

    def __str__(self):
        return f"{self.extent}x{self.extent}x{self.channels} S{self.stride}"

    @property
    def height(self):
        return self.extent

    @property
    def width(self):
        return self.extent

    @property
    def input_shape(self):
        """Return (height, width, channels)."""
        return self.extent, self.extent, self.channels

    @property
    def output_extent(self):
        """Height and width of the output."""
        return (self.extent - 1) // self.stride + 1

    @property
    def text(self):
        """The layer in the notation."""
        C, S = self.channels, self.stride
        return f"CONV(K={C}, F=3, S={S}, P=1, groups={C}, round=floor, bias=no)"


# Sandler et al., MobileNetV2, 2018, table 2: the CONV in the middle of the bottlenecks, on images of 224 x 224.
LAYERS = [
    Layer(112, 32, 1),
    Layer(112, 96, 2),
    Layer(56, 144, 1),
    Layer(56, 144, 2),
    Layer(28, 192, 1),
    Layer(28, 192, 2),
    Layer(14, 384, 1),
    Layer(14, 576, 1),
    Layer(14, 576, 2),
    Layer(7, 960, 1),
]


def n_images(layer, n_threads):
    """Return the size of the minibatch of a layer: no less than the threads, which take an image each."""
    return max(n_threads, min(32, _BATCH_SIZE // math.prod(layer.input_shape)))


@lru_cache(maxsize=1)
def our_sums(layer, n_threads):
    """Return functions that compute the sums of a layer, by name, and one that reads its input as often."""
    n = n_images(layer, n_threads)
    images = np.ones((n, *layer.input_shape), np.float32)
    return timed_sums(layer, n, n_threads, CPU) | {"read": images.max}


@lru_cache(maxsize=1)
def torch_sums(layer, n_threads):
    """Return functions that compute the sums of a layer with PyTorch, by name."""
    import torch

    torch.set_num_threads(n_threads)
    n, C, m = n_images(layer, n_threads), layer.channels, layer.output_extent

    def random(*shape):
        return torch.randn(*shape).to(memory_format=torch.channels_last)

    x, w, dy = random(n, C, layer.extent, layer.extent), random(C, 1, 3, 3), random(n, C, m, m)
    geometry = ([layer.stride] * 2, [1, 1], [1, 1], False, [0, 0], C)
    backward = partial(torch.ops.aten.convolution_backward, dy, x, w, None, *geometry)
    return {
        "forward": partial(torch.ops.aten.convolution, x, w, None, *geometry),
        "input": partial(backward, [True, False, False]),
        "weights": partial(backward, [False, True, False]),
    }


@lru_cache(maxsize=1)
def onnx_runtime_sums(layer, n_threads):
    """Return a function that computes the forward sum of a layer with ONNX Runtime, by name."""
    import onnxruntime
    from onnx import TensorProto, helper, numpy_helper

    n, C, m = n_images(layer, n_threads), layer.channels, layer.output_extent
    w = numpy_helper.from_array(np.random.default_rng(0).standard_normal((C, 1, 3, 3), np.float32), "w")
    node = helper.make_node("Conv", ["x", "w"], ["y"], group=C, strides=[layer.stride] * 2, pads=[1] * 4)
    x_shape, y_shape = (n, C, layer.extent, layer.extent), (n, C, m, m)
    x, y = (
        helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)
        for name, shape in (("x", x_shape), ("y", y_shape))
    )
    graph = helper.make_graph([node], "layer", [x], [y], [w])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = n_threads
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    images = {"x": np.random.default_rng(0).standard_normal(x_shape, np.float32)}
    return {"forward": lambda: session.run(None, images)}


def seconds(sums, name, layer, n_threads, least):
    """Return the mean seconds of a sum, called as often as takes `least` seconds."""
    clock = thread_time if n_threads == 1 else perf_counter
    return seconds_of_call(sums(layer, n_threads)[name], least, clock)


def row(layer, sides, options):
    """Return the row of a layer."""
    ours, theirs, runtime = sides
    text, n = f"{layer!s:16} {n_images(layer, options.threads):5}", n_images(layer, options.threads)
    for name in SUMS:
        contestants = [(ours, our_sums, name), (ours, our_sums, "read"), (theirs, torch_sums, name)]
        if name == "forward":
            contestants.append((runtime, onnx_runtime_sums, name))
        turns = [
            partial(side.run, seconds, sums, of, layer, options.threads, options.seconds)
            for side, sums, of in contestants
        ]
        found, read, *peers = machine.take_turns(options.rounds, *turns)
        read = [second / options.threads for second in read]  # one thread reads what several would
        ratios = [machine.ratio(found, read).median, *(machine.ratio(peer, found).median for peer in peers)]
        text += f" {1e6 * np.median(found) / n:8.0f}" + "".join(f"{ratio:7.2f}" for ratio in ratios)
    return text


def main(arguments=None):
    """Print the table."""
    command_line = machine.parser_of_rounds(__doc__, rounds=5, seconds=0.1)
    options = command_line.parse_args(arguments)
    require(command_line, "torch", "onnx", "onnxruntime")
    machine.warn_if_busy(options.threads)
    print(machine.description(options.threads, ("numpy", "numba", "torch", "onnxruntime")) + "\n")
    sides = [machine.Side(options.threads) for _ in range(3)]
    print(f"{'':22}" + f"{'forward':>30}{'input':>23}{'weights':>23}")
    columns = f"{'us':>9}{'reads':>7}{'torch':>7}"
    print(f"{'layer':16} {'batch':>5}{columns}{'onnx':>7}{columns}{columns}")
    for layer in LAYERS:
        print(row(layer, sides, options), flush=True)


if __name__ == "__main__":
    main()
