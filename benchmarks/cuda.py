"""A GPU: training and prediction in images per second, against PyTorch with cuDNN on the same GPU.

The sides take turns, and the table has the medians over the rounds. Both train with AdamW on images that are on the
GPU; PyTorch gets a prepared minibatch, while skconvnet gathers and standardises its own. Neither waits for the loss of
a step before it begins the next. In prediction, both copy float32 images to the GPU and scores back. PyTorch has the
faster of its memory formats, with cuDNN's own search for the fastest algorithm; "FP32" is without TF32 and "TF32" with
it. skconvnet computes in float32, or with --float32-precision tf32x3 on tensor cores, to nearly the same accuracy.

"ratio" is skconvnet to PyTorch; "spread" is the slowest and the fastest of skconvnet's rounds, relative to the median.
"of peak" is the share of the GPU's float32 peak that CONV and FC reach: two operations per lane, multiprocessor and
clock, at the highest clock that the GPU reports. A multiprocessor has 128 lanes; 64 if its compute capability is 7.5 or
8.0. "nan" means that a side's memory did not suffice, or that PyTorch is missing or cannot use the GPU.

At last, seconds of a whole process that fits scikit-learn's digits with device="cuda", without compiled kernels and
with them. Without a GPU, this says so and ends.

With --compile, this prints instead how long it takes to compile the kernels of each network, to train and to predict,
in seconds of one processor: Python to PTX, and PTX to machine code. That needs no GPU.
"""

import math
import os
import sys
import tempfile
from functools import cache, partial
from importlib.util import find_spec
from statistics import geometric_mean, median
from time import perf_counter, process_time

import numpy as np

from benchmarks.arguments import whole_number
from benchmarks.cold import whole_process
from benchmarks.machine import Side, description, parser_of_rounds, take_turns
from benchmarks.networks import LARGE, NETWORKS, Problem, training_flops

MEMORY_FORMATS = ("contiguous_format", "channels_last")
BATCHES = (128, 1024)
DEFAULTS = {"auto, 8x8x1": Problem((8, 8, 1), "auto")}
LARGE_NETWORKS = {name: LARGE[name] for name in ("vgg16", "resnet18")}
LARGE_BATCHES = (64,)
_HALF_OF_THE_LANES = {(7, 5), (8, 0)}  # compute capabilities
ARCHITECTURES = "7.5 8.0 8.6 8.7 8.8 8.9 9.0 10.0 10.3 11.0 12.0 12.1".split()  # of CUDA 13.0
_MOST_STEPS = 2000  # of a call that is timed

FIT = """
from sklearn.datasets import load_digits
from skconvnet import ConvNetClassifier

X, y = load_digits(return_X_y=True)
ConvNetClassifier(device="cuda", random_state=0).fit(X, y)
"""


def main(arguments=None):
    """Run the benchmark; without a GPU, print the reason and return."""
    command_line = parser_of_rounds(__doc__, rounds=5, seconds=1.0)
    names = [*NETWORKS, *LARGE]
    command_line.add_argument("--networks", nargs="+", choices=names, metavar="NAME", help="(default: all of the docs)")
    command_line.add_argument(
        "--batches", nargs="+", type=whole_number(1), metavar="SIZE", help="(default: 128 1024; large: 64)"
    )
    precisions = ("ieee", "tf32x3")
    command_line.add_argument("--float32-precision", choices=precisions, default="ieee", help="(default: ieee)")
    command_line.add_argument("--compile", action="store_true", help="print seconds of compiling; needs no GPU")
    command_line.add_argument(
        "--architecture", choices=ARCHITECTURES, default="9.0", help="of --compile (default: 9.0)"
    )
    options = command_line.parse_args(arguments)
    if find_spec("numba_cuda") is None:
        command_line.error("it needs the extra skconvnet[cuda], also without a GPU; `make cuda` installs it.")
    if options.compile:
        print_compiling(options)
        return
    ours, theirs = Side(options.threads), Side(options.threads)
    try:
        gpu = ours.run(describe_gpu)
    except ValueError as error:
        print(f"This benchmark needs an NVIDIA GPU, and nothing was measured. {error}")
        return
    print(f"{__doc__}\n{gpu}\n{description(options.threads)}, numba-cuda, cuDNN {theirs.run(cudnn_version)}\n")
    for what in ("training", "prediction"):
        print_table(what, rows_of(options), options, ours, theirs)
    print_first_fits(options)


def rows_of(options):
    """Return (name, problem, batch size) of each row of a table."""
    chosen = options.networks
    groups = ((NETWORKS, BATCHES), (LARGE if chosen else LARGE_NETWORKS, LARGE_BATCHES))
    return [
        (name, problem, batch_size)
        for problems, batches in groups
        for batch_size in options.batches or batches
        for name, problem in problems.items()
        if not chosen or name in chosen
    ]


def print_table(what, rows, options, ours, theirs):
    """Print the images per second of both sides."""
    print(f"{what + ', images/s':18} {'skconvnet':>10} {'spread':>12} {'FP32':>10} {'ratio':>6} {'TF32':>10} ", end="")
    print(f"{'ratio':>6} {'us a step':>10} {'of peak':>8} {'FP32':>8}")
    ratios = [print_row(what, *row, options, ours, theirs) for row in rows]
    known = [ratio for ratio in ratios if ratio == ratio]
    if known:
        print(f"{'least ratio to FP32':53} {min(known):6.2f}\n{'geometric mean':53} {geometric_mean(known):6.2f}")
    print()


def print_row(what, name, problem, batch_size, options, ours, theirs):
    """Print the row of a network; return the ratio to PyTorch without TF32."""
    our, *their = take_turns(
        options.rounds,
        partial(ours.run, our_speed, what, problem, batch_size, options.float32_precision, options.seconds),
        *(
            partial(theirs.run, their_speed, what, problem, batch_size, memory_format, tf32, options.seconds)
            for tf32 in (False, True)
            for memory_format in MEMORY_FORMATS
        ),
    )
    for side in (ours, theirs):
        side.run(forget)
    speed, their = median(our), [median(rounds) for rounds in their]
    fp32, tf32 = best(their[:2]), best(their[2:])
    spread = f"{min(our) / speed:.2f} to {max(our) / speed:.2f}"
    share = flops_of(what, problem.bind()) / ours.run(fp32_peak)
    print(f"{name:12} {batch_size:5} {speed:10,.0f} {spread:>12} {fp32:10,.0f} {speed / fp32:6.2f} ", end="")
    print(f"{tf32:10,.0f} {speed / tf32:6.2f} {1e6 * batch_size / speed:10,.0f} ", end="")
    print(f"{speed * share:8.1%} {fp32 * share:8.1%}", flush=True)
    return speed / fp32


def print_first_fits(options):
    """Print the seconds of processes that fit digits, without compiled kernels and with them."""

    def empty():
        with tempfile.TemporaryDirectory() as folder:
            return whole_process(FIT, options.threads, folder)[0]

    with tempfile.TemporaryDirectory() as cached:
        whole_process(FIT, options.threads, cached)
        turns = {
            "first fit of digits, without compiled kernels": empty,
            "first fit of digits, with them": lambda: whole_process(FIT, options.threads, cached)[0],
        }
        for what, seconds in zip(turns, take_turns(options.rounds, *turns.values()), strict=True):
            print(f"{what:46} {median(seconds):7.2f} s ({min(seconds):.2f} to {max(seconds):.2f})")


def print_compiling(options):
    """Print the seconds in which the kernels of each network are compiled, with an empty cache for each."""
    architecture = tuple(map(int, options.architecture.split(".")))
    print(f"{'kernels, seconds':18} {'kernels':>8} {'to PTX':>8} {'to code':>8}")
    for name, problem in (DEFAULTS | NETWORKS | LARGE_NETWORKS).items():
        if not options.networks or name in options.networks:
            with tempfile.TemporaryDirectory() as folder:
                os.environ["NUMBA_CACHE_DIR"] = folder  # which the process of a side inherits
                n_kernels, *seconds = Side(1).run(compile_kernels, problem, architecture)
            print(f"{name:18} {n_kernels:8} {seconds[0]:8.1f} {seconds[1]:8.1f}", flush=True)


def compile_kernels(problem, architecture):
    """Compile what training and prediction launch; return the number of kernels and the seconds of both compilers."""
    from benchmarks.cuda_model import launches_of
    from skconvnet.engine.cuda import driver
    from skconvnet.engine.cuda.compiler import ptx

    launches = [launch for what in ("training", "scoring") for launch, _ in launches_of(problem, 32, what)]
    kernels = {launch.kernel.name: launch.kernel for launch in launches}
    started = process_time()
    texts = [ptx(kernel, architecture) for kernel in kernels.values()]
    translated = process_time()
    for text in texts:
        driver._assemble(text, "sm_{}{}".format(*architecture))
    return len(kernels), translated - started, process_time() - translated


def best(speeds):
    """Return the largest of the speeds that were measured; nan if there is none."""
    return max((speed for speed in speeds if speed == speed), default=math.nan)


def flops_of(what, bound):
    """Return the floating-point operations of CONV and FC for one image, two per multiply-add."""
    from skconvnet.engine.network import image_work

    return training_flops(bound) if what == "training" else 2 * image_work(bound)


# The GPU


def gpu(float32_precision="ieee"):
    """Return the device; raise a ValueError that says why there is none."""
    from skconvnet.engine.device import device_for_training

    return device_for_training("cuda", 0, float32_precision)


def describe_gpu():
    """Return one line: the GPU, its multiprocessors, clock and peak."""
    from cuda.core import Device

    device, properties = gpu(), Device(0).properties
    capability = "{}.{}".format(*device.driver.compute_capability)
    return (
        f"{device.driver.name}, compute capability {capability}, {properties.multiprocessor_count} multiprocessors, "
        f"{properties.clock_rate / 1e3:,.0f} MHz; float32 peak {fp32_peak() / 1e12:.1f} TFLOP/s"
    )


def fp32_peak():
    """Return the float32 operations per second of this process's GPU."""
    from cuda.core import Device

    properties = Device(0).properties
    return peak(gpu().driver.compute_capability, properties.multiprocessor_count, properties.clock_rate)


def peak(compute_capability, n_multiprocessors, kilohertz):
    """Return float32 operations per second, two for a fused multiply-add of each lane in each clock.

    Source: CUDA C++ programming guide, "Arithmetic Instructions", throughput of 32-bit floating-point operations.
    """
    lanes = 64 if compute_capability in _HALF_OF_THE_LANES else 128
    return 2 * lanes * n_multiprocessors * kilohertz * 1e3


# One side in one round


def our_speed(what, problem, batch_size, float32_precision, seconds):
    make = {"training": our_training, "prediction": our_prediction}[what]
    return images_per_second(make, batch_size, seconds, gpu(float32_precision), problem)


def their_speed(what, problem, batch_size, memory_format, tf32, seconds):
    """Return the images per second of PyTorch with or without TF32, nan if it is missing or cannot use the GPU."""
    if find_spec("torch") is None:
        return math.nan
    import torch

    if not torch.cuda.is_available():
        return math.nan
    torch.backends.cudnn.benchmark = True
    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = tf32
    make = {"training": their_training, "prediction": their_prediction}[what]
    return images_per_second(make, batch_size, seconds, "cuda", problem, memory_format)


def images_per_second(make, batch_size, seconds, device, problem, *more):
    """Return the images per second of a side; nan if the memory of the GPU does not suffice.

    Parameters
    ----------
    make : callable
        Called with the device, the problem, the batch size and `more`. It returns a function that takes a number of
        steps and returns when they are done.
    batch_size : int
        Images of a step.
    seconds : float
        What is timed takes about this long.
    device, problem, *more
        Passed on; hashable.

    Returns
    -------
    float
    """
    try:
        return batch_size * steps_per_second(prepared(make, device, problem, batch_size, *more), seconds)
    except (MemoryError, RuntimeError) as error:
        if "out of memory" not in str(error):
            raise
        return math.nan


@cache
def prepared(make, *arguments):
    """Keep what a side has made until `forget` is called."""
    return make(*arguments)


def forget():
    """Free the memory of what was `prepared`."""
    prepared.cache_clear()
    if "torch" in sys.modules:
        sys.modules["torch"].cuda.empty_cache()


def steps_per_second(run, seconds):
    """Time one call of run(n); n is chosen by shorter calls, the first of which may compile and allocate.

    A call of many steps is timed, not many calls, because both sides queue steps and wait at the end of a call.
    """
    run(1)
    n_steps = 1
    while (elapsed := timed(run, n_steps)) < seconds / 8 and n_steps < _MOST_STEPS:
        n_steps *= 2
    n_steps = max(1, min(_MOST_STEPS, round(n_steps * seconds / max(elapsed, 1e-9))))
    return n_steps / timed(run, n_steps)


def timed(run, n_steps):
    started = perf_counter()
    run(n_steps)
    return perf_counter() - started


# What is timed


def our_training(device, problem, batch_size):
    """Return a function that takes n training steps, each on the same images in another order."""
    from skconvnet.engine import Adam, Images, SoftmaxCrossEntropy, Trainer

    pixels, targets = problem.examples(batch_size)
    images = Images(pixels, problem.image_shape)
    trainer = Trainer(
        network_on(device, problem, images),
        images,
        targets,
        np.ones(batch_size, np.float32),
        optimizer=Adam(),
        alpha=0.01,
        loss=SoftmaxCrossEntropy(),
        batch_size=batch_size,
        n_threads=1,
    )
    order = np.random.default_rng(0).permutation(batch_size)

    def train(n_steps):
        for _ in trainer.steps([order] * n_steps, [1e-3] * n_steps):
            pass

    return train


def our_prediction(device, problem, batch_size):
    """Return a function that computes the scores of the images n times, from host memory to host memory."""
    from skconvnet.engine import Images, Scorer

    pixels, _ = problem.examples(batch_size)
    images = Images(pixels, problem.image_shape)
    scorer = Scorer(network_on(device, problem, images))

    def score(n_steps):
        for _ in range(n_steps):
            scorer.scores(images, n_threads=1)

    return score


def network_on(device, problem, images):
    """Return the network of a problem on a device, with new weights."""
    from skconvnet.engine import Network

    network = Network(problem.bind(), *images.statistics(), device)
    network.initialise(np.random.default_rng(0))
    return network


def their_training(device, problem, batch_size, memory_format):
    """Return a function that takes n steps in PyTorch, and waits for the last."""
    import torch

    pixels, targets = problem.examples(batch_size)
    network, images = in_torch(problem, pixels, device, memory_format)
    images, targets = images.to(device), torch.tensor(targets, device=device)
    optimizer = torch.optim.AdamW(network.parameters(), weight_decay=0.01, fused=True)

    def train(n_steps):
        losses = []
        for _ in range(n_steps):
            optimizer.zero_grad()
            loss = torch.nn.functional.cross_entropy(network(images), targets)
            loss.backward()
            optimizer.step()
            losses.append(loss.detach())
        return torch.stack(losses).cpu()  # waits

    return train


def their_prediction(device, problem, batch_size, memory_format):
    """Return a function that computes the scores of the images n times, from host memory to host memory."""
    import torch

    pixels, _ = problem.examples(batch_size)
    network, images = in_torch(problem, pixels, device, memory_format)
    network.eval()

    def score(n_steps):
        with torch.inference_mode():
            for _ in range(n_steps):
                network(images.to(device)).cpu()

    return score


def in_torch(problem, pixels, device, memory_format):
    """Return the module on a device, and the images in host memory, NCHW in the memory format."""
    import torch

    from benchmarks.peers import module

    memory_format = getattr(torch, memory_format)
    images = torch.tensor(pixels).permute(0, 3, 1, 2).contiguous(memory_format=memory_format)
    return module(problem.bind()).to(device, memory_format=memory_format), images


def cudnn_version():
    """Return the version of PyTorch's cuDNN, or "missing"."""
    if find_spec("torch") is None:
        return "missing"
    import torch

    return torch.backends.cudnn.version() or "missing"


if __name__ == "__main__":
    main()
