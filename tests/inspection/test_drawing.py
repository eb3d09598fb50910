"""What the displays share."""

import sys
from inspect import signature

import numpy as np
import pytest
from numpy.testing import assert_allclose

from skconvnet import inspection
from skconvnet.inspection.drawing import as_picture, axes_or_new, inch_axes, load_pyplot, panel_grid, show_image


def test_pictures_go_from_black_to_white():
    images = np.arange(2.0 * 4 * 5 * 3).reshape(2, 4, 5, 3) - 7
    picture = as_picture(images)
    assert picture.shape == (2, 4, 5, 3)
    assert (picture.min(), picture.max()) == (0, 1)
    assert_allclose(as_picture(images[..., :1]), (images[..., 0] + 7) / (images[..., 0].max() + 7))
    assert not as_picture(np.full((3, 3, 1), 8)).any()


def test_channels_that_are_no_colours_are_drawn_as_their_mean():
    assert as_picture([[[0, 8, 1, 3], [2, 2, 2, 2], [4, 4, 4, 0]]]).tolist() == [[1, 0, 1]]


def test_axes_of_the_caller_are_kept(plt):
    _, ax = plt.subplots()
    assert axes_or_new(object(), ax, (2, 2)) is ax
    new = axes_or_new(object(), None, (3, 2))
    assert new is not ax
    assert tuple(new.figure.get_size_inches()) == (3, 2)


MAKERS = [
    (display, name)
    for display in (getattr(inspection, name) for name in inspection.__all__ if name.endswith("Display"))
    for name in vars(display)
    if name.startswith("from_")
]


@pytest.mark.parametrize(("display", "name"), MAKERS)
def test_what_is_not_one_flat_axes_is_refused_before_the_work(display, name, plt):
    make = getattr(display, name)
    needed = [one for one in signature(make).parameters.values() if one.default is one.empty]

    def draw(ax):
        make(*[None for one in needed if one.kind is one.POSITIONAL_OR_KEYWORD], ax=ax)  # nothing to work on

    figure, axes = plt.subplots(2)
    for wrong in (figure, axes, list(axes), "upper"):
        with pytest.raises(TypeError, match=f"ax must be one Axes, and this is of class {type(wrong).__name__}"):
            draw(wrong)
    with pytest.raises(TypeError, match="ax must be Axes with x and y, got the projection '3d'"):
        draw(plt.figure().add_subplot(projection="3d"))
    with pytest.raises(TypeError, match="ax must be one Axes"):
        axes_or_new(object(), figure, (2, 2))


def test_a_unit_is_an_inch_of_a_new_figure(plt):
    ax, scale = inch_axes(object(), None, 5, 2)
    assert tuple(ax.figure.get_size_inches()) == (5, 2)
    assert scale == pytest.approx(1)
    (x0, y0), (x1, y1) = ax.transData.transform([(0, -2), (1, -1)])
    assert (x1 - x0, y1 - y0) == pytest.approx((ax.figure.dpi, ax.figure.dpi))


@pytest.mark.parametrize("layout", [None, "constrained", "tight"])
def test_the_scale_of_a_callers_axes_is_that_of_the_drawn_figure(layout, plt):
    figure, (other, ax) = plt.subplots(1, 2, figsize=(6, 3), layout=layout)
    other.set(title="two\nlines", ylabel="three\nmore\nlines", xlabel="one")
    ax, scale = inch_axes(object(), ax, 4, 1)
    figure.canvas.draw()
    unit = ax.transData.transform((1, 0))[0] - ax.transData.transform((0, 0))[0]
    assert unit / figure.dpi == pytest.approx(scale, rel=0.02)


def test_panels_are_in_the_place_of_axes_that_were_put_by_hand(plt):
    figure = plt.figure()
    same, grid = panel_grid(object(), figure.add_axes((0.5, 0.25, 0.25, 0.5)), (2, 2), 2, 1, height_ratios=[1, 3])
    upper, lower = (panel.get_position() for panel in grid.subplots())
    assert same is figure
    assert (upper.x0, lower.x1, upper.y1, lower.y0) == pytest.approx((0.5, 0.75, 0.75, 0.25))
    assert lower.height == pytest.approx(3 * upper.height)


def test_grey_is_absolute(plt):
    image = show_image(plt.subplots()[1], np.full((2, 2), 0.5))
    assert image.get_clim() == (0, 1)
    assert image.to_rgba(np.array([[0.0, 1.0]]))[0, :, 0].tolist() == [0, 1]


def test_without_matplotlib_the_error_names_the_display_and_the_package(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.pyplot", None)
    with pytest.raises(ImportError, match=r"Fraction draws with Matplotlib\. Install it: pip install matplotlib"):
        load_pyplot(type("Fraction", (), {})())
