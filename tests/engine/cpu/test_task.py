"""Columns of tasks and calls, and the names that kernels read."""

import numpy as np
import pytest

from skconvnet.engine.cpu.dispatch import FAMILIES
from skconvnet.engine.cpu.task import Contraction, InstructionCall, Task, number_columns, stride_column
from skconvnet.engine.program.instructions import INSTRUCTIONS, Op, encode


@pytest.mark.parametrize("columns", [Task, InstructionCall, Contraction])
def test_an_array_of_as_many_numbers_as_there_are_names_has_every_column(columns):
    assert [*columns] == [*range(len(columns))]


def test_a_contraction_is_written_as_the_tile_reads_it():
    names, fields = INSTRUCTIONS[Op.CONTRACT].numbers, tuple(field.name for field in Contraction)
    assert names[: names.index("sample_loop")] == fields[:-4]
    assert fields[-4:] == ("A", "B", "START", "C")


@pytest.mark.parametrize("op", Op)
def test_kernels_read_numbers_and_strides_where_they_are_encoded(op):
    instruction = INSTRUCTIONS[op]
    numbers = {name: at for at, name in enumerate(instruction.numbers, 100)}
    operands = {name: (0, 0, at) for at, name in enumerate(instruction.operands, 200)}
    row = encode(op, operands, numbers)
    for column in number_columns(op):
        assert row[column].view(np.int64) in (numbers[column.name], np.float64(numbers[column.name]).view(np.int64))
    for name, (_, _, stride) in operands.items():
        assert row[stride_column(op, name)] == stride


def test_every_opcode_has_a_family():
    assert FAMILIES.keys() == set(Op)
