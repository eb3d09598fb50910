"""A model of the CUDA machine's time on a GPU that is not there: nothing is measured.

    python -m benchmarks.cuda_model resnet20 --batch 128 --gpu h100
    python -m benchmarks.cuda_model "INPUT -> CONV(K=8) -> RELU -> POOL -> FC" --input 8x8x1 --batch 64

The launches of a training step, and of the scores of a batch, are lowered as for a GPU, for a driver that only counts
them. The time of a launch is the largest of four lower bounds, and a microsecond from one kernel to the next:

    sums     a multiprocessor's share of the multiply-adds of CONTRACT, padding of tiles included; four fifths of its
             instructions are multiply-adds
    memory   bytes that are read and written once, at the bandwidth of the memory
    cache    bytes that tiles read of A and B, at the bandwidth of the second-level cache
    walk     what one thread reads one after the other, at 0.4 us each: a slab of a tile, or four parts of a sum

"blocks" are those of the grid, "waves" blocks over multiprocessors, "useful" the share of the multiply-adds that is not
padding, "bound" which of the four it is. Real kernels are slower: the model shows which launches cannot be fast.
"""

import argparse
from collections import defaultdict
from dataclasses import dataclass
from importlib.util import find_spec
from math import ceil, prod

import numpy as np

from benchmarks.arguments import image_shape, whole_number
from benchmarks.networks import LARGE, NETWORKS, Problem, training_flops

LAUNCH = 1e-6  # seconds from one kernel of a graph to the next
LATENCY = 0.4e-6  # of a read that others wait for
ISSUE = 0.8  # multiply-adds among the instructions of a contraction


@dataclass(frozen=True)
class Gpu:
    """Numbers of a GPU from its data sheet; the bandwidth of the cache is what others have measured, roughly.

    Parameters
    ----------
    multiprocessors, lanes : int
        How many, and the float32 multiply-adds of each in a clock.
    clock, bandwidth, cache : float
        Hertz; bytes a second of the memory and of the second-level cache.
    """

    multiprocessors: int
    lanes: int
    clock: float
    bandwidth: float
    cache: float

    @property
    def peak(self):
        """Multiply-adds a second."""
        return self.multiprocessors * self.lanes * self.clock


GPUS = {
    "h100": Gpu(132, 128, 1.755e9, 3.35e12, 5.5e12),
    "a100": Gpu(108, 64, 1.41e9, 1.555e12, 4.0e12),
    "rtx4090": Gpu(128, 128, 2.52e9, 1.008e12, 5.0e12),
    "t4": Gpu(40, 64, 1.59e9, 0.32e12, 1.3e12),
}


class CountingDriver:
    """A driver that keeps the launches of the last graph, and has no memory; ``sizes`` are bytes by address."""

    name, compute_capability = "that is not there", (9, 0)

    def __init__(self):
        self.launches, self.sizes = [], {}
        self._end = 1 << 40

    def memory(self):
        """Return more bytes than any network needs."""
        return 1 << 50, 1 << 50

    def allocate(self, n_bytes):
        """Return an address that nothing else has."""
        address, self._end = self._end, self._end + -(-n_bytes // 256) * 256
        self.sizes[address] = n_bytes
        return address

    def record(self, launches):
        """Keep the launches; the graph does nothing."""
        self.launches = launches
        return self

    def work(self):
        """Return (launch, work) of the last graph."""
        return [(launch, work_of(launch, self.sizes)) for launch in self.launches]

    def _ignore(self, *arguments):
        pass

    free = load = upload = download = clear = replay = synchronize = _ignore


def launches_of(problem, batch_size, what):
    """Return (launch, work) of one step of "training" or "scoring", as the machine makes them."""
    from skconvnet.engine import Images, SoftmaxCrossEntropy
    from skconvnet.engine.device import CudaDevice
    from skconvnet.engine.plan.plan import plan_inference, plan_training
    from skconvnet.engine.program.instructions import Rule
    from skconvnet.engine.trainer import Minibatch
    from skconvnet.engine.weights.fold import fold_batch_norms

    driver, bound = CountingDriver(), problem.bind()
    device = CudaDevice(driver)
    images = Images(np.zeros((batch_size, prod(problem.image_shape)), np.uint8), problem.image_shape)
    if what == "scoring":
        bound = fold_batch_norms(bound, _network(bound, device).learned)[0]
    network = _network(bound, device)
    if what == "scoring":
        plan = plan_inference(bound, network.parameter_layout, batch_size, device.target)
        scores = np.empty((batch_size, bound.layers[-1].output.size), np.float32)
        device.execution(plan, network, 1).score(images, scores)
        return driver.work()
    plan = plan_training(bound, network.parameter_layout, SoftmaxCrossEntropy(), batch_size, device.target)
    moments = np.zeros((2, network.parameter_layout.size), np.float32)
    step = Minibatch(np.arange(batch_size), np.ones(batch_size), np.ones(len(Rule)), (0, 0), None)
    targets = np.zeros(batch_size, np.int64)
    list(device.execution(plan, network, 1, moments).train(images, targets, [step]))
    return driver.work()


def _network(bound, device):
    """Return a network of zeros."""
    from skconvnet.engine import Network

    channels = bound.image_shape[2]
    network = Network(bound, np.zeros(channels, np.float32), np.ones(channels, np.float32), device)
    network.parameters = np.zeros(network.parameter_layout.size, np.float32)
    return network


# The work of a launch, from its arguments


@dataclass(frozen=True)
class Work:
    """What a launch has to do: multiply-adds, bytes of memory and of cache, reads of a thread one after the other."""

    useful: float = 0
    executed: float = 0
    bytes: float = 0
    cache: float = 0
    walk: float = 1


def work_of(launch, sizes):
    """Return the work of a launch; ``sizes`` are the bytes of allocated memory by its address."""
    n = dict(zip(launch.kernel.parameters, launch.arguments, strict=True))
    n["blocks"] = prod(launch.grid)
    if launch.kernel.name.startswith("contract"):
        return _contraction(n, launch)
    if launch.kernel.name in ("update", "transpose"):  # read parameters, gradient, moments, and write but the gradient
        return Work(bytes=sizes[n["parameters"]] * {"update": 7, "transpose": 2}[launch.kernel.name])
    return Work(bytes=4 * _numbers(launch.kernel, n, launch.grid), walk=_walk(launch.kernel, n, launch.grid))


def _contraction(n, launch):
    """Return the work of a tile of each block. The tile, rows x columns, is in the name of the kernel."""
    rows, columns = map(int, launch.kernel.name.split("_")[-1].split("x"))
    lines, groups = n["slabs"] // n["line_slabs"], launch.grid[2] // n["parts"]
    counts = {
        "i": n["rows"] // (n["J"] * n["M"]), "j": n["J"], "p": n["M"],
        "t": lines // n["R"], "r": n["R"], "k": n["K"], "q": n["N"], "g": groups,
    }  # fmt: skip
    a, b = _span(n | {"a_q": 0}, counts, "a", "ijptrkg"), _span(n | {"b_q": 1}, counts, "b", "trkqg")
    c = n["rows"] * n["N"] * groups * n["parts"]
    slab = 8 * (rows + columns)
    return Work(
        useful=n["rows"] * n["N"] * lines * n["K"] * groups,
        executed=n["blocks"] * rows * columns * 8 * n["part_slabs"],
        bytes=4 * (a + b + c),
        cache=4 * n["blocks"] * n["part_slabs"] * slab,
        walk=n["part_slabs"],
    )


def _span(n, counts, operand, letters):
    """Return how many numbers of an operand are read, at most: they lie between the first and the last."""
    between = 1 + sum((counts[letter] - 1) * n[f"{operand}_{letter}"] for letter in letters)
    return min(between, prod(counts[letter] for letter in letters))


_OUTPUTS = {"max_pool": "y", "average_pool": "y", "max_pool_backward": ("y", "dy"), "average_pool_backward": ("dy",)}
_OUTPUTS["max_pool_backward_of_windows"] = _OUTPUTS["max_pool_backward"]


def _numbers(kernel, n, grid):
    """Return the float32 numbers that a launch reads and writes, of whole volumes and of long sums."""
    samples = n.get("samples", grid[0])
    if kernel.name == "finish_contract":
        return (n["parts"] + 1) * n["part_size"]
    if "clear" in kernel.name:
        return samples * n.get("size", 0)
    total, pixels = 0, n.get("rows", 0) * n.get("columns", 0)
    depth = n.get("depth", n.get("channels", 0) + n.get("clear", 0))
    for operand in ("x", "y", "w", "dy", "dx", "pixels"):
        if operand not in kernel.parameters or (kernel.name == "bias_relu_backward" and _is_unused(operand, n)):
            continue
        is_output = operand in _OUTPUTS.get(kernel.name, ())
        total += (n["rows_out"] * n["columns_out"] if is_output else pixels) * depth
    if kernel.name == "normalise_sums" and n["relu"]:
        total += pixels * depth  # dy is written, too
    if kernel.name.startswith(("batch_", "layer_")):
        total += 2 * n["depth"]
    return samples * total


def _is_unused(operand, n):
    return operand in ("y", "dx") and not n["relu"]


def _over_samples(n, grid):
    """Return how often a thread of 256 reads, of a block with some channels of all samples; it does so twice."""
    return 2 * n["samples"] * n["depth"] / grid[0] / 256


_WALKS = {
    "bias_relu_backward": lambda n, grid: n["span"] / (256 // n["width"]),
    "channel_moments": lambda n, grid: min(1024, n["rows"] * n["columns"]) / (256 // n["wide"]),
    "normalise_sums": lambda n, grid: min(1024, n["rows"] * n["columns"]) / (256 // n["wide"]),
    "batch_statistics": _over_samples,
    "batch_gradients": _over_samples,
    "layer_scale_gradients": _over_samples,
    "layer_statistics": lambda n, grid: 2 * n["channels"] / 256,
    "layer_gradients": lambda n, grid: n["channels"] / 256,
    "combine_moments": lambda n, grid: 2 * n["n_parts"],
    "add_parts": lambda n, grid: n["n_parts"],
    "finish_contract": lambda n, grid: n["parts"] * n["wide"] / 256,
    "softmax_cross_entropy": lambda n, grid: 3 * n["classes"] / 32,
    "sigmoid_cross_entropy": lambda n, grid: n["outputs"] / 32,
    "regression_loss": lambda n, grid: n["outputs"] / 32,
}
_AHEAD = 4  # reads of such a loop that are on their way at once, as loops are unrolled


def _walk(kernel, n, grid):
    """Return how many reads a thread waits for, one after the other."""
    return ceil(_WALKS.get(kernel.name, lambda *_: 1)(n, grid) / _AHEAD)


# Times


def bounds(launch, work, gpu):
    """Return the seconds of each bound of a launch, by name."""
    blocks = prod(launch.grid)
    share = ceil(blocks / gpu.multiprocessors) / blocks  # of the busiest multiprocessor
    return {
        "sums": work.executed * share / (gpu.lanes * gpu.clock * ISSUE),
        "memory": work.bytes / gpu.bandwidth,
        "cache": work.cache / gpu.cache,
        "walk": work.walk * LATENCY,
    }


def seconds(launch, work, gpu):
    """Return the modelled time of a launch."""
    return LAUNCH + max(bounds(launch, work, gpu).values())


def print_launches(launches, gpu, n_worst):
    """Print the launches that take longest, and the totals by kernel."""
    timed = sorted(((seconds(*one, gpu), *one) for one in launches), key=lambda one: -one[0])
    print(f"{'us':>8} {'bound':>7} {'blocks':>8} {'waves':>7} {'useful':>7} {'Mfma':>9} {'MB':>8}  kernel, grid")
    for time, launch, work in timed[:n_worst]:
        found, blocks = bounds(launch, work, gpu), prod(launch.grid)
        useful = f"{work.useful / work.executed:7.0%}" if work.executed else " " * 7
        waves = blocks / gpu.multiprocessors
        print(f"{1e6 * time:8.1f} {max(found, key=found.get):>7} {blocks:8,} {waves:7.1f}", end="")
        print(f" {useful} {work.executed / 1e6:9,.1f} {work.bytes / 1e6:8.2f}  {launch.kernel.name} {launch.grid}")
    totals = defaultdict(list)
    for time, launch, _ in timed:
        totals[launch.kernel.name].append(time)
    print(f"\n{'us':>8} {'launches':>9}  kernel")
    for name, times in sorted(totals.items(), key=lambda item: -sum(item[1])):
        print(f"{1e6 * sum(times):8.1f} {len(times):9}  {name}")


def summary(problem, batch_size, gpu, what):
    """Return the launches, and a line with their modelled time and the share of the peak that it is."""
    launches, bound = launches_of(problem, batch_size, what), problem.bind()
    time = sum(seconds(launch, work, gpu) for launch, work in launches)
    flops = training_flops(bound) if what == "training" else 2 * _forward(bound)
    share = flops / 2 * batch_size / gpu.peak / time
    tiles = sum(work.useful for _, work in launches) / max(1, sum(work.executed for _, work in launches))
    line = f"{what}: {len(launches)} launches, modelled {1e6 * time:,.0f} us, {batch_size / time:,.0f} images/s, "
    return launches, line + f"{share:.1%} of peak, tiles {tiles:.0%} full"


def _forward(bound):
    from skconvnet.engine.network import image_work

    return image_work(bound)


def main(arguments=None):
    """Print the model of the network that the command line names."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("architecture", help=f"one of {', '.join([*NETWORKS, *LARGE])}, or a text in the notation")
    parser.add_argument("--input", type=image_shape, metavar="HxWxC", help="shape of the images; needed for a text")
    parser.add_argument("--batch", type=whole_number(1), default=128)
    parser.add_argument("--gpu", choices=GPUS, default="h100")
    parser.add_argument("--worst", type=whole_number(0), default=12, metavar="N", help="launches shown (default: 12)")
    options = parser.parse_args(arguments)
    if find_spec("numba_cuda") is None:
        parser.error("it needs the extra skconvnet[cuda]; `make cuda` installs it.")
    known = NETWORKS | LARGE
    if options.input is None and options.architecture not in known:
        parser.error(f"{options.architecture!r} is not a benchmark network, so it needs --input HxWxC.")
    problem = Problem(options.input, options.architecture) if options.input else known[options.architecture]
    try:
        problem.bind()
    except ValueError as error:
        parser.error(str(error))
    print("A model of lower bounds, on data sheets alone; nothing was measured.\n")
    for what in ("training", "scoring"):
        launches, line = summary(problem, options.batch, GPUS[options.gpu], what)
        print(line)
        print_launches(launches, GPUS[options.gpu], options.worst)
        print()


if __name__ == "__main__":
    main()
