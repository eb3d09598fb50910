"""The oracles against arrays worked out by hand, finite differences and PyTorch."""

from math import ceil, floor

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

from tests import oracles, torch_answers
from tests.engine.networks import problems

COUNTING = np.arange(1.0, 10.0).reshape(1, 3, 3, 1)  # 1 2 3 / 4 5 6 / 7 8 9


def plane(*rows):
    """One image of depth one."""
    return np.array(rows, dtype=float)[None, :, :, None]


@st.composite
def geometries(draw, max_P):
    """(shape, F, S, P, extent): any that has an output, rectangular, rounded down or up."""
    n, height, width, depth = (draw(st.integers(1, most)) for most in (2, 7, 7, 3))
    F, S = draw(st.integers(1, 5)), draw(st.integers(1, 3))
    P = draw(st.integers(0, max_P(F)))
    rounded = draw(st.sampled_from([floor, ceil]))
    extent = tuple(rounded((side - F + 2 * P) / S) + 1 for side in (height, width))
    assume(min(extent) >= 1)
    return (n, height, width, depth), F, S, P, extent


# -- CONV --------------------------------------------------------------------------------------------------------------


def test_conv2d_by_hand():
    filters = np.array([[1.0, 2.0], [3.0, 4.0]]).reshape(2, 2, 1, 1)
    out = oracles.conv2d(COUNTING, filters, np.array([10.0]), S=1, P=0, extent=(2, 2))
    # 1*1 + 2*2 + 3*4 + 4*5 + 10 = 47; one pixel further each of 1 + 2 + 3 + 4 weights sees 1 more, a row further 3 more
    assert_array_equal(out, plane([47, 57], [77, 87]))


def test_conv2d_by_hand_with_padding_and_stride():
    filters = np.ones((3, 3, 1, 1))
    out = oracles.conv2d(COUNTING, filters, np.zeros(1), S=2, P=1, extent=(2, 2))
    assert_array_equal(out, plane([1 + 2 + 4 + 5, 2 + 3 + 5 + 6], [4 + 5 + 7 + 8, 5 + 6 + 8 + 9]))


def test_conv2d_is_full_along_the_depth():
    x = np.array([1.0, 10.0, 100.0]).reshape(1, 1, 1, 3)
    filters = np.array([[1.0, 4.0], [2.0, 5.0], [3.0, 6.0]]).reshape(1, 1, 3, 2)
    out = oracles.conv2d(x, filters, np.array([0.5, 0.25]), S=1, P=0, extent=(1, 1))
    assert_array_equal(out.ravel(), [321.5, 654.25])


def test_conv2d_rounded_down_ignores_and_rounded_up_reads_zeros():
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


@given(
    geometry=geometries(max_P=lambda F: F),
    groups=st.integers(1, 3),
    sizes=st.tuples(st.integers(1, 3), st.integers(1, 3)),
    bias=st.booleans(),
    seed=st.integers(0, 99),
)
def test_conv2d_and_its_gradients_agree_with_pytorch(in_torch, geometry, groups, sizes, bias, seed):
    (n, height, width, _), F, S, P, extent = geometry
    C, K = sizes  # of each group
    rng = np.random.default_rng(seed)
    x, filters = rng.normal(size=(n, height, width, groups * C)), rng.normal(size=(F, F, C, groups * K))
    biases = rng.normal(size=groups * K if bias else 0)
    d_out = rng.normal(size=(n, *extent, groups * K))
    ours = [
        oracles.conv2d(x, filters, biases, S, P, extent, groups),
        oracles.conv2d_input_gradient(d_out, filters, S, P, x.shape, groups),
        oracles.conv2d_weight_gradient(d_out, x, F, S, P, groups),
        *([oracles.conv2d_bias_gradient(d_out)] if bias else []),
    ]
    theirs = in_torch(torch_answers.conv2d, x, filters, biases, d_out, S, P, groups)
    for our, their in zip(ours, theirs, strict=True):
        assert_allclose(our, their, rtol=1e-12, atol=1e-12)


@given(geometry=geometries(max_P=lambda F: F), groups=st.integers(1, 2), seed=st.integers(0, 99))
def test_conv2d_gradients_agree_with_finite_differences(geometry, groups, seed):
    (n, height, width, C), F, S, P, extent = geometry
    shape = (n, height, width, groups * C)
    rng = np.random.default_rng(seed)
    x, filters, biases = rng.normal(size=shape), rng.normal(size=(F, F, C, 2)), rng.normal(size=2)
    d_out = rng.normal(size=(n, *extent, 2))

    def objective(x=x, filters=filters, biases=biases):
        return np.sum(d_out * oracles.conv2d(x, filters, biases, S, P, extent, groups))

    d_x = oracles.conv2d_input_gradient(d_out, filters, S, P, shape, groups)
    d_filters = oracles.conv2d_weight_gradient(d_out, x, F, S, P, groups)
    d_biases = oracles.conv2d_bias_gradient(d_out)
    assert_allclose(d_x, oracles.finite_differences(lambda array: objective(x=array), x), atol=1e-6)
    assert_allclose(d_filters, oracles.finite_differences(lambda array: objective(filters=array), filters), atol=1e-6)
    assert_allclose(d_biases, oracles.finite_differences(lambda array: objective(biases=array), biases), atol=1e-6)


# -- POOL --------------------------------------------------------------------------------------------------------------


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


def test_average_pool_over_everything():
    x = np.arange(12.0).reshape(1, 2, 3, 2)
    assert_array_equal(oracles.average_pool(x, F=(2, 3), S=1, P=0, extent=(1, 1)).ravel(), [5, 6])


@st.composite
def windows(draw, max_P):
    """Geometries of POOL, which like PyTorch's has no window that begins behind the image."""
    shape, _, S, P, extent = geometry = draw(geometries(max_P))
    assume(all((last - 1) * S < side + P for last, side in zip(extent, shape[1:3], strict=True)))
    return geometry


def rounded_up(shape, F, S, P, extent):
    """What PyTorch calls ceil_mode."""
    exact = tuple((side - F + 2 * P) / S + 1 for side in shape[1:3])
    return extent == tuple(map(ceil, exact)) != tuple(map(floor, exact))


@given(geometry=windows(max_P=lambda F: F // 2), seed=st.integers(0, 99))
def test_max_pool_and_its_gradient_agree_with_pytorch(in_torch, geometry, seed):
    shape, F, S, P, extent = geometry
    rng = np.random.default_rng(seed)
    x = rng.integers(-3, 3, size=shape).astype(float)  # few values, many ties
    d_out = rng.normal(size=(*shape[:1], *extent, shape[3]))
    out, d_x = in_torch(torch_answers.max_pool, x, d_out, F, S, P, rounded_up(*geometry))
    assert_array_equal(oracles.max_pool(x, F, S, P, extent), out)
    assert_allclose(oracles.max_pool_gradient(d_out, x, F, S, P), d_x, atol=1e-14)


@given(geometry=windows(max_P=lambda F: F // 2), seed=st.integers(0, 99))
def test_average_pool_and_its_gradient_agree_with_pytorch(in_torch, geometry, seed):
    shape, F, S, P, extent = geometry
    rng = np.random.default_rng(seed)
    x, d_out = rng.normal(size=shape), rng.normal(size=(*shape[:1], *extent, shape[3]))
    theirs = in_torch(torch_answers.average_pool, x, d_out, F, S, P, rounded_up(*geometry))
    assert_allclose(oracles.average_pool(x, F, S, P, extent), theirs[0], atol=1e-14)
    assert_allclose(oracles.average_pool_gradient(d_out, x, F, S, P), theirs[1], atol=1e-14)


@given(geometry=windows(max_P=lambda F: F - 1), seed=st.integers(0, 99))
def test_average_pool_gradient_agrees_with_finite_differences(geometry, seed):
    shape, F, S, P, extent = geometry
    rng = np.random.default_rng(seed)
    x, d_out = rng.normal(size=shape), rng.normal(size=(*shape[:1], *extent, shape[3]))
    numeric = oracles.finite_differences(lambda x: np.sum(d_out * oracles.average_pool(x, F, S, P, extent)), x)
    assert_allclose(oracles.average_pool_gradient(d_out, x, F, S, P), numeric, atol=1e-7)


# -- Element by element ------------------------------------------------------------------------------------------------


def test_relu_by_hand():
    x = plane([-1, 0, 2])
    assert_array_equal(oracles.relu(x), plane([0, 0, 2]))
    assert_array_equal(oracles.relu_gradient(plane([5, 6, 7]), x), plane([0, 0, 7]))


def test_tanh_and_sigmoid_by_hand():
    x = plane([-np.log(2), 0, np.log(3)])
    assert_allclose(oracles.tanh(x), plane([-0.6, 0, 0.8]), atol=1e-15)  # (4 - 1)/(4 + 1), (9 - 1)/(9 + 1)
    assert_allclose(oracles.tanh_gradient(plane([1, 1, 100]), x), plane([0.64, 1, 36]))
    assert_allclose(oracles.sigmoid(x), plane([1 / 3, 0.5, 0.75]))
    assert_allclose(oracles.sigmoid_gradient(plane([9, 4, 16]), x), plane([2, 1, 3]))


@pytest.mark.parametrize("kind", ["tanh", "sigmoid"])
def test_tanh_and_sigmoid_agree_with_pytorch_and_finite_differences(in_torch, kind):
    rng = np.random.default_rng(0)
    function, gradient = getattr(oracles, kind), getattr(oracles, f"{kind}_gradient")
    x, d_out = 3 * rng.normal(size=(2, 3, 2, 4)), rng.normal(size=(2, 3, 2, 4))
    out, d_x = in_torch(torch_answers.activation, kind, x, d_out)
    assert_allclose(function(x), out, rtol=1e-12)
    assert_allclose(gradient(d_out, x), d_x, rtol=1e-9, atol=1e-12)
    numeric = oracles.finite_differences(lambda x: np.sum(d_out * function(x)), x)
    assert_allclose(gradient(d_out, x), numeric, atol=1e-8)


def test_dropout_by_hand():
    x, mask = plane([1, 2, 3, -4]), plane([1, 0, 1, 1])
    assert_array_equal(oracles.dropout(x, mask, rate=0.5), plane([2, 0, 6, -8]))
    assert_array_equal(oracles.dropout(x, mask == 1, rate=0.75), plane([4, 0, 12, -16]))
    assert_array_equal(oracles.dropout(x, np.ones(x.shape), rate=0.0), x)


# -- NORM --------------------------------------------------------------------------------------------------------------


def test_batch_norm_by_hand():
    """Each slice over images and pixels: mean 3 and variance 4, mean 0 and variance 1."""
    x = np.array([[1.0, -1.0], [1.0, 1.0], [5.0, 1.0], [5.0, -1.0]]).reshape(2, 1, 2, 2)
    out = oracles.batch_norm(x, scale=np.array([1.0, 10.0]), shift=np.array([0.5, 0.0]), eps=0.0)
    assert_array_equal(out.reshape(4, 2), [[-0.5, -10], [-0.5, 10], [1.5, 10], [1.5, -10]])
    with_eps = oracles.batch_norm(x, scale=np.ones(2), shift=np.zeros(2), eps=5.0)  # sqrt(4 + 5) = 3
    assert_allclose(with_eps[..., 0].ravel(), [-2 / 3, -2 / 3, 2 / 3, 2 / 3])


def test_batch_norm_gradients_by_hand():
    """What is common to all, and what goes along with the values, normalisation takes out: nothing reaches x."""
    x = np.array([1.0, 1.0, 5.0, 5.0]).reshape(4, 1, 1, 1)
    d_out = np.array([1.0, 1.0, 4.0, 4.0]).reshape(4, 1, 1, 1)
    d_x, d_scale, d_shift = oracles.batch_norm_gradients(d_out, x, scale=np.array([7.0]), eps=0.0)
    assert_allclose(d_x, np.zeros(d_x.shape), atol=1e-14)
    assert_allclose((d_scale, d_shift), [[6], [10]])
    d_out = np.array([1.0, -1.0, 0.0, 0.0]).reshape(4, 1, 1, 1)
    d_x, d_scale, d_shift = oracles.batch_norm_gradients(d_out, x, scale=np.array([7.0]), eps=0.0)
    assert_allclose(d_x.ravel(), [3.5, -3.5, 0, 0])  # scale / deviation = 7 / 2
    assert_allclose((d_scale, d_shift), [[0], [0]], atol=1e-14)


def test_running_statistics_by_hand():
    x = np.array([1.0, 1.0, 5.0, 5.0]).reshape(2, 1, 2, 1)
    mean, variance = oracles.running_statistics(x, np.array([1.0]), np.array([1.0]), momentum=0.25)
    assert_allclose((mean, variance), [[0.75 + 3 / 4], [0.75 + (16 / 3) / 4]])  # unbiased: 16 / (4 - 1)
    alone = oracles.running_statistics(x[:1, :, :1], np.array([2.0]), np.array([1.0]), momentum=0.5)
    assert_array_equal(alone, [[2.0], [1.0]])


def test_batch_norm_in_inference_by_hand():
    x = np.array([1.0, 2.0]).reshape(1, 1, 1, 2)
    arrays = [np.array(own) for own in ([2.0, 3.0], [0.0, 1.0], [0.0, 4.0], [3.0, 0.0])]
    assert_array_equal(oracles.batch_norm_inference(x, *arrays, eps=1.0).ravel(), [1, -5])


def norm_problem(seed):
    """A volume, scales, shifts and a gradient; n * rows * columns >= 2, which PyTorch wants."""
    rng = np.random.default_rng(seed)
    shape = tuple(rng.integers((2, 1, 1, 1), (4, 4, 4, 5)))
    scale, shift = 1 + 0.3 * rng.normal(size=shape[3]), rng.normal(size=shape[3])
    return rng.normal(1, 2, size=shape), scale, shift, rng.normal(size=shape)


@given(seed=st.integers(0, 999), eps=st.sampled_from([1e-5, 0.1]), momentum=st.sampled_from([0.1, 0.7]))
def test_batch_norm_agrees_with_pytorch(in_torch, seed, eps, momentum):
    x, scale, shift, d_out = norm_problem(seed)
    mean, variance = np.random.default_rng(seed).uniform(0.5, 2, size=(2, x.shape[3]))
    ours = [
        oracles.batch_norm(x, scale, shift, eps),
        *oracles.batch_norm_gradients(d_out, x, scale, eps),
        *oracles.running_statistics(x, mean, variance, momentum),
    ]
    theirs = in_torch(torch_answers.batch_norm, x, scale, shift, d_out, mean, variance, momentum, eps)
    for our, their in zip(ours, theirs, strict=True):
        assert_allclose(our, their, rtol=1e-8, atol=1e-8)
    (out,) = in_torch(torch_answers.batch_norm_inference, x, scale, shift, mean, variance, eps)
    assert_allclose(oracles.batch_norm_inference(x, scale, shift, mean, variance, eps), out, rtol=1e-12)


@given(seed=st.integers(0, 999), eps=st.sampled_from([1e-5, 0.1]))
def test_layer_norm_agrees_with_pytorch(in_torch, seed, eps):
    x, scale, shift, d_out = norm_problem(seed)
    ours = oracles.layer_norm(x, scale, shift, eps), *oracles.layer_norm_gradients(d_out, x, scale, eps)
    for our, their in zip(ours, in_torch(torch_answers.layer_norm, x, scale, shift, d_out, eps), strict=True):
        assert_allclose(our, their, rtol=1e-8, atol=1e-8)


@pytest.mark.parametrize("kind", ["batch_norm", "layer_norm"])
@given(seed=st.integers(0, 999))
def test_norm_gradients_agree_with_finite_differences(kind, seed):
    x, scale, shift, d_out = norm_problem(seed)
    norm, gradients = getattr(oracles, kind), getattr(oracles, f"{kind}_gradients")
    numeric = (
        oracles.finite_differences(lambda x: np.sum(d_out * norm(x, scale, shift, 0.1)), x),
        oracles.finite_differences(lambda scale: np.sum(d_out * norm(x, scale, shift, 0.1)), scale),
        oracles.finite_differences(lambda shift: np.sum(d_out * norm(x, scale, shift, 0.1)), shift),
    )
    for our, their in zip(gradients(d_out, x, scale, 0.1), numeric, strict=True):
        assert_allclose(our, their, atol=1e-6)


def test_layer_norm_by_hand():
    """Each image over its volume, whatever the others are: mean 3, variance 4; scale and shift by slices."""
    x = np.array([1.0, 1.0, 5.0, 5.0, 10.0, 50.0, 10.0, 50.0]).reshape(2, 1, 2, 2)
    out = oracles.layer_norm(x, scale=np.array([1.0, 10.0]), shift=np.array([0.5, 0.0]), eps=0.0)
    assert_array_equal(out.reshape(2, 4), [[-0.5, -10, 1.5, 10], [-0.5, 10, -0.5, 10]])


def test_local_response_norm_by_hand():
    x = np.array([1.0, 2.0, 3.0, 4.0]).reshape(1, 1, 1, 4)
    out = oracles.local_response_norm(x, size=3, alpha=10.0, beta=1.0, k=50.0)
    assert_allclose(out.ravel(), [1 / (50 + 50), 2 / (50 + 140), 3 / (50 + 290), 4 / (50 + 250)])
    even = oracles.local_response_norm(x, size=2, alpha=1.0, beta=2.0, k=0.0)
    assert_allclose(even.ravel(), [1 / 1, 2 / (1 + 4) ** 2, 3 / (4 + 9) ** 2, 4 / (9 + 16) ** 2])
    alone = oracles.local_response_norm(x, size=1, alpha=1.0, beta=0.5, k=0.0)
    assert_array_equal(alone.ravel(), [1, 1, 1, 1])


def test_local_response_norm_gradient_by_hand():
    """With size 1, alpha = beta = k = 1: b = a/(1 + a^2), b' = (1 - a^2)/(1 + a^2)^2."""
    x = np.array([0.0, 1.0, 2.0]).reshape(1, 1, 1, 3)
    d_x = oracles.local_response_norm_gradient(np.ones(x.shape), x, size=1, alpha=1.0, beta=1.0, k=1.0)
    assert_allclose(d_x.ravel(), [1, 0, -3 / 25])


@given(
    depth=st.integers(1, 7),
    size=st.integers(1, 9),
    beta=st.sampled_from([0.75, 0.5, 1.0]),
    k=st.sampled_from([1.0, 2.0]),
    seed=st.integers(0, 99),
)
def test_local_response_norm_agrees_with_pytorch_and_finite_differences(in_torch, depth, size, beta, k, seed):
    rng = np.random.default_rng(seed)
    x, d_out = rng.normal(size=(2, 1, 2, depth)), rng.normal(size=(2, 1, 2, depth))
    numbers = (size, 0.3, beta, k)
    out, d_x = in_torch(torch_answers.local_response_norm, x, d_out, *numbers)
    assert_allclose(oracles.local_response_norm(x, *numbers), out, rtol=1e-12)
    found = oracles.local_response_norm_gradient(d_out, x, *numbers)
    assert_allclose(found, d_x, rtol=1e-9, atol=1e-12)
    numeric = oracles.finite_differences(lambda x: np.sum(d_out * oracles.local_response_norm(x, *numbers)), x)
    assert_allclose(found, numeric, atol=1e-8)


# -- FC and the loss ---------------------------------------------------------------------------------------------------


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


def test_softmax_cross_entropy_by_hand():
    scores, targets = np.log([[1.0, 3.0], [1.0, 1.0]]), np.array([1, 0])
    assert_allclose(oracles.softmax_cross_entropy(scores, targets), (np.log(4 / 3) + np.log(2)) / 2)
    assert_allclose(oracles.softmax_cross_entropy(scores, targets, weights=[3, 1]), (3 * np.log(4 / 3) + np.log(2)) / 4)
    smooth = oracles.softmax_cross_entropy(scores[:1], targets[:1], label_smoothing=0.2)
    assert_allclose(smooth, 0.9 * np.log(4 / 3) + 0.1 * np.log(4))
    d_scores = oracles.softmax_cross_entropy_gradient(scores, targets)
    assert_allclose(d_scores, [[0.25 / 2, -0.25 / 2], [-0.5 / 2, 0.5 / 2]])


def test_softmax_cross_entropy_of_huge_scores_is_finite():
    assert_allclose(oracles.softmax_cross_entropy(np.array([[1e6, 1e6]]), np.array([0])), np.log(2))


@given(label_smoothing=st.sampled_from([0.0, 0.1, 0.5]), seed=st.integers(0, 99))
def test_softmax_cross_entropy_agrees_with_pytorch_and_finite_differences(in_torch, label_smoothing, seed):
    rng = np.random.default_rng(seed)
    scores, targets, weights = rng.normal(size=(4, 3)), rng.integers(0, 3, size=4), rng.uniform(size=4)
    loss = oracles.softmax_cross_entropy(scores, targets, weights, label_smoothing)
    d_scores = oracles.softmax_cross_entropy_gradient(scores, targets, weights, label_smoothing)
    their_loss, their_d_scores = in_torch(torch_answers.cross_entropy, scores, targets, weights, label_smoothing)
    assert_allclose(loss, their_loss, rtol=1e-12)
    assert_allclose(d_scores, their_d_scores, rtol=1e-12, atol=1e-14)
    numeric = oracles.finite_differences(
        lambda scores: oracles.softmax_cross_entropy(scores, targets, weights, label_smoothing), scores
    )
    assert_allclose(d_scores, numeric, atol=1e-8)


# -- Whole networks ----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def network():
    """Layers, parameters, images and targets of a small network with a CONV, overlapping pools and two FC layers."""
    rng = np.random.default_rng(0)
    layers = [
        oracles.Conv(S=1, P=1, extent=(5, 6)),
        oracles.Relu(),
        oracles.MaxPool(F=3, S=2, P=0, extent=(2, 3)),
        oracles.FullyConnected(),
        oracles.Relu(),
        oracles.FullyConnected(),
    ]
    shapes = [(3, 3, 2, 4), (2 * 3 * 4, 5), (5, 3)]
    parameters = [(rng.normal(size=shape), rng.normal(size=shape[-1])) for shape in shapes]
    return layers, parameters, rng.normal(size=(3, 5, 6, 2)), np.array([0, 2, 1])


def test_forward_of_the_texts_first_network_has_the_texts_volumes():
    """[32x32x3] through CONV12 is [32x32x12], POOL [16x16x12], FC [1x1x10]."""
    layers = [
        oracles.Conv(S=1, P=1, extent=(32, 32)),
        oracles.Relu(),
        oracles.MaxPool(F=2, S=2, P=0, extent=(16, 16)),
        oracles.FullyConnected(),
    ]
    parameters = [(np.zeros((3, 3, 3, 12)), np.zeros(12)), (np.zeros((16 * 16 * 12, 10)), np.arange(10.0))]
    volumes = oracles.activations(layers, parameters, np.zeros((1, 32, 32, 3)))
    assert [volume.shape[1:] for volume in volumes[1:]] == [(32, 32, 12), (32, 32, 12), (16, 16, 12), (1, 1, 10)]
    assert_array_equal(oracles.forward(layers, parameters, np.zeros((1, 32, 32, 3))), [np.arange(10)])


def assert_gradients_are_finite_differences(layers, parameters, x, targets):
    weights = np.array([1.0, 0.5, 2.0])
    found = oracles.gradients(layers, parameters, x, targets, weights, label_smoothing=0.1)
    assert len(found) == len(parameters)
    for at, pair in enumerate(parameters):
        for which in (0, 1):

            def objective(array, at=at, which=which):
                changed = [list(pair) for pair in parameters]
                changed[at][which] = array
                return oracles.loss(layers, changed, x, targets, weights, label_smoothing=0.1)

            assert found[at][which].shape == pair[which].shape
            assert_allclose(found[at][which], oracles.finite_differences(objective, pair[which]), atol=1e-7)


def test_gradients_of_a_network_agree_with_finite_differences(network):
    assert_gradients_are_finite_differences(*network)


def test_a_sum_by_hand():
    """Twice itself and its RELU: 3 where positive, 2 where not."""
    layer = oracles.Sum(((oracles.Skip(),), (oracles.Relu(),), (oracles.Skip(), oracles.Skip())))
    x = plane([-1, 2])
    assert_array_equal(layer.forward(x, [()], [()], [(), ()]), plane([-2, 6]))
    d_x, *d_own = layer.backward(plane([10, 100]), x, [()], [()], [(), ()])
    assert_array_equal(d_x, plane([20, 300]))
    assert d_own == [[()], [()], [(), ()]]


def test_a_stack_by_hand():
    """The branches' slices in the order of the branches; what each of them hands back is added up."""
    doubling = oracles.Conv(S=1, P=0, extent=(1, 2)), (np.full((1, 1, 1, 2), 2.0), np.zeros(0))
    layer = oracles.Stack(((oracles.Relu(),), doubling[:1], (oracles.Skip(),)))
    own = [[()], [doubling[1]], [()]]
    x = plane([-1, 3])
    assert_array_equal(layer.forward(x, *own), [[[[0, -2, -2, -1], [3, 6, 6, 3]]]])
    d_out = np.array([[[[1.0, 10.0, 100.0, 1000.0], [2.0, 20.0, 200.0, 2000.0]]]])
    d_x, *d_own = layer.backward(d_out, x, *own)
    assert_array_equal(d_x, plane([2 * 110 + 1000, 2 + 2 * 220 + 2000]))
    assert_array_equal(d_own[1][0][0].ravel(), [-10 + 3 * 20, -100 + 3 * 200])


@pytest.fixture(scope="module")
def branched():
    """A network with nested branches, NORM in all modes, groups, a CONV without biases, and DROPOUT."""
    rng = np.random.default_rng(1)

    def conv(groups=1):
        return oracles.Conv(S=1, P=1, extent=(4, 5), groups=groups)

    def mask(number, shape):
        return np.random.default_rng(number).random(shape) > 0.3

    inner = oracles.Stack(
        ((conv(groups=2), oracles.Tanh()), (oracles.AveragePool(F=3, S=1, P=1, extent=(4, 5)),), (oracles.Skip(),))
    )
    residual = oracles.Sum(((inner, oracles.BatchNorm(), conv(groups=1)), (oracles.Dropout(0.3, 0, mask),)))
    layers = [
        conv(),
        oracles.LayerNorm(),
        residual,
        oracles.LocalResponseNorm(size=3, alpha=0.5),
        oracles.Sum(((oracles.Skip(),), (oracles.Skip(),))),
        oracles.AveragePool(F=(4, 5), S=1, P=0, extent=(1, 1)),
        oracles.Dropout(0.3, 1, mask),
        oracles.BatchNorm(momentum=0.5),
        oracles.Sigmoid(),
        oracles.FullyConnected(),
    ]
    shapes = [(3, 3, 2, 4), (4,), (3, 3, 2, 2), (10,), (3, 3, 10, 4), (4,), (4, 3)]
    parameters = [(rng.normal(size=shape), rng.normal(size=shape[-1])) for shape in shapes]
    parameters[2] = (parameters[2][0], np.zeros(0))
    return layers, parameters, rng.normal(size=(3, 4, 5, 2)), np.array([0, 2, 1])


def test_gradients_through_branches_agree_with_finite_differences(branched):
    assert_gradients_are_finite_differences(*branched)


def test_running_statistics_are_those_of_what_stands_before_each_norm(branched):
    layers, parameters, x, _ = branched
    running = [(np.zeros(10), np.ones(10)), (np.zeros(4), np.ones(4))]
    first, second = oracles.running_after(layers, parameters, x, running)
    before_second = oracles.activations(layers, parameters, x)[7]
    assert_array_equal(second, oracles.running_statistics(before_second, np.zeros(4), np.ones(4), 0.5))
    _, *before = oracles.activations(layers[:2], parameters[:2], x)
    stack = layers[2].branches[0][0].forward(before[-1], [parameters[2], ()], [()], [()])
    assert_array_equal(first, oracles.running_statistics(stack, np.zeros(10), np.ones(10), 0.1))


def test_inference_has_the_running_statistics_and_no_dropout(branched):
    layers, parameters, x, _ = branched
    running = [(np.full(10, 0.5), np.full(10, 2.0)), (np.full(4, 0.25), np.full(4, 3.0))]
    fixed = oracles.in_inference(layers, running)
    assert type(fixed[2].branches[0][1]) is type(fixed[7]) is oracles.FixedNorm
    assert type(fixed[2].branches[1][0]) is type(fixed[6]) is oracles.Skip
    assert_array_equal(fixed[2].branches[0][1].variance, np.full(10, 2))
    scores = oracles.forward(layers, parameters, x, running)
    one_by_one = [oracles.forward(layers, parameters, x[n : n + 1], running) for n in range(3)]
    assert_allclose(scores, np.concatenate(one_by_one), rtol=1e-12)  # no image says anything about another


def test_inputs_of_a_kind_of_layer_are_found_in_branches_too(branched):
    layers, parameters, x, _ = branched
    own = oracles.per_layer(layers, iter(parameters))
    found = list(oracles.inputs_of(oracles.Skip, layers, own, x))
    assert [batch.shape[3] for _, batch in found] == [4, 4, 4]
    ((layer, batch),) = oracles.inputs_of(oracles.LayerNorm, layers, own, x)
    assert layer is layers[1]
    assert_array_equal(batch, oracles.activations(layers, parameters, x)[1])


@given(problem=problems(torch=True))
def test_drawn_networks_agree_with_pytorch(in_torch, problem):
    """Scores, loss, gradients and running statistics, of branches within branches and all layers."""
    found, expected = problem.expected(), problem.expected_of(in_torch)
    assert found.keys() == expected.keys()
    largest = max(np.abs(array).max(initial=0) for array in expected.values())
    for name, wanted in expected.items():
        assert_allclose(found[name], wanted, atol=1e-10 * largest, err_msg=name)


# -- Optimizers --------------------------------------------------------------------------------------------------------


def test_the_first_step_of_adam_is_the_learning_rate_long():
    p, m, v = oracles.adam(np.array([1.0]), np.array([4.0]), 0.0, 0.0, step=1, learning_rate=0.1, epsilon=0.0)
    assert_allclose((p, m, v), [[0.9], [0.4], [0.016]])


def test_adam_agrees_with_pytorch(in_torch):
    rng = np.random.default_rng(0)
    p, gradients, learning_rates = rng.normal(size=5), rng.normal(size=(4, 5)), [0.1, 0.2, 0.05, 0.01]
    theirs = in_torch(torch_answers.adamw, p, gradients, learning_rates, 0.3)
    m = v = np.zeros(5)
    for step in range(4):
        p, m, v = oracles.adam(p, gradients[step], m, v, step + 1, learning_rates[step], alpha=0.3)
        assert_allclose(p, theirs[step], rtol=1e-12)


def test_sgd_by_hand():
    p, velocity = oracles.sgd(1.0, 2.0, 0.5, learning_rate=0.1, momentum=0.9, nesterov=False)
    assert_allclose((p, velocity), (1.25, 0.25))
    p, velocity = oracles.sgd(1.0, 2.0, 0.5, learning_rate=0.1, momentum=0.9, nesterov=True)
    assert_allclose((p, velocity), (1 + 0.9 * 0.25 - 0.2, 0.25))
    p, velocity = oracles.sgd(1.0, 2.0, 0.0, learning_rate=0.1, momentum=0.0, alpha=5.0, batch_size=10)
    assert_allclose((p, velocity), (0.75, -0.25))


@pytest.mark.parametrize("nesterov", [False, True])
def test_sgd_agrees_with_pytorch(in_torch, nesterov):
    rng = np.random.default_rng(0)
    p, gradients = rng.normal(size=5), rng.normal(size=(4, 5))
    theirs = in_torch(torch_answers.sgd, p, gradients, 0.1, 0.9, nesterov, 0.3)
    velocity = np.zeros(5)
    for gradient, their in zip(gradients, theirs, strict=True):
        p, velocity = oracles.sgd(p, gradient, velocity, 0.1, 0.9, nesterov, alpha=0.3 * 7, batch_size=7)
        assert_allclose(p, their, rtol=1e-12)


@pytest.mark.parametrize("nesterov", [False, True])
def test_sgd_agrees_with_scikit_learn(nesterov):
    from sklearn.neural_network._stochastic_optimizers import SGDOptimizer

    rng = np.random.default_rng(0)
    p, gradients = rng.normal(size=5), rng.normal(size=(4, 5))
    theirs, velocity = p.copy(), np.zeros(5)
    optimizer = SGDOptimizer([theirs], learning_rate_init=0.1, momentum=0.9, nesterov=nesterov)
    for gradient in gradients:
        optimizer.update_params([theirs], [gradient])
        p, velocity = oracles.sgd(p, gradient, velocity, 0.1, 0.9, nesterov)
        assert_allclose(p, theirs, rtol=1e-12)


def test_finite_differences_of_a_known_function():
    x = np.array([[1.0, -2.0], [0.5, 3.0]])
    assert_allclose(oracles.finite_differences(lambda x: np.sum(x**3), x), 3 * x**2, rtol=1e-8)
