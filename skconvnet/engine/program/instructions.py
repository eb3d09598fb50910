"""The instruction set: what a plan is written in and a machine executes.

A program is an int64 array, one instruction a row. A row is the opcode, four operands, then the numbers of that
opcode, in the order that its entry in `NUMBERS` names them; a number that is not whole stands as the bits of its
float64:

    [ opcode | X: space, offset, stride | W: ... | START: ... | Y: ... | numbers ... ]

An operand is a place in float32 memory: ``offset`` counts from the beginning of its space, and sample ``s`` of the
micro-batch stands ``s * stride`` further on. Offsets of images point at pixel (0, 0), inside their border of zeros.
"""

from enum import IntEnum

import numpy as np

__all__ = [
    "FIRST_NUMBER",
    "NUMBERS",
    "OPERANDS",
    "WIDTH",
    "Block",
    "Descriptor",
    "Layout",
    "Normal",
    "Op",
    "Rule",
    "Samples",
    "Segment",
    "Space",
    "Task",
    "Warp",
    "Work",
    "encode",
]


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
    CROSS_ENTROPY = 8
    STORE_SCORES = 9
    AVERAGE_POOL = 10
    AVERAGE_POOL_BACKWARD = 11
    SQUASH = 12
    SQUASH_BACKWARD = 13
    DROPOUT = 14
    ADD = 15
    COPY_CHANNELS = 16
    LRN = 17
    LRN_BACKWARD = 18
    # The machine tells the instructions of NORM(batch | layer) by their place: from here on, and nothing else is.
    CHANNEL_MOMENTS = 19
    BATCH_STATISTICS = 20
    RUNNING_STATISTICS = 21
    LAYER_STATISTICS = 22
    NORMALISE = 23
    NORMALISE_SUMS = 24
    BATCH_GRADIENTS = 25
    LAYER_GRADIENTS = 26
    NORMALISE_BACKWARD = 27


class Samples(IntEnum):
    """Which loop of a contraction runs over the samples of a micro-batch."""

    NONE = 0
    I = 1  # noqa: E741 - the name that the sum has in `cpu.tile`
    T = 2


# A contraction's counts and strides as `cpu.tile` defines them, whether negatives become zero, and its addresses.
Descriptor = IntEnum(
    "Descriptor",
    "I J M N T R K a_i a_j a_p a_t a_r a_k b_t b_r b_k start_i start_j start_p start_q c_i c_j c_p RELU A B START C",
    start=0,
)

NUMBERS = {
    Op.LOAD_IMAGES: "rows columns depth y_row y_depth".split(),
    Op.CONTRACT: [*[*Descriptor.__members__][: Descriptor.A], "samples", "accumulate"],
    Op.CLEAR: "size".split(),
    Op.CLEAR_BORDER: "rows columns depth top left bottom right".split(),
    Op.RELU: "rows columns depth x_row y_row".split(),
    Op.BIAS_RELU_BACKWARD: "rows columns depth x_row y_row w_row relu bias".split(),
    Op.MAX_POOL: "rows columns depth x_row F_rows F_columns S P rows_out columns_out y_row".split(),
    Op.MAX_POOL_BACKWARD: (
        "rows columns depth x_row F_rows F_columns S P rows_out columns_out y_row dx_row dy_row overlap"
    ).split(),
    Op.CROSS_ENTROPY: "classes depth".split(),
    Op.STORE_SCORES: "rows columns classes x_row depth".split(),
    Op.AVERAGE_POOL: "rows columns depth x_row F_rows F_columns S P rows_out columns_out y_row".split(),
    Op.AVERAGE_POOL_BACKWARD: "rows columns depth dx_row F_rows F_columns S P rows_out columns_out dy_row".split(),
    Op.SQUASH: "rows columns depth channels x_row y_row sigmoid".split(),
    Op.SQUASH_BACKWARD: "rows columns depth dy_row y_row dx_row sigmoid".split(),
    Op.DROPOUT: "rows columns depth x_row y_row layer rate".split(),
    Op.ADD: "rows columns depth x_row w_row y_row relu".split(),
    Op.COPY_CHANNELS: "rows columns channels x_row x_depth y_row y_depth clear".split(),
    Op.LRN: "rows columns depth x_row y_row size alpha beta k".split(),
    Op.LRN_BACKWARD: "rows columns depth x_row dy_row dx_row size alpha beta k".split(),
    Op.CHANNEL_MOMENTS: "rows columns depth x_row".split(),
    Op.BATCH_STATISTICS: "depth pixels momentum eps".split(),
    Op.RUNNING_STATISTICS: "depth eps".split(),
    Op.LAYER_STATISTICS: "depth channels pixels eps".split(),
    Op.NORMALISE: "rows columns depth x_row y_row relu".split(),
    Op.NORMALISE_SUMS: "rows columns depth dy_row x_row relu".split(),
    Op.BATCH_GRADIENTS: "depth pixels".split(),
    Op.LAYER_GRADIENTS: "depth channels pixels".split(),
    Op.NORMALISE_BACKWARD: "rows columns depth dy_row x_row dx_row".split(),
}

OPERANDS = {"X": 1, "W": 4, "START": 7, "Y": 10}
FIRST_NUMBER = 13
WIDTH = FIRST_NUMBER + max(len(names) for names in NUMBERS.values())


class Segment(IntEnum):
    """The columns of a segment: a run of instructions between two barriers, and how its work is divided."""

    KIND = 0
    FIRST = 1
    LAST = 2


class Work(IntEnum):
    """The kinds of segment."""

    SAMPLES = 0  # shards of the batch, each taken through the instructions a micro-batch at a time
    UPDATE = 1  # blocks of the parameters: add up the gradient, step, write the transposed copy
    TURN = 2  # blocks of the parameters: write the transposed copy only
    ONCE = 3  # instructions that bring together what all samples of the batch have left: one worker, one time
    PARTS = 4  # contractions over the whole batch at once: each worker computes its part of every one


class Layout(IntEnum):
    """The numbers that divide memory (in float32 elements) and work; what a plan hands to a machine beside programs."""

    SHARED = 0  # where each space begins in the machine's memory
    BATCH = 1
    SLOTS = 2
    ARENAS = 3
    SLOT_SIZE = 4  # of one shard's gradient slot
    ARENA_SIZE = 5  # of one worker
    SHARD_SIZE = 6  # samples in a shard, all but the last
    MICRO_BATCH = 7  # samples taken through the network together
    WORKERS = 8  # threads that share the work; nothing that is computed depends on it
    SAMPLES = 9  # in this batch
    SEED = 10  # of DROPOUT,
    STEP = 11  # whose draws differ from step to step


class Task(IntEnum):
    """What a machine is handed to run a plan: addresses of arrays, and the counts that it needs."""

    CONTRACT = 0  # what is compiled by itself, and called by its address
    PLAIN = 1
    FURTHER = 2
    NORMAL = 3
    WORK = 4
    LAYOUT = 5  # int64, (columns of Layout,)
    PROGRAM = 6  # int64, (instructions, WIDTH)
    INSTRUCTIONS = 7
    BLOCKS = 8  # int64, (blocks, columns of Block)
    N_BLOCKS = 9
    MEMORY = 10  # float32
    MOMENT_1 = 11  # float32, (parameters,) each
    MOMENT_2 = 12
    MEAN = 13  # float32, the channels of 8 pixels
    SCALE = 14
    SEGMENT = 15  # the one that is worked on. From here on a task differs from run to run
    SEGMENTS = 16  # int64, (segments, columns of Segment)
    N_SEGMENTS = 17
    PARAMETERS = 18  # float32; written by an update
    PIXELS = 19  # (n, image), float32 unless
    BYTES = 20  # is not 0: then uint8
    ROWS = 21  # int64, (samples,): the images that are meant
    TARGETS = 22  # int64, (samples,)
    WEIGHTS = 23  # float64, (samples,)
    LOSSES = 24  # float64, (samples,)
    RIGHT = 25  # float64, (samples,): 1 where the target has the highest score, else 0
    SCORES = 26  # float32, (samples, classes), or a map of them for each sample
    RULE = 27  # float64, (columns of Rule,)
    WARPS = 28  # int64, (samples, columns of Warp)
    WARPED = 29  # their number; 0: images as they are


class Rule(IntEnum):
    """The numbers of an optimizer step and of the loss."""

    ADAM = 0  # 1: Adam; 0: gradient descent with momentum
    RATE = 1
    DECAY = 2
    BETA_1 = 3  # momentum, in gradient descent
    BETA_2 = 4
    EPSILON = 5
    DEBIAS = 6
    NESTEROV = 7
    SMOOTHING = 8


class Block(IntEnum):
    """The columns of a block of parameters: some rows of one layer's weights, or its biases, updated by one worker."""

    OFFSET = 0  # in the parameter vector
    ROWS = 1
    COLUMNS = 2
    CONTRACTION = 3  # the instruction that computes its gradient from the whole batch, or -1
    FIRST_ROW = 4  # the block's first row, counted in that contraction
    DECAY = 5  # whether `alpha` applies
    TURNED = 6  # where the transposed copy lies in shared memory, or -1
    TURNED_STRIDE = 7  # distance there between two columns
    GRADIENT = 8  # where its gradient lies complete in shared memory, or -1. With neither, shards have summed it


class Normal(IntEnum):
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
    """The columns of an image's augmentation; see `skconvnet.training.augment`."""

    FLIP = 0  # 1: the image's columns are mirrored first
    DOWN = 1  # pixel (r, c) then shows the image's pixel (r + DOWN, c + RIGHT), or the mean where there is none
    RIGHT = 2
    CUT_TOP = 3  # a rectangle that shows the mean
    CUT_LEFT = 4
    CUT_BOTTOM = 5
    CUT_RIGHT = 6


def encode(op, operands, **numbers):
    """Write one instruction.

    Parameters
    ----------
    op : Op
        The opcode.
    operands : dict of str to (Space, offset, stride)
        By the names in `OPERANDS`; those left out are not used by `op`.
    **numbers : int or float
        By the names in ``NUMBERS[op]``, every one of them.

    Returns
    -------
    ndarray of int64 of shape (WIDTH,)
        The row.
    """
    names = NUMBERS[op]
    if len(names) != len(numbers) or not numbers.keys() <= set(names):
        raise KeyError(f"{op.name} takes {names}, not {sorted(numbers)}")
    row = [0] * WIDTH
    row[0] = op
    for name, operand in operands.items():
        row[OPERANDS[name] : OPERANDS[name] + 3] = operand
    for column, name in enumerate(names, FIRST_NUMBER):
        number = numbers[name]
        row[column] = np.float64(number).view(np.int64) if type(number) is float else number
    return np.array(row, np.int64)
