"""Winograd's transforms: tiles of a volume, of weights or of their gradient (see `cpu.llvm.winograd`)."""

from skconvnet.engine.cpu.compile import kernel
from skconvnet.engine.cpu.llvm.winograd import transform_tile
from skconvnet.engine.cpu.task import number_columns
from skconvnet.engine.program.instructions import N_POINTS, Adds, Op

__all__ = ["transform"]

_Number = number_columns(Op.TRANSFORM)


@kernel
def transform(code, x, start, y, first, part, parts):
    """Transform the tiles of one volume, or one of `parts` parts of them.

    y[r, c, a, b] = start[a, b] + sum over i, j of P[a, i] * x[r, c, i, j] * P[b, j], for each channel

    Parameters
    ----------
    code : ndarray of int64
        The instruction.
    x, start, y : int
        Addresses. `y` is overwritten.
    first : bool
        Whether the samples are the first of their shard. See `Adds`.
    part, parts : int
        The part. It has some of the rows of tiles, or some of the columns where there are fewer rows than parts.
    """
    first_row, last_row, first_column, last_column = 0, code[_Number.rows], 0, code[_Number.columns]
    if last_row >= parts:
        first_row, last_row = last_row * part // parts, last_row * (part + 1) // parts
    else:
        first_column, last_column = last_column * part // parts, last_column * (part + 1) // parts
    adds = code[_Number.adds] == Adds.ALWAYS or (code[_Number.adds] == Adds.BEHIND_FIRST and not first)
    start_a, start_b = (code[_Number.y_a], code[_Number.y_b]) if adds else (0, 0)
    start_q = 1 if adds else code[_Number.start_q]
    m = N_POINTS + 1 - code[_Number.F]
    for row in range(first_row, last_row):
        for column in range(first_column, last_column):
            x_at = x + 4 * (row * code[_Number.x_row] + column * code[_Number.x_column])
            y_at = y + 4 * (row * code[_Number.y_row] + column * code[_Number.y_column])
            transform_tile(
                code.ctypes.data,
                code[_Number.transform],
                code[_Number.F],
                x_at,
                y_at if adds else start,
                y_at,
                start_a,
                start_b,
                start_q,
                code[_Number.down] - m * row,
                code[_Number.across] - m * column,
            )
