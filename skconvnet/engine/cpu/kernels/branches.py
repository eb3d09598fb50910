"""Branches: their sum, their product, and their outputs stacked along depth.

Kernels work on one sample. Their operands are int64 addresses in bytes, of a volume's pixel (0, 0); numbers are read
from the instruction `code` by name, and strides are in float32 elements.
"""

import numpy as np

from skconvnet.engine.cpu.compile import kernel
from skconvnet.engine.cpu.kernels.memory import write_zeros
from skconvnet.engine.cpu.llvm.simd import BYTES, LANES, load, peek, poke, splat, store, where_greater
from skconvnet.engine.cpu.task import number_columns
from skconvnet.engine.program.instructions import Op

__all__ = ["add", "copy_channels", "multiply", "multiply_sums"]

_ADD, _COPY, _MULTIPLY, _SUMS = map(number_columns, (Op.ADD, Op.COPY_CHANNELS, Op.MULTIPLY, Op.MULTIPLY_SUMS))


@kernel
def add(code, x, w, y):
    """Y = x + w, or max(x + w, 0) with ``relu``; `y` may be the same place as `x` or `w`."""
    rows, columns, depth = code[_ADD.rows], code[_ADD.columns], code[_ADD.depth]
    x_row, w_row, y_row, relu = code[_ADD.x_row], code[_ADD.w_row], code[_ADD.y_row], code[_ADD.relu] != 0
    zero = splat(np.float32(0))
    for row in range(rows):
        from_x, from_w, to_y = x + 4 * row * x_row, w + 4 * row * w_row, y + 4 * row * y_row
        for at in range(0, 4 * columns * depth, BYTES):
            total = load(from_x + at) + load(from_w + at)
            if relu:
                total = where_greater(zero, total, zero, total)
            store(to_y + at, total)


@kernel
def multiply(code, x, w, y):
    """Y = x * w, where `w` is a volume like `x`, or one pixel if ``w_row`` and ``w_column`` are 0."""
    rows, columns, depth = code[_MULTIPLY.rows], code[_MULTIPLY.columns], code[_MULTIPLY.depth]
    x_row, w_row, y_row = code[_MULTIPLY.x_row], code[_MULTIPLY.w_row], code[_MULTIPLY.y_row]
    w_column = code[_MULTIPLY.w_column]
    for row in range(rows):
        from_x, from_w, to_y = x + 4 * row * x_row, w + 4 * row * w_row, y + 4 * row * y_row
        for _ in range(columns):
            for at in range(0, 4 * depth, BYTES):
                store(to_y + at, load(from_x + at) * load(from_w + at))
            from_x += 4 * depth
            from_w += 4 * w_column
            to_y += 4 * depth


@kernel
def multiply_sums(code, x, w, sums):
    """Sum x * w over the pixels, channel by channel, into the pixel `sums`, which is overwritten."""
    rows, columns, depth = code[_SUMS.rows], code[_SUMS.columns], code[_SUMS.depth]
    x_row, w_row = code[_SUMS.x_row], code[_SUMS.w_row]
    for q in range(0, 4 * depth, BYTES):
        total = splat(np.float32(0))
        for row in range(rows):
            from_x, from_w = x + 4 * row * x_row + q, w + 4 * row * w_row + q
            line = splat(np.float32(0))  # rows are summed first: long sums lose digits
            for _ in range(columns):
                line = line + load(from_x) * load(from_w)
                from_x += 4 * depth
                from_w += 4 * depth
            total = total + line
        store(sums + q, total)


@kernel
def copy_channels(code, x, y):
    """Copy ``channels`` channels of each pixel from `x` to `y`, and write ``clear`` zeros after them.

    `x` and `y` are the addresses of the first channel in pixel (0, 0), which need not be aligned. Pixels of a row are
    ``x_depth`` and ``y_depth`` elements apart.
    """
    rows, columns, channels = code[_COPY.rows], code[_COPY.columns], code[_COPY.channels]
    x_row, x_depth, y_row, y_depth = code[_COPY.x_row], code[_COPY.x_depth], code[_COPY.y_row], code[_COPY.y_depth]
    n_cleared = code[_COPY.clear]
    whole = channels - channels % LANES
    for row in range(rows):
        from_x, to_y = x + 4 * row * x_row, y + 4 * row * y_row
        for _ in range(columns):
            for at in range(0, 4 * whole, BYTES):
                store(to_y + at, load(from_x + at))
            for at in range(4 * whole, 4 * channels, 4):
                poke(to_y + at, peek(from_x + at))
            write_zeros(to_y + 4 * channels, n_cleared)
            from_x += 4 * x_depth
            to_y += 4 * y_depth
