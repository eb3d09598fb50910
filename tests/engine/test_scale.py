"""The scale of pixels: which images are doubted, and which outliers among training images."""

import re

import numpy as np
import pytest

from skconvnet.engine import Images, PixelScale, doubt_about_constant, doubt_about_outlier

BYTES, SIXTEEN, UNIT = (100, 60), (5, 6), (0.4, 0.25)  # mean and deviation of pixels up to 255, 16 and 1
RAMP = np.tile(np.linspace(0, 1, 64), (5, 1))


def doubt(X, mean, deviation, shape=(8, 8, 1)):
    """The doubt about images for a network that was trained on such pixels."""
    channels = shape[2]
    scale = PixelScale(np.full(channels, mean, np.float32), np.full(channels, 1 / deviation, np.float32))
    return scale.doubt(Images(X, shape, float(np.abs(X).max()) if X.dtype.kind == "f" else 2.0 ** (8 * X.itemsize)))


@pytest.mark.parametrize("n", [1, 5, 5000])
@pytest.mark.parametrize(
    ("X", "trained_on", "message"),
    [
        (
            RAMP,
            BYTES,
            "X has floats up to 1, and the network was trained on pixels from 0 to 255. Multiply them by",
        ),
        (2 * RAMP - 1, BYTES, "X has floats up to 1"),
        (255 * RAMP, UNIT, "Divide them by 255 if those of fit were from 0 to 1."),
        (np.uint8(255 * RAMP), UNIT, "with mean 0.4 and deviation 0.25. Divide them by 255"),
        (255 * RAMP, (0, 1), "Divide them by 255"),
        (1e4 * RAMP, (0, 1), "and the network was trained on pixels with mean 0 and deviation 1. Scale the images as"),
        (1e-2 * RAMP, (0, 1), "X has pixels of a smaller scale, and the network was trained on pixels with mean 0 and"),
        (500 + 10 * RAMP, BYTES, None),
        (1000 + 10 * RAMP, BYTES, "Scale the images as those of fit, unless they are only brighter."),
        (16 * RAMP, BYTES, "X has pixels of a smaller scale"),
        (np.uint8(16 * RAMP), BYTES, "X has pixels of a smaller scale"),
        (255 * RAMP, SIXTEEN, "X has pixels of a larger scale"),
        (np.uint8(255 * RAMP), SIXTEEN, "X has pixels of a larger scale"),
        (16 * RAMP, SIXTEEN, None),
        (RAMP, SIXTEEN, "X has pixels of a smaller scale"),
        ((RAMP > 0.5) * 1.0, SIXTEEN, "X has pixels of a smaller scale"),
        (16 * RAMP, UNIT, "Scale the images as those of fit, unless they are only brighter."),
        (RAMP / 16, UNIT, "X has pixels of a smaller scale"),
        (
            5000 + 10 * RAMP,
            BYTES,
            "X has pixels of a larger scale, and the network was trained on pixels with mean 100",
        ),
        (255 * RAMP, BYTES, None),
        (40 * RAMP, BYTES, None),
        (np.uint8(255 * RAMP), BYTES, None),
        (0 * RAMP, BYTES, None),
        (np.uint8(RAMP > 0.5), BYTES, "Multiply them by 255 if they are from 0 to 1."),
        (np.int64(RAMP > 0.5), BYTES, "Multiply them by 255 if they are from 0 to 1."),
        (RAMP, UNIT, None),
    ],
)
def test_images_of_another_scale(X, trained_on, message, n):
    found = doubt(np.resize(X, (n, 64)), *trained_on)
    assert found is None if message is None else message in found


def test_a_constant_image_or_a_dark_one_among_others_is_not_doubted():
    for value in (0, 1e-3, 50):
        assert doubt(np.full((1, 64), value), *UNIT) is None
    for value in (0.5, 1, -1):
        assert doubt(np.full((1, 64), value), *BYTES) is None
    dark = np.tile(RAMP, (20, 1))
    dark[::2] *= 1e-3
    assert doubt(dark, *UNIT) is None


@pytest.mark.parametrize("dtype", [np.uint8, np.float32, np.float64])
@pytest.mark.parametrize("trained_on", [BYTES, SIXTEEN, UNIT, (240, 20), (0, 1)])
def test_a_single_image_that_is_scored_at_once_is_not_doubted(dtype, trained_on):
    scale = PixelScale(np.float32([trained_on[0]]), np.float32([1 / trained_on[1]]))
    lowest, highest = scale.norms_of_one(64)
    for low, high in [(0, 1), (0, 2), (0, 16), (0, 50), (0, 255), (20, 40), (100, 255), (235, 255)]:
        image = (low + (high - low) * RAMP[0]).astype(dtype)
        at_once = bool(lowest < np.linalg.norm(image.astype(float)) <= highest) or scale.suits(image)
        assert not (at_once and doubt(image[None], *trained_on)), (low, high)
        assert at_once or trained_on != BYTES or high < 117, (low, high)
    assert scale.suits(np.float64(235 + 20 * RAMP[0])) == (trained_on in [BYTES, (240, 20)])
    for value in (np.nan, np.inf, 1e300):
        assert not scale.suits(np.full(64, value))


def test_pixels_much_brighter_than_others_are_no_larger_scale():
    X = np.zeros((1, 64))
    X[0, :4] = 255  # 16 deviations from the mean, and their root mean square is 4
    assert doubt(X, 10, 16) is None
    assert doubt(X / 255, 10, 16) is not None


def test_one_channel_that_is_far_is_enough_and_all_must_be_faint():
    X = np.random.default_rng(0).random((1500, 8, 8, 3))  # so many that a sample is read
    assert doubt(X, *UNIT, (8, 8, 3)) is None
    far, faint = X.copy(), X.copy()
    far[..., 1] *= 1000
    faint[..., :2] /= 1000
    assert doubt(far, *UNIT, (8, 8, 3)) is not None
    assert doubt(faint, *UNIT, (8, 8, 3)) is None
    assert doubt(X / 1000, *UNIT, (8, 8, 3)) is not None


def test_small_integers_are_read_once_if_they_are_usual(monkeypatch):
    monkeypatch.setattr(Images, "rows", lambda *_: pytest.fail("a sample is read"))
    for kind in (np.uint8, np.uint16, np.int64):
        assert doubt(kind(255 * RAMP), *BYTES) is None


def test_batches_of_another_scale_have_one_text():
    assert doubt(5000 + 10 * RAMP, *BYTES) == doubt(7000 + 99 * RAMP, *BYTES)


def test_few_images_of_many_are_read():
    images, n_read, rows = Images(np.zeros((10_000, 64)), (8, 8, 1), 1000.0), [], Images.rows
    object.__setattr__(images, "rows", lambda which, dtype: n_read.append(len(which)) or rows(images, which, dtype))
    PixelScale(np.float32([0.4]), np.float32([4])).doubt(images)
    assert n_read == [16]


@pytest.mark.parametrize("dtype", [np.uint8, np.float64])
@pytest.mark.parametrize("shape", [(8, 8, 1), (8, 8, 2)])
def test_training_images_that_are_all_alike_are_doubted(dtype, shape):
    def doubt_about(X):
        images = Images(X.astype(dtype), shape)
        return doubt_about_constant(images, images.statistics()[1])

    X = np.tile(np.arange(shape[2]), (300, 8, 8, 1))
    for constant in (X, 0 * X, X + 7, X + 7 + 1e-15 * np.arange(8)[:, None]):
        assert doubt_about(constant).startswith("The pixels of X are constant")
    X[250, 3, 4, 0] = 9
    assert doubt_about(X) is None
    deviates_by_1 = 2 * (np.indices(X.shape).sum(axis=0) % 2)
    assert doubt_about(deviates_by_1) is None


def outlier(X, shape=(8, 8, 1), weights=None):
    """The doubt about a pixel of training images."""
    largest = float(np.abs(X).max()) if X.dtype.kind == "f" else 2.0 ** (8 * X.itemsize)
    images, weights = Images(X, shape, largest), np.ones(len(X)) if weights is None else weights
    return doubt_about_outlier(images, weights, *images.statistics(weights))


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int64])
@pytest.mark.parametrize("value", [1e6, -1e6])
def test_an_outlier_is_named_with_its_place(dtype, value):
    X = np.random.default_rng(0).integers(0, 256, (300, 8, 8, 2)).astype(dtype)
    assert outlier(X, (8, 8, 2)) is None
    X[257, 3, 4, 1] = value
    found = outlier(X, (8, 8, 2))
    assert found.startswith(f"X[257, 3, 4, 1] is {value:.6g}, 1")
    assert "100% of their variance" in found
    limits = re.search(r"np\.clip\(X, (.*), (.*)\) does", found).groups()
    assert limits == (("None", "255") if value > 0 else ("0", "None"))
    assert outlier(X, (8, 8, 2), np.arange(300) != 257) is None


def test_two_equal_pixels_among_zeros_are_no_outliers():
    X = np.zeros((300, 64))
    X[7, 3] = 1
    assert "np.clip(X, None, 0)" in outlier(X)
    X[120, 9] = 1
    assert outlier(X) is None


def test_bright_pixels_that_are_many_are_no_outliers():
    X = np.random.default_rng(0).standard_cauchy((500, 64))
    X[X > 1e3] = 1e3
    X[X < -1e3] = -1e3
    assert outlier(X) is None  # heavy tails, of which no pixel makes up a tenth
    assert outlier(np.eye(64, dtype=np.uint8)) is None
