"""Images: their pixels standardised into the network's input, as they are or augmented.

Kernels work on one image. Addresses are int64 in bytes, and strides are in float32 elements.
"""

import numpy as np

from skconvnet.engine.cpu.compile import kernel
from skconvnet.engine.cpu.kernels.activations import mix
from skconvnet.engine.cpu.llvm.pointers import array_at
from skconvnet.engine.cpu.llvm.simd import LANES, load, load_bytes, peek, peek_byte, poke, store
from skconvnet.engine.cpu.task import Task, number_columns
from skconvnet.engine.program.instructions import ONE, Op, Warp

__all__ = ["load_images"]

_LOAD = number_columns(Op.LOAD_IMAGES)
_N_WARP = len(Warp)
_ONE = np.float32(ONE)
_TWICE = np.float32(2 * ONE)
_PLACES = (2 * ONE).bit_length() - 1
_16_BITS = np.uint64(2**16 - 1)
# The sum of four whole numbers that are uniform over 16 bits has four times the variance of one, (2^32 - 1) / 12.
_NOISE = np.float32(1 / (ONE * ((2**32 - 1) / 3) ** 0.5))


@kernel
def load_images(code, y, task, place):
    """Standardise one image into `y`, channel by channel: (pixel - mean) * scale.

    Parameters
    ----------
    code : ndarray of int64
        The instruction: the image's rows, columns and depth, and the distances between two rows and two pixels of `y`.
    y : int64
        Address of the image's pixel (0, 0) in the network's input, written.
    task : ndarray of int64
        Its images, statistics and warps are read.
    place : int64
        The image's place in the batch.
    """
    if task[Task.N_WARPS] == 0:
        _load_image(code, _pixels_of(code, task, place), y, task)
        return
    n_warps = task[Task.N_WARPS]
    warps = array_at(task[Task.WARPS], (n_warps, _N_WARP), np.int64)
    share = warps[place, Warp.SHARE]
    if not _is_resampled(warps[place]):
        _load_warped_image(code, _pixels_of(code, task, place), y, task, warps[place])
        return
    _resample_image(code, _pixels_of(code, task, place), y, task, warps[place], np.float32(ONE - share) / _ONE, False)
    if share != 0:
        partner = min(max(place + warps[place, Warp.PARTNER], 0), n_warps - 1)
        pixels = _pixels_of(code, task, partner)
        _resample_image(code, pixels, y, task, warps[partner], np.float32(share) / _ONE, True)


@kernel
def _pixels_of(code, task, place):
    """Return the address of the pixels of the image at a place in the batch."""
    n_bytes = 1 if task[Task.BYTES] != 0 else 4
    image = array_at(task[Task.ROWS], (place + 1,), np.int64)[place]
    return task[Task.PIXELS] + image * code[_LOAD.rows] * code[_LOAD.columns] * code[_LOAD.depth] * n_bytes


@kernel
def _is_resampled(warp):
    """Return whether more is done to an image than to mirror, shift and cover it."""
    for column in range(Warp.COSINE, _N_WARP):
        if warp[column] != 0 and column != Warp.NOISE_KEY and column != Warp.PARTNER:
            return True
    return False


@kernel
def _load_image(code, pixels, y, task):
    """Standardise the image at address `pixels`."""
    rows, columns, depth = code[_LOAD.rows], code[_LOAD.columns], code[_LOAD.depth]
    y_row, y_depth = code[_LOAD.y_row], code[_LOAD.y_depth]
    for row in range(rows):
        first, to = row * columns * depth, y + 4 * row * y_row
        if y_depth == depth:
            _load_run(pixels, first, to, task, columns * depth, depth)
        else:
            for column in range(columns):
                _load_pixel(pixels, first + column * depth, to + 4 * column * y_depth, task, depth)


@kernel
def _load_run(pixels, first, to, task, count, depth):
    """Standardise `count` numbers from number `first` of the image on, pixel after pixel.

    Eight pixels are `depth` vectors, so the statistics repeat after `depth` vectors.
    """
    are_bytes, mean, scale = task[Task.BYTES] != 0, task[Task.MEAN], task[Task.SCALE]
    whole, vector = count - count % LANES, 0
    for at in range(0, whole, LANES):
        value = load_bytes(pixels + first + at) if are_bytes else load(pixels + 4 * (first + at))
        store(to + 4 * at, (value - load(mean + 4 * LANES * vector)) * load(scale + 4 * LANES * vector))
        vector = vector + 1 if vector + 1 < depth else 0
    for at in range(whole, count):
        value, channel = _number(pixels, first + at, are_bytes), 4 * (at % depth)
        poke(to + 4 * at, (value - peek(mean + channel)) * peek(scale + channel))


@kernel
def _load_pixel(pixels, first, to, task, depth):
    """Standardise the channels of one pixel, which begin with number `first` of the image."""
    are_bytes, mean, scale = task[Task.BYTES] != 0, task[Task.MEAN], task[Task.SCALE]
    for channel in range(depth):
        value = _number(pixels, first + channel, are_bytes)
        poke(to + 4 * channel, (value - peek(mean + 4 * channel)) * peek(scale + 4 * channel))


@kernel
def _number(pixels, at, are_bytes):
    return peek_byte(pixels + at) if are_bytes else peek(pixels + 4 * at)


@kernel
def _load_warped_image(code, pixels, y, task, warp):
    """Standardise one image mirrored, shifted, and with a rectangle cut out.

    The image is mirrored first. Then pixel (r, c) of `y` shows its pixel (r + DOWN, c + RIGHT). Pixels outside the
    image or inside the rectangle are 0, the mean of the training pixels. `warp`, (columns of Warp,), may hold any
    numbers: a shift may move the whole image out, and the rectangle is clipped to `y`.
    """
    rows, columns, depth = code[_LOAD.rows], code[_LOAD.columns], code[_LOAD.depth]
    y_row, y_depth = code[_LOAD.y_row], code[_LOAD.y_depth]
    flip, down, right = warp[Warp.FLIP], warp[Warp.DOWN], warp[Warp.RIGHT]
    first, last = _clip(-right, columns - right, columns)  # the columns of y that show the image
    for row in range(rows):
        to = y + 4 * row * y_row
        if row + down < 0 or row + down >= rows:
            _blank(to, 0, columns, depth, y_depth)
            continue
        _blank(to, 0, first, depth, y_depth)
        line = (row + down) * columns * depth
        start, step = (columns - 1 - first - right, -1) if flip != 0 else (first + right, 1)
        for column in range(last - first):
            number = line + (start + step * column) * depth
            _load_pixel(pixels, number, to + 4 * (first + column) * y_depth, task, depth)
        _blank(to, last, columns, depth, y_depth)
    top, bottom = _clip(warp[Warp.CUT_TOP], warp[Warp.CUT_BOTTOM], rows)
    left, end = _clip(warp[Warp.CUT_LEFT], warp[Warp.CUT_RIGHT], columns)
    for row in range(top, bottom):
        _blank(y + 4 * row * y_row, left, end, depth, y_depth)


@kernel
def _clip(first, last, size):
    """Return the part of a range that is inside 0 ... size, as another range."""
    first = min(max(first, 0), size)
    return first, max(min(last, size), first)


@kernel
def _blank(to, first, last, depth, y_depth):
    """Write zeros into the columns from `first` to `last` (exclusive) of the row at `to`."""
    for column in range(first, last):
        for channel in range(depth):
            poke(to + 4 * (column * y_depth + channel), np.float32(0))


@kernel
def _resample_image(code, pixels, y, task, warp, weight, adds):
    """Standardise one image with all changes of its row `warp` but the mixing, times `weight`.

    Between pixels the image is interpolated, bilinearly; outside it, numbers are 0, the mean of the training pixels.
    With `adds`, the result is added to `y`, else it overwrites `y`.
    """
    rows, columns, depth = code[_LOAD.rows], code[_LOAD.columns], code[_LOAD.depth]
    y_row, y_depth = code[_LOAD.y_row], code[_LOAD.y_depth]
    are_bytes, mean, scale = task[Task.BYTES] != 0, task[Task.MEAN], task[Task.SCALE]
    contrast = np.float32(warp[Warp.CONTRAST]) / _ONE + np.float32(1)
    brightness, noise = np.float32(warp[Warp.BRIGHTNESS]) / _ONE, np.float32(warp[Warp.NOISE]) * _NOISE
    key, flip = np.uint64(warp[Warp.NOISE_KEY]), warp[Warp.FLIP] != 0
    cosine, sine = warp[Warp.COSINE], warp[Warp.SINE]
    is_between = cosine != 0 or sine != 0
    first_row, first_column = warp[Warp.DOWN] * (2 * ONE), warp[Warp.RIGHT] * (2 * ONE)
    top, bottom = _clip(warp[Warp.CUT_TOP], warp[Warp.CUT_BOTTOM], rows)
    left, end = _clip(warp[Warp.CUT_LEFT], warp[Warp.CUT_RIGHT], columns)
    for row in range(rows):
        from_centre = 2 * row - rows + 1  # twice the distance, so that it is whole
        for column in range(columns):
            to = y + 4 * (row * y_row + column * y_depth)
            if top <= row < bottom and left <= column < end:
                if not adds:
                    _blank(to, 0, 1, depth, y_depth)
                continue
            across = 2 * column - columns + 1
            # Places are in parts of 2 ONE.
            from_row = first_row + 2 * ONE * row + cosine * from_centre - sine * across
            from_column = first_column + 2 * ONE * column + cosine * across + sine * from_centre
            upper, lower, above, below = _neighbours(from_row, rows)
            before, behind, left_part, right_part = _neighbours(from_column, columns)
            if flip:
                before, behind = columns - 1 - before, columns - 1 - behind
            a, b = (upper * columns + before) * depth, (upper * columns + behind) * depth
            c, d = (lower * columns + before) * depth, (lower * columns + behind) * depth
            of_a, of_b, of_c, of_d = above * left_part, above * right_part, below * left_part, below * right_part
            light = brightness * (of_a + of_b + of_c + of_d)
            place = np.uint64((row * columns + column) * depth)
            for channel in range(depth):
                mu = peek(mean + 4 * channel)
                total = of_a * (_number(pixels, a + channel, are_bytes) - mu)
                if is_between:
                    total += of_b * (_number(pixels, b + channel, are_bytes) - mu)
                    total += of_c * (_number(pixels, c + channel, are_bytes) - mu)
                    total += of_d * (_number(pixels, d + channel, are_bytes) - mu)
                total = total * peek(scale + 4 * channel) * contrast + light
                if noise != 0:
                    total += noise * _normal(mix(key, place + np.uint64(channel)))
                at = to + 4 * channel
                poke(at, peek(at) + weight * total if adds else weight * total)


@kernel
def _neighbours(place, size):
    """Return the two pixels that a place is between, and the part of each: 0 outside the image, where both are inside.

    The place is in parts of 2 ONE.
    """
    first = place >> _PLACES
    second = first + 1
    part = np.float32(place - (first << _PLACES)) / _TWICE
    of_first = np.float32(1) - part if 0 <= first < size else np.float32(0)
    of_second = part if 0 <= second < size else np.float32(0)
    return min(max(first, 0), size - 1), min(max(second, 0), size - 1), of_first, of_second


@kernel
def _normal(bits):
    """Return the sum of the four 16 bits of a random uint64, less its mean: nearly normal, and exact in float32."""
    total = (bits & _16_BITS) + ((bits >> np.uint64(16)) & _16_BITS)
    total += ((bits >> np.uint64(32)) & _16_BITS) + (bits >> np.uint64(48))
    return np.float32(np.int64(total) - 2 * (2**16 - 1))
