"""Images with their labels and weights: check them and split them."""

from dataclasses import dataclass

import numpy as np
from sklearn.model_selection import train_test_split
from sklearn.utils.multiclass import check_classification_targets

from skconvnet.data.images import check_images
from skconvnet.data.labels import check_is_no_row, check_labels, encode_labels
from skconvnet.data.numbers import check_numbers
from skconvnet.data.weights import check_sample_weight
from skconvnet.engine import Images


@dataclass(frozen=True)
class LabelledImages:
    """Images with labels and weights, in the form that the engine takes.

    Parameters
    ----------
    images : Images
        The n images.
    targets : ndarray of int64, shape (n,), or of float32, shape (n, n_outputs)
        The class index of each image; or its indicators of several labels, or standardised numbers.
    weights : ndarray of float32, shape (n,)
        The weight of each image, >= 0. The largest is 1.
    """

    images: Images
    targets: np.ndarray
    weights: np.ndarray

    def __len__(self):
        return len(self.targets)


def check_images_and_labels(estimator, X, y, image_shape, *, reset=False):
    """Check images as `check_images` does, and their labels.

    Parameters
    ----------
    estimator, X, image_shape, reset
        As in `check_images`.
    y : array-like of shape (n,)
        Labels.

    Returns
    -------
    images : Images
        The images.
    y : ndarray of shape (n,), or of int64 and shape (n, n_labels)
        The labels.

    Raises
    ------
    ValueError
        As `check_images` and `check_labels`; also if y has another length than X, or is continuous.
    """
    images = check_images(estimator, X, image_shape, reset=reset)
    y = check_labels(y)
    _check_as_many(images, y, "label")
    if y.ndim == 1 and (reset or y.dtype.kind == "f"):  # as long as a step; others only need to be among the classes
        _check_discrete(y)
    return images, y


def check_images_and_numbers(estimator, X, y, image_shape, *, reset=False):
    """Check images as `check_images` does, and the numbers of a regressor.

    Parameters
    ----------
    estimator, X, image_shape, reset
        As in `check_images`.
    y : array-like of shape (n,) or (n, n_outputs)
        Numbers.

    Returns
    -------
    images : Images
        The images.
    y : ndarray of float64, shape (n, n_outputs)
        The numbers.

    Raises
    ------
    ValueError
        As `check_images` and `check_numbers`; also if y has another length than X.
    """
    images = check_images(estimator, X, image_shape, reset=reset)
    y = check_numbers(y)
    _check_as_many(images, y, "number")
    return images, y


def _check_as_many(images, y, what):
    """Raise a ValueError if y is not as long as X."""
    if len(y) != len(images):
        check_is_no_row(y.shape, what)
        raise ValueError(f"X has {len(images)} images and y has {len(y)} {what}s. Pass one {what} for each image.")


def _check_discrete(y):
    """Raise a ValueError if y has numbers that are no labels."""
    try:
        check_classification_targets(y)
    except ValueError as error:
        raise ValueError(f"{error} For numbers as targets, use ConvNetRegressor.") from error


def check_examples(images, y, classes, sample_weight):
    """Combine images with their labels and weights.

    Parameters
    ----------
    images : Images
        The n images.
    y : ndarray of shape (n,)
        Their labels.
    classes : ndarray of shape (n_classes,)
        All labels, sorted.
    sample_weight : array-like of shape (n,), float or None
        Their weights, as in `check_sample_weight`.

    Returns
    -------
    LabelledImages

    Raises
    ------
    ValueError
        If a label is not among the classes, or a weight is negative or not finite, or all weights are zero.
    """
    return LabelledImages(images, encode_labels(y, classes), check_sample_weight(sample_weight, len(images)))


def check_two_classes(examples, indices, classes):
    """Check that the training examples with a weight above zero have at least two classes.

    Parameters
    ----------
    examples : LabelledImages
        All examples.
    indices : ndarray of int64
        Those to train on.
    classes : ndarray of shape (n_classes,)
        The labels.

    Raises
    ------
    ValueError
        If they have fewer.
    """
    targets, weights = examples.targets[indices], examples.weights[indices]
    present = np.unique(targets[weights > 0])
    if len(present) >= 2:
        return
    left = "" if len(indices) == len(examples) else " that are left to train on"
    among = "" if weights.all() else f" among the examples{left} with a weight above zero"
    labels = [classes.tolist()[target] for target in present]
    raise ValueError(
        f"y has {len(present)} class{'es' * (len(present) != 1)}{among} ({', '.join(map(repr, labels)) or 'none'}). "
        "A classifier needs 2 classes or more."
    )


def hold_out(examples, fraction, seed, strata=None):
    """Split a validation set off.

    Parameters
    ----------
    examples : LabelledImages
        All n examples.
    fraction : float
        The part to validate on, between 0 and 1.
    seed : int
        Seed of the split.
    strata : ndarray of shape (n,), optional
        The class of each example: both parts get the same share of each.

    Returns
    -------
    indices : ndarray of int64
        The examples to train on.
    validation : LabelledImages
        The others; of an array, copied.

    Raises
    ------
    ValueError
        If the validation set has fewer than two examples, if one part lacks a class, or if all weights of one part are
        zero.
    """
    try:
        training, held_out = train_test_split(
            np.arange(len(examples)), test_size=fraction, random_state=seed, stratify=strata
        )
    except ValueError as error:
        reason = "" if strata is None else f" so that each of their {len(np.unique(strata))} classes is in both parts"
        raise ValueError(
            f"validation_fraction={fraction} cannot split {len(examples)} images{reason}. Use another "
            "validation_fraction, more images, or pass X_val and y_val."
        ) from error
    if len(held_out) < 2:
        raise ValueError(
            f"The validation set is too small: {len(held_out)} of {len(examples)} images with "
            f"validation_fraction={fraction}. Use a larger validation_fraction, or more images."
        )
    if not (examples.weights[training].any() and examples.weights[held_out].any()):
        raise ValueError(
            "The weights are all zero in the validation set or in the rest. Pass X_val and y_val, or another "
            "random_state."
        )
    return training, LabelledImages(
        examples.images.take(held_out), examples.targets[held_out], examples.weights[held_out]
    )
