"""Images: their pixels standardised into the network's input, as they are or augmented.

Kernels work on one image. Addresses are int64 in bytes, and strides are in float32 elements.
"""

import numpy as np

from skconvnet.engine.cpu.compile import kernel
from skconvnet.engine.cpu.llvm.pointers import array_at
from skconvnet.engine.cpu.llvm.simd import LANES, load, load_bytes, peek, peek_byte, poke, store
from skconvnet.engine.cpu.task import Task, number_columns
from skconvnet.engine.program.instructions import Op, Warp

__all__ = ["load_images"]

_LOAD = number_columns(Op.LOAD_IMAGES)
_N_WARP = len(Warp)


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
    n_bytes = 1 if task[Task.BYTES] != 0 else 4
    image = array_at(task[Task.ROWS], (place + 1,), np.int64)[place]
    pixels = task[Task.PIXELS] + image * code[_LOAD.rows] * code[_LOAD.columns] * code[_LOAD.depth] * n_bytes
    if task[Task.N_WARPS] == 0:
        _load_image(code, pixels, y, task)
    else:
        _load_warped_image(code, pixels, y, task, array_at(task[Task.WARPS], (place + 1, _N_WARP), np.int64)[place])


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
