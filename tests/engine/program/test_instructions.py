"""The instruction set: every number has its place, and none is forgotten."""

import numpy as np
import pytest

from skconvnet.engine.program.instructions import FIRST_NUMBER, NUMBERS, OPERANDS, WIDTH, Descriptor, Op, Space, encode


@pytest.mark.parametrize("op", Op)
def test_operands_and_numbers_have_places_of_their_own(op):
    operands = {name: (Space(n), 100 + n, 200 + n) for n, name in enumerate(OPERANDS)}
    numbers = {name: 300 + n for n, name in enumerate(NUMBERS[op])}
    expected = [op, 0, 100, 200, 1, 101, 201, 2, 102, 202, 3, 103, 203, *numbers.values()]
    row = encode(op, operands, **numbers)
    assert row.tolist() == expected + [0] * (WIDTH - len(expected))
    assert row.dtype == np.int64


def test_operands_that_are_not_used_may_be_left_out():
    assert encode(Op.CLEAR, {}, size=5).tolist() == [Op.CLEAR, *[0] * 12, 5] + [0] * (WIDTH - 14)


@pytest.mark.parametrize("number", [0.1, -2.5, 1e-300, float("inf")])
def test_numbers_that_are_not_whole_keep_all_their_bits(number):
    row = encode(Op.RUNNING_STATISTICS, {}, depth=8, eps=number)
    assert row[FIRST_NUMBER] == 8
    assert row[FIRST_NUMBER + 1 :][:1].view(np.float64) == [number]
    assert row.dtype == np.int64


def test_whole_numbers_and_words_for_yes_and_no_are_themselves():
    numbers = {"rows": np.int64(1), "columns": 2, "depth": 8, "x_row": 0, "y_row": 0, "relu": True}
    assert encode(Op.NORMALISE, {}, **numbers)[FIRST_NUMBER:][:6].tolist() == [1, 2, 8, 0, 0, 1]


def test_what_works_on_one_image_at_a_time_and_what_a_norm_does_are_told_apart_by_their_numbers():
    """The machine compares opcodes with CHANNEL_MOMENTS."""
    norms = [op for op in Op if op >= Op.CHANNEL_MOMENTS]
    assert [op.name for op in norms] == [
        *("CHANNEL_MOMENTS", "BATCH_STATISTICS", "RUNNING_STATISTICS", "LAYER_STATISTICS"),
        *("NORMALISE", "NORMALISE_SUMS", "BATCH_GRADIENTS", "LAYER_GRADIENTS", "NORMALISE_BACKWARD"),
    ]


@pytest.mark.parametrize("numbers", [{}, {"size": 1, "rows": 2}, {"rows": 2}])
def test_numbers_that_are_missing_or_not_known_are_refused(numbers):
    with pytest.raises(KeyError, match=r"CLEAR takes \['size'\]"):
        encode(Op.CLEAR, {}, **numbers)


def test_a_contraction_is_written_as_the_tile_reads_it():
    names = NUMBERS[Op.CONTRACT]
    fields = [field.name for field in Descriptor]
    assert names[: len(fields) - 4] == fields[:-4]
    assert fields[-4:] == ["A", "B", "START", "C"]
    assert FIRST_NUMBER + max(map(len, NUMBERS.values())) == WIDTH
