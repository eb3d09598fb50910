"""The loss: the last step of a training plan, which turns class scores into their gradient.

A loss says what its targets are and what it writes for each sample: one row of `n_outcomes` float64 numbers, of which
the first is the sample's share of the batch's weighted mean loss.
"""

from dataclasses import dataclass

import numpy as np

from skconvnet.engine.program.instructions import ClassOutcome, Op
from skconvnet.engine.program.memory import element

__all__ = ["SoftmaxCrossEntropy"]


@dataclass(frozen=True)
class SoftmaxCrossEntropy:
    """Softmax cross-entropy; targets are class indices.

    Parameters
    ----------
    label_smoothing : float
        Part of the target probability that is spread over all classes, in [0, 1).

    Attributes
    ----------
    target_dtype : dtype
        Of the targets, shape (samples,).
    n_outcomes : int
        Numbers written for each sample: the columns of `ClassOutcome`.
    """

    label_smoothing: float = 0.0

    target_dtype = np.dtype(np.int64)
    n_outcomes = len(ClassOutcome)

    def check_targets(self, targets, n_classes):
        """Raise a ValueError unless all targets are class indices; the kernel would read beside the scores."""
        if targets.view(np.uint64).max(initial=0) >= n_classes:  # a negative one becomes a large one
            raise ValueError(f"The targets are not all between 0 and {n_classes - 1}.")

    def emit(self, builder, scores):
        """Emit the loss, and return the buffer of the gradient by the scores."""
        dscores = builder.gradient(scores)
        builder.emit(
            Op.SOFTMAX_CROSS_ENTROPY,
            {"scores": element(scores), "dscores": element(dscores)},
            classes=scores.channels,
            depth=scores.depth,
            smoothing=float(self.label_smoothing),
        )
        return dscores
