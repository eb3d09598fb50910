"""Seconds as the number of samples, the image's side, K, the depth and the threads grow, against PyTorch.

One quantity grows at a time. The slope is that of a line fitted to the logarithms of seconds and quantity: 1 means that
twice the quantity takes twice as long. "samples" times one epoch of a fit. The others time training steps (forward,
backward, AdamW) on 128 images, PyTorch's in the faster of its memory formats. For threads, the best slope is -1; it is
-0.85 if two threads are 1.8 times as fast as one, and the networks are those of `benchmarks.train`. The sides take
turns, and the tables have the medians over the rounds.
"""

from functools import partial
from pathlib import Path
from time import perf_counter

import numpy as np

from benchmarks.machine import Side, alternate, description, parser_of_rounds
from benchmarks.networks import NETWORKS, Problem
from benchmarks.peers import TorchClassifier, require
from benchmarks.train import MEMORY_FORMATS, our_speed, their_speed
from skconvnet import ConvNetClassifier

BATCH_SIZE = 128
SAMPLES = (1_000, 2_000, 4_000, 8_000, 16_000)
OF_SAMPLES = Problem((16, 16, 1), "INPUT -> CONV(K=16) -> RELU -> POOL -> FC")
MEAN_AND_FC = "POOL(average, F=all) -> FC"
STEPS = {
    "side": {
        side: Problem((side, side, 3), f"INPUT -> [CONV(K=16) -> RELU]*2 -> {MEAN_AND_FC}") for side in (8, 16, 32, 64)
    },
    "K": {K: Problem((16, 16, 3), f"INPUT -> [CONV(K={K}) -> RELU]*2 -> {MEAN_AND_FC}") for K in (8, 16, 32, 64, 128)},
    "depth": {
        depth: Problem((16, 16, 3), f"INPUT -> [CONV(K=32) -> RELU]*{depth} -> {MEAN_AND_FC}")
        for depth in (1, 2, 4, 8, 16)
    },
}


def main():
    command_line = parser_of_rounds(__doc__, rounds=3, seconds=0.5)
    command_line.add_argument("--plot", type=Path, metavar="FOLDER", help="to plot the tables in; needs matplotlib")
    options = command_line.parse_args()
    require(command_line, "torch", *(["matplotlib"] if options.plot else []))
    print(f"{__doc__}\n{description(options.threads)}")

    ours, theirs = Side(options.threads), Side(options.threads)
    turns = {
        n: (
            partial(ours.run, our_epoch, OF_SAMPLES, n, options.threads),
            partial(theirs.run, their_epoch, OF_SAMPLES, n),
        )
        for n in SAMPLES
    }
    table("samples", turns, options)
    for what, problems in STEPS.items():
        turns = {
            value: step_turns(ours, theirs, problem, options.seconds, options.threads)
            for value, problem in problems.items()
        }
        table(what, turns, options)

    counts = sorted({2**i for i in range(options.threads.bit_length())} | {options.threads})
    sides = {count: (Side(count), Side(count)) for count in counts}
    for name, problem in NETWORKS.items():
        turns = {count: step_turns(*sides[count], problem, options.seconds, count) for count in counts}
        table(f"threads, {name}", turns, options)


def step_turns(ours, theirs, problem, seconds, n_threads):
    """Return a function per side that measures the seconds of a training step."""

    def our_turn():
        return BATCH_SIZE / ours.run(our_speed, problem, BATCH_SIZE, n_threads, seconds)

    def their_turn():
        ways = [(problem, BATCH_SIZE, False, memory_format, seconds) for memory_format in MEMORY_FORMATS]
        speeds = [theirs.run(their_speed, *way) for way in ways]
        return BATCH_SIZE / max(speeds)

    return our_turn, their_turn


def our_epoch(problem, n, n_threads):
    X, y = problem.examples(n)
    return seconds_of_fit(
        ConvNetClassifier(problem.architecture, max_iter=1, batch_size=BATCH_SIZE, n_jobs=n_threads), X, y
    )


def their_epoch(problem, n):
    X, y = problem.examples(n)
    peer = TorchClassifier(problem.architecture, problem.image_shape, max_iter=1, batch_size=BATCH_SIZE)
    return seconds_of_fit(peer, X, y)


def seconds_of_fit(classifier, X, y):
    """Return the seconds of a fit, after a small fit that compiles kernels and starts threads."""
    classifier.fit(X[:256], y[:256])
    started = perf_counter()
    classifier.fit(X, y)
    return perf_counter() - started


def table(what, turns, options):
    """Print and plot the seconds of both sides as `what` grows, and their slopes."""
    values = list(turns)
    seconds = np.array([alternate(options.rounds, *of_value) for of_value in turns.values()])
    print(f"\n{what:20} {'skconvnet, ms':>14} {'PyTorch, ms':>14} {'ratio':>6}")
    for value, (our, their) in zip(values, seconds, strict=True):
        print(f"{value:20,} {1e3 * our:14.2f} {1e3 * their:14.2f} {their / our:6.2f}", flush=True)
    if len(values) > 1:
        slopes = np.polyfit(np.log(values), np.log(seconds), 1)[0]
        print(f"{'slope':20} {slopes[0]:14.2f} {slopes[1]:14.2f}", flush=True)
        if options.plot:
            draw(what, values, seconds, slopes, options.plot)


def draw(what, values, seconds, slopes, folder):
    """Write the plot of a table, with logarithmic axes."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5, 4), layout="constrained")
    axes = figure.subplots()
    for name, marker, side, slope in zip(("skconvnet", "PyTorch"), "os", seconds.T, slopes, strict=True):
        axes.loglog(values, 1e3 * side, marker=marker, label=f"{name}, slope {slope:.2f}")
    axes.set(xlabel=what, ylabel="milliseconds")
    axes.set_xticks(values, [f"{value:,}" for value in values], minor=False)
    axes.minorticks_off()
    axes.legend()
    folder.mkdir(parents=True, exist_ok=True)
    figure.savefig(folder / f"scale-{what.replace(', ', '-')}.png", dpi=120)


if __name__ == "__main__":
    main()
