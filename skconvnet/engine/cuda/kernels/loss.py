"""Losses and their gradients, and the scores that leave the machine.

A sample's place in the tables of an epoch is step * batch + s: `batch` is the length of their rows, and `step` the
address of the int32 that counts the steps. Where `Warp.SHARE` of a sample's image is another's, so is that share of its
target. Operands are byte addresses; strides are in float32 elements.
"""

import math

from skconvnet.engine.cuda.compiler import Address, Double, cuda, float32, float64, inlined, int32, kernel
from skconvnet.engine.cuda.llvm.memory import load, load_double, load_int, load_long, store, store_double
from skconvnet.engine.cuda.llvm.threads import block, chunk, over, thread
from skconvnet.engine.program.instructions import ONE, Outcome, Residual, Warp

__all__ = [
    "lower_regression_loss",
    "lower_sigmoid_cross_entropy",
    "lower_softmax_cross_entropy",
    "lower_store_scores",
    "regression_loss",
    "sigmoid_cross_entropy",
    "softmax_cross_entropy",
    "store_scores",
]

_THREADS = 256
_LANES = 32  # a warp has a sample
_LOSS, _SCORE, _N_OUTCOMES = int(Outcome.LOSS), int(Outcome.SCORE), len(Outcome)
_WARP_BYTES, _PARTNER, _SHARE = 4 * len(Warp), 4 * int(Warp.PARTNER), 4 * int(Warp.SHARE)
_SQUARED, _ABSOLUTE = int(Residual.SQUARED), int(Residual.ABSOLUTE)


@inlined
def _sum(table, value):
    """Sum a float64 of each thread in a tree; `table` is shared memory of one for each thread.

    Between two sums in one table the caller needs a barrier.
    """
    at, half = thread(), _LANES // 2
    table[at] = value
    while half > 0:
        cuda.syncthreads()
        if at < half:
            table[at] += table[at + half]
        half >>= 1
    cuda.syncthreads()
    return table[0]


@inlined
def _mixed_in(warps, is_warped, place):
    """Return the place of the sample that is mixed into this one, and its share; itself and 0 for none."""
    partner, share = place, float64(0)
    if is_warped:
        warp = warps + place * _WARP_BYTES
        if load_int(warp + _SHARE) != 0:
            partner, share = place + load_int(warp + _PARTNER), float64(load_int(warp + _SHARE)) / ONE
    return partner, share


@kernel(_LANES)
def softmax_cross_entropy(
    scores: Address,
    dscores: Address,
    targets: Address,
    indices: Address,
    weights: Address,
    outcomes: Address,
    step: Address,
    warps: Address,
    is_warped,
    classes,
    depth,
    batch,
    scores_sample,
    dscores_sample,
    smoothing: Double,
):
    """Compute the weighted loss of each sample against its smoothed target, and the gradient of its scores.

    The formulas are those of the CPU's kernel, in float64: 40 instructions for each score of a step. Only exp(score -
    highest) is rounded to float32, so that it can wait for the total in `dscores`. So the error of a gradient is at
    most 1.2e-7 of weight * (softmax + target).

    Parameters
    ----------
    scores : int64
        The class scores, (samples, depth) float32, of which the first ``classes`` count.
    dscores : int64
        Their gradient, (samples, depth) float32, overwritten: weight * (softmax - target), zero beyond ``classes``.
    targets : int64
        Class of each image, int64.
    indices, weights : int64
        Image of each sample, (steps, batch) int32; its weight, (steps, batch) float64.
    outcomes : int64
        (steps, batch, columns of `Outcome`) float64; the rows of this step's samples are written.
    step : int64
        Address of the step.
    warps : int64
        (steps, batch, columns of `Warp`) int32; read only with ``is_warped``.
    smoothing : float64
        Part of the target distribution that is spread over all classes.
    """
    table, firsts = cuda.shared.array(_LANES, float64), cuda.shared.array(_LANES, int32)
    place, lane = load_int(step) * batch + block(), thread()
    from_scores, to = scores + 4 * block() * scores_sample, dscores + 4 * block() * dscores_sample
    partner, share = _mixed_in(warps, is_warped, place)
    target, weight = load_long(targets + 8 * load_int(indices + 4 * place)), load_double(weights + 8 * place)
    other = load_long(targets + 8 * load_int(indices + 4 * partner))

    # The highest score, and the first class that has it.
    highest, first = -math.inf, classes
    k = lane
    while k < classes:
        score = float64(load(from_scores + 4 * k))
        if score > highest or first == classes:
            highest, first = score, k
        k += _LANES
    table[lane], firsts[lane] = highest, first
    half = _LANES // 2
    while half > 0:
        cuda.syncthreads()
        if lane < half:
            score, k = table[lane + half], firsts[lane + half]
            if score > table[lane] or (score == table[lane] and k < firsts[lane]):
                table[lane], firsts[lane] = score, k
        half >>= 1
    cuda.syncthreads()
    highest, first = table[0], firsts[0]
    cuda.syncthreads()  # the table is written again

    total, spread = float64(0), float64(0)
    k = lane
    while k < classes:
        away = float64(load(from_scores + 4 * k)) - highest
        power = math.exp(away)
        store(to + 4 * k, float32(power))
        total += power
        spread += away
        k += _LANES
    total = _sum(table, total)
    cuda.syncthreads()  # the table is written again
    spread = _sum(table, spread)
    uniform = smoothing / classes
    k = lane
    while k < depth:
        gradient = float64(0)
        if k < classes:
            chosen = (1.0 - share if k == target else 0.0) + (share if k == other else 0.0)
            wanted = uniform + (1.0 - smoothing) * chosen
            gradient = weight * (float64(load(to + 4 * k)) / total - wanted)
        store(to + 4 * k, float32(gradient))
        k += _LANES
    if lane == 0:
        on_target = (1.0 - share) * (float64(load(from_scores + 4 * target)) - highest)
        on_target += share * (float64(load(from_scores + 4 * other)) - highest)
        loss = weight * (math.log(total) - (1.0 - smoothing) * on_target - uniform * spread)
        right = (1.0 - share if first == target else 0.0) + (share if first == other else 0.0)
        _store_outcome(outcomes, place, loss, right)


@inlined
def _store_outcome(outcomes, place, loss, score):
    """Store the `Outcome` of the sample at a place of the epoch's tables."""
    outcome = outcomes + 8 * _N_OUTCOMES * place
    store_double(outcome + 8 * _LOSS, loss)
    store_double(outcome + 8 * _SCORE, score)


@kernel(_LANES)
def sigmoid_cross_entropy(
    scores: Address,
    dscores: Address,
    targets: Address,
    indices: Address,
    weights: Address,
    outcomes: Address,
    step: Address,
    warps: Address,
    is_warped,
    outputs,
    depth,
    batch,
    scores_sample,
    dscores_sample,
    smoothing: Double,
):
    """Compute the weighted loss of each sample with several labels, and the gradient of its scores.

    The formulas are those of the CPU's kernel, in float64.

    Parameters
    ----------
    scores : int64
        The scores, (samples, depth) float32, of which the first ``outputs`` count.
    dscores : int64
        Their gradient, (samples, depth) float32, overwritten: weight * (sigmoid - wanted), zero beyond ``outputs``.
    targets : int64
        0 or 1 for each label of each image, (images, outputs) float32.
    indices, weights, outcomes, step, warps
        As `softmax_cross_entropy` takes them.
    smoothing : float64
        Part of the wanted probability of a label that is spread over both answers.
    """
    table = cuda.shared.array(_LANES, float64)
    place, lane = load_int(step) * batch + block(), thread()
    from_scores, to = scores + 4 * block() * scores_sample, dscores + 4 * block() * dscores_sample
    partner, share = _mixed_in(warps, is_warped, place)
    from_targets = targets + 4 * load_int(indices + 4 * place) * outputs
    from_others = targets + 4 * load_int(indices + 4 * partner) * outputs
    weight = load_double(weights + 8 * place)
    total, wrong = float64(0), float64(0)
    k = lane
    while k < depth:
        gradient = float64(0)
        if k < outputs:
            score = float64(load(from_scores + 4 * k))
            target = (1.0 - share) * load(from_targets + 4 * k) + share * load(from_others + 4 * k)
            wanted = (1.0 - smoothing) * target + 0.5 * smoothing
            power = math.exp(-abs(score))
            gradient = weight * ((1.0 if score > 0.0 else power) / (1.0 + power) - wanted)
            total += (score if score > 0.0 else 0.0) - score * wanted + math.log1p(power)
            if (score > 0.0) != (target > 0.5):
                wrong += 1.0
        store(to + 4 * k, float32(gradient))
        k += _LANES
    total = _sum(table, total)
    cuda.syncthreads()  # the table is written again
    wrong = _sum(table, wrong)
    if lane == 0:
        _store_outcome(outcomes, place, weight * total, 0.0 if wrong > 0.0 else 1.0)


@kernel(_LANES)
def regression_loss(
    scores: Address,
    dscores: Address,
    targets: Address,
    indices: Address,
    weights: Address,
    outcomes: Address,
    step: Address,
    warps: Address,
    is_warped,
    outputs,
    depth,
    batch,
    scores_sample,
    dscores_sample,
    function,
    delta: Double,
):
    """Compute the weighted loss of each sample whose targets are numbers, and the gradient of its scores.

    The formulas are those of the CPU's kernel, in float64.

    Parameters
    ----------
    scores : int64
        The scores, (samples, depth) float32, of which the first ``outputs`` count.
    dscores : int64
        Their gradient, (samples, depth) float32, overwritten: weight / outputs * slope, zero beyond ``outputs``.
    targets : int64
        (images, outputs) float32.
    indices, weights, outcomes, step, warps
        As `softmax_cross_entropy` takes them.
    function : int32
        The `Residual` whose mean over the outputs is the loss.
    delta : float64
        Where Huber's function becomes a line.
    """
    table = cuda.shared.array(_LANES, float64)
    place, lane = load_int(step) * batch + block(), thread()
    from_scores, to = scores + 4 * block() * scores_sample, dscores + 4 * block() * dscores_sample
    partner, share = _mixed_in(warps, is_warped, place)
    from_targets = targets + 4 * load_int(indices + 4 * place) * outputs
    from_others = targets + 4 * load_int(indices + 4 * partner) * outputs
    weight = load_double(weights + 8 * place) / outputs
    total, squares = float64(0), float64(0)
    k = lane
    while k < depth:
        gradient = float64(0)
        if k < outputs:
            target = (1.0 - share) * load(from_targets + 4 * k) + share * load(from_others + 4 * k)
            away = float64(load(from_scores + 4 * k)) - target
            size = abs(away)
            if function == _SQUARED or (function != _ABSOLUTE and size <= delta):
                total += 0.5 * away * away
                gradient = weight * away
            else:
                slope = 1.0 if function == _ABSOLUTE else delta
                total += size if function == _ABSOLUTE else delta * (size - 0.5 * delta)
                gradient = weight * (slope if away > 0.0 else -slope if away < 0.0 else 0.0)
            squares += away * away
        store(to + 4 * k, float32(gradient))
        k += _LANES
    total = _sum(table, total)
    cuda.syncthreads()  # the table is written again
    squares = _sum(table, squares)
    if lane == 0:
        _store_outcome(outcomes, place, weight * total, 1.0 - squares / outputs)


@kernel(_THREADS)
def store_scores(x: Address, scores: Address, step: Address, rows, columns, classes, depth, x_row, x_sample, batch):
    """Copy the class scores at every pixel of the volumes to the scores of the epoch; a thread copies one.

    Parameters
    ----------
    x : int64
        Volumes, (samples, rows, columns, depth) float32, of whose depth the first ``classes`` count.
    scores : int64
        (steps * batch, rows, columns, classes) float32; those of this step's samples are written.
    step : int64
        Address of the step.
    """
    at, size = _THREADS * chunk() + thread(), rows * columns * classes
    if at < size:
        pixel = over(at, classes)
        row = over(pixel, columns)
        from_x = block() * x_sample + row * x_row + (pixel - row * columns) * depth + at - pixel * classes
        place = load_int(step) * batch + block()
        store(scores + 4 * (place * size + at), load(x + 4 * from_x))


def lower_softmax_cross_entropy(call):
    """Yield the launch of SOFTMAX_CROSS_ENTROPY."""
    yield call.launch(softmax_cross_entropy, (call["samples"],))


def lower_sigmoid_cross_entropy(call):
    """Yield the launch of SIGMOID_CROSS_ENTROPY."""
    yield call.launch(sigmoid_cross_entropy, (call["samples"],))


def lower_regression_loss(call):
    """Yield the launch of REGRESSION_LOSS."""
    yield call.launch(regression_loss, (call["samples"],))


def lower_store_scores(call):
    """Yield the launch of STORE_SCORES."""
    size = call["rows"] * call["columns"] * call["classes"]
    yield call.launch(store_scores, call.over_numbers(store_scores, size))
