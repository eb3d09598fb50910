"""Images with their labels and weights: check them and split them."""

from dataclasses import dataclass, replace

import numpy as np
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import LabelEncoder
from sklearn.utils.validation import _check_sample_weight, check_consistent_length

from skconvnet.data.arrays import as_numpy
from skconvnet.data.images import check_images
from skconvnet.data.labels import check_labels
from skconvnet.data.weights import scale_weights
from skconvnet.engine import Images


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
    images = check_images(estimator, X, image_shape, reset=reset)
    y = check_labels(y)
    check_consistent_length(images.pixels, y)
    return images, y


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
    sample_weight = as_numpy(sample_weight, "sample_weight")
    try:
        weights = _check_sample_weight(sample_weight, y, dtype=np.float64, ensure_non_negative=True)
    except ValueError as error:
        raise ValueError(f"sample_weight is none for these images: {error}") from error
    return LabelledImages(images, targets, scale_weights(weights))


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
    images = replace(examples.images, pixels=examples.images.pixels[aside])
    return training, LabelledImages(images, examples.targets[aside], examples.weights[aside])
