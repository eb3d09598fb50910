"""Softmax cross-entropy and its gradient, one sample at a time."""

import math

import numpy as np

from skconvnet.engine.cpu.compile import kernel
from skconvnet.engine.cpu.llvm.simd import peek, poke

__all__ = ["cross_entropy", "store_scores"]


@kernel
def cross_entropy(scores, gradient, classes, depth, target, weight, smoothing):
    """Weighted loss of one sample against its smoothed target, whether it is right, and the gradient by its scores.

    The target distribution is ``1 - smoothing`` on the class and ``smoothing / classes`` spread over all of them
    (C. Szegedy et al., "Rethinking the Inception Architecture", section 7).

    Parameters
    ----------
    scores : int64
        Address of the class scores, (depth,), of which the first `classes` count.
    gradient : int64
        Address of their gradient, (depth,), overwritten: weight * (softmax - target), zero past `classes`.
    classes, depth : int64
        Their counts.
    target : int64
        The class.
    weight : float64
        The sample's weight, already divided by the batch's sum of weights.
    smoothing : float64
        Label smoothing, in [0, 1).

    Returns
    -------
    loss : float64
        The sample's share of the batch's mean loss.
    right : float64
        1 if the target is the first class with the highest score, as `predict` chooses it; else 0.
    """
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
        poke(gradient + 4 * k, np.float32(weight * (math.exp(away) / total - wanted)))
    for k in range(classes, depth):
        poke(gradient + 4 * k, np.float32(0))
    on_target = np.float64(peek(scores + 4 * target)) - highest
    loss = weight * (log_total - (1.0 - smoothing) * on_target - smoothing * spread / classes)
    return loss, 1.0 if first == target else 0.0


@kernel
def store_scores(x, scores, x_row, depth):
    """Copy the class scores at every pixel of the volume at address `x` to `scores`, (rows, columns, classes), written.

    `x_row` and `depth` are the distances between two rows and two pixels of the volume.
    """
    rows, columns, classes = scores.shape
    for row in range(rows):
        for column in range(columns):
            at = x + 4 * (row * x_row + column * depth)
            for k in range(classes):
                scores[row, column, k] = peek(at + 4 * k)
