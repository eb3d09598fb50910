"""Normalisation: sums over channels, the coefficients that follow from them, and what is done with them.

Coefficients are the rows of `NormRow`, each `depth` long, in one run; sums are two such rows. What the samples leave,
sums of their own, is brought together in the order of the samples and in float64, so that the result depends on the
batch alone. Sources: see `skconvnet.engine.plan.steps.normalisation`.
"""

import math

import numpy as np

from skconvnet.engine.cpu.compile import kernel
from skconvnet.engine.cpu.llvm.pointers import array_at
from skconvnet.engine.cpu.llvm.simd import (
    BYTES,
    LANES,
    exponential,
    load,
    logarithm,
    peek,
    splat,
    store,
    where_greater,
)
from skconvnet.engine.program.instructions import NormRow

__all__ = [
    "batch_gradients",
    "batch_statistics",
    "channel_moments",
    "layer_gradients",
    "layer_statistics",
    "lrn",
    "lrn_backward",
    "normalise",
    "normalise_backward",
    "normalise_sums",
    "running_statistics",
]

_FACTOR, _OFFSET, _MEAN, _INVERSE = int(NormRow.FACTOR), int(NormRow.OFFSET), int(NormRow.MEAN), int(NormRow.INVERSE)
_CONSTANT, _SLOPE = int(NormRow.CONSTANT), int(NormRow.SLOPE)
_SCALE_GRADIENT, _SHIFT_GRADIENT = int(NormRow.SCALE_GRADIENT), int(NormRow.SHIFT_GRADIENT)
_ROWS = len(NormRow)


# -- Sample by sample --------------------------------------------------------------------------------------------------


@kernel
def channel_moments(x, sums, rows, columns, depth, x_row):
    """Take each channel's mean over one sample, and the sum of squares around that mean.

    Parameters
    ----------
    x : int64
        Address of the volume.
    sums : int64
        Address of the two rows, overwritten.
    rows, columns, depth, x_row : int64
        The volume, and the distance between two rows.
    """
    share = splat(np.float32(1) / np.float32(rows * columns))
    for q in range(0, 4 * depth, BYTES):
        total = splat(np.float32(0))
        for row in range(rows):
            line = splat(np.float32(0))  # a sum for each row first: long sums lose digits
            for column in range(columns):
                line = line + load(x + 4 * (row * x_row + column * depth) + q)
            total = total + line
        mean = total * share
        squares = splat(np.float32(0))
        for row in range(rows):
            line = splat(np.float32(0))
            for column in range(columns):
                away = load(x + 4 * (row * x_row + column * depth) + q) - mean
                line = line + away * away
            squares = squares + line
        store(sums + q, mean)
        store(sums + 4 * depth + q, squares)


@kernel
def normalise(x, y, coefficients, rows, columns, depth, x_row, y_row, relu):
    """Y = FACTOR x + OFFSET, or its maximum with zero; `y` is overwritten."""
    zero = splat(np.float32(0))
    for row in range(rows):
        for q in range(0, 4 * depth, BYTES):
            factor, offset = load(coefficients + q), load(coefficients + 4 * depth + q)
            from_x, to_y = x + 4 * row * x_row + q, y + 4 * row * y_row + q
            for _ in range(columns):
                value = factor * load(from_x) + offset
                if relu:
                    value = where_greater(zero, value, zero, value)
                store(to_y, value)
                from_x += 4 * depth
                to_y += 4 * depth


@kernel
def normalise_sums(dy, x, coefficients, sums, rows, columns, depth, dy_row, x_row, relu):
    """Undo the ReLU in the gradient, and sum it: dy and dy (x - MEAN) INVERSE, channel by channel.

    Parameters
    ----------
    dy : int64
        Address of the gradient by the output; with `relu`, zero is written where the output was zero.
    x : int64
        Address of the input, from which the output is computed anew to the same bits.
    coefficients, sums : int64
        Addresses; `sums` is overwritten.
    rows, columns, depth, dy_row, x_row : int64
        The volume, and the distances between two rows.
    relu : bool
        Whether there was one.
    """
    zero = splat(np.float32(0))
    for q in range(0, 4 * depth, BYTES):
        factor, offset = load(coefficients + q), load(coefficients + 4 * depth + q)
        mean = load(coefficients + 4 * _MEAN * depth + q)
        total, moment = zero, zero
        for row in range(rows):
            at_dy, from_x = dy + 4 * row * dy_row + q, x + 4 * row * x_row + q
            line, line_moment = zero, zero
            for _ in range(columns):
                gradient, value = load(at_dy), load(from_x)
                if relu:
                    gradient = where_greater(factor * value + offset, zero, gradient, zero)
                    store(at_dy, gradient)
                line = line + gradient
                line_moment = line_moment + gradient * (value - mean)
                at_dy += 4 * depth
                from_x += 4 * depth
            total = total + line
            moment = moment + line_moment
        store(sums + q, total)
        store(sums + 4 * depth + q, moment * load(coefficients + 4 * _INVERSE * depth + q))


@kernel
def normalise_backward(dy, x, dx, coefficients, rows, columns, depth, dy_row, x_row, dx_row):
    """Dx = FACTOR dy + CONSTANT + SLOPE (x - MEAN); `dx` is overwritten."""
    for row in range(rows):
        for q in range(0, 4 * depth, BYTES):
            at = coefficients + q
            factor, mean = load(at), load(at + 4 * _MEAN * depth)
            constant, slope = load(at + 4 * _CONSTANT * depth), load(at + 4 * _SLOPE * depth)
            from_dy, from_x, to_dx = dy + 4 * row * dy_row + q, x + 4 * row * x_row + q, dx + 4 * row * dx_row + q
            for _ in range(columns):
                store(to_dx, factor * load(from_dy) + (constant + slope * (load(from_x) - mean)))
                from_dy += 4 * depth
                from_x += 4 * depth
                to_dx += 4 * depth


# -- Bringing sums together --------------------------------------------------------------------------------------------


@kernel
def _write_coefficients(y, c, scale, shift, mean, variance, eps):
    """Write one channel's FACTOR, OFFSET, MEAN and INVERSE into `y`, (rows of NormRow, depth)."""
    inverse = 1.0 / math.sqrt(variance + eps)
    y[_FACTOR, c] = scale * inverse
    y[_OFFSET, c] = shift - mean * scale * inverse
    y[_MEAN, c] = mean
    y[_INVERSE, c] = inverse


@kernel
def batch_statistics(sums, scales, running, coefficients, samples, stride, depth, pixels, momentum, eps):
    """Turn the samples' moments into coefficients, and move the running statistics.

    Parameters
    ----------
    sums : int64
        Address of the first sample's `channel_moments`.
    scales, running : int64
        Addresses of scales and shifts, and of the running means and variances, which are overwritten.
    coefficients : int64
        Address of the rows of `NormRow`, of which the first four are overwritten.
    samples, stride : int64
        How many samples there are, and the distance between the sums of two.
    depth, pixels : int64
        Channels as stored, and pixels of one sample.
    momentum, eps : float64
        Share of the batch in the running statistics, whose variance is the unbiased one; added to a variance. One
        number alone has no variance, and leaves the running statistics as they are.
    """
    pair, moved = array_at(scales, (2, depth), np.float32), array_at(running, (2, depth), np.float32)
    y = array_at(coefficients, (_ROWS, depth), np.float32)
    count = samples * pixels
    for c in range(depth):
        mean = 0.0
        for s in range(samples):
            mean += np.float64(peek(sums + 4 * (s * stride + c)))
        mean /= samples
        squares = 0.0
        for s in range(samples):
            away = np.float64(peek(sums + 4 * (s * stride + c))) - mean
            squares += np.float64(peek(sums + 4 * (s * stride + depth + c))) + pixels * away * away
        _write_coefficients(y, c, pair[0, c], pair[1, c], mean, squares / count, eps)
        if count > 1:
            moved[0, c] = (1.0 - momentum) * moved[0, c] + momentum * mean
            moved[1, c] = (1.0 - momentum) * moved[1, c] + momentum * squares / (count - 1)


@kernel
def running_statistics(scales, running, coefficients, depth, eps):
    """Turn the running statistics into the first four rows of coefficients; see `batch_statistics`."""
    pair, moved = array_at(scales, (2, depth), np.float32), array_at(running, (2, depth), np.float32)
    y = array_at(coefficients, (_ROWS, depth), np.float32)
    for c in range(depth):
        _write_coefficients(y, c, pair[0, c], pair[1, c], np.float64(moved[0, c]), np.float64(moved[1, c]), eps)


@kernel
def batch_gradients(sums, coefficients, samples, stride, depth, pixels):
    """Turn the samples' sums into the gradients of scale and shift, and into the coefficients of the input's gradient.

    dx = FACTOR (dy - mean of dy - n mean of (dy n)), n = (x - MEAN) INVERSE being the normalised input.

    Parameters
    ----------
    sums : int64
        Address of the first sample's `normalise_sums`.
    coefficients : int64
        Address of the rows of `NormRow`, of which the last four are overwritten.
    samples, stride, depth, pixels : int64
        As in `batch_statistics`.
    """
    y = array_at(coefficients, (_ROWS, depth), np.float32)
    count = samples * pixels
    for c in range(depth):
        total, moment = 0.0, 0.0
        for s in range(samples):
            total += np.float64(peek(sums + 4 * (s * stride + c)))
            moment += np.float64(peek(sums + 4 * (s * stride + depth + c)))
        y[_SCALE_GRADIENT, c], y[_SHIFT_GRADIENT, c] = moment, total
        y[_CONSTANT, c] = -y[_FACTOR, c] * total / count
        y[_SLOPE, c] = -y[_FACTOR, c] * y[_INVERSE, c] * moment / count


@kernel
def layer_statistics(sums, scales, coefficients, depth, channels, pixels, eps):
    """Turn one sample's moments into coefficients: mean and variance over its whole volume.

    Parameters
    ----------
    sums, scales, coefficients, depth, pixels, eps
        As in `batch_statistics`, of one sample. All of the coefficients are overwritten; where depth is padding they
        are zero.
    channels : int64
        How much of the depth is not padding.
    """
    moments, pair = array_at(sums, (2, depth), np.float32), array_at(scales, (2, depth), np.float32)
    y = array_at(coefficients, (_ROWS, depth), np.float32)
    y[:] = np.float32(0)
    mean, squares = 0.0, 0.0
    for c in range(channels):
        mean += moments[0, c]
    mean /= channels
    for c in range(channels):
        away = moments[0, c] - mean
        squares += moments[1, c] + pixels * away * away
    for c in range(channels):
        _write_coefficients(y, c, pair[0, c], pair[1, c], mean, squares / (channels * pixels), eps)


@kernel
def layer_gradients(sums, scales, gradients, coefficients, depth, channels, pixels, first):
    """Add one sample's sums to the gradients of scale and shift, and write the coefficients of its input's gradient.

    dx = FACTOR dy - INVERSE (mean of g + n mean of (g n)), g = scale dy, the means over the whole volume.

    Parameters
    ----------
    sums, scales, coefficients, depth, channels, pixels
        As in `layer_statistics`.
    gradients : int64
        Address of the gradients of scales and shifts: overwritten if `first`, else added to.
    first : bool
        Whether nothing has been added to `gradients` yet.
    """
    own, pair = array_at(sums, (2, depth), np.float32), array_at(scales, (2, depth), np.float32)
    y, into = array_at(coefficients, (_ROWS, depth), np.float32), array_at(gradients, (2, depth), np.float32)
    if first:
        into[:] = np.float32(0)
    total, moment = 0.0, 0.0
    for c in range(channels):
        into[0, c] += own[1, c]
        into[1, c] += own[0, c]
        total += np.float64(pair[0, c]) * own[0, c]
        moment += np.float64(pair[0, c]) * own[1, c]
    count = channels * pixels
    for c in range(channels):
        y[_CONSTANT, c] = -y[_INVERSE, c] * total / count
        y[_SLOPE, c] = -y[_INVERSE, c] * y[_INVERSE, c] * moment / count


# -- Local response normalisation --------------------------------------------------------------------------------------


@kernel
def _sums_around(values, at, size, before):
    """Sum over the `size` numbers from `before` before each of the eight at `at`, in a run with `size` zeros around."""
    total = splat(np.float32(0))
    first = values.ctypes.data + 4 * (size + at - before)
    for j in range(size):
        total = total + load(first + 4 * j)
    return total


@kernel
def _power(x, exponent):
    return exponential(exponent * logarithm(x))


@kernel
def lrn(x, y, rows, columns, depth, x_row, y_row, size, alpha, beta, k):
    """y[c] = x[c] / (k + alpha * sum of x[j]**2 over `size` slices j from c - size//2 on) ** beta, pixel by pixel.

    Parameters
    ----------
    x, y : int64
        Addresses of the input volume and of the output volume, which is overwritten.
    rows, columns, depth, x_row, y_row : int64
        The volume, and the distances between two rows.
    size : int64
        Slices in a sum; those outside the depth count as zero.
    alpha, beta, k : float64
        Of the formula.
    """
    before = size // 2
    squares = np.zeros(depth + 2 * size + LANES, np.float32)  # with as many zeros around them as sums reach
    share, minus_beta, floor = splat(np.float32(alpha)), splat(np.float32(-beta)), splat(np.float32(k))
    for row in range(rows):
        for column in range(columns):
            at = 4 * column * depth
            from_x, to_y = x + 4 * row * x_row + at, y + 4 * row * y_row + at
            for c in range(0, depth, LANES):
                value = load(from_x + 4 * c)
                store(squares.ctypes.data + 4 * (size + c), value * value)
            for c in range(0, depth, LANES):
                base = floor + share * _sums_around(squares, c, size, before)
                store(to_y + 4 * c, load(from_x + 4 * c) * _power(base, minus_beta))


@kernel
def lrn_backward(x, dy, dx, rows, columns, depth, x_row, dy_row, dx_row, size, alpha, beta, k):
    """dx[c] = dy[c] s[c]**-beta - 2 alpha beta x[c] * sum of dy[j] x[j] s[j]**(-beta - 1) over the j whose sums hold c.

    Parameters
    ----------
    x, dy, dx : int64
        Addresses of the input of `lrn`, of the gradient by its output, and of that by its input, which is overwritten.
    rows, columns, depth, size, alpha, beta, k
        As in `lrn`, whose sums are s.
    x_row, dy_row, dx_row : int64
        Distances between two rows.
    """
    before = size // 2
    # An array is passed on whole: of one whose address alone is used, Numba would free the memory.
    squares = np.zeros(depth + 2 * size + LANES, np.float32)
    pulls = np.zeros(depth + 2 * size + LANES, np.float32)
    share, minus_beta, floor = splat(np.float32(alpha)), splat(np.float32(-beta)), splat(np.float32(k))
    strength = splat(np.float32(-2.0 * alpha * beta))
    for row in range(rows):
        for column in range(columns):
            at = 4 * column * depth
            from_x, from_dy, to_dx = x + 4 * row * x_row + at, dy + 4 * row * dy_row + at, dx + 4 * row * dx_row + at
            for c in range(0, depth, LANES):
                value = load(from_x + 4 * c)
                store(squares.ctypes.data + 4 * (size + c), value * value)
            for c in range(0, depth, LANES):
                base = floor + share * _sums_around(squares, c, size, before)
                direct = load(from_dy + 4 * c) * _power(base, minus_beta)
                store(to_dx + 4 * c, direct)
                store(pulls.ctypes.data + 4 * (size + c), direct * load(from_x + 4 * c) / base)
            for c in range(0, depth, LANES):
                pull = _sums_around(pulls, c, size, size - 1 - before)
                store(to_dx + 4 * c, load(to_dx + 4 * c) + strength * load(from_x + 4 * c) * pull)
