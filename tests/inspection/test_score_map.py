"""Scores over a larger image, as a picture."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.datasets import load_digits

from skconvnet import ConvNetClassifier, ConvNetRegressor
from skconvnet.architecture import Architecture
from skconvnet.inspection import ScoreMapDisplay
from skconvnet.inspection.score_map import _stride
from tests.inspection.overlaps import overlaps

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
OPTIONS = {"max_iter": 3, "n_jobs": 1, "random_state": 0}


@pytest.fixture(scope="module")
def digits():
    digits = load_digits()
    return digits.images[:100], digits.target[:100]


@pytest.fixture(scope="module")
def classifier(digits):
    return ConvNetClassifier("INPUT -> CONV(K=8) -> RELU -> POOL -> FC", **OPTIONS).fit(*digits)


def test_the_map_lies_where_its_windows_are(classifier, digits, plt):
    figure, ax = plt.subplots()
    image = np.hstack(digits[0][:4])
    display = ScoreMapDisplay.from_estimator(classifier, image, target=3, ax=ax)
    below, over = ax.get_images()
    assert_allclose(below.get_array(), image / image.max())
    assert below.to_rgba(np.array([[0.0, 1.0]]))[0, :, 0] == pytest.approx([0.5, 1], abs=0.01)  # light grey
    assert over.get_alpha() == 0.6
    assert display.colorbar_.ax.get_facecolor()[:3] == (0.75, 0.75, 0.75)
    assert_array_equal(over.get_array(), classifier.score_map(image[None])[0, :, :, 3])
    rows, columns = over.get_array().shape
    assert (rows, columns) == (1, 13)
    left, right, bottom, top = over.get_extent()
    assert (right - left, bottom - top) == (2 * columns, 2)  # a stride of 2
    assert left + 1 == 3.5 == top + 1  # the middle of the first window of 8 pixels
    assert display.colorbar_.ax.get_xlabel() == "score of 3"
    (frame,) = ax.patches
    best = int(np.argmax(display.scores))
    assert frame.get_bbox().bounds == (2 * best - 0.5, -0.5, 8, 8)
    assert "window of 8 x 8" in ax.get_title()
    assert display.figure_ is figure
    assert ax.get_xlim() == (-0.5, 31.5)


@pytest.mark.usefixtures("plt")
def test_the_class_is_the_best_one_and_values_are_those_of_a_regressor(classifier, digits):
    X, y = digits
    image = np.hstack(X[:2])
    best = classifier.score_map(image[None])[0].max(axis=(0, 1)).argmax()
    assert ScoreMapDisplay.from_estimator(classifier, image).name == f"score of {best}"
    regressor = ConvNetRegressor("INPUT -> CONV(K=4) -> RELU -> FC", **OPTIONS).fit(np.stack([X] * 3, axis=-1), y)
    colours = np.stack([image] * 3, axis=-1)
    display = ScoreMapDisplay.from_estimator(regressor, colours)
    assert display.name == "output 0"
    assert_array_equal(display.scores, regressor.score_map(colours[None]).reshape(1, 9))
    assert display.ax_.get_images()[0].get_array().shape == (8, 16)  # grey


@pytest.mark.parametrize(
    ("text", "stride"),
    [
        ("CONV(K=2, S=2, F=2, P=0) -> POOL(F=2x1, S=2x1) -> (CONV(K=2, S=2, F=2, P=0) + POOL) -> POOL(F=all)", (4, 8)),
        ("CONV(K=2) -> (SKIP | CONV(K=2, F=1)) -> POOL -> FC(4) -> RELU", (2, 2)),
    ],
)
def test_the_stride_is_the_product_of_strides(text, stride):
    bound = Architecture.parse(f"INPUT -> {text} -> FC").bind((16, 16, 1), 3)
    assert _stride(bound.on((32, 32, 1)).layers) == stride


@pytest.mark.parametrize("layout", [None, "constrained"])
def test_long_names_and_small_axes(layout, plt):
    figure, axes = plt.subplots(2, 2, figsize=(6.4, 4.8), layout=layout)
    name = "score of a rather long name of a class, as folders have them, with an index: n02123045"
    scores = np.arange(12.0).reshape(1, 12)
    for n, ax in enumerate(axes.flat):
        image, found = (np.ones((8, 30, 1)), scores) if n % 2 else (np.ones((30, 8, 1)), scores.T)
        display = ScoreMapDisplay(image, found, (8, 8), (2, 2), name=name).plot(ax=ax)
    assert not overlaps(figure)
    assert display.ax_.get_title().startswith("highest score of a ")
    assert display.ax_.get_title().endswith("…: 11")
    assert not overlaps(display.plot().figure_)
    assert display.ax_.get_title().endswith("…: 11\nin a window of 8 x 8")
    assert display.colorbar_.ax.get_xlabel().endswith("…")


@pytest.mark.usefixtures("plt")
def test_the_bar_of_one_score_has_one_number(classifier, digits):
    display = ScoreMapDisplay.from_estimator(classifier, digits[0][0])
    scores = display.ax_.get_images()[1]
    assert scores.norm(display.scores.item()) == pytest.approx(0.5)  # its colour is that above the number
    display.figure_.canvas.draw()
    (label,) = display.colorbar_.ax.get_xticklabels()
    assert label.get_text() == f"{display.scores.item():.3g}".replace("-", "\N{MINUS SIGN}")


def test_what_cannot_be_drawn_is_refused(classifier, digits):
    with pytest.raises(ValueError, match=r"image is 'a.png'. Pass one image"):
        ScoreMapDisplay.from_estimator(classifier, "a.png")
    with pytest.raises(ValueError, match=r"target=11 is none of the classes of the network. They are 0, 1,"):
        ScoreMapDisplay.from_estimator(classifier, digits[0][0], target=11)
    for targets in ([3], ["x", 3, 4]):
        with pytest.raises(ValueError, match=rf"target has the shape \({len(targets)},\)\. Pass one class"):
            ScoreMapDisplay.from_estimator(classifier, digits[0][0], target=targets)
    with pytest.raises(ValueError, match=r"image has the shape \(100, 8, 8, 1\)"):
        ScoreMapDisplay.from_estimator(classifier, digits[0][..., None])
    with pytest.raises(ValueError, match=r"image has the shape \(1, 8, 8\).*X\[0\]"):
        ScoreMapDisplay.from_estimator(classifier, digits[0][:1])
    with pytest.raises(ValueError, match=r"image is 'a.png'"):
        ScoreMapDisplay.from_estimator(classifier, "a.png")
