"""The forms in which images are passed: what becomes one array, and what to pass instead of anything else."""

import os
from collections.abc import Mapping

import numpy as np

from skconvnet.data.arrays import as_numpy

__all__ = ["as_one_array"]


def as_one_array(X):
    """Return images as an array, or as another object that has a shape.

    Parameters
    ----------
    X : object
        What a user passes as images.

    Returns
    -------
    ndarray, or any object with a shape
        Lists, and objects that NumPy can read, are converted. Others, such as data frames, are returned unchanged.

    Raises
    ------
    ValueError
        If X is not images, such as a file name, a dictionary, a generator, pairs of an image and its label, or images
        that differ in size. The error says what to pass.

    Examples
    --------
    >>> as_one_array([[0, 1], [2, 3]]).shape
    (2, 2)
    """
    X = as_numpy(X, "X")
    if type(X) is np.ndarray and X.dtype.kind in "biuf" and X.ndim > 1:
        return X
    if np.ma.is_masked(X):
        raise ValueError("X has masked pixels. Fill them, as X.filled(0) does.")
    if "PIL.Image" in {kind.__module__ for kind in type(X).__mro__}:
        raise ValueError(f"X is a single image, of type {type(X).__name__}. Pass a list of images, such as [X].")
    if not hasattr(X, "shape"):
        X = _converted(X)
    if len(X.shape) == 1:
        _check_items(X)
    elif len(X.shape) == 2:
        _check_cells(X)
    return X


def _converted(X):
    """Return an ndarray of a list, or of another object that NumPy can read."""
    if isinstance(X, (str, os.PathLike)):
        raise ValueError(_file_name(X))
    if isinstance(X, Mapping):
        raise ValueError(_no_array(X))
    try:
        array = np.asarray(X)
    except ValueError as error:
        if not isinstance(X, (list, tuple)):
            raise
        raise ValueError(_unequal(X) or str(error)) from error
    if array.ndim == 0 and array.dtype == object:
        raise ValueError(_no_array(X))
    return array


def _no_array(X):
    """Say what to pass instead of an object that is no array."""
    if X is None:
        return "X is None. Pass images of shape (n, height, width) or (n, height, width, channels)."
    images = "X.data, the images in it" if hasattr(X, "data") else "an array or a list of images of one size"
    return f"X is a {type(X).__name__}, which is no array of images. Pass {images}."


def _file_name(name):
    """Say how to read files."""
    return f"X contains the file name {str(name)!r}. Read images with load_image_folder."


def _unequal(items):
    """Say which items of a list differ in shape; return None if that is not what is wrong."""
    shapes = {}
    for place, item in enumerate(items):
        try:
            shapes.setdefault(np.shape(item), place)
        except ValueError:  # the item itself is uneven
            if _is_pair(item):
                return f"X[{place}] is an image with its label. Pass them apart, as in images, labels = zip(*X)."
            return f"X[{place}] has rows of different lengths. Resize or crop all images to one size."
    if len(shapes) < 2:
        return None
    (one, first), (other, second) = list(shapes.items())[:2]
    if () in (one, other):
        place = first if one == () else second
        return f"X[{place}] is {items[place]!r:.40}, which is no image. Pass images of one size."
    if len(one) == len(other) == 1:
        return f"X[{first}] has {one[0]} features and X[{second}] has {other[0]}. Pass rows of one length."
    return f"X has images of shapes {one} and {other}, as X[{first}] and X[{second}]. Resize or crop them to one size."


def _is_pair(item):
    """Return whether an item of a list is an image and its label, as the datasets of PyTorch have them."""
    try:
        return len(item) == 2 and np.ndim(item[0]) > 0 and np.ndim(item[1]) == 0
    except ValueError:  # the first part is uneven, too
        return False


def _check_items(X):
    """Raise a ValueError if an array of one axis, or a Series, has file names or arrays."""
    first = next(iter(X), None)
    if isinstance(first, (str, os.PathLike)):
        raise ValueError(_file_name(first))
    if np.ndim(first) > 0:
        raise ValueError(
            _unequal(list(X))
            or f"X is of type {type(X).__name__} and has arrays. Pass np.stack(X), one array of all the images."
        )


def _check_cells(X):
    """Raise a ValueError if a column of a table has text or arrays, as its first row shows."""
    is_table = hasattr(X, "columns") and isinstance(X.shape[0], int)  # of Dask, a number not yet computed
    if not is_table and getattr(X, "dtype", np.dtype(float)).kind not in "OUS":
        return
    row = np.asarray(X[:1])
    if row.dtype.kind not in "OUS":
        return
    for place, cell in enumerate(row.ravel()):
        column = f"X[{X.columns[place]!r}]" if is_table else f"X[:, {place}]"
        if np.ndim(cell) > 0:
            raise ValueError(f"{column} has arrays. Pass np.stack({column}), one array of all the images.")
        if isinstance(cell, (str, os.PathLike)) and not _is_number(cell):
            raise ValueError(
                f"{column} has the text {str(cell)!r:.40}, and pixels are numbers. Leave out columns of text. If these "
                f"are file names, read them with load_image_folder(list({column}), labels=y)."
            )


def _is_number(text):
    """Return whether a text is a number, which scikit-learn converts."""
    try:
        float(text)
    except (TypeError, ValueError):
        return False
    return True
