"""Clearing memory and borders: each instruction alone on the machine."""

import numpy as np
import pytest
from hypothesis import given
from numpy.testing import assert_array_equal

from skconvnet.engine.program.instructions import Op, Space
from tests.engine.cpu.programs import (
    Memory,
    borders,
    framed,
    operand,
    run,
    shapes,
)


@given(shapes, borders)
def test_clear_border(shape, border):
    volumes = np.random.default_rng(0).integers(1, 5, shape).astype(np.float32)
    memory = Memory(fill=77)
    place, _ = operand(memory, framed(volumes, border, 9), border)
    memory = memory.array()
    before = memory.copy()
    sides = dict(zip(("top", "left", "bottom", "right"), border, strict=True))
    numbers = {"rows": shape[1], "columns": shape[2], "depth": shape[3], **sides}
    run([(Op.CLEAR_BORDER, {"y": place}, numbers)], memory, samples=shape[0])
    assert_array_equal(memory, np.where(before == 9, 0, before))


@pytest.mark.parametrize("size", [0, 1, 7, 8, 9, 31, 64])
def test_clear(size):
    memory = Memory(fill=77)
    at = memory.put(np.ones(3 * 80))
    memory = memory.array()
    before = memory.copy()
    run([(Op.CLEAR, {"y": (Space.LOCAL, at, 80)}, {"size": size})], memory, samples=3)
    for sample in range(3):
        before[at + 80 * sample :][:size] = 0
    assert_array_equal(memory, before)
