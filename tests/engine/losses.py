"""Losses for the tests of their kernels on both machines: how each is told, its oracle, and mixed targets."""

from dataclasses import dataclass, field

import numpy as np
from numpy.testing import assert_allclose, assert_array_equal

from skconvnet.engine.program.instructions import ONE, Op, Residual, Warp
from tests import oracles

__all__ = [
    "HUBER",
    "LOSSES_OF_OUTPUTS",
    "SIGMOID",
    "LossOfOutputs",
    "check_extreme_scores",
    "check_loss",
    "check_mixed_classes",
]


@dataclass(frozen=True)
class LossOfOutputs:
    """An instruction, the numbers that are its own, the oracle's name and options."""

    op: Op
    numbers: dict
    oracle: str
    options: dict = field(default_factory=dict)

    def __str__(self):
        return self.options.get("function", "sigmoid")

    def targets(self, rng, shape):
        numbers = rng.standard_normal(shape)
        return (numbers > 0 if self.op == Op.SIGMOID_CROSS_ENTROPY else numbers).astype(np.float32)

    def expected(self, scores, targets, weights):
        """The losses of each sample, their shares of the outcome's score, and the gradient."""
        scores, targets, weights = (np.asarray(own, dtype=float) for own in (scores, targets, weights))
        loss, gradient = getattr(oracles, self.oracle), getattr(oracles, f"{self.oracle}_gradient")
        own = np.array([loss(scores[[s]], targets[[s]], None, **self.options) for s in range(len(scores))])
        if self.op == Op.SIGMOID_CROSS_ENTROPY:
            right = ((scores > 0) == (targets > 0.5)).all(axis=1)
        else:
            right = 1 - ((scores - targets) ** 2).mean(axis=1)
        return own * weights / weights.sum(), right, gradient(scores, targets, weights, **self.options)


def of_numbers(function, delta=0.0):
    options = {"function": function.name.lower()} | ({"delta": delta} if delta else {})
    return LossOfOutputs(Op.REGRESSION_LOSS, {"function": function, "delta": delta}, "regression_loss", options)


SIGMOID = LossOfOutputs(Op.SIGMOID_CROSS_ENTROPY, {"smoothing": 0.2}, "sigmoid_cross_entropy", {"label_smoothing": 0.2})
HUBER = of_numbers(Residual.HUBER, 0.7)
LOSSES_OF_OUTPUTS = [SIGMOID, of_numbers(Residual.SQUARED), of_numbers(Residual.ABSOLUTE), HUBER]


def mixing(rng, n):
    """Warps that mix samples, the places of the samples that are mixed in, and their shares; the last has none."""
    warps, partners, shares = np.zeros((n, len(Warp)), np.int64), rng.permutation(n), rng.integers(1, ONE, n)
    shares[-1] = 0
    warps[:, Warp.PARTNER], warps[:, Warp.SHARE] = partners - np.arange(n), shares
    return warps, partners, shares / ONE


def check_loss(loss, run, n, outputs, size, mixed=False):
    """Compare a kernel with the oracle.

    `run(loss, scores, targets, weights, warps)` returns losses, right and gradient. With `mixed`, a sample's target has
    a share of that of another.
    """
    rng = np.random.default_rng(n + outputs)
    scores = (size * rng.standard_normal((n, outputs))).astype(np.float32)
    targets, weights = loss.targets(rng, scores.shape), rng.random(n) + 0.1
    targets[0, 0] = scores[0, 0] = 0  # neither above nor below
    weights[1:2] = 0  # one that does not count
    warps, partners, shares = mixing(rng, n) if mixed else (None, np.arange(n), np.zeros(n))
    losses, right, gradient = run(loss, scores, targets, weights, warps)
    wanted = (1 - shares[:, None]) * targets + shares[:, None] * targets[partners]
    for found, expected in zip(
        (losses, right, gradient[:, :outputs]), loss.expected(scores, wanted, weights), strict=True
    ):
        assert_allclose(found, expected, rtol=1e-6, atol=1e-12)
    assert_array_equal(gradient[:, outputs:], 0)
    assert_array_equal(gradient[1:2], 0)


def check_extreme_scores(loss, run):
    """Neither a sum nor an exponential overflows."""
    scores = np.array([[3e38, -3e38, 1e4], [1e4, -1e4, 0]], np.float32)
    targets, weights = np.array([[1, 0, 0], [0, 0, 1]], np.float32), np.ones(2)
    losses, right, gradient = run(loss, scores, targets, weights)
    for found, expected in zip((losses, right, gradient[:, :3]), loss.expected(scores, targets, weights), strict=True):
        assert np.isfinite(found).all()
        assert_allclose(found, expected, rtol=1e-6)
    for bad in (np.nan, np.inf, -np.inf):
        scores[0, 1] = bad
        assert not np.isfinite(run(loss, scores, targets, weights)[0][0])


def check_mixed_classes(run, n=5, classes=9, smoothing=0.1):
    """The loss of mixed classes is the mixture of the losses of each.

    `run(scores, targets, weights, smoothing, warps)` returns losses, right and gradient.
    """
    rng = np.random.default_rng(0)
    scores, targets = rng.standard_normal((n, classes)).astype(np.float32), rng.integers(0, classes, n)
    scores[np.arange(n), targets] += 1
    weights, (warps, partners, shares) = rng.random(n), mixing(rng, n)
    losses, right, gradient = run(scores, targets, weights, smoothing, warps)
    expected = np.zeros((n, classes))
    for parts, wanted in ((1 - shares, targets), (shares, targets[partners])):
        own = [oracles.softmax_cross_entropy(scores[[s]], wanted[[s]], None, smoothing) for s in range(n)]
        losses = losses - parts * own * weights / weights.sum()
        right = right - parts * (scores.argmax(axis=1) == wanted)
        expected += parts[:, None] * oracles.softmax_cross_entropy_gradient(scores, wanted, weights, smoothing)
    assert_allclose(losses, 0, atol=1e-7)
    assert_allclose(right, 0, atol=1e-12)
    assert_allclose(gradient[:, :classes], expected, rtol=1e-5, atol=1e-7)
