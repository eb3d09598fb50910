"""Check the weights of samples and classes."""

from dataclasses import replace
from math import isfinite
from numbers import Number, Real

import numpy as np
from sklearn.utils.class_weight import compute_class_weight

from skconvnet.data.arrays import as_numpy


def check_sample_weight(sample_weight, n_images):
    """Check the weights of images and scale them.

    Parameters
    ----------
    sample_weight : array-like of shape (n_images,), number or None
        Weights >= 0, not all zero. A number or None weighs all images alike.
    n_images : int
        The number of images.

    Returns
    -------
    ndarray of float32, shape (n_images,)
        Weights whose maximum is 1.

    Raises
    ------
    ValueError
        If `sample_weight` is anything else.
    """
    if sample_weight is None:
        return np.ones(n_images, np.float32)
    weights = _as_floats(as_numpy(sample_weight, "sample_weight"))
    if weights.ndim == 0:
        weights = np.full(n_images, weights)
    if weights.shape != (n_images,):
        raise ValueError(
            f"sample_weight has shape {weights.shape}. X has {n_images} images: pass one weight for each. The "
            "weights of classes are the parameter class_weight."
        )
    wrong = ~(np.isfinite(weights) & (weights >= 0))
    if wrong.any():
        place = int(np.argmax(wrong))
        raise ValueError(f"sample_weight[{place}] is {weights[place]}. Weights must be finite and not negative.")
    return _scale(weights)


def _as_floats(weights):
    """Convert an array-like of numbers to float64; raise a ValueError if it is none."""
    if np.ma.is_masked(weights):
        raise ValueError("sample_weight has masked values. Fill them: a weight of 0 leaves an image out.")
    try:
        array = np.asarray(weights)
        kind = array.dtype.kind
        numbers = kind in "biuf" or (kind == "O" and all(isinstance(weight, Number) for weight in array.flat))
        if array.size == 0 or not numbers:
            raise TypeError
        return array.astype(np.float64)
    except (TypeError, ValueError, OverflowError) as error:  # nested sequences, complex or very large numbers, or none
        came = repr(weights)
        came = came if len(came) <= 60 else f"{came[:57]}..."
        raise ValueError(f"sample_weight is {came}. Pass an array of real numbers, one for each image.") from error


def check_class_weight(class_weight):
    """Check the weights of classes.

    Parameters
    ----------
    class_weight : dict, "balanced" or None
        The parameter of an estimator.

    Raises
    ------
    ValueError
        If a weight in a dict is not a finite number >= 0.
    """
    if not isinstance(class_weight, dict):
        return
    for label, weight in class_weight.items():
        is_number = isinstance(weight, Real) and not isinstance(weight, bool)
        if not (is_number and isfinite(weight) and weight >= 0):
            raise ValueError(
                f"class_weight has {weight!r} for {label!r}. Weights must be finite numbers, and not negative."
            )


def weigh_classes(examples, class_weight, classes):
    """Multiply the weights of examples by the weights of their classes.

    Parameters
    ----------
    examples : LabelledImages
        The examples.
    class_weight : dict, "balanced" or None
        As in scikit-learn, with the weights of examples taken into account: "balanced" gives all classes the same
        total weight. None changes nothing.
    classes : ndarray of shape (n_classes,)
        The labels.

    Returns
    -------
    LabelledImages

    Raises
    ------
    ValueError
        If all weights become zero, or if `class_weight` names a label that does not occur and leaves out one that does.
    """
    if class_weight is None:
        return examples
    if class_weight == "balanced":
        # Not compute_class_weight: in older versions of scikit-learn it ignores sample weights.
        totals = np.bincount(examples.targets, examples.weights, len(classes))
        present = totals > 0
        of_class = np.divide(totals.sum(), present.sum() * totals, out=np.ones(len(classes)), where=present)
    else:
        _check_names(class_weight, classes)
        of_class = compute_class_weight(class_weight, classes=classes, y=classes[examples.targets])
    return replace(examples, weights=_scale(examples.weights * of_class[examples.targets]))


def _check_names(class_weight, classes):
    """Raise a ValueError if a dict weighs labels that do not occur, and not all that do, as scikit-learn does."""
    labels = classes.tolist()
    unknown = [label for label in class_weight if label not in labels]
    missing = [label for label in labels if label not in class_weight]
    if unknown and missing:
        by_label = ", ".join(f"{label!r}: ..." for label in labels[:3]) + ", ..." * (len(labels) > 3)
        raise ValueError(
            f"class_weight has {', '.join(map(repr, unknown[:5]))}, which {'is' if len(unknown) == 1 else 'are'} not "
            f"among the classes. Name a class by its label in y, and not by its place: {{{by_label}}}."
        )


def _scale(weights):
    """Scale weights to a maximum of 1, in float32. A loss is a weighted mean, which does not depend on their scale."""
    if not weights.any():
        raise ValueError("The weights are all zero. At least one image must have a weight above zero.")
    return (weights / weights.max()).astype(np.float32)
