"""The instructions: their numbers unpacked, and the kernels of the same names called.

They are four functions, for CONTRACT, the plain networks, the further layers and NORM, so that a process compiles or
loads what its networks need. The last three take the address of a `Call`.
"""

import numpy as np

from skconvnet.engine.cpu.calls import Call
from skconvnet.engine.cpu.compile import kernel
from skconvnet.engine.cpu.kernels.activations import (
    add,
    bias_relu_backward,
    clear,
    clear_border,
    copy_channels,
    dropout,
    mixed,
    relu,
    squash,
    squash_backward,
)
from skconvnet.engine.cpu.kernels.convolution import contract
from skconvnet.engine.cpu.kernels.images import load_image, load_warped_image
from skconvnet.engine.cpu.kernels.loss import cross_entropy, store_scores
from skconvnet.engine.cpu.kernels.normalisation import (
    batch_gradients,
    batch_statistics,
    channel_moments,
    layer_gradients,
    layer_statistics,
    lrn,
    lrn_backward,
    normalise,
    normalise_backward,
    normalise_sums,
    running_statistics,
)
from skconvnet.engine.cpu.kernels.pooling import average_pool, average_pool_backward, max_pool, max_pool_backward
from skconvnet.engine.cpu.llvm.pointers import array_at, real
from skconvnet.engine.program.instructions import INSTRUCTIONS, WIDTH, ClassOutcome, Layout, Op, Task, Warp

__all__ = ["contraction", "further", "normal", "plain"]

_X, _W, _START, _Y = map(INSTRUCTIONS[Op.CONTRACT].operand, ("a", "b", "start", "c"))
_N0 = INSTRUCTIONS[Op.CONTRACT].number("I")
_N_CALL, _N_TASK, _N_LAYOUT, _N_OUTCOME, _N_WARP = map(len, (Call, Task, Layout, ClassOutcome, Warp))


@kernel
def _unpacked(call_at):
    """Return the call, the instruction and the task at the address of a call."""
    call = array_at(call_at, (_N_CALL,), np.int64)
    code = array_at(call[Call.CODE], (WIDTH,), np.int64)
    return call, code, array_at(call[Call.TASK], (_N_TASK,), np.int64)


@kernel
def _operands(call):
    """Return the addresses of X, W, START and Y, for the first sample."""
    return call[Call.X], call[Call.W], call[Call.START], call[Call.Y]


@kernel
def _strides(code):
    """Return the bytes from one sample to the next in X, W, START and Y."""
    return 4 * code[_X + 2], 4 * code[_W + 2], 4 * code[_START + 2], 4 * code[_Y + 2]


def contraction(descriptor):
    """Execute the contraction described at an address."""
    contract(descriptor)


def plain(call_at):
    """Execute an instruction of the plain networks: CONV, RELU, POOL(max), FC and the loss."""
    call, code, task = _unpacked(call_at)
    op = code[0]
    if op == Op.LOAD_IMAGES:
        _load_images(code, call[Call.X], task, call[Call.PLACE], call[Call.SAMPLES])
    elif op == Op.SOFTMAX_CROSS_ENTROPY:
        _losses(code, call[Call.X], call[Call.W], task, call[Call.PLACE], call[Call.SAMPLES])
    elif op == Op.STORE_SCORES:
        _store_scores(code, call[Call.X], task, call[Call.PLACE], call[Call.SAMPLES])
    else:
        _plain_images(code, call)


@kernel
def _plain_images(code, call):
    """Execute an instruction that works on one image at a time, image by image."""
    op = code[0]
    n0, n1, n2, n3 = code[_N0], code[_N0 + 1], code[_N0 + 2], code[_N0 + 3]
    n4, n5, n6, n7 = code[_N0 + 4], code[_N0 + 5], code[_N0 + 6], code[_N0 + 7]
    n8, n9, n10, n11 = code[_N0 + 8], code[_N0 + 9], code[_N0 + 10], code[_N0 + 11]
    n12, n13 = code[_N0 + 12], code[_N0 + 13]
    x, w, start, y = _operands(call)
    x_step, w_step, start_step, y_step = _strides(code)
    first = call[Call.FIRST] != 0
    for sample in range(call[Call.SAMPLES]):
        if op == Op.CLEAR:
            clear(x, n0)
        elif op == Op.CLEAR_BORDER:
            clear_border(x, n0, n1, n2, n3, n4, n5, n6)
        elif op == Op.RELU:
            relu(x, w, n0, n1, n2, n3, n4)
        elif op == Op.BIAS_RELU_BACKWARD:
            bias_relu_backward(x, w, start, y, n0, n1, n2, n3, n4, n5, n6 != 0, n7 != 0, first and sample == 0)
        elif op == Op.MAX_POOL:
            max_pool(x, w, n0, n1, n2, n3, n4, n5, n6, n7, n8, n9, n10)
        elif op == Op.MAX_POOL_BACKWARD:
            max_pool_backward(x, w, y, start, n0, n1, n2, n3, n4, n5, n6, n7, n8, n9, n10, n11, n12, n13 != 0)
        x += x_step
        w += w_step
        y += y_step
        start += start_step


def further(call_at):
    """Execute an instruction of POOL(average), TANH, SIGMOID, DROPOUT, branches or NORM(lrn), image by image."""
    call, code, task = _unpacked(call_at)
    op = code[0]
    n0, n1, n2, n3 = code[_N0], code[_N0 + 1], code[_N0 + 2], code[_N0 + 3]
    n4, n5, n6, n7 = code[_N0 + 4], code[_N0 + 5], code[_N0 + 6], code[_N0 + 7]
    n8, n9, n10 = code[_N0 + 8], code[_N0 + 9], code[_N0 + 10]
    x, w, start, _ = _operands(call)
    x_step, w_step, start_step, _ = _strides(code)
    for sample in range(call[Call.SAMPLES]):
        if op == Op.AVERAGE_POOL:
            average_pool(x, w, n0, n1, n2, n3, n4, n5, n6, n7, n8, n9, n10)
        elif op == Op.AVERAGE_POOL_BACKWARD:
            average_pool_backward(x, w, n0, n1, n2, n3, n4, n5, n6, n7, n8, n9, n10)
        elif op == Op.SQUASH:
            squash(x, w, n0, n1, n2, n3, n4, n5, n6 != 0)
        elif op == Op.SQUASH_BACKWARD:
            squash_backward(x, w, start, n0, n1, n2, n3, n4, n5, n6 != 0)
        elif op == Op.ADD:
            add(x, w, start, n0, n1, n2, n3, n4, n5, n6 != 0)
        elif op == Op.COPY_CHANNELS:
            copy_channels(x, w, n0, n1, n2, n3, n4, n5, n6, n7)
        elif op == Op.LRN:
            lrn(x, w, n0, n1, n2, n3, n4, n5, real(n6), real(n7), real(n8))
        elif op == Op.LRN_BACKWARD:
            lrn_backward(x, w, start, n0, n1, n2, n3, n4, n5, n6, real(n7), real(n8), real(n9))
        elif op == Op.DROPOUT:
            key = _key_of_draw(task, n5, call[Call.PLACE] + sample)
            dropout(x, w, n0, n1, n2, n3, n4, key, real(n6))
        x += x_step
        w += w_step
        start += start_step


@kernel
def _key_of_draw(task, layer, place):
    """Return the key of what DROPOUT draws: of the seed, the step, the layer and the sample's place in the batch."""
    layout = array_at(task[Task.LAYOUT], (_N_LAYOUT,), np.int64)
    step = mixed(np.uint64(layout[Layout.SEED]), np.uint64(layout[Layout.STEP]))
    return mixed(mixed(step, np.uint64(layer)), np.uint64(place))


def normal(call_at):
    """Execute an instruction of NORM(batch) or NORM(layer)."""
    call, code, _ = _unpacked(call_at)
    op, samples, step = code[0], call[Call.SAMPLES], code[_X + 2]
    n0, n1, n2, n3 = code[_N0], code[_N0 + 1], code[_N0 + 2], code[_N0 + 3]
    x, w, start, y = _operands(call)
    if op == Op.BATCH_STATISTICS:
        batch_statistics(x, w, start, y, samples, step, n0, n1, real(n2), real(n3))
    elif op == Op.RUNNING_STATISTICS:
        running_statistics(x, w, start, n0, real(n1))
    elif op == Op.BATCH_GRADIENTS:
        batch_gradients(x, w, samples, step, n0, n1)
    else:
        _normal_images(code, call)


@kernel
def _normal_images(code, call):
    """Execute an instruction of a NORM that works on one image at a time, image by image."""
    op = code[0]
    n0, n1, n2, n3 = code[_N0], code[_N0 + 1], code[_N0 + 2], code[_N0 + 3]
    n4, n5 = code[_N0 + 4], code[_N0 + 5]
    x, w, start, y = _operands(call)
    x_step, w_step, start_step, y_step = _strides(code)
    first = call[Call.FIRST] != 0
    for sample in range(call[Call.SAMPLES]):
        if op == Op.CHANNEL_MOMENTS:
            channel_moments(x, w, n0, n1, n2, n3)
        elif op == Op.LAYER_STATISTICS:
            layer_statistics(x, w, start, n0, n1, n2, real(n3))
        elif op == Op.NORMALISE:
            normalise(x, start, w, n0, n1, n2, n3, n4, n5 != 0)
        elif op == Op.NORMALISE_SUMS:
            normalise_sums(x, w, start, y, n0, n1, n2, n3, n4, n5 != 0)
        elif op == Op.LAYER_GRADIENTS:
            layer_gradients(x, w, start, y, n0, n1, n2, first and sample == 0)
        elif op == Op.NORMALISE_BACKWARD:
            normalise_backward(x, w, y, start, n0, n1, n2, n3, n4, n5)
        x += x_step
        w += w_step
        y += y_step
        start += start_step


@kernel
def _load_images(code, y, task, first, samples):
    """Execute LOAD_IMAGES: standardise the micro-batch's images, from bytes where there are bytes."""
    n_rows, columns, depth, y_row, y_depth = code[_N0], code[_N0 + 1], code[_N0 + 2], code[_N0 + 3], code[_N0 + 4]
    mean, scale, are_bytes = task[Task.MEAN], task[Task.SCALE], task[Task.BYTES] != 0
    size = n_rows * columns * depth * (1 if are_bytes else 4)
    rows = array_at(task[Task.ROWS], (first + samples,), np.int64)
    warps = array_at(task[Task.WARPS], (task[Task.WARPED], _N_WARP), np.int64)
    for s in range(first, first + samples):
        pixels = task[Task.PIXELS] + rows[s] * size
        if task[Task.WARPED] == 0:
            load_image(pixels, are_bytes, y, mean, scale, n_rows, columns, depth, y_row, y_depth)
        else:
            load_warped_image(pixels, are_bytes, y, mean, scale, n_rows, columns, depth, y_row, y_depth, warps[s])
        y += 4 * code[_X + 2]


@kernel
def _losses(code, x, y, task, first, samples):
    """Execute CROSS_ENTROPY: each sample's loss, whether its class is found, and the gradient by its scores."""
    end, smoothing = first + samples, real(code[_N0 + 2])
    targets = array_at(task[Task.TARGETS], (end,), np.int64)
    weights = array_at(task[Task.WEIGHTS], (end,), np.float64)
    outcomes = array_at(task[Task.OUTCOMES], (end, _N_OUTCOME), np.float64)
    for s in range(first, end):
        loss, correct = cross_entropy(x, y, code[_N0], code[_N0 + 1], targets[s], weights[s], smoothing)
        outcomes[s, ClassOutcome.LOSS], outcomes[s, ClassOutcome.CORRECT] = loss, correct
        x += 4 * code[_X + 2]
        y += 4 * code[_W + 2]


@kernel
def _store_scores(code, x, task, first, samples):
    """Execute STORE_SCORES: copy each sample's scores out."""
    rows, columns, classes = code[_N0], code[_N0 + 1], code[_N0 + 2]
    scores = array_at(task[Task.SCORES], (first + samples, rows, columns, classes), np.float32)
    for s in range(first, first + samples):
        store_scores(x, scores[s], code[_N0 + 3], code[_N0 + 4])
        x += 4 * code[_X + 2]
