"""Zeros in memory: whole volumes, and the borders around them.

Operands are the addresses of the first sample's pixel (0, 0), which need not be aligned. A block works on a chunk of
one sample; each thread has one number. Strides are in float32 elements.
"""

from skconvnet.engine.cuda.compiler import Address, float32, kernel
from skconvnet.engine.cuda.llvm.memory import store
from skconvnet.engine.cuda.llvm.threads import block, chunk, over, thread

__all__ = ["clear", "clear_border", "lower_clear", "lower_clear_border"]

_THREADS = 256


@kernel(_THREADS)
def clear(y: Address, size, y_sample):
    """Write ``size`` zeros at `y`."""
    at = _THREADS * chunk() + thread()
    if at < size:
        store(y + 4 * (block() * y_sample + at), float32(0))


def lower_clear(call):
    """Yield the launch of CLEAR."""
    if call["size"] > 0:
        yield call.launch(clear, call.over_numbers(clear, call["size"]))


@kernel(_THREADS)
def clear_border(y: Address, rows, columns, depth, top, left, bottom, right, y_sample):
    """Write zeros around a volume: ``top`` rows above pixel (0, 0) at `y`, ``left`` columns before it, and so on."""
    at, y_row = _THREADS * chunk() + thread(), (left + columns + right) * depth
    if at < (top + rows + bottom) * y_row:
        row = over(at, y_row)
        along = at - row * y_row
        is_above_or_below = row < top or row >= top + rows
        if is_above_or_below or along < left * depth or along >= (left + columns) * depth:
            store(y + 4 * (block() * y_sample + at - top * y_row - left * depth), float32(0))


def lower_clear_border(call):
    """Yield the launch of CLEAR_BORDER."""
    rows, columns = call["top"] + call["rows"] + call["bottom"], call["left"] + call["columns"] + call["right"]
    size = rows * columns * call["depth"]
    yield call.launch(clear_border, call.over_numbers(clear_border, size))
