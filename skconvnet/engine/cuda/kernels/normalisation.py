"""Normalisation: sums over channels, the coefficients computed from them, and their application.

Coefficients are the rows of `NormRow`, each `depth` long, in one run; moments and sums are two such rows. Sums over
pixels are added in float32, in trees and in parts that depend on the shape alone. Sums over samples and over the depth
are added in float64. The order never depends on how the grid is scheduled. Formulas and sources are those of
`engine.cpu.kernels.normalisation`.

Operands are byte addresses of the first sample's pixel (0, 0), or of its first coefficient. Strides (``x_row``,
``x_sample``) are in float32 elements. Depths are multiples of eight.
"""

import math

from skconvnet.engine.cuda.compiler import Address, Double, Real, cuda, float32, float64, inlined, kernel
from skconvnet.engine.cuda.llvm.memory import load, store
from skconvnet.engine.cuda.llvm.quads import (
    exponential,
    load_quad,
    logarithm,
    number,
    quad,
    splat,
    store_quad,
    where_greater,
)
from skconvnet.engine.cuda.llvm.sums import sum_slices
from skconvnet.engine.cuda.llvm.threads import block, block_y, chunk, left, over, part, thread
from skconvnet.engine.cuda.lowering import chunks
from skconvnet.engine.program.instructions import NormRow

__all__ = [
    "add_parts",
    "batch_gradients",
    "batch_statistics",
    "channel_moments",
    "combine_moments",
    "layer_gradients",
    "layer_scale_gradients",
    "layer_statistics",
    "lower_batch_gradients",
    "lower_batch_statistics",
    "lower_channel_moments",
    "lower_layer_gradients",
    "lower_layer_statistics",
    "lower_lrn",
    "lower_lrn_backward",
    "lower_normalise",
    "lower_normalise_backward",
    "lower_normalise_sums",
    "lower_running_statistics",
    "lrn",
    "lrn_backward",
    "lrn_backward_wide",
    "normalise",
    "normalise_backward",
    "normalise_sums",
    "running_statistics",
]

_THREADS = 256
_QUADS = 4 * _THREADS  # float32 of a table with a quad for each thread
_SPAN = 1024  # pixels of one part of a sum
_GROUP = 2  # channels of a thread block that sums over samples, few for many slices; every depth is a multiple
_SLICES = _THREADS // _GROUP  # of the samples

_FACTOR, _OFFSET, _MEAN, _INVERSE = int(NormRow.FACTOR), int(NormRow.OFFSET), int(NormRow.MEAN), int(NormRow.INVERSE)
_CONSTANT, _SLOPE = int(NormRow.CONSTANT), int(NormRow.SLOPE)
_SCALE_GRADIENT, _SHIFT_GRADIENT = int(NormRow.SCALE_GRADIENT), int(NormRow.SHIFT_GRADIENT)
_ROWS = len(NormRow)


# -- Sums over pixels --------------------------------------------------------------------------------------------------
#
# A thread block has `wide` quads of channels and 256 / wide slices of the pixels. Thread slice * wide + q walks over
# the pixels slice, slice + 256 / wide, ... of quad q.


@kernel(_THREADS)
def channel_moments(x: Address, into: Address, rows, columns, depth, x_row, x_sample, into_sample, wide):
    """Compute each channel's mean over a part of the pixels and the sum of squares around it.

    The pixels are read once. A thread sums the differences d from its first pixel, and their squares: around its mean
    they are the sum of d**2 - (sum of d)**2 / n. As d = 0 is among the n, the difference is at least 1/n of the sum of
    d**2, and n is at most 32, so few digits are lost. The threads' moments are combined as in `combine_moments`.

    Parameters
    ----------
    x : int64
        Volumes, (samples, rows, columns, depth) float32.
    into : int64
        Means and sums of squares, (samples, parts, 2, depth) float32, overwritten.
    into_sample : int32
        Elements from one sample to the next in `into`.
    wide : int32
        Quads of channels of a thread block, a power of two up to 256.
    """
    table = cuda.shared.array(_QUADS, float32)
    first, last = _SPAN * part(), min(rows * columns, _SPAN * (part() + 1))
    at = 4 * (wide * block_y() + left(thread(), wide))
    slices, slice_of_thread = over(_THREADS, wide), over(thread(), wide)
    end = last if at < depth else first  # there may be more quads than channels
    from_x = x + 4 * (block() * x_sample + at)
    total, squares, origin, count = splat(float32(0)), splat(float32(0)), splat(float32(0)), 0
    pixel = first + slice_of_thread
    while pixel < end:
        row = over(pixel, columns)
        value = load_quad(from_x + 4 * (row * x_row + (pixel - row * columns) * depth))
        if count == 0:
            origin = value
        away = value - origin
        total = total + away
        squares = squares + away * away
        count += 1
        pixel += slices
    n, share = splat(float32(count)), splat(float32(1) / float32(max(count, 1)))
    own_mean = origin + total * share
    mean = sum_slices(table, n * own_mean, wide) * splat(float32(1) / float32(last - first))
    away = own_mean - mean
    cuda.syncthreads()  # the table is written again
    squares = sum_slices(table, squares - total * (total * share) + n * (away * away), wide)
    if slice_of_thread == 0 and at < depth:
        to = into + 4 * (block() * into_sample + part() * 2 * depth + at)
        store_quad(to, mean)
        store_quad(to + 4 * depth, squares)


@kernel(_THREADS)
def combine_moments(parts: Address, moments: Address, depth, pixels, n_parts, moments_sample):
    """Combine the moments of a sample's parts; a thread has a quad of channels.

    Source: T. Chan, G. Golub and R. LeVeque, "Updating Formulae and a Pairwise Algorithm for Computing Sample
    Variances" (1979), equation 2.1, for all parts at once.

    Parameters
    ----------
    parts : int64
        Moments, (samples, n_parts, 2, depth) float32. The last part may have fewer pixels than the others.
    moments : int64
        Those of all pixels, (samples, 2, depth) float32, overwritten.
    """
    at = 4 * (_THREADS * chunk() + thread())
    if at < depth:
        own = parts + 4 * (block() * n_parts * 2 * depth + at)
        last = float32(pixels - _SPAN * (n_parts - 1))
        first, total = load_quad(own), splat(float32(0))
        for p in range(n_parts):  # means are added as differences, which are small
            count = splat(last if p == n_parts - 1 else float32(_SPAN))
            total = total + count * (load_quad(own + 8 * p * depth) - first)
        mean = first + total * splat(float32(1) / float32(pixels))
        squares = splat(float32(0))
        for p in range(n_parts):
            count = splat(last if p == n_parts - 1 else float32(_SPAN))
            away = load_quad(own + 8 * p * depth) - mean
            squares = squares + (load_quad(own + 8 * p * depth + 4 * depth) + count * (away * away))
        to = moments + 4 * (block() * moments_sample + at)
        store_quad(to, mean)
        store_quad(to + 4 * depth, squares)


@kernel(_THREADS, blocks=4)  # 64 registers a thread, for enough threads to hide the wait for memory
def normalise_sums(
    dy: Address,
    x: Address,
    coefficients: Address,
    into: Address,
    rows,
    columns,
    depth,
    dy_row,
    x_row,
    dy_sample,
    x_sample,
    coefficients_sample,
    into_sample,
    relu,
    wide,
):
    """Sum dy and dy (x - MEAN) INVERSE over a part of the pixels, channel by channel, after the derivative of ReLU.

    Parameters
    ----------
    dy : int64
        Gradient of the output, (samples, rows, columns, depth) float32; with ``relu``, zero is written where the
        output was zero.
    x : int64
        The input, from which the output is computed again with the same bits.
    coefficients : int64
        Rows of `NormRow`, float32, read; ``coefficients_sample`` is 0 where all samples share them.
    into : int64
        The two sums, (samples, parts, 2, depth) float32, overwritten.
    into_sample, wide : int32
        As for `channel_moments`.
    """
    table = cuda.shared.array(_QUADS, float32)
    first, last = _SPAN * part(), min(rows * columns, _SPAN * (part() + 1))
    at = 4 * (wide * block_y() + left(thread(), wide))
    slices, slice_of_thread = over(_THREADS, wide), over(thread(), wide)
    end = last if at < depth else first  # there may be more quads than channels
    own = coefficients + 4 * (block() * coefficients_sample + (at if at < depth else 0))
    factor, offset = load_quad(own + 4 * _FACTOR * depth), load_quad(own + 4 * _OFFSET * depth)
    mean, inverse = load_quad(own + 4 * _MEAN * depth), load_quad(own + 4 * _INVERSE * depth)
    zero = splat(float32(0))
    total, moment = zero, zero
    pixel = first + slice_of_thread
    while pixel < end:
        row = over(pixel, columns)
        along = (pixel - row * columns) * depth + at
        value = load_quad(x + 4 * (block() * x_sample + row * x_row + along))
        at_dy = dy + 4 * (block() * dy_sample + row * dy_row + along)
        gradient = load_quad(at_dy)
        if relu != 0:
            gradient = where_greater(factor * value + offset, zero, gradient, zero)
            store_quad(at_dy, gradient)
        total = total + gradient
        moment = moment + gradient * (value - mean)
        pixel += slices
    total = sum_slices(table, total, wide)
    cuda.syncthreads()  # the table is written again
    moment = sum_slices(table, moment, wide) * inverse
    if slice_of_thread == 0 and at < depth:
        to = into + 4 * (block() * into_sample + part() * 2 * depth + at)
        store_quad(to, total)
        store_quad(to + 4 * depth, moment)


@kernel(_THREADS)
def add_parts(parts: Address, sums: Address, depth, n_parts, sums_sample):
    """Add the sums of a sample's parts in their order; a thread has a quad of channels.

    Parameters
    ----------
    parts : int64
        Sums, (samples, n_parts, 2, depth) float32.
    sums : int64
        Those of all parts, (samples, 2, depth) float32, overwritten.
    """
    at = 4 * (_THREADS * chunk() + thread())
    if at < 2 * depth:
        own = parts + 4 * (block() * n_parts * 2 * depth + at)
        total = splat(float32(0))
        for p in range(n_parts):
            total = total + load_quad(own + 8 * p * depth)
        store_quad(sums + 4 * (block() * sums_sample + at), total)


# -- The coefficients applied ------------------------------------------------------------------------------------------


@kernel(_THREADS)
def normalise(
    x: Address,
    coefficients: Address,
    y: Address,
    rows,
    columns,
    depth,
    x_row,
    y_row,
    x_sample,
    coefficients_sample,
    y_sample,
    relu,
):
    """Y = FACTOR x + OFFSET, or max(y, 0) with ``relu``; `y` is overwritten. A thread has a quad of a pixel."""
    at, line = 4 * (_THREADS * chunk() + thread()), columns * depth
    if at < rows * line:
        row = over(at, line)
        along = at - row * line
        own = coefficients + 4 * (block() * coefficients_sample + left(along, depth))
        value = load_quad(x + 4 * (block() * x_sample + row * x_row + along))
        value = load_quad(own + 4 * _FACTOR * depth) * value + load_quad(own + 4 * _OFFSET * depth)
        if relu != 0:
            zero = splat(float32(0))
            value = where_greater(zero, value, zero, value)
        store_quad(y + 4 * (block() * y_sample + row * y_row + along), value)


@kernel(_THREADS)
def normalise_backward(
    dy: Address,
    x: Address,
    coefficients: Address,
    dx: Address,
    rows,
    columns,
    depth,
    dy_row,
    x_row,
    dx_row,
    dy_sample,
    x_sample,
    coefficients_sample,
    dx_sample,
):
    """Dx = FACTOR dy + CONSTANT + SLOPE (x - MEAN); `dx` is overwritten. A thread has a quad of a pixel."""
    at, line = 4 * (_THREADS * chunk() + thread()), columns * depth
    if at < rows * line:
        row = over(at, line)
        along = at - row * line
        own = coefficients + 4 * (block() * coefficients_sample + left(along, depth))
        away = load_quad(x + 4 * (block() * x_sample + row * x_row + along)) - load_quad(own + 4 * _MEAN * depth)
        rest = load_quad(own + 4 * _CONSTANT * depth) + load_quad(own + 4 * _SLOPE * depth) * away
        gradient = load_quad(dy + 4 * (block() * dy_sample + row * dy_row + along))
        to = dx + 4 * (block() * dx_sample + row * dx_row + along)
        store_quad(to, load_quad(own + 4 * _FACTOR * depth) * gradient + rest)


# -- Coefficients from sums --------------------------------------------------------------------------------------------
#
# A thread block that sums over samples has 2 channels and 128 slices of the samples; one that sums over the depth has a
# sample, and 256 slices of its channels.


@inlined
def _sum_doubles(table, value, wide):
    """Sum a float64 of each thread in a tree; thread t gets the sum over the threads t % wide, + wide, + 2 wide, ...

    `table` is shared memory of 256 float64. `wide` is a power of two. Between two sums in one table the caller needs a
    barrier.
    """
    at = thread()
    table[at] = value
    half = _THREADS // 2
    while half >= wide:
        cuda.syncthreads()
        if at < half:
            table[at] += table[at + half]
        half >>= 1
    cuda.syncthreads()
    return table[left(at, wide)]


@inlined
def _over_samples(table, address, stride, samples):
    """Sum the float32 at an address over the samples, each `stride` elements further on."""
    total = float64(0)
    s = over(thread(), _GROUP)
    while s < samples:
        total += float64(load(address + 4 * s * stride))
        s += _SLICES
    return _sum_doubles(table, total, _GROUP)


@inlined
def _store_coefficients(to, depth, scale, shift, mean, variance, eps):
    """Store one channel's FACTOR, OFFSET, MEAN and INVERSE; `to` is the address of its first row."""
    inverse = 1.0 / math.sqrt(variance + eps)
    store(to + 4 * _FACTOR * depth, float32(scale * inverse))
    store(to + 4 * _OFFSET * depth, float32(shift - mean * scale * inverse))
    store(to + 4 * _MEAN * depth, float32(mean))
    store(to + 4 * _INVERSE * depth, float32(inverse))


@kernel(_THREADS)
def batch_statistics(
    moments: Address,
    scales: Address,
    running: Address,
    coefficients: Address,
    depth,
    pixels,
    momentum: Double,
    eps: Double,
    moments_sample,
    samples,
):
    """Compute a batch's coefficients from the moments of its samples, and update the running statistics.

    Parameters
    ----------
    moments : int64
        `channel_moments` of the samples, (samples, 2, depth) float32.
    scales : int64
        Scales and shifts, (2, depth) float32.
    running : int64
        Running means and unbiased variances, (2, depth) float32, overwritten; left alone by a single number, which has
        no variance.
    coefficients : int64
        Rows of `NormRow`, of which the first four are overwritten.
    pixels : int32
        Of a sample.
    momentum, eps : float64
        The batch's share in the running statistics; what is added to a variance.
    """
    table = cuda.shared.array(_THREADS, float64)
    c = _GROUP * block() + left(thread(), _GROUP)
    mean = _over_samples(table, moments + 4 * c, moments_sample, samples) / samples
    squares = float64(0)
    s = over(thread(), _GROUP)
    while s < samples:
        own = moments + 4 * (s * moments_sample + c)
        away = float64(load(own)) - mean
        squares += float64(load(own + 4 * depth)) + pixels * away * away
        s += _SLICES
    cuda.syncthreads()  # the table is written again
    squares = _sum_doubles(table, squares, _GROUP)
    if thread() < _GROUP:
        count, mean_at, variance_at = samples * pixels, running + 4 * c, running + 4 * (depth + c)
        scale, shift = float64(load(scales + 4 * c)), float64(load(scales + 4 * (depth + c)))
        _store_coefficients(coefficients + 4 * c, depth, scale, shift, mean, squares / count, eps)
        if count > 1:
            keep = 1.0 - momentum
            store(mean_at, float32(keep * load(mean_at) + momentum * mean))
            store(variance_at, float32(keep * load(variance_at) + momentum * squares / (count - 1)))


@kernel(_THREADS)
def running_statistics(scales: Address, running: Address, coefficients: Address, depth, eps: Double):
    """Compute the first six rows of coefficients from the running statistics; see `batch_statistics`.

    As the statistics do not depend on x, its gradient is FACTOR dy: CONSTANT and SLOPE are 0.
    """
    c = _THREADS * block() + thread()
    if c < depth:
        scale, shift = float64(load(scales + 4 * c)), float64(load(scales + 4 * (depth + c)))
        mean, variance = float64(load(running + 4 * c)), float64(load(running + 4 * (depth + c)))
        own = coefficients + 4 * c
        _store_coefficients(own, depth, scale, shift, mean, variance, eps)
        store(own + 4 * _CONSTANT * depth, float32(0))
        store(own + 4 * _SLOPE * depth, float32(0))


@kernel(_THREADS)
def batch_gradients(sums: Address, coefficients: Address, depth, pixels, sums_sample, samples):
    """Compute the gradients of scale and shift, and the coefficients of the input's gradient.

    Parameters
    ----------
    sums : int64
        `normalise_sums` of the samples, (samples, 2, depth) float32.
    coefficients : int64
        Rows of `NormRow`, of which the last four are overwritten.
    pixels : int32
        Of a sample.
    """
    table = cuda.shared.array(_THREADS, float64)
    c = _GROUP * block() + left(thread(), _GROUP)
    total = _over_samples(table, sums + 4 * c, sums_sample, samples)
    cuda.syncthreads()  # the table is written again
    moment = _over_samples(table, sums + 4 * (depth + c), sums_sample, samples)
    if thread() < _GROUP:
        own, count = coefficients + 4 * c, samples * pixels
        factor, inverse = load(own + 4 * _FACTOR * depth), load(own + 4 * _INVERSE * depth)
        store(own + 4 * _SCALE_GRADIENT * depth, float32(moment))
        store(own + 4 * _SHIFT_GRADIENT * depth, float32(total))
        store(own + 4 * _CONSTANT * depth, float32(-factor * total / count))
        store(own + 4 * _SLOPE * depth, float32(-factor * inverse * moment / count))


@kernel(_THREADS)
def layer_statistics(
    moments: Address,
    scales: Address,
    coefficients: Address,
    depth,
    channels,
    pixels,
    eps: Double,
    moments_sample,
    coefficients_sample,
):
    """Compute each sample's coefficients, with mean and variance over its whole volume; a thread block has a sample.

    Parameters
    ----------
    moments : int64
        `channel_moments`, (samples, 2, depth) float32.
    scales : int64
        Scales and shifts, (2, depth) float32.
    coefficients : int64
        Rows of `NormRow` for each sample, all overwritten; the depth beyond ``channels`` becomes zero.
    channels, pixels : int32
        The channels that count; the pixels of a sample.
    eps : float64
        Added to the variance.
    """
    table = cuda.shared.array(_THREADS, float64)
    own, to = moments + 4 * block() * moments_sample, coefficients + 4 * block() * coefficients_sample
    total = float64(0)
    c = thread()
    while c < channels:
        total += float64(load(own + 4 * c))
        c += _THREADS
    mean = _sum_doubles(table, total, 1) / channels
    squares = float64(0)
    c = thread()
    while c < channels:
        away = float64(load(own + 4 * c)) - mean
        squares += float64(load(own + 4 * (depth + c))) + pixels * away * away
        c += _THREADS
    cuda.syncthreads()  # the table is written again
    variance = _sum_doubles(table, squares, 1) / (float64(channels) * pixels)
    c = thread()
    while c < depth:
        for row in range(_ROWS):
            store(to + 4 * (row * depth + c), float32(0))
        if c < channels:
            scale, shift = float64(load(scales + 4 * c)), float64(load(scales + 4 * (depth + c)))
            _store_coefficients(to + 4 * c, depth, scale, shift, mean, variance, eps)
        c += _THREADS


@kernel(_THREADS)
def layer_gradients(
    sums: Address, scales: Address, coefficients: Address, depth, channels, pixels, sums_sample, coefficients_sample
):
    """Compute CONSTANT and SLOPE of each sample's coefficients; a thread block has a sample.

    Parameters
    ----------
    sums : int64
        `normalise_sums`, (samples, 2, depth) float32.
    scales : int64
        Scales, (depth,) float32.
    coefficients : int64
        Rows of `NormRow` for each sample, of which two are overwritten, up to ``channels``.
    channels, pixels : int32
        As for `layer_statistics`.
    """
    table = cuda.shared.array(_THREADS, float64)
    own, to = sums + 4 * block() * sums_sample, coefficients + 4 * block() * coefficients_sample
    total, moment = float64(0), float64(0)
    c = thread()
    while c < channels:
        scale = float64(load(scales + 4 * c))
        total += scale * load(own + 4 * c)
        moment += scale * load(own + 4 * (depth + c))
        c += _THREADS
    total = _sum_doubles(table, total, 1)
    cuda.syncthreads()  # the table is written again
    moment = _sum_doubles(table, moment, 1)
    count = float64(channels) * pixels
    c = thread()
    while c < channels:
        inverse = load(to + 4 * (_INVERSE * depth + c))
        store(to + 4 * (_CONSTANT * depth + c), float32(-inverse * total / count))
        store(to + 4 * (_SLOPE * depth + c), float32(-inverse * inverse * moment / count))
        c += _THREADS


@kernel(_THREADS)
def layer_scale_gradients(sums: Address, dscales: Address, depth, channels, sums_sample, samples):
    """Compute the gradients of scale and shift, (2, depth) float32, from the sums of all samples.

    `dscales` is overwritten; beyond ``channels`` it becomes zero.
    """
    table = cuda.shared.array(_THREADS, float64)
    c = _GROUP * block() + left(thread(), _GROUP)
    total = _over_samples(table, sums + 4 * c, sums_sample, samples)
    cuda.syncthreads()  # the table is written again
    moment = _over_samples(table, sums + 4 * (depth + c), sums_sample, samples)
    if thread() < _GROUP:
        store(dscales + 4 * c, float32(moment) if c < channels else float32(0))
        store(dscales + 4 * (depth + c), float32(total) if c < channels else float32(0))


# -- Local response normalisation --------------------------------------------------------------------------------------
#
# The pixels of a sample, and their channels, are numbered in one run. A thread has a quad of it, which lies within a
# pixel. Sums over neighbouring slices go in the order of the slices, as on the CPU.


@inlined
def _square_at(x, c, depth):
    """Return the square of slice `c` of the pixel at `x`, zero outside the depth."""
    inside = c >= 0 and c < depth
    value = load(x + 4 * (c if inside else 0))
    return value * value if inside else float32(0)


@inlined
def _base(x, c, depth, size, before, alpha, k):
    """Return k + alpha * the sum of squares of ``size`` slices from `before` places before it, for slices c to c+3."""
    first = c - before
    s0, s1, s2 = _square_at(x, first, depth), _square_at(x, first + 1, depth), _square_at(x, first + 2, depth)
    total = splat(float32(0))
    for j in range(size):
        s3 = _square_at(x, first + j + 3, depth)
        total = total + quad(s0, s1, s2, s3)
        s0, s1, s2 = s1, s2, s3
    return splat(k) + splat(alpha) * total


@inlined
def _powers(x, exponent):
    """Return x ** exponent of a quad x > 0, within 1e-7 times 2 + |exponent log(x)| of its value."""
    return exponential(splat(exponent) * logarithm(x))


@kernel(_THREADS)
def lrn(
    x: Address,
    y: Address,
    rows,
    columns,
    depth,
    x_row,
    y_row,
    x_sample,
    y_sample,
    size,
    alpha: Real,
    beta: Real,
    k: Real,
):
    """y[c] = x[c] / (k + alpha * sum of x[j]**2 over ``size`` slices j from c - size//2 on) ** beta, pixel by pixel.

    Slices outside the depth count as zero. `y` is overwritten.
    """
    at, line = 4 * (_THREADS * chunk() + thread()), columns * depth
    if at < rows * line:
        row = over(at, line)
        along = at - row * line
        c = left(along, depth)
        from_x = x + 4 * (block() * x_sample + row * x_row + along)
        base = _base(from_x - 4 * c, c, depth, size, size >> 1, alpha, k)
        store_quad(y + 4 * (block() * y_sample + row * y_row + along), load_quad(from_x) * _powers(base, -beta))


@inlined
def _pull_at(table, place, first, last):
    """Return a number of the table, zero outside the places from `first` to before `last`."""
    inside = place >= first and place < last
    value = table[place if inside else first]
    return value if inside else float32(0)


def _lrn_backward(name, room):
    """Make the kernel of LRN_BACKWARD whose thread blocks hold `room` numbers of pixels in shared memory."""

    @kernel(_THREADS, name=name)
    def lrn_backward(
        x: Address,
        dy: Address,
        dx: Address,
        rows,
        columns,
        depth,
        x_row,
        dy_row,
        dx_row,
        x_sample,
        dy_sample,
        dx_sample,
        size,
        alpha: Real,
        beta: Real,
        k: Real,
        strength: Real,
    ):
        """dx[c] = dy[c] s[c]**-beta - 2 alpha beta x[c] * sum of dy[j] x[j] s[j]**(-beta - 1).

        The sum is over all j whose window contains c. s are the sums of `lrn`, with k and alpha. `dx` is overwritten.
        A thread block computes the terms of its own quads and of those around them, then their sums. ``strength`` is
        -2 alpha beta.
        """
        table = cuda.shared.array(room, float32)
        line, before = columns * depth, size >> 1
        after = size - 1 - before  # slice c is in the windows of c - after ... c + before
        first, last = _QUADS * chunk(), min(rows * line, _QUADS * (chunk() + 1))
        # Quads that hold a slice which the block's sums contain, in the pixels of the block.
        begin = max(first - left(first, depth), first - ((after + 3) >> 2) * 4)
        end = min(last + (depth - 1 - left(last - 1, depth)), last + ((before + 3) >> 2) * 4)
        at = begin + 4 * thread()
        while at < end:
            row = over(at, line)
            along = at - row * line
            c = left(along, depth)
            from_x = x + 4 * (block() * x_sample + row * x_row + along)
            base = _base(from_x - 4 * c, c, depth, size, before, alpha, k)
            gradient = load_quad(dy + 4 * (block() * dy_sample + row * dy_row + along))
            direct = gradient * _powers(base, -beta)
            pull = direct * load_quad(from_x) / base
            if at >= first and at < last:
                store_quad(dx + 4 * (block() * dx_sample + row * dx_row + along), direct)
            place = at - begin
            table[place], table[place + 1] = number(pull, 0), number(pull, 1)
            table[place + 2], table[place + 3] = number(pull, 2), number(pull, 3)
            at += _QUADS
        cuda.syncthreads()
        at = first + 4 * thread()
        if at < last:
            row = over(at, line)
            along = at - row * line
            pixel = at - left(along, depth) - begin  # the place of its slice 0, perhaps before the table
            low, high = max(pixel, 0), min(pixel + depth, end - begin)
            place = at - begin - after
            p0, p1 = _pull_at(table, place, low, high), _pull_at(table, place + 1, low, high)
            p2 = _pull_at(table, place + 2, low, high)
            total = splat(float32(0))
            for j in range(size):
                p3 = _pull_at(table, place + j + 3, low, high)
                total = total + quad(p0, p1, p2, p3)
                p0, p1, p2 = p1, p2, p3
            to = dx + 4 * (block() * dx_sample + row * dx_row + along)
            value = load_quad(x + 4 * (block() * x_sample + row * x_row + along))
            store_quad(to, load_quad(to) + splat(strength) * value * total)

    return lrn_backward


_ROOM, _WIDE_ROOM = 2048, 12288  # float32; the second is all of a thread block's static shared memory
lrn_backward = _lrn_backward("lrn_backward", _ROOM)
lrn_backward_wide = _lrn_backward("lrn_backward_wide", _WIDE_ROOM)


# -- Lowering ----------------------------------------------------------------------------------------------------------


def _pixel_sums(call, kernel, combine, into):
    """Yield the launches that sum over the pixels: in one part straight to the operand `into`, or by way of scratch."""
    pixels, quads = call["rows"] * call["columns"], call["depth"] // 4
    wide = 1
    # Few quads at first, for many slices; more where there are not as many pixels as slices.
    while wide < min(quads, _THREADS) and (wide < 8 or _THREADS // wide > pixels):
        wide *= 2
    parts, grid = chunks(pixels, _SPAN), (call["samples"], chunks(quads, wide))
    if parts == 1:
        yield call.launch(kernel, grid, into=call[into], into_sample=call[f"{into}_sample"], wide=wide)
        return
    size = parts * 2 * call["depth"]
    scratch = call.scratch(call["samples"] * size)
    yield call.launch(kernel, (*grid, parts), into=scratch, into_sample=size, wide=wide)
    grid = call["samples"], chunks(2 * quads, _THREADS)
    yield call.launch(combine, grid, parts=scratch, n_parts=parts, pixels=pixels)


def lower_channel_moments(call):
    """Yield the launches of CHANNEL_MOMENTS."""
    yield from _pixel_sums(call, channel_moments, combine_moments, "moments")


def lower_normalise_sums(call):
    """Yield the launches of NORMALISE_SUMS."""
    yield from _pixel_sums(call, normalise_sums, add_parts, "sums")


def lower_normalise(call):
    """Yield the launch of NORMALISE."""
    yield call.launch(normalise, call.over_quads(normalise))


def lower_normalise_backward(call):
    """Yield the launch of NORMALISE_BACKWARD."""
    yield call.launch(normalise_backward, call.over_quads(normalise_backward))


def lower_batch_statistics(call):
    """Yield the launch of BATCH_STATISTICS."""
    yield call.launch(batch_statistics, (call["depth"] // _GROUP,))


def lower_running_statistics(call):
    """Yield the launch of RUNNING_STATISTICS."""
    yield call.launch(running_statistics, (chunks(call["depth"], _THREADS),))


def lower_batch_gradients(call):
    """Yield the launch of BATCH_GRADIENTS."""
    yield call.launch(batch_gradients, (call["depth"] // _GROUP,))


def lower_layer_statistics(call):
    """Yield the launch of LAYER_STATISTICS."""
    yield call.launch(layer_statistics, (call["samples"],))


def lower_layer_gradients(call):
    """Yield the launches of LAYER_GRADIENTS: each sample's coefficients, then the sums of all samples."""
    yield call.launch(layer_gradients, (call["samples"],))
    yield call.launch(layer_scale_gradients, (call["depth"] // _GROUP,))


def lower_lrn(call):
    """Yield the launch of LRN."""
    yield call.launch(lrn, call.over_quads(lrn))


def lower_lrn_backward(call):
    """Yield the launch of LRN_BACKWARD."""
    # A thread block holds its quads and those around them: of windows, but not beyond its first and last pixel.
    room = _QUADS + min(call["size"] + 6, 2 * call["depth"])
    if room > _WIDE_ROOM:
        most = _WIDE_ROOM - _QUADS - 6
        raise ValueError(
            f"NORM(lrn) with size={call['size']} of a volume {call['depth']} deep needs more shared memory than a "
            f'thread block has; use a size of at most {most}, or device="cpu".'
        )
    kernel = lrn_backward if room <= _ROOM else lrn_backward_wide
    yield call.launch(kernel, call.over_quads(kernel), strength=-2 * call["alpha"] * call["beta"])
