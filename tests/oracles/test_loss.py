"""The loss against numbers computed by hand, PyTorch and finite differences."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose

from tests import oracles, torch_answers


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
