"""Matplotlib, and two large networks, for the tests of pictures."""

import warnings

import numpy as np
import pytest

from tests.estimators.quick import quick


@pytest.fixture
def plt():
    """pyplot without a screen; its figures are closed after the test."""
    pyplot = pytest.importorskip("matplotlib.pyplot", reason="needs Matplotlib (the extra skconvnet[plot])")
    pyplot.switch_backend("agg")
    yield pyplot
    pyplot.close("all")


@pytest.fixture(scope="session", params=[("resnet20", 8), ("googlenet", 64)], ids=lambda network: network[0])
def large(request):
    """A network with many branches that is fitted, and images."""
    name, side = request.param
    X = np.random.default_rng(0).integers(0, 256, (4, side, side, 3)).astype(np.uint8)
    with warnings.catch_warnings(action="ignore"):  # of few epochs, and of filters larger than their input
        return quick(architecture=name, max_iter=1, batch_size=4).fit(X, np.arange(4) % 2), X
