"""Compilation: kernels, which are only linked into their callers, and entries, which are compiled and cached.

An entry is a C function that others call by its address. Numba's cache decides by an entry's own file, bytecode and
closure whether a cached entry is still valid; it does not see the kernels that the entry calls. So every entry has a
digest of all compiled sources, the stamp, in its closure.
"""

import hashlib
import pickle
import warnings
from functools import cache
from pathlib import Path
from threading import Lock
from types import CellType, FunctionType

from numba import njit, types
from numba.core.caching import CompileResultCacheImpl, FunctionCache
from numba.core.ccallback import CFunc
from numba.core.codegen import JITCodeLibrary
from numba.core.compiler import CompilerBase, DefaultPassBuilder
from numba.core.compiler_machinery import AnalysisPass, register_pass
from numba.core.serialize import dumps
from numba.core.typed_passes import NativeLowering

__all__ = ["STAMP", "Entry", "entry", "kernel", "stamp_of"]


class _KernelCode(JITCodeLibrary):
    """A kernel and the kernels that it calls as LLVM IR, which is neither optimised nor turned into machine code.

    Numba does both for every function, and once more in each of its callers. Where a version of Numba has other names
    for these two steps, it takes them: kernels are longer in compiling, and are right all the same.
    """

    def _optimize_final_module(self):
        """Leave optimising to the entry, which has all of its kernels before it."""

    def _finalize_final_module(self):
        """Be ready to be linked; there is nothing to execute."""
        self._finalize_dynamic_globals()
        self._finalized = True


@register_pass(mutates_CFG=False, analysis_only=True)
class _RegisterKernel(AnalysisPass):
    """Tell Numba which code to link where a kernel is called."""

    _name = "register_kernel"

    def __init__(self):
        super().__init__()  # abstract in Numba

    def run_pass(self, state):
        """Register the code under a function of C that nobody calls, because Numba's dispatcher needs one."""
        never_called = [].append
        state.cr = state.cr._replace(cfunc=never_called)
        state.targetctx.insert_user_function(never_called, state.cr.fndesc, [state.library])
        return False


class _KernelCompiler(CompilerBase):
    """Numba's compiler without its last step, machine code."""

    def define_pipelines(self):
        """Return Numba's pipeline with the code and the registration of kernels."""
        state = self.state
        state.library = _KernelCode(state.targetctx.codegen(), state.func_id.func_qualname)
        state.flags.no_compile = True
        passes = DefaultPassBuilder.define_nopython_pipeline(state)
        passes.add_pass_after(_RegisterKernel, NativeLowering)
        passes.finalize()
        return [passes]


# Only kernels call kernels, so they need no wrappers for calls from Python and C.
kernel = njit(
    nogil=True, error_model="numpy", no_cpython_wrapper=True, no_cfunc_wrapper=True, pipeline_class=_KernelCompiler
)


def stamp_of(engine):
    """Return a digest of every source in the folder `engine` that is compiled into the entries."""
    sources = [*sorted(engine.joinpath("cpu").rglob("*.py")), *sorted(engine.joinpath("program").rglob("*.py"))]
    return hashlib.sha256(b"".join(source.read_bytes() for source in sources)).hexdigest()


# Computed at import: later edits of the sources are not compiled in this process.
STAMP = stamp_of(Path(__file__).parents[1])


class Entry(CFunc):
    """A C function ``void f(int64, ...)``, loaded from Numba's cache or compiled.

    Parameters
    ----------
    function : function
        Takes int64 arguments, returns None and has no closure.
    stamp : str
        A cached entry with another stamp is not loaded.
    parallel : bool
        Whether the function has a `prange`.

    Attributes
    ----------
    address : int
        Address of the C function.
    cache_hits : int
        1 if the entry was loaded, 0 if it was compiled.
    cache_path : str or None
        Directory of the cache; None if no directory is writable.
    """

    def __init__(self, function, stamp=STAMP, parallel=False):
        arguments = (types.int64,) * function.__code__.co_argcount
        options = {"nogil": True, "error_model": "numpy", "parallel": parallel}
        super().__init__(_with_closure(function, stamp), (arguments, types.void), {}, options)
        self.enable_caching()
        self.compile()

    def enable_caching(self):
        """Cache the entry, with a warning if no directory is writable."""
        try:
            self._cache = _CheckedCache(self.__wrapped__)
        except RuntimeError as error:
            if "cannot cache" not in str(error):
                raise
            _warn_once("no cache directory is writable")

    @property
    def cache_path(self):
        """Directory of the cache."""
        return self._cache.cache_path


def _with_closure(function, stamp):
    """Copy a function and put the stamp in its closure, which Numba makes part of the cache's key."""
    code = function.__code__.replace(co_freevars=("stamp",))
    return FunctionType(code, function.__globals__, function.__name__, None, (CellType(stamp),))


class _CheckedData(CompileResultCacheImpl):
    """Numba's cached data with a checksum: without one, flipped bytes of machine code would be executed."""

    def reduce(self, result):
        data = dumps(super().reduce(result))
        return self._checksum(result.codegen, data), data

    def rebuild(self, target_context, reduced_data):
        checksum, data = reduced_data
        if self._checksum(target_context.codegen(), data) != checksum:
            raise ValueError("wrong checksum")
        return super().rebuild(target_context, pickle.loads(data))

    @staticmethod
    def _checksum(codegen, data):
        """Digest the data, and what a damaged index could confuse: the sources and the processor."""
        return hashlib.sha256(repr((STAMP, codegen.magic_tuple())).encode() + data).digest()


class _CheckedCache(FunctionCache):
    """Numba's cache, in which a damaged file or a full disk costs a warning instead of an error."""

    _impl_class = _CheckedData

    def load_overload(self, sig, target_context):
        try:
            return super().load_overload(sig, target_context)
        except Exception as error:  # pickle can raise any exception on a damaged file
            name = Path(self.cache_path, self._impl.filename_base)
            warnings.warn(f"The cached kernel {name} is damaged ({error!r}): compiling it again.", stacklevel=2)
            self._forget()
            return None

    def _forget(self):
        """Empty the index, or leave the cache alone if that is impossible."""
        try:
            self.flush()
        except OSError as error:
            _warn_once(str(error))
            self.disable()

    def save_overload(self, sig, data):
        try:
            super().save_overload(sig, data)
        except OSError as error:  # a full disk, for example
            _warn_once(str(error))


@cache
def _warn_once(reason):
    warnings.warn(
        f"Compiled kernels cannot be cached ({reason}): every process compiles them again. Set NUMBA_CACHE_DIR to a "
        "directory with free space that is writable by you alone. (The cache consists of pickles, and whoever can "
        "write there can run code as you.)",
        stacklevel=2,
    )


_entries = {}
_compiling = Lock()


def entry(function, parallel=False):
    """Return the entry of a function, made on the first call, once however many threads call.

    An entry that exists is returned without the lock: in a forked child, the lock may be held forever by a thread of
    the parent.
    """
    if function not in _entries:
        with _compiling:
            if function not in _entries:
                _entries[function] = Entry(function, parallel=parallel)
    return _entries[function]
