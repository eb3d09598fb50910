"""The picture of the activations of all layers."""

import sys
from itertools import combinations

import numpy as np
import pytest
from numpy.testing import assert_allclose

from skconvnet import ConvNetFeatures, ConvNetRegressor
from skconvnet.inspection import ActivationsDisplay
from tests.estimators.quick import quick, refused

RANDOM = np.random.default_rng(0)
X = RANDOM.integers(0, 256, (20, 6, 6, 3)).astype(np.uint8)
TEXT = "INPUT -> CONV(K=4) -> RELU -> (CONV(K=4) -> RELU + SKIP) -> POOL -> FC(5) -> RELU -> FC"


@pytest.fixture(scope="module")
def classifier():
    return quick(architecture=TEXT, max_iter=1).fit(X, np.array(["bird", "cat", "dog", "frog"])[np.arange(20) % 4])


def volumes(**depths):
    return {
        name: RANDOM.normal(size=(1, 1, depth) if name[0] == "F" else (4, 4, depth)) for name, depth in depths.items()
    }


def texts(display):
    return [text.get_text() for text in display.ax_.texts]


def are_apart(rectangles):
    return not any(one.overlaps(other) for one, other in combinations(rectangles, 2))


def test_each_layer_outside_branches_has_its_volume(classifier, plt):
    display = ActivationsDisplay.from_estimator(classifier, X[3])
    assert list(display.activations) == ["CONV 1", "RELU 1", "SUM 1", "POOL 1", "FC 1", "RELU 3", "FC 2"]
    for layer, volume in display.activations.items():
        assert_allclose(volume.ravel(), ConvNetFeatures(classifier, layer).fit_transform(X[3:4])[0], rtol=1e-6)
    assert display.activations["SUM 1"].shape == (6, 6, 4)
    assert display.outputs == dict(zip(classifier.classes_, classifier.predict_proba(X[3:4])[0], strict=True))
    assert np.array_equal(display.image, X[3])


def test_networks_with_many_branches(large, plt):
    network, X = large
    *_, before, last = network.architecture_.layers
    joints = [layer.name for layer in network.architecture_.layers if layer.kind in ("SUM", "STACK")][::4]
    display = ActivationsDisplay.from_estimator(network, X[1], layers=[*joints, before.name, last.name])
    volumes = {layer.name: layer.output for layer in network.architecture_.layers}
    for name, activations in display.activations.items():
        assert activations.shape == (volumes[name].height, volumes[name].width, volumes[name].depth)
    scores = (display.activations[before.name].ravel() @ network.coefs_[-1] + network.intercepts_[-1]).tolist()
    assert_allclose(display.activations[last.name].ravel(), scores, rtol=1e-4, atol=1e-5)
    assert_allclose(scores[1] - scores[0], network.decision_function(X[1:2])[0], rtol=1e-3, atol=1e-4)


def test_layers_in_branches_can_be_chosen(classifier, plt):
    display = ActivationsDisplay.from_estimator(classifier, X[3].ravel(), layers=["CONV 2", "FC 2"])
    assert list(display.activations) == ["CONV 2", "FC 2"]
    with refused("layer='CONV 7', but this network has no such layer"):
        ActivationsDisplay.from_estimator(classifier, X[3], layers=["CONV 7"])


@pytest.mark.parametrize(
    ("layers", "names"), [("CONV 2", ["CONV 2"]), (-1, ["FC 2"]), ([1, "FC 1"], ["CONV 1", "FC 1"])]
)
def test_one_layer_needs_no_list_and_rows_are_taken(layers, names, classifier, plt):
    assert list(ActivationsDisplay.from_estimator(classifier, X[3], layers=layers).activations) == names


def test_no_layer_is_refused(classifier):
    with refused("layers is empty"):
        ActivationsDisplay.from_estimator(classifier, X[3], layers=[])


@pytest.mark.usefixtures("plt")
def test_a_wrong_number_is_refused_before_the_image_is_read(classifier):
    with refused("max_maps must be a whole number from 1"):
        ActivationsDisplay.from_estimator(classifier, None, max_maps=0)


@pytest.mark.parametrize(
    ("image", "came"), [(X[:1], "image has the shape (1, 6, 6, 3)"), (3, "image is 3"), ("a.png", "image is 'a.png'")]
)
def test_one_image_is_needed(image, came, classifier):
    with refused(f"{came}. Pass one image, an array"):
        ActivationsDisplay.from_estimator(classifier, image)


def test_the_image_has_the_size_of_the_fit(classifier):
    with pytest.raises(ValueError, match=r"\(6, 6, 3\)|108"):
        ActivationsDisplay.from_estimator(classifier, X[3, :5])


def test_what_is_drawn(plt):
    activations = volumes(CONV=3, FC=7)
    activations["CONV"] *= [1, 2, 1]
    display = ActivationsDisplay(X[0], activations, {"cat": 0.75, "a very long name": 0.25}).plot(max_maps=2)
    image, *maps, strip = (np.asarray(image.get_array()) for image in display.ax_.images)
    assert image.shape == (6, 6, 3)
    low, high = activations["CONV"].min(), activations["CONV"].max()
    assert_allclose(maps, np.moveaxis(activations["CONV"] - low, 2, 0)[:2] / (high - low))
    assert (strip.shape, strip.min(), strip.max()) == ((7, 1), 0, 1)
    names = ["INPUT", "CONV", "2 of 3", "FC", "classes", "cat", "0.75", "a very long n…", "0.25"]
    assert texts(display) == names
    filled = [bar.get_width() for bar in display.ax_.patches]
    assert filled[1] / filled[0] == pytest.approx(0.75)


def test_below_an_image_that_has_no_colours_is_written_what_is_drawn(plt):
    image = RANDOM.random((6, 6, 4))
    display = ActivationsDisplay(image, volumes(CONV=3), {"cat": 1.0}).plot()
    grey = image.mean(axis=2)
    assert_allclose(display.ax_.images[0].get_array(), (grey - grey.min()) / np.ptp(grey))
    assert texts(display)[:3] == ["INPUT", "mean of 4", "CONV"]


MANY = {f"HSIGMOID {n}": 500 for n in range(18)} | {"FC 1": 4096}


@pytest.mark.parametrize(("depths", "n_outputs", "max_maps"), [({"CONV": 1}, 10, 2), (MANY, 10, 2), (MANY, 1, 1)])
def test_nothing_overlaps(depths, n_outputs, max_maps, plt):
    outputs = {str(n): 0.1 for n in range(n_outputs)}
    display = ActivationsDisplay(X[0], volumes(**depths), outputs).plot(max_maps=max_maps)
    assert display.figure_.get_size_inches()[0] <= 9
    display.figure_.canvas.draw()
    drawn = [artist.get_window_extent() for artist in (*display.ax_.texts, *display.ax_.images)]
    assert are_apart(drawn)
    assert all(display.figure_.bbox.contains(*corner) for extent in drawn for corner in extent.corners())
    assert display.ax_.texts[0].get_fontsize() == pytest.approx(7)


@pytest.mark.parametrize(("side", "has_words", "n_bars"), [(4, True, 2), (2, False, 2)])
def test_small_axes_have_small_texts_that_can_be_read_or_none(side, has_words, n_bars, plt):
    ax = plt.figure(figsize=(side, side)).add_axes((0, 0, 0.75, 1))
    display = ActivationsDisplay(X[0], volumes(CONV=4, FC=7), {"cat": 1.0}).plot(ax=ax)
    assert display.ax_ is ax
    assert bool(ax.texts) == has_words
    assert all(6 <= text.get_fontsize() <= 7 for text in ax.texts)
    assert are_apart([image.get_window_extent() for image in ax.images])
    assert len(ax.patches) == n_bars
    ax.clear()
    ActivationsDisplay(X[0], volumes(CONV=4), {"output": 1.0}, are_probabilities=False).plot(ax=ax)
    assert not ax.patches


def test_strips_are_thick_enough_to_be_seen(plt):
    display = ActivationsDisplay(np.zeros((1, 500, 1)), {"CONV": np.zeros((1, 500, 1))}, {"cat": 1.0}).plot()
    left, right, low, high = display.ax_.images[1].get_extent()
    assert (right - left) / (high - low) == pytest.approx(4)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_a_regressor_has_numbers_without_bars(plt):
    y = np.arange(20.0)
    regressor = ConvNetRegressor("INPUT -> CONV(K=4) -> RELU -> FC", max_iter=1, n_jobs=1, random_state=0).fit(X, y)
    display = ActivationsDisplay.from_estimator(regressor, X[3])
    assert display.outputs == {"output": regressor.predict(X[3:4])[0]}
    assert texts(display)[-3:-1] == ["prediction", "output"]
    assert not display.ax_.patches


def test_without_matplotlib_the_error_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.pyplot", None)
    with pytest.raises(ImportError, match="ActivationsDisplay draws with Matplotlib"):
        ActivationsDisplay(X[0], {}, {"cat": 1.0}).plot()
