"""Numba's threads: started once, lent to one call at a time, and given back."""

import os
from contextlib import contextmanager, nullcontext
from threading import Lock

from numba import get_num_threads, set_num_threads, threading_layer

__all__ = ["are_lost", "most_threads", "one_at_a_time", "threads"]

_SPINS = "2000"  # turns, measured in docs/decisions/0005


@contextmanager
def threads(count):
    """Let parallel regions of this Python thread use `count` threads, and restore what was set before."""
    before = get_num_threads()
    set_num_threads(count)
    try:
        yield
    finally:
        set_num_threads(before)


def most_threads():
    """Return how many threads parallel regions of this Python thread may use."""
    return get_num_threads()


def are_lost():
    """Return whether this process was forked from the one whose threads they are.

    A child has only the thread that forked; GNU OpenMP ends a child that enters a parallel region all the same.
    """
    return os.getpid() != _owner


def one_at_a_time():
    """Return what a parallel region has to hold: a lock under Numba's own thread pool, which takes one at a time."""
    return _lock


def _start():
    """Start the threads, and have them wait for one another asleep after a short spin.

    GNU OpenMP's threads spin for milliseconds by default. On a processor that other work shares, they spin in the time
    that the thread they wait for needs: two fits side by side were fifteen times slower each. The runtime reads its
    environment once, when Numba loads it; what the user has set stands.
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
