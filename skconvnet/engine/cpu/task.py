"""What the machine hands to its entries, in arrays of int64: a task for a run, a call for an instruction."""

from enum import IntEnum

import numpy as np

from skconvnet.engine.program.instructions import INSTRUCTIONS, Op

__all__ = ["Contraction", "InstructionCall", "Layout", "Task", "memory_layout", "number_columns", "stride_column"]


class Task(IntEnum):
    """What a run of a plan needs: addresses of arrays, and counts."""

    ENTRIES = 0  # int64, (opcodes,): addresses of the entries that execute them
    WORK = 1  # address of the entry by which one worker takes part in all segments
    LAYOUT = 2  # int64, (columns of Layout,)
    PROGRAM = 3  # int64, (instructions, WIDTH)
    N_INSTRUCTIONS = 4
    BLOCKS = 5  # int64, (blocks, columns of Block)
    N_BLOCKS = 6
    MEMORY = 7  # float32
    MOMENT_1 = 8  # float32, (parameters,) each
    MOMENT_2 = 9
    MEAN = 10  # float32, the channels of 8 pixels
    SCALE = 11
    TAKEN = 12  # int64, (segments, workers + 1): counters of turns, written by the machine
    # From here on a task differs from run to run.
    FIRST_TURN = 13  # the turns that workers take in this call: turn t in the queue of a worker is shard
    LAST_TURN = 14  # worker + t * workers
    SEGMENTS = 15  # int64, (segments, columns of Segment)
    N_SEGMENTS = 16
    PARAMETERS = 17  # float32, written by an update
    PIXELS = 18  # (n, pixels of an image), uint8 or float32
    BYTES = 19  # not 0: pixels are uint8
    ROWS = 20  # int64, (samples,): the images of the batch
    TARGETS = 21  # (samples, ...), in the dtype of the loss
    WEIGHTS = 22  # float64, (samples,)
    OUTCOMES = 23  # float64, (samples, outcome columns of the loss)
    SCORES = 24  # float32, (samples, classes), or a map of them for each sample
    RULE = 25  # float64, (columns of Rule,)
    WARPS = 26  # int64, (samples, columns of Warp)
    N_WARPS = 27  # 0: images are not augmented


class Layout(IntEnum):
    """Where everything of a plan is in memory, in float32 elements, and how its work is divided."""

    SHARED = 0  # where each space begins
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


class InstructionCall(IntEnum):
    """What a worker hands to the entry that executes an instruction.

    The columns of a `Contraction` follow as scratch space.
    """

    TASK = 0  # address of the task
    CODE = 1  # address of the instruction
    OPERAND_0 = 2  # addresses of its four operands, for the first sample
    OPERAND_1 = 3
    OPERAND_2 = 4
    OPERAND_3 = 5
    SAMPLES = 6  # number of samples
    FIRST = 7  # whether they are the first of their shard
    PLACE = 8  # the first sample's place in the batch
    PART = 9  # compute part PART of PARTS of a contraction
    PARTS = 10
    FIRST_ROW = 11  # compute only these rows of A; ROWS = 0 means all
    ROWS = 12


# One group of a contraction as the register tile reads it: counts, strides and RELU as in the instruction, then
# addresses.
_numbers = INSTRUCTIONS[Op.CONTRACT].numbers
Contraction = IntEnum("Contraction", [*_numbers[: _numbers.index("sample_loop")], "A", "B", "START", "C"], start=0)


def number_columns(op):
    """Return the columns of an opcode's numbers by name, as an enum that kernels can read."""
    instruction = INSTRUCTIONS[op]
    return IntEnum(op.name, {name: instruction.number(name) for name in instruction.numbers})


def stride_column(op, operand):
    """Return the column of the distance between two samples of an operand, in float32 elements."""
    return INSTRUCTIONS[op].operand(operand) + 2


def memory_layout(plan, n_samples, n_workers, seed=0, step=0):
    """Return where the machine finds everything of a plan: int64 with the columns of `Layout`.

    Parameters
    ----------
    plan : Plan
    n_samples, n_workers : int
        Samples of the batch; threads.
    seed, step : int
        What DROPOUT draws from.
    """
    layout = {
        Layout.SHARED: 0,
        Layout.BATCH: plan.shared,
        Layout.SLOTS: plan.shared + plan.batch,
        Layout.ARENAS: plan.memory(0),
        Layout.SLOT_SIZE: plan.slot,
        Layout.ARENA_SIZE: plan.arena,
        Layout.SHARD_SIZE: plan.shard_size,
        Layout.MICRO_BATCH: plan.micro_batch,
        Layout.WORKERS: n_workers,
        Layout.SAMPLES: n_samples,
        Layout.SEED: seed,
        Layout.STEP: step,
    }
    return np.array([layout[name] for name in Layout], np.int64)
