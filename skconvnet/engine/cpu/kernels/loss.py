"""Losses and their gradients, and the scores that leave the machine.

Kernels work on one sample, whose place in the batch is `place`. Where a share of its image is another's, so is that
share of its target. Operands are int64 addresses in bytes; numbers are read from the instruction `code` by name.
"""

import math

import numpy as np

from skconvnet.engine.cpu.compile import kernel
from skconvnet.engine.cpu.llvm.pointers import array_at, real
from skconvnet.engine.cpu.llvm.simd import peek, poke
from skconvnet.engine.cpu.task import Task, number_columns
from skconvnet.engine.program.instructions import ONE, Op, Outcome, Residual, Warp

__all__ = ["regression_loss", "sigmoid_cross_entropy", "softmax_cross_entropy", "store_scores"]

_SOFTMAX, _SIGMOID = map(number_columns, (Op.SOFTMAX_CROSS_ENTROPY, Op.SIGMOID_CROSS_ENTROPY))
_REGRESSION, _STORE = map(number_columns, (Op.REGRESSION_LOSS, Op.STORE_SCORES))
_N_OUTCOMES, _N_WARP = len(Outcome), len(Warp)
_SQUARED, _ABSOLUTE = int(Residual.SQUARED), int(Residual.ABSOLUTE)


@kernel
def _mixed_in(task, place):
    """Return the place in the batch of the sample that is mixed into this one, and its share; itself and 0 for none."""
    n_warps = task[Task.N_WARPS]
    if n_warps == 0:
        return place, 0.0
    warps = array_at(task[Task.WARPS], (n_warps, _N_WARP), np.int64)
    if warps[place, Warp.SHARE] == 0:
        return place, 0.0
    other = min(max(place + warps[place, Warp.PARTNER], 0), n_warps - 1)
    return other, warps[place, Warp.SHARE] / ONE


@kernel
def softmax_cross_entropy(code, scores, dscores, task, place):
    """Compute the weighted loss of one sample against its smoothed target, and the gradient of its scores.

    The target distribution is ``1 - smoothing`` on the class plus ``smoothing / classes`` on each class (C. Szegedy
    et al., "Rethinking the Inception Architecture", section 7).

    Parameters
    ----------
    code : ndarray of int64
        The instruction.
    scores : int64
        The class scores, (depth,), of which the first ``classes`` count.
    dscores : int64
        Their gradient, (depth,), overwritten: weight * (softmax - target), zero beyond ``classes``.
    task : ndarray of int64
        Its arrays of targets, weights and warps are read; the weights sum to one over the batch. The sample's
        `Outcome` is written: SCORE is 1 if its class is the first one with the highest score, as `predict` chooses it,
        and the share of that class where two are mixed.
    place : int64
        The sample's place in the batch.
    """
    classes, depth, smoothing = code[_SOFTMAX.classes], code[_SOFTMAX.depth], real(code[_SOFTMAX.smoothing])
    partner, share = _mixed_in(task, place)
    targets = array_at(task[Task.TARGETS], (max(place, partner) + 1,), np.int64)
    target, other = targets[place], targets[partner]
    weight = array_at(task[Task.WEIGHTS], (place + 1,), np.float64)[place]
    outcomes = array_at(task[Task.OUTCOMES], (place + 1, _N_OUTCOMES), np.float64)
    highest, first = peek(scores), 0
    for k in range(1, classes):
        if peek(scores + 4 * k) > highest:
            highest, first = peek(scores + 4 * k), k
    total, spread = 0.0, 0.0
    for k in range(classes):
        away = np.float64(peek(scores + 4 * k)) - highest
        total += math.exp(away)
        spread += away
    log_total = math.log(total)
    for k in range(classes):
        away = np.float64(peek(scores + 4 * k)) - highest
        chosen = (1.0 - share if k == target else 0.0) + (share if k == other else 0.0)
        wanted = smoothing / classes + (1.0 - smoothing) * chosen
        poke(dscores + 4 * k, np.float32(weight * (math.exp(away) / total - wanted)))
    for k in range(classes, depth):
        poke(dscores + 4 * k, np.float32(0))
    on_target = (1.0 - share) * (np.float64(peek(scores + 4 * target)) - highest)
    on_target += share * (np.float64(peek(scores + 4 * other)) - highest)
    loss = weight * (log_total - (1.0 - smoothing) * on_target - smoothing * spread / classes)
    outcomes[place, Outcome.LOSS] = loss
    right = (1.0 - share if first == target else 0.0) + (share if first == other else 0.0)
    outcomes[place, Outcome.SCORE] = right


@kernel
def sigmoid_cross_entropy(code, scores, dscores, task, place):
    """Compute the weighted loss of one sample with several labels, and the gradient of its scores.

    The loss is the sum over the labels of the cross-entropy of the sigmoid, max(s, 0) - s wanted + log(1 + exp(-|s|)),
    with wanted = (1 - smoothing) target + smoothing / 2. No exponential of it overflows.

    Parameters
    ----------
    code : ndarray of int64
        The instruction.
    scores : int64
        The scores, (depth,), of which the first ``outputs`` count.
    dscores : int64
        Their gradient, (depth,), overwritten: weight * (sigmoid - wanted), zero beyond ``outputs``.
    task : ndarray of int64
        Its arrays of targets, (samples, outputs) of 0 and 1, of weights and of warps are read; the weights sum to one
        over the batch. The sample's `Outcome` is written: SCORE is 1 if all labels are right, as `predict` chooses
        them, which are those with a score above 0.
    place : int64
        The sample's place in the batch.
    """
    outputs, depth, smoothing = code[_SIGMOID.outputs], code[_SIGMOID.depth], real(code[_SIGMOID.smoothing])
    partner, share = _mixed_in(task, place)
    targets = array_at(task[Task.TARGETS], (max(place, partner) + 1, outputs), np.float32)
    weight = array_at(task[Task.WEIGHTS], (place + 1,), np.float64)[place]
    outcomes = array_at(task[Task.OUTCOMES], (place + 1, _N_OUTCOMES), np.float64)
    total, all_right = 0.0, 1.0
    for k in range(outputs):
        score = np.float64(peek(scores + 4 * k))
        target = (1.0 - share) * np.float64(targets[place, k]) + share * np.float64(targets[partner, k])
        wanted = (1.0 - smoothing) * target + 0.5 * smoothing
        power = math.exp(-abs(score))
        sigmoid = (1.0 if score > 0.0 else power) / (1.0 + power)
        total += max(score, 0.0) - score * wanted + math.log1p(power)
        poke(dscores + 4 * k, np.float32(weight * (sigmoid - wanted)))
        if (score > 0.0) != (target > 0.5):
            all_right = 0.0
    for k in range(outputs, depth):
        poke(dscores + 4 * k, np.float32(0))
    outcomes[place, Outcome.LOSS] = weight * total
    outcomes[place, Outcome.SCORE] = all_right


@kernel
def regression_loss(code, scores, dscores, task, place):
    """Compute the weighted loss of one sample whose targets are numbers, and the gradient of its scores.

    The loss is the mean over the outputs of a `Residual` of score - target.

    Parameters
    ----------
    code : ndarray of int64
        The instruction.
    scores : int64
        The scores, (depth,), of which the first ``outputs`` count.
    dscores : int64
        Their gradient, (depth,), overwritten: weight / outputs * slope of the residual, zero beyond ``outputs``.
    task : ndarray of int64
        Its arrays of targets, (samples, outputs), of weights and of warps are read; the weights sum to one over the
        batch. The sample's `Outcome` is written: SCORE is 1 - the mean over the outputs of (score - target)^2.
    place : int64
        The sample's place in the batch.
    """
    outputs, depth = code[_REGRESSION.outputs], code[_REGRESSION.depth]
    function, delta = code[_REGRESSION.function], real(code[_REGRESSION.delta])
    partner, share = _mixed_in(task, place)
    targets = array_at(task[Task.TARGETS], (max(place, partner) + 1, outputs), np.float32)
    weight = array_at(task[Task.WEIGHTS], (place + 1,), np.float64)[place]
    outcomes = array_at(task[Task.OUTCOMES], (place + 1, _N_OUTCOMES), np.float64)
    total, squares = 0.0, 0.0
    for k in range(outputs):
        target = (1.0 - share) * np.float64(targets[place, k]) + share * np.float64(targets[partner, k])
        away = np.float64(peek(scores + 4 * k)) - target
        value, slope = _residual(function, delta, away)
        total += value
        squares += away * away
        poke(dscores + 4 * k, np.float32(weight * slope / outputs))
    for k in range(outputs, depth):
        poke(dscores + 4 * k, np.float32(0))
    outcomes[place, Outcome.LOSS] = weight * total / outputs
    outcomes[place, Outcome.SCORE] = 1.0 - squares / outputs


@kernel
def _residual(function, delta, away):
    """Return the function of a difference, and its slope."""
    size = abs(away)
    if function == _SQUARED or (function != _ABSOLUTE and size <= delta):
        return 0.5 * away * away, away
    sign = 1.0 if away > 0.0 else -1.0 if away < 0.0 else 0.0
    if function == _ABSOLUTE:
        return size, sign
    return delta * (size - 0.5 * delta), delta * sign


@kernel
def store_scores(code, x, task, place):
    """Copy one sample's scores at every pixel of the volume `x` to the task's scores."""
    rows, columns, classes = code[_STORE.rows], code[_STORE.columns], code[_STORE.classes]
    x_row, depth = code[_STORE.x_row], code[_STORE.depth]
    scores = array_at(task[Task.SCORES], (place + 1, rows, columns, classes), np.float32)
    for row in range(rows):
        for column in range(columns):
            at = x + 4 * (row * x_row + column * depth)
            for k in range(classes):
                scores[place, row, column, k] = peek(at + 4 * k)
