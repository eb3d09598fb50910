"""Branches: their sum, and their outputs stacked along depth.

Operands are the addresses of the first sample's pixel (0, 0). A block works on a chunk of one sample. Strides are in
float32 elements.
"""

from skconvnet.engine.cuda.compiler import Address, float32, kernel
from skconvnet.engine.cuda.llvm.memory import load, store
from skconvnet.engine.cuda.llvm.quads import load_quad, splat, store_quad, where_greater
from skconvnet.engine.cuda.llvm.threads import block, chunk, over, thread

__all__ = ["add", "copy_channels", "copy_quads", "lower_add", "lower_copy_channels"]

_THREADS = 256


@kernel(_THREADS)
def add(
    x: Address,
    w: Address,
    y: Address,
    rows,
    columns,
    depth,
    x_row,
    w_row,
    y_row,
    x_sample,
    w_sample,
    y_sample,
    relu,
):
    """Y = x + w, or max(x + w, 0) with ``relu``; `y` may be the same place as `x` or `w`."""
    at, line = 4 * (_THREADS * chunk() + thread()), columns * depth
    if at < rows * line:
        row = over(at, line)
        along = at - row * line
        total = load_quad(x + 4 * (block() * x_sample + row * x_row + along))
        total = total + load_quad(w + 4 * (block() * w_sample + row * w_row + along))
        if relu:
            zero = splat(float32(0))
            total = where_greater(zero, total, zero, total)
        store_quad(y + 4 * (block() * y_sample + row * y_row + along), total)


def lower_add(call):
    """Yield the launch of ADD."""
    yield call.launch(add, call.over_quads(add))


@kernel(_THREADS)
def copy_channels(
    x: Address,
    y: Address,
    rows,
    columns,
    channels,
    x_row,
    x_depth,
    y_row,
    y_depth,
    x_sample,
    y_sample,
    clear,
):
    """Copy ``channels`` channels of each pixel from `x` to `y`, and write ``clear`` zeros after them.

    `x` and `y` are the addresses of the first channel in pixel (0, 0), which need not be aligned. Pixels of a row are
    ``x_depth`` and ``y_depth`` elements apart. Each thread writes one number.
    """
    at, width = _THREADS * chunk() + thread(), channels + clear
    if at < rows * columns * width:
        pixel = over(at, width)
        row, channel = over(pixel, columns), at - pixel * width
        column = pixel - row * columns
        value = float32(0)
        if channel < channels:
            value = load(x + 4 * (block() * x_sample + row * x_row + column * x_depth + channel))
        store(y + 4 * (block() * y_sample + row * y_row + column * y_depth + channel), value)


@kernel(_THREADS)
def copy_quads(
    x: Address,
    y: Address,
    rows,
    columns,
    channels,
    x_row,
    x_depth,
    y_row,
    y_depth,
    x_sample,
    y_sample,
    clear,
):
    """Do what `copy_channels` does, where every place and number is a multiple of four. Each thread writes a quad."""
    at, width = 4 * (_THREADS * chunk() + thread()), channels + clear
    if at < rows * columns * width:
        pixel = over(at, width)
        row, channel = over(pixel, columns), at - pixel * width
        column = pixel - row * columns
        value = splat(float32(0))
        if channel < channels:
            value = load_quad(x + 4 * (block() * x_sample + row * x_row + column * x_depth + channel))
        store_quad(y + 4 * (block() * y_sample + row * y_row + column * y_depth + channel), value)


def lower_copy_channels(call):
    """Yield the launch of COPY_CHANNELS."""
    numbers = call["rows"] * call["columns"] * (call["channels"] + call["clear"])
    if _are_quads(call):
        yield call.launch(copy_quads, call.over_numbers(copy_quads, numbers // 4))
    else:
        yield call.launch(copy_channels, call.over_numbers(copy_channels, numbers))


def _are_quads(call):
    """Return whether all quads of the copy are aligned in memory."""
    counted = "channels clear x_row x_depth y_row y_depth x_sample y_sample".split()
    return all(call[name] % 4 == 0 for name in counted) and call["x"] % 16 == 0 == call["y"] % 16
