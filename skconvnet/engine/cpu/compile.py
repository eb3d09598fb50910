"""Compilation: kernels, which are only linked into their callers, and entries, which are compiled and cached.

An entry is a C function that others call by its address. What is cached of it depends on everything that is compiled
into it: a digest of all compiled sources, the stamp, is in the name of its file.
"""

import hashlib
import logging
import os
import pickle
import sys
import warnings
from functools import cache, partial
from importlib import import_module
from pathlib import Path
from threading import Lock

import llvmlite
import numba
from numba import njit, types
from numba.core.ccallback import CFunc
from numba.core.codegen import JITCodeLibrary
from numba.core.compiler import CompilerBase, CompileResult, DefaultPassBuilder
from numba.core.compiler_machinery import AnalysisPass, register_pass
from numba.core.registry import cpu_target
from numba.core.serialize import dumps
from numba.core.typed_passes import NativeLowering

from skconvnet._system import cache_folder
from skconvnet.engine.cpu.cache import CachedFile, claimed
from skconvnet.engine.cpu.threads import most_threads
from skconvnet.engine.cpu.together import do_all, do_unclaimed, helpers

__all__ = ["STAMP", "Entry", "compile_unclaimed", "entries", "entry", "kernel", "stamp_of"]


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
    """A C function ``void f(int64, ...)``, loaded from the cache or compiled.

    Parameters
    ----------
    function : function
        Takes int64 arguments, returns None and has no closure. It is compiled for several threads if it has a `prange`.
    stamp : str
        A cached entry with another stamp is not loaded.

    Attributes
    ----------
    address : int
        Address of the C function.
    cache_hits : int
        1 if the entry was loaded, 0 if it was compiled.
    cache_path : Path or None
        Directory of the cache; None if the entry could not be written there.
    """

    def __init__(self, function, stamp=STAMP):
        arguments = (types.int64,) * function.__code__.co_argcount
        options = {"nogil": True, "error_model": "numpy", "parallel": "prange" in function.__code__.co_names}
        super().__init__(function, (arguments, types.void), {}, options)
        self._cache = _EntryCache(function, stamp)
        self.compile()

    @property
    def cache_path(self):
        """Directory of the cache; None if the entry could not be written there."""
        return self._cache.folder


class _EntryCache:
    """The cached file of an entry, as Numba's `CFunc` uses it.

    A damaged file or a full disk costs a warning instead of an error.

    Parameters
    ----------
    function : function
    stamp : str

    Attributes
    ----------
    folder : Path or None
        The directory from which the entry was loaded, or to which it was written; None before and without either.
    """

    def __init__(self, function, stamp):
        self.folder = None
        self._file = _file_of(function, stamp)

    def load_overload(self, _, target_context):
        """Return the compiled entry, or None if it has to be compiled."""
        target_context.refresh()  # or it knows too little to link
        try:
            loaded = CompileResult._rebuild(target_context, *pickle.loads(self._file.read()))
        except (FileNotFoundError, NotADirectoryError):
            return None
        except Exception as error:  # pickle can raise any exception on a damaged file
            path = self._file.path
            warnings.warn(f"The cached kernel {path} is damaged ({error!r}): compiling it again.", stacklevel=2)
            return None
        self.folder = self._file.path.parent
        return loaded

    def save_overload(self, _, compiled):
        """Write the compiled entry."""
        if compiled.library.has_dynamic_globals:
            raise TypeError(f"{compiled.fndesc.qualname} has addresses of this process in it, so it cannot be cached.")
        try:
            self._file.write(dumps(compiled._reduce()))
        except OSError as error:  # no directory that can be written to, or a full disk
            _warn_once(str(error))
            return
        self.folder = self._file.path.parent


def _file_of(function, stamp=STAMP):
    """Return the cached file of an entry. It depends on the sources, the processor, Python and Numba."""
    processor = cpu_target.target_context.codegen().magic_tuple()
    python = sys.implementation.cache_tag, getattr(sys, "abiflags", "")
    settings = [str(getattr(numba.config, name)) for name in _SETTINGS]
    depends_on = function.__module__, stamp, processor, python, numba.__version__, llvmlite.__version__, settings
    return CachedFile(cache_folder("cpu"), function.__name__, depends_on)


@cache
def _warn_once(reason):
    warnings.warn(
        f"Compiled kernels cannot be cached ({reason}): every process compiles them again. Set NUMBA_CACHE_DIR to a "
        "directory with free space that is writable by you alone. (The cache consists of pickles, and whoever can "
        "write there can run code as you.)",
        stacklevel=2,
    )


_SETTINGS = ("OPT", "BOUNDSCHECK", "LOOP_VECTORIZE", "SLP_VECTORIZE")  # of Numba, which decide about the code
_MOST_HELPERS = 3  # the entry that takes longest takes a fifth of the time of all

_log = logging.getLogger("skconvnet")
_entries = {}
_compiling = Lock()


def entry(function):
    """Return the entry of a function, made on the first call."""
    (made,) = entries([function])
    return made


def entries(functions):
    """Return the entries of functions, made on the first call, once however many threads and processes call.

    Entries that exist are returned without the lock: in a forked child, the lock may be held forever by a thread of
    the parent.

    Parameters
    ----------
    functions : list of function
        In the order in which they should be compiled: those that take long first.

    Returns
    -------
    list of Entry
    """
    if not _entries.keys() >= set(functions):
        with _compiling:
            _make([function for function in functions if function not in _entries])
    return [_entries[function] for function in functions]


def _make(functions):
    """Load the entries that are cached, and compile the others."""
    absent = [function for function in functions if not _file_of(function).path.exists()]
    for function in functions:
        if function not in absent:
            _add(function)
    if absent:
        with claimed(cache_folder("cpu") / "all") as leads:
            _compile(absent, leads)


def _compile(functions, leads):
    """Compile entries together with other processes. The one that leads says so, and starts helpers."""
    folder = cache_folder("cpu")
    is_kept = os.access(folder, os.W_OK)
    if leads:
        _log_compiling(functions, folder if is_kept else None)
    names = [(function.__module__, function.__name__) for function in functions]
    with helpers(_n_helpers(functions) if leads and is_kept else 0, compile_unclaimed, names):
        do_all(_jobs(functions))


def compile_unclaimed(names):
    """Compile the entries, or load them, that no other process compiles at the moment: the work of a helper.

    Parameters
    ----------
    names : list of (str, str)
        Module and name of each entry's function.
    """
    do_unclaimed(_jobs([getattr(import_module(module), name) for module, name in names]))


def _jobs(functions):
    return {_file_of(function).path: partial(_add, function) for function in functions}


def _add(function):
    _entries[function] = Entry(function)


def _n_helpers(functions):
    """Return how many processes shall help: to start one takes as long as to compile two or three entries."""
    return min(_MOST_HELPERS, most_threads() - 1, len(functions) // 3)


def _log_compiling(functions, folder):
    """Say that kernels are compiled, and that each is compiled once if there is a directory to keep them in."""
    names = ", ".join(function.__name__ for function in functions)
    kept = f" They are kept in {folder}, so that each is compiled once." if folder else ""
    _log.warning("Compiling the kernels %s for this processor, which may take a minute.%s", names, kept)
