"""Contractions: the register tile run over the loops of an instruction (see `cpu.llvm.tile`)."""

import numpy as np

from skconvnet.engine.cpu.compile import kernel
from skconvnet.engine.cpu.llvm.pointers import array_at
from skconvnet.engine.cpu.llvm.tile import FEW_ROWS, HAS_PAIRS, PANEL, PANEL_OF_FEW_ROWS, PANEL_OF_PAIRS, WIDTHS
from skconvnet.engine.cpu.task import Contraction as At
from skconvnet.engine.cpu.task import InstructionCall
from skconvnet.engine.program.instructions import INSTRUCTIONS, Op, Samples

__all__ = ["contract"]

_FIELDS, _SCRATCH = len(At), 8 * len(InstructionCall)
_N_LOOPS = int(At.A)  # the fields before the addresses are copied from the instruction
_OPERANDS = int(InstructionCall.OPERAND_0)
_FIRST_NUMBER, _SAMPLES, _ACCUMULATE = map(INSTRUCTIONS[Op.CONTRACT].number, ("I", "samples", "accumulate"))
_W0, _W1, _W2 = WIDTHS
_panel0, _panel1, _panel2 = PANEL
_HAS_PAIRS, _panel_of_pairs = HAS_PAIRS, PANEL_OF_PAIRS
_WIDE, _FEW_ROWS, _panel_of_few_rows = FEW_ROWS[0] * FEW_ROWS[1], FEW_ROWS[2], PANEL_OF_FEW_ROWS


@kernel
def contract(code, call):
    """Execute a contraction, or the part of it that the call asks for.

    Parameters
    ----------
    code : ndarray of int64
        The instruction.
    call : ndarray of int64
        The fields of `InstructionCall`. The `Contraction` behind them is overwritten.
    """
    descriptor = call.ctypes.data + _SCRATCH
    d = array_at(descriptor, (_FIELDS,), np.int64)
    _describe(code, call, d)
    if call[InstructionCall.ROWS] != 0:
        _take_rows(d, call[InstructionCall.FIRST_ROW], call[InstructionCall.ROWS])
    if call[InstructionCall.PARTS] > 1:
        _take_part(d, call[InstructionCall.PART], call[InstructionCall.PARTS])
    _run_panels(descriptor, d)


@kernel
def _describe(code, call, d):
    """Fill in the `Contraction` `d` from the instruction, with the operands and the samples of the call.

    In the first micro-batch of a shard, an accumulating contraction starts from `start`; later, from `c`.
    """
    for number in range(_N_LOOPS):  # one by one: to compile a slice assignment takes Numba half a second
        d[number] = code[_FIRST_NUMBER + number]
    d[At.A], d[At.B] = call[_OPERANDS], call[_OPERANDS + 1]
    d[At.START], d[At.C] = call[_OPERANDS + 2], call[_OPERANDS + 3]
    if code[_SAMPLES] == Samples.I:
        d[At.I] = call[InstructionCall.SAMPLES]
    elif code[_SAMPLES] == Samples.T:
        d[At.T] = call[InstructionCall.SAMPLES]
    if code[_ACCUMULATE] != 0 and call[InstructionCall.FIRST] == 0:
        d[At.START], d[At.start_q] = d[At.C], 1
        d[At.start_i], d[At.start_j], d[At.start_p] = d[At.c_i], d[At.c_j], d[At.c_p]
    _merge_rows(d)
    _merge_rows(d)
    if d[At.J] == 1:
        _move_up(d)
    _merge_products(d)
    _merge_products(d)


@kernel
def _merge_rows(d):
    """Merge loops j and p if the strides of every operand allow it, and move loop i up to j.

    With one pixel per sample, the samples become the rows of the tile; without borders, an image becomes one row.
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
    """Move loop i to loop j, which has one turn: the tile processes several lines of j together."""
    d[At.J], d[At.a_j], d[At.start_j], d[At.c_j] = d[At.I], d[At.a_i], d[At.start_i], d[At.c_i]
    d[At.I] = 1


@kernel
def _merge_products(d):
    """Merge loops r and k if the strides of both operands allow it, and move loop t up to r."""
    count = d[At.K]
    single = count == 1
    if single or (d[At.a_r] == count * d[At.a_k] and d[At.b_r] == count * d[At.b_k]):
        d[At.K] = count * d[At.R]
        if single:
            d[At.a_k], d[At.b_k] = d[At.a_r], d[At.b_r]
        d[At.R], d[At.a_r], d[At.b_r] = d[At.T], d[At.a_t], d[At.b_t]
        d[At.T] = 1


@kernel
def _take_rows(d, first, count):
    """Narrow a contraction with one loop of rows (I = J = 1) to `count` rows of A from `first` on.

    C is not moved: it holds these rows alone.
    """
    d[At.A] += 4 * first * d[At.a_p]
    d[At.M] = count


@kernel
def _take_part(d, part, parts):
    """Narrow a contraction to one of `parts` parts of its output.

    The parts are columns if there is a widest panel for each, so that no two parts read the same weights; else rows.
    """
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
def _run_panels(descriptor, d):
    """Compute the columns of the contraction `d` at address `descriptor`, in the widest panels that fit.

    Panels are the outer loop, so that the columns of B that a panel reads stay in cache for all rows.
    """
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
