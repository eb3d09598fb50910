"""Zeros in memory: whole volumes, and the borders around them.

Kernels work on one sample. Their operands are int64 addresses in bytes, of a volume's pixel (0, 0); numbers are read
from the instruction `code` by name, and strides are in float32 elements.
"""

import numpy as np

from skconvnet.engine.cpu.compile import kernel
from skconvnet.engine.cpu.llvm.simd import LANES, poke, splat, store
from skconvnet.engine.cpu.task import number_columns
from skconvnet.engine.program.instructions import Op

__all__ = ["clear", "clear_border", "write_zeros"]

_CLEAR, _BORDER = map(number_columns, (Op.CLEAR, Op.CLEAR_BORDER))


@kernel
def write_zeros(y, size):
    """Write `size` float32 zeros at address `y`."""
    zero = splat(np.float32(0))
    whole = size - size % LANES
    for at in range(0, whole, LANES):
        store(y + 4 * at, zero)
    for at in range(whole, size):
        poke(y + 4 * at, np.float32(0))


@kernel
def clear(code, y):
    """Write ``size`` zeros at `y`."""
    write_zeros(y, code[_CLEAR.size])


@kernel
def clear_border(code, y):
    """Write zeros around a volume: ``top`` rows above pixel (0, 0) at `y`, ``left`` columns before it, and so on.

    The right border of one row and the left border of the next are one run of memory.
    """
    rows, columns, depth = code[_BORDER.rows], code[_BORDER.columns], code[_BORDER.depth]
    top, left, bottom, right = code[_BORDER.top], code[_BORDER.left], code[_BORDER.bottom], code[_BORDER.right]
    y_row = (left + columns + right) * depth
    write_zeros(y - 4 * (top * y_row + left * depth), top * y_row + left * depth)
    for row in range(rows - 1):
        write_zeros(y + 4 * (row * y_row + columns * depth), (right + left) * depth)
    write_zeros(y + 4 * ((rows - 1) * y_row + columns * depth), right * depth + bottom * y_row)
