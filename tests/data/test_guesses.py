"""Doubts about the shape of training images: what is warned of in fit, and what is not."""

import re
import warnings

import numpy as np
import pytest
from sklearn.frozen import FrozenEstimator

from skconvnet import ConvNetClassifier, ConvNetFeatures
from skconvnet.data import check_images, doubt_about_images
from skconvnet.data.guesses import guess_image_shape
from tests.estimators.quick import refused

SMALL = {"architecture": "INPUT -> FC", "max_iter": 1, "random_state": 0, "n_jobs": 1}


def doubt(X_shape, image_shape=None, names=()):
    """The doubt about images of zeros in fit."""
    images = check_images(ConvNetClassifier(), np.zeros(X_shape), image_shape, reset=True)
    return doubt_about_images(X_shape, images.shape, image_shape is not None, names)


@pytest.mark.parametrize(
    ("n_features", "shape"),
    [
        (1, (1, 1, 1)),
        (2, (1, 2, 1)),
        (3, (1, 1, 3)),
        (64, (8, 8, 1)),
        (784, (28, 28, 1)),
        (3072, (32, 32, 3)),
        (3600, (60, 60, 1)),
        (48, (4, 4, 3)),
        (1000, (1, 1000, 1)),
    ],
)
def test_the_shape_of_rows_is_guessed(n_features, shape):
    assert guess_image_shape(n_features) == shape
    assert check_images(ConvNetClassifier(), np.zeros((2, n_features)), None, reset=True).shape == shape


@pytest.mark.parametrize(
    ("X_shape", "image_shape", "images"),
    [
        ((2, 3, 32, 32), None, "X"),
        ((2, 1, 28, 28), None, "X"),
        ((2, 1, 8, 8), None, "X"),
        ((2, 3, 32, 16), None, "X"),
        ((2, 4, 9, 9), None, "X"),
        ((2, 3072), (3, 32, 32), "X.reshape(-1, 3, 32, 32)"),
    ],
)
def test_channels_first(X_shape, image_shape, images):
    found = doubt(X_shape, image_shape)
    X = eval(images, {"X": np.zeros(X_shape)}).transpose(0, 2, 3, 1)
    message = f"This looks like channels first: pass {images}.transpose(0, 2, 3, 1), images of shape {X.shape[1:]}."
    assert found.endswith(message)


@pytest.mark.parametrize(
    ("n_features", "shape", "end"),
    [
        (3072, (32, 32, 3), "pass X.reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)."),
        (48, (4, 4, 3), "pass X.reshape(-1, 3, 4, 4).transpose(0, 2, 3, 1)."),
        (1000, (1, 1000), "or the (height, width, channels) of the images."),
        (785, (1, 785), "This is one feature more than an image of 28 x 28 = 784. If one is the label, pass it as y."),
        (783, (1, 783), "This is one feature less than an image of 28 x 28 = 784. Is a column missing?"),
        (3073, (1, 3073), "one feature more than an image of 32 x 32 x 3 = 3072. If one is the label, pass it as y."),
    ],
)
def test_rows_that_are_no_square_grey_images(n_features, shape, end):
    found = doubt((2, n_features))
    assert f"Pass image_shape={shape} if that is right, or the" in found
    assert found.endswith(end)
    assert doubt((2, n_features), (*shape, 1)[:3]) is None


@pytest.mark.parametrize("name", ["label", "Target", "y", "class"])
def test_a_column_named_like_a_label(name):
    assert f"X has a column named {name!r}. If it is the label, " in doubt((2, 3), None, ["a", name, "b"])


@pytest.mark.parametrize(
    ("X_shape", "image_shape"),
    [
        ((2, 32, 32, 3), None),
        ((2, 3, 4, 4), None),
        ((2, 2, 32, 32), None),
        ((2, 3, 32, 16), (3, 32, 16)),
        ((2, 28, 28), None),
        ((2, 3, 32), None),
        ((2, 784), None),
        ((2, 997), (1, 997)),
        ((2, 24), None),
        ((2, 3, 9, 9), (3, 9, 9)),
        ((2, 12), None),
    ],
)
def test_other_images_are_not_doubted(X_shape, image_shape):
    assert doubt(X_shape, image_shape, [f"pixel{i}" for i in range(5)]) is None


def test_fit_warns_once_and_names_the_line_that_calls_it():
    X, y = np.random.default_rng(0).random((8, 30)), np.arange(8) % 2
    for method in (
        lambda: ConvNetClassifier(**SMALL).fit(X, y),
        lambda: ConvNetClassifier(**SMALL).partial_fit(X, y, [0, 1]),
    ):
        with pytest.warns(UserWarning, match="one pixel high") as warned:
            method()
        assert [warning.filename for warning in warned] == [__file__]
    with pytest.warns(UserWarning, match="one pixel high") as warned:
        features = ConvNetFeatures(ConvNetClassifier(**SMALL), layer="FC 1").fit(X, y)
    assert len(warned) == 1
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        features.transform(X)
        ConvNetFeatures(FrozenEstimator(features.estimator_), layer="FC 1").fit(X)
        ConvNetClassifier(**SMALL, image_shape=(1, 30)).fit(X, y, X_val=X, y_val=y)


def test_fit_warns_of_channels_first_before_an_error():
    with pytest.warns(UserWarning, match="channels first") as warned, refused("y has 1 class"):
        ConvNetClassifier().fit(np.zeros((4, 3, 32, 32)), np.zeros(4))
    assert warned[0].filename == __file__


def test_one_column_more_than_image_shape_is_asked_about():
    with refused("images of shape (8, 8, 1) have 8 * 8 * 1 = 64. Pass other rows") as error:
        ConvNetClassifier(image_shape=(8, 8)).fit(np.zeros((4, 65)), np.arange(4))
    assert str(error.value).endswith("If one column is the label, leave it out of X and pass it as y.")


def test_fit_warns_of_a_frame_with_its_labels():
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame(np.random.default_rng(0).random((8, 5)), columns=["a", "b", "c", "d", "label"])
    with pytest.warns(UserWarning, match=re.escape("X has a column named 'label'")):
        ConvNetClassifier(**SMALL).fit(frame, np.arange(8) % 2)
