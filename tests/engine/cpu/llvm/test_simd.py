"""Eight float32 as one value: what the exponential and the logarithm are worth."""

import numpy as np
import pytest
from numba import njit
from numpy.testing import assert_allclose, assert_array_equal

from skconvnet.engine.cpu.llvm.simd import BYTES, LANES, exponential, load, logarithm, square_root, store


def over_lanes(function):
    """`function`, of eight float32, as one of an array of float32 whatever its length."""

    @njit
    def of_run(x, y):
        for at in range(0, 4 * x.size, BYTES):
            store(y.ctypes.data + at, function(load(x.ctypes.data + at)))

    def of_array(x):
        x = np.asarray(x, np.float32)
        run, y = np.ones(-(-x.size // LANES) * LANES, np.float32), np.empty(-(-x.size // LANES) * LANES, np.float32)
        run[: x.size] = x
        of_run(run, y)
        return y[: x.size]

    return of_array


@pytest.fixture(scope="module")
def exp():
    return over_lanes(exponential)


@pytest.fixture(scope="module")
def log():
    return over_lanes(logarithm)


@pytest.mark.parametrize("limits", [(-87, 88), (-1, 1), (-1e-3, 1e-3)])
def test_the_exponential(exp, limits):
    x = np.linspace(*limits, 1_000_003).astype(np.float32)
    assert_allclose(exp(x), np.exp(x.astype(float)), rtol=1.1e-7)


def test_the_exponential_stays_finite_beyond_what_float32_holds(exp):
    assert_array_equal(exp([0.0, -0.0]), 1)
    assert_array_equal(exp([88.5, 1e30, np.inf]), exp([88.0] * 3))
    assert_array_equal(exp([-87.5, -1e30, -np.inf]), exp([-87.0] * 3))
    assert np.isfinite(exp([88.0, -87.0])).all()
    assert np.isnan(exp([np.nan])).all()


def test_the_logarithm_of_every_magnitude(log):
    smallest, infinite = np.array([np.finfo(np.float32).tiny, np.inf], np.float32).view(np.int32)
    x = np.arange(smallest, infinite, 1009, dtype=np.int32).view(np.float32)
    assert_allclose(log(x), np.log(x.astype(float)), rtol=2.5e-7)


@pytest.mark.parametrize("limits", [(0.5, 2), (0.999, 1.001), (1, 1000)])
def test_the_logarithm_around_one(log, limits):
    x = np.linspace(*limits, 1_000_003).astype(np.float32)
    assert_allclose(log(x), np.log(x.astype(float)), rtol=2.5e-7)
    assert_array_equal(log([1.0]), 0)


def test_each_lane_has_its_own(exp, log):
    x = np.arange(1, 24, dtype=np.float32)
    assert_allclose(over_lanes(square_root)(x), np.sqrt(x), rtol=1e-7)
    assert_allclose(log(exp(x)), x, rtol=3e-7)
