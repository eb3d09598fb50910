"""A network: a bound architecture with its parameters; and the way from any plan of it to the machine."""

import math
import time

import joblib
import numpy as np

from skconvnet.engine.parameters import Learned, Weights, lay_out_parameters
from skconvnet.engine.plan import plan_training
from skconvnet.engine.program import Rule, Warp

__all__ = ["Network", "compile_time", "execute", "memory_needed", "thread_count"]

_NO_MOMENTS = np.zeros((2, 0), np.float32)
_NO_TARGETS = np.zeros(0, np.int64)
_NO_WEIGHTS = np.zeros(0)
_NO_SCORES = np.zeros((0, 0), np.float32)
_NO_RULE = np.zeros(len(Rule))
_NO_WARPS = np.zeros((0, len(Warp)), np.int64)

_seconds_compiling = 0.0


class Network:
    """A bound architecture with its parameters.

    Parameters
    ----------
    architecture : BoundArchitecture
        The layers and their volumes.
    mean, scale : array-like of shape (channels,)
        Pixels are standardised as (pixel - mean) * scale when they are loaded.

    Raises
    ------
    ArchitectureError
        If no layer has weights.
    """

    def __init__(self, architecture, mean, scale):
        self.architecture = architecture
        self.mean = np.ascontiguousarray(mean, np.float32)
        self.scale = np.ascontiguousarray(scale, np.float32)
        self.layout = lay_out_parameters(architecture)
        self.parameters = None  # not taken before it is known that there is memory for them

    def initialise(self, rng):
        """Draw new weights: normal with variance 2 / inputs of a filter; biases and shifts zero, scales one.

        Source: K. He et al., "Delving Deep into Rectifiers" (2015), section 2.2.

        Parameters
        ----------
        rng : numpy.random.Generator
            Where they are drawn from, layer by layer.
        """
        new = Learned.nothing()
        for layer in self.layout.layers:
            if isinstance(layer, Weights):
                deviation = np.sqrt(2.0 / math.prod(layer.shape[:-1]))
                new.coefs.append((rng.standard_normal(layer.shape) * deviation).astype(np.float32))
                new.intercepts.append(np.zeros(0 if layer.bias is None else layer.K, np.float32))
            else:
                new.coefs.append(np.ones(layer.depth, np.float32))
                new.intercepts.append(np.zeros(layer.depth, np.float32))
        for layer in self.layout.running:
            new.means.append(np.zeros(layer.depth, np.float32))
            new.variances.append(np.ones(layer.depth, np.float32))
        self.learned = new

    @property
    def learned(self):
        """What the network has learned, in new arrays: `Learned`. Setting it sets the parameters."""
        return self.layout.unpack(self.parameters)

    @learned.setter
    def learned(self, learned):
        self.parameters = self.layout.pack(learned)


def memory_needed(architecture, batch_size, n_threads):
    """Return the bytes that training takes beside the images.

    Parameters
    ----------
    architecture : BoundArchitecture
        The network.
    batch_size : int
        Samples in the largest minibatch.
    n_threads : int
        Threads to train with.

    Returns
    -------
    int
        Known before anything is taken: memory, parameters, two moments, the best parameters so far, and what was
        learned as users know it.
    """
    parameters = lay_out_parameters(architecture)
    return 4 * (plan_training(architecture, parameters, batch_size).memory(n_threads) + 5 * parameters.size)


def execute(
    plan,
    network,
    memory,
    source,
    n_threads,
    *,
    segments=None,
    moments=_NO_MOMENTS,
    targets=_NO_TARGETS,
    weights=_NO_WEIGHTS,
    losses=_NO_WEIGHTS,
    scores=_NO_SCORES,
    rule=_NO_RULE,
    warps=_NO_WARPS,
    draw=(0, 0),
):
    """Run a plan on a network.

    Parameters
    ----------
    plan : Plan
        What to do; `segments` in place of its own if given.
    network : Network
        Its parameters are read, and written by an update.
    memory : ndarray of float32
        ``plan.memory(n_threads)`` elements.
    source : tuple
        As `Images.source` returns it.
    n_threads : int
        Threads to use.
    segments, moments, targets, weights, losses, scores, rule, warps : ndarray
        As the machine's entry names them; those a plan does not use may be left out.
    draw : tuple of int
        The seed and the step that decide what DROPOUT draws.
    """
    machine, kernels = _machine(plan.ops)
    pixels, floats, rows = source
    with _threads().threads(n_threads):
        machine.run(
            kernels,
            plan.segments if segments is None else segments,
            plan.program,
            plan.blocks,
            plan.layout(len(rows), n_threads, *draw),
            network.parameters,
            memory,
            moments,
            pixels,
            floats,
            rows,
            network.mean,
            network.scale,
            targets,
            weights,
            losses,
            scores,
            rule,
            warps,
        )


def compile_time():
    """Return the seconds that this process has spent so far compiling the kernels, or loading them from the cache."""
    return _seconds_compiling


def thread_count(n_jobs=None):
    """Return how many threads `n_jobs` stands for here.

    Parameters
    ----------
    n_jobs : int or None
        As scikit-learn understands it: None is every processor this process may use (a container may have fewer
        than its machine), but one inside a joblib worker; a negative number counts back from all processors.

    Returns
    -------
    int
        At least 1, at most the threads that Numba was started with; 1 in a forked child, which has no others.
    """
    threads = _threads()
    if threads.are_lost():
        return 1
    limit = threads.most_threads()
    if n_jobs is not None:
        return max(1, min(limit, joblib.effective_n_jobs(n_jobs)))
    inside_joblib_worker = joblib.parallel.get_active_backend()[0].nesting_level not in (0, None)
    return 1 if inside_joblib_worker else min(limit, joblib.cpu_count())


def _threads():
    """Import Numba and start its threads when they are first wanted; nothing is compiled for them."""
    from skconvnet.engine.cpu import threads

    return threads


def _machine(ops):
    """Import the machine when it is first wanted, with Numba, and have the kernels that opcodes need made ready."""
    global _seconds_compiling
    start = time.perf_counter()
    from skconvnet.engine.cpu import machine

    kernels = machine.prepare(ops)
    _seconds_compiling += time.perf_counter() - start
    return machine, kernels
