"""Check labels, and convert them to a plain NumPy dtype."""

from numbers import Real

import numpy as np
from sklearn.utils import assert_all_finite, column_or_1d
from sklearn.utils.multiclass import check_classification_targets

from skconvnet.data.arrays import as_numpy


def check_labels(y):
    """Check that y has one class label for each image.

    Parameters
    ----------
    y : array-like of shape (n,) or (n, 1)
        Labels: strings, booleans or whole numbers.

    Returns
    -------
    ndarray of shape (n,)

    Raises
    ------
    ValueError
        If y is None, has several labels for an image, has missing labels, has labels of several types, or is
        continuous.
    """
    if y is None:
        raise ValueError("fit requires y to be passed, but the target y is None. Pass one label for each image.")
    y = as_numpy(y, "y")
    _check_one_label_each(y)
    y = column_or_1d(convert_labels(y), warn=True)
    if y.dtype.kind == "c":
        raise ValueError(f"y has dtype {y.dtype}. Labels are strings, booleans or whole numbers.")
    assert_all_finite(y, input_name="y")
    check_classification_targets(y)
    return y


def _check_one_label_each(y):
    """Raise a ValueError if y has several labels for an image, or may have."""
    try:
        shape = tuple(y.shape if hasattr(y, "shape") else np.asarray(y).shape)
    except ValueError:
        came = "a sequence of sequences that differ in length"
    else:
        if len(shape) < 2 or (len(shape) == 2 and shape[1] == 1):
            return  # a column, which scikit-learn warns of
        came = f"an array of shape {shape}"
        if _is_one_hot(np.asarray(y)):
            raise ValueError(
                f"y should be a 1d array with one label for each image, got {came} instead. It has a single 1 in each "
                "row: pass np.argmax(y, axis=1), or the labels that it was made of."
            )
    raise ValueError(
        f"y should be a 1d array with one label for each image, got {came} instead. ConvNetClassifier has one output; "
        "sklearn.multioutput.MultiOutputClassifier around it fits a network for each column of y."
    )


def _is_one_hot(y):
    """Whether each row has one 1 and zeros else."""
    if y.ndim != 2 or y.size == 0 or y.dtype.kind not in "biuf":
        return False
    return bool(np.isin(y, (0, 1)).all() and (y.sum(axis=1) == 1).all())


def convert_labels(y):
    """Return labels as an array of what they are, those too that are Python's objects, or of pandas' own dtypes.

    Parameters
    ----------
    y : array-like
        Labels in any form.

    Returns
    -------
    ndarray
        Of the dtype that the labels have by themselves.

    Raises
    ------
    ValueError
        If a label is missing, or labels are not all strings, all booleans, or all numbers.

    Examples
    --------
    >>> convert_labels(np.array([3, 1], dtype=object))
    array([3, 1])
    """
    if np.ma.is_masked(y):
        raise ValueError("y has masked labels. Every image needs a label: leave out the images that have none.")
    # NumPy makes strings of a list of strings and numbers, a missing one among them.
    labels = np.asarray(y, dtype=object if isinstance(y, (list, tuple)) else None)
    if labels.ndim == 0:  # scikit-learn has words for it
        return y
    if labels.dtype.kind not in "OST" or labels.size == 0:
        return labels
    values = labels.ravel().tolist()
    for place, value in enumerate(values):
        if _is_missing(value):
            raise ValueError(f"y contains {value} at y[{place}]. Every image needs a label, and None or NaN is none.")
    kinds = {_kind_of_label(value) for value in values}
    found = np.array(values).reshape(labels.shape)
    if len(kinds) == 1 and None not in kinds and found.dtype != object:
        return found
    names = sorted({type(value).__name__ for value in values})
    raise ValueError(
        f"y has labels of type {' and '.join(names)}. They have to be strings, booleans or numbers, all of one kind, "
        "for which NumPy has a dtype. Pass [str(label) for label in y], or the like."
    )


def _is_missing(label):
    """Whether a label stands for none: None, NaN, or what pandas has in their place."""
    return (
        label is None or type(label).__name__ in ("NAType", "NaTType") or (isinstance(label, Real) and label != label)
    )


def _kind_of_label(label):
    """Return the kind of labels that a label is one of, None if there is no such kind."""
    return next((kind for kind in (str, (bool, np.bool_), Real) if isinstance(label, kind)), None)
