"""Check class labels, and encode them as indices."""

from numbers import Real

import numpy as np
from scipy.sparse import issparse
from sklearn.utils import assert_all_finite, column_or_1d

from skconvnet.data.arrays import as_numpy


def check_labels(y):
    """Check that y has one label for each image, or is an indicator matrix of several labels.

    Parameters
    ----------
    y : array-like of shape (n,) or (n, 1), or array-like or sparse matrix of shape (n, n_labels)
        Labels: strings, booleans or numbers. A matrix has 1 where an image has a label, and 0 elsewhere.

    Returns
    -------
    ndarray of shape (n,), or of int64 and shape (n, n_labels)

    Raises
    ------
    ValueError
        If y is None, is a matrix that is no indicator matrix, or as `convert_labels` does.
    """
    if y is None:
        raise ValueError("fit requires y to be passed, but the target y is None. Pass one label for each image.")
    y = as_numpy(y.toarray() if issparse(y) else y, "y")
    indicators = _indicators(y)
    if indicators is not None:
        return indicators
    _check_one_label_each(y)
    y = convert_labels(y)
    if np.ndim(y) != 1:
        y = column_or_1d(y, warn=True)
    if y.dtype.kind == "c":
        raise ValueError(f"y has dtype {y.dtype}. Labels must be strings, booleans or whole numbers.")
    if y.dtype.kind == "f":
        check_none_missing(y, "label")
        assert_all_finite(y, input_name="y")
    return y


def check_none_missing(y, what):
    """Raise a ValueError that says where y has NaN.

    Parameters
    ----------
    y : ndarray
        Numbers.
    what : str
        What the error calls one of them.

    Raises
    ------
    ValueError
        If one is NaN.
    """
    missing = np.argwhere(np.isnan(y))
    if len(missing):
        place = ", ".join(map(str, missing[0]))
        raise ValueError(f"Input y contains NaN at y[{place}]. Every image needs a {what} that is not missing.")


def convert_labels(y):
    """Convert labels that are Python objects, or of a pandas extension type, to a plain NumPy dtype.

    Parameters
    ----------
    y : array-like
        Labels.

    Returns
    -------
    ndarray
        An array without dtype object; y itself, if it is a scalar.

    Raises
    ------
    ValueError
        If a label is missing, or if the labels are not all strings, all booleans, or all numbers.

    Examples
    --------
    >>> convert_labels(np.array([3, 1], dtype=object))
    array([3, 1])
    """
    if np.ma.is_masked(y):
        raise ValueError("y has masked labels. Every image needs a label: leave out images without one.")
    # A list of strings and numbers, or of strings and None, would become an array of strings.
    labels = np.asarray(y, dtype=object if isinstance(y, (list, tuple)) else None)
    if labels.ndim == 0:  # scikit-learn refuses it
        return y
    if labels.dtype.kind not in "OST" or labels.size == 0:
        return labels
    values = labels.ravel().tolist()
    for place, value in enumerate(values):
        if _is_missing(value):
            raise ValueError(f"y contains {value} at y[{place}]. Every image needs a label that is not missing.")
    kinds = {_label_kind(value) for value in values}
    converted = np.array(values).reshape(labels.shape)
    if len(kinds) == 1 and None not in kinds and converted.dtype != object:
        return converted
    names = sorted({type(value).__name__ for value in values})
    raise ValueError(
        f"y has labels of type {' and '.join(names)}. Labels must be all strings, all booleans, or all numbers that "
        "fit a NumPy dtype. Pass, for example, [str(label) for label in y]."
    )


def encode_labels(y, classes):
    """Return the index of each label among the classes.

    Parameters
    ----------
    y : ndarray of shape (n,)
        Labels.
    classes : ndarray of shape (n_classes,)
        All labels, sorted.

    Returns
    -------
    ndarray of int64, shape (n,)

    Raises
    ------
    ValueError
        If a label is not among the classes.

    Examples
    --------
    >>> encode_labels(np.array(["dog", "cat"]), np.array(["cat", "dog"]))
    array([1, 0])
    """
    comparable = _dtype_group(y) == _dtype_group(classes)
    if comparable:
        with np.errstate(invalid="ignore"):  # a cast may change a label, which then differs from every class
            places = np.searchsorted(classes, y.astype(classes.dtype, copy=False))
        indices = np.minimum(places, len(classes) - 1).astype(np.int64, copy=False)
        unknown = classes[indices] != y
        if not unknown.any():
            return indices
        y = y[unknown]
    raise ValueError(
        f"y contains {min(y.tolist())!r}, which is not among the classes {classes.tolist()}. Leave such images out, or "
        "fit with that class; partial_fit adds classes if widen_classes=True."
    )


def unite_labels(known, labels):
    """Return all labels that are in one of two arrays.

    Parameters
    ----------
    known : ndarray of shape (n_classes,)
        All labels so far, sorted.
    labels : ndarray of shape (n,)
        Labels.

    Returns
    -------
    ndarray
        Sorted; `known` itself if it has all of them.

    Raises
    ------
    ValueError
        If labels of the one are not comparable with those of the other.

    Examples
    --------
    >>> unite_labels(np.array(["cat", "dog"]), np.array(["bird", "dog"]))
    array(['bird', 'cat', 'dog'], dtype='<U4')
    """
    if _dtype_group(known) != _dtype_group(labels):
        raise ValueError(
            f"y has labels of dtype {labels.dtype}, and the classes {known.tolist()} have dtype {known.dtype}. Pass "
            "labels of one type, for example [str(label) for label in y]."
        )
    united = np.unique(np.concatenate([known, labels]))
    return known if len(united) == len(known) else united


def _dtype_group(labels):
    """Return the same for dtypes whose values can be equal: numbers and booleans, strings, each kind of other."""
    return "number" if labels.dtype.kind in "biuf" else labels.dtype.kind


def _check_one_label_each(y):
    """Raise a ValueError if y has, or may have, several labels for an image."""
    try:
        shape = tuple(y.shape if hasattr(y, "shape") else np.asarray(y).shape)
    except ValueError:
        came = "a sequence of sequences that differ in length"
    else:
        y = y if hasattr(y, "__iter__") else np.asarray(y)
        first = next(iter(y)) if len(shape) == 1 and shape[0] else None
        if isinstance(first, (set, frozenset, list, tuple)):
            came = f"{type(first).__name__}s"
        elif len(shape) < 2 or (len(shape) == 2 and shape[1] == 1):  # scikit-learn warns about a column
            return
        else:
            check_is_no_row(shape, "label")
            came = f"an array of shape {shape}"
    raise ValueError(
        f"y should be a 1d array with one label for each image, got {came} instead. For several labels of an image, "
        "pass an indicator matrix of 0 and 1, as sklearn.preprocessing.MultiLabelBinarizer().fit_transform(y) makes it "
        "of sets or lists of labels; for numbers, use ConvNetRegressor. If several columns have classes, "
        "sklearn.multioutput.MultiOutputClassifier fits a network for each of them."
    )


def check_is_no_row(shape, what):
    """Raise a ValueError if y has one row, with what was meant to be one `what` for each image."""
    if len(shape) == 2 and shape[0] == 1 < shape[1]:
        raise ValueError(f"y has shape {shape}, which is a single row. Pass y.ravel(), one {what} for each image.")


def _indicators(y):
    """Return a matrix of 0 and 1, with two columns or more, as int64; None if y is anything else."""
    if np.ma.is_masked(y):
        return None
    try:
        matrix = np.asarray(y)
    except ValueError:  # rows of different lengths
        return None
    if matrix.ndim != 2 or matrix.shape[1] < 2:
        return None
    matrix = convert_labels(matrix)
    if matrix.dtype.kind not in "biuf" or not np.isin(matrix, (0, 1)).all():
        return None
    return matrix.astype(np.int64)


def _is_missing(label):
    """Return whether a label is None, NaN, or a missing value of pandas."""
    return (
        label is None or type(label).__name__ in ("NAType", "NaTType") or (isinstance(label, Real) and label != label)
    )


def _label_kind(label):
    """Return str, (bool, np.bool_) or Real; None for a label that is none of these."""
    return next((kind for kind in (str, (bool, np.bool_), Real) if isinstance(label, kind)), None)
