"""The picture of a network."""

import sys
from itertools import combinations

import numpy as np
import pytest

from skconvnet import ARCHITECTURES, ArchitectureError, ConvNetClassifier
from skconvnet.inspection import ArchitectureDisplay
from tests.estimators.quick import quick, refused

TEXT = "INPUT -> CONV -> RELU -> POOL -> FC -> RELU -> FC"


def extents(display):
    """The rectangles of all texts, in pixels, and that of the axes."""
    renderer = display.figure_.canvas.get_renderer()
    return [text.get_window_extent(renderer) for text in display.ax_.texts], display.ax_.get_window_extent(renderer)


def names(display):
    return [text.get_text() for text in display.ax_.texts if text.get_weight() == "bold"]


@pytest.mark.parametrize(
    ("name", "image_shape", "size"),
    [("lenet5", (32, 32, 1), (9, 2)), ("resnet20", (32, 32, 3), (9, 7)), ("googlenet", (224, 224, 3), (10, 13))],
)
def test_texts_are_readable(name, image_shape, size, plt):
    display = ArchitectureDisplay.from_text(name, image_shape)
    width, height = display.figure_.get_size_inches()
    assert (width <= size[0], height <= size[1]) == (True, True)
    display.figure_.set_dpi(80)  # where characters are 6% wider
    texts, ax = extents(display)
    assert not any(one.padded(2, 0).overlaps(other) for one, other in combinations(texts, 2))
    assert all(ax.x0 <= text.x0 and text.x1 <= ax.x1 and ax.y0 <= text.y0 and text.y1 <= ax.y1 for text in texts)
    assert min(text.get_fontsize() for text in display.ax_.texts) == pytest.approx(7)


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("INPUT -> CONV(K=6) -> FC", ["INPUT", "[32x32x1]", "CONV 1", "K=6 F=3", "S=1 P=1", "[32x32x6]"]),
        (
            "INPUT -> [CONV(K=6) -> RELU -> POOL]*2 -> FC",
            ["INPUT", "[32x32x1]", "CONV 1", "[32x32x6]", "POOL 1", "[16x16x6]"],
        ),
        ("lenet5", ["INPUT", "CONV 1", "POOL 1", "CONV 2", "POOL 2", "FC 1", "FC 2", "FC 3"]),
        ("resnet20", []),
    ],
)
def test_small_axes_have_fewer_words_and_none_that_cannot_be_read(text, written, plt):
    _, axes = plt.subplots(2, 2)
    display = ArchitectureDisplay.from_text(text, (32, 32, 1), ax=axes[0, 1])
    assert display.ax_ is axes[0, 1]
    lines = [line for text in display.ax_.texts for line in text.get_text().split("\n")]
    assert lines[: len(written)] == written
    assert bool(lines) == bool(written)
    texts, ax = extents(display)
    assert not any(one.overlaps(other) for one, other in combinations(texts, 2))
    assert all(ax.x0 <= text.x0 and text.x1 <= ax.x1 and ax.y0 <= text.y0 and text.y1 <= ax.y1 for text in texts)
    assert all(text.get_fontsize() >= 6 for text in display.ax_.texts)


def test_what_is_repeated_is_written_out_where_nothing_says_how_often(plt):
    many, ax = "INPUT -> [CONV(K=4)]*30 -> FC", plt.figure().add_axes((0, 0, 0.1, 0.1))
    for repeats, n_boxes in (("auto", 32), ("folded", 3)):
        display = ArchitectureDisplay.from_text(many, (8, 8), repeats=repeats, ax=ax)
        assert not display.ax_.texts
        (boxes,) = (collection for collection in ax.collections if collection.get_gid() == "boxes")
        assert len(boxes.get_paths()) == 3 * n_boxes
        ax.clear()


def test_hyperparameters_fill_in_the_text(plt):
    display = ArchitectureDisplay.from_text(TEXT, (8, 8), n_classes=3, K=5, F=5, hidden_layer_sizes=(20,))
    assert str(display.architecture) == (
        "INPUT -> CONV(K=5, F=5, S=1, P=2) -> RELU -> POOL(max, F=2, S=2, P=0) -> FC(20) -> RELU -> FC(3)"
    )
    assert names(display) == ["INPUT", "CONV 1", "POOL 1", "FC 1", "FC 2"]
    with pytest.raises(ArchitectureError, match="CONV"):
        ArchitectureDisplay.from_text("INPUT -> CONV(F=9, P=0) -> FC", (8, 8))


def test_an_estimator_that_is_not_fitted_needs_a_size(plt):
    classifier = quick()
    display = ArchitectureDisplay.from_estimator(classifier, image_shape=(12, 12, 1))
    assert display.architecture.image_shape == (12, 12, 1)
    by_parameter = ArchitectureDisplay.from_estimator(quick(image_shape=(12, 12, 1)))
    assert by_parameter.architecture == display.architecture
    with refused("not fitted and has no image_shape"):
        ArchitectureDisplay.from_estimator(classifier)


@pytest.mark.parametrize("text", ["vgg16", ARCHITECTURES["vgg16"]])
def test_a_case_study_has_the_classes_of_its_paper_unless_it_is_said(text, plt):
    _, ax = plt.subplots()
    for given, n_classes in (({}, 1000), ({"n_classes": 7}, 7)):
        display = ArchitectureDisplay.from_text(text, (32, 32, 3), ax=ax, **given)
        assert display.architecture.n_classes == n_classes


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_a_fitted_estimator_has_its_own_network(plt):
    X, y = np.random.default_rng(0).random((20, 6, 6)), np.arange(20) % 4
    classifier = quick(architecture="INPUT -> FC", max_iter=1).fit(X, y)
    display = ArchitectureDisplay.from_estimator(classifier)
    assert display.architecture is classifier.architecture_
    assert display.ax_.texts[-1].get_text() == "K=4\n[1x1x4]"
    assert ArchitectureDisplay.from_estimator(classifier, image_shape=(6, 6)).architecture is classifier.architecture_
    with refused(
        "image_shape=(12, 12), but the network was fitted on images of shape (6, 6, 1). Leave out image_shape"
    ):
        ArchitectureDisplay.from_estimator(classifier, image_shape=(12, 12))


def test_what_is_repeated_is_folded_if_there_is_much_or_if_asked(plt):
    many, few = "INPUT -> [CONV(K=4)]*30 -> FC", "INPUT -> [CONV(K=4)]*3 -> FC"
    assert names(ArchitectureDisplay.from_text(many, (8, 8))) == ["INPUT", "CONV 1", "FC 1"]
    assert len(names(ArchitectureDisplay.from_text(many, (8, 8), repeats="written out"))) == 32
    assert len(names(ArchitectureDisplay.from_text(few, (8, 8)))) == 5
    assert len(names(ArchitectureDisplay.from_text(few, (8, 8), repeats="folded"))) == 3
    with refused("repeats must be 'auto', 'folded' or 'written out', got True"):
        ArchitectureDisplay.from_text(few, (8, 8), repeats=True)


def test_without_matplotlib_the_error_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.pyplot", None)
    with pytest.raises(ImportError, match="ArchitectureDisplay draws with Matplotlib"):
        ArchitectureDisplay.from_estimator(ConvNetClassifier(image_shape=(8, 8, 1)))


@pytest.mark.usefixtures("plt")
def test_hyperparameters_that_there_are_not_or_that_the_text_does_not_read_are_told():
    with pytest.raises(TypeError, match=r"from_text\(\) got an .* 'Q'. It has K, F, S, P, N, M,"):
        ArchitectureDisplay.from_text("INPUT -> FC", (8, 8), Q=2)
    with pytest.raises(TypeError, match=r"'image_shap'\. Did you mean image_shape\?"):
        ArchitectureDisplay.from_text("INPUT -> FC", (8, 8), image_shap=2)
    for name in ("module", "loss"):  # what an estimator would say is not true here
        with pytest.raises(TypeError, match=rf"'{name}'\. It has K, .* n_classes, repeats, ax\.$"):
            ArchitectureDisplay.from_text("INPUT -> FC", (8, 8), **{name: 2})
    with pytest.raises(TypeError, match=r"'filters'\. That is `K` here."):
        ArchitectureDisplay.from_text("INPUT -> FC", (8, 8), filters=2)
    with pytest.warns(UserWarning, match=r"N=2 \(nothing is repeated \*N\) has no effect on the network of") as told:
        ArchitectureDisplay.from_text("INPUT -> FC", (8, 8), N=2)  # the default, which was given
    assert told[0].filename == __file__
    ArchitectureDisplay.from_text("auto", (8, 8), N=2, M=2)
    with refused("repeats must be 'auto', 'folded' or 'written out', got 'x'"):  # and without a warning
        ArchitectureDisplay.from_text("INPUT -> FC", (8, 8), N=2, repeats="x")
