"""Training: images per second of whole steps (forward, backward, AdamW), against PyTorch.

The sides take turns, and the table has the medians over the rounds and their ratio. PyTorch gets a prepared minibatch
and the faster of its memory formats; skconvnet gathers its minibatch from the images.

"of peak" is the percentage of the sgemm peak: the speed of numpy's product of two matrices of 2048 x 2048 on as many
threads, measured in the same rounds. A step counts the multiply-adds of CONV and FC: the forward sum, the weight
gradient, and the input gradient of all layers but the first.
"""

from functools import cache, partial
from statistics import geometric_mean

import numpy as np

from benchmarks.machine import Side, alternate, calls_per_second, description, parser_of_rounds, sgemm_flops
from benchmarks.networks import NETWORKS, training_flops
from benchmarks.peers import module

MEMORY_FORMATS = ("contiguous_format", "channels_last")


def main():
    command_line = parser_of_rounds(__doc__, rounds=5, seconds=1.0)
    command_line.add_argument("--networks", nargs="+", choices=NETWORKS, default=list(NETWORKS), metavar="NAME")
    command_line.add_argument("--batches", nargs="+", type=int, default=[32, 128], metavar="SIZE")
    options = command_line.parse_args()
    ours, theirs, blas = (Side(options.threads) for _ in range(3))

    print(f"{__doc__}\n{description(options.threads)}\n")
    print(f"{'images/s':16} {'skconvnet':>10} {'PyTorch':>10} {'ratio':>6}   {'of peak':>7} {'PyTorch':>7}", end="")
    print(f" {'peak, GFLOP/s':>14}")
    for batch_size in options.batches:
        ratios = []
        for name in options.networks:
            problem = NETWORKS[name]
            our, *their, peak = alternate(
                options.rounds,
                partial(ours.run, our_speed, problem, batch_size, options.threads, options.seconds),
                *(
                    partial(theirs.run, their_speed, problem, batch_size, memory_format, options.seconds)
                    for memory_format in MEMORY_FORMATS
                ),
                partial(blas.run, sgemm_flops, options.seconds / 2),
            )
            their, share = max(their), training_flops(problem.bind()) / peak
            ratios.append(our / their)
            print(f"{name:10} {batch_size:5} {our:10,.0f} {their:10,.0f} {ratios[-1]:6.2f}   ", end="")
            print(f"{our * share:7.1%} {their * share:7.1%} {peak / 1e9:14.0f}", flush=True)
        print(f"{'least':38} {min(ratios):6.2f}\n{'geometric mean':38} {geometric_mean(ratios):6.2f}")


def our_speed(problem, batch_size, n_threads, seconds):
    return batch_size * calls_per_second(our_step(problem, batch_size, n_threads), seconds)


def their_speed(problem, batch_size, memory_format, seconds):
    return batch_size * calls_per_second(their_step(problem, batch_size, memory_format), seconds)


@cache
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


@cache
def their_step(problem, batch_size, memory_format):
    """Return a function that takes the same step in PyTorch."""
    import torch

    bound, (pixels, targets) = problem.bind(), problem.examples(batch_size)
    memory_format = getattr(torch, memory_format)
    images = torch.tensor(pixels).permute(0, 3, 1, 2).contiguous(memory_format=memory_format)
    targets = torch.tensor(targets)
    network = module(bound).to(memory_format=memory_format)
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
