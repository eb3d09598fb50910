"""Pooling and its gradients, one sample at a time (the seeds' section "Pooling Layer").

A window that hangs over the edge of its input, by padding or by rounding up, is clipped to it: padding never wins and
is not counted. The gradient of a maximum finds the winner again by comparing, instead of keeping its place: the first
of equals in row-major order, as in the forward pass.
"""

import numpy as np

from skconvnet.engine.cpu.compile import kernel
from skconvnet.engine.cpu.llvm.simd import BYTES, load, splat, store, where_equal, where_greater

__all__ = ["average_pool", "average_pool_backward", "max_pool", "max_pool_backward"]


@kernel
def _window(index, S, P, F, extent):
    """First and last (exclusive) input row or column of window `index`."""
    first = index * S - P
    return max(first, 0), min(first + F, extent)


@kernel
def max_pool(x, y, rows, columns, depth, x_row, F_rows, F_columns, S, P, rows_out, columns_out, y_row):
    """y[i, j] = maximum of x over the window of F_rows x F_columns that starts at (i*S - P, j*S - P).

    Parameters
    ----------
    x, y : int64
        Addresses of the input volume and of the output volume, which is overwritten.
    rows, columns, depth, x_row : int64
        The input volume, and the distance between two of its rows.
    F_rows, F_columns, S, P : int64
        Extent of the window, stride, padding.
    rows_out, columns_out, y_row : int64
        The output volume, and the distance between two of its rows.
    """
    if _are_pairs(F_rows, S, P, rows, rows_out) and _are_pairs(F_columns, S, P, columns, columns_out):
        _max_pool_2x2(x, y, depth, x_row, rows_out, columns_out, y_row)
        return
    for i in range(rows_out):
        top, bottom = _window(i, S, P, F_rows, rows)
        for j in range(columns_out):
            left, right = _window(j, S, P, F_columns, columns)
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
    """Whether all windows along an axis are two neighbours, none of them in two windows: how most networks pool."""
    return F == 2 and S == 2 and P == 0 and 2 * windows <= extent


@kernel
def _max_pool_2x2(x, y, depth, x_row, rows_out, columns_out, y_row):
    """Do what `max_pool` does of pairs, in half the time: without loops over the window."""
    pixel = 4 * depth
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
def max_pool_backward(
    x,
    y,
    dx,
    dy,
    rows,
    columns,
    depth,
    x_row,
    F_rows,
    F_columns,
    S,
    P,
    rows_out,
    columns_out,
    y_row,
    dx_row,
    dy_row,
    add,
):
    """Send each output's gradient to the input that won its window.

    Parameters
    ----------
    x, y : int64
        Addresses of the input and the output of `max_pool`.
    dx, dy : int64
        Addresses of the gradients by them. With `add`, `dx` is added to; without, every place of every window is
        overwritten, so windows must not overlap.
    rows, columns, depth, x_row, F_rows, F_columns, S, P, rows_out, columns_out, y_row : int64
        As in `max_pool`.
    dx_row, dy_row : int64
        Distances between two rows of `dx` and of `dy`.
    add : bool
        Whether windows overlap.
    """
    if not add and _are_pairs(F_rows, S, P, rows, rows_out) and _are_pairs(F_columns, S, P, columns, columns_out):
        _max_pool_2x2_backward(x, y, dx, dy, depth, x_row, rows_out, columns_out, y_row, dx_row, dy_row)
        return
    zero = splat(np.float32(0))
    for i in range(rows_out):
        top, bottom = _window(i, S, P, F_rows, rows)
        for j in range(columns_out):
            left, right = _window(j, S, P, F_columns, columns)
            x_corner = x + 4 * (top * x_row + left * depth)
            dx_corner = dx + 4 * (top * dx_row + left * depth)
            for q in range(0, 4 * depth, BYTES):
                best = load(y + 4 * (i * y_row + j * depth) + q)
                # What has not found its winner yet: the gradient in the lanes still open, zero in the others.
                open_gradient = load(dy + 4 * (i * dy_row + j * depth) + q)
                for u in range(bottom - top):
                    x_at, dx_at = x_corner + q + 4 * u * x_row, dx_corner + q + 4 * u * dx_row
                    for _ in range(right - left):
                        value = load(x_at)
                        won = where_equal(value, best, open_gradient, zero)
                        open_gradient = where_equal(value, best, zero, open_gradient)
                        store(dx_at, load(dx_at) + won if add else won)
                        x_at += 4 * depth
                        dx_at += 4 * depth


@kernel
def _max_pool_2x2_backward(x, y, dx, dy, depth, x_row, rows_out, columns_out, y_row, dx_row, dy_row):
    """Do what `max_pool_backward` does of pairs."""
    zero, pixel = splat(np.float32(0)), 4 * depth
    for i in range(rows_out):
        for j in range(columns_out):
            upper, to_upper = x + 4 * 2 * i * x_row + 2 * j * pixel, dx + 4 * 2 * i * dx_row + 2 * j * pixel
            lower, to_lower = upper + 4 * x_row, to_upper + 4 * dx_row
            for q in range(0, pixel, BYTES):
                best, left = load(y + 4 * i * y_row + j * pixel + q), load(dy + 4 * i * dy_row + j * pixel + q)
                a, b, c, d = load(upper + q), load(upper + pixel + q), load(lower + q), load(lower + pixel + q)
                store(to_upper + q, where_equal(a, best, left, zero))
                left = where_equal(a, best, zero, left)
                store(to_upper + pixel + q, where_equal(b, best, left, zero))
                left = where_equal(b, best, zero, left)
                store(to_lower + q, where_equal(c, best, left, zero))
                left = where_equal(c, best, zero, left)
                store(to_lower + pixel + q, where_equal(d, best, left, zero))


@kernel
def average_pool(x, y, rows, columns, depth, x_row, F_rows, F_columns, S, P, rows_out, columns_out, y_row):
    """y[i, j] = mean of x over what lies inside it of the window that starts at (i*S - P, j*S - P).

    The parameters are those of `max_pool`.
    """
    for i in range(rows_out):
        top, bottom = _window(i, S, P, F_rows, rows)
        for j in range(columns_out):
            left, right = _window(j, S, P, F_columns, columns)
            corner = x + 4 * (top * x_row + left * depth)
            out = y + 4 * (i * y_row + j * depth)
            share = splat(np.float32(1) / np.float32((bottom - top) * (right - left)))
            for q in range(0, 4 * depth, BYTES):
                total = splat(np.float32(0))
                for u in range(bottom - top):
                    at = corner + q + 4 * u * x_row
                    for _ in range(right - left):
                        total = total + load(at)
                        at += 4 * depth
                store(out + q, total * share)


@kernel
def average_pool_backward(dy, dx, rows, columns, depth, dx_row, F_rows, F_columns, S, P, rows_out, columns_out, dy_row):
    """Add to each input of a window its share of the output's gradient.

    Parameters
    ----------
    dy, dx : int64
        Addresses of the gradient by the output, and of that by the input, which is added to.
    rows, columns, depth, F_rows, F_columns, S, P, rows_out, columns_out : int64
        As in `average_pool`.
    dx_row, dy_row : int64
        Distances between two rows of `dx` and of `dy`.
    """
    for i in range(rows_out):
        top, bottom = _window(i, S, P, F_rows, rows)
        for j in range(columns_out):
            left, right = _window(j, S, P, F_columns, columns)
            corner = dx + 4 * (top * dx_row + left * depth)
            share = splat(np.float32(1) / np.float32((bottom - top) * (right - left)))
            for q in range(0, 4 * depth, BYTES):
                gradient = load(dy + 4 * (i * dy_row + j * depth) + q) * share
                for u in range(bottom - top):
                    at = corner + q + 4 * u * dx_row
                    for _ in range(right - left):
                        store(at, load(at) + gradient)
                        at += 4 * depth
