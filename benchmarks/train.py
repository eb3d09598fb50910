"""Training: images per second of whole steps (forward, backward, AdamW), against PyTorch.

The sides take turns, and the table has the medians over the rounds. "ratio" is the median of the ratios round by round,
with the least and the greatest. PyTorch gets a prepared minibatch and the faster of its memory formats; skconvnet
gathers its minibatch from the images.

With --compile, PyTorch gets the faster of eager and torch.compile, and "compiled" is the ratio of torch.compile to
eager. It takes PyTorch about a minute to compile a network.

"of peak" is the percentage of the sgemm peak: the speed of numpy's product of two matrices of 2048 x 2048 on as many
threads, measured in the same rounds. A step counts the multiply-adds of CONV and FC: the forward sum, the weight
gradient, and the input gradient of all layers but the first.
"""

from functools import lru_cache, partial
from itertools import product
from statistics import median

import numpy as np

from benchmarks.arguments import whole_number
from benchmarks.choice import add_networks, chosen_networks, print_texts, summary
from benchmarks.machine import (
    Side,
    calls_per_second,
    description,
    fastest,
    parser_of_rounds,
    ratio,
    sgemm_flops,
    take_turns,
    warn_if_busy,
)
from benchmarks.networks import NETWORKS, training_flops
from benchmarks.peers import module, require

MEMORY_FORMATS = ("contiguous_format", "channels_last")


def main(arguments=None):
    command_line = parser_of_rounds(__doc__, rounds=5, seconds=1.0)
    add_networks(command_line, NETWORKS)
    command_line.add_argument("--batches", nargs="+", type=whole_number(1), default=[32, 128], metavar="SIZE")
    command_line.add_argument("--compile", action="store_true", help="time torch.compile too")
    options = command_line.parse_args(arguments)
    problems = chosen_networks(command_line, options, NETWORKS)
    require(command_line, "torch")
    ours, theirs, blas = (Side(options.threads) for _ in range(3))

    print(f"{__doc__}\n{description(options.threads)}\n")
    warn_if_busy(options.threads)
    print_texts(problems)
    print(
        f"{'images/s':16} {'skconvnet':>10} {'PyTorch':>10} {'ratio':>6} {'':16} {'of peak':>7} {'PyTorch':>7}", end=""
    )
    print(f" {'peak, GFLOP/s':>14}")
    for batch_size in options.batches:
        ratios = {}
        for name, problem in problems.items():
            ratios[name] = print_row(name, problem, batch_size, options, ours, theirs, blas)
        print(f"batch {batch_size}: {summary(ratios)}", flush=True)


def print_row(name, problem, batch_size, options, ours, theirs, blas):
    """Print the row of a network; return the median ratio."""
    ways = list(product((False, True)[: 1 + options.compile], MEMORY_FORMATS))
    our, peak, *by_way = take_turns(
        options.rounds,
        partial(ours.run, our_speed, problem, batch_size, options.threads, options.seconds),
        partial(blas.run, sgemm_flops, options.seconds / 2),
        *(partial(theirs.run, their_speed, problem, batch_size, *way, options.seconds) for way in ways),
    )
    eager, compiled = by_way[: len(MEMORY_FORMATS)], by_way[len(MEMORY_FORMATS) :]
    their = fastest(by_way)
    our_median, their_median, to_them = median(our), median(their), ratio(our, their)
    share = training_flops(problem.bind()) / median(peak)
    print(f"{name:10} {batch_size:5} {our_median:10,.0f} {their_median:10,.0f} {to_them} ", end="")
    print(f"{our_median * share:7.1%} {their_median * share:7.1%} {median(peak) / 1e9:14.0f}", end=" ")
    print(ratio(fastest(compiled), fastest(eager)) if compiled else "", flush=True)
    return to_them.median


def our_speed(problem, batch_size, n_threads, seconds):
    return batch_size * calls_per_second(our_step(problem, batch_size, n_threads), seconds)


def their_speed(problem, batch_size, compiled, memory_format, seconds):
    return batch_size * calls_per_second(their_step(problem, batch_size, compiled, memory_format), seconds)


@lru_cache(maxsize=1)
def our_step(problem, batch_size, n_threads):
    """Return a function that takes one training step on a shuffled minibatch."""
    from skconvnet.engine import Adam, Images, Network, SoftmaxCrossEntropy, Trainer

    bound, (pixels, targets) = problem.bind(), problem.examples(batch_size)
    images = Images(pixels, bound.image_shape)
    network = Network(bound, *images.statistics())
    network.initialise(np.random.default_rng(0))
    trainer = Trainer(
        network,
        images,
        targets,
        np.ones(batch_size, np.float32),
        optimizer=Adam(),
        alpha=0.01,
        loss=SoftmaxCrossEntropy(),
        batch_size=batch_size,
        n_threads=n_threads,
    )
    indices = np.random.default_rng(0).permutation(batch_size)
    return lambda: trainer.step(indices, 1e-3)


@lru_cache(maxsize=2 * len(MEMORY_FORMATS))
def their_step(problem, batch_size, compiled, memory_format):
    """Return a function that takes the same step in PyTorch."""
    import torch

    bound, (pixels, targets) = problem.bind(), problem.examples(batch_size)
    memory_format = getattr(torch, memory_format)
    images = torch.tensor(pixels).permute(0, 3, 1, 2).contiguous(memory_format=memory_format)
    targets = torch.tensor(targets)
    network = module(bound).to(memory_format=memory_format)
    network = torch.compile(network) if compiled else network
    optimizer = torch.optim.AdamW(network.parameters(), weight_decay=0.01, fused=True)

    def step():
        optimizer.zero_grad()
        loss = torch.nn.functional.cross_entropy(network(images), targets)
        loss.backward()
        optimizer.step()
        return loss.item()

    return step


if __name__ == "__main__":
    main()
