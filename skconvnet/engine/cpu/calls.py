"""What workers and instructions are handed: addresses and counts, in arrays of int64."""

from enum import IntEnum

__all__ = ["Call", "Task"]


class Task(IntEnum):
    """What the entry hands to the workers: addresses of its arrays, and the counts that they need."""

    CONTRACT = 0  # what is compiled by itself, and called by its address
    PLAIN = 1
    FURTHER = 2
    NORMAL = 3
    LAYOUT = 4
    RULE = 5
    SEGMENT = 6
    PROGRAM = 7
    INSTRUCTIONS = 8
    BLOCKS = 9
    N_BLOCKS = 10
    PARAMETERS = 11
    MEMORY = 12
    MOMENT_1 = 13
    MOMENT_2 = 14
    PIXELS = 15
    BYTES = 16
    ROWS = 17
    MEAN = 18
    SCALE = 19
    TARGETS = 20
    WEIGHTS = 21
    LOSSES = 22
    SCORES = 23
    WARPS = 24
    WARPED = 25


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
