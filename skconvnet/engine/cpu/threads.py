"""Numba's threads: how many a parallel region uses, and how they wait."""

import os
from contextlib import contextmanager, nullcontext
from threading import Lock

from numba import get_num_threads, set_num_threads, threading_layer

__all__ = ["are_lost", "most_threads", "one_at_a_time", "threads"]

_SPINS = "2000"  # turns, measured in docs/decisions/0005


@contextmanager
def threads(count):
    """Limit the parallel regions of this Python thread to `count` threads, and restore the limit on exit.

    A limit that is lower already stays: a plan for more workers than threads gives the same results.
    """
    before = get_num_threads()
    set_num_threads(min(count, before))
    try:
        yield
    finally:
        set_num_threads(before)


def most_threads():
    """Return how many threads parallel regions of this Python thread may use."""
    return get_num_threads()


def are_lost():
    """Return whether this process was forked from the one that started the threads.

    A forked child has only the thread that forked, and GNU OpenMP ends a child that enters a parallel region.
    """
    return os.getpid() != _owner


def one_at_a_time():
    """Return the context in which to enter a parallel region: a lock under the layer "workqueue", which needs one."""
    return _lock


def _start():
    """Start the threads so that they sleep while they wait, after a short spin.

    By default, GNU OpenMP's threads spin for milliseconds, in the time that other threads on the same processor need:
    two fits side by side were fifteen times slower each. The runtime reads the environment once, when Numba loads it.
    A setting by the user is kept.
    """
    if os.environ.keys() & {"GOMP_SPINCOUNT", "OMP_WAIT_POLICY"}:
        get_num_threads()
        return
    os.environ["GOMP_SPINCOUNT"] = _SPINS
    try:
        get_num_threads()
    finally:
        del os.environ["GOMP_SPINCOUNT"]


_start()
_owner = os.getpid()
_lock = Lock() if threading_layer() == "workqueue" else nullcontext()
