"""Processes that compile together: each entry is compiled by the process that claims it, and loaded by the others."""

import subprocess
import sys
from contextlib import contextmanager, suppress
from pathlib import Path
from time import monotonic, sleep

from skconvnet.engine.cpu.cache import claimed

__all__ = ["do_all", "do_unclaimed", "helpers"]

_PATIENCE = 60.0  # seconds, after which the process that has a claim is thought to be stopped
_PAUSE = 0.02


def do_all(jobs):
    """Do all jobs: first those that no other process does at the moment, then the others as those processes end.

    Parameters
    ----------
    jobs : dict
        Functions without arguments by the paths that they write. A job whose path was written meanwhile has to notice.
    """
    for path, job in do_unclaimed(jobs).items():
        _wait_for(path)
        job()


def do_unclaimed(jobs):
    """Do the jobs that no other process does at the moment.

    Parameters
    ----------
    jobs : dict
        As for `do_all`.

    Returns
    -------
    dict
        The other jobs.
    """
    others = {}
    for path, job in jobs.items():
        with claimed(path) as mine:
            if mine:
                job()
            else:
                others[path] = job
    return others


def _wait_for(path):
    """Wait until no process claims a path, or patience has an end."""
    until = monotonic() + _PATIENCE
    while monotonic() < until:
        with claimed(path) as mine:
            if mine:
                return
        sleep(_PAUSE)


@contextmanager
def helpers(count, function, argument):
    """Let other processes call a function during a block; at its end they are stopped.

    A process that cannot be started, or fails, is missed by nobody: `do_all` does all jobs without it.

    Parameters
    ----------
    count : int
        Number of processes.
    function : function
        Defined in a module.
    argument : object
        Its repr is Python.
    """
    processes = list(_started(count, function, argument))
    try:
        yield
    finally:
        for process in processes:
            process.kill()
            process.wait()


def _started(count, function, argument):
    """Start processes that call a function, as many as can be started."""
    module, name = function.__module__, function.__name__
    source = f"import sys; sys.path[:] = {[*map(str, sys.path)]!r}; from {module} import {name}; {name}({argument!r})"
    streams = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.DEVNULL)
    no_window = getattr(subprocess, "CREATE_NO_WINDOW", 0)  # on Windows
    if _is_python(sys.executable):
        with suppress(OSError):
            for _ in range(count):
                yield subprocess.Popen([sys.executable, "-c", source], creationflags=no_window, **streams)


def _is_python(executable):
    """Return whether a file is an interpreter, and not a program in which Python is embedded."""
    return not getattr(sys, "frozen", False) and Path(executable or "").name.lower().startswith("python")
