"""Normalisation: sums over channels, the coefficients computed from them, and their application.

Coefficients are the rows of `NormRow`, each `depth` long, in one run; moments and sums are two such rows. The sums of
the samples are added in the order of the samples and in float64, so that the result depends on the batch alone.
Sources: see `skconvnet.engine.plan.steps.normalisation`.

Kernels work on one sample unless they take `samples`. Their operands are int64 addresses in bytes, of a volume's pixel
(0, 0); numbers are read from the instruction `code` by name, and strides are in float32 elements.
"""

import math

import numpy as np

from skconvnet.engine.cpu.compile import kernel
from skconvnet.engine.cpu.llvm.pointers import array_at, real
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
from skconvnet.engine.cpu.task import number_columns, stride_column
from skconvnet.engine.program.instructions import NormRow, Op

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

_MOMENTS, _NORMALISE, _SUMS, _DX, _LRN, _LRN_BACK = map(
    number_columns,
    (Op.CHANNEL_MOMENTS, Op.NORMALISE, Op.NORMALISE_SUMS, Op.NORMALISE_BACKWARD, Op.LRN, Op.LRN_BACKWARD),
)
_BATCH, _RUNNING, _LAYER, _BATCH_GRADIENTS, _LAYER_GRADIENTS = map(
    number_columns,
    (Op.BATCH_STATISTICS, Op.RUNNING_STATISTICS, Op.LAYER_STATISTICS, Op.BATCH_GRADIENTS, Op.LAYER_GRADIENTS),
)
_MOMENTS_STRIDE, _SUMS_STRIDE = stride_column(Op.BATCH_STATISTICS, "moments"), stride_column(Op.BATCH_GRADIENTS, "sums")


# -- Sample by sample --------------------------------------------------------------------------------------------------


@kernel
def channel_moments(code, x, moments):
    """Compute each channel's mean over the pixels of `x` and the sum of squares around it, into `moments`."""
    rows, columns = code[_MOMENTS.rows], code[_MOMENTS.columns]
    depth, x_row = code[_MOMENTS.depth], code[_MOMENTS.x_row]
    share = splat(np.float32(1) / np.float32(rows * columns))
    for q in range(0, 4 * depth, BYTES):
        total = splat(np.float32(0))
        for row in range(rows):
            line = splat(np.float32(0))  # rows are summed first: long sums lose digits
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
        store(moments + q, mean)
        store(moments + 4 * depth + q, squares)


@kernel
def normalise(code, x, coefficients, y):
    """Y = FACTOR x + OFFSET, or max(y, 0) with ``relu``; `y` is overwritten."""
    rows, columns, depth = code[_NORMALISE.rows], code[_NORMALISE.columns], code[_NORMALISE.depth]
    x_row, y_row, relu = code[_NORMALISE.x_row], code[_NORMALISE.y_row], code[_NORMALISE.relu] != 0
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
def normalise_sums(code, dy, x, coefficients, sums):
    """Sum dy and dy (x - MEAN) INVERSE over the pixels, channel by channel, after the derivative of ReLU.

    Parameters
    ----------
    code : ndarray of int64
        The instruction; with ``relu`` the layer ends with ReLU.
    dy : int64
        Gradient of the output; with ``relu``, zero is written where the output was zero.
    x : int64
        The input, from which the output is recomputed with the same bits.
    coefficients : int64
        Rows of `NormRow`, read.
    sums : int64
        The two sums, overwritten.
    """
    rows, columns, depth = code[_SUMS.rows], code[_SUMS.columns], code[_SUMS.depth]
    dy_row, x_row, relu = code[_SUMS.dy_row], code[_SUMS.x_row], code[_SUMS.relu] != 0
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
def normalise_backward(code, dy, x, coefficients, dx):
    """Dx = FACTOR dy + CONSTANT + SLOPE (x - MEAN); `dx` is overwritten."""
    rows, columns, depth = code[_DX.rows], code[_DX.columns], code[_DX.depth]
    dy_row, x_row, dx_row = code[_DX.dy_row], code[_DX.x_row], code[_DX.dx_row]
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


# -- Coefficients from sums --------------------------------------------------------------------------------------------


@kernel
def _write_coefficients(y, c, scale, shift, mean, variance, eps):
    """Write one channel's FACTOR, OFFSET, MEAN and INVERSE into `y`, (rows of NormRow, depth)."""
    inverse = 1.0 / math.sqrt(variance + eps)
    y[_FACTOR, c] = scale * inverse
    y[_OFFSET, c] = shift - mean * scale * inverse
    y[_MEAN, c] = mean
    y[_INVERSE, c] = inverse


@kernel
def batch_statistics(code, moments, scales, running, coefficients, samples):
    """Compute a batch's coefficients from the moments of its samples, and update the running statistics.

    Parameters
    ----------
    code : ndarray of int64
        The instruction: ``depth``, ``pixels`` of a sample, ``momentum`` (the batch's share in the running statistics)
        and ``eps`` (added to a variance).
    moments : int64
        The first sample's `channel_moments`.
    scales : int64
        Scales and shifts.
    running : int64
        Running means and unbiased variances, overwritten; left alone by a single number, which has no variance.
    coefficients : int64
        Rows of `NormRow`, of which the first four are overwritten.
    samples : int64
        The number of samples.
    """
    depth, pixels, stride = code[_BATCH.depth], code[_BATCH.pixels], code[_MOMENTS_STRIDE]
    momentum, eps = real(code[_BATCH.momentum]), real(code[_BATCH.eps])
    pair, moved = array_at(scales, (2, depth), np.float32), array_at(running, (2, depth), np.float32)
    y = array_at(coefficients, (_ROWS, depth), np.float32)
    count = samples * pixels
    for c in range(depth):
        mean = 0.0
        for s in range(samples):
            mean += np.float64(peek(moments + 4 * (s * stride + c)))
        mean /= samples
        squares = 0.0
        for s in range(samples):
            away = np.float64(peek(moments + 4 * (s * stride + c))) - mean
            squares += np.float64(peek(moments + 4 * (s * stride + depth + c))) + pixels * away * away
        _write_coefficients(y, c, pair[0, c], pair[1, c], mean, squares / count, eps)
        if count > 1:
            moved[0, c] = (1.0 - momentum) * moved[0, c] + momentum * mean
            moved[1, c] = (1.0 - momentum) * moved[1, c] + momentum * squares / (count - 1)


@kernel
def running_statistics(code, scales, running, coefficients):
    """Compute the first six rows of coefficients from the running statistics; see `batch_statistics`.

    As the statistics do not depend on x, its gradient is FACTOR dy: CONSTANT and SLOPE are 0.
    """
    depth, eps = code[_RUNNING.depth], real(code[_RUNNING.eps])
    pair, moved = array_at(scales, (2, depth), np.float32), array_at(running, (2, depth), np.float32)
    y = array_at(coefficients, (_ROWS, depth), np.float32)
    for c in range(depth):
        _write_coefficients(y, c, pair[0, c], pair[1, c], np.float64(moved[0, c]), np.float64(moved[1, c]), eps)
        y[_CONSTANT, c] = y[_SLOPE, c] = 0


@kernel
def batch_gradients(code, sums, coefficients, samples):
    """Compute the gradients of scale and shift, and the coefficients of the input's gradient.

    dx = FACTOR (dy - mean of dy - n mean of (dy n)), where n = (x - MEAN) INVERSE is the normalised input.

    Parameters
    ----------
    code : ndarray of int64
        The instruction: ``depth`` and ``pixels`` of a sample.
    sums : int64
        The first sample's `normalise_sums`.
    coefficients : int64
        Rows of `NormRow`, of which the last four are overwritten.
    samples : int64
        The number of samples.
    """
    depth, pixels, stride = code[_BATCH_GRADIENTS.depth], code[_BATCH_GRADIENTS.pixels], code[_SUMS_STRIDE]
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
def layer_statistics(code, moments, scales, coefficients):
    """Compute one sample's coefficients, with mean and variance over its whole volume.

    All rows of `coefficients` are overwritten; the depth beyond ``channels`` becomes zero.
    """
    depth, channels, pixels = code[_LAYER.depth], code[_LAYER.channels], code[_LAYER.pixels]
    eps = real(code[_LAYER.eps])
    own, pair = array_at(moments, (2, depth), np.float32), array_at(scales, (2, depth), np.float32)
    y = array_at(coefficients, (_ROWS, depth), np.float32)
    y[:] = np.float32(0)
    mean, squares = 0.0, 0.0
    for c in range(channels):
        mean += own[0, c]
    mean /= channels
    for c in range(channels):
        away = own[0, c] - mean
        squares += own[1, c] + pixels * away * away
    for c in range(channels):
        _write_coefficients(y, c, pair[0, c], pair[1, c], mean, squares / (channels * pixels), eps)


@kernel
def layer_gradients(code, sums, scales, dscales, coefficients, first):
    """Add one sample's sums to the gradients of scale and shift, and compute the coefficients of its input's gradient.

    dx = FACTOR dy - INVERSE (mean of g + n mean of (g n)), where g = scale dy and means are over the whole volume.
    `dscales` is overwritten if `first`, else added to; CONSTANT and SLOPE of `coefficients` are overwritten.
    """
    depth, channels = code[_LAYER_GRADIENTS.depth], code[_LAYER_GRADIENTS.channels]
    pixels = code[_LAYER_GRADIENTS.pixels]
    own, pair = array_at(sums, (2, depth), np.float32), array_at(scales, (2, depth), np.float32)
    y, into = array_at(coefficients, (_ROWS, depth), np.float32), array_at(dscales, (2, depth), np.float32)
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
    """For each of eight numbers from `at` on, sum the `size` numbers that begin `before` places before it.

    `values` has `size` zeros before its first number and after its last.
    """
    total = splat(np.float32(0))
    first = values.ctypes.data + 4 * (size + at - before)
    for j in range(size):
        total = total + load(first + 4 * j)
    return total


@kernel
def _power(x, exponent):
    return exponential(exponent * logarithm(x))


@kernel
def lrn(code, x, y):
    """y[c] = x[c] / (k + alpha * sum of x[j]**2 over ``size`` slices j from c - size//2 on) ** beta, pixel by pixel.

    Slices outside the depth count as zero. `y` is overwritten.
    """
    rows, columns, depth, size = code[_LRN.rows], code[_LRN.columns], code[_LRN.depth], code[_LRN.size]
    x_row, y_row = code[_LRN.x_row], code[_LRN.y_row]
    alpha, beta, k = real(code[_LRN.alpha]), real(code[_LRN.beta]), real(code[_LRN.k])
    before = size // 2
    squares = np.zeros(depth + 2 * size + LANES, np.float32)  # zeros around them, as far as sums reach
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
def lrn_backward(code, x, dy, dx):
    """dx[c] = dy[c] s[c]**-beta - 2 alpha beta x[c] * sum of dy[j] x[j] s[j]**(-beta - 1).

    The sum is over all j whose window contains c. s are the sums of `lrn`, with k and alpha. `dx` is overwritten.
    """
    rows, columns, depth = code[_LRN_BACK.rows], code[_LRN_BACK.columns], code[_LRN_BACK.depth]
    x_row, dy_row, dx_row = code[_LRN_BACK.x_row], code[_LRN_BACK.dy_row], code[_LRN_BACK.dx_row]
    size, alpha = code[_LRN_BACK.size], real(code[_LRN_BACK.alpha])
    beta, k = real(code[_LRN_BACK.beta]), real(code[_LRN_BACK.k])
    before = size // 2
    # Arrays are passed on whole: Numba frees an array of which only the address is used.
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
