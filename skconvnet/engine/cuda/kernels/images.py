"""Images: their pixels standardised into the network's input, as they are or augmented.

A block works on a chunk of one image; each thread has one number. Strides are in float32 elements.
"""

from skconvnet.engine.cuda.compiler import Address, float32, kernel
from skconvnet.engine.cuda.llvm.memory import load, load_byte, load_int, store
from skconvnet.engine.cuda.llvm.threads import block, chunk, over, thread
from skconvnet.engine.program.instructions import Warp

__all__ = ["load_images", "lower_load_images"]

_THREADS = 256
_WARP_BYTES = 4 * len(Warp)
_FLIP, _DOWN, _RIGHT, _TOP, _LEFT, _BOTTOM, _END = (4 * column for column in Warp)


@kernel(_THREADS)
def load_images(
    y: Address,
    pixels: Address,
    indices: Address,
    warps: Address,
    mean: Address,
    scale: Address,
    step: Address,
    batch,
    rows,
    columns,
    depth,
    y_row,
    y_depth,
    y_sample,
    is_bytes,
    is_warped,
):
    """Standardise the images of a minibatch, channel by channel: (pixel - mean) * scale.

    An image is mirrored first. Then pixel (r, c) of `y` shows its pixel (r + DOWN, c + RIGHT). Pixels outside the image
    or inside the rectangle are 0, the mean of the training pixels.

    Parameters
    ----------
    y : Address
        Pixel (0, 0) of the first sample, written: ``depth`` numbers a pixel, which are ``y_depth`` apart.
    pixels : Address
        (images, rows, columns, depth), uint8 with ``is_bytes``, else float32.
    indices : Address
        (steps, batch) of int32: the images of each minibatch.
    warps : Address
        (steps, batch, columns of Warp) of int32, read with ``is_warped``. They may be any numbers.
    mean, scale : Address
        (depth,) of float32.
    step : Address
        The number of the step, int32.
    """
    at, line = _THREADS * chunk() + thread(), columns * depth
    if at < rows * line:
        row = over(at, line)
        column = over(at - row * line, depth)
        channel = at - row * line - column * depth
        place = load_int(step) * batch + block()
        from_row, from_column, is_seen = row, column, True
        if is_warped:
            warp = warps + place * _WARP_BYTES
            from_row, from_column = row + load_int(warp + _DOWN), column + load_int(warp + _RIGHT)
            is_seen = from_row >= 0 and from_row < rows and from_column >= 0 and from_column < columns
            if load_int(warp + _TOP) <= row and row < load_int(warp + _BOTTOM):
                is_seen = is_seen and not (load_int(warp + _LEFT) <= column and column < load_int(warp + _END))
            if load_int(warp + _FLIP):
                from_column = columns - 1 - from_column
        value = float32(0)
        if is_seen:
            number = load_int(indices + 4 * place) * (rows * line) + from_row * line + from_column * depth + channel
            if is_bytes:
                value = load_byte(pixels + number)
            else:
                value = load(pixels + 4 * number)
            value = (value - load(mean + 4 * channel)) * load(scale + 4 * channel)
        store(y + 4 * (block() * y_sample + row * y_row + column * y_depth + channel), value)


def lower_load_images(call):
    """Yield the launch of LOAD_IMAGES."""
    size = call["rows"] * call["columns"] * call["depth"]
    yield call.launch(load_images, call.over_numbers(load_images, size))
