"""CONV with a filter for each channel: channels are the lanes of vectors.

Kernels take all samples of a call, so that weights are gathered once. Operands are int64 addresses in bytes, of the
first sample; numbers are read from the instruction `code` by name, and strides are in float32 elements.
"""

import numpy as np

from skconvnet.engine.cpu.compile import kernel
from skconvnet.engine.cpu.llvm.simd import BYTES, LANES, load, multiply_add, peek, poke, splat, store, where_greater
from skconvnet.engine.cpu.task import number_columns, stride_column
from skconvnet.engine.program.instructions import Op

__all__ = ["depthwise", "depthwise_weights"]

_SUM, _WEIGHTS = map(number_columns, (Op.DEPTHWISE, Op.DEPTHWISE_WEIGHTS))
_SUM_X, _SUM_Y = stride_column(Op.DEPTHWISE, "x"), stride_column(Op.DEPTHWISE, "y")
_WEIGHTS_X, _WEIGHTS_DY = stride_column(Op.DEPTHWISE_WEIGHTS, "x"), stride_column(Op.DEPTHWISE_WEIGHTS, "dy")
_TILE = 4  # neighbouring outputs of eight channels that are computed together


@kernel
def depthwise(code, x, w, bias, y, samples):
    """Compute y[i, j, c] = bias[c] + sum over t < T, r < R of x[i, j, t, r, c] * w[t, r, c], and the ReLU.

    Parameters
    ----------
    code : ndarray of int64
        The instruction. ``x[i, j, t, r]`` is at i ``x_row`` + j ``x_column`` + t ``x_t`` + r ``x_r``, and
        ``w[t, r, c]`` at t ``w_t`` + r ``w_r`` + c ``w_c``. Without ``has_bias`` sums start from zero; with ``RELU``
        they end with max(y, 0).
    x, w, bias : int64
        The input, the weights, the biases of ``depth`` channels.
    y : int64
        The output; what is beyond ``channels`` is written with the bias there.
    samples : int64
        Number of samples.
    """
    weights = np.empty(code[_SUM.T] * code[_SUM.R] * code[_SUM.depth], np.float32)
    _gather(code, w, weights)
    for sample in range(samples):
        from_x, to_y = x + 4 * sample * code[_SUM_X], y + 4 * sample * code[_SUM_Y]
        for _ in range(code[_SUM.rows]):
            _sums_of_row(code, from_x, weights.ctypes.data, bias, to_y)
            from_x += 4 * code[_SUM.x_row]
            to_y += 4 * code[_SUM.y_row]


@kernel
def _gather(code, w, weights):
    """Copy the weights in vectors: eight channels, tap by tap, then the next eight, with zeros for padding."""
    to_weights = weights.ctypes.data
    for c in range(0, code[_SUM.depth], LANES):
        for t in range(code[_SUM.T]):
            for r in range(code[_SUM.R]):
                from_w = w + 4 * (t * code[_SUM.w_t] + r * code[_SUM.w_r])
                for channel in range(c, c + LANES):
                    is_padding = channel >= code[_SUM.channels]
                    poke(to_weights, np.float32(0) if is_padding else peek(from_w + 4 * channel * code[_SUM.w_c]))
                    to_weights += 4


@kernel
def _sums_of_row(code, x, weights, bias, y):
    """Compute one row of outputs, some pixels of eight channels at a time, and all channels of these pixels first."""
    columns, x_column, y_column = code[_SUM.columns], 4 * code[_SUM.x_column], 4 * code[_SUM.y_column]
    slides = code[_SUM.R] == 3 and code[_SUM.x_r] == code[_SUM.x_column]
    for first in range(0, columns, _TILE):
        n_pixels = min(_TILE, columns - first)
        at_weight = weights
        for at in range(0, 4 * code[_SUM.depth], BYTES):
            start = load(bias + at) if code[_SUM.has_bias] != 0 else splat(np.float32(0))
            if n_pixels < _TILE:
                for pixel in range(n_pixels):
                    _pixel(code, x + pixel * x_column + at, at_weight, start, y + pixel * y_column + at)
            elif slides:
                _tile_of_three_taps(code, x + at, at_weight, start, y + at)
            else:
                _tile(code, x + at, at_weight, start, y + at)
            at_weight += code[_SUM.T] * code[_SUM.R] * BYTES
        x += _TILE * x_column
        y += _TILE * y_column


@kernel
def _pixel(code, x, weights, start, y):
    """Compute one output of eight channels."""
    total = start
    for t in range(code[_SUM.T]):
        at = x + 4 * t * code[_SUM.x_t]
        for _ in range(code[_SUM.R]):
            total = multiply_add(load(at), load(weights), total)
            at += 4 * code[_SUM.x_r]
            weights += BYTES
    _store(code, y, total)


@kernel
def _tile(code, x, weights, start, y):
    """Compute four neighbouring outputs of eight channels, which share the loads of weights."""
    x_column, y_column, x_r = 4 * code[_SUM.x_column], 4 * code[_SUM.y_column], 4 * code[_SUM.x_r]
    a, b, c, d = start, start, start, start
    for t in range(code[_SUM.T]):
        at = x + 4 * t * code[_SUM.x_t]
        for _ in range(code[_SUM.R]):
            weight = load(weights)
            a = multiply_add(load(at), weight, a)
            b = multiply_add(load(at + x_column), weight, b)
            c = multiply_add(load(at + 2 * x_column), weight, c)
            d = multiply_add(load(at + 3 * x_column), weight, d)
            at += x_r
            weights += BYTES
    _store(code, y, a)
    _store(code, y + y_column, b)
    _store(code, y + 2 * y_column, c)
    _store(code, y + 3 * y_column, d)


@kernel
def _tile_of_three_taps(code, x, weights, start, y):
    """Compute four neighbouring outputs of eight channels for R = 3 and S = 1: they also share loads of inputs."""
    x_column, y_column = 4 * code[_SUM.x_column], 4 * code[_SUM.y_column]
    a, b, c, d = start, start, start, start
    for _ in range(code[_SUM.T]):
        w0, w1, w2 = load(weights), load(weights + BYTES), load(weights + 2 * BYTES)
        x0, x1, x2 = load(x), load(x + x_column), load(x + 2 * x_column)
        a = multiply_add(x2, w2, multiply_add(x1, w1, multiply_add(x0, w0, a)))
        x3 = load(x + 3 * x_column)
        b = multiply_add(x3, w2, multiply_add(x2, w1, multiply_add(x1, w0, b)))
        x4 = load(x + 4 * x_column)
        c = multiply_add(x4, w2, multiply_add(x3, w1, multiply_add(x2, w0, c)))
        x5 = load(x + 5 * x_column)
        d = multiply_add(x5, w2, multiply_add(x4, w1, multiply_add(x3, w0, d)))
        x += 4 * code[_SUM.x_t]
        weights += 3 * BYTES
    _store(code, y, a)
    _store(code, y + y_column, b)
    _store(code, y + 2 * y_column, c)
    _store(code, y + 3 * y_column, d)


@kernel
def _store(code, y, total):
    zero = splat(np.float32(0))
    store(y, where_greater(zero, total, zero, total) if code[_SUM.RELU] != 0 else total)


@kernel
def depthwise_weights(code, x, dy, dw, first, samples):
    """Compute dw[t, r, c] = sum over samples, i and j of x[i, j, t, r, c] * dy[i, j, c].

    Parameters
    ----------
    code : ndarray of int64
        The instruction: ``rows`` and ``columns`` of `dy`; ``x[i, j, t, r]`` is where `depthwise` has it, and
        ``dw[t, r, c]`` at t ``dw_t`` + r ``dw_r`` + c ``dw_c``.
    x, dy : int64
        The input of the layer and the gradient of its output.
    dw : int64
        The gradient of the weights of ``channels`` channels, overwritten if `first`, else added to.
    first : bool
        Whether these are the first samples of their shard.
    samples : int64
        Number of samples.
    """
    depth, taps = code[_WEIGHTS.depth], code[_WEIGHTS.T] * code[_WEIGHTS.R] * BYTES
    totals = np.zeros(code[_WEIGHTS.T] * code[_WEIGHTS.R] * depth, np.float32)
    for sample in range(samples):
        from_x, from_dy = x + 4 * sample * code[_WEIGHTS_X], dy + 4 * sample * code[_WEIGHTS_DY]
        for _ in range(code[_WEIGHTS.rows]):
            for panel in range(depth // LANES):
                at = BYTES * panel
                _add_row(code, from_x + at, from_dy + at, totals.ctypes.data + panel * taps)
            from_x += 4 * code[_WEIGHTS.x_row]
            from_dy += 4 * code[_WEIGHTS.dy_row]
    _scatter(code, totals, dw, first)


@kernel
def _add_row(code, x, dy, totals):
    """Add the sums over one row of `dy` to the totals of eight channels: nine taps side by side, or up to three."""
    if code[_WEIGHTS.T] == 3 and code[_WEIGHTS.R] == 3:
        _add_nine_taps(code, x, dy, totals)
        return
    for t in range(code[_WEIGHTS.T]):
        at = x + 4 * t * code[_WEIGHTS.x_t]
        for left in range(code[_WEIGHTS.R], 0, -3):
            _add_taps(code, at, min(left, 3), dy, totals)
            at += 3 * 4 * code[_WEIGHTS.x_r]
            totals += min(left, 3) * BYTES


@kernel
def _add_nine_taps(code, x, dy, totals):
    """Add the sums over one row of `dy` to the totals of eight channels for T = R = 3.

    Nine sums do not wait for one another; three would wait for their additions.
    """
    x_column, dy_column = 4 * code[_WEIGHTS.x_column], 4 * code[_WEIGHTS.depth]
    r, t = 4 * code[_WEIGHTS.x_r], 4 * code[_WEIGHTS.x_t]
    zero = splat(np.float32(0))
    a, b, c, d, e, f, g, h, i = zero, zero, zero, zero, zero, zero, zero, zero, zero
    for _ in range(code[_WEIGHTS.columns]):
        gradient = load(dy)
        a = multiply_add(load(x), gradient, a)
        b = multiply_add(load(x + r), gradient, b)
        c = multiply_add(load(x + 2 * r), gradient, c)
        d = multiply_add(load(x + t), gradient, d)
        e = multiply_add(load(x + t + r), gradient, e)
        f = multiply_add(load(x + t + 2 * r), gradient, f)
        g = multiply_add(load(x + 2 * t), gradient, g)
        h = multiply_add(load(x + 2 * t + r), gradient, h)
        i = multiply_add(load(x + 2 * t + 2 * r), gradient, i)
        x += x_column
        dy += dy_column
    for total in (a, b, c, d, e, f, g, h, i):
        store(totals, load(totals) + total)
        totals += BYTES


@kernel
def _add_taps(code, x, taps, dy, totals):
    """Add the sums over one row of `dy` to the totals of one, two or three taps of eight channels."""
    x_column, dy_column = 4 * code[_WEIGHTS.x_column], 4 * code[_WEIGHTS.depth]
    second = 4 * code[_WEIGHTS.x_r] if taps > 1 else 0  # taps that there are not repeat the first
    third = 8 * code[_WEIGHTS.x_r] if taps > 2 else 0
    zero = splat(np.float32(0))
    a, b, c = zero, zero, zero  # rows are summed first: long sums lose digits
    for _ in range(code[_WEIGHTS.columns]):
        gradient = load(dy)
        a = multiply_add(load(x), gradient, a)
        b = multiply_add(load(x + second), gradient, b)
        c = multiply_add(load(x + third), gradient, c)
        x += x_column
        dy += dy_column
    store(totals, load(totals) + a)
    if taps > 1:
        store(totals + BYTES, load(totals + BYTES) + b)
    if taps > 2:
        store(totals + 2 * BYTES, load(totals + 2 * BYTES) + c)


@kernel
def _scatter(code, totals, dw, first):
    """Write or add the totals, in the order of `_gather`, where their weights are."""
    from_totals = totals.ctypes.data
    for c in range(0, code[_WEIGHTS.depth], LANES):
        for t in range(code[_WEIGHTS.T]):
            for r in range(code[_WEIGHTS.R]):
                to_dw = dw + 4 * (t * code[_WEIGHTS.dw_t] + r * code[_WEIGHTS.dw_r])
                for channel in range(c, min(c + LANES, code[_WEIGHTS.channels])):
                    at, total = to_dw + 4 * channel * code[_WEIGHTS.dw_c], peek(from_totals + 4 * (channel - c))
                    poke(at, total if first else peek(at) + total)
                from_totals += BYTES
