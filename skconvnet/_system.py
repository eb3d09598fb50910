"""What this process may use of its machine."""

import os

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
