"""Instructions run alone on the CUDA machine: their kernels become PTX, which is executed on the CPU.

`run` takes what `tests.engine.cpu.programs.run` takes, so that one test can be told for both machines. `Memory` and the
other helpers of that module lay out the operands.
"""

from functools import cache, partial

import numpy as np

from skconvnet.engine.cuda.dispatch import LOWERINGS
from skconvnet.engine.cuda.lowering import call_of
from skconvnet.engine.program.instructions import Space, encode
from tests.engine.cpu import programs
from tests.engine.cuda.executor import PtxDriver

__all__ = ["driver", "execute_on", "run"]


@cache
def driver():
    """The driver of this process, which keeps the kernels that it has compiled."""
    return PtxDriver()


def run(instructions, memory, *, samples=1, **machine):
    """Run (op, operands, numbers) in order on `memory`, in place.

    Every space begins at its beginning.

    Parameters
    ----------
    instructions : list of tuple
    memory : ndarray of float32
    samples : int
        The samples of the batch.
    **machine : int or ndarray
        What the machine's calls have by name: numbers, and tables, which are arrays. The tables too hold what the
        kernels made of them afterwards.
    """
    tables = {name: value for name, value in machine.items() if isinstance(value, np.ndarray)}
    addresses = {name: _upload(table) for name, table in tables.items()}
    at = _upload(memory)
    names = {"samples": samples, **machine, **addresses}
    scratch = []
    for instruction in instructions:
        row, spaces = encode(*instruction), dict.fromkeys(Space, at)
        lower, call = LOWERINGS[instruction[0]], call_of(row, spaces, names)
        list(lower(call))  # it tells how much scratch the instruction needs
        # A kernel that reads scratch before it is written finds no numbers.
        scratch.append(_upload(np.full(max(call.scratch_size, 1), np.nan, np.float32)))
        driver().record(lower(call_of(row, spaces, names, scratch[-1]))).replay()
    driver().synchronize()
    for address, array in ((at, memory), *((addresses[name], table) for name, table in tables.items())):
        driver().download(address, array)
    for address in (at, *addresses.values(), *scratch):
        driver().free(address)


def _upload(array):
    """Return the address of a copy in the memory of the device."""
    address = driver().allocate(array.nbytes)
    driver().upload(address, array)
    return address


execute_on = partial(programs.execute_on, run=run)  # one instruction, on volumes in borders
