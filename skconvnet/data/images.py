"""Check images and their shapes, and turn them into `Images`."""

import os
import warnings
from math import isqrt, prod
from numbers import Integral

import numpy as np
from sklearn import get_config
from sklearn.utils.validation import validate_data

from skconvnet.data.arrays import as_numpy
from skconvnet.engine import Images

BLOCK_BYTES = 2**24  # images are checked in blocks of this size, so that a memory map stays on disk


def check_images(estimator, X, image_shape, *, reset=False):
    """Check images against an image shape, and against what the estimator was fitted on.

    Parameters
    ----------
    estimator : ConvNetClassifier
        Its `n_features_in_` and `feature_names_in_` are what X has to agree with; if `reset`, it gets those of X.
    X : array-like, shape (n, height * width * channels), (n, height, width) or (n, height, width, channels)
        Real numbers. An ndarray is neither copied nor changed, whatever its dtype and layout; nor is what speaks
        DLPack.
    image_shape : tuple of int or None
        (height, width, channels), or (height, width) of grey images; None takes it from X.
    reset : bool, default=False
        Whether X is the training data.

    Returns
    -------
    Images
        A view of X, if X is an ndarray.

    Raises
    ------
    ValueError
        If X is not finite, or not made of images of this shape.

    Warns
    -----
    UserWarning
        If `reset`, and the images look as if their channels came first.
    """
    X = as_numpy(X, "X")
    if not reset and _are_as_in_fit(estimator, X, image_shape):
        _check_values(X, image_shape)
        return Images(X, image_shape)
    _check_one_array(X)
    if not reset:
        _check_axis_of_images(X, image_shape)
    X = validate_data(estimator, X, reset=reset, **_options(X))
    shape = _shape_of_images(X, None if image_shape is None else check_image_shape(image_shape))
    if reset:
        estimator.n_features_in_ = prod(shape)
        _warn_of_channels_first(X, shape)
    _check_values(X, shape)
    return Images(X, shape)


def _are_as_in_fit(estimator, X, image_shape):
    """Whether X is an array that scikit-learn's checks could find nothing wrong with, and make nothing else of.

    They take five times as long as a small network's scores of one image.
    """
    return (
        type(X) is np.ndarray
        and X.dtype.kind in "biuf"
        and X.ndim > 1
        and len(X) > 0
        and X.shape[1:] in (image_shape, (prod(image_shape),), image_shape[: 2 if image_shape[2] == 1 else 3])
        and not hasattr(estimator, "feature_names_in_")
    )


def check_larger_images(estimator, X, image_shape):
    """Check images that may be larger than those the estimator was fitted on.

    Parameters
    ----------
    estimator : ConvNetClassifier
    X : array-like, shape (n, height, width) or (n, height, width, channels)
        Images, all of one size.
    image_shape : tuple of int
        (height, width, channels) of the smallest images allowed.

    Returns
    -------
    Images
        A view of X, if X is an ndarray.

    Raises
    ------
    ValueError
        If X is not finite, or not made of such images.
    """
    X = as_numpy(X, "X")
    _check_one_array(X)
    X = validate_data(estimator, X, reset=False, dtype="numeric", allow_nd=True, ensure_2d=False)
    if X.ndim not in (3, 4):
        raise ValueError(
            f"X has shape {X.shape}. Images that may be larger than those in fit have to come as (n, height, width) or "
            "(n, height, width, channels); rows do not tell their height and width."
        )
    shape = _shape_of_images(X, None)

    def fits(shape):
        return shape[2] == image_shape[2] and shape[0] >= image_shape[0] and shape[1] >= image_shape[1]

    if not fits(shape):
        if X.ndim == 3 and fits(X.shape):
            raise ValueError(_single_image(X.shape))
        raise ValueError(
            f"X has images of shape {shape}, and the network was fitted on images of shape {image_shape}. They have to "
            f"be at least {image_shape[0]} high and {image_shape[1]} wide, with {image_shape[2]} channels."
            f"{_channels_first(X.shape, fits)}"
        )
    _check_values(X, shape)
    return Images(X, shape)


def _check_one_array(X):
    """Raise a ValueError if X is names of files, or images that are not one array, and NumPy could not tell why."""
    is_sequence = isinstance(X, (list, tuple)) or len(getattr(X, "shape", ())) == 1
    first = next(iter(X), None) if is_sequence else X
    if isinstance(first, (str, os.PathLike)):
        raise ValueError(f"X is {str(first)!r}, or begins with it, and is no image. load_image_folder reads files.")
    if np.ma.is_masked(X):
        raise ValueError("X is an array with masked pixels. Pass X.filled(0), or with another value in their place.")
    if not is_sequence or getattr(first, "ndim", 0) == 0 or not all(hasattr(image, "shape") for image in X):
        return
    shapes = list(dict.fromkeys(tuple(image.shape) for image in X))
    if len(shapes) > 1:
        raise ValueError(f"X has images of shapes {shapes[0]} and {shapes[1]}. Resize or cut them: all need one size.")
    if hasattr(X, "shape"):
        raise ValueError(f"X is a {type(X).__name__} of arrays. Pass np.stack(X), one array of all the images.")


def _options(X):
    """Return the options with which scikit-learn checks X: as a table, unless it has the dimensions of images."""
    n_dimensions = X.ndim if hasattr(X, "ndim") else np.asarray(X).ndim
    return {"dtype": "numeric", "allow_nd": True, "ensure_2d": n_dimensions < 3, "ensure_all_finite": False}


def _check_axis_of_images(X, image_shape):
    """Raise a ValueError if X is one image of this shape, and no rows or images that happen to be as many."""
    shape = tuple(X.shape if hasattr(X, "shape") else np.asarray(X).shape)
    fits_as_many = shape[1:] == (prod(image_shape),) or (*shape[1:], 1)[:3] == image_shape
    if len(shape) in (2, 3) and (*shape, 1)[:3] == image_shape and not fits_as_many:
        raise ValueError(_single_image(shape))


def _single_image(shape):
    """Say what to do with an array that is an image instead of images."""
    extents = ", ".join(map(str, shape))
    return f"X has shape {shape}, that of a single image. Pass X[None]: images come as (n, {extents})."


def _channels_first(shape, fits):
    """Return the end of an error about an array's shape, where its images would fit with their channels last."""
    if len(shape) == 4 and fits((*shape[2:], shape[1])):
        return " This looks like channels first: pass X.transpose(0, 2, 3, 1)."
    return ""


def _warn_of_channels_first(X, shape):
    """Warn if images are a few pixels high and square in width and channels, which is what a network can learn too."""
    channels, rows, columns = shape
    if channels in (1, 3, 4) and rows == columns > 4:
        images = "X" if X.ndim == 4 else f"X.reshape(-1, {channels}, {rows}, {columns})"
        warnings.warn(
            f"X is taken as images {channels} high and {rows} wide with {columns} channels. This looks like channels "
            f"first: pass {images}.transpose(0, 2, 3, 1), images of shape {(rows, columns, channels)}.",
            stacklevel=7,  # of `fit`, below the context that scikit-learn puts around it
        )


def check_image_shape(image_shape):
    """Return an image shape that a user gives as three ints.

    Parameters
    ----------
    image_shape : sequence of int
        (height, width, channels), or (height, width) of grey images.

    Returns
    -------
    tuple of int
        (height, width, channels).

    Raises
    ------
    ValueError
        If it is anything else.

    Examples
    --------
    >>> check_image_shape([8, 8])
    (8, 8, 1)
    """
    shape = tuple(image_shape) if np.iterable(image_shape) else (image_shape,)
    whole = all(isinstance(extent, Integral) and not isinstance(extent, bool) and extent >= 1 for extent in shape)
    if not whole or len(shape) not in (2, 3):
        raise ValueError(
            f"image_shape={image_shape!r} is no image shape. It is (height, width, channels), or (height, width) of "
            "grey images, in positive whole numbers."
        )
    return (*(int(extent) for extent in shape), 1)[:3]


def _shape_of_images(X, expected):
    """Return (height, width, channels) of the images in X, which has to be as `expected` unless that is None."""
    if X.ndim > 4 or 0 in X.shape[1:]:
        raise ValueError(
            f"X has shape {X.shape}. It has to be rows (n, height*width*channels), grey images (n, height, width), or "
            "images (n, height, width, channels), with at least 1 pixel."
        )
    if X.ndim > 2:
        shape = (*X.shape[1:], 1)[:3]
    elif expected is None:
        shape = guess_image_shape(X.shape[1])
    elif prod(expected) == X.shape[1]:
        shape = expected
    else:
        raise ValueError(
            f"X has rows of {X.shape[1]} features, but images of shape {expected} have "
            f"{' * '.join(map(str, expected))} = {prod(expected)}. Give the image_shape of these rows, or other rows."
        )
    if expected is not None and shape != expected:
        # Three dimensions may be meant as one image in colour.
        came = f"images of shape {shape}" if X.ndim == 4 or expected[2] == 1 else f"shape {X.shape}"
        remedy = _channels_first(X.shape, lambda shape: shape == expected)
        raise ValueError(f"X has {came}, but images of shape {expected} are expected.{remedy}")
    return shape


def guess_image_shape(n_features):
    """Guess the image shape of rows: a square grey image, a square RGB image, or else a strip one pixel high.

    Parameters
    ----------
    n_features : int
        The length of a row, >= 1.

    Returns
    -------
    tuple of int
        (height, width, channels).

    Examples
    --------
    >>> guess_image_shape(64), guess_image_shape(3072), guess_image_shape(20)
    ((8, 8, 1), (32, 32, 3), (1, 20, 1))
    """
    for channels in (1, 3):
        side = isqrt(n_features // channels)
        if side * side * channels == n_features:
            return side, side, channels
    return 1, n_features, 1


def _check_values(X, shape):
    """Raise a ValueError if a pixel is not a real number that float32 can hold. Looks at a block at a time."""
    if X.dtype.kind not in "biuf":
        raise ValueError(f"X has dtype {X.dtype}, and pixels are real numbers.")
    if X.dtype.kind != "f" or get_config()["assume_finite"]:
        return
    size = max(1, BLOCK_BYTES // (X.itemsize * prod(shape)))
    for first in range(0, len(X), size):
        block = X[first : first + size]
        with np.errstate(all="ignore"):
            pixels = block.astype(np.float32, copy=False)
            if np.isfinite(pixels.sum()):  # as it is of nothing but finite numbers; it may also overflow
                continue
        finite = np.isfinite(pixels)
        if not finite.all():
            place = tuple(int(i) for i in np.argwhere(~finite)[0])
            raise ValueError(_not_finite(block[place], (first + place[0], *place[1:])))


def _not_finite(value, place):
    """Say which value stands where in X, in the words that scikit-learn has for it."""
    if np.isnan(value):
        what = "NaN"
    elif np.isinf(value):
        what = "infinity"
    else:
        what = f"{value}, infinity in float32,"
    return (
        f"Input X contains {what} at X[{', '.join(map(str, place))}]. Every pixel has to be finite in float32; "
        "replace or rescale those that are not."
    )
