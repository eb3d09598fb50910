"""CONV and FC against arrays computed by hand, PyTorch and finite differences."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

from tests import oracles, torch_answers
from tests.oracles.cases import COUNTING, dilated, plane


def test_conv2d_by_hand():
    filters = np.array([[1.0, 2.0], [3.0, 4.0]]).reshape(2, 2, 1, 1)
    out = oracles.conv2d(COUNTING, filters, np.array([10.0]), S=1, P=0, extent=(2, 2))
    # 1*1 + 2*2 + 3*4 + 4*5 + 10 = 47. The weights sum to 10: pixels larger by 1 give 10 more, those of the next row 30.
    assert_array_equal(out, plane([47, 57], [77, 87]))


def test_conv2d_by_hand_with_padding_and_stride():
    filters = np.ones((3, 3, 1, 1))
    out = oracles.conv2d(COUNTING, filters, np.zeros(1), S=2, P=1, extent=(2, 2))
    assert_array_equal(out, plane([1 + 2 + 4 + 5, 2 + 3 + 5 + 6], [4 + 5 + 7 + 8, 5 + 6 + 8 + 9]))


def test_conv2d_sums_over_the_full_depth():
    x = np.array([1.0, 10.0, 100.0]).reshape(1, 1, 1, 3)
    filters = np.array([[1.0, 4.0], [2.0, 5.0], [3.0, 6.0]]).reshape(1, 1, 3, 2)
    out = oracles.conv2d(x, filters, np.array([0.5, 0.25]), S=1, P=0, extent=(1, 1))
    assert_array_equal(out.ravel(), [321.5, 654.25])


def test_conv2d_rounded_down_ignores_pixels_and_rounded_up_reads_zeros():
    x, filters = plane([1, 2, 4, 8]), np.ones((1, 1, 1, 1))
    assert_array_equal(oracles.conv2d(x, filters, np.zeros(1), S=2, P=0, extent=(1, 2)), plane([1, 4]))
    rows = np.ones((3, 3, 1, 1))
    overhanging = oracles.conv2d(np.ones((1, 4, 4, 1)), rows, np.zeros(1), S=2, P=0, extent=(2, 2))
    assert_array_equal(overhanging, plane([9, 6], [6, 4]))


def test_conv2d_gradients_by_hand():
    d_out = plane([1, 0], [0, 2])
    filters = np.array([[1.0, 2.0], [3.0, 4.0]]).reshape(2, 2, 1, 1)
    d_filters = oracles.conv2d_weight_gradient(d_out, COUNTING, F=2, S=1, P=0)
    assert_array_equal(d_filters[:, :, 0, 0], [[1 + 2 * 5, 2 + 2 * 6], [4 + 2 * 8, 5 + 2 * 9]])
    assert_array_equal(oracles.conv2d_bias_gradient(d_out), [3])
    d_x = oracles.conv2d_input_gradient(d_out, filters, S=1, P=0, input_shape=COUNTING.shape)
    assert_array_equal(d_x, plane([1, 2, 0], [3, 4 + 2 * 1, 2 * 2], [0, 2 * 3, 2 * 4]))


def test_each_group_of_filters_sees_its_own_slices():
    x = np.array([1.0, 10.0, 100.0, 1000.0]).reshape(1, 1, 1, 4)
    filters = np.array([[1.0, 3.0, 5.0, 7.0], [2.0, 4.0, 6.0, 8.0]]).reshape(1, 1, 2, 4)
    out = oracles.conv2d(x, filters, np.zeros(4), S=1, P=0, extent=(1, 1), groups=2)
    assert_array_equal(out.ravel(), [21, 43, 6500, 8700])
    d_out = np.array([1.0, 2.0, 3.0, 4.0]).reshape(1, 1, 1, 4)
    d_filters = oracles.conv2d_weight_gradient(d_out, x, F=1, S=1, P=0, groups=2)
    assert_array_equal(d_filters[0, 0], [[1, 2, 300, 400], [10, 20, 3000, 4000]])
    d_x = oracles.conv2d_input_gradient(d_out, filters, S=1, P=0, input_shape=x.shape, groups=2)
    assert_array_equal(d_x.ravel(), [1 * 1 + 2 * 3, 1 * 2 + 2 * 4, 3 * 5 + 4 * 7, 3 * 6 + 4 * 8])


def test_conv2d_without_biases():
    out = oracles.conv2d(COUNTING, np.ones((2, 2, 1, 1)), np.zeros(0), S=1, P=0, extent=(2, 2))
    assert_array_equal(out, plane([12, 16], [24, 28]))


def test_conv2d_with_a_dilation_by_hand():
    filters = np.array([[1.0, 2.0], [3.0, 4.0]]).reshape(2, 2, 1, 1)
    out = oracles.conv2d(COUNTING, filters, np.array([10.0]), S=1, P=0, extent=(1, 1), dilation=2)
    assert_array_equal(out, plane([1 * 1 + 2 * 3 + 3 * 7 + 4 * 9 + 10]))
    d_x = oracles.conv2d_input_gradient(plane([2]), filters, S=1, P=0, input_shape=COUNTING.shape, dilation=2)
    assert_array_equal(d_x, plane([2, 0, 4], [0, 0, 0], [6, 0, 8]))
    d_filters = oracles.conv2d_weight_gradient(plane([2]), COUNTING, F=2, S=1, P=0, dilation=2)
    assert_array_equal(d_filters[:, :, 0, 0], [[2, 6], [14, 18]])


def test_conv2d_of_filters_that_are_not_square_by_hand():
    row = np.array([1.0, 10.0]).reshape(1, 2, 1, 1)
    out = oracles.conv2d(COUNTING, row, np.zeros(1), S=(2, 1), P=(0, 1), extent=(2, 4))
    assert_array_equal(out, plane([10, 21, 32, 3], [70, 87, 98, 9]))


@given(
    geometry=dilated(max_P=lambda F: F),
    groups=st.integers(1, 3),
    sizes=st.tuples(st.integers(1, 3), st.integers(1, 3)),
    bias=st.booleans(),
    seed=st.integers(0, 99),
)
def test_conv2d_and_its_gradients_agree_with_pytorch(in_torch, geometry, groups, sizes, bias, seed):
    (n, height, width, _), F, S, P, extent, dilation = geometry
    C, K = sizes  # channels and filters of each group
    rng = np.random.default_rng(seed)
    x, filters = rng.normal(size=(n, height, width, groups * C)), rng.normal(size=(*oracles.both(F), C, groups * K))
    biases = rng.normal(size=groups * K if bias else 0)
    d_out = rng.normal(size=(n, *extent, groups * K))
    ours = [
        oracles.conv2d(x, filters, biases, S, P, extent, groups, dilation),
        oracles.conv2d_input_gradient(d_out, filters, S, P, x.shape, groups, dilation),
        oracles.conv2d_weight_gradient(d_out, x, F, S, P, groups, dilation),
        *([oracles.conv2d_bias_gradient(d_out)] if bias else []),
    ]
    theirs = in_torch(torch_answers.conv2d, x, filters, biases, d_out, S, P, groups, dilation)
    for our, their in zip(ours, theirs, strict=True):
        assert_allclose(our, their, rtol=1e-12, atol=1e-12)


@given(geometry=dilated(max_P=lambda F: F), groups=st.integers(1, 2), seed=st.integers(0, 99))
def test_conv2d_gradients_agree_with_finite_differences(geometry, groups, seed):
    (n, height, width, C), F, S, P, extent, dilation = geometry
    shape = (n, height, width, groups * C)
    rng = np.random.default_rng(seed)
    x, filters, biases = rng.normal(size=shape), rng.normal(size=(*oracles.both(F), C, 2)), rng.normal(size=2)
    d_out = rng.normal(size=(n, *extent, 2))

    def objective(x=x, filters=filters, biases=biases):
        return np.sum(d_out * oracles.conv2d(x, filters, biases, S, P, extent, groups, dilation))

    d_x = oracles.conv2d_input_gradient(d_out, filters, S, P, shape, groups, dilation)
    d_filters = oracles.conv2d_weight_gradient(d_out, x, F, S, P, groups, dilation)
    d_biases = oracles.conv2d_bias_gradient(d_out)
    assert_allclose(d_x, oracles.finite_differences(lambda array: objective(x=array), x), atol=1e-6)
    assert_allclose(d_filters, oracles.finite_differences(lambda array: objective(filters=array), filters), atol=1e-6)
    assert_allclose(d_biases, oracles.finite_differences(lambda array: objective(biases=array), biases), atol=1e-6)


def test_fully_connected_takes_rows_then_columns_then_channels():
    x = np.array([1.0, 10.0, 100.0, 1000.0]).reshape(1, 1, 2, 2)
    weights = np.array([[1.0, 0.0], [2.0, 0.0], [3.0, 0.0], [4.0, 1.0]])
    out = oracles.fully_connected(x, weights, np.array([0.0, 5.0]))
    assert_array_equal(out, np.array([4321.0, 1005.0]).reshape(1, 1, 1, 2))


def test_fully_connected_gradients_by_hand():
    x = np.array([[1.0, 2.0], [3.0, 4.0]]).reshape(2, 1, 2, 1)
    weights = np.array([[5.0], [6.0]])
    d_x, d_weights, d_biases = oracles.fully_connected_gradients(np.array([1.0, 10.0]).reshape(2, 1, 1, 1), x, weights)
    assert_array_equal(d_x, np.array([[5.0, 6.0], [50.0, 60.0]]).reshape(2, 1, 2, 1))
    assert_array_equal(d_weights, [[31], [42]])
    assert_array_equal(d_biases, [11])


def test_fully_connected_slides_over_larger_images():
    x, weights = np.arange(1.0, 7.0).reshape(1, 2, 3, 1), np.array([[1.0], [10.0], [100.0], [1000.0]])
    out = oracles.sliding_fully_connected(x, weights, np.array([0.5]), extent=(1, 2))
    assert_array_equal(out, plane([5421.5, 6532.5]))
    assert_array_equal(oracles.sliding_fully_connected(x[:, :, :2], weights, np.array([0.5]), (1, 1)), plane([5421.5]))
