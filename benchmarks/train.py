"""Training: images per second of whole steps (forward, backward, AdamW), against PyTorch.

The sides take turns, a round each; what stands in the table are medians over the rounds, and their ratio. PyTorch gets
its minibatch ready-made and the better of its memory formats; skconvnet gathers its minibatch from the images.
"""

from functools import cache
from statistics import geometric_mean, median
from time import perf_counter

import numpy as np

from benchmarks.machine import Side, description, n_threads
from benchmarks.peers import module
from skconvnet import Architecture

ROUNDS = 5
SECONDS = 1.0  # of one round of one side
NETWORKS = {
    "digits": ((8, 8, 1), "INPUT -> CONV(K=16) -> RELU -> POOL -> CONV(K=32) -> RELU -> POOL -> FC"),
    "LeNet-5": (
        (28, 28, 1),
        "INPUT -> CONV(K=6, F=5, P=2) -> RELU -> POOL -> CONV(K=16, F=5, P=0) -> RELU -> POOL"
        " -> FC(120) -> RELU -> FC(84) -> RELU -> FC",
    ),
    "mnist32": (
        (28, 28, 1),
        "INPUT -> CONV(K=32) -> RELU -> POOL -> CONV(K=64) -> RELU -> POOL -> FC(128) -> RELU -> FC",
    ),
    "cs231n": ((32, 32, 3), "INPUT -> CONV(K=12) -> RELU -> POOL -> FC"),
    "vgg": (
        (32, 32, 3),
        "INPUT -> [CONV(K=64) -> RELU]*2 -> POOL -> [CONV(K=128) -> RELU]*2 -> POOL"
        " -> [CONV(K=256) -> RELU]*2 -> POOL -> FC(256) -> RELU -> FC",
    ),
}
MEMORY_FORMATS = ("contiguous_format", "channels_last")


def main():
    threads = n_threads(__doc__)
    ours, theirs = Side(threads), Side(threads)
    print(f"{__doc__}\n{description(threads)}\n")
    print(f"{'network':10} {'batch':>5} {'skconvnet':>10} {'PyTorch':>10} {'ratio':>6}")
    for batch_size in (32, 128):
        ratios = []
        for name in NETWORKS:
            rounds = [
                [ours.run(our_speed, name, batch_size, threads)]
                + [theirs.run(their_speed, name, batch_size, memory_format) for memory_format in MEMORY_FORMATS]
                for _ in range(ROUNDS)
            ]
            our, *their = map(median, zip(*rounds, strict=True))
            ratios.append(our / max(their))
            print(f"{name:10} {batch_size:5} {our:10,.0f} {max(their):10,.0f} {ratios[-1]:6.2f}", flush=True)
        print(f"{'geometric mean':38} {geometric_mean(ratios):6.2f}")


def our_speed(name, batch_size, n_threads):
    return images_per_second(our_step(name, batch_size, n_threads), batch_size)


def their_speed(name, batch_size, memory_format):
    return images_per_second(their_step(name, batch_size, memory_format), batch_size)


def images_per_second(step, batch_size):
    """Of calling `step` for a round; the first step, which may compile or allocate, is not counted."""
    step()
    n_steps, started = 0, perf_counter()
    while perf_counter() - started < SECONDS:
        step()
        n_steps += 1
    return n_steps * batch_size / (perf_counter() - started)


@cache
def our_step(name, batch_size, n_threads):
    """One training step of ours, on a minibatch shuffled like any other."""
    from skconvnet.engine import Adam, Images, Network, Trainer

    bound, pixels, targets = problem(name, batch_size)
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
        label_smoothing=0.0,
        batch_size=batch_size,
        n_threads=n_threads,
    )
    indices = np.random.default_rng(0).permutation(batch_size)
    return lambda: trainer.step(indices, 1e-3)


@cache
def their_step(name, batch_size, memory_format):
    """One training step of PyTorch's."""
    import torch

    bound, pixels, targets = problem(name, batch_size)
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


def problem(name, batch_size):
    """The network, bound; images of noise and targets to train it on. Speed does not depend on what they show."""
    image_shape, text = NETWORKS[name]
    rng = np.random.default_rng(0)
    pixels = rng.normal(size=(batch_size, *image_shape)).astype(np.float32)
    return Architecture.parse(text).bind(image_shape, 10), pixels, rng.integers(0, 10, batch_size)


if __name__ == "__main__":
    main()
