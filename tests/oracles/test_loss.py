"""The loss against numbers computed by hand, scikit-learn, PyTorch and finite differences."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose
from sklearn.neural_network._base import LOSS_FUNCTIONS

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


def test_sigmoid_cross_entropy_by_hand():
    scores, targets = np.log([[3.0, 1.0], [1 / 3, 4.0]]), np.array([[1, 0], [1, 0]])  # odds
    each = np.log([4 / 3 * 2, 4 * 5])
    assert_allclose(oracles.sigmoid_cross_entropy(scores, targets), each.mean())
    assert_allclose(oracles.sigmoid_cross_entropy(scores, targets, [3, 1]), (3 * each[0] + each[1]) / 4)
    smooth = oracles.sigmoid_cross_entropy(scores[:1, :1], targets[:1, :1], label_smoothing=0.2)
    assert_allclose(smooth, 0.9 * np.log(4 / 3) + 0.1 * np.log(4))
    d_scores = oracles.sigmoid_cross_entropy_gradient(scores, targets)
    assert_allclose(d_scores, [[-0.25 / 2, 0.5 / 2], [-0.75 / 2, 0.8 / 2]])


def test_losses_and_scales_are_those_of_scikit_learn():
    rng = np.random.default_rng(0)
    scores, numbers, labels, weights = (
        rng.normal(size=(5, 3)),
        rng.normal(size=(5, 3)),
        rng.integers(0, 2, (5, 3)),
        rng.random(5),
    )
    theirs = LOSS_FUNCTIONS["binary_log_loss"](labels, 1 / (1 + np.exp(-scores)), weights)
    assert_allclose(oracles.sigmoid_cross_entropy(scores, labels, weights), theirs)
    assert_allclose(
        oracles.regression_loss(scores, numbers, weights), LOSS_FUNCTIONS["squared_error"](numbers, scores, weights)
    )


def test_losses_of_numbers_by_hand():
    scores, targets = np.array([[1.0, 5.0], [0.0, -2.0]]), np.array([[0.0, 2.0], [0.0, 0.0]])
    for function, each, slopes in [
        ("squared", [(0.5 + 4.5) / 2, (0 + 2) / 2], [[1, 3], [0, -2]]),
        ("absolute", [(1 + 3) / 2, (0 + 2) / 2], [[1, 1], [0, -1]]),
        ("huber", [(0.5 + 2 * 3 - 2) / 2, (0 + 2) / 2], [[1, 2], [0, -2]]),
    ]:
        options = {"function": function, "delta": 2.0}
        assert_allclose(oracles.regression_loss(scores, targets, **options), np.mean(each))
        assert_allclose(oracles.regression_loss(scores, targets, [1, 3], **options), np.average(each, weights=[1, 3]))
        assert_allclose(oracles.regression_loss_gradient(scores, targets, **options), np.array(slopes) / 4)


@given(
    loss=st.sampled_from(
        [("sigmoid_cross_entropy", 0.0), ("sigmoid_cross_entropy", 0.3)]
        + [("regression_loss", function, 0.7) for function in ("squared", "absolute", "huber")]
    ),
    seed=st.integers(0, 99),
)
def test_losses_of_outputs_agree_with_pytorch_and_finite_differences(in_torch, loss, seed):
    name, *options = loss
    rng = np.random.default_rng(seed)
    scores, targets, weights = rng.normal(size=(4, 3)), rng.normal(size=(4, 3)), rng.uniform(size=4)
    if name == "sigmoid_cross_entropy":
        targets = (targets > 0).astype(float)
    mean, gradient = getattr(oracles, name), getattr(oracles, f"{name}_gradient")
    d_scores = gradient(scores, targets, weights, *options)
    their_loss, their_d_scores = in_torch(getattr(torch_answers, name), scores, targets, weights, *options)
    assert_allclose(mean(scores, targets, weights, *options), their_loss, rtol=1e-12)
    assert_allclose(d_scores, their_d_scores, rtol=1e-12, atol=1e-14)
    numeric = oracles.finite_differences(lambda scores: mean(scores, targets, weights, *options), scores)
    assert_allclose(d_scores, numeric, atol=1e-8)
