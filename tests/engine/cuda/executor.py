"""The driver of a device that we imitate: the seam of the CUDA machine, over kernels that the CPU executes as PTX."""

from functools import wraps
from threading import RLock

from skconvnet.engine.cuda.compiler import ptx
from tests.engine.cuda.ptx import execute

__all__ = ["PtxDriver"]


class PtxDriver:
    """What the CUDA machine asks of a driver; it checks more than a GPU does, see `ptx.execute`.

    Several threads may use it; it does one thing at a time.

    Parameters
    ----------
    compute_capability : tuple of int, default=(9, 0)
        The architecture that kernels are compiled for.
    n_bytes : int, default=2**31
        Size of the device's memory.
    check : bool, default=True
        If False, only bounds, barriers and fuel are checked.
    fuel : int, default=execute.FUEL
        Rounds of loops that all threads of a launch together may take.
    """

    name = "of this machine's imagination"

    def __init__(self, compute_capability=(9, 0), n_bytes=2**31, check=True, fuel=execute.FUEL):
        self.compute_capability = compute_capability
        self._settings = {"check": check, "fuel": fuel}
        self._lock = RLock()  # garbage may be collected, and free memory, at any moment
        self._memory = execute.Memory(n_bytes)
        for name in ("allocate", "free", "upload", "download", "clear"):
            setattr(self, name, _alone(self._lock, getattr(self._memory, name)))

    def memory(self):
        """Return how many bytes of the device are free, and how many it has."""
        return self._memory.free_bytes, self._memory.size

    def load(self, kernel):
        """Return a kernel as `record` launches it; PTX is read once."""
        return execute.load(ptx(kernel, self.compute_capability))

    def record(self, launches):
        """Return a graph of launches, which are executed in order at each `replay`."""
        work = [(self.load(kernel), grid, kernel.threads, arguments) for kernel, grid, arguments in launches]
        return _Graph(work, self._memory, self._settings, self._lock)

    def synchronize(self):
        """Wait for nothing: a graph has been executed when `replay` returns."""


class _Graph:
    def __init__(self, work, memory, settings, lock):
        self._work, self._memory, self._settings, self._lock = work, memory, settings, lock

    def replay(self):
        """Execute all launches."""
        with self._lock:
            for program, grid, threads, arguments in self._work:
                program.launch(grid, threads, arguments, self._memory, **self._settings)


def _alone(lock, function):
    """Return the function, which only one thread at a time executes."""

    @wraps(function)
    def call(*arguments):
        with lock:
            return function(*arguments)

    return call
