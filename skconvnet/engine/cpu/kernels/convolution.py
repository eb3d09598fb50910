"""Contractions: one instruction's operands and loops made ready for the register tile."""

import numpy as np

from skconvnet.engine.cpu.compile import kernel
from skconvnet.engine.cpu.llvm.pointers import array_at
from skconvnet.engine.cpu.llvm.tile import FEW_ROWS, HAS_PAIRS, PANEL, PANEL_OF_FEW_ROWS, PANEL_OF_PAIRS, WIDTHS
from skconvnet.engine.program.instructions import INSTRUCTIONS, Op, Samples
from skconvnet.engine.program.instructions import Descriptor as At

__all__ = ["contract", "describe", "part_of", "rows_of"]

_FIELDS = len(At)
_LOOPS = int(At.A)  # the fields before the addresses stand in the instruction as they are
_FIRST_NUMBER, _SAMPLES, _ACCUMULATE = map(INSTRUCTIONS[Op.CONTRACT].number, ("I", "samples", "accumulate"))
_W0, _W1, _W2 = WIDTHS
_panel0, _panel1, _panel2 = PANEL
_HAS_PAIRS, _panel_of_pairs = HAS_PAIRS, PANEL_OF_PAIRS
_WIDE, _FEW_ROWS, _panel_of_few_rows = FEW_ROWS[0] * FEW_ROWS[1], FEW_ROWS[2], PANEL_OF_FEW_ROWS


@kernel
def describe(code, descriptor, a, b, start, c, samples, first):
    """Fill in the descriptor of one contraction.

    Parameters
    ----------
    code : ndarray of int64
        The instruction.
    descriptor : ndarray of int64, written
        The fields of `Descriptor`.
    a, b, start, c : int64
        Addresses of the operands, for the first sample.
    samples : int64
        Samples in the micro-batch: the count of the loop that the instruction names.
    first : bool
        Whether this is the first micro-batch of its shard: an accumulating contraction then starts from `start`,
        later from what `c` holds.
    """
    d = descriptor
    for number in range(_LOOPS):  # one by one: a slice would bring half a second of Numba's checks to compile
        d[number] = code[_FIRST_NUMBER + number]
    d[At.A], d[At.B], d[At.START], d[At.C] = a, b, start, c
    if code[_SAMPLES] == Samples.I:
        d[At.I] = samples
    elif code[_SAMPLES] == Samples.T:
        d[At.T] = samples
    if code[_ACCUMULATE] != 0 and not first:
        d[At.START], d[At.start_q] = c, 1
        d[At.start_i], d[At.start_j], d[At.start_p] = d[At.c_i], d[At.c_j], d[At.c_p]
    _merge_rows(descriptor)
    _merge_rows(descriptor)
    if d[At.J] == 1:
        _move_up(descriptor)
    _merge_products(descriptor)
    _merge_products(descriptor)


@kernel
def _merge_rows(d):
    """Make loops j and p one where every operand's strides allow it, and let i move up to j.

    With one pixel a sample, the samples become the rows of the tile; with no border, an image's rows become one.
    """
    count = d[At.M]
    single = count == 1
    flat = d[At.a_j] == count * d[At.a_p] and d[At.start_j] == count * d[At.start_p] and d[At.c_j] == count * d[At.c_p]
    if single or flat:
        d[At.M] = count * d[At.J]
        if single:
            d[At.a_p], d[At.start_p], d[At.c_p] = d[At.a_j], d[At.start_j], d[At.c_j]
        _move_up(d)


@kernel
def _move_up(d):
    """Let i take the place of j, of which there is one: the tile takes lines together along j."""
    d[At.J], d[At.a_j], d[At.start_j], d[At.c_j] = d[At.I], d[At.a_i], d[At.start_i], d[At.c_i]
    d[At.I] = 1


@kernel
def _merge_products(d):
    """Make loops r and k one where both operands' strides allow it, and let t move up to r."""
    count = d[At.K]
    single = count == 1
    if single or (d[At.a_r] == count * d[At.a_k] and d[At.b_r] == count * d[At.b_k]):
        d[At.K] = count * d[At.R]
        if single:
            d[At.a_k], d[At.b_k] = d[At.a_r], d[At.b_r]
        d[At.R], d[At.a_r], d[At.b_r] = d[At.T], d[At.a_t], d[At.b_t]
        d[At.T] = 1


@kernel
def rows_of(descriptor, first, count):
    """Narrow a described contraction with one loop of rows (I = J = 1) to `count` rows of A from `first` on.

    C is not moved: it holds those rows alone.
    """
    descriptor[At.A] += 4 * first * descriptor[At.a_p]
    descriptor[At.M] = count


@kernel
def part_of(descriptor, part, parts):
    """Narrow a described contraction to one of `parts` parts of its output.

    They are columns where there is a widest panel for each part, so that each part reads weights of its own; else rows.
    """
    d = descriptor
    if d[At.N] >= parts * _W0:
        panels = d[At.N] // _W0
        first, last = panels * part // parts * _W0, panels * (part + 1) // parts * _W0
        d[At.N] = (d[At.N] if part == parts - 1 else last) - first
        d[At.B] += 4 * first
        d[At.C] += 4 * first
        d[At.START] += 4 * first * d[At.start_q]
    elif d[At.J] >= parts:
        first, last = d[At.J] * part // parts, d[At.J] * (part + 1) // parts
        d[At.J] = last - first
        d[At.A] += 4 * first * d[At.a_j]
        d[At.C] += 4 * first * d[At.c_j]
        d[At.START] += 4 * first * d[At.start_j]
    else:
        first, last = d[At.M] * part // parts, d[At.M] * (part + 1) // parts
        d[At.M] = last - first
        d[At.A] += 4 * first * d[At.a_p]
        d[At.C] += 4 * first * d[At.c_p]
        d[At.START] += 4 * first * d[At.start_p]


@kernel
def contract(descriptor):
    """Run the described contraction at address `descriptor`: its columns in the widest panels that fit.

    Panels are the outer loop, so that the columns of B one panel reads stay in cache while all rows pass.
    """
    d = array_at(descriptor, (_FIELDS,), np.int64)
    columns, q = d[At.N], 0
    if d[At.I] == 1 and d[At.J] == 1 and d[At.M] <= _FEW_ROWS:
        while columns - q >= _WIDE:
            _panel_of_few_rows(descriptor, q)
            q += _WIDE
    while columns - q >= _W0:
        _panel0(descriptor, q)
        q += _W0
    while columns - q >= _W1:
        _panel1(descriptor, q)
        q += _W1
    if _HAS_PAIRS and columns == _W2 and d[At.b_k] == _W2 and d[At.a_k] == 1 and d[At.K] > 1:
        _panel_of_pairs(descriptor, q)
        return
    while columns - q >= _W2:
        _panel2(descriptor, q)
        q += _W2
