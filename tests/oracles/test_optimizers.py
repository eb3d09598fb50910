"""Steps of Adam and SGD by hand and against PyTorch and scikit-learn."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

from tests import oracles, torch_answers


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


def test_adam_agrees_with_scikit_learn():
    from sklearn.neural_network._stochastic_optimizers import AdamOptimizer

    rng = np.random.default_rng(0)
    p, gradients = rng.normal(size=5), rng.normal(size=(4, 5))
    theirs, m, v = p.copy(), np.zeros(5), np.zeros(5)
    optimizer = AdamOptimizer([theirs], 0.1, beta_1=0.8, beta_2=0.95, epsilon=0.01)
    for step, gradient in enumerate(gradients, 1):
        optimizer.update_params([theirs], [gradient])
        # scikit-learn adds epsilon before the correction of the bias, PyTorch and the paper's algorithm after it.
        epsilon = 0.01 / np.sqrt(1 - 0.95**step)
        p, m, v = oracles.adam(p, gradient, m, v, step, 0.1, 0.0, 0.8, 0.95, epsilon)
        assert_allclose(p, theirs, rtol=1e-12)
