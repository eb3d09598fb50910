"""Losses: the last step of a training plan, which turns the network's scores into their gradient.

A loss says what its targets are and what it writes for each sample: one row of `n_outcomes` float64 numbers, the
columns of `Outcome`.
"""

from dataclasses import dataclass

import numpy as np

from skconvnet.engine.program.instructions import Op, Outcome, Residual
from skconvnet.engine.program.memory import element

__all__ = ["AbsoluteError", "Huber", "SigmoidCrossEntropy", "SoftmaxCrossEntropy", "SquaredError"]


class _Loss:
    """What all losses share.

    Attributes
    ----------
    target_dtype : dtype
        Of the targets.
    n_outcomes : int
        Numbers written for each sample: the columns of `Outcome`.
    """

    n_outcomes = len(Outcome)

    def emit(self, builder, scores):
        """Emit the loss, and return the buffer of the gradient by the scores."""
        dscores = builder.gradient(scores)
        op, numbers = self._instruction(scores.channels)
        builder.emit(op, {"scores": element(scores), "dscores": element(dscores)}, depth=scores.depth, **numbers)
        return dscores


@dataclass(frozen=True)
class SoftmaxCrossEntropy(_Loss):
    """Softmax cross-entropy; targets are class indices, int64 (samples,).

    Parameters
    ----------
    label_smoothing : float
        Part of the target probability that is spread over all classes, in [0, 1).
    """

    label_smoothing: float = 0.0

    target_dtype = np.dtype(np.int64)

    def check_targets(self, targets, n_classes):
        """Raise a ValueError unless all targets are class indices; the kernel would read beside the scores."""
        if targets.ndim != 1:
            raise ValueError(f"The targets have the shape {targets.shape}. Class indices need one for each image.")
        if targets.view(np.uint64).max(initial=0) >= n_classes:  # a negative one becomes a large one
            raise ValueError(f"The targets are not all between 0 and {n_classes - 1}.")

    def _instruction(self, n_classes):
        smoothing = float(self.label_smoothing)
        return Op.SOFTMAX_CROSS_ENTROPY, {"classes": n_classes, "smoothing": smoothing}


class _LossOfOutputs(_Loss):
    """A loss that is a sum, or a mean, over the network's outputs; targets are float32, (samples, n_outputs)."""

    target_dtype = np.dtype(np.float32)

    def check_targets(self, targets, n_outputs):
        """Raise a ValueError unless the targets are finite, and one for each output; the kernel would read others."""
        if targets.ndim != 2 or targets.shape[1] != n_outputs:
            raise ValueError(f"The targets have the shape {targets.shape}. Needed is (images, {n_outputs} outputs).")
        if not np.isfinite(targets).all():
            raise ValueError("The targets are not all finite.")


@dataclass(frozen=True)
class SigmoidCrossEntropy(_LossOfOutputs):
    """Cross-entropy of the sigmoid of each score, summed over the labels as MLPClassifier does.

    Targets are indicators: 1 where a sample has the label, else 0.

    Parameters
    ----------
    label_smoothing : float
        The wanted probability of each label is (1 - label_smoothing) target + label_smoothing / 2; in [0, 1).
    """

    label_smoothing: float = 0.0

    def check_targets(self, targets, n_outputs):
        """Raise a ValueError unless the targets are 0 or 1, and one for each output."""
        super().check_targets(targets, n_outputs)
        if not ((targets == 0) | (targets == 1)).all():
            raise ValueError("The targets are not all 0 or 1.")

    def _instruction(self, n_outputs):
        smoothing = float(self.label_smoothing)
        return Op.SIGMOID_CROSS_ENTROPY, {"outputs": n_outputs, "smoothing": smoothing}


@dataclass(frozen=True)
class SquaredError(_LossOfOutputs):
    """Half the squared difference of score and target, averaged over the outputs as in MLPRegressor's loss."""

    def _instruction(self, n_outputs):
        return _regression_loss(n_outputs, Residual.SQUARED)


@dataclass(frozen=True)
class AbsoluteError(_LossOfOutputs):
    """Absolute difference of score and target, averaged over the outputs; where it is 0, so is its gradient."""

    def _instruction(self, n_outputs):
        return _regression_loss(n_outputs, Residual.ABSOLUTE)


@dataclass(frozen=True)
class Huber(_LossOfOutputs):
    """Half the squared difference up to `delta`, and beyond it a line with the same slope; averaged over the outputs.

    Source: P. J. Huber, "Robust Estimation of a Location Parameter" (1964).

    Parameters
    ----------
    delta : float
        The absolute difference from which on the gradient is constant, > 0.
    """

    delta: float = 1.0

    def _instruction(self, n_outputs):
        return _regression_loss(n_outputs, Residual.HUBER, self.delta)


def _regression_loss(n_outputs, function, delta=0.0):
    return Op.REGRESSION_LOSS, {"outputs": n_outputs, "function": function, "delta": float(delta)}
