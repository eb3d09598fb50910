"""Contractions: one instruction's operands and loops made ready for the register tile."""

import numpy as np
from numba import njit

from skconvnet.engine.cpu.pointers import array_at
from skconvnet.engine.cpu.tile import PANEL, WIDTHS
from skconvnet.engine.program import DESCRIPTOR, FIRST_NUMBER, NUMBERS, Op, Samples

__all__ = ["contract", "describe", "rows_of"]

_AT = {name: at for at, name in enumerate(DESCRIPTOR)}
_I, _J, _M, _N, _T, _R, _K = (_AT[name] for name in "IJMNTRK")
_A_I, _A_J, _A_P, _A_T, _A_R, _A_K = (_AT[f"a_{letter}"] for letter in "ijptrk")
_B_T, _B_R, _B_K = (_AT[f"b_{letter}"] for letter in "trk")
_S_I, _S_J, _S_P, _S_Q = (_AT[f"start_{letter}"] for letter in "ijpq")
_C_I, _C_J, _C_P = (_AT[f"c_{letter}"] for letter in "ijp")
_A, _B, _START, _C = (_AT[name] for name in ("A", "B", "START", "C"))
_FIELDS = len(DESCRIPTOR)
_LOOPS = _A  # the descriptor's fields before its addresses stand in the instruction as they are
_SAMPLES, _ACCUMULATE = (FIRST_NUMBER + NUMBERS[Op.CONTRACT].index(name) for name in ("samples", "accumulate"))
_OVER_I, _OVER_T = int(Samples.I), int(Samples.T)
_W0, _W1, _W2, _W3 = WIDTHS
_panel0, _panel1, _panel2, _panel3 = PANEL


@njit(nogil=True, error_model="numpy")
def describe(code, descriptor, a, b, start, c, samples, first):
    """Fill in the descriptor of one contraction.

    Parameters
    ----------
    code : ndarray of int64
        The instruction.
    descriptor : ndarray of int64, written
        The fields of `DESCRIPTOR`.
    a, b, start, c : int64
        Addresses of the operands, for the first sample.
    samples : int64
        Samples in the micro-batch: the count of the loop that the instruction names.
    first : bool
        Whether this is the first micro-batch of its shard: an accumulating contraction then starts from `start`,
        later from what `c` holds.
    """
    for at in range(_LOOPS):
        descriptor[at] = code[FIRST_NUMBER + at]
    if code[_SAMPLES] == _OVER_I:
        descriptor[_I] = samples
    elif code[_SAMPLES] == _OVER_T:
        descriptor[_T] = samples
    descriptor[_A], descriptor[_B], descriptor[_START], descriptor[_C] = a, b, start, c
    if code[_ACCUMULATE] != 0 and not first:
        descriptor[_START], descriptor[_S_Q] = c, 1
        descriptor[_S_I], descriptor[_S_J], descriptor[_S_P] = descriptor[_C_I], descriptor[_C_J], descriptor[_C_P]
    _merge_rows(descriptor)
    _merge_rows(descriptor)
    _merge_products(descriptor)
    _merge_products(descriptor)


@njit(nogil=True, error_model="numpy")
def _merge_rows(d):
    """Make loops j and p one where every operand's strides allow it, and let i move up to j.

    With one pixel a sample, the samples become the rows of the tile; with no border, an image's rows become one.
    """
    count = d[_M]
    single = count == 1
    flat = d[_A_J] == count * d[_A_P] and d[_S_J] == count * d[_S_P] and d[_C_J] == count * d[_C_P]
    if single or flat:
        d[_M] = count * d[_J]
        if single:
            d[_A_P], d[_S_P], d[_C_P] = d[_A_J], d[_S_J], d[_C_J]
        d[_J], d[_A_J], d[_S_J], d[_C_J] = d[_I], d[_A_I], d[_S_I], d[_C_I]
        d[_I] = 1


@njit(nogil=True, error_model="numpy")
def _merge_products(d):
    """Make loops r and k one where both operands' strides allow it, and let t move up to r."""
    count = d[_K]
    single = count == 1
    if single or (d[_A_R] == count * d[_A_K] and d[_B_R] == count * d[_B_K]):
        d[_K] = count * d[_R]
        if single:
            d[_A_K], d[_B_K] = d[_A_R], d[_B_R]
        d[_R], d[_A_R], d[_B_R] = d[_T], d[_A_T], d[_B_T]
        d[_T] = 1


@njit(nogil=True, error_model="numpy")
def rows_of(descriptor, first, count):
    """Narrow a described contraction with one loop of rows (I = J = 1) to `count` rows of A from `first` on.

    C is not moved: it holds those rows alone.
    """
    descriptor[_A] += 4 * first * descriptor[_A_P]
    descriptor[_M] = count


@njit(nogil=True, error_model="numpy")
def contract(descriptor):
    """Run the described contraction at address `descriptor`: its columns in the widest panels that fit.

    Panels are the outer loop, so that the columns of B one panel reads stay in cache while all rows pass.
    """
    columns, q = array_at(descriptor, (_FIELDS,), np.int64)[_N], 0
    while columns - q >= _W0:
        _panel0(descriptor, q)
        q += _W0
    while columns - q >= _W1:
        _panel1(descriptor, q)
        q += _W1
    while columns - q >= _W2:
        _panel2(descriptor, q)
        q += _W2
    while columns - q >= _W3:
        _panel3(descriptor, q)
        q += _W3
