import numpy as np
import pytest

from tests.engine.cuda.ptx.errors import PtxError
from tests.engine.cuda.ptx.memory import Memory


def test_allocations_are_aligned_and_apart():
    memory = Memory(2**16)
    addresses = [memory.allocate(n_bytes) for n_bytes in (1, 256, 257, 0)]
    assert all(address % 256 == 0 for address in addresses)
    gaps = np.diff(addresses) - [1, 256, 257]
    assert (gaps >= 256).all()


def test_what_is_freed_is_allocated_again():
    memory = Memory(2**16)
    first, second, third = (memory.allocate(1000) for _ in range(3))
    free = memory.free_bytes
    memory.free(second)
    assert memory.free_bytes == free + 1000
    assert memory.allocate(1400) > third  # it would reach to the third, without a gap
    assert memory.allocate(900) == second
    assert first < second < third


def test_too_much_is_refused():
    memory = Memory(2**16)
    with pytest.raises(MemoryError, match="65536 bytes are asked for, of 65536 the device has 65536 free"):
        memory.allocate(2**16)
    memory.allocate(2**15)


def test_arrays_go_up_and_come_back():
    memory = Memory(2**16)
    address = memory.allocate(48)
    memory.upload(address, np.arange(12, dtype=np.float32).reshape(3, 4))
    memory.clear(address + 4, 8)
    back = np.empty((3, 4), np.float32)
    memory.download(address, back)
    np.testing.assert_array_equal(back.ravel(), [0, 0, 0, *range(3, 12)])


@pytest.mark.parametrize(("first", "n_bytes"), [(0, 49), (48, 1), (-4, 4), (300, 4)])
def test_copies_stay_inside_of_an_allocation(first, n_bytes):
    memory = Memory(2**16)
    address = memory.allocate(48)
    with pytest.raises(PtxError, match=r"go beyond their allocation|nothing is allocated there"):
        memory.clear(address + first, n_bytes)


def test_only_beginnings_are_freed():
    memory = Memory(2**16)
    address = memory.allocate(48)
    with pytest.raises(PtxError, match="is not the beginning of an allocation"):
        memory.free(address + 4)


def test_stamps_can_begin_anew():
    memory = Memory(2**16)
    address = memory.allocate(12)
    memory.upload(address, np.zeros(1, np.int32))
    written, read = memory.stamps(address, 12)
    written[1] = read[0] = 1000
    memory.next_stamp = 2000
    memory.renew_stamps()
    assert (written.tolist(), read.tolist(), memory.next_stamp) == ([2, 2, 1], [0, 0, 0], 3)
