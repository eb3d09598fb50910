"""Random networks, as nobody has tuned for them: what a benchmark says of these holds for those that users write.

Network i of a seed is always the same. A network has up to four blocks of CONV, NORM and RELU in sequence, in groups,
in a residual sum or in a stack of branches, with or without POOL after each, and ends in FC.
"""

import math

import numpy as np

from benchmarks.networks import Problem
from skconvnet.architecture import walk

WIDTHS = (8, 10, 12, 16, 20, 24, 32, 48, 50, 64, 96, 100, 128, 192, 256)
POOLS = (("max", 2, 0), ("max", 3, 0), ("max", 3, 1), ("average", 2, 0))  # mode, F, P
HEADS = ("FC", "FC(50) -> RELU -> FC", "FC(128) -> RELU -> FC", "FC(512) -> RELU -> FC", "POOL(average, F=all) -> FC")

# What one image may cost, so that forty networks are timed in minutes.
MOST_MULTIPLY_ADDS, MOST_ACTIVATIONS, MOST_WEIGHTS = 30_000_000, 400_000, 4_000_000


def draw(number, seed):
    """Return network `number` of a seed.

    Parameters
    ----------
    number, seed : int
        At least 0.

    Returns
    -------
    Problem
        Its cost is below the limits of this module.
    """
    rng = np.random.default_rng((seed, number))
    while True:
        problem = _Draw(rng).problem()
        if _is_affordable(problem.bind()):
            return problem


def _is_affordable(bound):
    layers = bound.layers
    return (
        sum(layer.n_flops for layer in layers) <= MOST_MULTIPLY_ADDS
        and sum(layer.output.size for layer in walk(layers)) <= MOST_ACTIVATIONS
        and sum(layer.n_weights for layer in layers) <= MOST_WEIGHTS
    )


class _Draw:
    """One network, written layer by layer. It keeps the extent and the depth of the volume that it has come to."""

    def __init__(self, rng):
        self.rng = rng
        self.image_extent = self.extent = round(math.exp(rng.uniform(math.log(8), math.log(64))))
        self.image_depth = self.depth = self.one_of((1, 3))
        self.normalised = self.with_probability(0.4)

    def problem(self):
        blocks = [self.block() for _ in range(self.rng.integers(1, 5))]
        text = " -> ".join(["INPUT", *blocks, self.one_of(HEADS)])
        return Problem((self.image_extent, self.image_extent, self.image_depth), text)

    def one_of(self, values):
        return values[self.rng.integers(len(values))]

    def with_probability(self, probability):
        return self.rng.random() < probability

    def block(self):
        kind = self.rng.choice([self.plain, self.grouped, self.residual, self.inception], p=[0.55, 0.15, 0.15, 0.15])
        layers = kind()
        if self.extent >= 4 and self.with_probability(0.5):
            layers += f" -> {self.pool()}"
        return layers

    def plain(self):
        return self.conv(self.one_of(WIDTHS), self.filter_extent(), self.stride())

    def grouped(self):
        """A CONV in groups, or a depthwise one, and the CONV(F=1) that mixes its channels."""
        K = self.one_of(WIDTHS)
        divisors = [groups for groups in (2, 4, 8, self.depth) if groups > 1 and self.depth % groups == 0]
        if not divisors:
            return self.plain()
        conv = self.conv(self.depth, self.filter_extent(), self.stride(), groups=self.one_of(divisors))
        return f"{conv} -> {self.conv(K, 1)}"

    def residual(self):
        """Two CONV, and a SKIP or a projection."""
        depth, extent = self.depth, self.extent
        K, S = (depth, 1) if depth in WIDTHS and self.with_probability(0.5) else (self.one_of(WIDTHS), self.stride())
        F = self.one_of([F for F in (3, 5) if F <= extent] or [1])
        branch = f"{self.conv(K, F, S)} -> {self.conv(K, F, relu=False)}"
        if S == 1 and K == depth:
            return f"({branch} + SKIP) -> RELU"
        self.depth, self.extent = depth, extent
        return f"({branch} + {self.conv(K, 1, S, relu=False)}) -> RELU"

    def inception(self):
        """Branches of CONV with several F, and of POOL, stacked along depth."""
        depth, extent, K = self.depth, self.extent, self.one_of(WIDTHS[:8])
        branches, depths = [], []
        for F in (F for F in (1, 3, 5) if F <= extent):
            self.depth = depth
            reduced = f"{self.conv(K // 2, 1)} -> " if F > 1 else ""
            branches.append(reduced + self.conv(K, F))
            depths.append(K)
        if extent >= 3 and self.with_probability(0.5):
            branches.append("POOL(F=3, S=1, P=1)")
            depths.append(depth)
        self.depth = sum(depths)
        return f"({' | '.join(branches)})" if len(branches) > 1 else branches[0]

    def filter_extent(self):
        return self.one_of([F for F in range(1, 8) if F <= self.extent])

    def stride(self):
        return 2 if self.extent >= 4 and self.with_probability(0.25) else 1

    def conv(self, K, F, S=1, groups=1, relu=True):
        """CONV, with NORM if the network has it, and RELU. Padding keeps the extent; if F is even, a pixel is lost."""
        P = (F - 1) // 2
        self.depth, self.extent = K, floor_extent(self.extent, F, S, P)
        options = f"K={K}, F={F}"
        options += f", S={S}" if S > 1 else ""
        options += f", P={P}" if F % 2 == 0 or S > 1 else ""
        options += f", groups={groups}" if groups > 1 else ""
        options += ", round=floor" if S > 1 else ""
        return f"CONV({options})" + " -> NORM" * self.normalised + " -> RELU" * relu

    def pool(self):
        mode, F, P = self.one_of(POOLS)
        self.extent = floor_extent(self.extent, F, 2, P)
        return f"POOL({mode}, F={F}, S=2, {f'P={P}, ' * P}round=floor)"


def floor_extent(W, F, S, P):
    return (W - F + 2 * P) // S + 1
