"""Dispatch: from an instruction's opcode to the kernel that executes it.

A family of instructions is one compiled entry, ``void (int64 call)``, that takes the address of an `InstructionCall`. A
process compiles or loads the families that its programs need; `FAMILIES` says which opcode is in which.
"""

import numpy as np

from skconvnet.engine.cpu.compile import kernel
from skconvnet.engine.cpu.kernels.activations import (
    activate,
    activate_backward,
    bias_relu_backward,
    dropout,
    mix,
    prelu,
    prelu_slopes,
    relu,
)
from skconvnet.engine.cpu.kernels.branches import add, copy_channels, multiply, multiply_sums
from skconvnet.engine.cpu.kernels.convolution import contract
from skconvnet.engine.cpu.kernels.depthwise import depthwise, depthwise_weights
from skconvnet.engine.cpu.kernels.images import load_images
from skconvnet.engine.cpu.kernels.loss import (
    regression_loss,
    sigmoid_cross_entropy,
    softmax_cross_entropy,
    store_scores,
)
from skconvnet.engine.cpu.kernels.memory import clear, clear_border
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
from skconvnet.engine.cpu.kernels.winograd import transform
from skconvnet.engine.cpu.llvm.pointers import array_at
from skconvnet.engine.cpu.task import Contraction, InstructionCall, Layout, Task, number_columns
from skconvnet.engine.program.instructions import WIDTH, Op

__all__ = ["FAMILIES"]

_OPERANDS = int(InstructionCall.OPERAND_0)
_N_CALL = len(InstructionCall) + len(Contraction)
_EACH_SAMPLE = int(number_columns(Op.TRANSFORM).each_sample)
_N_TASK, _N_LAYOUT = map(len, (Task, Layout))


@kernel
def _unpack(call_at):
    """Return the call at an address, its instruction and its task."""
    call = array_at(call_at, (_N_CALL,), np.int64)
    code = array_at(call[InstructionCall.CODE], (WIDTH,), np.int64)
    return call, code, array_at(call[InstructionCall.TASK], (_N_TASK,), np.int64)


@kernel
def _operands(call, code, sample):
    """Return the addresses of the four operands for a sample of the call."""
    return (
        call[_OPERANDS] + 4 * sample * code[3],
        call[_OPERANDS + 1] + 4 * sample * code[6],
        call[_OPERANDS + 2] + 4 * sample * code[9],
        call[_OPERANDS + 3] + 4 * sample * code[12],
    )


def convolution(call_at):
    """CONV and FC, forward and backward."""
    call, code, _ = _unpack(call_at)
    contract(code, call)


def winograd(call_at):
    """Execute a TRANSFORM."""
    call, code, _ = _unpack(call_at)
    first, part, parts = call[InstructionCall.FIRST] != 0, call[InstructionCall.PART], call[InstructionCall.PARTS]
    for sample in range(call[InstructionCall.SAMPLES] if code[_EACH_SAMPLE] != 0 else 1):
        x, start, y, _ = _operands(call, code, sample)
        transform(code, x, start, y, first, part, parts)


def depthwise_convolution(call_at):
    """CONV with a filter for each channel, forward and backward."""
    call, code, _ = _unpack(call_at)
    a, b, c, d = _operands(call, code, 0)
    samples, first = call[InstructionCall.SAMPLES], call[InstructionCall.FIRST] != 0
    if code[0] == Op.DEPTHWISE:
        depthwise(code, a, b, c, d, samples)
    elif code[0] == Op.DEPTHWISE_WEIGHTS:
        depthwise_weights(code, a, b, c, first, samples)


def images(call_at):
    """Execute an instruction that loads images."""
    call, code, task = _unpack(call_at)
    for sample in range(call[InstructionCall.SAMPLES]):
        y, _, _, _ = _operands(call, code, sample)
        load_images(code, y, task, call[InstructionCall.PLACE] + sample)


def memory(call_at):
    """Execute an instruction that writes zeros."""
    call, code, _ = _unpack(call_at)
    for sample in range(call[InstructionCall.SAMPLES]):
        y, _, _, _ = _operands(call, code, sample)
        if code[0] == Op.CLEAR:
            clear(code, y)
        elif code[0] == Op.CLEAR_BORDER:
            clear_border(code, y)


def loss(call_at):
    """Execute an instruction on class scores."""
    call, code, task = _unpack(call_at)
    place = call[InstructionCall.PLACE]
    for sample in range(call[InstructionCall.SAMPLES]):
        a, b, _, _ = _operands(call, code, sample)
        if code[0] == Op.SOFTMAX_CROSS_ENTROPY:
            softmax_cross_entropy(code, a, b, task, place + sample)
        elif code[0] == Op.STORE_SCORES:
            store_scores(code, a, task, place + sample)


def losses_of_outputs(call_at):
    """Execute a loss of several labels or of numbers: apart, because most networks choose one of several classes."""
    call, code, task = _unpack(call_at)
    place = call[InstructionCall.PLACE]
    for sample in range(call[InstructionCall.SAMPLES]):
        a, b, _, _ = _operands(call, code, sample)
        if code[0] == Op.SIGMOID_CROSS_ENTROPY:
            sigmoid_cross_entropy(code, a, b, task, place + sample)
        elif code[0] == Op.REGRESSION_LOSS:
            regression_loss(code, a, b, task, place + sample)


def pooling(call_at):
    """Execute an instruction of POOL."""
    call, code, _ = _unpack(call_at)
    op = code[0]
    for sample in range(call[InstructionCall.SAMPLES]):
        a, b, c, d = _operands(call, code, sample)
        if op == Op.MAX_POOL:
            max_pool(code, a, b)
        elif op == Op.MAX_POOL_BACKWARD:
            max_pool_backward(code, a, b, c, d)
        elif op == Op.AVERAGE_POOL:
            average_pool(code, a, b)
        elif op == Op.AVERAGE_POOL_BACKWARD:
            average_pool_backward(code, a, b)


def rectifiers(call_at):
    """Execute RELU, or the backward pass of biases and RELU: apart, because almost every network has them."""
    call, code, _ = _unpack(call_at)
    first = call[InstructionCall.FIRST] != 0
    for sample in range(call[InstructionCall.SAMPLES]):
        a, b, c, d = _operands(call, code, sample)
        if code[0] == Op.RELU:
            relu(code, a, b)
        elif code[0] == Op.BIAS_RELU_BACKWARD:
            bias_relu_backward(code, a, b, c, d, first and sample == 0)


def learned_rectifiers(call_at):
    """Execute an instruction of PRELU."""
    call, code, _ = _unpack(call_at)
    first = call[InstructionCall.FIRST] != 0
    for sample in range(call[InstructionCall.SAMPLES]):
        a, b, c, d = _operands(call, code, sample)
        if code[0] == Op.PRELU:
            prelu(code, a, b, c, d)
        elif code[0] == Op.PRELU_SLOPES:
            prelu_slopes(code, a, b, c, first and sample == 0)


def activations(call_at):
    """Execute an instruction of an activation function other than RELU, or of DROPOUT."""
    call, code, task = _unpack(call_at)
    op, place = code[0], call[InstructionCall.PLACE]
    for sample in range(call[InstructionCall.SAMPLES]):
        a, b, c, _ = _operands(call, code, sample)
        if op == Op.ACTIVATE:
            activate(code, a, b)
        elif op == Op.ACTIVATE_BACKWARD:
            activate_backward(code, a, b, c)
        elif op == Op.DROPOUT:
            dropout(code, a, b, _step_key(task), place + sample)


@kernel
def _step_key(task):
    """Return the key of the step's random numbers."""
    layout = array_at(task[Task.LAYOUT], (_N_LAYOUT,), np.int64)
    return mix(np.uint64(layout[Layout.SEED]), np.uint64(layout[Layout.STEP]))


def branches(call_at):
    """Execute an instruction that joins branches."""
    call, code, _ = _unpack(call_at)
    for sample in range(call[InstructionCall.SAMPLES]):
        a, b, c, _ = _operands(call, code, sample)
        if code[0] == Op.ADD:
            add(code, a, b, c)
        elif code[0] == Op.COPY_CHANNELS:
            copy_channels(code, a, b)


def gates(call_at):
    """Execute an instruction of a product of branches: apart, because few networks have one."""
    call, code, _ = _unpack(call_at)
    for sample in range(call[InstructionCall.SAMPLES]):
        a, b, c, _ = _operands(call, code, sample)
        if code[0] == Op.MULTIPLY:
            multiply(code, a, b, c)
        elif code[0] == Op.MULTIPLY_SUMS:
            multiply_sums(code, a, b, c)


def normalisation(call_at):
    """Execute an instruction of NORM."""
    call, code, _ = _unpack(call_at)
    a, b, c, d = _operands(call, code, 0)
    op, samples = code[0], call[InstructionCall.SAMPLES]
    if op == Op.BATCH_STATISTICS:
        batch_statistics(code, a, b, c, d, samples)
    elif op == Op.RUNNING_STATISTICS:
        running_statistics(code, a, b, c)
    elif op == Op.BATCH_GRADIENTS:
        batch_gradients(code, a, b, samples)
    else:
        _normalise_samples(call, code)


@kernel
def _normalise_samples(call, code):
    """Execute an instruction of a NORM that works on one sample at a time."""
    op, first = code[0], call[InstructionCall.FIRST] != 0
    for sample in range(call[InstructionCall.SAMPLES]):
        a, b, c, d = _operands(call, code, sample)
        if op == Op.CHANNEL_MOMENTS:
            channel_moments(code, a, b)
        elif op == Op.LAYER_STATISTICS:
            layer_statistics(code, a, b, c)
        elif op == Op.NORMALISE:
            normalise(code, a, b, c)
        elif op == Op.NORMALISE_SUMS:
            normalise_sums(code, a, b, c, d)
        elif op == Op.LAYER_GRADIENTS:
            layer_gradients(code, a, b, c, d, first and sample == 0)
        elif op == Op.NORMALISE_BACKWARD:
            normalise_backward(code, a, b, c, d)
        elif op == Op.LRN:
            lrn(code, a, b)
        elif op == Op.LRN_BACKWARD:
            lrn_backward(code, a, b, c)


FAMILIES = {
    Op.LOAD_IMAGES: images,
    Op.CLEAR: memory,
    Op.CLEAR_BORDER: memory,
    Op.SOFTMAX_CROSS_ENTROPY: loss,
    Op.STORE_SCORES: loss,
    Op.SIGMOID_CROSS_ENTROPY: losses_of_outputs,
    Op.REGRESSION_LOSS: losses_of_outputs,
    Op.CONTRACT: convolution,
    Op.RELU: rectifiers,
    Op.BIAS_RELU_BACKWARD: rectifiers,
    Op.PRELU: learned_rectifiers,
    Op.PRELU_SLOPES: learned_rectifiers,
    Op.ACTIVATE: activations,
    Op.ACTIVATE_BACKWARD: activations,
    Op.DROPOUT: activations,
    Op.MAX_POOL: pooling,
    Op.MAX_POOL_BACKWARD: pooling,
    Op.AVERAGE_POOL: pooling,
    Op.AVERAGE_POOL_BACKWARD: pooling,
    Op.ADD: branches,
    Op.COPY_CHANNELS: branches,
    Op.MULTIPLY: gates,
    Op.MULTIPLY_SUMS: gates,
    Op.LRN: normalisation,
    Op.LRN_BACKWARD: normalisation,
    Op.CHANNEL_MOMENTS: normalisation,
    Op.BATCH_STATISTICS: normalisation,
    Op.RUNNING_STATISTICS: normalisation,
    Op.LAYER_STATISTICS: normalisation,
    Op.NORMALISE: normalisation,
    Op.NORMALISE_SUMS: normalisation,
    Op.BATCH_GRADIENTS: normalisation,
    Op.LAYER_GRADIENTS: normalisation,
    Op.NORMALISE_BACKWARD: normalisation,
    Op.TRANSFORM: winograd,
    Op.DEPTHWISE: depthwise_convolution,
    Op.DEPTHWISE_WEIGHTS: depthwise_convolution,
}
