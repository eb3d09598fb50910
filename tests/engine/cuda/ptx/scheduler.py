"""Run the threads of a grid, one after another, from one point of waiting to the next. Compiled by Numba.

Every warp runs until each of its lanes has ended or waits for the block; then all threads pass the barrier together.

What a thread finds in memory while it runs is the context: an array of int64 that the scheduler writes and the kernel
reads; see `Slot`.

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

from llvmlite import ir
from numba import njit, types
from numba.extending import intrinsic


# Slot is defined here because Numba's cache of compiled functions notices changes of their own file alone.
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

# Numba treats members of an IntEnum as objects; kernels of the scheduler need plain numbers.
_SLOT = {slot.name: int(slot) for slot in Slot}
LAUNCH, BLOCK, EPOCH, OWN, STRIDE = (_SLOT[name] for name in ("LAUNCH", "BLOCK", "EPOCH", "OWN", "STRIDE"))
NEXT_STAMP, WARP_EPOCH, MEMBERS = _SLOT["NEXT_STAMP"], _SLOT["WARP_EPOCH"], _SLOT["MEMBERS"]
SITE, ADDRESS = _SLOT["SITE"], _SLOT["ADDRESS"]
THREAD, LANE, WARP, THREAD_X, THREADS_X = (_SLOT[n] for n in ("THREAD", "LANE", "WARP", "THREAD_X", "THREADS_X"))
BLOCK_X, BLOCKS_X = _SLOT["BLOCK_X"], _SLOT["BLOCKS_X"]
ENDED, AT_BARRIER, AT_WARP, AT_WARP_MEMORY = (int(wait) for wait in Wait)
RUNNING = 4
_LAST_STAMP = 2**31 - 2


class Outcome(IntEnum):
    """How a launch ended."""

    DONE = 0
    FAILED_CHECK = auto()
    DIVERGENT_BARRIER = auto()
    DIVERGENT_WARP = auto()
    OUT_OF_STAMPS = auto()


FAILED_CHECK, DIVERGENT_BARRIER, DIVERGENT_WARP, OUT_OF_STAMPS = 1, 2, 3, 4


@intrinsic
def _call(typingctx, function, context, frame, thread, resume):
    """Call the machine code at an address."""
    signature = types.int64(types.int64, types.int64, types.int64, types.int64, types.int64)

    def codegen(_, builder, __, arguments):
        word = ir.IntType(64)
        kind = ir.FunctionType(word, [word] * 4)
        return builder.call(builder.inttoptr(arguments[0], kind.as_pointer()), arguments[1:])

    return signature, codegen


@njit(cache=True)
def _new_stamps(context):
    """The first of a range of stamps, one for each thread, warp and the block; -1 if there are none left."""
    first = context[NEXT_STAMP]
    context[NEXT_STAMP] = first + context[STRIDE]
    return first if context[NEXT_STAMP] < _LAST_STAMP else -1


@njit(cache=True)
def _place_thread(context, thread, warp_epoch):
    """Tell the context which thread runs."""
    across, down = context[THREADS_X], context[THREADS_X + 1]
    context[THREAD] = thread
    context[LANE] = thread % 32
    context[WARP] = thread // 32
    context[THREAD_X] = thread % across
    context[THREAD_X + 1] = thread // across % down
    context[THREAD_X + 2] = thread // (across * down)
    context[WARP_EPOCH] = warp_epoch
    context[OWN] = warp_epoch + thread


@njit(cache=True)
def _release_warp(context, first, last, state, resume, exchange, snapshot):
    """Let the lanes go on that wait together; return how they waited, or -1 if some lane that must be there is not.

    The lanes that wait are those of the mask that the first of them brought. A mask of 0 means whoever waits here.
    """
    leader = -1
    for thread in range(first, last):
        if state[thread] == AT_WARP or state[thread] == AT_WARP_MEMORY:
            leader = thread
            break
    if leader < 0:
        return 0
    context[THREAD] = leader
    here, how = resume[leader], state[leader]
    mask = exchange[leader, WORDS - 1]
    members = 0
    for thread in range(first, last):
        waits = state[thread] == how and resume[thread] == here and exchange[thread, WORDS - 1] == mask
        if mask == 0 and waits:
            members |= 1 << (thread - first)
        elif mask >> (thread - first) & 1:
            if not waits:
                context[THREAD] = thread
                return -1
            members |= 1 << (thread - first)
    if members >> (leader - first) & 1 == 0:
        return -1  # the lane is not among those it names
    context[MEMBERS] = members
    for thread in range(first, last):
        snapshot[thread - first] = exchange[thread]
        if members >> (thread - first) & 1:
            state[thread] = RUNNING
    return how


@njit(cache=True)
def _run_warp(function, context, first, last, warp_epochs, frames, frame_bytes, state, resume, exchange, snapshot):
    """Run the lanes of a warp until each has ended or waits for the block."""
    warp = first // 32
    while True:
        for thread in range(first, last):
            if state[thread] != RUNNING:
                continue
            _place_thread(context, thread, warp_epochs[warp])
            code = _call(function, context.ctypes.data, frames + thread * frame_bytes, thread, resume[thread])
            if code == FAILED:
                return FAILED_CHECK
            state[thread] = code & 3
            resume[thread] = code >> 2
        how = _release_warp(context, first, last, state, resume, exchange, snapshot)
        if how < 0:
            return DIVERGENT_WARP
        if how == 0:
            return 0
        if how == AT_WARP_MEMORY:
            warp_epochs[warp] = _new_stamps(context)
            if warp_epochs[warp] < 0:
                return OUT_OF_STAMPS


@njit(cache=True)
def _pass_barrier(context, n_threads, state, resume):
    """Let all threads go on; return 1 if they did, 0 if all have ended, -1 if some do not come to the barrier."""
    waiting, place = 0, -1
    for thread in range(n_threads):
        if state[thread] == AT_BARRIER:
            if place >= 0 and resume[thread] != place:
                context[THREAD] = thread
                return -1
            place = resume[thread]
            waiting += 1
    if waiting == 0:
        return 0
    for thread in range(n_threads):
        if state[thread] != AT_BARRIER:
            context[THREAD] = thread
            return -1
        state[thread] = RUNNING
    return 1


@njit(cache=True)
def _run_block(function, context, n_threads, warp_epochs, frames, frame_bytes, state, resume, exchange, snapshot):
    context[BLOCK] = context[NEXT_STAMP]
    for thread in range(n_threads):
        state[thread] = RUNNING
        resume[thread] = 0
    while True:
        epoch = _new_stamps(context)
        if epoch < 0:
            return OUT_OF_STAMPS
        context[EPOCH] = epoch
        for warp in range((n_threads + 31) // 32):
            warp_epochs[warp] = epoch
            first, last = 32 * warp, min(32 * warp + 32, n_threads)
            outcome = _run_warp(
                function, context, first, last, warp_epochs, frames, frame_bytes, state, resume, exchange, snapshot
            )
            if outcome:
                return outcome
        passed = _pass_barrier(context, n_threads, state, resume)
        if passed < 0:
            return DIVERGENT_BARRIER
        if passed == 0:
            return 0


@njit(cache=True)
def run_grid(function, context, n_threads, warp_epochs, frames, frame_bytes, state, resume, exchange, snapshot):
    """Run every block of a grid in order; return an `Outcome`. The context says which thread failed, and where.

    Parameters
    ----------
    function : int
        Address of the kernel's machine code: (context, frame, thread, resume) -> `FAILED` or 4 resume + `Wait`.
    context : ndarray of int64
        See `Slot`.
    n_threads : int
        Threads of a block.
    warp_epochs : ndarray of int64, shape (warps,)
        Work space.
    frames : int
        Address of `frame_bytes` for each thread: its registers while it waits, and its local memory.
    frame_bytes : int
    state, resume : ndarray of int64, shape (threads,)
        Work space.
    exchange : ndarray of int32, shape (threads, WORDS)
    snapshot : ndarray of int32, shape (32, WORDS)
    """
    context[LAUNCH] = context[NEXT_STAMP]
    context[NEXT_STAMP] += 1
    across, down, deep = context[BLOCKS_X], context[BLOCKS_X + 1], context[BLOCKS_X + 2]
    for block in range(across * down * deep):
        context[BLOCK_X] = block % across
        context[BLOCK_X + 1] = block // across % down
        context[BLOCK_X + 2] = block // (across * down)
        outcome = _run_block(
            function, context, n_threads, warp_epochs, frames, frame_bytes, state, resume, exchange, snapshot
        )
        if outcome:
            return outcome
    return 0
