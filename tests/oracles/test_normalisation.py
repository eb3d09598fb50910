"""NORM against arrays computed by hand, PyTorch and finite differences."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

from tests import oracles, torch_answers


def test_batch_norm_by_hand():
    """Over images and pixels, the first slice has mean 3 and variance 4, the second mean 0 and variance 1."""
    x = np.array([[1.0, -1.0], [1.0, 1.0], [5.0, 1.0], [5.0, -1.0]]).reshape(2, 1, 2, 2)
    out = oracles.batch_norm(x, scale=np.array([1.0, 10.0]), shift=np.array([0.5, 0.0]), eps=0.0)
    assert_array_equal(out.reshape(4, 2), [[-0.5, -10], [-0.5, 10], [1.5, 10], [1.5, -10]])
    with_eps = oracles.batch_norm(x, scale=np.ones(2), shift=np.zeros(2), eps=5.0)  # sqrt(4 + 5) = 3
    assert_allclose(with_eps[..., 0].ravel(), [-2 / 3, -2 / 3, 2 / 3, 2 / 3])


def test_batch_norm_gradients_by_hand():
    """A gradient that is a linear function of x gives no gradient of x: normalisation removes mean and scale."""
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
    """A volume, scales, shifts and a gradient. PyTorch needs n * rows * columns >= 2."""
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
    """The first image has mean 3 and variance 4, the second mean 30 and variance 400."""
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


def test_gradients_with_running_statistics_agree_with_finite_differences():
    rng = np.random.default_rng(0)
    x, d_out = rng.standard_normal((2, 2, 3, 2, 2))
    mean, scale, shift = rng.standard_normal((3, 2))
    norm = oracles.normalisation.FixedNorm(mean, np.array([0.3, 2.0]), eps=0.1)
    found = norm.backward(d_out, x, scale, shift)
    numeric = (
        oracles.finite_differences(lambda x: np.sum(d_out * norm.forward(x, scale, shift)), x),
        oracles.finite_differences(lambda scale: np.sum(d_out * norm.forward(x, scale, shift)), scale),
        oracles.finite_differences(lambda shift: np.sum(d_out * norm.forward(x, scale, shift)), shift),
    )
    for own, expected in zip(found, numeric, strict=True):
        np.testing.assert_allclose(own, expected, atol=1e-7)
