"""The softmax cross-entropy and its gradient, and the class scores that leave the machine.

Kernels work on one sample, whose place in the batch is `place`. Their operands are int64 addresses in bytes; numbers
are read from the instruction `code` by name.
"""

import math

import numpy as np

from skconvnet.engine.cpu.compile import kernel
from skconvnet.engine.cpu.llvm.pointers import array_at, real
from skconvnet.engine.cpu.llvm.simd import peek, poke
from skconvnet.engine.cpu.task import Task, number_columns
from skconvnet.engine.program.instructions import ClassOutcome, Op

__all__ = ["softmax_cross_entropy", "store_scores"]

_LOSS, _STORE = map(number_columns, (Op.SOFTMAX_CROSS_ENTROPY, Op.STORE_SCORES))
_N_OUTCOMES = len(ClassOutcome)


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
        Its arrays of targets and weights are read; the weights sum to one over the batch. The sample's `ClassOutcome`
        is written: CORRECT if its class is the first one with the highest score, as `predict` chooses it.
    place : int64
        The sample's place in the batch.
    """
    classes, depth, smoothing = code[_LOSS.classes], code[_LOSS.depth], real(code[_LOSS.smoothing])
    target = array_at(task[Task.TARGETS], (place + 1,), np.int64)[place]
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
        wanted = smoothing / classes + (1.0 - smoothing if k == target else 0.0)
        poke(dscores + 4 * k, np.float32(weight * (math.exp(away) / total - wanted)))
    for k in range(classes, depth):
        poke(dscores + 4 * k, np.float32(0))
    on_target = np.float64(peek(scores + 4 * target)) - highest
    loss = weight * (log_total - (1.0 - smoothing) * on_target - smoothing * spread / classes)
    outcomes[place, ClassOutcome.LOSS] = loss
    outcomes[place, ClassOutcome.CORRECT] = 1.0 if first == target else 0.0


@kernel
def store_scores(code, x, task, place):
    """Copy one sample's class scores at every pixel of the volume `x` to the task's scores."""
    rows, columns, classes = code[_STORE.rows], code[_STORE.columns], code[_STORE.classes]
    x_row, depth = code[_STORE.x_row], code[_STORE.depth]
    scores = array_at(task[Task.SCORES], (place + 1, rows, columns, classes), np.float32)
    for row in range(rows):
        for column in range(columns):
            at = x + 4 * (row * x_row + column * depth)
            for k in range(classes):
                scores[place, row, column, k] = peek(at + 4 * k)
