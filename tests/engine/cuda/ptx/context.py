"""What a thread finds in memory while it runs: one array of int64, written by the scheduler and read by the kernel.

Stamps order accesses. Each thread has an int32 number, its stamp, that is new after every barrier. Per 4 bytes of
memory we keep the stamp of who wrote there last, and of who read there last:

    0                           not allocated
    1                           allocated, never written
    2                           written by the host
    [launch, block)             this launch, another block; `launch` itself: read by several blocks
    [block, epoch)              this block, before the last barrier
    [epoch, epoch + stride)     this block, since the last barrier: epoch + thread, or
                                epoch + threads + warp for several threads of a warp, the last for several warps

Two accesses of the same number by different threads need a barrier between them, if one of them writes.
"""

from enum import IntEnum, auto


class Slot(IntEnum):
    """Places in the context."""

    PARAMETERS = 0  # address of the parameter buffer
    CONSTANTS = auto()  # address of the program's constants
    ARENA = auto()  # address of global memory, its bytes, and what to add to an address for its two stamps
    ARENA_SIZE = auto()
    TO_WRITTEN = auto()
    TO_READ = auto()
    READABLE = auto()  # the lowest stamp that may be read: 2, or 1 where memory need not be initialised
    SHARED = auto()
    SHARED_SIZE = auto()
    SHARED_WRITTEN = auto()
    SHARED_READ = auto()
    LAUNCH = auto()  # stamps, see above
    BLOCK = auto()
    EPOCH = auto()
    WARP_EPOCH = auto()  # the stamp of thread 0 had it been in this warp since the warp's last synchronisation
    OWN = auto()
    STRIDE = auto()
    NEXT_STAMP = auto()
    FUEL = auto()  # back edges that may still be taken
    SITE = auto()  # where a check failed: the instruction, and the address
    ADDRESS = auto()
    EXCHANGE = auto()  # address of int32 (threads, WORDS): what lanes offer
    SNAPSHOT = auto()  # address of int32 (32, WORDS): what the lanes of the running warp offered
    MEMBERS = auto()  # mask of the lanes that the snapshot is of
    THREAD = auto()
    LANE = auto()
    WARP = auto()
    THREAD_X = auto()
    THREAD_Y = auto()
    THREAD_Z = auto()
    THREADS_X = auto()
    THREADS_Y = auto()
    THREADS_Z = auto()
    BLOCK_X = auto()
    BLOCK_Y = auto()
    BLOCK_Z = auto()
    BLOCKS_X = auto()
    BLOCKS_Y = auto()
    BLOCKS_Z = auto()


class Wait(IntEnum):
    """Why a thread returned: it ended, waits for its block, for its warp, or for its warp and its memory."""

    ENDED = 0
    BLOCK = 1
    WARP = 2
    WARP_MEMORY = 3


FAILED = -1
WORDS = 8  # a lane offers up to 7 numbers; the last is the mask of those that take part
PENDING = 2**31 - 1  # stamp of shared memory that cp.async has not filled yet
UNALLOCATED, UNWRITTEN, BY_HOST = 0, 1, 2
