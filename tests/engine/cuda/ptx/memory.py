"""Global memory of the device that we imitate: one span of addresses, of which parts are allocated."""

import mmap
from bisect import bisect_right, insort

import numpy as np

from tests.engine.cuda.ptx.errors import PtxError
from tests.engine.cuda.ptx.scheduler import BY_HOST, UNALLOCATED, UNWRITTEN

_ALIGNMENT = 256
_NO_RESERVE = 0x4000  # MAP_NORESERVE of Linux: pages are taken when they are touched


def _reserve(n_bytes):
    """Zeros whose pages are taken when they are touched."""
    flags = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | _NO_RESERVE
    return np.frombuffer(mmap.mmap(-1, n_bytes, flags=flags), np.uint8)


class Memory:
    """Allocations, with real addresses, and the stamps of who wrote and read what (see `scheduler`).

    Allocations begin at multiples of 256 and have at least 256 bytes between them, so that a small overrun is noticed.

    Parameters
    ----------
    n_bytes : int, default=2**31
        Size of the device's memory. Pages that are not used cost nothing.
    """

    def __init__(self, n_bytes=2**31):
        self.size = -(-n_bytes // mmap.PAGESIZE) * mmap.PAGESIZE
        self._bytes = _reserve(self.size)
        self._written = _reserve(self.size).view(np.int32)
        self._read = _reserve(self.size).view(np.int32)
        self.base = self._bytes.ctypes.data
        self.to_written = self._written.ctypes.data - self.base
        self.to_read = self._read.ctypes.data - self.base
        self.next_stamp = BY_HOST + 1
        self._spans = []  # (first byte, bytes) from the base, sorted
        self._constants = {}

    def allocate(self, n_bytes):
        """Return the address of `n_bytes` new bytes, a multiple of 256. Raise MemoryError if there is no room."""
        need = max(int(n_bytes), 1)
        start = _ALIGNMENT  # the first words stay unallocated: accesses out of bounds are checked there
        for first, size in self._spans:
            if first - start >= need + _ALIGNMENT:
                break
            start = -(-(first + size) // _ALIGNMENT) * _ALIGNMENT + _ALIGNMENT
        if start + need + _ALIGNMENT > self.size:
            raise MemoryError(f"{need} bytes are asked for, of {self.size} the device has {self.free_bytes} free")
        insort(self._spans, (start, need))
        self._stamp(start, need, UNWRITTEN)
        return self.base + start

    def free(self, address):
        """Give an allocation back."""
        start, size = self._allocation(address, 0)
        if address != self.base + start:
            raise PtxError(f"{address:#x} is not the beginning of an allocation")
        self._spans.remove((start, size))
        self._stamp(start, size, UNALLOCATED)

    def upload(self, address, array):
        """Copy a C-contiguous array to an address."""
        data = np.ascontiguousarray(array).reshape(-1).view(np.uint8)
        self.view(address, data.size)[:] = data
        self._stamp(address - self.base, data.size, BY_HOST)

    def download(self, address, array):
        """Fill a C-contiguous array from an address."""
        data = array.reshape(-1).view(np.uint8)
        data[:] = self.view(address, data.size)

    def clear(self, address, n_bytes):
        """Write zeros."""
        self.view(address, n_bytes)[:] = 0
        self._stamp(address - self.base, n_bytes, BY_HOST)

    def view(self, address, n_bytes):
        """The bytes at an address, as an array of uint8 that shares memory with the device."""
        start = address - self.base
        first, size = self._allocation(address, n_bytes)
        if start + n_bytes > first + size:
            raise PtxError(f"{n_bytes} bytes at {address:#x} go beyond their allocation, which has {size} bytes")
        return self._bytes[start : start + n_bytes]

    @property
    def free_bytes(self):
        """Bytes that are not allocated."""
        return self.size - sum(size for _, size in self._spans)

    def describe(self, address):
        """Say where an address lies, for errors."""
        place = bisect_right(self._spans, (address - self.base, self.size)) - 1
        if place < 0:
            return f"{address:#x}, before every allocation"
        first, size = self._spans[place]
        return f"{address:#x}, byte {address - self.base - first} of an allocation of {size}"

    def stamps(self, address, n_bytes):
        """Who wrote and who read the numbers at an address, as two arrays; empty outside of memory."""
        first = (address - self.base) // 4
        last = first + max(n_bytes // 4, 1)
        if not 0 <= first <= last <= len(self._written):
            return self._written[:0], self._read[:0]
        return self._written[first:last], self._read[first:last]

    def renew_stamps(self):
        """Forget who wrote and read what, so that stamps can begin anew."""
        for first, size in self._spans:
            words = slice(first // 4, -(-(first + size) // 4))
            np.minimum(self._written[words], BY_HOST, out=self._written[words])
            self._read[words] = 0
        self.next_stamp = BY_HOST + 1

    def constant(self, owner, content):
        """The address of bytes that belong to a program; they are uploaded once."""
        if owner not in self._constants:
            self._constants[owner] = self.allocate(len(content))
            self.upload(self._constants[owner], np.frombuffer(content, np.uint8))
        return self._constants[owner]

    def _allocation(self, address, n_bytes):
        place = bisect_right(self._spans, (address - self.base, self.size)) - 1
        if place < 0 or address - self.base >= sum(self._spans[place]):
            raise PtxError(f"{n_bytes} bytes at {address:#x} are asked for, and nothing is allocated there")
        return self._spans[place]

    def _stamp(self, start, n_bytes, stamp):
        words = slice(start // 4, -(-(start + n_bytes) // 4))
        self._written[words] = stamp
        self._read[words] = 0
