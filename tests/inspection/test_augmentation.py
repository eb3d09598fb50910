"""Augmented images as arrays and as a picture."""

import sys

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone
from sklearn.datasets import load_digits

from skconvnet import ConvNetClassifier
from skconvnet.inspection import AugmentationDisplay, augmented_images


@pytest.fixture(scope="module")
def digits():
    return load_digits().images[:6]


def test_without_augmentation_images_are_themselves(digits):
    found = augmented_images(digits, None, n_variants=2)
    assert_allclose(found, np.stack([digits[..., None]] * 2, axis=1), atol=1e-5)


def test_rows_bytes_and_images_give_the_same(digits):
    options = {"augment": ["rotate", "noise"], "n_variants": 2, "random_state": 3}
    expected = augmented_images(digits, **options)
    for X in (digits.reshape(6, 64), digits.astype(np.uint8), digits[..., None]):
        assert_array_equal(augmented_images(X, **options), expected)
    assert not np.array_equal(augmented_images(digits, **options | {"random_state": 4}), expected)
    assert not np.array_equal(expected[:, 0], expected[:, 1])


def jitter(images, rng):
    return images + rng.normal(size=images.shape)


def test_a_function_runs_first(digits):
    found = augmented_images(digits, [jitter, "noise"], n_variants=2, random_state=0)
    noise = augmented_images(np.zeros_like(digits), jitter, n_variants=2, random_state=0)
    by_names = augmented_images(digits, "noise", n_variants=2, random_state=0)
    assert_allclose(found - noise, by_names, atol=1e-4)
    assert noise.std(axis=(0, 2, 3, 4)) == pytest.approx(1, abs=0.1)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("augment", [["flip", "rotate", "brightness"], [jitter, "flip"]])
def test_variants_are_what_the_steps_of_a_fit_see(digits, augment):
    """Without a hidden layer, a step moves each output's weights by a sum of multiples of the images that it sees."""
    y = np.arange(6) % 2
    common = {"solver": "sgd", "momentum": 0, "alpha": 0, "batch_size": 6, "shuffle": False, "random_state": 5}
    network = ConvNetClassifier("INPUT -> FC", learning_rate="constant", max_iter=1, **common)
    moved = clone(network).set_params(augment=augment).fit(digits, y).coefs_[0] - network.fit(digits, y).coefs_[0]
    seen = augmented_images(digits, augment, n_variants=1, random_state=5)[:, 0]
    images = [(one.reshape(6, -1) - digits.mean()).T for one in (digits, seen)]
    for basis, is_all in ((images, True), (images[:1], False)):
        basis = np.concatenate(basis, axis=1)
        rest = moved - basis @ np.linalg.lstsq(basis, moved)[0]
        assert (np.abs(rest).max() < 1e-3 * np.abs(moved).max()) == is_all


def test_what_is_drawn(digits, plt):
    figure, ax = plt.subplots()
    display = AugmentationDisplay.from_images(digits, "rotate", n_variants=3, random_state=0, ax=ax)
    (picture,) = ax.get_images()
    shown = np.asarray(picture.get_array())
    assert shown.shape == (6 * 9, 4 * 9)
    assert_allclose(shown[:8, :8], digits[0] / digits.max(), atol=1e-6)
    assert_allclose(shown[9:17, 18:26], np.clip(display.variants[1, 1, ..., 0] / digits.max(), 0, 1), atol=1e-6)
    assert display.figure_ is figure


@pytest.mark.usefixtures("plt")
def test_colours_are_drawn_as_colours():
    X = np.random.default_rng(0).integers(0, 256, (2, 5, 4, 3)).astype(np.uint8)
    display = AugmentationDisplay.from_images(X, "flip", n_variants=1, random_state=0)
    assert np.asarray(display.ax_.get_images()[0].get_array()).shape == (12, 10, 3)


@pytest.mark.usefixtures("plt")
def test_channels_that_are_no_colours_are_drawn_as_their_mean():
    X = np.random.default_rng(0).random((2, 5, 4, 2))
    display = AugmentationDisplay.from_images(X, "flip", n_variants=1, random_state=0)
    grey, shown = X.mean(axis=3), np.asarray(display.ax_.get_images()[0].get_array())
    assert_allclose(shown[6:11, :4], (grey[1] - grey.min()) / np.ptp(grey), atol=1e-6)


@pytest.mark.usefixtures("plt")
def test_the_first_images_are_drawn(digits):
    display = AugmentationDisplay.from_images(np.concatenate([digits] * 2), "flip", n_variants=1, random_state=0)
    assert np.asarray(display.ax_.get_images()[0].get_array()).shape == (10 * 9, 2 * 9)
    assert display.ax_.get_title() == f"10 of {2 * len(digits)} images"
    assert display.plot(max_images=4).ax_.get_title() == f"4 of {2 * len(digits)} images"
    assert not AugmentationDisplay(display.images, display.variants).plot(max_images=100).ax_.get_title()
    with pytest.raises(ValueError, match="max_images"):
        display.plot(max_images=0)


@pytest.mark.usefixtures("plt")
def test_only_what_is_drawn_is_augmented(digits):
    seen = []

    def counted(images, rng):
        seen.append(len(images))
        return images

    display = AugmentationDisplay.from_images(digits, [counted, "crop"], n_variants=2, max_images=3, random_state=0)
    assert seen == [3, 3]
    assert_array_equal(display.images, digits[:3, ..., None])
    all_variants = augmented_images(digits, [counted, "crop"], n_variants=2, random_state=0)
    assert_array_equal(display.variants, all_variants[:3])  # with the mean of all images where no image is


@pytest.mark.parametrize("name", ["max_images", "n_variants"])
@pytest.mark.usefixtures("plt")
def test_wrong_numbers_are_refused_before_images_are_augmented(name, digits):
    def never(images, rng):
        raise AssertionError

    with pytest.raises(ValueError, match=f"{name} must be a whole number from 1"):
        AugmentationDisplay.from_images(digits, never, **{name: 0})


@pytest.mark.parametrize(
    ("shape", "n_variants", "inches"),
    [((32, 32), 8, (8, 2.67)), ((32, 32), 1, (4.1, 6.2)), ((200, 30), 8, (2.8, 6)), ((30, 200), 8, (10.3, 1))],
)
@pytest.mark.usefixtures("plt")
def test_no_image_of_a_new_figure_is_long_or_thin(shape, n_variants, inches):
    display = AugmentationDisplay(np.zeros((3, *shape, 1)), np.zeros((3, n_variants, *shape, 1))).plot()
    assert display.figure_.get_size_inches() == pytest.approx(inches, rel=0.02)


def test_without_matplotlib_the_error_says_what_to_install(digits, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.pyplot", None)
    with pytest.raises(ImportError, match="pip install matplotlib"):
        AugmentationDisplay.from_images(digits, "rotate")


@pytest.mark.parametrize("n_variants", [0, -1, 1.5])
def test_each_image_has_a_variant(n_variants, digits):
    with pytest.raises(ValueError, match="n_variants"):
        augmented_images(digits, "flip", n_variants=n_variants)


def test_no_images_and_no_variants_are_refused(digits):
    with pytest.raises(ValueError, match=r"^X has no images. Pass at least one.$"):
        augmented_images(digits[:0], "flip")
    with pytest.raises(ValueError, match="n_variants must be a whole number from 1") as caught:
        augmented_images(digits[:2], "flip", n_variants=0)
    assert caught.type is ValueError  # and not an ArchitectureError


@pytest.mark.parametrize("shape", [(32, 32, 3), (8, 8), (28, 28), (32, 24, 1)])
@pytest.mark.parametrize("augment", [augmented_images, AugmentationDisplay.from_images])
def test_a_single_image_is_refused(augment, shape):
    with pytest.raises(ValueError, match=r"single image.*pass X\[None\]"):
        augment(np.zeros(shape), "flip")


def test_images_of_few_columns_are_taken_if_their_shape_is_given():
    assert augmented_images(np.zeros((9, 32, 3)), None, image_shape=(32, 3)).shape == (9, 8, 32, 3, 1)
    assert augmented_images(np.zeros((9, 8)), None, image_shape=(1, 8)).shape == (9, 8, 1, 8, 1)
    assert augmented_images(np.zeros((64, 64)), None, n_variants=1).shape == (64, 1, 8, 8, 1)
    with pytest.raises(ValueError, match="Resize or crop them to one size"):
        augmented_images([np.zeros((8, 8)), np.zeros((8, 9))], None)
