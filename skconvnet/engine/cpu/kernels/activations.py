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
from skconvnet.engine.program.instructions import Activation, Op

__all__ = ["activate", "activate_backward", "bias_relu_backward", "dropout", "mix", "prelu", "prelu_slopes", "relu"]

_RELU, _BIAS, _PRELU, _PRELU_SLOPES, _ACTIVATE, _BACKWARD, _DROPOUT = map(
    number_columns,
    (
        Op.RELU,
        Op.BIAS_RELU_BACKWARD,
        Op.PRELU,
        Op.PRELU_SLOPES,
        Op.ACTIVATE,
        Op.ACTIVATE_BACKWARD,
        Op.DROPOUT,
    ),
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


@kernel
def prelu(code, x, v, slopes, y):
    """Y = v where x > 0, else the channel's slope times v: with v = x the output, with v = dy the gradient."""
    rows, columns, depth = code[_PRELU.rows], code[_PRELU.columns], code[_PRELU.depth]
    x_row, v_row, y_row = code[_PRELU.x_row], code[_PRELU.v_row], code[_PRELU.y_row]
    zero = splat(np.float32(0))
    for row in range(rows):
        from_x, from_v, to_y = x + 4 * row * x_row, v + 4 * row * v_row, y + 4 * row * y_row
        for _ in range(columns):
            for at in range(0, 4 * depth, BYTES):
                value = load(from_v + at)
                store(to_y + at, where_greater(load(from_x + at), zero, value, value * load(slopes + at)))
            from_x += 4 * depth
            from_v += 4 * depth
            to_y += 4 * depth


@kernel
def prelu_slopes(code, x, dy, dslopes, first):
    """Sum dy min(x, 0) over the pixels, channel by channel.

    `dslopes`, (depth,), is overwritten if this is the `first` sample of its shard, else added to.
    """
    rows, columns, depth = code[_PRELU_SLOPES.rows], code[_PRELU_SLOPES.columns], code[_PRELU_SLOPES.depth]
    x_row, dy_row = code[_PRELU_SLOPES.x_row], code[_PRELU_SLOPES.dy_row]
    zero = splat(np.float32(0))
    for q in range(0, 4 * depth, BYTES):
        total = zero if first else load(dslopes + q)
        for row in range(rows):
            from_x, from_dy = x + 4 * row * x_row + q, dy + 4 * row * dy_row + q
            line = zero  # rows are summed first: long sums lose digits
            for _ in range(columns):
                value = load(from_x)
                line = line + load(from_dy) * where_greater(value, zero, zero, value)
                from_x += 4 * depth
                from_dy += 4 * depth
            total = total + line
        store(dslopes + q, total)


_THIRD, _SIXTH = np.float32(1 / 3), np.float32(1 / 6)


@kernel
def _between(x, low, high, inside):
    """Return `inside` where low < x < high, else 0."""
    zero = splat(np.float32(0))
    return where_greater(x, low, where_greater(high, x, inside, zero), zero)


@kernel
def _clip(x):
    """Return min(max(x, 0), 6), and NaN of NaN."""
    zero, six = splat(np.float32(0)), splat(np.float32(6))
    x = where_greater(zero, x, zero, x)
    return where_greater(x, six, six, x)


@kernel
def _hard_sigmoid(x):
    return _clip(x + splat(np.float32(3))) * splat(_SIXTH)


@kernel
def _sigmoid(x):
    one = splat(np.float32(1))
    return one / (one + exponential(splat(np.float32(0)) - x))


# tanh(x) = x + x * x**2 * P(x**2) below 0.6, with coefficients that minimise the largest relative error.
_TANH = np.array(
    [2.18661372e-03, -8.22346212e-03, 2.17186372e-02, -5.39498990e-02, 1.33332296e-01, -3.33333314e-01], np.float32
)


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


# The normal distribution at -|x| is exp(-x**2/2) t P(t) with t = 1/(1 + 0.35 |x|). These coefficients minimise the
# largest relative error up to |x| = 14, which is 3.2e-8.
_NORMAL = np.array(
    [-0.02914591, 0.14397163, -0.25571412, 0.15917402, -0.02310975, 0.10550797, 0.11983287, 0.13986187, 0.1396214],
    np.float32,
)
_NEARNESS = np.float32(0.35)
_PEAK = np.float32(0.3989422804014327)  # 1/sqrt(2 pi), the density at 0


@kernel
def _bell(x):
    """Return exp(-x**2/2)."""
    return exponential(x * x * splat(np.float32(-0.5)))


@kernel
def _normal_distribution(x, bell):
    """Return (1 + erf(x/sqrt(2)))/2, with digits in its lower tail too; `bell` is exp(-x**2/2)."""
    zero, one = splat(np.float32(0)), splat(np.float32(1))
    size = where_greater(zero, x, zero - x, x)
    t = one / (one + size * splat(_NEARNESS))
    series = splat(_NORMAL[0])
    for k in range(1, len(_NORMAL)):
        series = series * t + splat(_NORMAL[k])
    tail = bell * t * series
    return where_greater(x, zero, one - tail, tail)


@kernel
def _hard_swish(x):
    return x * _hard_sigmoid(x)


@kernel
def _gelu(x):
    return x * _normal_distribution(x, _bell(x))


@kernel
def _clip_slope(y):
    return _between(y, splat(np.float32(0)), splat(np.float32(6)), splat(np.float32(1)))


@kernel
def _hard_sigmoid_slope(y):
    return _between(y, splat(np.float32(0)), splat(np.float32(1)), splat(_SIXTH))


@kernel
def _hard_swish_slope(x):
    three, one = splat(np.float32(3)), splat(np.float32(1))
    inside = x * splat(_THIRD) + splat(np.float32(0.5))
    return where_greater(three, x, _between(x, splat(np.float32(-3)), three, inside), one)


@kernel
def _sigmoid_slope(y):
    return y - y * y


@kernel
def _tanh_slope(y):
    return splat(np.float32(1)) - y * y


@kernel
def _gelu_slope(x):
    bell = _bell(x)
    return _normal_distribution(x, bell) + x * bell * splat(_PEAK)


def _row_of(function):
    """Return the kernel that computes a function of `size` bytes at `x`."""

    @kernel
    def values(x, y, size):
        for at in range(0, size, BYTES):
            store(y + at, function(load(x + at)))

    return values


def _row_of_gradients(slope):
    """Return the kernel that multiplies `size` bytes at `dy` by the slope at `kept`."""

    @kernel
    def gradients(dy, kept, dx, size):
        for at in range(0, size, BYTES):
            store(dx + at, load(dy + at) * slope(load(kept + at)))

    return gradients


# A choice for every vector would take longer than the simple functions.
_clips, _hard_sigmoids, _hard_swishes = _row_of(_clip), _row_of(_hard_sigmoid), _row_of(_hard_swish)
_sigmoids, _tanhs, _gelus = _row_of(_sigmoid), _row_of(_tanh), _row_of(_gelu)
_clip_gradients, _hard_sigmoid_gradients = _row_of_gradients(_clip_slope), _row_of_gradients(_hard_sigmoid_slope)
_hard_swish_gradients, _sigmoid_gradients = _row_of_gradients(_hard_swish_slope), _row_of_gradients(_sigmoid_slope)
_tanh_gradients, _gelu_gradients = _row_of_gradients(_tanh_slope), _row_of_gradients(_gelu_slope)


@kernel
def _values(function, x, y, size):
    if function == Activation.RELU6:
        _clips(x, y, size)
    elif function == Activation.HSIGMOID:
        _hard_sigmoids(x, y, size)
    elif function == Activation.HSWISH:
        _hard_swishes(x, y, size)
    elif function == Activation.SIGMOID:
        _sigmoids(x, y, size)
    elif function == Activation.GELU:
        _gelus(x, y, size)
    else:
        _tanhs(x, y, size)


@kernel
def _gradients(function, dy, kept, dx, size):
    if function == Activation.RELU6:
        _clip_gradients(dy, kept, dx, size)
    elif function == Activation.HSIGMOID:
        _hard_sigmoid_gradients(dy, kept, dx, size)
    elif function == Activation.HSWISH:
        _hard_swish_gradients(dy, kept, dx, size)
    elif function == Activation.SIGMOID:
        _sigmoid_gradients(dy, kept, dx, size)
    elif function == Activation.GELU:
        _gelu_gradients(dy, kept, dx, size)
    else:
        _tanh_gradients(dy, kept, dx, size)


@kernel
def activate(code, x, y):
    """Y = the ``function`` of x, an `Activation`; the depth beyond ``channels`` stays zero."""
    rows, columns, function = code[_ACTIVATE.rows], code[_ACTIVATE.columns], code[_ACTIVATE.function]
    depth, channels = code[_ACTIVATE.depth], code[_ACTIVATE.channels]
    x_row, y_row = code[_ACTIVATE.x_row], code[_ACTIVATE.y_row]
    for row in range(rows):
        from_x, to_y = x + 4 * row * x_row, y + 4 * row * y_row
        _values(function, from_x, to_y, 4 * columns * depth)
        for column in range(columns):
            write_zeros(to_y + 4 * (column * depth + channels), depth - channels)


@kernel
def activate_backward(code, dy, kept, dx):
    """Dx = dy times the slope of the ``function`` of `activate`; `dx` is overwritten.

    `kept` is the output of `activate`, or for HSWISH and GELU its input.
    """
    rows, columns, depth = code[_BACKWARD.rows], code[_BACKWARD.columns], code[_BACKWARD.depth]
    dy_row, kept_row, dx_row = code[_BACKWARD.dy_row], code[_BACKWARD.kept_row], code[_BACKWARD.dx_row]
    function = code[_BACKWARD.function]
    for row in range(rows):
        from_dy, from_kept, to_dx = dy + 4 * row * dy_row, kept + 4 * row * kept_row, dx + 4 * row * dx_row
        _gradients(function, from_dy, from_kept, to_dx, 4 * columns * depth)


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
