"""The kernels made ready before they are needed."""

import time
from dataclasses import dataclass


@dataclass(frozen=True)
class Warmup:
    """What `warmup` did.

    Parameters
    ----------
    seconds : float
        How long it took; 0 or nearly so where this process had its kernels already.
    compiled : bool
        Whether the kernels of this process were compiled, and not loaded from the cache.
    cache : str or None
        The directory that they are kept in; None where no directory is writable.
    """

    seconds: float
    compiled: bool
    cache: str | None

    def __str__(self):
        """Return two lines for people."""
        where = self.cache or "nowhere: every process compiles its own; set NUMBA_CACHE_DIR to a writable directory"
        return f"kernels {'compiled' if self.compiled else 'loaded'} in {self.seconds:.1f} s\ncache: {where}"


def warmup():
    """Compile the kernels, or load them from the cache, so that the first `fit` or `predict` need not.

    All networks have the same kernels, and so one call fills the cache for every later process of the same user,
    package, processor and Numba. Where no directory is writable it warns once, and the kernels of this process are
    ready all the same. Several processes may do this at once.

    Returns
    -------
    Warmup
        The seconds that it took, whether the kernels were compiled, and where the cache is.

    Examples
    --------
    >>> import skconvnet
    >>> print(skconvnet.warmup())  # doctest: +SKIP
    kernels compiled in 24.3 s
    cache: /home/you/.cache/numba/cpu_3f1c
    >>> print(skconvnet.warmup())  # doctest: +SKIP
    kernels compiled in 0.0 s
    cache: /home/you/.cache/numba/cpu_3f1c
    """
    started = time.perf_counter()
    from skconvnet.engine.cpu import machine

    compiled, cache = machine.prepare_all()
    return Warmup(time.perf_counter() - started, compiled, cache)
