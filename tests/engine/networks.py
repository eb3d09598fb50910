"""Small networks, what the engine makes of them, and what the oracles say it should have made.

Run as a script, ``python -m tests.engine.networks DIRECTORY``, it writes the engine's answers to files there, so that a
test can ask for them on another machine.
"""

import sys
from dataclasses import dataclass, field, replace
from functools import partial
from math import prod
from pathlib import Path

import numpy as np
from hypothesis import assume
from hypothesis import strategies as st

from skconvnet.architecture import Architecture, ArchitectureError, Hyperparameters, walk
from skconvnet.engine import (
    SGD,
    AbsoluteError,
    Huber,
    Images,
    Learned,
    Network,
    Scorer,
    SigmoidCrossEntropy,
    SoftmaxCrossEntropy,
    SquaredError,
    Trainer,
)
from skconvnet.engine.cpu.llvm import tile
from skconvnet.engine.device import CpuDevice
from skconvnet.engine.plan.steps.winograd import has_fewer_products
from skconvnet.engine.program.target import CPU, UNLIMITED
from skconvnet.engine.weights.layout import lay_out_parameters, learning_layers
from tests import oracles
from tests.engine import torch_networks

# Each kind of layer, at strides and with borders that differ along both axes; POOL that overlaps, leaves gaps,
# overhangs; FC that is cut into several blocks.
VARIED = (
    "INPUT -> CONV(K=5, F=3, S=1, P=1) -> RELU -> POOL(F=2, S=2) -> CONV(K=9, F=5, S=2, P=3, round=floor) -> RELU"
    " -> POOL(F=3, S=2, round=ceil) -> CONV(K=70, F=2, S=1, P=1) -> RELU -> FC(33) -> RELU -> FC"
)
VARIED_SHAPE = (12, 10, 3)

# Batch and layer normalisation and LRN over padded depths, a large eps, sums whose branches write over their gradient,
# groups and stacks that begin between two vectors, an average pool whose windows are clipped, two DROPOUT.
BRANCHED = (
    "INPUT -> CONV(K=6) -> NORM(momentum=0.3, eps=0.1) -> RELU"
    " -> (CONV(K=6, groups=3) -> NORM(layer, eps=0.1) -> RELU + SKIP + CONV(K=6, F=1) -> TANH) -> RELU"
    " -> (CONV(K=5, bias=no) -> SIGMOID -> NORM(lrn, size=4, alpha=0.5, k=1) | POOL(average, F=3, S=1, P=1)"
    " | DROPOUT(0.4) -> TANH) -> DROPOUT(0.3) -> CONV(K=9, bias=no) -> NORM -> RELU -> FC"
)
BRANCHED_SHAPE = (6, 5, 2)

# CONV that are large enough for Winograd's minimal filtering, in tiles of which the last are cut along both axes.
FILTERED = (
    "INPUT -> CONV(K=16) -> RELU -> CONV(K=20) -> RELU -> POOL -> CONV(K=24, P=2) -> NORM(eps=0.1) -> RELU"
    " -> CONV(K=16, bias=no) -> TANH -> FC"
)
FILTERED_SHAPE = (14, 10, 3)

# Minimal filtering wherever it can be: in bands of one row of tiles, blocks of eight channels and micro-batches.
WINOGRAD = replace(
    CPU,
    winograd_depth=1,
    winograd_extent=1,
    winograd_band=300,
    winograd_tiles=0,
    winograd_sums=300,
    largest_arena=300,
    max_shards=2,
    max_micro_batch=2,
)
# The same with transformed weights that are not kept, but transformed again for every band.
WINOGRAD_IN_BLOCKS = replace(WINOGRAD, winograd_tiles=UNLIMITED, winograd_block=(8, 16))

# What drawing may miss of the layers that VARIED has not: each is a trap of its own.
NEW_TRAPS = {
    "a sum first": ("INPUT -> (CONV(K=4) -> RELU + CONV(K=4, F=1)) -> FC", (5, 4, 3)),
    "a stack first": ("INPUT -> (CONV(K=3) | SKIP | POOL(F=3, S=1, P=1)) -> RELU -> FC", (5, 4, 3)),
    "a sum last": ("INPUT -> CONV(K=5) -> POOL(F=all) -> (FC(3) + CONV(K=3, F=1)) -> RELU", (4, 4, 2)),
    "SKIP + SKIP": ("INPUT -> CONV(K=5) -> (SKIP + SKIP) -> RELU -> FC", (4, 5, 2)),
    "SKIP + SKIP of the images": ("INPUT -> (SKIP + SKIP) -> FC", (4, 5, 2)),
    "SKIP | SKIP": ("INPUT -> CONV(K=5) -> (SKIP | SKIP) -> CONV(K=3) -> FC", (4, 5, 2)),
    "a sum of three": ("INPUT -> CONV(K=6) -> (CONV(K=6) + SKIP + CONV(K=6, F=1) -> TANH) -> RELU -> FC", (5, 5, 2)),
    "CONV -> RELU beside SKIP": ("INPUT -> CONV(K=6) -> (CONV(K=6) -> RELU + SKIP) -> CONV(K=4) -> FC", (5, 5, 2)),
    "RELU beside SKIP": ("INPUT -> CONV(K=6) -> (RELU + SKIP) -> FC", (5, 5, 2)),
    "RELU in front of a sum and at its branches' begin": (
        "INPUT -> CONV(K=6) -> RELU -> (RELU -> CONV(K=6) + SKIP) -> (RELU + TANH -> RELU) -> FC",
        (5, 5, 2),
    ),
    "branches in branches": (
        "INPUT -> CONV(K=4) -> ((CONV(K=4) -> RELU + SKIP) -> CONV(K=4) + (SKIP | SKIP) -> CONV(K=4)) -> RELU -> FC",
        (5, 6, 2),
    ),
    "a stack in a stack": (
        "INPUT -> CONV(K=5) -> ((CONV(K=3) | SKIP) -> RELU | CONV(K=9, F=1) | (SKIP | POOL(F=3, S=1, P=1))) -> FC",
        (5, 6, 2),
    ),
    "a sum behind a sum": (
        "INPUT -> CONV(K=8) -> [(CONV(K=8) -> NORM -> RELU -> CONV(K=8, bias=no) -> NORM + SKIP) -> RELU]*3 -> FC",
        (5, 5, 3),
    ),
    "a projection with stride": (
        "INPUT -> CONV(K=5) -> (CONV(K=9, S=2) -> RELU -> CONV(K=9) + CONV(K=9, F=1, S=2, P=0)) -> RELU -> FC",
        (7, 9, 3),
    ),
    "a stack of depths 3, 5 and 9": (
        "INPUT -> CONV(K=7) -> (CONV(K=3) -> RELU | CONV(K=5) -> RELU | CONV(K=9, F=5) -> RELU) -> CONV(K=4) -> FC",
        (6, 5, 2),
    ),
    "a stack that pools": (
        "INPUT -> CONV(K=5) -> (POOL(F=3, S=2, round=ceil) | CONV(K=3, F=2, S=2, P=0) -> RELU | POOL(average))"
        " -> CONV(K=9) -> FC",
        (8, 8, 2),
    ),
    "a stack of FC": ("INPUT -> CONV(K=3) -> RELU -> (FC(3) -> RELU | FC(9) -> TANH | POOL(F=all)) -> FC", (4, 5, 2)),
    "groups of unaligned depths": (
        "INPUT -> CONV(K=15) -> RELU -> CONV(K=9, groups=3) -> RELU -> CONV(K=18, F=2, P=1, groups=9, bias=no) -> FC",
        (5, 6, 3),
    ),
    "groups of the images": ("INPUT -> CONV(K=6, groups=3) -> RELU -> FC", (5, 4, 3)),
    "as many groups as filters, at stride 2": (
        "INPUT -> CONV(K=10) -> RELU -> CONV(K=10, F=3, S=2, groups=10) -> CONV(K=4, F=1, P=0) -> RELU -> FC",
        (7, 7, 2),
    ),
    "a filter for each of several panels of channels": (
        "INPUT -> CONV(K=24) -> CONV(K=24, F=5, S=2, groups=24, bias=no, round=floor) -> NORM -> RELU -> FC",
        (9, 8, 2),
    ),
    "a filter for each channel that is smaller than its stride, and a wide border": (
        "INPUT -> CONV(K=9) -> CONV(K=9, F=2, S=3, P=1, groups=9, round=floor) -> CONV(K=9, P=3, groups=9) -> FC",
        (11, 8, 1),
    ),
    "filters that are not square": (
        "INPUT -> CONV(K=3, F=1x3, P=same) -> RELU -> CONV(K=3, F=3x2, S=2x1, P=2x0, dilation=1x3, round=floor) -> FC",
        (7, 5, 1),
    ),
    "a filter for each channel that is not square": (
        "INPUT -> CONV(K=9, F=1) -> CONV(K=9, F=3x2, P=2x1, S=1x2, groups=9, round=floor) -> RELU -> FC",
        (4, 5, 1),
    ),
    "POOL that is not square": (
        "INPUT -> CONV(K=3) -> POOL(F=3x1, S=2x1, P=1x0, round=ceil) -> POOL(F=1x2, S=1x2)"
        " -> POOL(average, F=2x4, S=1x3, P=1x2, round=ceil, padding=counted) -> FC",
        (6, 5, 1),
    ),
    "dilations that share a factor with the stride, and such that do not": (
        "INPUT -> CONV(K=4, S=2, P=4, dilation=4, round=floor) -> RELU"
        " -> CONV(K=6, F=4, S=2, P=4, dilation=3, groups=2, round=ceil) -> CONV(K=3, P=same, dilation=4) -> FC",
        (11, 9, 1),
    ),
    "dilations beyond the volume": (
        "INPUT -> CONV(K=5, P=same, dilation=7) -> RELU -> CONV(K=3, F=2, P=3, dilation=5) -> FC",
        (4, 5, 2),
    ),
    "a dilated filter for each channel": (
        "INPUT -> CONV(K=9, F=1) -> CONV(K=9, S=2, P=3, dilation=3, groups=9, round=floor) -> RELU"
        " -> CONV(K=9, F=2, S=4, P=2, dilation=2, groups=9, round=floor) -> FC",
        (7, 6, 2),
    ),
    "groups of several panels": ("INPUT -> CONV(K=80, F=1) -> RELU -> CONV(K=140, groups=2) -> RELU -> FC", (4, 3, 2)),
    "no biases": ("INPUT -> CONV(K=5, bias=no) -> RELU -> CONV(K=9, F=2, S=2, P=0, bias=no) -> FC", (6, 6, 3)),
    "NORM first": ("INPUT -> NORM -> CONV(K=4) -> RELU -> FC", (5, 6, 3)),
    "NORM behind CONV without biases": ("INPUT -> CONV(K=5, bias=no) -> NORM -> RELU -> FC", (5, 6, 3)),
    "NORM behind NORM": ("INPUT -> CONV(K=5) -> NORM(layer) -> NORM -> NORM(lrn) -> RELU -> FC", (5, 6, 2)),
    "NORM behind POOL": ("INPUT -> CONV(K=5) -> POOL -> NORM -> POOL(average) -> NORM(layer) -> FC", (8, 12, 2)),
    "NORM behind FC": (
        "INPUT -> CONV(K=4) -> FC(30) -> NORM(eps=0.01) -> RELU -> FC(40) -> NORM(layer) -> RELU -> FC",
        (4, 4, 2),
    ),
    "NORM last": ("INPUT -> CONV(K=4) -> RELU -> FC -> NORM", (4, 4, 2)),
    "NORM of momentum 0.7 and of large eps": (
        "INPUT -> CONV(K=4) -> NORM(momentum=0.7, eps=0.1) -> RELU -> CONV(K=5) -> NORM(momentum=1, eps=0.5) -> FC",
        (5, 5, 2),
    ),
    "NORM whose input is used twice": (
        "INPUT -> CONV(K=6) -> (NORM -> RELU -> CONV(K=6) + SKIP) -> RELU -> FC",
        (5, 5, 3),
    ),
    "NORM whose output is used twice": ("INPUT -> CONV(K=6) -> NORM -> RELU -> (CONV(K=6) + SKIP) -> FC", (5, 5, 3)),
    "two NORM of one input": ("INPUT -> CONV(K=6) -> (NORM + NORM -> RELU) -> FC", (5, 5, 3)),
    "NORM at the end of both branches": (
        "INPUT -> CONV(K=6) -> (CONV(K=8, S=2) -> NORM + CONV(K=8, F=1, S=2, P=0) -> NORM) -> RELU -> FC",
        (9, 7, 2),
    ),
    "NORM before CONV, as identity mappings have it": (
        "INPUT -> CONV(K=6) -> [(NORM -> RELU -> CONV(K=6) -> NORM -> RELU -> CONV(K=6) + SKIP)]*2 -> NORM -> RELU"
        " -> FC",
        (5, 5, 3),
    ),
    "NORM of the images beside them": ("INPUT -> (NORM + SKIP) -> (NORM | SKIP) -> CONV(K=3) -> RELU -> FC", (5, 4, 3)),
    "NORM in front of POOL and padding": (
        "INPUT -> NORM -> CONV(K=4, F=5, P=4) -> NORM -> POOL(F=3, S=2, P=1) -> FC",
        (5, 5, 3),
    ),
    "LRN larger than the depth": (
        "INPUT -> CONV(K=3) -> RELU -> NORM(lrn, size=9, alpha=0.5) -> CONV(K=4) -> FC",
        (4, 5, 2),
    ),
    "LRN of even size, first": (
        "INPUT -> NORM(lrn, size=4, alpha=0.3, beta=0.5, k=1) -> CONV(K=4) -> RELU -> FC",
        (4, 5, 3),
    ),
    "LRN across lanes": ("INPUT -> CONV(K=19) -> NORM(lrn, size=5, alpha=0.2, k=1) -> RELU -> FC", (4, 5, 3)),
    "LRN of one slice": ("INPUT -> CONV(K=9) -> NORM(lrn, size=1, alpha=1, beta=1) -> RELU -> FC", (4, 5, 3)),
    "layer norm of unaligned depth": (
        "INPUT -> NORM(layer) -> CONV(K=9) -> NORM(layer, eps=0.1) -> RELU -> FC",
        (4, 5, 3),
    ),
    "DROPOUT first and last": ("INPUT -> DROPOUT(0.3) -> CONV(K=5) -> RELU -> FC -> DROPOUT(0.4)", (5, 5, 3)),
    "DROPOUT between FC": ("INPUT -> CONV(K=4) -> [FC(30) -> RELU -> DROPOUT]*2 -> FC", (4, 4, 2)),
    "DROPOUT in branches": (
        "INPUT -> CONV(K=6) -> (DROPOUT(0.2) -> CONV(K=6) -> DROPOUT + SKIP) -> (DROPOUT | DROPOUT(0.9) | SKIP) -> FC",
        (5, 5, 2),
    ),
    "DROPOUT twice, and of nothing": (
        "INPUT -> CONV(K=9) -> DROPOUT -> DROPOUT -> RELU -> DROPOUT(0) -> FC",
        (5, 5, 2),
    ),
    "DROPOUT in front of POOL": ("INPUT -> CONV(K=9) -> DROPOUT -> POOL -> NORM -> FC", (8, 6, 2)),
    "TANH first, of padded depth": ("INPUT -> TANH -> CONV(K=3, F=3) -> TANH -> CONV(K=9) -> TANH -> FC", (5, 6, 3)),
    "SIGMOID of depth 3 in front of a CONV": (
        "INPUT -> CONV(K=3) -> SIGMOID -> CONV(K=5, F=5, P=4) -> SIGMOID -> POOL(average, F=3, S=1, P=1) -> FC",
        (5, 4, 2),
    ),
    "SIGMOID of depth 3 in front of branches": (
        "INPUT -> CONV(K=3) -> SIGMOID -> (SIGMOID | SKIP) -> CONV(K=3) -> FC",
        (5, 4, 2),
    ),
    "TANH, SIGMOID, RELU in a row, and last": (
        "INPUT -> CONV(K=3) -> TANH -> SIGMOID -> RELU -> FC -> TANH",
        (5, 4, 2),
    ),
    "RELU6, HSIGMOID, HSWISH, GELU of padded depth, in front of padding": (
        "INPUT -> RELU6 -> CONV(K=3, F=1, P=0) -> NORM -> HSWISH -> HSIGMOID -> CONV(K=9, F=2, P=1) -> GELU -> FC",
        (3, 4, 2),
    ),
    "PRELU first, of padded depth, behind NORM, beside SKIP, and behind FC": (
        "INPUT -> PRELU -> CONV(K=9, F=2, P=1) -> NORM -> PRELU -> (PRELU + SKIP) -> FC(5) -> PRELU -> FC",
        (3, 4, 2),
    ),
    "HSWISH and GELU whose input is used twice": (
        "INPUT -> CONV(K=6, F=1) -> (HSWISH -> CONV(K=6, F=1) + SKIP) -> (GELU + SKIP) -> RELU6 -> FC",
        (3, 3, 2),
    ),
    "average POOL with padding and overhang": (
        "INPUT -> CONV(K=5) -> POOL(average, F=3, S=2, P=1, round=ceil) -> RELU -> POOL(average, F=2, S=2, round=ceil)"
        " -> FC",
        (8, 11, 2),
    ),
    "average POOL with gaps, first": (
        "INPUT -> POOL(average, F=2, S=3, round=floor) -> CONV(K=3) -> RELU -> FC",
        (9, 10, 3),
    ),
    "average POOL of everything": ("INPUT -> CONV(K=10) -> NORM -> RELU -> POOL(average, F=all) -> FC", (5, 7, 3)),
    "average POOL last": ("INPUT -> CONV(K=3) -> POOL(average, F=all)", (5, 7, 3)),
    "average POOL behind max POOL": (
        "INPUT -> POOL(F=3, S=1) -> POOL(average, F=3, S=1, P=1) -> POOL(F=2, S=1) -> FC",
        (6, 7, 2),
    ),
    "one pixel": (
        "INPUT -> CONV(K=9) -> NORM(layer) -> TANH -> (CONV(K=5, F=1) -> RELU | POOL(average, F=1, S=1)) -> NORM -> FC",
        (1, 1, 9),
    ),
    "a strip": ("INPUT -> CONV(K=5) -> NORM -> RELU -> (POOL(average, F=3, S=1, P=1) + SKIP) -> FC", (1, 17, 1)),
    "gates of slices": (
        "INPUT -> CONV(K=9) -> NORM -> RELU -> (SKIP * POOL(average, F=all) -> CONV(K=3, F=1) -> RELU"
        " -> CONV(K=9, F=1) -> SIGMOID) -> (POOL(F=all) -> FC(9) * CONV(K=9, F=1) -> NORM) -> FC",
        (3, 4, 2),
    ),
    "gates of equal volumes": (
        "INPUT -> (SKIP * TANH) -> CONV(K=5) -> (CONV(K=5) -> NORM * SKIP) -> TANH -> (SKIP * SKIP)"
        " -> (((CONV(K=4, F=1) * CONV(K=4, F=1)) * CONV(K=4) -> SIGMOID) | SKIP) -> FC",
        (3, 4, 3),
    ),
    "an inception module": (
        "INPUT -> CONV(K=9) -> RELU -> (CONV(K=5, F=1) -> RELU | CONV(K=3, F=1) -> RELU -> CONV(K=7) -> RELU"
        " | CONV(K=2, F=1) -> RELU -> CONV(K=4, F=5) -> RELU | POOL(F=3, S=1, P=1) -> CONV(K=3, F=1) -> RELU) -> FC",
        (6, 6, 2),
    ),
}

LOSSES_OF_OUTPUTS = [SigmoidCrossEntropy(0.2), SquaredError(), AbsoluteError(), Huber(0.5)]

ACTIVATIONS = ("RELU6", "PRELU", "TANH", "SIGMOID", "HSIGMOID", "HSWISH", "GELU")

# What minimal filtering may miss.
WINOGRAD_TRAPS = {
    "filters of 5x5, of 3x3, and padding beyond them": (
        "INPUT -> CONV(K=16) -> RELU -> CONV(K=9, F=5) -> RELU -> CONV(K=17, F=5, P=0) -> CONV(K=8, F=5, P=6) -> RELU"
        " -> CONV(K=8) -> FC",
        (9, 7, 3),
    ),
    "images of eight channels": ("INPUT -> CONV(K=9) -> RELU -> FC", (6, 5, 8)),
    "images of eight channels in branches": (
        "INPUT -> (CONV(K=9) -> RELU | CONV(K=8, P=same, bias=no)) -> FC",
        (5, 3, 8),
    ),
    "every padding": (
        "INPUT -> CONV(K=9, F=1, P=0) -> CONV(K=10, P=0) -> CONV(K=20, P=2, bias=no) -> RELU -> CONV(K=8, P=3)"
        " -> CONV(K=5, P=5) -> POOL(F=all) -> FC",
        (5, 7, 2),
    ),
    "whole tiles": ("INPUT -> CONV(K=9) -> RELU -> CONV(K=8) -> RELU -> FC", (8, 4, 1)),
    "less than a tile": ("INPUT -> CONV(K=9) -> RELU -> CONV(K=8) -> CONV(K=8, P=2) -> RELU -> FC", (1, 3, 1)),
    "one output": ("INPUT -> CONV(K=9, F=1, P=0) -> CONV(K=8, P=0) -> RELU -> FC", (3, 3, 2)),
    "scores of its own": ("INPUT -> CONV(K=9, F=1, P=0) -> CONV(K=3, P=0) -> RELU", (3, 3, 2)),
    "several blocks of channels": (
        "INPUT -> CONV(K=40, F=1, P=0) -> CONV(K=24) -> RELU -> CONV(K=70) -> FC",
        (6, 3, 2),
    ),
    "branches": (
        "INPUT -> CONV(K=8) -> (CONV(K=8) -> RELU + SKIP) -> (CONV(K=9) | CONV(K=3) -> RELU | SKIP) -> CONV(K=4) -> FC",
        (5, 6, 2),
    ),
    "NORM, POOL and TANH": (
        "INPUT -> CONV(K=9) -> NORM -> RELU -> CONV(K=9, bias=no) -> NORM(layer) -> POOL -> CONV(K=9) -> TANH -> FC",
        (8, 6, 2),
    ),
    "beside what it cannot compute": (
        "INPUT -> CONV(K=8) -> (CONV(K=8, groups=2) + CONV(K=8) + CONV(K=8, F=5)) -> CONV(K=9, S=2) -> CONV(K=4) -> FC",
        (7, 7, 2),
    ),
}


@dataclass(frozen=True)
class Problem:
    """A network with parameters, and a weighted batch of images. Everything is drawn from `seed`."""

    text: str
    shape: tuple
    n: int = 5
    n_classes: int = 3
    label_smoothing: float = 0.1
    seed: int = 0
    loss: object = None  # of the engine; by default SoftmaxCrossEntropy(label_smoothing)
    bound: object = field(init=False)
    x: np.ndarray = field(init=False)
    targets: np.ndarray = field(init=False)
    weights: np.ndarray = field(init=False)
    parameters: list = field(init=False)  # (weights, biases) or (scale, shift) of each layer that learns, in walk order
    running: list = field(init=False)  # (mean, variance) of each NORM(batch), in walk order

    def __post_init__(self):
        rng = np.random.default_rng(self.seed)
        bound = Architecture.parse(self.text).bind(self.shape, self.n_classes)
        learning = [layer for layer in walk(bound.layers) if is_learning(layer)]
        coefs = [drawn_coef(layer, rng) for layer in learning]
        made = {
            "bound": bound,
            "x": rng.standard_normal((self.n, *self.shape)).astype(np.float32),
            "targets": self.drawn_targets(rng),
            "weights": rng.random(self.n) + 0.5,
            "parameters": [
                (coef, 0.3 * rng.standard_normal(layer.n_biases).astype(np.float32))
                for layer, coef in zip(learning, coefs, strict=True)
            ],
            "running": [
                (
                    0.3 * rng.standard_normal(layer.input.depth).astype(np.float32),
                    rng.uniform(0.5, 2.0, layer.input.depth).astype(np.float32),
                )
                for layer in learning
                if layer.kind == "NORM" and layer.mode == "batch"
            ],
        }
        for name, value in made.items():
            object.__setattr__(self, name, value)

    def drawn_targets(self, rng):
        if self.loss is None:
            return rng.integers(0, self.n_classes, self.n)
        numbers = rng.standard_normal((self.n, self.n_classes))
        return (numbers > 0 if isinstance(self.loss, SigmoidCrossEntropy) else numbers).astype(np.float32)

    @property
    def images(self):
        return Images(self.x, self.shape)

    @property
    def learned(self):
        """What the engine calls all the numbers that the network has learned."""
        return Learned(*unzipped(self.parameters), *unzipped(self.running))

    def network(self, device=None):
        """The engine's network, with these parameters."""
        network = Network(self.bound, np.zeros(self.shape[2]), np.ones(self.shape[2]), device)
        network.learned = self.learned
        return network

    def trainer(self, network, *, batch_size=None, n_threads=1, optimizer=None, alpha=0.0, state=None, images=None):
        """The engine's trainer: unless told otherwise, its first step's velocity is minus the gradient."""
        return Trainer(
            network,
            images or self.images,
            self.targets,
            self.weights.copy(),  # tests change a trainer's weights
            optimizer=optimizer or SGD(momentum=0.0, nesterov=False),
            alpha=alpha,
            loss=self.loss or SoftmaxCrossEntropy(self.label_smoothing),
            batch_size=batch_size or self.n,
            n_threads=n_threads,
            state=state,
        )

    def answers(self, device=None, **trainer):
        """What the engine computes: scores, loss, the gradient of each parameter, running statistics, by name."""
        network = self.network(device)
        found = {"scores": Scorer(network).scores(self.images, trainer.get("n_threads", 1))}
        trainer = self.trainer(network, **trainer)
        found["loss"] = np.float64(trainer.step(np.arange(self.n), 1.0).loss)
        gradients, after = network.parameter_layout.unpack(-trainer.state.moments[0]), network.learned
        found |= named(zip(gradients.coefs, gradients.intercepts, strict=True))
        return found | named_statistics(zip(after.means, after.variances, strict=True))

    def expected(self, mask=None):
        """The same in float64, from the oracles; `mask`, unless it is the engine's, as `oracles.layers_of` wants it."""
        layers = oracles.layers_of(self.bound.layers, mask or self.engine_mask)
        x, (loss, gradient) = self.x.astype(float), self.oracle()
        found = {
            "scores": oracles.forward(layers, self.parameters, x, self.running),
            "loss": loss(oracles.training_scores(layers, self.parameters, x)),
        }
        found |= named(oracles.gradients_of(layers, self.parameters, x, gradient))
        return found | named_statistics(oracles.running_after(layers, self.parameters, x, self.running))

    def oracle(self):
        """The oracle of the loss and that of its gradient, as functions of the scores."""
        name, options = self.named_loss()
        data = {"targets": self.targets, "weights": self.weights}
        return [partial(getattr(oracles, own), **data, **options) for own in (name, f"{name}_gradient")]

    def named_loss(self):
        """The name of the loss among the oracles, and its options."""
        match self.loss:
            case None:
                return "softmax_cross_entropy", {"label_smoothing": self.label_smoothing}
            case SigmoidCrossEntropy(label_smoothing):
                return "sigmoid_cross_entropy", {"label_smoothing": label_smoothing}
            case AbsoluteError():
                return "regression_loss", {"function": "absolute"}
            case Huber(delta):
                return "regression_loss", {"function": "huber", "delta": delta}
        return "regression_loss", {}

    def expected_of(self, in_torch, mask=None):
        """The same from PyTorch; `in_torch` is the fixture."""
        layers, parameters, running = torch_networks.plain(self.bound.layers), flat(self.parameters), flat(self.running)
        data = (self.x, self.targets, self.weights, self.named_loss())
        volumes = [layer.input for layer in self.dropouts]
        shapes = [(self.n, volume.height, volume.width, volume.depth) for volume in volumes]
        masks = [(mask or self.engine_mask)(number, shape) for number, shape in enumerate(shapes)]
        found = in_torch(torch_networks.answers, layers, parameters, *data, running, masks)
        scores, loss, gradients, after = (
            found[0],
            found[1],
            found[2 : 2 + len(parameters)],
            found[2 + len(parameters) :],
        )
        statistics = named_statistics(zip(after[::2], after[1::2], strict=True))
        return {"scores": scores, "loss": loss} | named(zip(gradients[::2], gradients[1::2], strict=True)) | statistics

    @property
    def dropouts(self):
        """The DROPOUT layers in walk order."""
        return [layer for layer in walk(self.bound.layers) if layer.kind == "DROPOUT"]

    def engine_mask(self, number, shape, seed=0, step=1):
        """What the number-th DROPOUT keeps in a trainer's first step: a hash of seed, step, number, image and place.

        Places are counted in the volume as the engine stores it, whose depth is one of whole vectors.
        """
        rate = self.dropouts[number].rate
        n, rows, columns, depth = shape
        stored = CPU.pad(depth)
        key = hashed(hashed(hashed(np.uint64(seed), step), number), np.arange(n))
        places = np.arange(rows * columns * stored).reshape(rows, columns, stored)[..., :depth]
        draws = hashed(key[:, None, None, None], places) >> np.uint64(32)
        return draws >= np.uint64(rate * 2**32)


def hashed(key, counter):
    """One step of SplitMix64 (Steele, Lea and Flood, 2014, figure 16) from key + counter times its constant."""
    with np.errstate(over="ignore"):
        z = key + (np.asarray(counter, np.uint64) + np.uint64(1)) * np.uint64(0x9E3779B97F4A7C15)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return z ^ (z >> np.uint64(31))


def is_learning(layer):
    """Whether it has parameters of its own, and not only in its branches."""
    return layer.kind in ("CONV", "FC", "PRELU") or (layer.kind == "NORM" and layer.mode != "lrn")


def drawn_coef(layer, rng):
    """Weights of variance 2 / inputs; scales around 1; slopes of both signs."""
    if layer.kind == "NORM":
        return 1 + 0.3 * rng.standard_normal(layer.input.depth).astype(np.float32)
    if layer.kind == "PRELU":
        return rng.uniform(-0.5, 0.9, layer.input.depth).astype(np.float32)
    if layer.kind == "FC":
        shape = (layer.input.size, layer.units)
    else:
        shape = (*oracles.both(layer.F), layer.input.depth // layer.groups, layer.K)
    return (rng.standard_normal(shape) * np.sqrt(2.0 / prod(shape[:-1]))).astype(np.float32)


def filtered(traps):
    """Those of the traps that have a CONV which minimal filtering can compute."""
    return {name: trap for name, trap in traps.items() if is_filtered(Problem(*trap, n=1).bound)}


def is_filtered(bound):
    slots = lay_out_parameters(bound, WINOGRAD).slots
    pairs = zip(learning_layers(bound), slots, strict=True)
    return any(layer.kind == "CONV" and has_fewer_products(layer, slot, WINOGRAD) for layer, slot in pairs)


def flat(pairs):
    return [own for pair in pairs for own in pair]


def unzipped(pairs):
    """[first of each], [second of each]."""
    return [first for first, _ in pairs], [second for _, second in pairs]


def named(gradients):
    """{"d_weights 1": ..., "d_biases 1": ..., "d_weights 2": ...} of pairs."""
    return {
        f"d_{kind} {number}": gradient
        for number, pair in enumerate(gradients, 1)
        for kind, gradient in zip(("weights", "biases"), pair, strict=True)
    }


def named_statistics(running):
    """{"mean 1": ..., "variance 1": ..., "mean 2": ...} of pairs."""
    return {
        f"{kind} {number}": own
        for number, pair in enumerate(running, 1)
        for kind, own in zip(("mean", "variance"), pair, strict=True)
    }


def mismatches(found, expected, tolerance=2e-5):
    """Names of the answers that are not, but for rounding, what was expected: {name: how far off}, {} if all are.

    A gradient may be off by a share of the largest gradient of the network: that of a bias in front of a NORM is a sum
    of large terms that cancel, 0 but for rounding.
    """
    assert found.keys() == expected.keys()
    largest = max([np.abs(expected[name]).max(initial=0.0) for name in expected if name.startswith("d_")], default=0.0)
    off = {}
    for name, wanted in expected.items():
        wanted = np.asarray(wanted)
        error = np.abs(np.reshape(found[name], wanted.shape) - wanted).max(initial=0.0)
        cancelled = 1e-5 * largest if name.startswith("d_") else 0.0
        if not error <= tolerance * np.abs(wanted).max(initial=0.0) + cancelled + 1e-6:  # a NaN is off
            off[name] = error
    return off


def differences(found, expected):
    """Names of the answers of which a bit differs."""
    assert found.keys() == expected.keys()
    return [name for name in expected if np.asarray(found[name]).tobytes() != np.asarray(expected[name]).tobytes()]


# -- Drawn networks ----------------------------------------------------------------------------------------------------


@st.composite
def convs(draw, depth):
    K = draw(st.sampled_from([1, 3, 8, 9, 20]))
    F, S, P = (draw(per_axis(st.integers(*limits))) for limits in ((1, 6), (1, 4), (0, 4)))
    dilation = draw(per_axis(st.sampled_from([1, 1, 2, 3, 4])))
    rounding = draw(st.sampled_from(["floor", "ceil"]))
    return f"CONV({draw(filters(K, depth))}, F={F}, S={S}, P={P}, dilation={dilation}, round={rounding})"


@st.composite
def convs_of_tiles(draw, depth):
    """CONV that minimal filtering can compute."""
    K, F, P = draw(st.sampled_from([1, 8, 9, 20])), draw(st.sampled_from([3, 3, 5])), draw(st.integers(0, 4))
    return f"CONV(K={K}, F={F}, S=1, P={P}, bias={draw(st.sampled_from(['yes', 'yes', 'no']))})"


@st.composite
def filters(draw, K, depth):
    """K filters, or as many in groups as divide the depth; with or without biases."""
    groups = draw(st.sampled_from([1, 1, 1, *(number for number in (2, 3, 5) if depth % number == 0)]))
    K = -(-K // groups) * groups
    return f"K={K}, groups={groups}, bias={draw(st.sampled_from(['yes', 'yes', 'no']))}"


@st.composite
def pools(draw, torch):
    sides = [draw(st.integers(1, 4))] * 2 if draw(st.booleans()) else [draw(st.integers(1, 4)) for _ in range(2)]
    S = draw(per_axis(st.integers(1, 4)))
    F, P = (
        "x".join(map(str, pair)) for pair in (sides, [draw(st.integers(0, F // 2 if torch else F - 1)) for F in sides])
    )
    mode, rounding = draw(st.sampled_from(["max", "average"])), draw(st.sampled_from(["floor", "ceil"]))
    padding = draw(st.sampled_from(["", ", padding=counted"])) if mode == "average" else ""
    return f"POOL({mode}, F={F}, S={S}, P={P}, round={rounding}{padding})"


@st.composite
def per_axis(draw, numbers):
    """The text of a number, or of one for each axis."""
    return draw(st.one_of(numbers.map(str), st.tuples(numbers, numbers).map(lambda pair: "{}x{}".format(*pair))))


def in_place(dropout):
    """Layers that keep their volume and learn nothing, or a NORM."""
    norms = (
        "NORM",
        "NORM(batch, momentum=0.6, eps=0.01)",
        "NORM(layer)",
        "NORM(lrn, size=3, alpha=0.2)",
        "NORM(lrn, size=4, alpha=0.5, beta=0.5, k=1)",
    )
    dropouts = ("DROPOUT(0.3)", "DROPOUT") if dropout else ()
    return st.sampled_from(["RELU", "RELU", "RELU", *ACTIVATIONS, *norms, *dropouts])


@st.composite
def branches(draw, depth, dropout, nesting=1):
    """A sum, a stack or a gate that keeps rows and columns, and the depth that it gives."""
    n_branches = draw(st.integers(2, 3))
    operator = draw(st.sampled_from("++||*"))
    if operator == "*":
        parts = [draw(branch(depth, depth, dropout, nesting)), draw(factors(depth, dropout, nesting))]
        return f"({' * '.join(draw(st.permutations(parts)))})", depth
    if operator == "+":
        K = draw(st.sampled_from([depth, depth, 5, 9]))
        parts = [draw(branch(depth, K, dropout, nesting)) for _ in range(n_branches)]
        return f"({' + '.join(parts)})", K
    depths = [draw(st.sampled_from([depth, 3, 5, 8])) for _ in range(n_branches)]
    parts = [draw(branch(depth, K, dropout, nesting)) for K in depths]
    return f"({' | '.join(parts)})", sum(depths)


@st.composite
def factors(draw, depth, dropout, nesting):
    """A branch of a gate, of moderate numbers: as large as the input, or one pixel."""
    if draw(st.booleans()):
        chain = draw(branch(depth, depth, dropout, nesting))
    else:
        chain = f"POOL(average, F=all) -> CONV(K={depth}, F=1)"
    chain = "" if chain == "SKIP" else f"{chain} -> "
    return chain + draw(st.sampled_from(["SIGMOID", "TANH"]))


@st.composite
def branch(draw, depth, K, dropout, nesting):
    """A chain that keeps rows and columns and ends in depth K."""
    chain, given_depth = [], depth
    for _ in range(draw(st.integers(0, 2))):
        kind = draw(st.sampled_from(["in place", "in place", "pool", "branches"]))
        if kind == "branches" and nesting:
            text, depth = draw(branches(depth, dropout, nesting - 1))
            chain.append(text)
        elif kind == "pool":
            chain.append(f"POOL({draw(st.sampled_from(['max', 'average']))}, F=3, S=1, P=1)")
        else:
            chain.append(draw(in_place(dropout)))
    if depth != K or draw(st.booleans()):
        groups = draw(st.sampled_from([number for number in (1, 1, 2, 3) if depth % number == K % number == 0]))
        F, bias = draw(st.sampled_from([1, 3, 5])), draw(st.sampled_from(["yes", "no"]))
        chain.append(f"CONV(K={K}, F={F}, P=same, groups={groups}, bias={bias})")
        chain += draw(st.lists(in_place(dropout), max_size=2))
    return " -> ".join(chain) if chain or given_depth != K else "SKIP"


@st.composite
def problems(draw, torch=False, dropout=True, convs=convs):
    """Networks of any layers in any order, on images of any shape; those that PyTorch knows if `torch`.

    `convs(depth)` draws the CONV outside branches.
    """
    low, high = draw(st.sampled_from([((1, 1), (4, 4)), ((5, 5), (11, 11)), ((1, 3), (1, 19)), ((3, 1), (15, 2))]))
    shape = (draw(st.integers(low[0], high[0])), draw(st.integers(low[1], high[1])), draw(st.integers(1, 4)))
    n, text = draw(st.sampled_from([1, 2, 3, 5, 18])), "INPUT"
    for _ in range(draw(st.integers(2, 6))):
        depth = depth_of(text, shape)
        kinds = [convs(depth), convs(depth), pools(torch), in_place(dropout), in_place(dropout)]
        layer = draw(st.one_of(*kinds, branches(depth, dropout).map(lambda made: made[0])))
        if fits(f"{text} -> {layer} -> FC", shape, n):
            text = f"{text} -> {layer}"
    for layer in draw(st.lists(st.one_of(st.just("FC(7)"), in_place(dropout)), max_size=3)):
        if fits(f"{text} -> {layer} -> FC", shape, n):
            text = f"{text} -> {layer}"
    problem = Problem(
        f"{text} -> FC",
        shape,
        n=n,
        n_classes=draw(st.integers(2, 9)),
        label_smoothing=draw(st.sampled_from([0.0, 0.1])),
        seed=draw(st.integers(0, 99)),
    )
    assume(is_well_conditioned(problem))
    return problem


def is_well_conditioned(problem):
    """Whether what is normalised varies enough: the noise of what is flat, as a slice of borders only, is blown up."""
    layers = oracles.layers_of(problem.bound.layers, problem.engine_mask)
    return all(
        varies(batch, (0, 1, 2) if isinstance(layer, oracles.BatchNorm) else (1, 2, 3))
        for network in (layers, oracles.in_inference(layers, problem.running))
        for layer, batch in oracles.inputs_of(
            (oracles.BatchNorm, oracles.LayerNorm),
            network,
            oracles.per_layer(network, iter(problem.parameters)),
            problem.x.astype(float),
        )
    )


def varies(x, axes):
    return (x.var(axes) >= 0.01 * x.mean(axes) ** 2).all()


def depth_of(text, shape):
    """The depth of what the text's last layer gives."""
    return Architecture.parse(f"{text} -> FC").bind(shape, 3).layers[-1].input.depth


def fits(text, shape, n):
    """Whether the network binds to images of `shape`, is small enough for the oracles' loops, and well-conditioned.

    What is normalised together must be at least 8 numbers: of two, only the sign is left, and its gradient is as small
    as eps, a difference of numbers that are not.
    """
    try:
        layers = list(walk(Architecture.parse(text).bind(shape, 3, Hyperparameters(rounding="exact")).layers))
    except ArchitectureError:
        return False
    norms = [layer for layer in layers if layer.kind == "NORM"]
    together = [n * layer.input.height * layer.input.width for layer in norms if layer.mode == "batch"]
    together += [layer.input.size for layer in norms if layer.mode == "layer"]
    sizes = [layer.output.size for layer in layers]
    return min(together, default=8) >= 8 and max(sizes) < 1500 and n * sum(sizes) < 40_000


def cpu(**settings):
    """The CPU, as plans are told of it; with settings of `Target` in place of its own."""
    return CpuDevice(replace(CPU, **settings))


# -- Another machine ---------------------------------------------------------------------------------------------------

# Between them they have every instruction that there is.
EVERY_INSTRUCTION = {
    "varied": Problem(VARIED, VARIED_SHAPE, n=21),
    "branched": Problem(BRANCHED, BRANCHED_SHAPE, n=21),
    "depthwise": Problem("INPUT -> CONV(K=10) -> RELU -> CONV(K=10, groups=10) -> RELU -> FC", (6, 5, 2), n=21),
    # A RELU with an instruction of its own: those of the others are part of what CONV, FC, NORM and sums do.
    "relu": Problem(
        "INPUT -> CONV(K=9) -> POOL -> RELU -> (SKIP * POOL(average, F=all) -> SIGMOID) -> FC", (6, 8, 2), n=21
    ),
    "filtered": Problem(FILTERED, FILTERED_SHAPE, n=21),
    "prelu": Problem("INPUT -> CONV(K=9) -> PRELU -> FC", (6, 8, 2), n=21),
    "labels": Problem("INPUT -> CONV(K=9) -> RELU -> FC", (6, 8, 2), n=21, loss=SigmoidCrossEntropy(0.2)),
    "numbers": Problem("INPUT -> CONV(K=9) -> RELU -> FC", (6, 8, 2), n=21, loss=Huber(0.5)),
}


def write_answers(directory):
    """Write what this machine computes, and the panels in which it does."""
    np.save(directory / "panels.npy", tile.PANELS)
    for name, problem in EVERY_INSTRUCTION.items():
        np.savez(directory / f"{name}.npz", **problem.answers())


if __name__ == "__main__":
    write_answers(Path(sys.argv[1]))
