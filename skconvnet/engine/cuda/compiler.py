"""Compilation: a kernel, a Python function of scalars, becomes PTX for one architecture.

This is the only module that imports `numba.cuda`. Its dispatcher is not used: it asks for a driver, and kernels are
compiled on machines without a GPU too. PTX is kept in a cache on disk, because to compile a kernel takes a tenth of a
second to two seconds.
"""

import hashlib
import os
import warnings
from dataclasses import dataclass, field
from functools import cache, cached_property
from importlib.metadata import PackageNotFoundError, version
from inspect import signature
from pathlib import Path

from joblib import Memory
from numba import cuda, float32, float64, int32, int64, uint32, uint64
from numba.cuda import types
from numba.cuda.cudadecl import registry as declarations
from numba.cuda.cudaimpl import registry as implementations
from numba.cuda.extending import intrinsic, models, register_model
from numba.cuda.typing.templates import AbstractTemplate
from numba.cuda.typing.templates import signature as call_of

from skconvnet._system import cache_folder

__all__ = [
    "KERNELS",
    "Address",
    "Double",
    "Kernel",
    "Real",
    "cached",
    "cuda",
    "define_operator",
    "float32",
    "float64",
    "inlined",
    "int32",
    "int64",
    "intrinsic",
    "kernel",
    "models",
    "ptx",
    "register_model",
    "types",
    "uint32",
    "uint64",
    "versions",
]

# Annotations of a kernel's parameters. A parameter without one is int32.
Address = types.int64  # of a byte in the memory of the device
Real = types.float32
Double = types.float64

# Decorates a function that is compiled into the kernels that call it.
inlined = cuda.jit(device=True, inline="always")


def define_operator(operator, kind, instruction):
    """Define an operator of two values of a Numba type.

    Parameters
    ----------
    operator : function
        Of the module `operator`.
    kind : Type
        Of both operands and of the result.
    instruction : str
        The method of `llvmlite.ir.IRBuilder` that computes it.
    """

    @declarations.register_global(operator)
    class Template(AbstractTemplate):
        def generic(self, args, kws):
            return call_of(kind, kind, kind) if args == (kind, kind) else None

    @implementations.lower(operator, kind, kind)
    def lower(context, builder, signature, operands):
        return getattr(builder, instruction)(*operands)


KERNELS = {}  # every kernel that has been defined, by name


@dataclass(frozen=True, eq=False)
class Kernel:
    """A function that the threads of a grid execute.

    Parameters
    ----------
    function : function
        Takes scalars and returns None. A parameter is an int32 unless it is annotated.
    name : str
        Unique among all kernels.
    threads : int
        Threads of a block.
    blocks : int
        Blocks that have to fit on a multiprocessor at once. It limits the registers of a thread.
    minimum_cc : tuple of int
        The oldest compute capability that can execute it.
    """

    function: object = field(repr=False)
    name: str
    threads: int
    blocks: int = 1
    minimum_cc: tuple[int, int] = (7, 5)

    @cached_property
    def parameters(self):
        """Numba types by name, in order."""
        unannotated, found = signature(self.function).parameters, {}
        for name, parameter in unannotated.items():
            found[name] = types.int32 if parameter.annotation is parameter.empty else parameter.annotation
        return found


def kernel(threads=256, blocks=1, name=None, minimum_cc=(7, 5)):
    """Decorate a function to make it a `Kernel`, which compiles nothing yet.

    Parameters
    ----------
    threads, blocks, name, minimum_cc
        As `Kernel` takes them; the name is by default that of the function.
    """

    def make(function):
        made = Kernel(function, name or function.__name__, threads, blocks, minimum_cc)
        if made.name in KERNELS:
            raise KeyError(f"There are two kernels named {made.name}.")
        KERNELS[made.name] = made
        return made

    return make


def ptx(kernel, compute_capability):
    """Return the PTX of a kernel, compiled or from the cache.

    Parameters
    ----------
    kernel : Kernel
    compute_capability : tuple of int
        The architecture, (9, 0) for example.

    Returns
    -------
    str
        With one entry.
    """
    return cached(_compile, ignore=("kernel",))(kernel, kernel.name, compute_capability, _STAMP)


def _compile(kernel, name, compute_capability, stamp):
    """Compile a kernel; the name and the stamp stand for it in the cache's key."""
    signature = types.void(*kernel.parameters.values())
    bounds = kernel.threads, kernel.blocks
    options = {"cc": compute_capability, "device": False, "abi": "numba", "launch_bounds": bounds}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Numba warns of what does not concern kernels without arrays
        code, _ = cuda.compile(kernel.function, signature, **options)
    return code


@cache
def cached(function, ignore=()):
    """Return a function behind a cache on disk, or as it is where no directory is writable.

    Parameters
    ----------
    function : function
        Its result depends on its arguments alone.
    ignore : tuple of str
        Arguments that others stand for.
    """
    try:
        folder = cache_folder("cuda")
        folder.mkdir(parents=True, exist_ok=True)
        if not os.access(folder, os.W_OK):
            raise PermissionError(f"{folder} is write-protected")
    except OSError as error:
        warnings.warn(
            f"Compiled CUDA kernels cannot be cached ({error}): every process compiles them again. Set NUMBA_CACHE_DIR "
            "to a directory that is writable by you alone.",
            stacklevel=2,
        )
        return function
    # Compressed files have a checksum, so a damaged one is noticed and compiled again.
    return Memory(folder, compress=True, verbose=0).cache(function, ignore=list(ignore))


def _digest():
    """Digest everything that a kernel's PTX depends on besides its name and the architecture."""
    engine = Path(__file__).parents[1]
    sources = [*sorted(engine.joinpath("cuda").rglob("*.py")), *sorted(engine.joinpath("program").rglob("*.py"))]
    compilers = versions("numba", "numba-cuda", "llvmlite", "nvidia-nvvm")
    return hashlib.sha256(b"".join(file.read_bytes() for file in sources) + compilers.encode()).hexdigest()


def versions(*packages):
    """Return the names of packages with their versions, "none" for those that did not come as a package."""
    return ", ".join(f"{name} {_version(name)}" for name in packages)


def _version(name):
    try:
        return version(name)
    except PackageNotFoundError:
        return "none"


# Computed at import: later edits of the sources are not compiled in this process.
_STAMP = _digest()
