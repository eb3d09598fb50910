"""Places of volumes in their borders, and arenas that volumes share."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from skconvnet.engine.program.instructions import Space
from skconvnet.engine.program.memory import ZEROS, Buffer, aligned_zeros, element, offset, pack, widest

sizes = st.integers(1, 5)
margins = st.integers(0, 3)


@st.composite
def buffers(draw):
    depth = 8 * draw(sizes)
    made = Buffer(draw(sizes), draw(sizes), depth, depth - draw(margins), tuple(draw(margins) for _ in range(4)))
    made.uses = [(use // 4, use) for use in sorted(draw(st.lists(st.integers(0, 12), min_size=1, max_size=4)))]
    return made


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


def segment(use):
    return use[0]


def instruction(use):
    return use[1]


@pytest.mark.parametrize("time", [segment, instruction])
@given(st.lists(buffers(), max_size=12))
def test_buffers_in_use_at_once_do_not_overlap(time, drawn):
    size = pack(drawn, time)
    ends = [buffer.offset + buffer.size for buffer in drawn]
    assert size == max(ends, default=0)
    assert size <= sum(buffer.size for buffer in drawn)
    for n, (one, one_end) in enumerate(zip(drawn, ends, strict=True)):
        assert one.offset >= 0
        assert one.offset % 16 == 0
        for other, other_end in zip(drawn[:n], ends, strict=False):
            at_once = time(one.uses[0]) <= time(other.uses[-1]) and time(other.uses[0]) <= time(one.uses[-1])
            apart = one_end <= other.offset or other_end <= one.offset
            assert apart or not at_once


def chain(length):
    """Buffers of 128 float32, each in use at two instructions, the second of which is the next one's first."""
    return [Buffer(4, 4, 8, 8, uses=[(n // 4, n), ((n + 1) // 4, n + 1)]) for n in range(length)]


def test_buffers_used_one_after_the_other_share_their_place():
    assert pack(chain(10), instruction) == 2 * 128


def test_the_largest_is_placed_first():
    """Smallest first, or first used first, these need 6 * 16: the largest would not fit beside the one before it."""
    uses = [(3, 1, 1), (1, 0, 0), (2, 0, 1)]  # size, first and last instruction
    drawn = [Buffer(2 * size, 1, 8, 8, uses=[(0, first), (0, last)]) for size, first, last in uses]
    assert pack(drawn, instruction) == 5 * 16  # what instruction 1 needs


def test_buffers_used_in_one_segment_do_not():
    assert pack(chain(3), segment) == 3 * 128  # segment 0
    assert pack(chain(10), segment) == 5 * 128  # three of segment 1, one from 0, one to 2


def keeping_zeros(kind, first, last, rows=2):
    return Buffer(rows, 1, 8, 8, zeros=kind, of_batch=True, uses=[(0, first), (0, last)])


def test_buffers_share_what_stays_zero_only_with_their_like_and_only_one_after_the_other():
    like = [keeping_zeros("a", 0, 1), keeping_zeros("a", 2, 3), keeping_zeros("a", 3, 4), keeping_zeros("a", 4, 5)]
    other, plain = keeping_zeros("b", 6, 7), Buffer(2, 1, 8, 8, uses=[(0, 8), (0, 9)])
    assert pack([plain, other, *like[::-1]], instruction) == 4 * 16
    assert [buffer.offset for buffer in (*like, other, plain)] == [0, 0, 16, 0, 32, 48]


def test_buffers_with_zeros_of_one_segment_do_not_share():
    assert pack([keeping_zeros("a", 0, 1), keeping_zeros("a", 2, 3)], segment) == 2 * 16


def test_a_buffer_of_the_batch_is_not_local():
    assert Buffer(4, 5, 8, 8, of_batch=True, uses=[(1, 3), (1, 7)]).space == Space.BATCH


def test_a_buffer_is_local_unless_one_segment_leaves_it_to_another():
    assert Buffer(4, 5, 8, 8, uses=[(1, 3), (1, 7)]).space == Space.LOCAL
    assert Buffer(4, 5, 8, 8, uses=[(1, 3), (1, 7), (2, 8)]).space == Space.BATCH


@given(st.lists(st.tuples(margins, margins, margins, margins), max_size=4))
def test_the_widest_border_holds_every_one(borders):
    found = widest(borders)
    assert found == tuple(max([0, *sides]) for sides in zip(*borders, strict=True)) or not borders
    assert borders or found == (0, 0, 0, 0)


def test_a_volume_without_border_is_contiguous():
    assert Buffer(4, 5, 8, 8).is_dense
    assert not Buffer(4, 5, 8, 8, (0, 0, 0, 1)).is_dense


def test_operands():
    buffer = Buffer(4, 5, 8, 7, (1, 2, 0, 0), offset=100, uses=[(1, 3), (2, 4)])
    places = {Space.LOCAL: (32, 3), Space.BATCH: (0, 7)}
    assert element(buffer).resolve(places) == (Space.BATCH, 700 + 1 * 56 + 2 * 8, 288)
    assert element(buffer, -1, -2).resolve(places) == (Space.BATCH, 700, 288)
    assert element(buffer, 3, 4, 7).resolve(places) == (Space.BATCH, 700 + 4 * 56 + 6 * 8 + 7, 288)
    assert element(buffer, channel=5).resolve(places) == (Space.BATCH, 700 + 1 * 56 + 2 * 8 + 5, 288)
    buffer.uses = [(1, 3), (1, 4)]
    assert element(buffer).resolve(places) == (Space.LOCAL, 32 + 300 + 1 * 56 + 2 * 8, 288)
    assert offset(Space.SHARD, 32).resolve(places) == (Space.SHARD, 32, 0)
    assert ZEROS.resolve(places) == (Space.SHARED, 0, 0)
