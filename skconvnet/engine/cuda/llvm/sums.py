"""Sums over the threads of a block, in a fixed order."""

from skconvnet.engine.cuda.compiler import cuda, inlined
from skconvnet.engine.cuda.llvm.quads import number, quad
from skconvnet.engine.cuda.llvm.threads import left, thread

__all__ = ["sum_slices"]

_THREADS = 256  # of a block
_QUADS = 4 * _THREADS  # float32 of a table with a quad for each thread


@inlined
def sum_slices(table, value, wide):
    """Sum a quad of each thread over the slices of a block in a tree; every thread gets the sum of its own quad.

    Thread slice * wide + q has quad q of the `wide` quads, a power of two. `table` is shared memory of a quad for each
    of 256 threads, in four runs. Between two sums in one table the caller needs a barrier.
    """
    at = thread()
    table[at], table[at + _THREADS] = number(value, 0), number(value, 1)
    table[at + 2 * _THREADS], table[at + 3 * _THREADS] = number(value, 2), number(value, 3)
    half = _THREADS // 2
    while half >= wide:
        cuda.syncthreads()
        if at < half:
            for run in range(0, _QUADS, _THREADS):
                table[run + at] += table[run + at + half]
        half >>= 1
    cuda.syncthreads()
    own = left(at, wide)
    return quad(table[own], table[own + _THREADS], table[own + 2 * _THREADS], table[own + 3 * _THREADS])
