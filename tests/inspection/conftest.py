"""Matplotlib for the tests of pictures."""

import pytest


@pytest.fixture
def plt():
    """pyplot without a screen; its figures are closed after the test."""
    pyplot = pytest.importorskip("matplotlib.pyplot", reason="needs Matplotlib (the extra skconvnet[plot])")
    pyplot.switch_backend("agg")
    yield pyplot
    pyplot.close("all")
