"""Kernels that touch each activation once: borders of zeros, sums and copies, the activation functions.

Addresses are int64 bytes of a pixel (0, 0); ``*_row`` strides are in float32 elements; depths are padded to the
vector width (the network's input alone is not). Every kernel works on one sample.
"""

import numpy as np

from skconvnet.engine.cpu.compile import kernel
from skconvnet.engine.cpu.llvm.simd import BYTES, LANES, exponential, load, peek, poke, splat, store, where_greater

__all__ = [
    "add",
    "bias_relu_backward",
    "clear",
    "clear_border",
    "copy_channels",
    "dropout",
    "mixed",
    "relu",
    "squash",
    "squash_backward",
]


@kernel
def clear(y, size):
    """Write `size` zeros at `y`."""
    zero = splat(np.float32(0))
    whole = size - size % LANES
    for at in range(0, whole, LANES):
        store(y + 4 * at, zero)
    for at in range(whole, size):
        poke(y + 4 * at, np.float32(0))


@kernel
def clear_border(y, rows, columns, depth, top, left, bottom, right):
    """Write zeros around an image: `top` rows above pixel (0, 0) at `y`, `left` columns before it, and so on.

    In memory the right border of one row and the left border of the next are one run.
    """
    y_row = (left + columns + right) * depth
    clear(y - 4 * (top * y_row + left * depth), top * y_row + left * depth)
    for row in range(rows - 1):
        clear(y + 4 * (row * y_row + columns * depth), (right + left) * depth)
    clear(y + 4 * ((rows - 1) * y_row + columns * depth), right * depth + bottom * y_row)


@kernel
def relu(x, y, rows, columns, depth, x_row, y_row):
    """Y = max(x, 0); `x` and `y` may be the same place."""
    zero = splat(np.float32(0))
    for row in range(rows):
        from_x, to_y = x + 4 * row * x_row, y + 4 * row * y_row
        for at in range(0, 4 * columns * depth, BYTES):
            value = load(from_x + at)
            store(to_y + at, where_greater(zero, value, zero, value))


@kernel
def bias_relu_backward(dy, y, dx, bias, rows, columns, depth, dy_row, y_row, dx_row, relu, biased, first):
    """Undo ReLU in the gradient of a layer's output, and add up the gradient of the layer's bias.

    Parameters
    ----------
    dy : int64
        Address of the gradient by the layer's output.
    y : int64
        Address of the layer's output, after the ReLU; read only with `relu`.
    dx : int64
        Address of the gradient before the ReLU, overwritten; it may be the same place as `dy`.
    bias : int64
        Address of the bias's gradient, (depth,), the sum of `dx` over the image. Overwritten if `first`, else added
        to.
    rows, columns, depth, dy_row, y_row, dx_row : int64
        The volume, and the distances between two rows.
    relu, biased, first : bool
        Whether there is a ReLU; whether there is a bias; whether nothing has been added to `bias` yet.
    """
    zero = splat(np.float32(0))
    for row in range(rows):
        fresh = first and row == 0
        for q in range(0, 4 * depth, BYTES):
            total = zero if fresh or not biased else load(bias + q)
            for column in range(columns):
                along = 4 * column * depth + q
                value = load(dy + 4 * row * dy_row + along)
                if relu:
                    value = where_greater(load(y + 4 * row * y_row + along), zero, value, zero)
                    store(dx + 4 * row * dx_row + along, value)
                total = total + value
            if biased:
                store(bias + q, total)


@kernel
def add(x, w, y, rows, columns, depth, x_row, w_row, y_row, relu):
    """Y = x + w, or max(x + w, 0) with `relu`; `y` may be the place of either."""
    zero = splat(np.float32(0))
    for row in range(rows):
        from_x, from_w, to_y = x + 4 * row * x_row, w + 4 * row * w_row, y + 4 * row * y_row
        for at in range(0, 4 * columns * depth, BYTES):
            total = load(from_x + at) + load(from_w + at)
            if relu:
                total = where_greater(zero, total, zero, total)
            store(to_y + at, total)


@kernel
def copy_channels(x, y, rows, columns, channels, x_row, x_depth, y_row, y_depth, cleared):
    """Copy `channels` numbers of each pixel, and write `cleared` zeros behind them.

    Parameters
    ----------
    x, y : int64
        Addresses of the first channel to copy, in pixel (0, 0), and of its new place; they need not be aligned.
    rows, columns, channels : int64
        What is copied.
    x_row, x_depth, y_row, y_depth : int64
        Distances between two rows, and between two pixels of a row.
    cleared : int64
        Channels of `y` behind the copied ones that become zero.
    """
    whole = channels - channels % LANES
    for row in range(rows):
        from_x, to_y = x + 4 * row * x_row, y + 4 * row * y_row
        for _ in range(columns):
            for at in range(0, 4 * whole, BYTES):
                store(to_y + at, load(from_x + at))
            for at in range(4 * whole, 4 * channels, 4):
                poke(to_y + at, peek(from_x + at))
            clear(to_y + 4 * channels, cleared)
            from_x += 4 * x_depth
            to_y += 4 * y_depth


# tanh(x) = x + x * x**2 * P(x**2) below 0.6; fitted to make the largest relative error least.
_TANH = np.array(
    [2.18661372e-03, -8.22346212e-03, 2.17186372e-02, -5.39498990e-02, 1.33332296e-01, -3.33333314e-01], np.float32
)


@kernel
def squash(x, y, rows, columns, depth, channels, x_row, y_row, sigmoid):
    """Y = 1/(1 + exp(-x)) with `sigmoid`, else tanh(x); what pads the `channels` stays zero.

    Parameters
    ----------
    x, y : int64
        Addresses of the input volume and of the output volume, which is overwritten.
    rows, columns, depth, channels : int64
        The volume as stored, and how much of the depth is not padding.
    x_row, y_row : int64
        Distances between two rows.
    sigmoid : bool
        Which of the two functions.
    """
    for row in range(rows):
        from_x, to_y = x + 4 * row * x_row, y + 4 * row * y_row
        for at in range(0, 4 * columns * depth, BYTES):
            value = load(from_x + at)
            store(to_y + at, _sigmoid(value) if sigmoid else _tanh(value))
        for column in range(columns):
            clear(to_y + 4 * (column * depth + channels), depth - channels)


@kernel
def _sigmoid(x):
    one = splat(np.float32(1))
    return one / (one + exponential(splat(np.float32(0)) - x))


@kernel
def _tanh(x):
    """tanh(x) = sign(x) (1 - 2/(exp(2|x|) + 1)), and where that would cancel, near zero, a polynomial."""
    zero, one, two = splat(np.float32(0)), splat(np.float32(1)), splat(np.float32(2))
    size = where_greater(zero, x, zero - x, x)
    far = one - two / (exponential(size + size) + one)
    far = where_greater(zero, x, zero - far, far)
    square = x * x
    series = splat(_TANH[0])
    for k in range(1, len(_TANH)):
        series = series * square + splat(_TANH[k])
    return where_greater(splat(np.float32(0.6)), size, x + x * square * series, far)


@kernel
def squash_backward(dy, y, dx, rows, columns, depth, dy_row, y_row, dx_row, sigmoid):
    """Dx = dy y (1 - y) with `sigmoid`, else dy (1 - y**2), from the output `y` of `squash`; `dx` is overwritten."""
    one = splat(np.float32(1))
    for row in range(rows):
        from_dy, from_y, to_dx = dy + 4 * row * dy_row, y + 4 * row * y_row, dx + 4 * row * dx_row
        for at in range(0, 4 * columns * depth, BYTES):
            value = load(from_y + at)
            slope = value - value * value if sigmoid else one - value * value
            store(to_dx + at, load(from_dy + at) * slope)


@kernel
def dropout(x, y, rows, columns, depth, x_row, y_row, key, rate):
    """Y = 0 with probability `rate`, else x / (1 - rate), activation by activation.

    Parameters
    ----------
    x, y : int64
        Addresses of the input volume and of the output volume, which is overwritten.
    rows, columns, depth, x_row, y_row : int64
        The volume, and the distances between two rows.
    key : uint64
        Decides, with an activation's number, which are dropped.
    rate : float64
        In [0, 1).
    """
    limit = np.uint64(rate * 4294967296.0)
    factor = np.float32(1.0 / (1.0 - rate))
    for row in range(rows):
        from_x, to_y = x + 4 * row * x_row, y + 4 * row * y_row
        for at in range(columns * depth):
            draw = mixed(key, np.uint64(row * columns * depth + at)) >> np.uint64(32)
            kept = peek(from_x + 4 * at) * factor
            poke(to_y + 4 * at, kept if draw >= limit else np.float32(0))


@kernel
def mixed(key, counter):
    """Return a random uint64 for a key and a counter: one step of SplitMix64 from a state that holds both.

    Source: G. Steele, D. Lea and C. Flood, "Fast Splittable Pseudorandom Number Generators" (2014), figure 16.
    """
    z = key + (counter + np.uint64(1)) * np.uint64(0x9E3779B97F4A7C15)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))
