"""Branches: their sum, their product, and their outputs stacked along depth.

Operands are the addresses of the first sample's pixel (0, 0). A block works on a chunk of one sample. Strides are in
float32 elements.
"""

from skconvnet.engine.cuda.compiler import Address, cuda, float32, kernel
from skconvnet.engine.cuda.llvm.memory import load, store
from skconvnet.engine.cuda.llvm.quads import load_quad, splat, store_quad, where_greater
from skconvnet.engine.cuda.llvm.sums import sum_slices
from skconvnet.engine.cuda.llvm.threads import block, block_y, chunk, left, over, thread
from skconvnet.engine.cuda.lowering import chunks

__all__ = [
    "add",
    "copy_channels",
    "copy_quads",
    "lower_add",
    "lower_copy_channels",
    "lower_multiply",
    "lower_multiply_sums",
    "multiply",
    "multiply_sums",
]

_THREADS = 256
_QUADS = 4 * _THREADS  # float32 of a table with a quad for each thread
_WIDEST = 8  # quads of channels of a block that sums over pixels, few for many slices of the pixels


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
def multiply(
    x: Address,
    w: Address,
    y: Address,
    rows,
    columns,
    depth,
    x_row,
    w_row,
    w_column,
    y_row,
    x_sample,
    w_sample,
    y_sample,
):
    """Y = x * w, where `w` is a volume like `x`, or one pixel if ``w_row`` and ``w_column`` are 0."""
    at = 4 * (_THREADS * chunk() + thread())
    if at < rows * columns * depth:
        pixel = over(at, depth)
        channel, row = at - pixel * depth, over(pixel, columns)
        column = pixel - row * columns
        value = load_quad(x + 4 * (block() * x_sample + row * x_row + column * depth + channel))
        value = value * load_quad(w + 4 * (block() * w_sample + row * w_row + column * w_column + channel))
        store_quad(y + 4 * (block() * y_sample + row * y_row + column * depth + channel), value)


def lower_multiply(call):
    """Yield the launch of MULTIPLY."""
    yield call.launch(multiply, call.over_quads(multiply))


@kernel(_THREADS)
def multiply_sums(
    x: Address,
    w: Address,
    sums: Address,
    rows,
    columns,
    depth,
    x_row,
    w_row,
    x_sample,
    w_sample,
    sums_sample,
    wide,
):
    """Sum x * w over the pixels, channel by channel, into the pixel `sums`, which is overwritten.

    A block has ``wide`` quads of channels, a power of two up to 256, and 256 / wide slices of the pixels. Thread
    slice * wide + q walks over the pixels slice, slice + 256 / wide, ... of quad q.
    """
    table = cuda.shared.array(_QUADS, float32)
    at = 4 * (wide * block_y() + left(thread(), wide))
    slices, slice_of_thread = over(_THREADS, wide), over(thread(), wide)
    end = rows * columns if at < depth else 0  # there may be more quads than channels
    total, pixel = splat(float32(0)), slice_of_thread
    while pixel < end:
        row = over(pixel, columns)
        along = (pixel - row * columns) * depth + at
        value = load_quad(x + 4 * (block() * x_sample + row * x_row + along))
        total = total + value * load_quad(w + 4 * (block() * w_sample + row * w_row + along))
        pixel += slices
    total = sum_slices(table, total, wide)
    if slice_of_thread == 0 and at < depth:
        store_quad(sums + 4 * (block() * sums_sample + at), total)


def lower_multiply_sums(call):
    """Yield the launch of MULTIPLY_SUMS."""
    quads, wide = call["depth"] // 4, 1
    while wide < min(quads, _WIDEST):
        wide *= 2
    yield call.launch(multiply_sums, (call["samples"], chunks(quads, wide)), wide=wide)


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
