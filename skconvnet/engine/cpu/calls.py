"""What workers and instructions are handed: addresses and counts, in arrays of int64."""

from enum import IntEnum

__all__ = ["Call", "Task"]


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
    SCORES = 25  # float32, (samples, classes), or a map of them for each sample
    RULE = 26  # float64, (columns of Rule,)
    WARPS = 27  # int64, (samples, columns of Warp)
    WARPED = 28  # their number; 0: images as they are


class Call(IntEnum):
    """What a worker hands to an instruction."""

    CODE = 0  # address of the instruction
    X = 1  # addresses of its operands, for the first sample
    W = 2
    START = 3
    Y = 4
    SAMPLES = 5  # how many samples to work on
    FIRST = 6  # whether they are the first of their shard
    PLACE = 7  # of the first sample in the batch
    TASK = 8  # address of the task
