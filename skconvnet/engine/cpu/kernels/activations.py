"""Activation functions and DROPOUT.

Kernels work on one sample. Their operands are int64 addresses in bytes, of a volume's pixel (0, 0); numbers are read
from the instruction `code` by name, and strides are in float32 elements. Depths are padded to the vector width.
"""

import numpy as np

from skconvnet.engine.cpu.compile import kernel
from skconvnet.engine.cpu.kernels.memory import write_zeros
from skconvnet.engine.cpu.llvm.pointers import real
from skconvnet.engine.cpu.llvm.simd import BYTES, exponential, load, peek, poke, splat, store, where_greater
from skconvnet.engine.cpu.task import number_columns
from skconvnet.engine.program.instructions import Op

__all__ = ["bias_relu_backward", "dropout", "mix", "relu", "squash", "squash_backward"]

_RELU, _BIAS, _SQUASH, _SQUASH_BACKWARD, _DROPOUT = map(
    number_columns, (Op.RELU, Op.BIAS_RELU_BACKWARD, Op.SQUASH, Op.SQUASH_BACKWARD, Op.DROPOUT)
)


@kernel
def relu(code, x, y):
    """Y = max(x, 0); `x` and `y` may be the same place."""
    rows, columns, depth = code[_RELU.rows], code[_RELU.columns], code[_RELU.depth]
    x_row, y_row = code[_RELU.x_row], code[_RELU.y_row]
    zero = splat(np.float32(0))
    for row in range(rows):
        from_x, to_y = x + 4 * row * x_row, y + 4 * row * y_row
        for at in range(0, 4 * columns * depth, BYTES):
            value = load(from_x + at)
            store(to_y + at, where_greater(zero, value, zero, value))


@kernel
def bias_relu_backward(code, dy, y, dx, dbias, first):
    """Apply the derivative of ReLU to a layer's output gradient, and sum the gradient of the layer's bias.

    Parameters
    ----------
    code : ndarray of int64
        The instruction: with ``relu`` the layer ends with ReLU; with ``bias`` the sum is wanted.
    dy : int64
        Gradient of the layer's output.
    y : int64
        The layer's output after ReLU; read only with ``relu``.
    dx : int64
        Gradient before ReLU, overwritten with ``relu``; it may be the same place as `dy`.
    dbias : int64
        Gradient of the bias, (depth,): the sum of `dx` over the pixels. Overwritten if `first`, else added to.
    first : bool
        Whether this is the first sample of its shard.
    """
    rows, columns, depth = code[_BIAS.rows], code[_BIAS.columns], code[_BIAS.depth]
    dy_row, y_row, dx_row = code[_BIAS.dy_row], code[_BIAS.y_row], code[_BIAS.dx_row]
    has_relu, has_bias = code[_BIAS.relu] != 0, code[_BIAS.bias] != 0
    zero = splat(np.float32(0))
    for row in range(rows):
        is_new = first and row == 0
        for q in range(0, 4 * depth, BYTES):
            total = zero if is_new or not has_bias else load(dbias + q)
            for column in range(columns):
                along = 4 * column * depth + q
                value = load(dy + 4 * row * dy_row + along)
                if has_relu:
                    value = where_greater(load(y + 4 * row * y_row + along), zero, value, zero)
                    store(dx + 4 * row * dx_row + along, value)
                total = total + value
            if has_bias:
                store(dbias + q, total)


# tanh(x) = x + x * x**2 * P(x**2) below 0.6, with coefficients that minimise the largest relative error.
_TANH = np.array(
    [2.18661372e-03, -8.22346212e-03, 2.17186372e-02, -5.39498990e-02, 1.33332296e-01, -3.33333314e-01], np.float32
)


@kernel
def squash(code, x, y):
    """Y = 1/(1 + exp(-x)) with ``sigmoid``, else tanh(x); the depth beyond ``channels`` stays zero."""
    rows, columns = code[_SQUASH.rows], code[_SQUASH.columns]
    depth, channels = code[_SQUASH.depth], code[_SQUASH.channels]
    x_row, y_row, is_sigmoid = code[_SQUASH.x_row], code[_SQUASH.y_row], code[_SQUASH.sigmoid] != 0
    for row in range(rows):
        from_x, to_y = x + 4 * row * x_row, y + 4 * row * y_row
        for at in range(0, 4 * columns * depth, BYTES):
            value = load(from_x + at)
            store(to_y + at, _sigmoid(value) if is_sigmoid else _tanh(value))
        for column in range(columns):
            write_zeros(to_y + 4 * (column * depth + channels), depth - channels)


@kernel
def _sigmoid(x):
    one = splat(np.float32(1))
    return one / (one + exponential(splat(np.float32(0)) - x))


@kernel
def _tanh(x):
    """Return sign(x) (1 - 2/(exp(2|x|) + 1)), or a polynomial near zero, where that would lose digits."""
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
def squash_backward(code, dy, y, dx):
    """Dx = dy y (1 - y) with ``sigmoid``, else dy (1 - y**2), from the output `y` of `squash`; `dx` is overwritten."""
    rows, columns, depth = code[_SQUASH_BACKWARD.rows], code[_SQUASH_BACKWARD.columns], code[_SQUASH_BACKWARD.depth]
    dy_row, y_row, dx_row = code[_SQUASH_BACKWARD.dy_row], code[_SQUASH_BACKWARD.y_row], code[_SQUASH_BACKWARD.dx_row]
    is_sigmoid = code[_SQUASH_BACKWARD.sigmoid] != 0
    one = splat(np.float32(1))
    for row in range(rows):
        from_dy, from_y, to_dx = dy + 4 * row * dy_row, y + 4 * row * y_row, dx + 4 * row * dx_row
        for at in range(0, 4 * columns * depth, BYTES):
            value = load(from_y + at)
            slope = value - value * value if is_sigmoid else one - value * value
            store(to_dx + at, load(from_dy + at) * slope)


@kernel
def dropout(code, x, y, step_key, place):
    """Y = 0 with probability ``rate``, else x / (1 - rate), activation by activation; `y` is overwritten.

    Which activations become zero depends on the uint64 `step_key`, the number of the layer and the sample's `place` in
    the batch.
    """
    rows, columns, depth = code[_DROPOUT.rows], code[_DROPOUT.columns], code[_DROPOUT.depth]
    x_row, y_row, rate = code[_DROPOUT.x_row], code[_DROPOUT.y_row], real(code[_DROPOUT.rate])
    key = mix(mix(step_key, np.uint64(code[_DROPOUT.layer])), np.uint64(place))
    limit = np.uint64(rate * 4294967296.0)
    factor = np.float32(1.0 / (1.0 - rate))
    for row in range(rows):
        from_x, to_y = x + 4 * row * x_row, y + 4 * row * y_row
        for at in range(columns * depth):
            draw = mix(key, np.uint64(row * columns * depth + at)) >> np.uint64(32)
            kept = peek(from_x + 4 * at) * factor
            poke(to_y + 4 * at, kept if draw >= limit else np.float32(0))


@kernel
def mix(key, counter):
    """Return a random uint64 for a key and a counter: one step of SplitMix64 from a state that combines both.

    Source: G. Steele, D. Lea and C. Flood, "Fast Splittable Pseudorandom Number Generators" (2014), figure 16.
    """
    z = key + (counter + np.uint64(1)) * np.uint64(0x9E3779B97F4A7C15)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))
