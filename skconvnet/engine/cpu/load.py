"""Kernels that load an image: standardise its pixels into the network's input, as they are or warped.

Addresses are int64 bytes of a pixel (0, 0); ``y_row`` and ``y_depth`` are in float32 elements. Every kernel works on
one image.
"""

import numpy as np
from numba import njit

from skconvnet.engine.cpu.simd import poke
from skconvnet.engine.program import Warp

__all__ = ["load_image", "load_warped_image"]


@njit(nogil=True, error_model="numpy")
def load_image(pixels, y, mean, scale, rows, columns, depth, y_row, y_depth):
    """Standardise one image into its place: (pixel - mean) * scale, channel by channel.

    Parameters
    ----------
    pixels : ndarray of uint8 or float32, (rows * columns * depth,)
        The image in (row, column, channel) order.
    y : int64
        Address of the image's place, written.
    mean, scale : ndarray of float32, (depth,)
        Of the training pixels.
    rows, columns, depth, y_row, y_depth : int64
        The volume, and the distances between two rows and two columns in `y`.
    """
    for row in range(rows):
        line = pixels[row * columns * depth : (row + 1) * columns * depth]
        to = y + 4 * row * y_row
        for channel in range(depth):
            centre, factor = mean[channel], scale[channel]
            for column in range(columns):
                pixel = np.float32(line[column * depth + channel])
                poke(to + 4 * (column * y_depth + channel), (pixel - centre) * factor)


@njit(nogil=True, error_model="numpy")
def load_warped_image(pixels, y, mean, scale, rows, columns, depth, y_row, y_depth, warp):
    """Standardise one image into its place, mirrored, shifted, and with a rectangle cut out.

    The image is mirrored first. Then pixel (r, c) of `y` shows its pixel (r + DOWN, c + RIGHT). What lies outside the
    image, and what is cut out of `y`, is 0: the mean of the training pixels.

    Parameters
    ----------
    pixels : ndarray of uint8 or float32, (rows * columns * depth,)
        The image in (row, column, channel) order.
    y : int64
        Address of the image's place, written.
    mean, scale : ndarray of float32, (depth,)
        Of the training pixels.
    rows, columns, depth, y_row, y_depth : int64
        The volume, and the distances between two rows and two columns in `y`.
    warp : ndarray of int64, (7,)
        The numbers that `skconvnet.engine.program.Warp` names. Any numbers are allowed: a shift may move the whole
        image out, and of a rectangle the part inside `y` is cut out.
    """
    flip, down, right = warp[Warp.FLIP], warp[Warp.DOWN], warp[Warp.RIGHT]
    first, last = _inside(-right, columns - right, columns)  # the columns of y where the image shows
    for row in range(rows):
        to = y + 4 * row * y_row
        if row + down < 0 or row + down >= rows:
            _blank(to, 0, columns, depth, y_depth)
            continue
        _blank(to, 0, first, depth, y_depth)
        line = pixels[(row + down) * columns * depth : (row + down + 1) * columns * depth]
        start, step = (columns - 1 - first - right, -1) if flip != 0 else (first + right, 1)
        for channel in range(depth):
            centre, factor = mean[channel], scale[channel]
            for column in range(last - first):
                pixel = np.float32(line[(start + step * column) * depth + channel])
                poke(to + 4 * ((first + column) * y_depth + channel), (pixel - centre) * factor)
        _blank(to, last, columns, depth, y_depth)
    top, bottom = _inside(warp[Warp.CUT_TOP], warp[Warp.CUT_BOTTOM], rows)
    left, end = _inside(warp[Warp.CUT_LEFT], warp[Warp.CUT_RIGHT], columns)
    for row in range(top, bottom):
        _blank(y + 4 * row * y_row, left, end, depth, y_depth)


@njit(nogil=True, error_model="numpy")
def _inside(first, last, size):
    """Return the part of a range that lies in 0 ... size, as another range."""
    first = min(max(first, 0), size)
    return first, max(min(last, size), first)


@njit(nogil=True, error_model="numpy")
def _blank(to, first, last, depth, y_depth):
    """Write zeros into the columns from first to last of the row at `to`."""
    for column in range(first, last):
        for channel in range(depth):
            poke(to + 4 * (column * y_depth + channel), np.float32(0))
