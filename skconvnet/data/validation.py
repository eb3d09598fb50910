"""What the user passes becomes what the engine takes: rows or images -> `Images`, labels -> class indices.

Everything here happens before any work. An error says what came and what is needed.
"""

import os
import warnings
from dataclasses import dataclass, replace
from math import isfinite, isqrt, prod
from numbers import Integral, Real

import numpy as np
from sklearn import get_config
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import LabelEncoder
from sklearn.utils._param_validation import Interval
from sklearn.utils.class_weight import compute_class_weight
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import _check_sample_weight, validate_data

from skconvnet.engine import Images

BLOCK_BYTES = 2**24  # images are looked through in blocks of this size, so that a memory map stays on the disk


@dataclass(frozen=True)
class LabelledImages:
    """Images with their labels and weights, as the engine takes them.

    Parameters
    ----------
    images : Images
        The n images.
    targets : ndarray of int64, shape (n,)
        The index of each one's class.
    weights : ndarray of float32, shape (n,)
        Each one's weight, >= 0. The largest is 1.
    """

    images: Images
    targets: np.ndarray
    weights: np.ndarray

    def __len__(self):
        return len(self.targets)


class Numbers(Interval):
    """An interval of numbers for a table of parameter constraints. True is no number."""

    def is_satisfied_by(self, value):
        """Return whether the value is a number of the interval."""
        return not isinstance(value, bool) and super().is_satisfied_by(value)


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
    X = _as_numpy(X, "X")
    if not reset and _are_as_in_fit(estimator, X, image_shape):
        _check_values(X, image_shape)
        return Images(X, image_shape)
    _check_is_one_array(X)
    if not reset:
        _check_axis_of_images(X, image_shape)
    X = validate_data(estimator, X, reset=reset, **_options(X))
    return _as_images(estimator, X, image_shape, reset)


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


def check_images_and_labels(estimator, X, y, image_shape, *, reset=False):
    """Check images as `check_images` does, and the labels that belong to them.

    Parameters
    ----------
    estimator, X, image_shape, reset
        As in `check_images`.
    y : array-like of shape (n,)
        Labels of any one kind.

    Returns
    -------
    images : Images
        The images.
    y : ndarray of shape (n,)
        The labels.

    Raises
    ------
    ValueError
        Besides, if y has another length, has several labels for an image, is continuous, or is not finite.
    """
    X, y = _as_numpy(X, "X"), _as_numpy(y, "y")
    _check_is_one_array(X)
    if not reset:
        _check_axis_of_images(X, image_shape)
    _check_one_label_each(y)
    y = labels_of_one_kind(y)
    X, y = validate_data(estimator, X, y, reset=reset, **_options(X))
    check_classification_targets(y)
    return _as_images(estimator, X, image_shape, reset), y


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
    X = _as_numpy(X, "X")
    _check_is_one_array(X)
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


def _as_numpy(array, name):
    """Return what speaks DLPack, as a tensor of PyTorch, as an ndarray, and all else as it is.

    It is an ndarray of the same memory if that is the CPU's; an array of CuPy copies itself from the GPU.
    """
    if isinstance(array, np.ndarray) or not hasattr(array, "__dlpack__"):
        return array
    try:
        return _from_dlpack(array)
    except (BufferError, RuntimeError, TypeError, ValueError) as error:
        raise ValueError(
            f"{name} is a {type(array).__name__} that cannot be read as an ndarray ({error}). Bring it to the CPU, "
            "detached from any gradient, in a dtype that NumPy has."
        ) from error


def _from_dlpack(array):
    """Read by DLPack, asking for the CPU; of older versions, which cannot be asked, what they have."""
    try:
        return np.from_dlpack(array, device="cpu")
    except TypeError:
        return np.from_dlpack(array)


def _check_is_one_array(X):
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


def labels_of_one_kind(y):
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
    >>> labels_of_one_kind(np.array([3, 1], dtype=object))
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


def _as_images(estimator, X, image_shape, reset):
    """Make Images of an array that scikit-learn has checked."""
    shape = _shape_of_images(X, None if image_shape is None else check_image_shape(image_shape))
    if reset:
        estimator.n_features_in_ = prod(shape)
        _warn_of_channels_first(X, shape)
    _check_values(X, shape)
    return Images(X, shape)


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


def check_examples(images, y, classes, sample_weight):
    """Put labels and weights to images.

    Parameters
    ----------
    images : Images
        The n images.
    y : ndarray of shape (n,)
        Their labels, each of them in `classes`.
    classes : ndarray of shape (n_classes,)
        The sorted labels that there are.
    sample_weight : array-like of shape (n,), float or None
        How much each image counts; None is all the same.

    Returns
    -------
    LabelledImages

    Raises
    ------
    ValueError
        If a label is none of the classes, or the weights are negative, not finite, or all zero.
    """
    known = set(classes.tolist())
    unknown = [label for label in np.unique(y).tolist() if label not in known]
    if unknown:
        raise ValueError(f"y contains {unknown[0]!r}, which is none of the classes {classes.tolist()}.")
    targets = LabelEncoder().fit(classes).transform(y).astype(np.int64)
    sample_weight = _as_numpy(sample_weight, "sample_weight")
    try:
        weights = _check_sample_weight(sample_weight, y, dtype=np.float64, ensure_non_negative=True)
    except ValueError as error:
        raise ValueError(f"sample_weight is none for these images: {error}") from error
    return LabelledImages(images, targets, _scaled(weights))


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
    return replace(examples, weights=_scaled(examples.weights * of_class[examples.targets]))


def _scaled(weights):
    """Return weights as float32 with a maximum of 1: a loss is a weighted mean, to which their scale means nothing."""
    wrong = ~(np.isfinite(weights) & (weights >= 0))
    if wrong.any():
        raise ValueError(f"A weight is {weights[wrong][0]}. Weights have to be finite, and not negative.")
    if not weights.any():
        raise ValueError("The weights are all zero. Sample weights must contain at least one non-zero number.")
    return (weights / weights.max()).astype(np.float32)


def check_two_classes(examples, indices, classes):
    """Raise a ValueError unless there are two classes to tell apart among the examples that count.

    Parameters
    ----------
    examples : LabelledImages
        All there are.
    indices : ndarray of int64
        Those to train on.
    classes : ndarray of shape (n_classes,)
        The labels.
    """
    targets, weights = examples.targets[indices], examples.weights[indices]
    present = np.unique(targets[weights > 0])
    if len(present) >= 2:
        return
    aside = "" if len(indices) == len(examples) else " that are left to train on"
    among = "" if weights.all() else f" among the examples{aside} with a weight above zero"
    labels = [classes.tolist()[target] for target in present]
    raise ValueError(
        f"y has {len(present)} class{'es' * (len(present) != 1)}{among} ({', '.join(map(repr, labels)) or 'none'}), "
        "and a classifier needs 2 classes or more."
    )


def hold_out(examples, fraction, seed):
    """Set a part of the examples aside for validation, stratified by class.

    Parameters
    ----------
    examples : LabelledImages
        All n examples.
    fraction : float
        The part to set aside, between 0 and 1.
    seed : int
        Decides which.

    Returns
    -------
    indices : ndarray of int64
        The examples left to train on.
    validation : LabelledImages
        The others, copied.

    Raises
    ------
    ValueError
        If too few are set aside to have two of them, or one of each class, or none of one part counts.
    """
    try:
        training, aside = train_test_split(
            np.arange(len(examples)), test_size=fraction, random_state=seed, stratify=examples.targets
        )
    except ValueError as error:
        raise ValueError(
            f"validation_fraction={fraction} of {len(examples)} images cannot be set aside with each of their "
            f"{len(np.unique(examples.targets))} classes on both sides. Use another validation_fraction, more images, "
            "or pass X_val and y_val."
        ) from error
    if len(aside) < 2:
        raise ValueError(
            f"The validation set is too small: {len(aside)} of {len(examples)} images with "
            f"validation_fraction={fraction}. Increase validation_fraction, or the number of images."
        )
    if not (examples.weights[training].any() and examples.weights[aside].any()):
        raise ValueError(
            "The weights are all zero in the validation set or in what is left to train on. Pass X_val and y_val, or "
            "another random_state."
        )
    images = Images(examples.images.pixels[aside], examples.images.shape)
    return training, LabelledImages(images, examples.targets[aside], examples.weights[aside])
