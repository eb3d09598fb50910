"""Activation functions and DROPOUT against arrays computed by hand, PyTorch and finite differences."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from tests import oracles, torch_answers
from tests.oracles.cases import plane


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


def test_functions_of_pieces_by_hand():
    x = plane([-4, -2, 0, 1, 4, 7])
    assert_array_equal(oracles.relu6(x), plane([0, 0, 0, 1, 4, 6]))
    assert_array_equal(oracles.relu6_gradient(plane([5, 5, 5, 6, 7, 8]), x), plane([0, 0, 0, 6, 7, 0]))
    assert_allclose(oracles.hsigmoid(x), plane([0, 1 / 6, 1 / 2, 2 / 3, 1, 1]))
    assert_allclose(oracles.hsigmoid_gradient(plane([6, 6, 12, 18, 6, 6]), x), plane([0, 1, 2, 3, 0, 0]))
    assert_allclose(oracles.hswish(x), plane([0, -1 / 3, 0, 2 / 3, 4, 7]))
    assert_allclose(oracles.hswish_gradient(plane([6, 6, 6, 6, 6, 6]), x), plane([0, -1, 3, 5, 6, 6]))


def test_gelu_by_hand():
    """Of a standard normal number, 84.134474 % are below 1, where the density is 0.24197072."""
    x = plane([-1, 0, 1])
    assert_allclose(oracles.gelu(x), plane([-0.15865526, 0, 0.84134474]), atol=1e-8)
    assert_allclose(oracles.gelu_gradient(plane([1, 2, 1]), x), plane([-0.08331547, 1, 1.08331547]), atol=1e-8)


def test_prelu_by_hand():
    x, slopes = np.array([[[[-2.0, 3.0], [4.0, -5.0]]]]), np.array([0.5, -1.0])
    assert_array_equal(oracles.prelu(x, slopes), [[[[-1, 3], [4, 5]]]])
    d_x, d_slopes = oracles.prelu_gradients(np.array([[[[6.0, 7.0], [8.0, 9.0]]]]), x, slopes)
    assert_array_equal(d_x, [[[[3, 7], [8, -9]]]])
    assert_array_equal(d_slopes, [-12, -45])


def test_prelu_agrees_with_pytorch_and_finite_differences(in_torch):
    rng = np.random.default_rng(0)
    x, d_out, slopes = rng.normal(size=(2, 3, 2, 4)), rng.normal(size=(2, 3, 2, 4)), rng.normal(size=4)
    out, d_x, d_slopes = in_torch(torch_answers.prelu, x, slopes, d_out)
    assert_allclose(oracles.prelu(x, slopes), out, rtol=1e-12)
    for found, expected in zip(oracles.prelu_gradients(d_out, x, slopes), (d_x, d_slopes), strict=True):
        assert_allclose(found, expected, rtol=1e-12)
    numeric = oracles.finite_differences(lambda slopes: np.sum(d_out * oracles.prelu(x, slopes)), slopes)
    assert_allclose(d_slopes, numeric, atol=1e-8)


# The names of the functions in PyTorch.
IN_PYTORCH = {
    "relu6": "relu6",
    "tanh": "tanh",
    "sigmoid": "sigmoid",
    "hsigmoid": "hardsigmoid",
    "hswish": "hardswish",
    "gelu": "gelu",
}


@pytest.mark.parametrize("kind", IN_PYTORCH)
def test_functions_agree_with_pytorch_and_finite_differences(in_torch, kind):
    rng = np.random.default_rng(0)
    function, gradient = getattr(oracles, kind), getattr(oracles, f"{kind}_gradient")
    x, d_out = 3 * rng.normal(size=(2, 3, 2, 4)), rng.normal(size=(2, 3, 2, 4))
    out, d_x = in_torch(torch_answers.activation, IN_PYTORCH[kind], x, d_out)
    assert_allclose(function(x), out, rtol=1e-12)
    # PyTorch's 1/6 of the hard sigmoid's gradient is a float32.
    assert_allclose(gradient(d_out, x), d_x, rtol=1e-7, atol=1e-12)
    numeric = oracles.finite_differences(lambda x: np.sum(d_out * function(x)), x)
    assert_allclose(gradient(d_out, x), numeric, atol=1e-8)


def test_dropout_by_hand():
    x, mask = plane([1, 2, 3, -4]), plane([1, 0, 1, 1])
    assert_array_equal(oracles.dropout(x, mask, rate=0.5), plane([2, 0, 6, -8]))
    assert_array_equal(oracles.dropout(x, mask == 1, rate=0.75), plane([4, 0, 12, -16]))
    assert_array_equal(oracles.dropout(x, np.ones(x.shape), rate=0.0), x)
