"""Lowering: an instruction of a plan becomes launches of kernels, with all their arguments."""

from typing import NamedTuple

import numpy as np

from skconvnet.engine.cuda.compiler import Kernel
from skconvnet.engine.program.instructions import INSTRUCTIONS, REAL, Op, Space
from skconvnet.engine.program.target import round_to_line

__all__ = ["Call", "Launch", "call_of", "chunks"]

_QUAD = 4  # float32 elements
_MOST_BLOCKS = 2**31 - 1, 65_535, 65_535  # of a grid along x, y and z
_ROW = _MOST_BLOCKS[1]  # chunks of a sample along y; where there are more, they go on along z


class Launch(NamedTuple):
    """One execution of a kernel.

    Parameters
    ----------
    kernel : Kernel
    grid : tuple of int
        Blocks along x, y and z.
    arguments : tuple of int or float
        In the order of the kernel's parameters.
    """

    kernel: Kernel
    grid: tuple[int, int, int]
    arguments: tuple


class Call:
    """What the kernels of one instruction can be told, by name.

    ``call["x"]`` is the address of the operand ``x`` for the first sample, ``call["x_sample"]`` the distance between
    two samples in float32 elements, and ``call["rows"]`` a number of the instruction. The other names are those of the
    machine: ``samples``, the samples of the batch, and the addresses of its tables.

    Parameters
    ----------
    values : dict
        Integers and floats by name.
    scratch : int
        Address of the memory for what passes from one kernel of the instruction to the next.

    Attributes
    ----------
    scratch_size : int
        Float32 elements of it that the instruction needs.
    """

    def __init__(self, values, scratch):
        self._values = values
        self._scratch = scratch
        self.scratch_size = 0

    def __getitem__(self, name):
        return self._values[name]

    def scratch(self, size):
        """Return the address of `size` float32 that are this instruction's until its last kernel has ended."""
        address = self._scratch + 4 * self.scratch_size
        self.scratch_size += round_to_line(size)
        return address

    def launch(self, kernel, grid, **more):
        """Return the launch of a kernel, whose parameters are found by their names: in `more`, or in the call.

        Parameters
        ----------
        kernel : Kernel
        grid : tuple of int
            Blocks along x, y and z; those left out are 1.
        **more : int or float

        Raises
        ------
        ValueError
            If a GPU takes no grid that is as large.
        """
        grid = (*grid, 1, 1)[:3]
        if any(size > most for size, most in zip(grid, _MOST_BLOCKS, strict=True)):
            raise ValueError(
                f"{kernel.name} has {_times(grid)} blocks of threads, and a GPU takes at most {_times(_MOST_BLOCKS)}. "
                'Use smaller images, fewer filters, a smaller batch, or device="cpu".'
            )
        arguments = tuple(more[name] if name in more else self._values[name] for name in kernel.parameters)
        return Launch(kernel, grid, arguments)

    def over_numbers(self, kernel, size):
        """Return the grid that gives each of `size` numbers a thread: for each sample, blocks that `chunk` counts.

        Some of the last blocks may be too many.
        """
        blocks = chunks(size, kernel.threads)
        rows = max(1, chunks(blocks, _ROW))
        return self["samples"], chunks(blocks, rows), rows

    def over_quads(self, kernel, rows="rows", columns="columns", depth="depth"):
        """Return the grid that gives every quad of a volume a thread, as `over_numbers` does."""
        return self.over_numbers(kernel, self[rows] * self[columns] * (self[depth] // _QUAD))


def _times(grid):
    return " x ".join(f"{size:,}" for size in grid)


def chunks(size, length):
    """Return how many pieces of this length have `size` elements."""
    return -(-size // length)


def call_of(row, spaces, machine, scratch=0):
    """Return the call of an instruction.

    Parameters
    ----------
    row : ndarray of int64, shape (WIDTH,)
        The instruction.
    spaces : dict of Space to int
        The address of each space.
    machine : dict
        What the machine adds by name: the ``samples``, the ``place`` of the first in the batch, addresses of tables.
        The ``float32_precision`` is "ieee" unless it says "tf32x3".
    scratch : int
        As `Call` takes it.

    Returns
    -------
    Call
    """
    instruction = INSTRUCTIONS[Op(row[0])]
    values = {"float32_precision": "ieee"} | machine
    for name in instruction.operands:
        space, offset, stride = row[instruction.operand(name) :][:3].tolist()
        if space == Space.BATCH:
            offset += machine["place"] * stride
        values[name], values[f"{name}_sample"] = spaces[space] + 4 * offset, stride
    for name in instruction.numbers:
        value = row[instruction.number(name)]
        values[name] = float(value.view(np.float64)) if name in REAL else int(value)
    return Call(values, scratch)
