"""Kernels that load an image: standardise its pixels into the network's input, as they are or warped.

Addresses are int64 bytes, of `y` that of pixel (0, 0); ``y_row`` and ``y_depth`` are in float32 elements. Every kernel
works on one image.
"""

import numpy as np

from skconvnet.engine.cpu.compile import kernel
from skconvnet.engine.cpu.llvm.simd import LANES, load, load_bytes, peek, peek_byte, poke, store
from skconvnet.engine.program.instructions import Warp

__all__ = ["load_image", "load_warped_image"]


@kernel
def load_image(pixels, are_bytes, y, mean, scale, rows, columns, depth, y_row, y_depth):
    """Standardise one image into its place: (pixel - mean) * scale, channel by channel.

    Parameters
    ----------
    pixels : int64
        Address of the image, in (row, column, channel) order.
    are_bytes : bool
        Whether its pixels are uint8 instead of float32.
    y : int64
        Address of the image's place, written.
    mean, scale : int64
        Addresses of the statistics of the training pixels, float32, the channels of 8 pixels.
    rows, columns, depth, y_row, y_depth : int64
        The volume, and the distances between two rows and two columns in `y`.
    """
    for row in range(rows):
        line, to = row * columns * depth, y + 4 * row * y_row
        if y_depth == depth:
            _load_run(pixels, line, are_bytes, to, mean, scale, columns * depth, depth)
        else:
            for column in range(columns):
                _load_pixel(pixels, line + column * depth, are_bytes, to + 4 * column * y_depth, mean, scale, depth)


@kernel
def _load_run(pixels, first, are_bytes, to, mean, scale, count, depth):
    """Standardise `count` numbers from the `first` on, the channels of one pixel after those of another.

    Eight pixels are as many vectors as they have channels, whose statistics repeat with the next eight.
    """
    whole, vector = count - count % LANES, 0
    for at in range(0, whole, LANES):
        value = load_bytes(pixels + first + at) if are_bytes else load(pixels + 4 * (first + at))
        store(to + 4 * at, (value - load(mean + 4 * LANES * vector)) * load(scale + 4 * LANES * vector))
        vector = vector + 1 if vector + 1 < depth else 0
    for at in range(whole, count):
        value, channel = _pixel(pixels, first + at, are_bytes), 4 * (at % depth)
        poke(to + 4 * at, (value - peek(mean + channel)) * peek(scale + channel))


@kernel
def _load_pixel(pixels, first, are_bytes, to, mean, scale, depth):
    """Standardise the channels of one pixel, which begin with number `first` of the image."""
    for channel in range(depth):
        value = _pixel(pixels, first + channel, are_bytes)
        poke(to + 4 * channel, (value - peek(mean + 4 * channel)) * peek(scale + 4 * channel))


@kernel
def _pixel(pixels, number, are_bytes):
    return peek_byte(pixels + number) if are_bytes else peek(pixels + 4 * number)


@kernel
def load_warped_image(pixels, are_bytes, y, mean, scale, rows, columns, depth, y_row, y_depth, warp):
    """Standardise one image into its place, mirrored, shifted, and with a rectangle cut out.

    The image is mirrored first. Then pixel (r, c) of `y` shows its pixel (r + DOWN, c + RIGHT). What lies outside the
    image, and what is cut out of `y`, is 0: the mean of the training pixels.

    Parameters
    ----------
    pixels, are_bytes, y, mean, scale, rows, columns, depth, y_row, y_depth
        As in `load_image`.
    warp : ndarray of int64, (7,)
        The numbers that `skconvnet.engine.program.instructions.Warp` names. Any numbers are allowed: a shift may move
        the whole image out, and of a rectangle the part inside `y` is cut out.
    """
    flip, down, right = warp[Warp.FLIP], warp[Warp.DOWN], warp[Warp.RIGHT]
    first, last = _inside(-right, columns - right, columns)  # the columns of y where the image shows
    for row in range(rows):
        to = y + 4 * row * y_row
        if row + down < 0 or row + down >= rows:
            _blank(to, 0, columns, depth, y_depth)
            continue
        _blank(to, 0, first, depth, y_depth)
        line = (row + down) * columns * depth
        start, step = (columns - 1 - first - right, -1) if flip != 0 else (first + right, 1)
        for column in range(last - first):
            number, place = line + (start + step * column) * depth, to + 4 * (first + column) * y_depth
            _load_pixel(pixels, number, are_bytes, place, mean, scale, depth)
        _blank(to, last, columns, depth, y_depth)
    top, bottom = _inside(warp[Warp.CUT_TOP], warp[Warp.CUT_BOTTOM], rows)
    left, end = _inside(warp[Warp.CUT_LEFT], warp[Warp.CUT_RIGHT], columns)
    for row in range(top, bottom):
        _blank(y + 4 * row * y_row, left, end, depth, y_depth)


@kernel
def _inside(first, last, size):
    """Return the part of a range that lies in 0 ... size, as another range."""
    first = min(max(first, 0), size)
    return first, max(min(last, size), first)


@kernel
def _blank(to, first, last, depth, y_depth):
    """Write zeros into the columns from first to last of the row at `to`."""
    for column in range(first, last):
        for channel in range(depth):
            poke(to + 4 * (column * y_depth + channel), np.float32(0))
