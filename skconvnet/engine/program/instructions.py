"""The instruction set: what a plan is written in and a machine executes.

A program is an int64 array with one instruction in each row. A row holds the opcode, up to four operands and the
numbers of that opcode:

    [ opcode | operand 0: space, offset, stride | operand 1: ... | operand 2: ... | operand 3: ... | numbers ... ]

`INSTRUCTIONS` names the operands and the numbers of every opcode, in their order in the row. A number that is not whole
is stored as the bits of its float64.

An operand is a place in float32 memory. Its ``offset`` counts from the beginning of its space, and sample ``s`` of the
micro-batch is ``s * stride`` elements further on. The offset of a volume is that of pixel (0, 0), inside the border of
zeros.
"""

from dataclasses import dataclass
from enum import IntEnum

import numpy as np

__all__ = [
    "INSTRUCTIONS",
    "N_POINTS",
    "ONE",
    "REAL",
    "TRANSFORMED_FILTERS",
    "WIDTH",
    "Activation",
    "Adds",
    "Block",
    "Instruction",
    "NormRow",
    "Op",
    "Outcome",
    "Residual",
    "Rule",
    "Samples",
    "Segment",
    "SegmentKind",
    "Space",
    "Transform",
    "Warp",
    "encode",
    "outputs_of_tile",
]

_MOST_OPERANDS = 4
_FIRST_NUMBER = 1 + 3 * _MOST_OPERANDS
REAL = frozenset("alpha beta delta eps k momentum rate smoothing".split())  # numbers that are float64


class Space(IntEnum):
    """Where an operand lives, and from where its offset counts."""

    PARAMETERS = 0  # weights and biases, read only while samples are worked on
    SHARED = 1  # the machine's memory: one copy for all workers
    BATCH = 2  # the machine's memory, one place for each sample of the batch
    LOCAL = 3  # the arena of the worker, one place for each sample of its micro-batch
    SHARD = 4  # the gradient slot of the shard that is worked on


class Op(IntEnum):
    """What an instruction does. The kernels of the same names say how."""

    LOAD_IMAGES = 0
    CONTRACT = 1
    CLEAR = 2
    CLEAR_BORDER = 3
    RELU = 4
    BIAS_RELU_BACKWARD = 5
    MAX_POOL = 6
    MAX_POOL_BACKWARD = 7
    SOFTMAX_CROSS_ENTROPY = 8
    STORE_SCORES = 9
    AVERAGE_POOL = 10
    AVERAGE_POOL_BACKWARD = 11
    ACTIVATE = 12
    ACTIVATE_BACKWARD = 13
    DROPOUT = 14
    ADD = 15
    COPY_CHANNELS = 16
    LRN = 17
    LRN_BACKWARD = 18
    CHANNEL_MOMENTS = 19
    BATCH_STATISTICS = 20
    RUNNING_STATISTICS = 21
    LAYER_STATISTICS = 22
    NORMALISE = 23
    NORMALISE_SUMS = 24
    BATCH_GRADIENTS = 25
    LAYER_GRADIENTS = 26
    NORMALISE_BACKWARD = 27
    TRANSFORM = 28
    DEPTHWISE = 29
    DEPTHWISE_WEIGHTS = 30
    MULTIPLY = 31
    MULTIPLY_SUMS = 32
    PRELU = 33
    PRELU_SLOPES = 34
    SIGMOID_CROSS_ENTROPY = 35
    REGRESSION_LOSS = 36


class Activation(IntEnum):
    """The function that an ACTIVATE computes of each activation, by the name of its layer."""

    TANH = 0
    SIGMOID = 1  # 1/(1 + exp(-x))
    RELU6 = 2  # min(max(x, 0), 6)
    HSIGMOID = 3  # RELU6(x + 3)/6
    HSWISH = 4  # x HSIGMOID(x)
    GELU = 5  # x (1 + erf(x/sqrt(2)))/2


class Residual(IntEnum):
    """The function of score - target that a REGRESSION_LOSS sums."""

    SQUARED = 0  # half the square
    ABSOLUTE = 1
    HUBER = 2  # half the square up to delta, and linear beyond


class Transform(IntEnum):
    """What a TRANSFORM of Winograd's minimal filtering does to each tile of m x m outputs, with m = 7 - F.

    `cpu.llvm.winograd` has the matrices.
    """

    INPUT = 0  # 6 x 6 activations to 6 x 6 positions
    OUTPUT = 1  # 6 x 6 positions to m x m outputs
    GRADIENT = 2  # m x m gradients of outputs to 6 x 6 positions
    WEIGHTS = 3  # F x F weights to 6 x 6 positions
    WEIGHTS_GRADIENT = 4  # 6 x 6 positions to F x F gradients of weights


N_POINTS = 6  # of minimal filtering along an axis: outputs of a tile + F - 1
TRANSFORMED_FILTERS = (3, 5)  # F for which there are transforms


def outputs_of_tile(F):
    """Return m, the outputs along an axis of a tile that TRANSFORM cuts for filters of F x F."""
    return N_POINTS + 1 - F


class Adds(IntEnum):
    """When a TRANSFORM adds to what is there."""

    NEVER = 0
    BEHIND_FIRST = 1  # unless the samples are the first of their shard
    ALWAYS = 2


class Samples(IntEnum):
    """Which loop of a contraction runs over the samples of a micro-batch."""

    NONE = 0
    I = 1  # noqa: E741 - the name of the loop in the sum of `cpu.llvm.tile`
    T = 2


@dataclass(frozen=True)
class Instruction:
    """The operands and the numbers of one opcode.

    Parameters
    ----------
    operands, numbers : tuple of str
        Their names, in the order of the row.

    Examples
    --------
    >>> relu = INSTRUCTIONS[Op.RELU]
    >>> relu.operands, relu.operand("y"), relu.number("rows")
    (('x', 'y'), 4, 13)
    """

    operands: tuple[str, ...]
    numbers: tuple[str, ...]

    def operand(self, name):
        """Return the first of an operand's three columns: space, offset and stride."""
        return 1 + 3 * self.operands.index(name)

    def number(self, name):
        """Return the column of a number."""
        return _FIRST_NUMBER + self.numbers.index(name)


_LOOPS = "I J M N T R K a_i a_j a_p a_t a_r a_k b_t b_r b_k start_i start_j start_p start_q c_i c_j c_p RELU"
# A CONTRACT is one such sum for each of `groups` groups. From group to group, each operand is so much further on.
_GROUPS = "groups a_g b_g start_g c_g"
# Tile (r, c) of a TRANSFORM is at r * x_row + c * x_column, and its number [i, j] at i * x_i + j * x_j from there.
_TILES = "x_row x_column x_i x_j start_q y_row y_column y_a y_b"
# x[i, j, t, r] of a sum with a filter for each channel, and the taps t, r.
_TAPS = "T R x_row x_column x_t x_r"
_WINDOWS = "F_rows F_columns S_rows S_columns P_rows P_columns rows_out columns_out"
# Of the padding, the zeros on each side that count: all, or none.
_MEANS = f"{_WINDOWS} counted_rows counted_columns"

INSTRUCTIONS = {
    op: Instruction(tuple(operands.split()), tuple(numbers.split()))
    for op, operands, numbers in [
        (Op.LOAD_IMAGES, "y", "rows columns depth y_row y_depth"),
        (Op.CONTRACT, "a b start c", f"{_LOOPS} sample_loop accumulate {_GROUPS}"),
        (Op.CLEAR, "y", "size"),
        (Op.CLEAR_BORDER, "y", "rows columns depth top left bottom right"),
        (Op.RELU, "x y", "rows columns depth x_row y_row"),
        (Op.BIAS_RELU_BACKWARD, "dy y dx dbias", "rows columns depth dy_row y_row dx_row relu bias"),
        (Op.MAX_POOL, "x y", f"rows columns depth x_row {_WINDOWS} y_row"),
        (Op.MAX_POOL_BACKWARD, "x y dy dx", f"rows columns depth x_row {_WINDOWS} y_row dx_row dy_row overlap"),
        (Op.SOFTMAX_CROSS_ENTROPY, "scores dscores", "classes depth smoothing"),
        (Op.SIGMOID_CROSS_ENTROPY, "scores dscores", "outputs depth smoothing"),
        (Op.REGRESSION_LOSS, "scores dscores", "outputs depth function delta"),
        (Op.STORE_SCORES, "x", "rows columns classes x_row depth"),
        (Op.AVERAGE_POOL, "x y", f"rows columns depth x_row {_MEANS} y_row"),
        (Op.AVERAGE_POOL_BACKWARD, "dy dx", f"rows columns depth dx_row {_MEANS} dy_row"),
        (Op.ACTIVATE, "x y", "rows columns depth channels x_row y_row function"),
        (Op.ACTIVATE_BACKWARD, "dy kept dx", "rows columns depth dy_row kept_row dx_row function"),
        (Op.PRELU, "x v slopes y", "rows columns depth x_row v_row y_row"),
        (Op.PRELU_SLOPES, "x dy dslopes", "rows columns depth x_row dy_row"),
        (Op.DROPOUT, "x y", "rows columns depth x_row y_row layer rate"),
        (Op.ADD, "x w y", "rows columns depth x_row w_row y_row relu"),
        # w_row and w_column are 0 where one pixel multiplies all others.
        (Op.MULTIPLY, "x w y", "rows columns depth x_row w_row w_column y_row"),
        (Op.MULTIPLY_SUMS, "x w sums", "rows columns depth x_row w_row"),
        (Op.COPY_CHANNELS, "x y", "rows columns channels x_row x_depth y_row y_depth clear"),
        (Op.LRN, "x y", "rows columns depth x_row y_row size alpha beta k"),
        (Op.LRN_BACKWARD, "x dy dx", "rows columns depth x_row dy_row dx_row size alpha beta k"),
        (Op.CHANNEL_MOMENTS, "x moments", "rows columns depth x_row"),
        (Op.BATCH_STATISTICS, "moments scales running coefficients", "depth pixels momentum eps"),
        (Op.RUNNING_STATISTICS, "scales running coefficients", "depth eps"),
        (Op.LAYER_STATISTICS, "moments scales coefficients", "depth channels pixels eps"),
        (Op.NORMALISE, "x coefficients y", "rows columns depth x_row y_row relu"),
        (Op.NORMALISE_SUMS, "dy x coefficients sums", "rows columns depth dy_row x_row relu"),
        (Op.BATCH_GRADIENTS, "sums coefficients", "depth pixels"),
        (Op.LAYER_GRADIENTS, "sums scales dscales coefficients", "depth channels pixels"),
        (Op.NORMALISE_BACKWARD, "dy x coefficients dx", "rows columns depth dy_row x_row dx_row"),
        (Op.TRANSFORM, "x start y", f"transform F rows columns depth {_TILES} down across RELU each_sample adds"),
        (Op.DEPTHWISE, "x w bias y", f"rows columns depth channels {_TAPS} w_t w_r w_c y_row y_column RELU has_bias"),
        (Op.DEPTHWISE_WEIGHTS, "x dy dw", f"rows columns depth channels {_TAPS} dy_row dw_t dw_r dw_c"),
    ]
}

WIDTH = _FIRST_NUMBER + max(len(instruction.numbers) for instruction in INSTRUCTIONS.values())


class Segment(IntEnum):
    """The columns of a segment: a run of instructions between two barriers, and how its work is divided."""

    KIND = 0
    FIRST = 1
    LAST = 2


class SegmentKind(IntEnum):
    """How the work of a segment is divided."""

    PER_SAMPLE = 0  # shards of the batch, each taken through the instructions one micro-batch at a time
    UPDATE = 1  # blocks of the parameters: reduce the gradient, take the step, write the transposed copy
    TRANSPOSE = 2  # blocks of the parameters: write the transposed copy only
    REDUCE = 3  # instructions over all samples of the batch, executed once by one worker
    SPLIT = 4  # CONTRACT and TRANSFORM over the whole batch, of which each worker computes a part


class Rule(IntEnum):
    """The numbers of an optimizer step."""

    ADAM = 0  # 1: Adam; 0: gradient descent with momentum
    RATE = 1
    DECAY = 2
    BETA_1 = 3  # momentum, in gradient descent
    BETA_2 = 4
    EPSILON = 5
    DEBIAS = 6
    NESTEROV = 7
    BODY_RATE = 8  # RATE and DECAY of blocks that belong to the body
    BODY_DECAY = 9


class Block(IntEnum):
    """The columns of a block of parameters: some rows of one layer's weights, or its biases, updated by one worker."""

    OFFSET = 0  # in the parameter vector
    ROWS = 1
    COLUMNS = 2
    CONTRACTION = 3  # the instruction that computes its gradient from the whole batch, or -1
    FIRST_ROW = 4  # the block's first row, counted in that contraction
    DECAY = 5  # whether `alpha` applies
    TRANSPOSED = 6  # offset of the transposed copy in shared memory, or -1
    TRANSPOSED_STRIDE = 7  # distance between two columns there
    GRADIENT = 8  # offset in shared memory of a gradient that is complete, or -1. With neither, it is in the slots
    IN_BODY = 9  # whether BODY_RATE and BODY_DECAY apply


class Outcome(IntEnum):
    """What a loss writes for each sample."""

    LOSS = 0  # the sample's share of the batch's weighted mean loss
    SCORE = 1  # 1 if all that is predicted is right, else 0; of numbers, 1 - the mean squared error of the outputs


class NormRow(IntEnum):
    """The rows of a NORM's coefficients, each as long as the volume is deep."""

    FACTOR = 0  # y = FACTOR x + OFFSET: scale times INVERSE
    OFFSET = 1  # shift - FACTOR times MEAN
    MEAN = 2
    INVERSE = 3  # 1 / sqrt(variance + eps)
    CONSTANT = 4  # dx = FACTOR dy + CONSTANT + SLOPE (x - MEAN)
    SLOPE = 5
    SCALE_GRADIENT = 6
    SHIFT_GRADIENT = 7


class Warp(IntEnum):
    """The columns of an image's augmentation; see `skconvnet.training.augment`. A row of zeros changes nothing.

    The tones of an image change first, then it is mirrored, rotated and scaled, and shifted. Noise is added to the
    result, a rectangle is covered, and the image of another sample is mixed in. Every number fits into an int32; those
    that are not whole are in parts of `ONE`.
    """

    FLIP = 0  # 1: the image's columns are mirrored
    DOWN = 1  # pixel (r, c) then shows the image's pixel (r + DOWN, c + RIGHT), or the mean where there is none
    RIGHT = 2
    CUT_TOP = 3  # a rectangle that shows the mean
    CUT_LEFT = 4
    CUT_BOTTOM = 5
    CUT_RIGHT = 6
    COSINE = 7  # cos(angle) / scale - 1: at (x, y) from its centre, the result shows the image at
    SINE = 8  # sin(angle) / scale:        ((1 + COSINE) x + SINE y, (1 + COSINE) y - SINE x)
    CONTRAST = 9  # a standardised number is multiplied by 1 + CONTRAST,
    BRIGHTNESS = 10  # and BRIGHTNESS is added
    NOISE = 11  # standard deviation of the noise
    NOISE_KEY = 12  # decides the noise, together with the place of a number in the image
    PARTNER = 13  # so many places further on in the minibatch is the image that is mixed in
    SHARE = 14  # of that image in the result


ONE = 1 << 16


def encode(op, operands, numbers):
    """Write one instruction.

    Parameters
    ----------
    op : Op
        The opcode.
    operands : dict of str to (Space, offset, stride)
        One entry for each name in ``INSTRUCTIONS[op].operands``.
    numbers : dict of str to int or float
        One entry for each name in ``INSTRUCTIONS[op].numbers``.

    Returns
    -------
    ndarray of int64, shape (WIDTH,)
        The row.
    """
    instruction = INSTRUCTIONS[op]
    for given, named in ((operands, instruction.operands), (numbers, instruction.numbers)):
        if given.keys() != set(named):
            raise KeyError(f"{op.name} takes {', '.join(named)}, not {', '.join(given)}")
    row = [op]
    for name in instruction.operands:
        row += operands[name]
    row += [0] * (_FIRST_NUMBER - len(row))
    row += [np.float64(numbers[name]).view(np.int64) if name in REAL else numbers[name] for name in instruction.numbers]
    row += [0] * (WIDTH - len(row))
    return np.array(row, np.int64)
