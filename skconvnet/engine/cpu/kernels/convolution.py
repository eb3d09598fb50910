"""Contractions: the register tile run over the loops of an instruction (see `cpu.llvm.tile`)."""

import numpy as np

from skconvnet.engine.cpu.compile import kernel
from skconvnet.engine.cpu.llvm.pointers import array_at
from skconvnet.engine.cpu.llvm.tile import FEW_ROWS, HAS_PAIRS, PANEL, PANEL_OF_FEW_ROWS, PANEL_OF_PAIRS, WIDTHS
from skconvnet.engine.cpu.task import Contraction as Field
from skconvnet.engine.cpu.task import InstructionCall
from skconvnet.engine.program.instructions import INSTRUCTIONS, Op, Samples

__all__ = ["contract"]

_FIELDS, _SCRATCH = len(Field), 8 * len(InstructionCall)
_N_LOOPS = int(Field.A)  # the fields before the addresses are copied from the instruction
_OPERANDS = int(InstructionCall.OPERAND_0)
_FIRST_NUMBER, _SAMPLE_LOOP, _ACCUMULATE = map(INSTRUCTIONS[Op.CONTRACT].number, ("I", "sample_loop", "accumulate"))
_GROUPS, _A_G, _B_G, _START_G, _C_G = map(INSTRUCTIONS[Op.CONTRACT].number, ("groups", "a_g", "b_g", "start_g", "c_g"))
_W0, _W1, _W2 = WIDTHS
_panel0, _panel1, _panel2 = PANEL
_HAS_PAIRS, _panel_of_pairs = HAS_PAIRS, PANEL_OF_PAIRS
_BLOCK = 192  # products of a block: B's rows in the widest panel fill at most three quarters of a first-level cache
_WIDE, _FEW_ROWS, _panel_of_few_rows = FEW_ROWS[0] * FEW_ROWS[1], FEW_ROWS[2], PANEL_OF_FEW_ROWS


@kernel
def contract(code, call):
    """Execute a contraction group by group, or the part of it that the call asks for.

    Parameters
    ----------
    code : ndarray of int64
        The instruction.
    call : ndarray of int64
        The fields of `InstructionCall`. The `Contraction` behind them is overwritten.
    """
    contraction = call.ctypes.data + _SCRATCH
    d = array_at(contraction, (_FIELDS,), np.int64)
    _describe(code, call, d)
    if call[InstructionCall.ROWS] != 0:
        _take_rows(d, call[InstructionCall.FIRST_ROW], call[InstructionCall.ROWS])
    groups, part, parts = code[_GROUPS], call[InstructionCall.PART], call[InstructionCall.PARTS]
    if groups >= parts:
        _move_groups(code, call, d, groups * part // parts)
        groups = groups * (part + 1) // parts - groups * part // parts
    else:
        _take_part(d, part, parts)
    for _ in range(groups):
        _run_blocks(contraction, d)
        _move_groups(code, call, d, 1)


@kernel
def _move_groups(code, call, d, count):
    """Move the operands by a number of groups."""
    d[Field.A] += 4 * count * code[_A_G]
    d[Field.B] += 4 * count * code[_B_G]
    d[Field.START] += 4 * count * (code[_C_G] if _starts_from_c(code, call) else code[_START_G])
    d[Field.C] += 4 * count * code[_C_G]


@kernel
def _starts_from_c(code, call):
    """Whether an accumulating contraction has seen a micro-batch of its shard, and so starts from `c`, not `start`."""
    return code[_ACCUMULATE] != 0 and call[InstructionCall.FIRST] == 0


@kernel
def _describe(code, call, d):
    """Fill in the `Contraction` `d` of the first group, with the operands and the samples of the call."""
    for number in range(_N_LOOPS):  # one by one: to compile a slice assignment takes Numba half a second
        d[number] = code[_FIRST_NUMBER + number]
    d[Field.A], d[Field.B] = call[_OPERANDS], call[_OPERANDS + 1]
    d[Field.START], d[Field.C] = call[_OPERANDS + 2], call[_OPERANDS + 3]
    if code[_SAMPLE_LOOP] == Samples.I:
        d[Field.I] = call[InstructionCall.SAMPLES]
    elif code[_SAMPLE_LOOP] == Samples.T:
        d[Field.T] = call[InstructionCall.SAMPLES]
    if _starts_from_c(code, call):
        d[Field.START], d[Field.start_q] = d[Field.C], 1
        d[Field.start_i], d[Field.start_j], d[Field.start_p] = d[Field.c_i], d[Field.c_j], d[Field.c_p]
    _merge_rows(d)
    _merge_rows(d)
    if d[Field.J] == 1:
        _move_up(d)
    _merge_products(d)
    _merge_products(d)


@kernel
def _merge_rows(d):
    """Merge loops j and p if the strides of every operand allow it, and move loop i up to j.

    With one pixel per sample, the samples become the rows of the tile; without borders, an image becomes one row.
    """
    count = d[Field.M]
    single = count == 1
    flat = (
        d[Field.a_j] == count * d[Field.a_p]
        and d[Field.start_j] == count * d[Field.start_p]
        and d[Field.c_j] == count * d[Field.c_p]
    )
    if single or flat:
        d[Field.M] = count * d[Field.J]
        if single:
            d[Field.a_p], d[Field.start_p], d[Field.c_p] = d[Field.a_j], d[Field.start_j], d[Field.c_j]
        _move_up(d)


@kernel
def _move_up(d):
    """Move loop i to loop j, which has one turn: the tile processes several lines of j together."""
    d[Field.J], d[Field.a_j], d[Field.start_j], d[Field.c_j] = d[Field.I], d[Field.a_i], d[Field.start_i], d[Field.c_i]
    d[Field.I] = 1


@kernel
def _merge_products(d):
    """Merge loops r and k if the strides of both operands allow it, and move loop t up to r."""
    count = d[Field.K]
    single = count == 1
    if single or (d[Field.a_r] == count * d[Field.a_k] and d[Field.b_r] == count * d[Field.b_k]):
        d[Field.K] = count * d[Field.R]
        if single:
            d[Field.a_k], d[Field.b_k] = d[Field.a_r], d[Field.b_r]
        d[Field.R], d[Field.a_r], d[Field.b_r] = d[Field.T], d[Field.a_t], d[Field.b_t]
        d[Field.T] = 1


@kernel
def _take_rows(d, first, count):
    """Narrow a contraction with one loop of rows (I = J = 1) to `count` rows of A from `first` on.

    C is not moved: it holds these rows alone.
    """
    d[Field.A] += 4 * first * d[Field.a_p]
    d[Field.M] = count


@kernel
def _take_part(d, part, parts):
    """Narrow a contraction to one of `parts` parts of its output.

    The parts are columns if there is a widest panel for each, so that no two parts read the same weights; else rows.
    """
    if d[Field.N] >= parts * _W0:
        panels = d[Field.N] // _W0
        first, last = panels * part // parts * _W0, panels * (part + 1) // parts * _W0
        d[Field.N] = (d[Field.N] if part == parts - 1 else last) - first
        d[Field.B] += 4 * first
        d[Field.C] += 4 * first
        d[Field.START] += 4 * first * d[Field.start_q]
    elif d[Field.J] >= parts:
        first, last = d[Field.J] * part // parts, d[Field.J] * (part + 1) // parts
        d[Field.J] = last - first
        d[Field.A] += 4 * first * d[Field.a_j]
        d[Field.C] += 4 * first * d[Field.c_j]
        d[Field.START] += 4 * first * d[Field.start_j]
    else:
        first, last = d[Field.M] * part // parts, d[Field.M] * (part + 1) // parts
        d[Field.M] = last - first
        d[Field.A] += 4 * first * d[Field.a_p]
        d[Field.C] += 4 * first * d[Field.c_p]
        d[Field.START] += 4 * first * d[Field.start_p]


@kernel
def _run_blocks(contraction, d):
    """Compute the contraction `d` at address `contraction`, in blocks of its products if it has many.

    A wide FC has thousands. All rows and columns of a block are computed before the next, so that its numbers of A and
    B stay in cache, and the pages of B in the TLB. The sums go on in C from block to block, with the same bits.
    """
    rows, products = d[Field.I] * d[Field.J] * d[Field.M], d[Field.K]
    is_one_loop = d[Field.T] == 1 and d[Field.R] == 1
    if not is_one_loop or products < 2 * _BLOCK or rows <= _FEW_ROWS or d[Field.N] <= _W2:  # _W2: pairs are not cut
        _run_panels(contraction, d)
        return
    a, b, start, relu = d[Field.A], d[Field.B], d[Field.START], d[Field.RELU]
    start_i, start_j, start_p, start_q = d[Field.start_i], d[Field.start_j], d[Field.start_p], d[Field.start_q]
    d[Field.RELU] = 0
    for first in range(0, products, _BLOCK):
        d[Field.A], d[Field.B] = a + 4 * first * d[Field.a_k], b + 4 * first * d[Field.b_k]
        d[Field.K] = min(_BLOCK, products - first)
        if first + d[Field.K] == products:
            d[Field.RELU] = relu
        _run_panels(contraction, d)
        d[Field.START], d[Field.start_q] = d[Field.C], 1
        d[Field.start_i], d[Field.start_j], d[Field.start_p] = d[Field.c_i], d[Field.c_j], d[Field.c_p]
    d[Field.A], d[Field.B], d[Field.START], d[Field.K] = a, b, start, products
    d[Field.start_i], d[Field.start_j], d[Field.start_p], d[Field.start_q] = start_i, start_j, start_p, start_q


@kernel
def _run_panels(contraction, d):
    """Compute the columns of the contraction `d` at address `contraction`, in the widest panels that fit.

    Panels are the outer loop, so that the columns of B that a panel reads stay in cache for all rows.
    """
    columns, q = d[Field.N], 0
    if d[Field.I] == 1 and d[Field.J] == 1 and d[Field.M] <= _FEW_ROWS:
        while columns - q >= _WIDE:
            _panel_of_few_rows(contraction, q)
            q += _WIDE
    while columns - q >= _W0:
        _panel0(contraction, q)
        q += _W0
    while columns - q >= _W1:
        _panel1(contraction, q)
        q += _W1
    if _HAS_PAIRS and columns == _W2 and d[Field.b_k] == _W2 and d[Field.a_k] == 1 and d[Field.K] > 1:
        _panel_of_pairs(contraction, q)
        return
    while columns - q >= _W2:
        _panel2(contraction, q)
        q += _W2
