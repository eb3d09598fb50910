"""Places of volumes in their borders, and arenas that volumes share."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from skconvnet.engine.memory import Buffer, aligned_zeros, at, lined, pack, padded, place
from skconvnet.engine.program import Space

sizes = st.integers(1, 5)
margins = st.integers(0, 3)


@st.composite
def buffers(draw):
    made = Buffer(draw(sizes), draw(sizes), 8 * draw(sizes), tuple(draw(margins) for _ in range(4)))
    made.uses = sorted(draw(st.lists(st.integers(0, 12), min_size=1, max_size=4)))
    return made


def test_rounding():
    assert [padded(depth) for depth in (1, 7, 8, 9, 16)] == [8, 8, 8, 16, 16]
    assert [lined(size) for size in (0, 1, 16, 17)] == [0, 16, 16, 32]


@pytest.mark.parametrize("size", [1, 15, 16, 17, 1000])
def test_zeros_begin_at_a_cache_line(size):
    for zeros in [aligned_zeros(size) for _ in range(5)]:
        assert zeros.ctypes.data % 64 == 0
        assert (zeros.dtype, zeros.shape) == (np.float32, (size,))
        assert not zeros.any()


@given(buffers())
def test_a_buffer_is_the_frame_and_the_volume_row_by_row(buffer):
    top, left, bottom, right = buffer.border
    frame = np.arange((top + buffer.rows + bottom) * (left + buffer.columns + right) * buffer.depth)
    frame = frame.reshape(top + buffer.rows + bottom, left + buffer.columns + right, buffer.depth)
    for row, column in np.ndindex(frame.shape[:2]):
        assert buffer.pixel(row - top, column - left) == frame[row, column, 0]
    assert buffer.pixel(0, 0, buffer.depth - 1) == frame[top, left, -1]
    assert frame.size <= buffer.size < frame.size + 16
    assert buffer.size % 16 == 0


@given(st.lists(buffers(), max_size=12), st.integers(1, 5))
def test_buffers_in_use_at_once_do_not_meet(drawn, micro_batch):
    size = pack(drawn, micro_batch)
    ends = [buffer.offset + buffer.size * micro_batch for buffer in drawn]
    assert size == max(ends, default=0)
    assert size <= sum(buffer.size for buffer in drawn) * micro_batch
    for n, (one, one_end) in enumerate(zip(drawn, ends, strict=True)):
        assert one.offset >= 0
        assert one.offset % 16 == 0
        for other, other_end in zip(drawn[:n], ends, strict=False):
            at_once = one.uses[0] <= other.uses[-1] and other.uses[0] <= one.uses[-1]
            apart = one_end <= other.offset or other_end <= one.offset
            assert apart or not at_once


def test_buffers_used_one_after_the_other_share_their_place():
    chain = [Buffer(4, 4, 8, uses=[n, n + 1]) for n in range(0, 10)]
    assert pack(chain, 2) == 2 * 2 * 128


def test_operands():
    buffer = Buffer(4, 5, 8, (1, 2, 0, 0), Space.BATCH, offset=100)
    assert at(buffer).resolve() == (Space.BATCH, 100 + 1 * 56 + 2 * 8, 288)
    assert at(buffer, -1, -2).resolve() == (Space.BATCH, 100, 288)
    assert at(buffer, 3, 4, 7).resolve() == (Space.BATCH, 100 + 4 * 56 + 6 * 8 + 7, 288)
    assert place(Space.SHARD, 32).resolve() == (Space.SHARD, 32, 0)
