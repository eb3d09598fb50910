"""Numbers as the bits of an instruction, and arrays at addresses."""

import numpy as np
import pytest
from numba import njit

from skconvnet.engine.cpu.llvm.pointers import array_at, real
from skconvnet.engine.program.instructions import INSTRUCTIONS, Op, encode


@njit
def real_of(bits):
    return real(bits)


@pytest.mark.parametrize("number", [0.1, -1e-5, 0.0, -0.0, 1e300, 5e-324, np.inf, -np.inf, np.pi])
def test_a_number_that_is_not_whole_comes_back_with_all_its_bits(number):
    operands = dict.fromkeys(INSTRUCTIONS[Op.RUNNING_STATISTICS].operands, (0, 0, 0))
    row = encode(Op.RUNNING_STATISTICS, operands, {"depth": 8, "eps": number})
    found = real_of(row[INSTRUCTIONS[Op.RUNNING_STATISTICS].number("eps")])
    assert np.float64(found).tobytes() == np.float64(number).tobytes()


def test_nan_stays_nan():
    assert np.isnan(real_of(np.float64(np.nan).view(np.int64)))


@njit
def doubled(address, rows, columns):
    values = array_at(address, (rows, columns), np.float32)
    values *= 2
    return values.copy()


def test_an_array_at_an_address_is_a_view_of_that_memory():
    memory = np.arange(10, dtype=np.float32)
    found = doubled(memory[2:].ctypes.data, 2, 3)
    assert found.tolist() == [[4, 6, 8], [10, 12, 14]]
    assert memory.tolist() == [0, 1, 4, 6, 8, 10, 12, 14, 8, 9]
