"""The driver of a device that we imitate: the seam of the CUDA machine, over kernels that the CPU executes as PTX."""

from skconvnet.engine.cuda.compiler import ptx
from tests.engine.cuda.ptx import execute

__all__ = ["PtxDriver"]


class PtxDriver:
    """What the CUDA machine asks of a driver; it checks more than a GPU does, see `ptx.execute`.

    Parameters
    ----------
    compute_capability : tuple of int, default=(9, 0)
        The architecture that kernels are compiled for.
    n_bytes : int, default=2**31
        Size of the device's memory.
    check : bool, default=True
        If False, only bounds, barriers and fuel are checked.
    """

    name = "of this machine's imagination"

    def __init__(self, compute_capability=(9, 0), n_bytes=2**31, check=True):
        self.compute_capability = compute_capability
        self.check = check
        self._memory = execute.Memory(n_bytes)
        self.allocate, self.free = self._memory.allocate, self._memory.free
        self.upload, self.download = self._memory.upload, self._memory.download
        self.clear = self._memory.clear

    def memory(self):
        """Return how many bytes of the device are free, and how many it has."""
        return self._memory.free_bytes, self._memory.size

    def load(self, kernel):
        """Return a kernel as `record` launches it; PTX is read once."""
        return execute.load(ptx(kernel, self.compute_capability))

    def record(self, launches):
        """Return a graph of launches, which are executed in order at each `replay`."""
        work = [(self.load(kernel), grid, kernel.threads, arguments) for kernel, grid, arguments in launches]
        return _Graph(work, self._memory, self.check)

    def synchronize(self):
        """Wait for nothing: a graph has been executed when `replay` returns."""


class _Graph:
    def __init__(self, work, memory, check):
        self._work, self._memory, self._check = work, memory, check

    def replay(self):
        """Execute all launches."""
        for program, grid, threads, arguments in self._work:
            program.launch(grid, threads, arguments, self._memory, check=self._check)
