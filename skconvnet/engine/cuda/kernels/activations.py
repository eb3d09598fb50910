"""Activation functions and DROPOUT.

Operands are the addresses of the first sample's pixel (0, 0). A block works on a chunk of one sample; each thread has a
quad of channels. Strides are in float32 elements.
"""

from skconvnet.engine.cuda.compiler import Address, float32, kernel
from skconvnet.engine.cuda.llvm.quads import load_quad, splat, store_quad, where_greater
from skconvnet.engine.cuda.llvm.threads import block, chunk, over, thread

__all__ = ["lower_relu", "relu"]

_THREADS = 256


@kernel(_THREADS)
def relu(x: Address, y: Address, rows, columns, depth, x_row, y_row, x_sample, y_sample):
    """Y = max(x, 0); `x` and `y` may be the same place."""
    at, line = 4 * (_THREADS * chunk() + thread()), columns * depth
    if at < rows * line:
        row = over(at, line)
        along = at - row * line
        value, zero = load_quad(x + 4 * (block() * x_sample + row * x_row + along)), splat(float32(0))
        store_quad(y + 4 * (block() * y_sample + row * y_row + along), where_greater(zero, value, zero, value))


def lower_relu(call):
    """Yield the launch of RELU."""
    yield call.launch(relu, call.over_quads(relu))
