"""Losses, and the scores that leave the machine, from the tables of an epoch."""

from itertools import islice

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

pytest.importorskip("numba_cuda", reason="needs the extra skconvnet[cuda] (`make cuda` installs it)")

from skconvnet.engine.cuda.compiler import ptx
from skconvnet.engine.cuda.kernels.loss import softmax_cross_entropy, store_scores
from skconvnet.engine.program.instructions import Op, Outcome, Space, Warp
from tests import oracles
from tests.engine.cpu.programs import Memory, assert_only_written, framed, operand
from tests.engine.cuda.kernels.harness import run, without_each_barrier
from tests.engine.cuda.ptx.execute import PtxError
from tests.engine.losses import LOSSES_OF_OUTPUTS, check_extreme_scores, check_loss, check_mixed_classes

STEPS, STEP = 4, 2  # the epoch's, and the one that is executed


def cross_entropy(scores, targets, weights, smoothing, warps=None, depth=None):
    numbers = {"classes": scores.shape[1], "smoothing": smoothing}
    return outcomes_of(Op.SOFTMAX_CROSS_ENTROPY, numbers, scores, targets, weights, warps, depth)


def loss_of_outputs(loss, scores, targets, weights, warps=None):
    return outcomes_of(loss.op, {"outputs": scores.shape[1], **loss.numbers}, scores, targets, weights, warps)


def outcomes_of(op, numbers, scores, targets, weights, warps, depth=None):
    """The machine's losses of each sample, their scores in the outcome, and the gradient as stored."""
    n, outputs = scores.shape
    depth, batch = depth or -(-outputs // 8) * 8, n + 2
    memory = Memory(fill=77)
    stored = np.full((n, depth + 8), 1e9)  # what pads the scores takes no part
    stored[:, :outputs] = scores
    x, y = memory.put(stored), memory.put(np.full((n, depth), 99))
    memory = memory.array()
    before = memory.copy()
    # The images are in another order than the samples, and there are others.
    images = np.random.default_rng(n).permutation(3 * n)[:n].astype(np.int32)
    all_targets = np.full((3 * n, *targets.shape[1:]), 10**6, targets.dtype)
    all_targets[images] = targets
    indices, all_weights = np.full((STEPS, batch), 10**6, np.int32), np.full((STEPS, batch), np.nan)
    indices[STEP, :n], all_weights[STEP, :n] = images, weights / weights.sum()
    outcomes = np.full((STEPS, batch, len(Outcome)), 55.0)
    all_warps = np.full((STEPS, batch, len(Warp)), 10**6, np.int32)
    if warps is not None:
        all_warps[STEP, :n] = warps
    operands = {"scores": (Space.BATCH, x, depth + 8), "dscores": (Space.BATCH, y, depth)}
    run(
        [(op, operands, {"depth": depth, **numbers})],
        memory,
        samples=n,
        batch=batch,
        targets=all_targets,
        indices=indices,
        weights=all_weights,
        outcomes=outcomes,
        step=np.array([STEP], np.int32),
        warps=all_warps,
        is_warped=int(warps is not None),
    )
    assert_only_written(memory, before, np.arange(y, y + n * depth))
    losses, right = outcomes[STEP, :n].T.copy()
    outcomes[STEP, :n] = 55
    assert (outcomes == 55).all()
    return losses, right, memory[y : y + n * depth].reshape(n, depth)


@pytest.mark.parametrize("size", [1, 100])
@pytest.mark.parametrize("smoothing", [0.0, 0.1, 0.9])
@pytest.mark.parametrize(("n", "classes"), [(1, 1), (5, 2), (2, 10), (1, 32), (3, 33), (2, 1000)])
def test_loss_and_gradient(n, classes, smoothing, size):
    rng = np.random.default_rng(n + classes)
    scores = (size * rng.standard_normal((n, classes))).astype(np.float32)
    targets, weights = rng.integers(0, classes, n), rng.random(n) + 0.1
    losses, right, gradient = cross_entropy(scores, targets, weights, smoothing)
    assert_array_equal(right, scores.argmax(axis=1) == targets)
    scores = scores.astype(float)
    if size == 1:  # the oracle takes the logarithm of a probability: of one that is zero it has none
        own = [oracles.softmax_cross_entropy(scores[[s]], targets[[s]], None, smoothing) for s in range(n)]
        assert_allclose(losses, own * weights / weights.sum(), rtol=1e-12, atol=1e-15)
    expected = oracles.softmax_cross_entropy_gradient(scores, targets, weights, smoothing)
    # The difference of softmax and target is as exact as both are.
    both = (oracles.softmax(scores) + oracles.smoothed(targets, classes, smoothing)) * weights[:, None] / weights.sum()
    assert (np.abs(gradient[:, :classes] - expected) <= 1.2e-7 * both + 1e-37).all()
    assert_array_equal(gradient[:, classes:], 0)


@pytest.mark.parametrize("loss", LOSSES_OF_OUTPUTS, ids=str)
@pytest.mark.parametrize(
    ("n", "outputs", "size", "mixed"),
    [(1, 1, 1, False), (5, 2, 100, False), (1, 32, 1, False), (2, 33, 1, True), (4, 3, 1, True), (3, 100, 9, True)],
)
def test_losses_of_outputs(loss, n, outputs, size, mixed):
    check_loss(loss, loss_of_outputs, n, outputs, size, mixed)


@pytest.mark.parametrize("loss", LOSSES_OF_OUTPUTS, ids=str)
def test_extreme_scores_of_outputs(loss):
    check_extreme_scores(loss, loss_of_outputs)


def test_mixed_classes():
    check_mixed_classes(cross_entropy)


def test_a_missing_barrier_is_noticed():
    ascending, count = np.arange(32, dtype=np.float32)[None], 0  # every step towards the highest takes the other
    for _ in islice(without_each_barrier(softmax_cross_entropy), 2):  # to compile a kernel takes long
        count += 1
        with pytest.raises(PtxError):
            cross_entropy(ascending, np.array([0]), np.ones(1), 0.0)
    assert count > 0


def test_what_pads_the_gradient_is_cleared_as_far_as_the_depth_goes():
    _, _, gradient = cross_entropy(np.zeros((2, 3)), np.array([0, 1]), np.ones(2), 0.0, depth=72)
    assert_array_equal(gradient[:, 3:], 0)


def test_scores_of_any_size():
    scores = np.array([[3e38, -3e38, 0], [1e4, 0, -1e4]], np.float32)
    losses, _, gradient = cross_entropy(scores, np.array([0, 1]), np.ones(2), 0.0)
    assert_allclose(losses, [0, 5e3])
    assert_allclose(gradient[:, :3], [[0, 0, 0], [0.5, -0.5, 0]])


@pytest.mark.parametrize("bad", [np.nan, np.inf])
@pytest.mark.parametrize("place", [0, 1, 39])
def test_a_score_that_is_not_finite_is_seen_in_the_loss(bad, place):
    scores = np.zeros((1, 40), np.float32)
    scores[0, place] = bad
    losses, _, _ = cross_entropy(scores, np.array([1]), np.ones(1), 0.0)
    assert not np.isfinite(losses).all()


def test_a_sample_without_weight_has_no_gradient():
    losses, _, gradient = cross_entropy(np.eye(3, dtype=np.float32), np.arange(3), np.array([1.0, 0.0, 1.0]), 0.1)
    assert losses[1] == 0
    assert_array_equal(gradient[1], 0)


def test_of_equal_scores_the_first_is_chosen():
    scores = np.full((5, 70), -np.inf, np.float32)
    scores[:, :3] = [[1, 1, 1], [0, 2, 2], [0, 2, 2], [-np.inf, -3, -3], [0, -1, -1]]
    scores[4, [33, 65]] = 7  # of one thread's scores, and of two threads'
    scores[0, 32] = 1
    _, right, _ = cross_entropy(scores, np.array([0, 1, 2, 1, 33]), np.ones(5), 0.0)
    assert_array_equal(right, [1, 1, 0, 1, 1])


@pytest.mark.parametrize(
    ("n", "rows", "columns", "classes", "border"),
    [(5, 1, 1, 9, (0, 0, 0, 0)), (1, 4, 16, 8, (0, 0, 0, 0)), (3, 5, 7, 10, (1, 2, 0, 1))],  # one of 256 scores
)
def test_a_map_of_scores_is_stored_without_border_and_what_pads_it(n, rows, columns, classes, border):
    depth, batch = -(-classes // 8) * 8, n + 1
    volumes = np.random.default_rng(0).standard_normal((n, rows, columns, depth)).astype(np.float32)
    memory = Memory(fill=77)
    place, x_row = operand(memory, framed(volumes, border, 9), border, Space.BATCH)
    memory = memory.array()
    before = memory.copy()
    scores = np.full((STEPS, batch, rows * columns * classes), 99, np.float32)
    numbers = {"rows": rows, "columns": columns, "classes": classes, "x_row": x_row, "depth": depth}
    tables = {"scores": scores, "step": np.array([STEP], np.int32)}
    run([(Op.STORE_SCORES, {"x": place}, numbers)], memory, samples=n, batch=batch, **tables)
    assert_array_equal(scores[STEP, :n].reshape(n, rows, columns, classes), volumes[..., :classes])
    scores[STEP, :n] = 99
    assert (scores == 99).all()
    assert_array_equal(memory, before)


def test_scores_are_copied_in_float32():
    assert ".f64" not in ptx(store_scores, (9, 0))
