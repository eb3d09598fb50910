"""Compiling the kernels before they are needed."""

import time
from dataclasses import dataclass


@dataclass(frozen=True)
class Warmup:
    """What `warmup` did.

    Parameters
    ----------
    seconds : float
        How long it took; almost 0 if this process had the kernels already.
    compiled : bool
        Whether this process compiled kernels. If not, all were loaded from the cache.
    cache : str or None
        The directory of the cache; None if no directory is writable.
    """

    seconds: float
    compiled: bool
    cache: str | None

    def __str__(self):
        """Return two lines of text."""
        nowhere = "none: every process compiles again; set NUMBA_CACHE_DIR to a directory that you alone can write to"
        how = "compiled" if self.compiled else "loaded"
        return f"kernels {how} in {self.seconds:.1f} s\ncache: {self.cache or nowhere}"


def warmup():
    """Compile the kernels or load them from the cache, so that the first `fit` or `predict` does not wait for them.

    All networks use the same kernels, so one call fills the cache for every later process with the same user, processor
    and versions of the package, Numba and Python. On two or more processors, helper processes compile some of them;
    processes that call it at the same time share the work. If no directory is writable, it warns once and compiles the
    kernels for this process.

    Returns
    -------
    Warmup
        The seconds it took, whether the kernels were compiled, and the cache directory.

    Examples
    --------
    >>> import skconvnet
    >>> print(skconvnet.warmup())  # doctest: +SKIP
    kernels compiled in 8.3 s
    cache: /home/you/.cache/skconvnet/cpu
    """
    started = time.perf_counter()
    from skconvnet.engine.cpu import machine

    compiled, cache = machine.prepare_all()
    return Warmup(time.perf_counter() - started, compiled, cache)
