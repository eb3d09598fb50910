"""The driver: memory, kernels and graphs of an NVIDIA GPU. This is the only module that imports NVIDIA's packages.

Kernels run in a stream of their own, in order. Copies do not wait for them, so that images go up while kernels run;
who reads or overwrites what kernels use calls `synchronize` first. A copy has ended when its function returns, so that
kernels that are queued later find it.
"""

import os
import re
from contextlib import contextmanager
from functools import cache

import numpy as np
from cuda.bindings import driver as api
from cuda.core import Device, LaunchConfig, ObjectCode, Program, ProgramOptions
from cuda.core.graph import GraphDefinition

from skconvnet.engine.cuda.compiler import cached, ptx, versions

__all__ = ["Driver", "count_devices", "driver_version"]

_COPIES = api.CUstream(api.CU_STREAM_LEGACY)  # the stream of copies
_OUT_OF_MEMORY = api.CUresult.CUDA_ERROR_OUT_OF_MEMORY


class Driver:
    """One GPU, and the threads of this process that use it.

    Its methods raise a MemoryError where the device has not enough memory, and a RuntimeError for its other errors.

    Parameters
    ----------
    number : int, default=0
        The device, among those that ``CUDA_VISIBLE_DEVICES`` shows.

    Attributes
    ----------
    name : str
        What NVIDIA calls it.
    compute_capability : tuple of int
        Its architecture: (9, 0) for example.
    """

    def __init__(self, number=0):
        self._process = os.getpid()
        with _errors_of_python():
            self._device = Device(number)
            self._enter()
            self.name = self._device.name
            self.compute_capability = tuple(self._device.compute_capability)
            self._stream = self._device.create_stream()  # it does not wait for the stream of copies
        self.load = cache(self._load)

    def _enter(self):
        """Have this Python thread use the device, also where another library has made it use another one."""
        if os.getpid() != self._process:
            raise RuntimeError("This process was forked after its parent had used the GPU, which CUDA does not allow.")
        self._device.set_current()

    def memory(self):
        """Return the bytes of the device's memory that are free, and those that it has."""
        self._enter()
        return _checked(api.cuMemGetInfo())

    def allocate(self, n_bytes):
        """Allocate memory and return its address, a multiple of 256.

        Raises
        ------
        MemoryError
            If the device has not enough memory.
        """
        self._enter()
        return int(_checked(api.cuMemAlloc(max(1, n_bytes))))

    def free(self, address):
        """Free the memory at an address that `allocate` returned, once nothing uses it."""
        if os.getpid() == self._process:  # a forked child does not have what its parent frees
            self._enter()
            _checked(api.cuMemFree(address))

    def upload(self, address, array):
        """Copy a C-contiguous array to an address of the device."""
        self._enter()
        _checked(api.cuMemcpyHtoD(address, array.ctypes.data, array.nbytes))
        _checked(api.cuStreamSynchronize(_COPIES))  # the last bytes may still be on their way from a staging buffer

    def download(self, address, array):
        """Copy from an address of the device into a C-contiguous array, which is overwritten."""
        self._enter()
        _checked(api.cuMemcpyDtoH(array.ctypes.data, address, array.nbytes))

    def clear(self, address, n_bytes):
        """Write zeros."""
        self._enter()
        _checked(api.cuMemsetD8(address, 0, n_bytes))
        _checked(api.cuStreamSynchronize(_COPIES))

    def _load(self, kernel):
        """Return a kernel as `record` launches it, compiled for this device; `load` keeps it."""
        text = ptx(kernel, self.compute_capability)
        cubin = _machine_code(text, "sm_{}{}".format(*self.compute_capability))
        name = re.search(r"\.entry\s+([\w$]+)", text)[1]
        return ObjectCode.from_cubin(cubin).get_kernel(name)

    def record(self, launches):
        """Return a graph of launches, which one `replay` queues in their order.

        Parameters
        ----------
        launches : list of Launch
            At least one.
        """
        self._enter()
        with _errors_of_python():
            graph = node = GraphDefinition()
            for kernel, grid, arguments in launches:
                config = LaunchConfig(grid=grid, block=kernel.threads)
                types = (np.dtype(str(kind)).type for kind in kernel.parameters.values())
                typed = [kind(argument) for kind, argument in zip(types, arguments, strict=True)]
                node = node.launch(config, self.load(kernel), *typed)
            return _Graph(self, graph.instantiate(), self._stream)

    def synchronize(self):
        """Wait until everything that was queued has been executed."""
        self._enter()
        with _errors_of_python():
            self._stream.sync()


class _Graph:
    def __init__(self, driver, graph, stream):
        self._driver, self._graph, self._stream = driver, graph, stream

    def replay(self):
        """Queue one execution; returns at once."""
        self._driver._enter()
        with _errors_of_python():
            self._graph.launch(self._stream)


def count_devices():
    """Return how many GPUs this process can use; 0 where NVIDIA's driver is not installed."""
    try:
        if api.cuInit(0)[0] != api.CUresult.CUDA_SUCCESS:
            return 0
        return _checked(api.cuDeviceGetCount())
    except (RuntimeError, ImportError):  # no driver library, or one that is too old
        return 0


def driver_version():
    """Return the newest version of CUDA that NVIDIA's driver supports, (13, 0) for example; (0, 0) without one."""
    try:
        number = _checked(api.cuDriverGetVersion())
    except (RuntimeError, ImportError):
        return 0, 0
    return number // 1000, number % 1000 // 10


def _machine_code(text, architecture):
    """Return the machine code of PTX, assembled or from the cache."""
    return cached(_assemble)(text, architecture, versions("nvidia-nvjitlink", "cuda-core"))


def _assemble(text, architecture, stamp=""):
    """Return the machine code of PTX, bytes; the stamp, of the versions of what assembles it, is in the cache's key."""
    return bytes(Program(text, "ptx", ProgramOptions(arch=architecture)).compile("cubin").code)


@contextmanager
def _errors_of_python():
    """Raise the errors of NVIDIA's packages, whose classes are private, as MemoryError and RuntimeError."""
    try:
        yield
    except Exception as error:
        if not type(error).__module__.startswith("cuda."):
            raise
        if "OUT_OF_MEMORY" in str(error):
            raise MemoryError("the device is out of memory") from error
        raise RuntimeError(f"{type(error).__name__}: {error}") from error


def _checked(result):
    """Return the values of a call of the driver, or raise its error."""
    error, *values = result
    if error == _OUT_OF_MEMORY:
        raise MemoryError("the device is out of memory")
    if error != api.CUresult.CUDA_SUCCESS:
        _, name = api.cuGetErrorName(error)
        _, text = api.cuGetErrorString(error)
        raise RuntimeError(f"CUDA: {name.decode()}: {text.decode()}.")
    return values[0] if len(values) == 1 else tuple(values) if values else None
