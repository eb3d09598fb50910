"""The picture of the filters of a layer."""

import sys

import numpy as np
import pytest
from numpy.testing import assert_allclose

from skconvnet.inspection import FiltersDisplay
from tests.estimators.quick import quick, refused

RANDOM = np.random.default_rng(0)


def drawn(display):
    return np.asarray(display.image_.get_array())


def labels(axis):
    return [label.get_text() for label in axis.get_ticklabels()]


def texts(display):
    """The rectangles of the title, names and numbers, in pixels."""
    display.figure_.canvas.draw()
    ax, bar = display.ax_, display.colorbar_.ax.yaxis
    found = [ax.title, ax.xaxis.label, ax.yaxis.label, bar.label, *ax.get_xticklabels(), *ax.get_yticklabels()]
    return [text.get_window_extent() for text in found if text.get_text()]


def test_filters_on_grey_are_images_side_by_side(plt):
    filters = RANDOM.normal(size=(7, 5, 3, 1))
    display = FiltersDisplay(filters, "CONV 1").plot()
    picture, limit = drawn(display), np.abs(filters).max()
    assert picture.shape == (2 * 6 - 1, 4 * 4 - 1)
    assert_allclose(picture[6:11, 8:11], filters[6, ..., 0])
    assert np.ma.getmaskarray(display.image_.get_array())[5].all()  # the line between rows
    assert np.ma.getmaskarray(display.image_.get_array())[6:, 12:].all()  # there is no eighth filter
    assert display.image_.get_clim() == (-limit, limit) == display.colorbar_.mappable.get_clim()
    assert display.ax_.get_title() == "CONV 1: 7 filters of 3x5"
    assert labels(display.ax_.yaxis) == ["0", "4"]


def test_filters_on_colours_are_in_colour(plt):
    filters = RANDOM.normal(size=(2, 3, 3, 3))
    filters[0, 0, 0] = 0
    picture, limit = drawn(FiltersDisplay(filters, "CONV 1", in_colour=True).plot()), np.abs(filters).max()
    assert picture.shape == (3, 7, 4)
    assert_allclose(picture[0, 0], [0.5, 0.5, 0.5, 1])
    assert_allclose(picture[:, 4:, :3], 0.5 + filters[1] / (2 * limit))
    assert not picture[:, 3, 3].any()  # nothing between filters


def test_other_filters_have_a_row_with_an_image_for_each_channel(plt):
    filters = RANDOM.normal(size=(500, 2, 2, 70))
    display = FiltersDisplay(filters, "CONV 2").plot()
    assert drawn(display).shape == (16 * 3 - 1, 32 * 3 - 1)
    assert_allclose(drawn(display)[9:11, 15:17], filters[3, :, :, 5])
    assert display.ax_.get_title() == "CONV 2: 16 of 500 filters of 2x2x70, 32 of 70 channels"
    assert (display.ax_.get_xlabel(), display.ax_.get_ylabel()) == ("input channel", "filter")
    fewer = FiltersDisplay(filters, "CONV 2").plot(max_filters=2, max_channels=3)
    assert drawn(fewer).shape == (5, 8)


@pytest.mark.parametrize(
    ("shape", "places"),
    [
        ((3, 5, 4, 1), [(0, 0), (5, 0), (10, 0)]),
        ((5, 1, 1, 1), [(0, 0), (1, 0), (2, 0), (3, 0), (0, 1)]),
        ((2, 2, 2, 3), [(0, 0), (3, 0), (6, 0), (0, 3), (3, 3), (6, 3)]),
    ],
)
def test_each_image_has_a_frame_as_white_weights_look_like_the_page(shape, places, plt):
    display = FiltersDisplay(np.ones(shape), "CONV 1").plot()
    (frames,) = (frames for frames in display.ax_.collections if frames.get_gid() == "frames")
    corners = [path.vertices for path in frames.get_paths()]
    assert [tuple(each.min(axis=0) + 0.5) for each in corners] == places
    assert {tuple(np.ptp(each, axis=0)) for each in corners} == {(shape[2], shape[1])}
    assert np.nanmin(drawn(display)) == 1 == display.image_.get_clim()[1]


def test_weights_that_are_not_finite_are_refused():
    filters = np.ones((1, 2, 2, 1))
    filters[0, 0] = [[np.nan], [np.inf]]
    with refused("2 of 4 weights are NaN or infinite"):
        FiltersDisplay(filters, "CONV 1").plot()


@pytest.mark.parametrize(
    ("shape", "in_colour"),
    [((500, 5, 5, 1), False), ((1, 3, 3, 3), True), ((64, 1, 1, 40), False), ((2, 50, 7, 12), False)],
)
def test_texts_do_not_overlap_and_fit_the_figure(shape, in_colour, plt):
    display = FiltersDisplay(RANDOM.normal(size=shape), "CONV 1", in_colour).plot()
    width, height = display.figure_.get_size_inches()
    assert width <= 9
    found = texts(display)
    assert not any(one.overlaps(other) for n, one in enumerate(found) for other in found[:n])
    assert all(0 <= one.x0 and one.x1 <= 100 * width and 0 <= one.y0 and one.y1 <= 100 * height for one in found)


@pytest.mark.parametrize(
    ("shape", "in_colour", "layout"),
    [((500, 3, 3, 500), False, None), ((500, 3, 3, 500), False, "constrained"), ((1, 5, 5, 3), True, None)],
)
def test_texts_in_small_axes_do_not_overlap(shape, in_colour, layout, plt):
    _, axes = plt.subplots(2, 2, layout=layout)
    filters = RANDOM.normal(size=shape)
    displays = [FiltersDisplay(filters, "CONV 2", in_colour).plot(ax=ax) for ax in axes[1]]
    found = [extent for display in displays for extent in texts(display)]
    assert not any(one.overlaps(other) for n, one in enumerate(found) for other in found[:n])
    bars = [display.colorbar_.ax.get_tightbbox() for display in displays]
    assert not any(bar.overlaps(extent) for bar in bars for extent in found)
    title = displays[0].ax_.get_title()
    assert title.replace("\n", " ").startswith("CONV 2: ")
    assert ("\n" in title) == (len(title) > 40)


def test_one_pixel_and_zeros_can_be_drawn(plt):
    display = FiltersDisplay(np.zeros((1, 1, 1, 1)), "CONV 1").plot()
    assert (drawn(display).shape, display.image_.get_clim()) == ((1, 1), (-1, 1))


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_a_layer_of_an_estimator_is_chosen_by_name(plt):
    X, y = RANDOM.random((20, 6, 6, 3)), np.arange(20) % 4
    text = "INPUT -> CONV(K=4) -> NORM -> RELU -> CONV(K=3) -> FC(5) -> RELU -> FC"
    classifier = quick(architecture=text, max_iter=1).fit(X, y)
    first = FiltersDisplay.from_estimator(classifier)
    assert (first.layer, first.in_colour, first.filters.shape) == ("CONV 1", True, (4, 3, 3, 3))
    _, ax = plt.subplots()
    second = FiltersDisplay.from_estimator(classifier, "CONV 2", max_filters=2, ax=ax)
    assert second.ax_ is ax
    assert_allclose(second.filters[1], classifier.coefs_[2][..., 1])
    units = FiltersDisplay.from_estimator(classifier, "FC 1")
    assert units.filters.shape == (5, 6, 6, 3)
    assert not units.in_colour
    assert_allclose(units.filters[4].ravel(), classifier.coefs_[3][:, 4])
    for row, name in ((4, "CONV 2"), (-1, "FC 2")):
        assert FiltersDisplay.from_estimator(classifier, row).layer == name
    for wrong, why in (
        ("NORM 1", "NORM 1 has no filters."),
        (0, "INPUT has no filters."),
        (8, "this network has no such"),
    ):
        with refused(f"layer={wrong!r}, but {why}"):
            FiltersDisplay.from_estimator(classifier, wrong)
    for wrong, hint in (("conv 2", ": did you mean 'CONV 2'?"), (["CONV 1"], ".")):
        with refused(
            f"layer={wrong!r}, but this network has no such layer{hint} Choose one of\n    1 or   -7: CONV 1 ["
        ):
            FiltersDisplay.from_estimator(classifier, wrong)


@pytest.mark.parametrize("wrong", [0, 1.5])
def test_numbers_are_whole(wrong, plt):
    with pytest.raises(ValueError, match="max_filters") as caught:
        FiltersDisplay(np.zeros((2, 3, 3, 1)), "CONV 1").plot(max_filters=wrong)
    assert caught.type is ValueError  # and not an ArchitectureError


def test_without_matplotlib_the_error_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.pyplot", None)
    with pytest.raises(ImportError, match="FiltersDisplay draws with Matplotlib"):
        FiltersDisplay(np.zeros((2, 3, 3, 1)), "CONV 1").plot()
