"""Clearing memory and borders: each instruction alone, as PTX."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_array_equal

pytest.importorskip("numba_cuda", reason="needs the extra skconvnet[cuda] (`make cuda` installs it)")

from skconvnet.engine.program.instructions import Op, Space
from tests.engine.cpu.programs import Memory, borders, framed, operand
from tests.engine.cuda.kernels.harness import examples, run, shapes


@examples(25)
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


@examples(14)
@given(st.sampled_from([0, 1, 7, 31, 256, 257, 512]), st.sampled_from([0, 3]))
def test_clear(size, offset):
    memory = Memory(fill=77)
    at = memory.put(np.ones(3 * 520)) + offset
    memory = memory.array()
    before = memory.copy()
    run([(Op.CLEAR, {"y": (Space.LOCAL, at, 517)}, {"size": size})], memory, samples=3)
    for sample in range(3):
        before[at + 517 * sample :][:size] = 0
    assert_array_equal(memory, before)
