"""Memory laid out before any is taken: volumes in their borders, and arenas that volumes share.

An activation is (rows, columns, depth), depth padded to a multiple of `DEPTH`, inside a border of zeros as wide as
the CONV that reads it wants: zero-padding is written once, not tested for at every read.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from skconvnet.engine.program.instructions import Space

__all__ = [
    "DEPTH",
    "NO_BORDER",
    "Buffer",
    "Operand",
    "aligned_zeros",
    "at",
    "lined",
    "pack",
    "padded",
    "place",
    "spread",
    "widest",
]

DEPTH = 8  # every depth is a multiple of it: the narrowest panel of `cpu.tile`, the vector of `cpu.simd`
NO_BORDER = (0, 0, 0, 0)
_LINE = 16  # float32 in a cache line, to which sizes and offsets are rounded
_WIDE = 192  # columns from which on rows are spread


def padded(depth):
    """Round a depth up to a multiple of `DEPTH`."""
    return -(-depth // DEPTH) * DEPTH


def lined(size):
    """Round a number of float32 up to whole cache lines."""
    return int(-(-size // _LINE) * _LINE)


def spread(columns):
    """Return the distance, `columns` or more, at which rows of weights do not crowd into a few sets of a cache.

    A panel of the tile reads two lines of each row. At a distance of 2**k lines they share 1 in 2**k sets of the cache,
    and a panel that would fit in it is read from the next one again and again; at an odd number of lines all are used.
    Narrow rows are read whole by few panels.
    """
    return columns + _LINE if columns >= _WIDE and columns % (2 * _LINE) == 0 else columns


def aligned_zeros(size):
    """Return `size` float32 zeros that begin at a cache line."""
    raw = np.zeros(size + _LINE, np.float32)
    first = (-raw.ctypes.data // raw.itemsize) % _LINE
    return raw[first : first + size]


@dataclass(eq=False)
class Buffer:
    """The place of one volume, for every sample of a micro-batch or of the batch.

    Parameters
    ----------
    rows, columns, depth : int
        The volume as stored.
    channels : int
        How much of the depth is not padding.
    border : tuple of int
        Zeros around it: (top, left, bottom, right).
    gradient_border : tuple of int
        Those that the gradient by this volume wants.
    recipe : callable, optional
        ``recipe(work, buffer)`` writes the instructions that compute the volume anew, where that is cheaper than
        keeping it for the whole batch.
    """

    rows: int
    columns: int
    depth: int
    channels: int
    border: tuple[int, int, int, int] = NO_BORDER
    gradient_border: tuple[int, int, int, int] = NO_BORDER
    recipe: Callable | None = None
    offset: int = 0  # of the first sample's storage; the layout fills it in
    uses: list[tuple[int, int]] = field(default_factory=list)  # (segment, instruction) of all that read or write it

    @property
    def space(self):
        """LOCAL, in a worker's arena, or BATCH where one segment leaves the volume to another."""
        return Space.LOCAL if self.uses[0][0] == self.uses[-1][0] else Space.BATCH

    @cached_property
    def row(self):
        """Distance between two rows."""
        return (self.border[1] + self.columns + self.border[3]) * self.depth

    @cached_property
    def size(self):
        """Storage of one sample: the distance between two samples."""
        return lined((self.border[0] + self.rows + self.border[2]) * self.row)

    def pixel(self, row, column, channel=0):
        """Distance from the beginning of a sample's storage to an element; rows and columns may lie in the border."""
        return (self.border[0] + row) * self.row + (self.border[1] + column) * self.depth + channel

    @property
    def is_dense(self):
        """Whether the volume is one run of memory."""
        return not any(self.border)


def widest(borders):
    """Return the border that holds every one of `borders`."""
    return tuple(map(max, zip(NO_BORDER, *borders, strict=True)))


def pack(buffers, samples, time):
    """Place buffers so that those in use at once never meet, largest first, and return the size of the whole.

    Parameters
    ----------
    buffers : list of Buffer
        Their offsets are set.
    samples : int
        How many samples each has to hold.
    time : callable
        Of one of a buffer's uses: the time that counts, in which a worker's micro-batch is at one place or all of the
        batch are.
    """
    placed, size = [], 0  # (offset, end, first time, last time) of each
    for buffer in sorted(buffers, key=lambda b: (-b.size, b.uses[0])):
        first, last = time(buffer.uses[0]), time(buffer.uses[-1])
        need, offset = buffer.size * samples, 0
        for begin, end in sorted((o[0], o[1]) for o in placed if o[2] <= last and first <= o[3]):
            if begin - offset >= need:
                break
            offset = max(offset, end)
        buffer.offset = offset
        placed.append((offset, offset + need, first, last))
        size = max(size, offset + need)
    return size


@dataclass(frozen=True)
class Operand:
    """A place in memory: an element of a buffer, or an offset in a space."""

    offset: int
    space: Space | None = None
    buffer: Buffer | None = None

    def resolve(self):
        """Return (space, offset, stride), once the buffer has its place."""
        if self.buffer is None:
            return self.space, self.offset, 0
        return self.buffer.space, self.buffer.offset + self.offset, self.buffer.size


def at(buffer, row=0, column=0, channel=0):
    """Operand: an element of each sample's volume."""
    return Operand(buffer.pixel(row, column, channel), buffer=buffer)


def place(space, offset):
    """Operand: an offset in a space, the same for every sample."""
    return Operand(offset, space)
