"""The oracles against arrays worked out by hand, finite differences and PyTorch."""

from math import ceil, floor

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

from tests import oracles, torch_answers

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


@given(geometry=geometries(max_P=lambda F: F), K=st.integers(1, 3), seed=st.integers(0, 99))
def test_conv2d_and_its_gradients_agree_with_pytorch(in_torch, geometry, K, seed):
    shape, F, S, P, extent = geometry
    rng = np.random.default_rng(seed)
    x, filters, biases = rng.normal(size=shape), rng.normal(size=(F, F, shape[3], K)), rng.normal(size=K)
    d_out = rng.normal(size=(shape[0], *extent, K))
    ours = (
        oracles.conv2d(x, filters, biases, S, P, extent),
        oracles.conv2d_input_gradient(d_out, filters, S, P, shape),
        oracles.conv2d_weight_gradient(d_out, x, F, S, P),
        oracles.conv2d_bias_gradient(d_out),
    )
    theirs = in_torch(torch_answers.conv2d, x, filters, biases, d_out, S, P)
    for our, their in zip(ours, theirs, strict=True):
        assert_allclose(our, their, rtol=1e-12, atol=1e-12)


@given(geometry=geometries(max_P=lambda F: F), seed=st.integers(0, 99))
def test_conv2d_gradients_agree_with_finite_differences(geometry, seed):
    shape, F, S, P, extent = geometry
    rng = np.random.default_rng(seed)
    x, filters, biases = rng.normal(size=shape), rng.normal(size=(F, F, shape[3], 2)), rng.normal(size=2)
    d_out = rng.normal(size=(shape[0], *extent, 2))

    def objective(x=x, filters=filters, biases=biases):
        return np.sum(d_out * oracles.conv2d(x, filters, biases, S, P, extent))

    d_x = oracles.conv2d_input_gradient(d_out, filters, S, P, shape)
    d_filters = oracles.conv2d_weight_gradient(d_out, x, F, S, P)
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


@given(geometry=geometries(max_P=lambda F: F // 2), seed=st.integers(0, 99))
def test_max_pool_and_its_gradient_agree_with_pytorch(in_torch, geometry, seed):
    shape, F, S, P, extent = geometry
    exact = tuple((side - F + 2 * P) / S + 1 for side in shape[1:3])
    rounded_up = extent == tuple(map(ceil, exact)) != tuple(map(floor, exact))
    assume(all((last - 1) * S < side + P for last, side in zip(extent, shape[1:3], strict=True)))  # PyTorch's own rule
    rng = np.random.default_rng(seed)
    x = rng.integers(-3, 3, size=shape).astype(float)  # few values, many ties
    d_out = rng.normal(size=(*shape[:1], *extent, shape[3]))
    out, d_x = in_torch(torch_answers.max_pool, x, d_out, F, S, P, rounded_up)
    assert_array_equal(oracles.max_pool(x, F, S, P, extent), out)
    assert_allclose(oracles.max_pool_gradient(d_out, x, F, S, P), d_x, atol=1e-14)


# -- RELU, FC, the loss ------------------------------------------------------------------------------------------------


def test_relu_by_hand():
    x = plane([-1, 0, 2])
    assert_array_equal(oracles.relu(x), plane([0, 0, 2]))
    assert_array_equal(oracles.relu_gradient(plane([5, 6, 7]), x), plane([0, 0, 7]))


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


def test_gradients_of_a_network_agree_with_finite_differences(network):
    layers, parameters, x, targets = network
    weights = np.array([1.0, 0.5, 2.0])
    found = oracles.gradients(layers, parameters, x, targets, weights, label_smoothing=0.1)
    assert len(found) == len(parameters)
    for at, pair in enumerate(parameters):
        for which in (0, 1):

            def objective(array, at=at, which=which):
                changed = [list(pair) for pair in parameters]
                changed[at][which] = array
                return oracles.loss(layers, changed, x, targets, weights, label_smoothing=0.1)

            assert_allclose(found[at][which], oracles.finite_differences(objective, pair[which]), atol=1e-7)


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
