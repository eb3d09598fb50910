"""Pooling and its gradients (section "Pooling Layer" of the CS231n notes).

A window that reaches over the edge of its input, by padding or by rounding up, is clipped to the input: padding never
is the maximum, and is counted in an average only where the instruction says so. The gradient of a maximum finds the
winner again by comparing, instead of storing its place: the first of equals in row-major order, as in the forward pass.

Kernels work on one sample. Their operands are int64 addresses in bytes, of a volume's pixel (0, 0); numbers are read
from the instruction `code` by name, and strides are in float32 elements.
"""

import numpy as np

from skconvnet.engine.cpu.compile import kernel
from skconvnet.engine.cpu.llvm.simd import BYTES, load, splat, store, where_equal, where_greater
from skconvnet.engine.cpu.task import number_columns
from skconvnet.engine.program.instructions import Op

__all__ = ["average_pool", "average_pool_backward", "max_pool", "max_pool_backward"]

_MAX, _MAX_BACK, _MEAN, _MEAN_BACK = map(
    number_columns, (Op.MAX_POOL, Op.MAX_POOL_BACKWARD, Op.AVERAGE_POOL, Op.AVERAGE_POOL_BACKWARD)
)


@kernel
def _window(index, S, P, F, extent):
    """Return the first and the last (exclusive) input row or column of window `index`."""
    first = index * S - P
    return max(first, 0), min(first + F, extent)


@kernel
def max_pool(code, x, y):
    """y[i, j] = maximum of x over F_rows x F_columns from (i*S_rows - P_rows, j*S_columns - P_columns) on.

    Parameters
    ----------
    code : ndarray of int64
        The instruction: volumes, windows and row strides.
    x : int64
        The input.
    y : int64
        The output, overwritten.
    """
    rows, columns, depth, x_row = code[_MAX.rows], code[_MAX.columns], code[_MAX.depth], code[_MAX.x_row]
    F_rows, S_rows, P_rows = code[_MAX.F_rows], code[_MAX.S_rows], code[_MAX.P_rows]
    F_columns, S_columns, P_columns = code[_MAX.F_columns], code[_MAX.S_columns], code[_MAX.P_columns]
    rows_out, columns_out, y_row = code[_MAX.rows_out], code[_MAX.columns_out], code[_MAX.y_row]
    across = _are_pairs(F_columns, S_columns, P_columns, columns, columns_out)
    if across and _are_pairs(F_rows, S_rows, P_rows, rows, rows_out):
        _max_pool_2x2(code, x, y)
        return
    for i in range(rows_out):
        top, bottom = _window(i, S_rows, P_rows, F_rows, rows)
        for j in range(columns_out):
            left, right = _window(j, S_columns, P_columns, F_columns, columns)
            corner = x + 4 * (top * x_row + left * depth)
            out = y + 4 * (i * y_row + j * depth)
            for q in range(0, 4 * depth, BYTES):
                best = load(corner + q)
                for u in range(bottom - top):
                    at = corner + q + 4 * u * x_row
                    for _ in range(right - left):
                        value = load(at)
                        best = where_greater(value, best, value, best)
                        at += 4 * depth
                store(out + q, best)


@kernel
def _are_pairs(F, S, P, extent, windows):
    """Return whether all windows along an axis are pairs of neighbours that do not overlap, as in most networks."""
    return F == 2 and S == 2 and P == 0 and 2 * windows <= extent


@kernel
def _max_pool_2x2(code, x, y):
    """Do what `max_pool` does, for pairs: in half the time, without loops over the window."""
    pixel, x_row = 4 * code[_MAX.depth], code[_MAX.x_row]
    rows_out, columns_out, y_row = code[_MAX.rows_out], code[_MAX.columns_out], code[_MAX.y_row]
    for i in range(rows_out):
        for j in range(columns_out):
            upper, out = x + 4 * 2 * i * x_row + 2 * j * pixel, y + 4 * i * y_row + j * pixel
            lower = upper + 4 * x_row
            for q in range(0, pixel, BYTES):
                a, b, c, d = load(upper + q), load(upper + pixel + q), load(lower + q), load(lower + pixel + q)
                best = where_greater(b, a, b, a)
                best = where_greater(c, best, c, best)
                store(out + q, where_greater(d, best, d, best))


@kernel
def max_pool_backward(code, x, y, dy, dx):
    """Send each output's gradient to the input that won its window.

    Parameters
    ----------
    code : ndarray of int64
        The instruction: volumes, windows, row strides, and ``overlap``, whether windows overlap.
    x, y : int64
        Input and output of `max_pool`.
    dy : int64
        Gradient of the output.
    dx : int64
        Gradient of the input. It is added to if windows overlap; otherwise every pixel of every window is overwritten.
    """
    rows, columns, depth = code[_MAX_BACK.rows], code[_MAX_BACK.columns], code[_MAX_BACK.depth]
    F_rows, S_rows, P_rows = code[_MAX_BACK.F_rows], code[_MAX_BACK.S_rows], code[_MAX_BACK.P_rows]
    F_columns, S_columns, P_columns = code[_MAX_BACK.F_columns], code[_MAX_BACK.S_columns], code[_MAX_BACK.P_columns]
    rows_out, columns_out = code[_MAX_BACK.rows_out], code[_MAX_BACK.columns_out]
    x_row, y_row = code[_MAX_BACK.x_row], code[_MAX_BACK.y_row]
    dx_row, dy_row, overlap = code[_MAX_BACK.dx_row], code[_MAX_BACK.dy_row], code[_MAX_BACK.overlap] != 0
    across = _are_pairs(F_columns, S_columns, P_columns, columns, columns_out)
    if not overlap and across and _are_pairs(F_rows, S_rows, P_rows, rows, rows_out):
        _max_pool_2x2_backward(code, x, y, dy, dx)
        return
    zero = splat(np.float32(0))
    for i in range(rows_out):
        top, bottom = _window(i, S_rows, P_rows, F_rows, rows)
        for j in range(columns_out):
            left, right = _window(j, S_columns, P_columns, F_columns, columns)
            x_corner = x + 4 * (top * x_row + left * depth)
            dx_corner = dx + 4 * (top * dx_row + left * depth)
            for q in range(0, 4 * depth, BYTES):
                best = load(y + 4 * (i * y_row + j * depth) + q)
                # The gradient in the lanes that have not found their winner yet, zero in the others.
                remaining = load(dy + 4 * (i * dy_row + j * depth) + q)
                for u in range(bottom - top):
                    x_at, dx_at = x_corner + q + 4 * u * x_row, dx_corner + q + 4 * u * dx_row
                    for _ in range(right - left):
                        value = load(x_at)
                        won = where_equal(value, best, remaining, zero)
                        remaining = where_equal(value, best, zero, remaining)
                        store(dx_at, load(dx_at) + won if overlap else won)
                        x_at += 4 * depth
                        dx_at += 4 * depth


@kernel
def _max_pool_2x2_backward(code, x, y, dy, dx):
    """Do what `max_pool_backward` does, for pairs."""
    pixel, rows_out, columns_out = 4 * code[_MAX_BACK.depth], code[_MAX_BACK.rows_out], code[_MAX_BACK.columns_out]
    x_row, y_row = code[_MAX_BACK.x_row], code[_MAX_BACK.y_row]
    dx_row, dy_row = code[_MAX_BACK.dx_row], code[_MAX_BACK.dy_row]
    zero = splat(np.float32(0))
    for i in range(rows_out):
        for j in range(columns_out):
            upper, to_upper = x + 4 * 2 * i * x_row + 2 * j * pixel, dx + 4 * 2 * i * dx_row + 2 * j * pixel
            lower, to_lower = upper + 4 * x_row, to_upper + 4 * dx_row
            for q in range(0, pixel, BYTES):
                best, remaining = load(y + 4 * i * y_row + j * pixel + q), load(dy + 4 * i * dy_row + j * pixel + q)
                a, b, c, d = load(upper + q), load(upper + pixel + q), load(lower + q), load(lower + pixel + q)
                store(to_upper + q, where_equal(a, best, remaining, zero))
                remaining = where_equal(a, best, zero, remaining)
                store(to_upper + pixel + q, where_equal(b, best, remaining, zero))
                remaining = where_equal(b, best, zero, remaining)
                store(to_lower + q, where_equal(c, best, remaining, zero))
                remaining = where_equal(c, best, zero, remaining)
                store(to_lower + pixel + q, where_equal(d, best, remaining, zero))


@kernel
def _count(index, S, P, F, extent, counted):
    """Return how many rows or columns of window `index` an average divides by, with `counted` zeros on each side."""
    first = index * S - P
    return min(first + F, extent + counted) - max(first, -counted)


@kernel
def average_pool(code, x, y):
    """y[i, j] = mean of x over the part of window (i, j) that is inside x, or in zeros that count; see `max_pool`."""
    rows, columns, depth, x_row = code[_MEAN.rows], code[_MEAN.columns], code[_MEAN.depth], code[_MEAN.x_row]
    F_rows, S_rows, P_rows = code[_MEAN.F_rows], code[_MEAN.S_rows], code[_MEAN.P_rows]
    F_columns, S_columns, P_columns = code[_MEAN.F_columns], code[_MEAN.S_columns], code[_MEAN.P_columns]
    rows_out, columns_out, y_row = code[_MEAN.rows_out], code[_MEAN.columns_out], code[_MEAN.y_row]
    counted_rows, counted_columns = code[_MEAN.counted_rows], code[_MEAN.counted_columns]
    for i in range(rows_out):
        top, bottom = _window(i, S_rows, P_rows, F_rows, rows)
        height = _count(i, S_rows, P_rows, F_rows, rows, counted_rows)
        for j in range(columns_out):
            left, right = _window(j, S_columns, P_columns, F_columns, columns)
            corner = x + 4 * (top * x_row + left * depth)
            out = y + 4 * (i * y_row + j * depth)
            width = _count(j, S_columns, P_columns, F_columns, columns, counted_columns)
            share = splat(np.float32(1) / np.float32(height * width))
            for q in range(0, 4 * depth, BYTES):
                total = splat(np.float32(0))
                for u in range(bottom - top):
                    at = corner + q + 4 * u * x_row
                    for _ in range(right - left):
                        total = total + load(at)
                        at += 4 * depth
                store(out + q, total * share)


@kernel
def average_pool_backward(code, dy, dx):
    """Add to the gradient `dx` of each input in a window its share of the output's gradient `dy`."""
    rows, columns, depth = code[_MEAN_BACK.rows], code[_MEAN_BACK.columns], code[_MEAN_BACK.depth]
    F_rows, S_rows, P_rows = code[_MEAN_BACK.F_rows], code[_MEAN_BACK.S_rows], code[_MEAN_BACK.P_rows]
    F_columns, S_columns, P_columns = code[_MEAN_BACK.F_columns], code[_MEAN_BACK.S_columns], code[_MEAN_BACK.P_columns]
    rows_out, columns_out = code[_MEAN_BACK.rows_out], code[_MEAN_BACK.columns_out]
    dx_row, dy_row = code[_MEAN_BACK.dx_row], code[_MEAN_BACK.dy_row]
    counted_rows, counted_columns = code[_MEAN_BACK.counted_rows], code[_MEAN_BACK.counted_columns]
    for i in range(rows_out):
        top, bottom = _window(i, S_rows, P_rows, F_rows, rows)
        height = _count(i, S_rows, P_rows, F_rows, rows, counted_rows)
        for j in range(columns_out):
            left, right = _window(j, S_columns, P_columns, F_columns, columns)
            corner = dx + 4 * (top * dx_row + left * depth)
            width = _count(j, S_columns, P_columns, F_columns, columns, counted_columns)
            share = splat(np.float32(1) / np.float32(height * width))
            for q in range(0, 4 * depth, BYTES):
                gradient = load(dy + 4 * (i * dy_row + j * depth) + q) * share
                for u in range(bottom - top):
                    at = corner + q + 4 * u * dx_row
                    for _ in range(right - left):
                        store(at, load(at) + gradient)
                        at += 4 * depth
