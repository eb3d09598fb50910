"""What the displays share."""

import sys

import numpy as np
import pytest
from numpy.testing import assert_allclose

from skconvnet.inspection.drawing import as_picture, axes_or_new, load_pyplot, show_image


def test_pictures_go_from_black_to_white():
    images = np.arange(2.0 * 4 * 5 * 3).reshape(2, 4, 5, 3) - 7
    picture = as_picture(images)
    assert picture.shape == (2, 4, 5, 3)
    assert (picture.min(), picture.max()) == (0, 1)
    assert_allclose(as_picture(images[..., :2]), (images[..., 0] + 7) / (images[..., 0].max() + 7))
    assert not as_picture(np.full((3, 3, 1), 8)).any()


def test_axes_of_the_caller_are_kept(plt):
    _, ax = plt.subplots()
    assert axes_or_new(object(), ax, (2, 2)) is ax
    new = axes_or_new(object(), None, (3, 2))
    assert new is not ax
    assert tuple(new.figure.get_size_inches()) == (3, 2)


def test_grey_is_absolute(plt):
    image = show_image(plt.subplots()[1], np.full((2, 2), 0.5))
    assert image.get_clim() == (0, 1)
    assert image.to_rgba(np.array([[0.0, 1.0]]))[0, :, 0].tolist() == [0, 1]


def test_without_matplotlib_the_error_names_the_display_and_the_package(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.pyplot", None)
    with pytest.raises(ImportError, match=r"Fraction draws with Matplotlib\. Install it: pip install matplotlib"):
        load_pyplot(type("Fraction", (), {})())
