"""The losses of several outputs, for the tests of their kernels on both machines: how each is told, and its oracle."""

from dataclasses import dataclass, field

import numpy as np
from numpy.testing import assert_allclose, assert_array_equal

from skconvnet.engine.program.instructions import Op, Residual
from tests import oracles

__all__ = ["HUBER", "LOSSES_OF_OUTPUTS", "SIGMOID", "LossOfOutputs", "check_extreme_scores", "check_loss"]


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
            right = ((scores > 0) == (targets == 1)).all(axis=1)
        else:
            right = 1 - ((scores - targets) ** 2).mean(axis=1)
        return own * weights / weights.sum(), right, gradient(scores, targets, weights, **self.options)


def of_numbers(function, delta=0.0):
    options = {"function": function.name.lower()} | ({"delta": delta} if delta else {})
    return LossOfOutputs(Op.REGRESSION_LOSS, {"function": function, "delta": delta}, "regression_loss", options)


SIGMOID = LossOfOutputs(Op.SIGMOID_CROSS_ENTROPY, {"smoothing": 0.2}, "sigmoid_cross_entropy", {"label_smoothing": 0.2})
HUBER = of_numbers(Residual.HUBER, 0.7)
LOSSES_OF_OUTPUTS = [SIGMOID, of_numbers(Residual.SQUARED), of_numbers(Residual.ABSOLUTE), HUBER]


def check_loss(loss, run, n, outputs, size):
    """Compare a kernel with the oracle. `run(loss, scores, targets, weights)` returns losses, right and gradient."""
    rng = np.random.default_rng(n + outputs)
    scores = (size * rng.standard_normal((n, outputs))).astype(np.float32)
    targets, weights = loss.targets(rng, scores.shape), rng.random(n) + 0.1
    targets[0, 0] = scores[0, 0] = 0  # neither above nor below
    weights[1:2] = 0  # one that does not count
    losses, right, gradient = run(loss, scores, targets, weights)
    for found, expected in zip(
        (losses, right, gradient[:, :outputs]), loss.expected(scores, targets, weights), strict=True
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
