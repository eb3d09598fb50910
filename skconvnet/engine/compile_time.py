"""The seconds that this process has spent on compiling kernels, or on loading compiled ones."""

import time
from contextlib import contextmanager
from threading import Lock

__all__ = ["compile_time", "counted_as_compiling"]

_seconds = 0.0
_adding = Lock()


def compile_time():
    """Return the seconds that this process has spent on compiling kernels or loading them from the cache."""
    return _seconds


@contextmanager
def counted_as_compiling():
    """Count the seconds of a block as compiling."""
    global _seconds
    start = time.perf_counter()
    try:
        yield
    finally:
        with _adding:
            _seconds += time.perf_counter() - start
