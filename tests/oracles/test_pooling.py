"""POOL against arrays computed by hand, PyTorch and finite differences."""

from math import ceil, floor

import numpy as np
from hypothesis import assume, given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

from tests import oracles, torch_answers
from tests.oracles.cases import COUNTING, geometries, plane


def test_max_pool_by_hand():
    x = plane([1, 1, 2, 4], [5, 6, 7, 8], [3, 2, 1, 0], [1, 2, 3, 4])
    assert_array_equal(oracles.max_pool(x, F=2, S=2, P=0, extent=(2, 2)), plane([6, 8], [3, 4]))
    d_x = oracles.max_pool_gradient(plane([1, 2], [3, 4]), x, F=2, S=2, P=0)
    assert_array_equal(d_x, plane([0, 0, 0, 0], [0, 1, 0, 2], [3, 0, 0, 0], [0, 0, 0, 4]))


def test_max_pool_first_of_equal_pixels_wins():
    x = plane([0, 7], [7, 7])
    assert_array_equal(oracles.max_pool_gradient(plane([1]), x, F=2, S=2, P=0), plane([0, 1], [0, 0]))


def test_max_pool_padding_never_wins_and_overhanging_windows_are_clipped():
    x = -COUNTING
    assert_array_equal(oracles.max_pool(x, F=3, S=2, P=1, extent=(2, 2)), plane([-1, -2], [-4, -5]))
    assert_array_equal(oracles.max_pool(x, F=2, S=2, P=0, extent=(2, 2)), plane([-1, -3], [-7, -9]))


def test_max_pool_of_windows_that_are_not_square():
    x = plane([1, 2], [3, 4])
    assert_array_equal(oracles.max_pool(x, F=(1, 2), S=1, P=0, extent=(2, 1)), plane([2], [4]))
    assert_array_equal(oracles.max_pool(x, F=(2, 1), S=1, P=0, extent=(1, 2)), plane([3, 4]))


def test_windows_of_two_strides_and_paddings():
    assert oracles.window((1, 4, 5, 1), 1, 1, F=(1, 2), S=(2, 3), P=(0, 1)) == [(2, 2), (2, 3)]
    assert oracles.window((1, 4, 5, 1), 0, 0, F=(1, 2), S=(2, 3), P=(0, 1)) == [(0, 0)]


def test_average_pool_by_hand():
    x = plane([1, 1, 2, 4], [5, 6, 7, 8], [3, 2, 1, 0], [1, 2, 3, 4])
    assert_array_equal(oracles.average_pool(x, F=2, S=2, P=0, extent=(2, 2)), plane([3.25, 5.25], [2, 2]))
    d_x = oracles.average_pool_gradient(plane([4, 8], [12, 16]), x, F=2, S=2, P=0)
    assert_array_equal(d_x, plane([1, 1, 2, 2], [1, 1, 2, 2], [3, 3, 4, 4], [3, 3, 4, 4]))


def test_average_pool_counts_neither_padding_nor_overhang():
    out = oracles.average_pool(COUNTING, F=3, S=2, P=1, extent=(2, 2))
    assert_array_equal(out, plane([(1 + 2 + 4 + 5) / 4, (2 + 3 + 5 + 6) / 4], [(4 + 5 + 7 + 8) / 4, 28 / 4]))
    assert_array_equal(oracles.average_pool(COUNTING, F=2, S=2, P=0, extent=(2, 2)), plane([3, 4.5], [7.5, 9]))
    d_x = oracles.average_pool_gradient(plane([4, 2], [2, 1]), COUNTING, F=2, S=2, P=0)
    assert_array_equal(d_x, plane([1, 1, 1], [1, 1, 1], [1, 1, 1]))


def test_average_pool_may_count_its_padding_but_never_what_hangs_over_it():
    out = oracles.average_pool(COUNTING, F=3, S=2, P=1, extent=(2, 2), counted=True)
    assert_array_equal(out, plane([12 / 9, 16 / 9], [24 / 9, 28 / 9]))
    out = oracles.average_pool(COUNTING, F=(1, 3), S=3, P=(0, 1), extent=(1, 2), counted=True)
    assert_array_equal(out, plane([(0 + 1 + 2) / 3, (3 + 0) / 2]))
    d_x = oracles.average_pool_gradient(plane([9, 18], [27, 36]), COUNTING, F=3, S=2, P=1, counted=True)
    assert_array_equal(d_x, plane([1, 3, 2], [4, 10, 6], [3, 7, 4]))


def test_average_pool_over_the_whole_image():
    x = np.arange(12.0).reshape(1, 2, 3, 2)
    assert_array_equal(oracles.average_pool(x, F=(2, 3), S=1, P=0, extent=(1, 1)).ravel(), [5, 6])


@st.composite
def windows(draw, max_P):
    """Geometries of POOL. As in PyTorch, every window begins before the end of the image."""
    shape, _, S, P, extent = geometry = draw(geometries(max_P))
    axes = zip(extent, shape[1:3], oracles.both(S), oracles.both(P), strict=True)
    assume(all((last - 1) * S < side + P for last, side, S, P in axes))
    return geometry


def rounded_up(shape, F, S, P, extent):
    """Whether PyTorch needs ceil_mode=True for this extent."""
    axes = zip(shape[1:3], *map(oracles.both, (F, S, P)), strict=True)
    exact = [(side - F + 2 * P) / S + 1 for side, F, S, P in axes]
    return extent == tuple(map(ceil, exact)) != tuple(map(floor, exact))


@given(geometry=windows(max_P=lambda F: F // 2), seed=st.integers(0, 99))
def test_max_pool_and_its_gradient_agree_with_pytorch(in_torch, geometry, seed):
    shape, F, S, P, extent = geometry
    rng = np.random.default_rng(seed)
    x = rng.integers(-3, 3, size=shape).astype(float)  # many equal values
    d_out = rng.normal(size=(*shape[:1], *extent, shape[3]))
    out, d_x = in_torch(torch_answers.max_pool, x, d_out, F, S, P, rounded_up(*geometry))
    assert_array_equal(oracles.max_pool(x, F, S, P, extent), out)
    assert_allclose(oracles.max_pool_gradient(d_out, x, F, S, P), d_x, atol=1e-14)


@given(geometry=windows(max_P=lambda F: F // 2), counted=st.booleans(), seed=st.integers(0, 99))
def test_average_pool_and_its_gradient_agree_with_pytorch(in_torch, geometry, counted, seed):
    shape, F, S, P, extent = geometry
    rng = np.random.default_rng(seed)
    x, d_out = rng.normal(size=shape), rng.normal(size=(*shape[:1], *extent, shape[3]))
    theirs = in_torch(torch_answers.average_pool, x, d_out, F, S, P, rounded_up(*geometry), counted)
    assert_allclose(oracles.average_pool(x, F, S, P, extent, counted), theirs[0], atol=1e-14)
    assert_allclose(oracles.average_pool_gradient(d_out, x, F, S, P, counted), theirs[1], atol=1e-14)


@given(geometry=windows(max_P=lambda F: F - 1), counted=st.booleans(), seed=st.integers(0, 99))
def test_average_pool_gradient_agrees_with_finite_differences(geometry, counted, seed):
    shape, F, S, P, extent = geometry
    rng = np.random.default_rng(seed)
    x, d_out = rng.normal(size=shape), rng.normal(size=(*shape[:1], *extent, shape[3]))
    numeric = oracles.finite_differences(lambda x: np.sum(d_out * oracles.average_pool(x, F, S, P, extent, counted)), x)
    assert_allclose(oracles.average_pool_gradient(d_out, x, F, S, P, counted), numeric, atol=1e-7)
