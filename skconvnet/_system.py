"""What this process may use of its machine."""

import os
from pathlib import Path

# A container may have less memory than its machine: the limits of Linux control groups, versions 2 and 1.
MEMORY_LIMIT_FILES = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")


def machine_memory(limit_files=MEMORY_LIMIT_FILES):
    """Return the memory that this process may use.

    Parameters
    ----------
    limit_files : sequence of path, optional
        Files that may contain a lower limit, as a number of bytes.

    Returns
    -------
    int or float
        Bytes; infinity if the system does not tell.
    """
    try:
        physical = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, OSError, ValueError):
        physical = float("inf")
    return min([physical, *map(_limit_in, limit_files)])


def _limit_in(path):
    """Return the number in this file, infinity if there is none."""
    try:
        with open(path) as file:
            return int(file.read())
    except (OSError, ValueError):  # no such file, or its text is "max"
        return float("inf")


def cache_folder(kind):
    """Return the directory of one kind of compiled kernels: one for all environments and copies of the package.

    Parameters
    ----------
    kind : str
        "cpu" or "cuda".

    Returns
    -------
    Path
        Below ``NUMBA_CACHE_DIR`` if it is set, else below the user's cache directory. It need not exist. Whoever can
        write there can run code as the user. For a user without a home directory it is a path that cannot exist.
    """
    chosen = os.environ.get("NUMBA_CACHE_DIR")
    if chosen:
        return Path(chosen, kind)
    users = os.environ.get("XDG_CACHE_HOME") or os.environ.get("LOCALAPPDATA") or Path(_home(), ".cache")
    return Path(users, "skconvnet", kind)


def _home():
    try:
        return Path.home()
    except RuntimeError:  # there is none
        return Path(os.devnull)
