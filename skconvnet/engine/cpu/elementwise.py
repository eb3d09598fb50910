"""Kernels that touch each activation once: loading images, borders of zeros, bias and ReLU.

Addresses are int64 bytes of a pixel (0, 0); ``*_row`` strides are in float32 elements; depths are padded to the
vector width (the network's input alone is not). Every kernel works on one sample.
"""

import numpy as np
from numba import njit

from skconvnet.engine.cpu.simd import BYTES, LANES, load, poke, splat, store, where_greater

__all__ = ["bias_relu_backward", "clear", "clear_border", "load_image", "relu"]


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
def clear(y, size):
    """Write `size` zeros at `y`."""
    zero = splat(np.float32(0))
    whole = size - size % LANES
    for at in range(0, whole, LANES):
        store(y + 4 * at, zero)
    for at in range(whole, size):
        poke(y + 4 * at, np.float32(0))


@njit(nogil=True, error_model="numpy")
def clear_border(y, rows, columns, depth, top, left, bottom, right):
    """Write zeros around an image: `top` rows above pixel (0, 0) at `y`, `left` columns before it, and so on.

    In memory the right border of one row and the left border of the next are one run.
    """
    y_row = (left + columns + right) * depth
    clear(y - 4 * (top * y_row + left * depth), top * y_row + left * depth)
    for row in range(rows - 1):
        clear(y + 4 * (row * y_row + columns * depth), (right + left) * depth)
    clear(y + 4 * ((rows - 1) * y_row + columns * depth), right * depth + bottom * y_row)


@njit(nogil=True, error_model="numpy")
def relu(x, y, rows, columns, depth, x_row, y_row):
    """Y = max(x, 0); `x` and `y` may be the same place."""
    zero = splat(np.float32(0))
    for row in range(rows):
        from_x, to_y = x + 4 * row * x_row, y + 4 * row * y_row
        for at in range(0, 4 * columns * depth, BYTES):
            value = load(from_x + at)
            store(to_y + at, where_greater(zero, value, zero, value))


@njit(nogil=True, error_model="numpy")
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
