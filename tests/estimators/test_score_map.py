"""score_map: the scores at every position of larger images, computed in one pass."""

from dataclasses import replace

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from skconvnet import ArchitectureError, ConvNetClassifier
from skconvnet.engine.device import CpuDevice
from skconvnet.engine.program.target import CPU
from skconvnet.estimators import fitted as fitted_module

RNG = np.random.default_rng(0)
X, Y = RNG.integers(0, 256, (60, 8, 10, 2)).astype(np.uint8), np.arange(60) % 3
LARGE = RNG.integers(0, 256, (4, 14, 18, 2)).astype(np.uint8)

WITHOUT_PADDING = {
    "two FC": ("INPUT -> CONV(K=5) -> RELU -> POOL -> CONV(K=9, F=2) -> RELU -> FC(12) -> RELU -> FC", 2),
    "FC alone": ("INPUT -> FC", 1),
    "strides": ("INPUT -> CONV(K=4, F=2, S=2) -> TANH -> POOL(F=2, S=1) -> FC", 2),
    "batch norm": ("INPUT -> CONV(K=5, bias=no) -> NORM -> RELU -> CONV(K=9) -> RELU -> NORM -> FC", 1),
    "a global pool": ("INPUT -> CONV(K=5) -> RELU -> CONV(K=9) -> RELU -> POOL(average, F=all) -> FC", 1),
    "response norm": ("INPUT -> CONV(K=9) -> NORM(lrn, alpha=0.1) -> POOL -> FC", 2),
    "branches": ("INPUT -> CONV(K=5) -> (CONV(K=4, F=1) -> RELU | SKIP) -> (NORM + SKIP) -> DROPOUT -> FC", 1),
    "no FC": ("INPUT -> CONV(K=5) -> RELU -> CONV(K=3, F=1) -> POOL(F=all)", 1),
}


def fitted(architecture, y=Y, **parameters):
    settings = {"P": "valid", "max_iter": 2, "random_state": 0, "n_jobs": 1} | parameters
    return ConvNetClassifier(architecture, **settings).fit(X, y)


def crops(images, stride):
    """{(row, column): every image's crop of 8 x 10 pixels there}, at the stride."""
    _, height, width, _ = images.shape
    return {
        (i, j): images[:, i * stride : i * stride + 8, j * stride : j * stride + 10]
        for i in range((height - 8) // stride + 1)
        for j in range((width - 10) // stride + 1)
    }


@pytest.mark.parametrize("name", WITHOUT_PADDING)
def test_without_padding_it_is_the_decision_function_of_the_crops(name):
    text, stride = WITHOUT_PADDING[name]
    classifier = fitted(text)
    scores, places = classifier.score_map(LARGE), crops(LARGE, stride)
    rows, columns = np.max(list(places), axis=0) + 1
    assert scores.shape == (4, rows, columns, 3)
    for (i, j), crop in places.items():
        assert_allclose(scores[:, i, j], classifier.decision_function(crop), rtol=1e-4, atol=1e-5)


def test_on_images_of_the_fitted_size_it_is_the_decision_function():
    classifier = fitted("INPUT -> CONV(K=5, P=1) -> RELU -> POOL -> FC")
    assert_array_equal(classifier.score_map(X)[:, 0, 0], classifier.decision_function(X))


def test_with_padding_only_scores_at_the_border_differ():
    classifier = fitted("INPUT -> CONV(K=5, P=1) -> RELU -> FC")
    scores = classifier.score_map(LARGE)
    at_the_corner = classifier.decision_function(LARGE[:, :8, :10])
    # The crop is padded with zeros on all four sides, the image only at the top and left of it.
    assert np.abs(scores[:, 0, 0] - at_the_corner).max() > 1e-3


def test_two_classes_have_one_score_each():
    scores = fitted("INPUT -> FC", y=Y % 2).score_map(LARGE)
    assert scores.shape == (4, 7, 9, 2)
    assert_allclose(
        scores[:, 0, 0, 1] - scores[:, 0, 0, 0], fitted("INPUT -> FC", y=Y % 2).decision_function(LARGE[:, :8, :10])
    )


@pytest.mark.parametrize("form", [np.float32, np.float64, np.int16, list])
def test_the_type_of_the_pixels_changes_no_bit(form):
    classifier = fitted(WITHOUT_PADDING["two FC"][0])
    images = LARGE.tolist() if form is list else LARGE.astype(form)
    assert_array_equal(classifier.score_map(images), classifier.score_map(LARGE))


def test_threads_change_no_bit(monkeypatch):
    monkeypatch.setattr(fitted_module, "device_for_scoring", lambda *_: CpuDevice(replace(CPU, worker_flops=1)))
    classifier = fitted(WITHOUT_PADDING["branches"][0])
    one = classifier.score_map(LARGE)
    assert_array_equal(classifier.set_params(n_jobs=2).score_map(LARGE), one)


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (LARGE.reshape(4, -1), "the height and width of rows are not known"),
        (LARGE[:, :7], r"at least 8 high and 10 wide, with 2 channels"),
        (LARGE[..., :1], r"images of shape \(14, 18, 1\), and the network was fitted on images of shape \(8, 10, 2\)"),
        (np.full((1, 8, 10, 2), np.nan), "NaN"),
    ],
)
def test_images_that_do_not_fit_are_refused(images, message):
    with pytest.raises(ValueError, match=message):
        fitted("INPUT -> FC").score_map(images)


def test_images_that_do_not_fit_the_strides_are_refused():
    with pytest.raises(ArchitectureError, match="not a whole number"):
        fitted("INPUT -> CONV(K=4) -> POOL -> FC", rounding="exact").score_map(LARGE[:, :13])
    assert fitted("INPUT -> CONV(K=4) -> POOL -> FC").score_map(LARGE[:, :13]).shape[1:3] == (3, 5)


def test_layer_norm_is_refused_on_larger_images():
    with pytest.raises(ArchitectureError, match="NORM 1"):
        fitted("INPUT -> CONV(K=4) -> NORM(layer) -> FC").score_map(LARGE)
