"""What an instruction is handed: addresses and counts, in an array of int64."""

from enum import IntEnum

__all__ = ["Call"]


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
