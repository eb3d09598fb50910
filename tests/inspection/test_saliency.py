"""Gradients by the pixels and Grad-CAM, compared with differences of scores, and their picture."""

import sys
from itertools import combinations, pairwise

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.pipeline import make_pipeline

from skconvnet import ConvNetClassifier, ConvNetFeatures, ConvNetRegressor
from skconvnet.estimators.scoring import score_images
from skconvnet.inspection import SaliencyDisplay, grad_cam, saliency
from skconvnet.inspection.saliency import no_such_target

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
# Smooth, so that differences of float32 scores are exact enough; with NORM, POOL, DROPOUT and branches.
SMOOTH = (
    "INPUT -> CONV(K=4) -> NORM -> TANH -> POOL(average) -> (CONV(K=4) -> TANH + SKIP) -> DROPOUT -> CONV(K=5) -> TANH"
    " -> FC"
)
OPTIONS = {"max_iter": 2, "batch_size": 10, "n_jobs": 1, "random_state": 0}


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(0)
    return rng.normal(100, 20, (20, 6, 4, 2)), np.arange(20) % 3


@pytest.fixture(scope="module")
def classifier(data):
    X, y = data
    return ConvNetClassifier(SMOOTH, **OPTIONS).fit(X, np.array(["ape", "bee", "cat"])[y])


@pytest.fixture(scope="module")
def regressor(data):
    X, y = data
    return ConvNetRegressor(SMOOTH, **OPTIONS).fit(X, np.stack([1000.0 * y, X.mean(axis=(1, 2, 3))], axis=1))


def assert_is_slope(gradient, score, X, direction, h):
    """The gradient times a direction is the central difference of the scores."""
    difference = (score(X + h * direction) - score(X - h * direction)) / (2 * h)
    slope = (gradient * direction).sum(axis=(1, 2, 3))
    assert_allclose(slope, difference, rtol=2e-3, atol=2e-3 * np.abs(difference).max())


@pytest.mark.parametrize("target", ["ape", "cat", None])
def test_the_gradient_of_a_class_is_that_of_its_score(classifier, data, target):
    X, rng = data[0][:6], np.random.default_rng(1)
    outputs = classifier.decision_function(X).argmax(axis=1)
    if target is not None:
        outputs[:] = list(classifier.classes_).index(target)
    gradient = saliency(classifier, X, target=target)
    assert gradient.shape == X.shape
    for _ in range(3):
        direction = rng.standard_normal(X.shape)
        assert_is_slope(gradient, lambda X: classifier.decision_function(X)[range(6), outputs], X, direction, 0.3)


def test_the_gradient_of_a_regressor_has_the_units_of_y(regressor, data):
    X, rng = data[0][:6], np.random.default_rng(1)
    for target in (0, 1):
        gradient = saliency(regressor, X, target=target)
        direction = rng.standard_normal(X.shape)
        assert_is_slope(gradient, lambda X, target=target: regressor.predict(X)[:, target], X, direction, 0.3)
    with pytest.raises(ValueError, match=r"2 outputs\. Say which: target=0 to 1"):
        saliency(regressor, X)


def test_several_labels_and_a_target_for_each_image(data):
    X, y = data
    labels = ConvNetClassifier("INPUT -> FC", **OPTIONS).fit(X, np.stack([y == 0, y == 1], axis=1).astype(int))
    gradient = saliency(labels, X[:4], target=[0, 1, 1, 0])
    weights = labels.coefs_[0].reshape(*X.shape[1:], 2) * labels.pixel_scale_[:, None]
    assert_allclose(gradient, np.moveaxis(weights[..., [0, 1, 1, 0]], -1, 0), rtol=1e-5)
    assert saliency(labels, X[:4]).shape == X[:4].shape


@pytest.mark.parametrize("layer", ["CONV 1", "NORM 1", "POOL 1", "SUM 1"])
def test_grad_cam_has_the_size_of_its_layer(classifier, data, layer):
    X = data[0][:3]
    cam = grad_cam(classifier, X, layer=layer, target="bee")
    volume = next(one.output for one in classifier.architecture_.layers if one.name == layer)
    assert cam.shape == (3, volume.height, volume.width)
    assert (cam >= 0).all()
    assert cam.max() > 0


def convolved(x, weights, biases):
    """CONV with F=3, S=1, P=1, in float64."""
    padded = np.pad(x.astype(float), ((0, 0), (1, 1), (1, 1), (0, 0)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), axis=(1, 2))
    return np.einsum("nijcuv,uvck->nijk", windows, weights.astype(float)) + biases


def test_grad_cam_of_a_sum_weights_its_slices_by_differences_of_scores(classifier, data):
    """Behind SUM 1, whose branches have a CONV, and with a NORM before it: DROPOUT -> CONV -> TANH -> FC."""
    X, n, h = data[0][:3], 3, 1e-4
    volume = next(layer.output for layer in classifier.architecture_.layers if layer.name == "SUM 1")
    activations = ConvNetFeatures(classifier, "SUM 1").fit_transform(X).reshape(n, volume.height, volume.width, -1)

    def score_of_bee(activations):
        hidden = np.tanh(convolved(activations, classifier.coefs_[-2], classifier.intercepts_[-2]))
        return (hidden.reshape(n, -1) @ classifier.coefs_[-1].astype(float) + classifier.intercepts_[-1])[:, 1]

    assert_allclose(score_of_bee(activations), classifier.decision_function(X)[:, 1], rtol=1e-4, atol=1e-5)
    ups = h * np.eye(volume.depth)[:, None, None, None] / (volume.height * volume.width)  # a slice at a time
    weights = [(score_of_bee(activations + up) - score_of_bee(activations - up)) / (2 * h) for up in ups]
    expected = np.maximum(np.einsum("nijk,kn->nij", activations, weights), 0)
    assert (expected > 0).any()
    found = grad_cam(classifier, X, layer="SUM 1", target="bee")
    assert_allclose(found, expected, rtol=1e-3, atol=1e-4 * expected.max())


def test_networks_with_many_branches(large, plt):
    network, X = large
    (joint,) = [layer for layer in network.architecture_.layers if layer.kind in ("SUM", "STACK")][-1:]
    display = SaliencyDisplay.from_estimator(network, X[:1])
    assert display.layer == joint.name
    assert display.maps.shape == (1, joint.output.height, joint.output.width)
    gradient = display.gradients
    assert gradient.shape == X[:1].shape
    h = 0.5 / np.abs(gradient).max()  # half a level of the pixel that matters most
    chosen = int(network.decision_function(X[:1])[0] > 0)  # the score of two classes is the difference of theirs
    other = saliency(network, X[:1], target=network.classes_[1 - chosen])

    def difference(x):
        return network.decision_function(x)[0] * (1 if chosen else -1)

    slope = (difference(X[:1] + h * gradient) - difference(X[:1] - h * gradient)) / (2 * h)
    assert slope == pytest.approx(((gradient - other) * gradient).sum(), rel=0.05)


def test_grad_cam_of_a_linear_head_is_known(data):
    X, y = data
    fitted = ConvNetClassifier("INPUT -> CONV(K=4) -> FC", **OPTIONS).fit(X, y)
    weights = fitted.coefs_[1].reshape(6, 4, 4, 3)
    (F, _, _, _), x = fitted.coefs_[0].shape, (X - fitted.pixel_mean_) * fitted.pixel_scale_
    assert F == 3
    activations = convolved(x, fitted.coefs_[0], fitted.intercepts_[0])
    expected = np.maximum(np.einsum("nijk,k->nij", activations, weights[..., 2].mean(axis=(0, 1))), 0)
    assert_allclose(grad_cam(fitted, X, target=2), expected, rtol=1e-4, atol=1e-5 * expected.max())


def test_what_has_no_gradient_is_refused(classifier, data):
    X = data[0][:2]
    with pytest.raises(ValueError, match=r"target='dog' is none of the classes of the network. They are '"):
        saliency(classifier, X, target="dog")
    with pytest.raises(ValueError, match=r"target='Beee' .*: did you mean 'bee'\? They are 'ape', 'bee', 'cat'"):
        saliency(classifier, X, target="Beee")
    with pytest.raises(ValueError, match=r"layer='conv1', but .*: did you mean 'CONV 1'\?"):
        grad_cam(classifier, X, layer="conv1")
    with pytest.raises(ValueError, match=r"target has the shape \(3,\).*2 images"):
        saliency(classifier, X, target=["ape"] * 3)
    for layer in ("CONV 2", "FC 1", "CONV 9"):  # in a branch, the last, none
        with pytest.raises(ValueError, match=rf"(?s)layer='{layer}', but .*CONV 1 .*NORM 1 .*SUM 1"):
            grad_cam(classifier, X, layer=layer)
    with pytest.raises(TypeError, match=r"pipeline\[-1\]"):
        saliency(make_pipeline(classifier), X)


def test_what_is_drawn(classifier, data, plt):
    figure, ax = plt.subplots()
    X = data[0][:2]
    display = SaliencyDisplay.from_estimator(classifier, X, layer="SUM 1", target="cat", ax=ax)
    assert display.figure_ is figure
    assert display.axes_.shape == (2, 3)
    assert [panel.get_title() for panel in display.axes_[0]] == ["image", "gradient", "Grad-CAM\nSUM 1"]
    assert [panels[0].get_ylabel() for panels in display.axes_] == ["cat", "cat"]
    _, over = display.axes_[1, 1].get_images()
    assert_array_equal(over.get_array(), np.abs(display.gradients[1]).max(axis=-1))
    _, over = display.axes_[1, 2].get_images()
    assert_array_equal(over.get_array(), grad_cam(classifier, X, layer="SUM 1", target="cat")[1])
    assert over.get_extent() == [-0.5, 3.5, 5.5, -0.5]


def test_a_map_is_transparent_where_it_is_0_and_one_pixel_does_not_set_its_scale(plt):
    maps = np.append(np.arange(399.0), 1e6).reshape(1, 20, 20)
    display = SaliencyDisplay(np.ones((1, 20, 20, 1)), np.zeros((1, 20, 20, 1)), maps, "a").plot()
    drawn = display.axes_[0, 2].get_images()[1]
    limit = np.percentile(maps, 99.5)
    assert drawn.get_clim() == (0, limit)
    assert limit < 400
    assert_allclose(drawn.get_alpha(), 0.9 * np.sqrt(np.minimum(maps[0] / limit, 1)))
    zeros = display.axes_[0, 1].get_images()[1]
    assert zeros.get_clim() == (0, 1)
    assert not zeros.get_alpha().any()


def texts(display):
    """The rectangles of titles and names, in pixels."""
    display.figure_.canvas.draw()
    return [
        text.get_window_extent()
        for panel in display.axes_.flat
        for text in (panel.title, panel.yaxis.label)
        if text.get_text()
    ]


@pytest.mark.parametrize(("height", "width"), [(200, 30), (30, 200), (8, 8)])
def test_figures_of_long_images_are_bounded_and_long_names_are_shortened(height, width, plt):
    shape, names = (3, height, width, 1), ["flower", "a rather long name of a class, as folders have", "china"]
    display = SaliencyDisplay(np.ones(shape), np.ones(shape), np.ones(shape[:3]), names, layer="CONV 12").plot()
    inches = display.figure_.get_size_inches()
    assert 1 < min(inches) <= max(inches) < 7
    found, bounds = texts(display), display.figure_.bbox
    assert not any(one.overlaps(other) for one, other in combinations(found, 2))
    assert all(bounds.contains(*corner) for extent in found for corner in extent.corners())
    written = [panels[0].get_ylabel() for panels in display.axes_]
    assert written[::2] == names[::2]
    assert written[1].startswith("a rather long")
    assert written[1].endswith("…")


def test_names_in_small_axes_do_not_overlap(plt):
    _, axes = plt.subplots(2, 2)
    shape, names = (4, 8, 8, 1), ["a rather long name of a class"] * 4
    display = SaliencyDisplay(np.ones(shape), np.ones(shape), np.ones(shape[:3]), names).plot(ax=axes[1, 1])
    found = texts(display)
    assert not any(one.overlaps(other) for one, other in combinations(found, 2))
    display.figure_.canvas.draw()
    assert min(extent.x0 for extent in found) > axes[1, 0].get_window_extent().x1


def test_titles_do_not_overlap_in_a_quarter_of_a_figure(plt):
    figure, axes = plt.subplots(2, 2)
    display = SaliencyDisplay(
        np.ones((2, 6, 4, 1)), np.ones((2, 6, 4, 1)), np.ones((2, 6, 4)), "ab", layer="CONV 12", n_images=50_000
    )
    display.plot(ax=axes[1, 0])
    figure.canvas.draw()
    titles = [panel.title.get_window_extent() for panel in display.axes_[0]]
    assert not any(one.overlaps(other) for one, other in pairwise(titles))


@pytest.mark.usefixtures("plt")
def test_the_first_images_are_drawn(classifier, data):
    X = data[0]
    assert SaliencyDisplay.from_estimator(classifier, X).axes_.shape == (10, 3)
    display = SaliencyDisplay.from_estimator(classifier, X, max_images=2)
    assert display.axes_.shape == (2, 3)
    assert display.axes_[0, 0].get_title() == "2 of 20\nimages"
    assert_array_equal(display.gradients, saliency(classifier, X[:2]))
    assert_array_equal(display.images, X[:2])
    grey = X[:2].mean(axis=3)
    assert_allclose(display.axes_[1, 0].get_images()[0].get_array(), (grey[1] - grey.min()) / np.ptp(grey))
    assert display.plot(max_images=1).axes_[0, 0].get_title() == "1 of 20\nimages"
    with pytest.raises(ValueError, match="max_images"):
        display.plot(max_images=0)


@pytest.mark.usefixtures("plt")
def test_scores_of_the_drawn_images_are_computed_and_none_before_an_error(classifier, data, monkeypatch):
    X, scored = data[0], []

    def counted(scorer, images, n_jobs):
        scored.append(len(images))
        return score_images(scorer, images, n_jobs)

    monkeypatch.setattr(sys.modules[SaliencyDisplay.__module__], "score_images", counted)
    targets = np.array(["ape", "bee"])[np.arange(len(X)) % 2]
    display = SaliencyDisplay.from_estimator(classifier, X, max_images=3, target=targets)
    assert display.names == ["ape", "bee", "ape"]
    with pytest.raises(ValueError, match="layer='CONV 9'"):
        SaliencyDisplay.from_estimator(classifier, X, layer="CONV 9")
    with pytest.raises(ValueError, match="target='dog'"):
        SaliencyDisplay.from_estimator(classifier, X, max_images=3, target=[*targets[1:], "dog"])
    assert scored == []
    display = SaliencyDisplay.from_estimator(classifier, X, max_images=3)
    assert scored == [3]
    assert display.names == classifier.predict(X[:3]).tolist()


@pytest.mark.usefixtures("plt")
def test_without_a_layer_for_grad_cam_there_is_none(data):
    X, y = data
    fitted = ConvNetRegressor("INPUT -> FC", **OPTIONS).fit(X, y)
    display = SaliencyDisplay.from_estimator(fitted, X[:1])
    assert display.axes_.shape == (1, 2)
    assert display.axes_[0, 0].get_ylabel() == "output 0"
    with pytest.raises(ValueError, match=r"no layer for Grad-CAM.*none"):
        grad_cam(fitted, X)


@pytest.mark.parametrize(("target", "hint"), [("3", ": did you mean 3?"), (12, "."), ("12", ".")])
def test_a_number_beside_a_number_is_no_typing_error(target, hint):
    started = f"target={target!r} is none of the classes of the network{hint} They are 1, 2, "
    assert no_such_target(target, np.arange(1, 10), has_classes=True).startswith(started)
