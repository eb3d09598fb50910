"""Activation functions and DROPOUT.

Operands are the addresses of the first sample's pixel (0, 0). A block works on a chunk of one sample; each thread has a
quad of channels. Strides are in float32 elements.
"""

import numpy as np

from skconvnet.engine.cuda.compiler import Address, Real, cuda, float32, inlined, int32, int64, kernel, uint64
from skconvnet.engine.cuda.llvm.memory import load_int, load_long
from skconvnet.engine.cuda.llvm.quads import (
    exponential,
    first_of,
    load_quad,
    number,
    quad,
    splat,
    store_quad,
    where_greater,
)
from skconvnet.engine.cuda.llvm.sums import sum_slices
from skconvnet.engine.cuda.llvm.threads import block, chunk, left, over, thread
from skconvnet.engine.cuda.lowering import chunks
from skconvnet.engine.program.instructions import Activation

__all__ = [
    "activate",
    "activate_backward",
    "bias_relu_backward",
    "dropout",
    "lower_activate",
    "lower_activate_backward",
    "lower_bias_relu_backward",
    "lower_dropout",
    "lower_prelu",
    "lower_prelu_slopes",
    "lower_relu",
    "mix",
    "prelu",
    "prelu_slopes",
    "relu",
]

_THREADS = 256


@kernel(_THREADS)
def relu(x: Address, y: Address, rows, columns, depth, x_row, y_row, x_sample, y_sample):
    """Y = max(x, 0); `x` and `y` may be the same place."""
    at, line = 4 * (_THREADS * chunk() + thread()), columns * depth
    if at < rows * line:
        row = over(at, line)
        along = at - row * line
        value, zero = load_quad(x + 4 * (block() * x_sample + row * x_row + along)), splat(float32(0))
        store_quad(y + 4 * (block() * y_sample + row * y_row + along), where_greater(zero, value, zero, value))


def lower_relu(call):
    """Yield the launch of RELU."""
    yield call.launch(relu, call.over_quads(relu))


# -- The backward pass of a bias and a ReLU ----------------------------------------------------------------------------

_SUMS = 4 * _THREADS  # a quad of each thread


@kernel(_THREADS)
def bias_relu_backward(
    dy: Address,
    y: Address,
    dx: Address,
    total: Address,
    samples,
    rows,
    columns,
    depth,
    dy_row,
    y_row,
    dx_row,
    dy_sample,
    y_sample,
    dx_sample,
    relu,
    bias,
    width,
    span,
):
    """Apply the derivative of ReLU to a layer's output gradient, and sum the gradient over pixels.

    A block works on `span` pixels of the batch, and on `width` quads of their channels: that many threads next to one
    another have one pixel, so that they read one run of memory. The sums of its threads are added in pairs, always in
    the same order.

    Parameters
    ----------
    dy : Address
        Gradient of the layer's output.
    y : Address
        The layer's output after ReLU; read only with ``relu``.
    dx : Address
        Gradient before ReLU, overwritten with ``relu``; it may be the same place as `dy`.
    total : Address
        (blocks along x, depth): the sum of dx over the pixels of each block, overwritten with ``bias``.
    """
    sums = cuda.shared.array(_SUMS, float32)  # number k of thread t is at k * _THREADS + t
    lane = over(thread(), width)
    q = 4 * (chunk() * width + thread() - lane * width)
    lanes, zero = over(_THREADS, width), splat(float32(0))
    value, sum_of_thread = zero, zero
    if lane < lanes and q < depth:
        pixel = int32(block() * span + lane)  # int32 throughout: the loop's length is a division of them
        last = int32(min((block() + 1) * span, samples * rows * columns))
        while pixel < last:
            line = over(pixel, columns)
            sample, column = over(line, rows), pixel - line * columns
            row, along = line - sample * rows, column * depth + q
            value = load_quad(dy + 4 * (sample * dy_sample + row * dy_row + along))
            if relu:
                output = load_quad(y + 4 * (sample * y_sample + row * y_row + along))
                value = where_greater(output, zero, value, zero)
                store_quad(dx + 4 * (sample * dx_sample + row * dx_row + along), value)
            sum_of_thread = sum_of_thread + value
            pixel = int32(pixel + lanes)
    if bias:
        for k in range(4):
            sums[k * _THREADS + thread()] = number(sum_of_thread, k)
        cuda.syncthreads()
        while lanes > 1:
            half = (lanes + 1) >> 1
            if lane + half < lanes:
                for k in range(4):
                    sums[k * _THREADS + thread()] += sums[k * _THREADS + thread() + half * width]
            cuda.syncthreads()
            lanes = half
        if lane == 0 and q < depth:
            here = thread()
            store_quad(
                total + 4 * (block() * depth + q),
                quad(sums[here], sums[here + _THREADS], sums[here + 2 * _THREADS], sums[here + 3 * _THREADS]),
            )


_PIXELS_OF_A_THREAD = 8  # at least, where there are many
_QUADS_OF_SUMS = 4  # of a block in the second pass: few, so that many of its threads share the parts
_MOST_BLOCKS = 1024  # enough to fill any GPU; more would only be more to add in the second pass


def lower_bias_relu_backward(call):
    """Yield the launches of BIAS_RELU_BACKWARD: sums of blocks of pixels, and the sum of these.

    ``dbias`` is overwritten with the sum over all samples. The blocks depend on shapes alone.
    """
    if not call["relu"] and not call["bias"]:
        return
    pixels = call["samples"] * call["rows"] * call["columns"]
    width = min(call["depth"] // 4, _THREADS)
    grid, numbers = _over_pixels(pixels, call["depth"] // 4, width)
    if not call["bias"] or grid[0] == 1:
        yield call.launch(bias_relu_backward, grid, total=call["dbias"], **numbers)
        return
    parts = call.scratch(grid[0] * call["depth"])
    yield call.launch(bias_relu_backward, grid, total=parts, **numbers)
    yield _sum_of_parts(call, parts, grid[0], call["dbias"])


def _sum_of_parts(call, parts, n_parts, total):
    """Return the launch that adds the sums of blocks, (n_parts, depth), to `total`, (depth,)."""
    # They are the pixels of a row, of which there is one sample.
    row = {"dy": parts, "samples": 1, "rows": 1, "columns": n_parts, "dy_row": 0, "dy_sample": 0}
    only = row | dict.fromkeys(("y", "dx", "y_row", "dx_row", "y_sample", "dx_sample", "relu"), 0) | {"bias": 1}
    width = min(call["depth"] // 4, _QUADS_OF_SUMS)
    grid = 1, chunks(call["depth"] // 4, width)
    return call.launch(bias_relu_backward, grid, **only, total=total, width=width, span=n_parts)


def _over_pixels(pixels, quads, width):
    """Return the grid over pixels and channels, and the numbers of each block."""
    lanes = _THREADS // width
    blocks = min(chunks(pixels, lanes * _PIXELS_OF_A_THREAD), _MOST_BLOCKS)
    span = chunks(pixels, blocks)
    return (chunks(pixels, span), chunks(quads, width)), {"width": width, "span": span}


# -- PRELU -------------------------------------------------------------------------------------------------------------


@kernel(_THREADS)
def prelu(
    x: Address,
    v: Address,
    slopes: Address,
    y: Address,
    rows,
    columns,
    depth,
    x_row,
    v_row,
    y_row,
    x_sample,
    v_sample,
    y_sample,
):
    """Y = v where x > 0, else the channel's slope times v: with v = x the output, with v = dy the gradient."""
    at, line = 4 * (_THREADS * chunk() + thread()), columns * depth
    if at < rows * line:
        row = over(at, line)
        along = at - row * line
        value = load_quad(v + 4 * (block() * v_sample + row * v_row + along))
        inclined = value * load_quad(slopes + 4 * left(along, depth))
        zero = splat(float32(0))
        value = where_greater(load_quad(x + 4 * (block() * x_sample + row * x_row + along)), zero, value, inclined)
        store_quad(y + 4 * (block() * y_sample + row * y_row + along), value)


@kernel(_THREADS)
def prelu_slopes(
    x: Address,
    dy: Address,
    total: Address,
    samples,
    rows,
    columns,
    depth,
    x_row,
    dy_row,
    x_sample,
    dy_sample,
    wide,
    span,
):
    """Sum dy min(x, 0) over the pixels of each block, channel by channel.

    A block works on ``span`` pixels of the batch, and on ``wide`` quads of their channels, a power of two up to 256:
    thread slice * wide + q walks over the pixels slice, slice + 256 / wide, ... of quad q.

    Parameters
    ----------
    total : Address
        (blocks along x, depth), overwritten.
    """
    table = cuda.shared.array(_SUMS, float32)
    at = 4 * (wide * chunk() + left(thread(), wide))
    slices, slice_of_thread = over(_THREADS, wide), over(thread(), wide)
    end = int32(min((block() + 1) * span, samples * rows * columns))
    if at >= depth:  # there may be more quads than channels
        end = int32(0)
    value, pixel, zero = splat(float32(0)), int32(block() * span + slice_of_thread), splat(float32(0))
    while pixel < end:
        line = over(pixel, columns)
        sample, column = over(line, rows), pixel - line * columns
        row, along = line - sample * rows, column * depth + at
        below = load_quad(x + 4 * (sample * x_sample + row * x_row + along))
        below = where_greater(below, zero, zero, below)
        value = value + below * load_quad(dy + 4 * (sample * dy_sample + row * dy_row + along))
        pixel = int32(pixel + slices)
    value = sum_slices(table, value, wide)
    if slice_of_thread == 0 and at < depth:
        store_quad(total + 4 * (block() * depth + at), value)


def lower_prelu(call):
    """Yield the launch of PRELU."""
    yield call.launch(prelu, call.over_quads(prelu))


def lower_prelu_slopes(call):
    """Yield the launches of PRELU_SLOPES: sums of blocks of pixels, and the sum of these."""
    quads, wide = call["depth"] // 4, 1
    while wide < min(quads, _THREADS):
        wide *= 2
    grid, numbers = _over_pixels(call["samples"] * call["rows"] * call["columns"], quads, wide)
    wide, span = numbers["width"], numbers["span"]
    if grid[0] == 1:
        yield call.launch(prelu_slopes, grid, total=call["dslopes"], wide=wide, span=span)
        return
    parts = call.scratch(grid[0] * call["depth"])
    yield call.launch(prelu_slopes, grid, total=parts, wide=wide, span=span)
    yield _sum_of_parts(call, parts, grid[0], call["dslopes"])


# -- Activation functions ----------------------------------------------------------------------------------------------

# Kernels and coefficients are those of `cpu.kernels.activations`.
_RELU6, _SIGMOID, _HSIGMOID = int(Activation.RELU6), int(Activation.SIGMOID), int(Activation.HSIGMOID)
_HSWISH, _GELU = int(Activation.HSWISH), int(Activation.GELU)
_THIRD, _SIXTH = np.float32(1 / 3), np.float32(1 / 6)


@kernel(_THREADS)
def activate(x: Address, y: Address, rows, columns, depth, channels, x_row, y_row, x_sample, y_sample, function):
    """Y = the ``function`` of x, an `Activation`; zeros in the depth beyond ``channels``."""
    at, line = 4 * (_THREADS * chunk() + thread()), columns * depth
    if at < rows * line:
        row = over(at, line)
        along = at - row * line
        value = load_quad(x + 4 * (block() * x_sample + row * x_row + along))
        if function == _RELU6:
            value = _clip(value)
        elif function == _HSIGMOID:
            value = _hard_sigmoid(value)
        elif function == _HSWISH:
            value = value * _hard_sigmoid(value)
        elif function == _SIGMOID:
            value = _sigmoid(value)
        elif function == _GELU:
            value = value * _normal_distribution(value, _bell(value))
        else:
            value = _tanh(value)
        value = first_of(value, channels - left(along, depth))
        store_quad(y + 4 * (block() * y_sample + row * y_row + along), value)


@kernel(_THREADS)
def activate_backward(
    dy: Address,
    kept: Address,
    dx: Address,
    rows,
    columns,
    depth,
    dy_row,
    kept_row,
    dx_row,
    dy_sample,
    kept_sample,
    dx_sample,
    function,
):
    """Dx = dy times the slope of the ``function`` of `activate`; `dx` is overwritten.

    `kept` is the output of `activate`, or for HSWISH and GELU its input.
    """
    at, line = 4 * (_THREADS * chunk() + thread()), columns * depth
    if at < rows * line:
        row = over(at, line)
        along = at - row * line
        gradient = load_quad(dy + 4 * (block() * dy_sample + row * dy_row + along))
        value = load_quad(kept + 4 * (block() * kept_sample + row * kept_row + along))
        zero, one = splat(float32(0)), splat(float32(1))
        if function == _RELU6:
            slope = _between(value, zero, splat(float32(6)), one)
        elif function == _HSIGMOID:
            slope = _between(value, zero, one, splat(_SIXTH))
        elif function == _HSWISH:
            three = splat(float32(3))
            slope = _between(value, zero - three, three, value * splat(_THIRD) + splat(float32(0.5)))
            slope = where_greater(three, value, slope, one)
        elif function == _SIGMOID:
            slope = value - value * value
        elif function == _GELU:
            bell = _bell(value)
            slope = _normal_distribution(value, bell) + value * bell * splat(_PEAK)
        else:
            slope = one - value * value
        store_quad(dx + 4 * (block() * dx_sample + row * dx_row + along), gradient * slope)


def lower_activate(call):
    """Yield the launch of ACTIVATE."""
    yield call.launch(activate, call.over_quads(activate))


def lower_activate_backward(call):
    """Yield the launch of ACTIVATE_BACKWARD."""
    yield call.launch(activate_backward, call.over_quads(activate_backward))


@inlined
def _between(x, low, high, inside):
    """Return `inside` where low < x < high, else 0."""
    zero = splat(float32(0))
    return where_greater(x, low, where_greater(high, x, inside, zero), zero)


@inlined
def _clip(x):
    """Return min(max(x, 0), 6), and NaN of NaN."""
    zero, six = splat(float32(0)), splat(float32(6))
    x = where_greater(zero, x, zero, x)
    return where_greater(x, six, six, x)


@inlined
def _hard_sigmoid(x):
    return _clip(x + splat(float32(3))) * splat(_SIXTH)


@inlined
def _sigmoid(x):
    one = splat(float32(1))
    return one / (one + exponential(splat(float32(0)) - x))


# tanh(x) = x + x * x**2 * P(x**2) below 0.6, with coefficients that minimise the largest relative error.
_TANH_6, _TANH_5, _TANH_4, _TANH_3, _TANH_2, _TANH_1 = np.array(
    [2.18661372e-03, -8.22346212e-03, 2.17186372e-02, -5.39498990e-02, 1.33332296e-01, -3.33333314e-01], np.float32
)
_SERIES_END = np.float32(0.6)


@inlined
def _tanh(x):
    """Return sign(x) (1 - 2/(exp(2|x|) + 1)), or a polynomial near zero, where that would lose digits."""
    zero, one, two = splat(float32(0)), splat(float32(1)), splat(float32(2))
    size = where_greater(zero, x, zero - x, x)
    far = one - two / (exponential(size + size) + one)
    far = where_greater(zero, x, zero - far, far)
    square = x * x
    series = splat(_TANH_6) * square + splat(_TANH_5)
    series = series * square + splat(_TANH_4)
    series = series * square + splat(_TANH_3)
    series = series * square + splat(_TANH_2)
    series = series * square + splat(_TANH_1)
    return where_greater(splat(_SERIES_END), size, x + x * square * series, far)


# The normal distribution at -|x| is exp(-x**2/2) t P(t) with t = 1/(1 + 0.35 |x|). These coefficients minimise the
# largest relative error up to |x| = 14, which is 3.2e-8.
_NORMAL_8, _NORMAL_7, _NORMAL_6, _NORMAL_5, _NORMAL_4, _NORMAL_3, _NORMAL_2, _NORMAL_1, _NORMAL_0 = np.array(
    [-0.02914591, 0.14397163, -0.25571412, 0.15917402, -0.02310975, 0.10550797, 0.11983287, 0.13986187, 0.1396214],
    np.float32,
)
_NEARNESS = np.float32(0.35)
_PEAK = np.float32(0.3989422804014327)  # 1/sqrt(2 pi), the density at 0


@inlined
def _bell(x):
    """Return exp(-x**2/2)."""
    return exponential(x * x * splat(float32(-0.5)))


@inlined
def _normal_distribution(x, bell):
    """Return (1 + erf(x/sqrt(2)))/2, with digits in its lower tail too; `bell` is exp(-x**2/2)."""
    zero, one = splat(float32(0)), splat(float32(1))
    size = where_greater(zero, x, zero - x, x)
    t = one / (one + size * splat(_NEARNESS))
    series = splat(_NORMAL_8) * t + splat(_NORMAL_7)
    series = series * t + splat(_NORMAL_6)
    series = series * t + splat(_NORMAL_5)
    series = series * t + splat(_NORMAL_4)
    series = series * t + splat(_NORMAL_3)
    series = series * t + splat(_NORMAL_2)
    series = series * t + splat(_NORMAL_1)
    series = series * t + splat(_NORMAL_0)
    tail = bell * t * series
    return where_greater(x, zero, one - tail, tail)


# -- DROPOUT -----------------------------------------------------------------------------------------------------------


@inlined
def mix(key, counter):
    """Return a random uint64 for a key and a counter: one step of SplitMix64 from a state that combines both.

    Source: G. Steele, D. Lea and C. Flood, "Fast Splittable Pseudorandom Number Generators" (2014), figure 16.
    """
    z = key + (counter + uint64(1)) * uint64(0x9E3779B97F4A7C15)
    z = (z ^ (z >> uint64(30))) * uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> uint64(27))) * uint64(0x94D049BB133111EB)
    return z ^ (z >> uint64(31))


@kernel(_THREADS)
def dropout(
    x: Address,
    y: Address,
    draws: Address,
    step: Address,
    rows,
    columns,
    depth,
    x_row,
    y_row,
    x_sample,
    y_sample,
    place,
    layer,
    limit: int64,
    factor: Real,
):
    """Y = 0 for activations whose random number is below `limit`, else x times `factor`; `y` is overwritten.

    The numbers are those of `cpu.kernels.activations.dropout`, to the bit: they depend on the step's row of `draws`,
    (seed, step) of int64, on the number of the layer, on the sample, the first of which is at `place` in the batch, and
    on the activation.
    """
    at, line = 4 * (_THREADS * chunk() + thread()), columns * depth
    if at < rows * line:
        row = over(at, line)
        along = at - row * line
        draw = draws + 16 * load_int(step)
        key = mix(uint64(load_long(draw)), uint64(load_long(draw + 8)))
        key = mix(mix(key, uint64(layer)), uint64(place + block()))
        value, scale = load_quad(x + 4 * (block() * x_sample + row * x_row + along)), float32(factor)
        kept = quad(
            _kept(number(value, 0) * scale, mix(key, uint64(at)), limit),
            _kept(number(value, 1) * scale, mix(key, uint64(at + 1)), limit),
            _kept(number(value, 2) * scale, mix(key, uint64(at + 2)), limit),
            _kept(number(value, 3) * scale, mix(key, uint64(at + 3)), limit),
        )
        store_quad(y + 4 * (block() * y_sample + row * y_row + along), kept)


@inlined
def _kept(value, draw, limit):
    """Return the value, or zero where the upper half of the random number is below `limit`."""
    return value if (draw >> uint64(32)) >= uint64(limit) else float32(0)


def lower_dropout(call):
    """Yield the launch of DROPOUT: with probability ``rate``, an activation becomes zero."""
    limit, factor = int(call["rate"] * 2**32), float(np.float32(1 / (1 - call["rate"])))
    yield call.launch(dropout, call.over_quads(dropout), limit=limit, factor=factor)
