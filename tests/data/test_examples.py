"""Images with labels and weights: class indices, the classes that count, validation sets."""

import re

import numpy as np
import pytest

from skconvnet import ConvNetClassifier
from skconvnet.data import LabelledImages, check_examples, check_images_and_labels, check_two_classes, hold_out
from skconvnet.engine import Images


def refused(message):
    return pytest.raises(ValueError, match=re.escape(message))


def labelled(targets, weights=None):
    targets = np.asarray(targets)
    weights = np.ones(len(targets), np.float32) if weights is None else np.asarray(weights, np.float32)
    return LabelledImages(Images(np.zeros((len(targets), 4)), (2, 2, 1)), targets, weights)


def test_labels_of_any_kind_become_indices():
    for y in (["b", "a", "b"], [7, -7, 7], [True, False, True], np.array(["b", "a", "b"], object), [2.0, 1.0, 2.0]):
        images, y = check_images_and_labels(ConvNetClassifier(), np.zeros((3, 4)), y, None, reset=True)
        examples = check_examples(images, y, np.unique(y), None)
        assert examples.targets.tolist() == [1, 0, 1]
        assert examples.targets.dtype == np.int64
        assert examples.weights.tolist() == [1, 1, 1]
        assert len(examples) == 3


@pytest.mark.parametrize(
    ("y", "message"),
    [
        ([0, 1], "X has 3 images and y has 2 labels"),
        ([0.5, 1.5, 2.5], "continuous"),
        ([0, 1, np.nan], r"nan at y\[2\]"),
        (np.array([0, 1, np.nan]), "NaN"),
        ([[0, 1], [1, 2], [0, 0]], "1d array"),
        (None, "requires y to be passed"),
    ],
)
def test_invalid_labels_are_refused(y, message):
    with pytest.raises(ValueError, match=message):
        check_images_and_labels(ConvNetClassifier(), np.zeros((3, 4)), y, None, reset=True)


def test_an_unknown_label_is_refused():
    with refused("y contains 9, which is not among the classes [0, 1]"):
        check_examples(Images(np.zeros((2, 4)), (2, 2, 1)), np.array([0, 9]), np.array([0, 1]), None)


def test_one_class_is_refused():
    classes = np.array(["a", "b"], object)
    check_two_classes(labelled([0, 1]), np.arange(2), classes)
    with refused("y has 1 class ('a'). A classifier needs 2 classes or more"):
        check_two_classes(labelled([0, 0]), np.arange(2), classes[:1])
    with refused("y has 1 class among the examples with a weight above zero ('b')"):
        check_two_classes(labelled([0, 1], [0, 1]), np.arange(2), classes)
    three = labelled([0, 1, 1], [1, 1, 0])
    check_two_classes(three, np.arange(2), classes)
    with refused("y has 0 classes among the examples that are left to train on with a weight above zero (none)"):
        check_two_classes(three, np.array([2]), classes)


def test_the_split_is_stratified():
    examples = labelled(np.repeat([0, 1], [60, 40]))
    examples.images.pixels[:] = np.arange(100)[:, None]
    indices, validation = hold_out(examples, 0.1, seed=0, strata=examples.targets)
    assert np.bincount(validation.targets).tolist() == [6, 4]
    assert np.bincount(examples.targets[indices]).tolist() == [54, 36]
    aside = validation.images.pixels[:, 0]
    assert sorted([*indices, *aside]) == list(range(100))
    assert (examples.targets[aside.astype(int)] == validation.targets).all()
    again, _ = hold_out(examples, 0.1, seed=0, strata=examples.targets)
    other, _ = hold_out(examples, 0.1, seed=1, strata=examples.targets)
    assert (indices == again).all()
    assert (indices != other).any()


def test_a_validation_set_that_is_too_small_is_refused():
    for fraction in (0, 0.1, 0.99):
        with refused(
            f"validation_fraction={fraction} cannot split 10 images so that each of their 2 classes is in both parts"
        ):
            hold_out(labelled([0, 1] * 5), fraction, seed=0, strata=np.arange(10) % 2)
    with refused("Use a larger validation_fraction"):
        hold_out(labelled([0] * 10), 0.1, seed=0)
    with refused("all zero in the validation set or in the rest"):
        hold_out(labelled([0, 1] * 10, [1] + [0] * 19), 0.2, seed=0)
