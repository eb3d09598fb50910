"""The instruction set: every operand and number has its column, and none is forgotten."""

import numpy as np
import pytest

from skconvnet.engine.program.instructions import INSTRUCTIONS, REAL, WIDTH, Op, Space, encode
from tests.engine.walker import decode


def example(op):
    """Operands and numbers of an opcode, all different."""
    operands = {name: (Space(n), 100 + n, 200 + n) for n, name in enumerate(INSTRUCTIONS[op].operands)}
    numbers = {name: 0.5 + n if name in REAL else 300 + n for n, name in enumerate(INSTRUCTIONS[op].numbers)}
    return operands, numbers


@pytest.mark.parametrize("op", Op)
def test_every_operand_and_number_has_a_column_of_its_own(op):
    operands, numbers = example(op)
    row = encode(op, operands, numbers)
    assert (row.dtype, row.shape) == (np.int64, (WIDTH,))
    assert np.count_nonzero(row[13:]) == len(numbers)
    for name, operand in operands.items():
        column = INSTRUCTIONS[op].operand(name)
        assert row[column : column + 3].tolist() == list(operand)
    for name, number in numbers.items():
        column = INSTRUCTIONS[op].number(name)
        assert (row[column].view(np.float64) if name in REAL else row[column]) == number


@pytest.mark.parametrize("op", Op)
def test_an_instruction_is_decoded_as_it_was_encoded(op):
    operands, numbers = example(op)
    assert decode(encode(op, operands, numbers)) == (op, operands, numbers)


@pytest.mark.parametrize("number", [0.1, -2.5, 1e-300, float("inf"), 1])
def test_real_numbers_keep_all_their_bits(number):
    operands, numbers = example(Op.RUNNING_STATISTICS)
    row = encode(Op.RUNNING_STATISTICS, operands, numbers | {"eps": number})
    assert row[INSTRUCTIONS[Op.RUNNING_STATISTICS].number("eps")].view(np.float64) == number


def test_booleans_are_whole_numbers():
    operands, numbers = example(Op.NORMALISE)
    row = encode(Op.NORMALISE, operands, numbers | {"relu": True})
    assert row[INSTRUCTIONS[Op.NORMALISE].number("relu")] == 1


@pytest.mark.parametrize("numbers", [{}, {"size": 1, "rows": 2}, {"rows": 2}])
def test_missing_and_unknown_numbers_are_refused(numbers):
    with pytest.raises(KeyError, match="CLEAR takes size, not"):
        encode(Op.CLEAR, {"y": (0, 0, 0)}, numbers)


@pytest.mark.parametrize("operands", [{}, {"x": (0, 0, 0)}, {"x": (0, 0, 0), "y": (0, 0, 0)}])
def test_missing_and_unknown_operands_are_refused(operands):
    with pytest.raises(KeyError, match="CLEAR takes y, not"):
        encode(Op.CLEAR, operands, {"size": 1})
