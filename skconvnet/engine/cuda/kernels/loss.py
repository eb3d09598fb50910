"""The softmax cross-entropy and its gradient, and the class scores that leave the machine.

A sample's place in the tables of an epoch is step * batch + s: `batch` is the length of their rows, and `step` the
address of the int32 that counts the steps. Operands are byte addresses; strides are in float32 elements.
"""

import math

from skconvnet.engine.cuda.compiler import Address, Double, cuda, float32, float64, inlined, int32, kernel
from skconvnet.engine.cuda.llvm.memory import load, load_double, load_int, load_long, store, store_double
from skconvnet.engine.cuda.llvm.threads import block, chunk, over, thread
from skconvnet.engine.program.instructions import ClassOutcome

__all__ = ["lower_softmax_cross_entropy", "lower_store_scores", "softmax_cross_entropy", "store_scores"]

_THREADS = 256
_LANES = 32  # a warp has a sample
_LOSS, _CORRECT, _N_OUTCOMES = int(ClassOutcome.LOSS), int(ClassOutcome.CORRECT), len(ClassOutcome)


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


@kernel(_LANES)
def softmax_cross_entropy(
    scores: Address,
    dscores: Address,
    targets: Address,
    indices: Address,
    weights: Address,
    outcomes: Address,
    step: Address,
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
        (steps, batch, columns of `ClassOutcome`) float64; the rows of this step's samples are written.
    step : int64
        Address of the step.
    smoothing : float64
        Part of the target distribution that is spread over all classes.
    """
    table, firsts = cuda.shared.array(_LANES, float64), cuda.shared.array(_LANES, int32)
    place, lane = load_int(step) * batch + block(), thread()
    from_scores, to = scores + 4 * block() * scores_sample, dscores + 4 * block() * dscores_sample
    target, weight = load_long(targets + 8 * load_int(indices + 4 * place)), load_double(weights + 8 * place)

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
            wanted = uniform + (1.0 - smoothing if k == target else 0.0)
            gradient = weight * (float64(load(to + 4 * k)) / total - wanted)
        store(to + 4 * k, float32(gradient))
        k += _LANES
    if lane == 0:
        on_target = float64(load(from_scores + 4 * target)) - highest
        loss = weight * (math.log(total) - (1.0 - smoothing) * on_target - uniform * spread)
        outcome = outcomes + 8 * _N_OUTCOMES * place
        store_double(outcome + 8 * _LOSS, loss)
        store_double(outcome + 8 * _CORRECT, 1.0 if first == target else 0.0)


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


def lower_store_scores(call):
    """Yield the launch of STORE_SCORES."""
    size = call["rows"] * call["columns"] * call["classes"]
    yield call.launch(store_scores, call.over_numbers(store_scores, size))
