"""Check images and their shapes, and turn them into `Images`."""

from functools import partial
from math import prod
from numbers import Integral

import numpy as np
from scipy.sparse import issparse
from sklearn import get_config
from sklearn.utils.validation import validate_data

from skconvnet.data.arrays import as_numpy, on_first_gpu
from skconvnet.data.forms import as_one_array
from skconvnet.data.guesses import guess_image_shape, seems_one_image
from skconvnet.data.sparse import SparseRows
from skconvnet.engine import Images, PixelSource

_BLOCK_BYTES = 2**20  # pixels are checked in blocks of this size, so that a memory map stays on disk
_LARGEST_FLOAT = float(np.finfo(np.float32).max)


def check_images(estimator, X, image_shape, *, reset=False):
    """Check images against an image shape and against the features seen in fit.

    Parameters
    ----------
    estimator : ConvNetClassifier or ConvNetFeatures
        X must agree with its `n_features_in_` and `feature_names_in_`. With `reset` these are set instead: pass a copy
        of the estimator to leave the estimator as it is.
    X : array-like, shape (n, height * width * channels), (n, height, width) or (n, height, width, channels)
        Real numbers. An ndarray, or an array that supports DLPack, is neither copied nor changed. Sparse rows and a
        `PixelSource` are read a minibatch at a time.
    image_shape : tuple of int or None
        (height, width, channels), or (height, width) of grey images. None infers it from X.
    reset : bool, default=False
        Whether X is the training data.

    Returns
    -------
    Images
        A view of X, if X is an ndarray.

    Raises
    ------
    ValueError
        If X has another shape, or pixels that are not finite in float32.
    """
    there, X = on_first_gpu(X), as_numpy(X, "X")
    if not reset and _is_plain_array(estimator, X, image_shape):
        return Images(X, image_shape, check_values(X), there)
    X = as_one_array(X)
    is_counted = all(isinstance(n, Integral) for n in X.shape[:1])  # not yet in a table of Dask: it becomes an array
    if not reset and is_counted:
        if X.shape == (prod(image_shape),):
            raise ValueError(_single_image(X.shape))
        remedy = partial(_remedy, estimator, reset)
        _check_not_single(X.shape, image_shape, lambda shape: shape == image_shape, remedy)
        _check_length_of_rows(estimator, X, image_shape)
    _check_dimensions(X)
    options = {"dtype": "numeric", "allow_nd": True, "ensure_2d": len(X.shape) < 3, "ensure_all_finite": False}
    X = _validated(estimator, X, reset, options)
    expected = None if image_shape is None else check_image_shape(image_shape)
    shape = _shape_of_images(X, expected, partial(_remedy, estimator, reset, X.shape))
    if reset:
        estimator.n_features_in_ = prod(shape)
    return Images(X, shape, check_values(X), there)


def check_larger_images(estimator, X, image_shape):
    """Check images that may be larger than those in fit.

    Parameters
    ----------
    estimator : ConvNetClassifier
        The fitted estimator.
    X : array-like, shape (n, height, width) or (n, height, width, channels)
        Images of one size.
    image_shape : tuple of int
        (height, width, channels) of the smallest images allowed.

    Returns
    -------
    Images
        A view of X, if X is an ndarray.

    Raises
    ------
    ValueError
        If X has rows, smaller images, other channels, or pixels that are not finite in float32.
    """

    def fits(shape):
        return shape[2] == image_shape[2] and shape[0] >= image_shape[0] and shape[1] >= image_shape[1]

    def remedy(X_shape, shape, expected):
        is_grey_or_rgb = shape[0] >= expected[0] and shape[1] >= expected[1]
        advice = advice_on_channels(expected[2], shape[2]) if is_grey_or_rgb else ""
        return _channels_first(X_shape, fits) or advice

    there, X = on_first_gpu(X), as_one_array(X)
    if len(X.shape) < 2:
        raise ValueError(_no_sides(X.shape))
    _check_not_single(X.shape, image_shape, fits, remedy)
    options = {"dtype": "numeric", "allow_nd": True, "ensure_2d": False, "ensure_all_finite": False}
    X = _validated(estimator, X, False, options)
    if X.ndim not in (3, 4):
        raise ValueError(_no_sides(X.shape))
    shape = _shape_of_images(X, None)
    if not fits(shape):
        raise ValueError(
            f"X has images of shape {shape}, and the network was fitted on images of shape {image_shape}. They must "
            f"be at least {image_shape[0]} high and {image_shape[1]} wide, with {image_shape[2]} "
            f"channel{'s' * (image_shape[2] != 1)}.{remedy(X.shape, shape, image_shape)}"
        )
    return Images(X, shape, check_values(X), there)


def check_several(X_shape, images):
    """Check that images whose shape the user has not given are not the rows of a single one.

    In `fit`, there are as many labels as images. Where there are none, nothing else tells.

    Parameters
    ----------
    X_shape : tuple of int
        The shape of X.
    images : Images
        As `check_images` reads X.

    Raises
    ------
    ValueError
        If X seems to be one image, or has rows that are read as images one pixel high.
    """
    if seems_one_image(X_shape):
        raise ValueError(_perhaps_single_image(X_shape))
    if len(X_shape) == 2 and images.shape[0] == 1:
        raise ValueError(
            f"X has shape {X_shape}, {X_shape[0]} rows that would be images one pixel high. If X is a single image, "
            f"pass X[None]; if it has rows, pass image_shape, such as image_shape={images.shape} if that is right."
        )


def _validated(estimator, X, reset, options):
    """Check X as scikit-learn does; return an ndarray, or a `PixelSource` for sparse rows and if X is one."""
    if isinstance(X, PixelSource):
        if len(X) == 0:
            raise ValueError(f"X has shape {X.shape}, and no image. Pass at least one.")
        return validate_data(estimator, X, reset=reset, skip_check_array=True, ensure_2d=X.ndim < 3)
    X = validate_data(estimator, X, reset=reset, accept_sparse="csr", **options)
    return SparseRows(X) if issparse(X) else X


def check_image_shape(image_shape):
    """Convert an image shape that a user gives to three ints.

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
            f"image_shape={image_shape!r} is not an image shape. Use (height, width, channels), or (height, width) for "
            "grey images, in positive whole numbers."
        )
    return (*(int(extent) for extent in shape), 1)[:3]


def check_values(X, block_bytes=_BLOCK_BYTES):
    """Check that all pixels are real numbers, finite in float32. Reads the array once, a block at a time.

    Parameters
    ----------
    X : ndarray or PixelSource, (n, ...)
        The images.
    block_bytes : int, optional
        Size of a block.

    Returns
    -------
    float
        An upper bound of the absolute values. It is NaN if scikit-learn is configured to assume finite data.

    Raises
    ------
    ValueError
        If X has another dtype, or a pixel is not finite in float32; the error names the pixel.
    """
    if X.dtype.kind in "biu":
        return 2.0 ** (8 * X.dtype.itemsize)
    if X.dtype.kind != "f":
        raise ValueError(f"X has dtype {X.dtype}. Pixels must be real numbers.")
    if get_config()["assume_finite"]:
        return np.nan
    if isinstance(X, SparseRows):
        return _check_floats(X.values, X.place, block_bytes)
    return _check_floats(X, lambda *place: place, block_bytes)


def _check_floats(X, place_of, block_bytes):
    """Return a bound of the absolute values, or raise an error that has `place_of` a pixel that is not finite."""
    largest, size = 0.0, max(1, block_bytes // max(1, X[:1].nbytes))
    for first in range(0, len(X), size):
        block = X[first : first + size]
        # float16 has no fast minimum. float64 is not rounded to float32: that would take a copy.
        block = block.astype(np.float32) if block.dtype == np.float16 else block
        low, high = np.minimum.reduce(block, axis=None), np.maximum.reduce(block, axis=None)
        if not (-_LARGEST_FLOAT <= low and high <= _LARGEST_FLOAT):  # NaN is not <= either
            place = np.argwhere(~(np.abs(block) <= _LARGEST_FLOAT))[0]
            raise ValueError(_not_finite(block[tuple(place)], place_of(first + place[0], *place[1:])))
        largest = max(largest, float(high), -float(low))
    return largest


def _not_finite(value, place):
    """Say which pixel of X is not finite, in scikit-learn's words."""
    if np.isnan(value):
        what = "NaN"
    elif np.isinf(value):
        what = "infinity"
    else:
        what = f"{value}, infinity in float32,"
    return (
        f"Input X contains {what} at X[{', '.join(str(int(i)) for i in place)}]. Every pixel must be finite in "
        "float32: replace or rescale those that are not."
    )


def _is_plain_array(estimator, X, image_shape):
    """Return whether scikit-learn's checks would accept X and return it unchanged.

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


def _check_dimensions(X):
    """Raise a ValueError if X has fewer dimensions than several images have."""
    if len(X.shape) < 2:
        raise ValueError(
            f"X has shape {tuple(X.shape)}. Reshape your data: pass images of shape (n, height, width) or (n, height, "
            "width, channels), or rows of shape (n, height*width*channels). A single image is passed as X[np.newaxis]; "
            "of an array of images, as X[:1] instead of X[0]."
        )


def _check_not_single(X_shape, expected, fits, remedy):
    """Raise a ValueError if X seems to be one image, also one that does not fit, and cannot be several.

    ``fits(shape)`` tells whether images of a shape are accepted, and ``remedy(X_shape, shape, expected)`` what to do
    with others.
    """
    if X_shape[1:] == (prod(expected),) or (len(X_shape) > 2 and fits((*X_shape[1:], 1)[:3])):
        return
    shape = (*X_shape, 1)[:3]
    if len(X_shape) in (2, 3) and fits(shape):
        raise ValueError(_single_image(X_shape))
    came = _perhaps_single_image(X_shape)
    if len(X_shape) == 3 and X_shape[0] == expected[2] > 1:
        shape = (*X_shape[1:], X_shape[0])
        came = f"X has shape {X_shape}. If it is one image with its channels first, pass X.transpose(1, 2, 0)[None]."
    elif not seems_one_image(X_shape):
        return
    if shape != expected:
        came += f" The network was fitted on images of shape {expected}.{remedy((1, *shape), shape, expected)}"
    raise ValueError(came)


def _check_length_of_rows(estimator, X, image_shape):
    """Raise a ValueError in scikit-learn's words if X has rows of another length, or is a grey image of another size.

    Data frames are left to scikit-learn, which compares their columns' names first.
    """
    if len(X.shape) != 2 or hasattr(X, "columns") or X.shape[1] == prod(image_shape) or 0 in X.shape:
        return
    raise ValueError(
        f"X has {X.shape[1]} features, but {type(estimator).__name__} is expecting {prod(image_shape)} features as "
        f"input, images of shape {image_shape}.{_or_one_image(X.shape)}"
    )


def _or_one_image(X_shape):
    """Return a sentence, after a space, about rows that may be those of one grey image."""
    return " If X is a single image, pass X[None]." if len(X_shape) == 2 and min(X_shape) > 4 else ""


def _single_image(shape):
    """Say how to pass a single image, where X can be nothing else."""
    return f"X has shape {shape}, which is that of a single image. Reshape your data: pass {_one_of_several(shape)}"


def _perhaps_single_image(shape):
    """Say how to pass a single image, where X may also be several images of another shape."""
    return f"X has shape {shape}. If X is a single image, pass {_one_of_several(shape)}"


def _one_of_several(shape):
    """Return the end of a sentence: what to pass instead of a single image."""
    return f"X[None], of shape {(1, *shape)}; of an array of images, X[:1] instead of X[0]."


def _no_sides(X_shape):
    """Say what to pass where the height and width of images must be known."""
    return (
        f"X has shape {X_shape}. Pass images of shape (n, height, width) or (n, height, width, channels): the height "
        f"and width of rows are not known.{_or_one_image(X_shape)}"
    )


def _channels_first(shape, fits):
    """Return the end of an error about an array's shape, if its images would fit with their channels last."""
    if len(shape) == 4 and fits((*shape[2:], shape[1])):
        return " This looks like channels first: pass X.transpose(0, 2, 3, 1)."
    return ""


def advice_on_channels(expected, came):
    """Return the end of an error about images in colour instead of grey ones, or the other way round.

    Parameters
    ----------
    expected : int
        The channels that a network takes.
    came : int
        The channels of the images.

    Returns
    -------
    str
        A sentence after a space, or nothing.

    Examples
    --------
    >>> advice_on_channels(1, 3)
    ' Read them with load_image_folder(path, channels=1), or average their channels.'
    """
    if (expected, came) == (3, 1):
        return " Read them with load_image_folder(path, channels=3), or repeat the grey channel three times."
    if (expected, came) == (1, 3):
        return " Read them with load_image_folder(path, channels=1), or average their channels."
    return ""


def _remedy(estimator, reset, X_shape, shape, expected):
    """Return the end of an error about images of another shape than expected: what to do."""
    remedy = _channels_first(X_shape, lambda shape: shape[:2] == expected[:2])
    if remedy:
        return remedy + advice_on_channels(expected[2], X_shape[1])
    if reset and X_shape == expected:
        shape = shape[: len(X_shape) - 1]
        return f" The first number of X.shape is the number of images: pass image_shape={shape}."
    if reset:
        return f" Pass image_shape={shape}, or other images."
    channels = advice_on_channels(expected[2], shape[2])
    if shape[:2] == expected[:2]:
        return channels
    resize = f" Resize them to {expected[0]} high and {expected[1]} wide"
    is_larger = shape[0] >= expected[0] and shape[1] >= expected[1] and shape[2] == expected[2]
    if is_larger and hasattr(estimator, "score_map"):
        resize += ", or use score_map, which scores every part of larger images"
    return f"{resize}.{channels}"


def _shape_of_images(X, expected, remedy=None):
    """Return (height, width, channels) of the images in X; raise a ValueError if `expected` is another shape.

    ``remedy(shape, expected)`` returns the end of that error.
    """
    if X.ndim > 4 or 0 in X.shape[1:]:
        raise ValueError(
            f"X has shape {X.shape}. It must have rows (n, height*width*channels), grey images (n, height, width), or "
            "images (n, height, width, channels), with at least 1 pixel."
        )
    if X.ndim > 2:
        shape = (*X.shape[1:], 1)[:3]
    elif expected is None:
        shape = guess_image_shape(X.shape[1])
    elif prod(expected) == X.shape[1]:
        shape = expected
    else:
        one_more = X.shape[1] == prod(expected) + 1
        raise ValueError(
            f"X has rows of {X.shape[1]} features, but images of shape {expected} have "
            f"{' * '.join(map(str, expected))} = {prod(expected)}. Pass other rows, or the image_shape of these."
            f"{' If one column is the label, leave it out of X and pass it as y.' if one_more else ''}"
        )
    if expected is not None and shape != expected:
        # Three dimensions may be one image in colour.
        came = f"images of shape {shape}" if X.ndim == 4 or expected[2] == 1 else f"shape {X.shape}"
        raise ValueError(f"X has {came}, but images of shape {expected} are expected.{remedy(shape, expected)}")
    return shape
