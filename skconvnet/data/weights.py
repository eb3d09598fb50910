"""Check the weights of samples and classes."""

from dataclasses import replace
from math import isfinite
from numbers import Real

import numpy as np
from sklearn.utils.class_weight import compute_class_weight


def check_class_weight(class_weight):
    """Raise a ValueError if the weight of a class is no number, not finite, or negative.

    Parameters
    ----------
    class_weight : dict, "balanced" or None
        How much each class counts.
    """
    if not isinstance(class_weight, dict):
        return
    for label, weight in class_weight.items():
        is_number = isinstance(weight, Real) and not isinstance(weight, bool)
        if not (is_number and isfinite(weight) and weight >= 0):
            raise ValueError(
                f"class_weight has {weight!r} for {label!r}. Weights have to be finite numbers, and not negative."
            )


def weigh_classes(examples, class_weight, classes):
    """Multiply the weights of examples by those of their classes.

    Parameters
    ----------
    examples : LabelledImages
        The examples.
    class_weight : dict, "balanced" or None
        How much each class counts, as scikit-learn has it. None is all the same; "balanced" has each class count the
        same, whatever the weights of its examples come to.
    classes : ndarray of shape (n_classes,)
        The labels.

    Returns
    -------
    LabelledImages

    Raises
    ------
    ValueError
        If the weights become all zero, or a class that has a weight is not there.
    """
    if class_weight is None:
        return examples
    if class_weight == "balanced":
        # Not compute_class_weight: that of older versions of scikit-learn counts examples whatever they weigh.
        totals = np.bincount(examples.targets, examples.weights, len(classes))
        counts = totals > 0
        of_class = np.divide(totals.sum(), counts.sum() * totals, out=np.ones(len(classes)), where=counts)
    else:
        of_class = compute_class_weight(class_weight, classes=classes, y=classes[examples.targets])
    return replace(examples, weights=scale_weights(examples.weights * of_class[examples.targets]))


def scale_weights(weights):
    """Return weights as float32 with a maximum of 1: a loss is a weighted mean, to which their scale means nothing."""
    wrong = ~(np.isfinite(weights) & (weights >= 0))
    if wrong.any():
        raise ValueError(f"A weight is {weights[wrong][0]}. Weights have to be finite, and not negative.")
    if not weights.any():
        raise ValueError("The weights are all zero. Sample weights must contain at least one non-zero number.")
    return (weights / weights.max()).astype(np.float32)
