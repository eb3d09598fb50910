"""Compilation: kernels, which are compiled into their callers, and entries, which are compiled once and cached.

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
from numba.core.serialize import dumps

__all__ = ["STAMP", "Entry", "entry", "kernel", "stamp_of"]

# Only kernels call kernels. The wrappers for calls from Python and C would take a tenth of the compile time.
kernel = njit(nogil=True, error_model="numpy", no_cpython_wrapper=True, no_cfunc_wrapper=True)


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
