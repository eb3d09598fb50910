"""Losses, and the scores that leave the machine."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

from skconvnet.engine.program.instructions import Op, Outcome, Space
from skconvnet.engine.program.target import CPU
from tests import oracles
from tests.engine.cpu.programs import Memory, framed, operand, run
from tests.engine.losses import LOSSES_OF_OUTPUTS, check_extreme_scores, check_loss, check_mixed_classes


def cross_entropy(scores, targets, weights, smoothing, warps=None):
    numbers = {"classes": scores.shape[1], "smoothing": smoothing}
    return outcomes_of(Op.SOFTMAX_CROSS_ENTROPY, numbers, scores, targets, weights, warps)


def loss_of_outputs(loss, scores, targets, weights, warps=None):
    return outcomes_of(loss.op, {"outputs": scores.shape[1], **loss.numbers}, scores, targets, weights, warps)


def outcomes_of(op, numbers, scores, targets, weights, warps):
    """The machine's losses of each sample, their scores in the outcome, and the gradient as stored."""
    n, outputs = scores.shape
    depth = -(-outputs // 8) * 8
    memory = Memory(fill=77)
    stored = np.full((n, depth), 1e9)  # what pads the scores takes no part
    stored[:, :outputs] = scores
    x, y = memory.put(stored), memory.put(np.full((n, depth), 99))
    memory = memory.array()
    outcomes = np.full((n, len(Outcome)), np.nan)
    operands = {"scores": (Space.BATCH, x, depth), "dscores": (Space.BATCH, y, depth)}
    run(
        [(op, operands, {"depth": depth, **numbers})],
        memory,
        samples=n,
        micro_batch=3,
        targets=targets,
        weights=weights / weights.sum(),
        outcomes=outcomes,
        warps=warps,
    )
    losses, right = outcomes.T
    return losses, right, memory[y : y + n * depth].reshape(n, depth)


@given(st.integers(1, 5), st.integers(1, 19), st.sampled_from([0.0, 0.1, 0.9]), st.sampled_from([1, 100]))
def test_loss_and_gradient(n, classes, smoothing, size):
    rng = np.random.default_rng(n + classes)
    scores = (size * rng.standard_normal((n, classes))).astype(np.float32)
    targets, weights = rng.integers(0, classes, n), rng.random(n) + 0.1
    losses, right, gradient = cross_entropy(scores, targets, weights, smoothing)
    assert_array_equal(right, scores.argmax(axis=1) == targets)
    scores = scores.astype(float)
    if size == 1:  # the oracle takes the logarithm of a probability: of one that is zero it has none
        own = [oracles.softmax_cross_entropy(scores[[s]], targets[[s]], None, smoothing) for s in range(n)]
        assert_allclose(losses, own * weights / weights.sum(), rtol=1e-6, atol=1e-12)
    expected = oracles.softmax_cross_entropy_gradient(scores, targets, weights, smoothing)
    assert_allclose(gradient[:, :classes], expected, rtol=1e-5, atol=1e-12)
    assert_array_equal(gradient[:, classes:], 0)


def test_scores_of_any_size():
    scores = np.array([[3e38, -3e38, 0], [1e4, 0, -1e4]], np.float32)
    losses, _, gradient = cross_entropy(scores, np.array([0, 1]), np.ones(2), 0.0)
    assert_allclose(losses, [0, 5e3])
    assert_allclose(gradient[:, :3], [[0, 0, 0], [0.5, -0.5, 0]])


@pytest.mark.parametrize("bad", [np.nan, np.inf])
@pytest.mark.parametrize("place", [0, 1, 2])
def test_a_score_that_is_not_finite_is_seen_in_the_loss(bad, place):
    scores = np.zeros((1, 3), np.float32)
    scores[0, place] = bad
    losses, _, _ = cross_entropy(scores, np.array([1]), np.ones(1), 0.0)
    assert not np.isfinite(losses).all()


def test_a_sample_without_weight_has_no_gradient():
    losses, _, gradient = cross_entropy(np.eye(3, dtype=np.float32), np.arange(3), np.array([1.0, 0.0, 1.0]), 0.1)
    assert losses[1] == 0
    assert_array_equal(gradient[1], 0)


@pytest.mark.parametrize("loss", LOSSES_OF_OUTPUTS, ids=str)
@given(st.integers(1, 5), st.sampled_from([1, 2, 8, 17]), st.sampled_from([1, 100]), st.booleans())
@settings(max_examples=30)
def test_losses_of_outputs(loss, n, outputs, size, mixed):
    check_loss(loss, loss_of_outputs, n, outputs, size, mixed)


@pytest.mark.parametrize("loss", LOSSES_OF_OUTPUTS, ids=str)
def test_extreme_scores_of_outputs(loss):
    check_extreme_scores(loss, loss_of_outputs)


def test_mixed_classes():
    check_mixed_classes(cross_entropy)


def test_scores_are_stored_without_what_pads_them():
    memory = Memory(fill=77)
    x = memory.put(np.arange(5 * 16))
    scores = np.full((5, 9), 99, np.float32)
    numbers = {"rows": 1, "columns": 1, "classes": 9, "x_row": 16, "depth": 16}
    run(
        [(Op.STORE_SCORES, {"x": (Space.BATCH, x, 16)}, numbers)],
        memory.array(),
        samples=5,
        micro_batch=2,
        scores=scores,
    )
    assert_array_equal(scores, np.arange(5 * 16).reshape(5, 16)[:, :9])


@given(st.integers(1, 4), st.integers(1, 4), st.integers(1, 9), st.integers(1, 3), st.tuples(*[st.integers(0, 2)] * 4))
def test_a_map_of_scores_is_stored_without_border_and_what_pads_it(rows, columns, classes, micro_batch, border):
    depth, n = CPU.pad(classes), 5
    volumes = np.random.default_rng(0).standard_normal((n, rows, columns, depth)).astype(np.float32)
    memory = Memory(fill=77)
    place, x_row = operand(memory, framed(volumes, border, 9), border, Space.BATCH)
    scores = np.full((n + 1, rows * columns * classes), 99, np.float32)
    numbers = {"rows": rows, "columns": columns, "classes": classes, "x_row": x_row, "depth": depth}
    run([(Op.STORE_SCORES, {"x": place}, numbers)], memory.array(), samples=n, micro_batch=micro_batch, scores=scores)
    assert_array_equal(scores[:n].reshape(n, rows, columns, classes), volumes[..., :classes])
    assert_array_equal(scores[n], 99)


def test_of_equal_scores_the_first_is_chosen():
    scores = np.array([[1, 1, 1], [0, 2, 2], [0, 2, 2], [-np.inf, -3, -3]], np.float32)
    _, right, _ = cross_entropy(scores, np.array([0, 1, 2, 1]), np.ones(4), 0.0)
    assert_array_equal(right, [1, 1, 0, 1])
