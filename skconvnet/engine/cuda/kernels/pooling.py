"""Pooling and its gradients (section "Pooling Layer" of the CS231n notes).

A window that reaches over the edge of its input, by padding or by rounding up, is clipped to the input: padding never
is the maximum, and is counted in an average only where the instruction says so. The gradient of a maximum finds the
winner again by comparing, instead of storing its place: the first of equals in row-major order, as in the forward pass.

Gradients are written pixel by pixel, where those of windows that overlap are added in the order of the windows. So no
two threads write the same number, and ``dx`` need not be zero before.

Operands are the addresses of the first sample's pixel (0, 0). A block works on a chunk of one sample; each thread has a
quad of channels. Strides are in float32 elements.
"""

from skconvnet.engine.cuda.compiler import Address, float32, inlined, int32, kernel
from skconvnet.engine.cuda.llvm.quads import load_quad, splat, store_quad, where_equal, where_greater
from skconvnet.engine.cuda.llvm.threads import block, chunk, over, thread

__all__ = [
    "average_pool",
    "average_pool_backward",
    "lower_average_pool",
    "lower_average_pool_backward",
    "lower_max_pool",
    "lower_max_pool_backward",
    "max_pool",
    "max_pool_backward",
    "max_pool_backward_of_windows",
]

_THREADS = 256
_BLOCKS = 4  # of a multiprocessor: enough threads to hide the wait for memory, at 64 registers each


@inlined
def _begin(index, S, P):
    """Return the first input row or column of window `index`."""
    return int32(max(index * S - P, 0))


@inlined
def _end(index, S, P, F, extent):
    """Return the last (exclusive) input row or column of window `index`."""
    return int32(min(index * S - P + F, extent))


@inlined
def _count(index, S, P, F, extent, counted):
    """Return how many rows or columns of window `index` an average divides by, with `counted` zeros on each side."""
    first = index * S - P
    return int32(min(first + F, extent + counted) - max(first, -counted))


@inlined
def _first_window(at, S, P, F):
    """Return the first window that has input row or column `at`, of those that begin every S from -P on."""
    return over(int32(max(at + P - F + S, 0)), S)


@inlined
def _last_window(at, S, P, windows):
    """Return the last (exclusive) window that can have input row or column `at`."""
    return int32(min(over(at + P, S) + 1, windows))


@kernel(_THREADS)
def max_pool(
    x: Address,
    y: Address,
    rows,
    columns,
    depth,
    x_row,
    F_rows,
    F_columns,
    S_rows,
    S_columns,
    P_rows,
    P_columns,
    rows_out,
    columns_out,
    y_row,
    x_sample,
    y_sample,
):
    """y[i, j] = maximum of x over F_rows x F_columns from (i*S_rows - P_rows, j*S_columns - P_columns) on."""
    at, line = 4 * (_THREADS * chunk() + thread()), columns_out * depth
    if at < rows_out * line:
        i = over(at, line)
        j = over(at - i * line, depth)
        q = at - i * line - j * depth
        top, bottom = _begin(i, S_rows, P_rows), _end(i, S_rows, P_rows, F_rows, rows)
        first, last = _begin(j, S_columns, P_columns), _end(j, S_columns, P_columns, F_columns, columns)
        from_x = x + 4 * (block() * x_sample + q)
        best = load_quad(from_x + 4 * (top * x_row + first * depth))
        for row in range(top, bottom):
            for column in range(first, last):
                value = load_quad(from_x + 4 * (row * x_row + column * depth))
                best = where_greater(value, best, value, best)
        store_quad(y + 4 * (block() * y_sample + i * y_row + j * depth + q), best)


def lower_max_pool(call):
    """Yield the launch of MAX_POOL."""
    yield call.launch(max_pool, call.over_quads(max_pool, rows="rows_out", columns="columns_out"))


@kernel(_THREADS, _BLOCKS)
def max_pool_backward_of_windows(
    x: Address,
    y: Address,
    dy: Address,
    dx: Address,
    rows,
    columns,
    depth,
    x_row,
    F_rows,
    F_columns,
    S_rows,
    S_columns,
    P_rows,
    P_columns,
    rows_out,
    columns_out,
    y_row,
    dx_row,
    dy_row,
    x_sample,
    y_sample,
    dx_sample,
    dy_sample,
):
    """Do what `max_pool_backward` does, where windows do not overlap: a thread has one window of one quad of channels.

    It writes the pixels from its window to the next one, or to the edge of the input.
    """
    at, line = 4 * (_THREADS * chunk() + thread()), columns_out * depth
    if at < rows_out * line:
        i = over(at, line)
        j = over(at - i * line, depth)
        q = at - i * line - j * depth
        bottom, last = _end(i, S_rows, P_rows, F_rows, rows), _end(j, S_columns, P_columns, F_columns, columns)
        end_row = _begin(i + 1, S_rows, P_rows) if i + 1 < rows_out else rows
        end_column = _begin(j + 1, S_columns, P_columns) if j + 1 < columns_out else columns
        best = load_quad(y + 4 * (block() * y_sample + i * y_row + j * depth + q))
        # The gradient of the channels that have not found their winner yet, zero in the others.
        remaining = load_quad(dy + 4 * (block() * dy_sample + i * dy_row + j * depth + q))
        zero = splat(float32(0))
        for row in range(_begin(i, S_rows, P_rows), end_row):
            for column in range(_begin(j, S_columns, P_columns), end_column):
                won = zero
                if row < bottom and column < last:
                    value = load_quad(x + 4 * (block() * x_sample + row * x_row + column * depth + q))
                    won = where_equal(value, best, remaining, zero)
                    remaining = where_equal(value, best, zero, remaining)
                store_quad(dx + 4 * (block() * dx_sample + row * dx_row + column * depth + q), won)


@kernel(_THREADS)
def max_pool_backward(
    x: Address,
    y: Address,
    dy: Address,
    dx: Address,
    rows,
    columns,
    depth,
    x_row,
    F_rows,
    F_columns,
    S_rows,
    S_columns,
    P_rows,
    P_columns,
    rows_out,
    columns_out,
    y_row,
    dx_row,
    dy_row,
    x_sample,
    y_sample,
    dx_sample,
    dy_sample,
):
    """Give each input the gradients of the windows that it won.

    A thread has one pixel and one quad of channels. In each window with that pixel it looks for the maximum among the
    pixels before: where there is none and the pixel equals the maximum, the pixel has won.

    Parameters
    ----------
    x, y : Address
        Input and output of `max_pool`.
    dy : Address
        Gradient of the output.
    dx : Address
        Gradient of the input: every pixel is overwritten, with zero where it won no window. The border stays as it is.
    """
    at, line = 4 * (_THREADS * chunk() + thread()), columns * depth
    if at < rows * line:
        row = over(at, line)
        column = over(at - row * line, depth)
        q = at - row * line - column * depth
        from_x, zero = x + 4 * (block() * x_sample + q), splat(float32(0))
        here, total = load_quad(from_x + 4 * (row * x_row + column * depth)), zero
        for i in range(_first_window(row, S_rows, P_rows, F_rows), _last_window(row, S_rows, P_rows, rows_out)):
            for j in range(
                _first_window(column, S_columns, P_columns, F_columns),
                _last_window(column, S_columns, P_columns, columns_out),
            ):
                best = load_quad(y + 4 * (block() * y_sample + i * y_row + j * depth + q))
                gradient = load_quad(dy + 4 * (block() * dy_sample + i * dy_row + j * depth + q))
                won = where_equal(here, best, gradient, zero)
                last = _end(j, S_columns, P_columns, F_columns, columns)
                for u in range(_begin(i, S_rows, P_rows), row + 1):
                    for v in range(_begin(j, S_columns, P_columns), last if u < row else column):
                        before = load_quad(from_x + 4 * (u * x_row + v * depth))
                        won = where_equal(before, best, zero, won)
                total = total + won
        store_quad(dx + 4 * (block() * dx_sample + row * dx_row + column * depth + q), total)


def lower_max_pool_backward(call):
    """Yield the launch of MAX_POOL_BACKWARD."""
    if call["F_rows"] <= call["S_rows"] and call["F_columns"] <= call["S_columns"]:
        windows = max_pool_backward_of_windows
        yield call.launch(windows, call.over_quads(windows, rows="rows_out", columns="columns_out"))
    else:
        yield call.launch(max_pool_backward, call.over_quads(max_pool_backward))


@kernel(_THREADS)
def average_pool(
    x: Address,
    y: Address,
    rows,
    columns,
    depth,
    x_row,
    F_rows,
    F_columns,
    S_rows,
    S_columns,
    P_rows,
    P_columns,
    rows_out,
    columns_out,
    counted_rows,
    counted_columns,
    y_row,
    x_sample,
    y_sample,
):
    """y[i, j] = mean of x over the part of window (i, j) that is inside x, or in zeros that count; see `max_pool`."""
    at, line = 4 * (_THREADS * chunk() + thread()), columns_out * depth
    if at < rows_out * line:
        i = over(at, line)
        j = over(at - i * line, depth)
        q = at - i * line - j * depth
        top, bottom = _begin(i, S_rows, P_rows), _end(i, S_rows, P_rows, F_rows, rows)
        first, last = _begin(j, S_columns, P_columns), _end(j, S_columns, P_columns, F_columns, columns)
        total = splat(float32(0))
        for row in range(top, bottom):
            for column in range(first, last):
                total = total + load_quad(x + 4 * (block() * x_sample + row * x_row + column * depth + q))
        height = _count(i, S_rows, P_rows, F_rows, rows, counted_rows)
        width = _count(j, S_columns, P_columns, F_columns, columns, counted_columns)
        share = splat(float32(1) / float32(height * width))
        store_quad(y + 4 * (block() * y_sample + i * y_row + j * depth + q), total * share)


def lower_average_pool(call):
    """Yield the launch of AVERAGE_POOL."""
    yield call.launch(average_pool, call.over_quads(average_pool, rows="rows_out", columns="columns_out"))


@kernel(_THREADS, _BLOCKS)
def average_pool_backward(
    dy: Address,
    dx: Address,
    rows,
    columns,
    depth,
    dx_row,
    F_rows,
    F_columns,
    S_rows,
    S_columns,
    P_rows,
    P_columns,
    rows_out,
    columns_out,
    counted_rows,
    counted_columns,
    dy_row,
    dx_sample,
    dy_sample,
):
    """Give each input its shares of the gradients `dy` of the windows that have it.

    Every pixel of the gradient `dx` is overwritten, with zero where there is no window. The border stays as it is.
    """
    at, line = 4 * (_THREADS * chunk() + thread()), columns * depth
    if at < rows * line:
        row = over(at, line)
        column = over(at - row * line, depth)
        q = at - row * line - column * depth
        total = splat(float32(0))
        for i in range(_first_window(row, S_rows, P_rows, F_rows), _last_window(row, S_rows, P_rows, rows_out)):
            height = _count(i, S_rows, P_rows, F_rows, rows, counted_rows)
            for j in range(
                _first_window(column, S_columns, P_columns, F_columns),
                _last_window(column, S_columns, P_columns, columns_out),
            ):
                width = _count(j, S_columns, P_columns, F_columns, columns, counted_columns)
                share = splat(float32(1) / float32(height * width))
                gradient = load_quad(dy + 4 * (block() * dy_sample + i * dy_row + j * depth + q))
                total = total + gradient * share
        store_quad(dx + 4 * (block() * dx_sample + row * dx_row + column * depth + q), total)


def lower_average_pool_backward(call):
    """Yield the launch of AVERAGE_POOL_BACKWARD."""
    yield call.launch(average_pool_backward, call.over_quads(average_pool_backward))
