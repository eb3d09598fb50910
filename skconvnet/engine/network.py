"""A network: a bound architecture, its parameters, and the machine that computes its scores."""

import math
import time

import joblib
import numpy as np

from skconvnet.engine.memory import aligned_zeros
from skconvnet.engine.parameters import lay_out_parameters
from skconvnet.engine.plan import plan_inference, plan_training
from skconvnet.engine.program import Rule

__all__ = ["Network", "compile_time", "execute", "memory_needed", "thread_count"]

_CHUNK = 1 << 22  # pixels, at most, of the images whose scores one run of the machine computes
_NO_MOMENTS = np.zeros((2, 0), np.float32)
_NO_TARGETS = np.zeros(0, np.int64)
_NO_WEIGHTS = np.zeros(0)
_NO_SCORES = np.zeros((0, 0), np.float32)
_NO_RULE = np.zeros(len(Rule))

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
        If a layer has no kernels yet.
    """

    def __init__(self, architecture, mean, scale):
        self.architecture = architecture
        self.mean = np.ascontiguousarray(mean, np.float32)
        self.scale = np.ascontiguousarray(scale, np.float32)
        self.layout = lay_out_parameters(architecture)
        self.parameters = None  # not taken before it is known that there is memory for them: see `load`

    def initialise(self, rng):
        """Draw new weights: normal with variance 2 / inputs of a filter, biases zero.

        Source: K. He et al., "Delving Deep into Rectifiers" (2015), section 2.2.

        Parameters
        ----------
        rng : numpy.random.Generator
            Where they are drawn from, layer by layer.
        """
        coefs = []
        for shape in self.coef_shapes:
            deviation = np.sqrt(2.0 / np.prod(shape[:-1]))
            coefs.append((rng.standard_normal(shape) * deviation).astype(np.float32))
        self.load(coefs, [np.zeros(shape[-1], np.float32) for shape in self.coef_shapes])

    def load(self, coefs, intercepts):
        """Set weights and biases, given as `coefs` and `intercepts` return them."""
        self.parameters = self.layout.pack(coefs, intercepts)

    @property
    def coefs(self):
        """New arrays, in network order: (F, F, C, K) of a CONV, (inputs, outputs) of an FC."""
        return self.layout.unpack(self.parameters, self.coef_shapes)[0]

    @property
    def intercepts(self):
        """New arrays, in network order: (K,)."""
        return self.layout.unpack(self.parameters, self.coef_shapes)[1]

    @property
    def coef_shapes(self):
        """Shapes of `coefs`."""
        return [
            (layer.input.size, layer.units) if layer.kind == "FC" else (layer.F, layer.F, layer.input.depth, layer.K)
            for layer in self.architecture.layers
            if layer.kind in ("CONV", "FC")
        ]

    def scores(self, images, n_threads):
        """Compute the class scores of images, whatever n_threads with the same bits.

        Parameters
        ----------
        images : Images
            Of the architecture's image shape.
        n_threads : int
            Threads to use.

        Returns
        -------
        ndarray of float32, (n, n_classes)
            What the last layer gives, before any softmax.
        """
        scores = np.empty((len(images), self.architecture.n_classes), np.float32)
        chunk = max(1, min(len(images), _CHUNK // math.prod(images.shape)))
        plan = plan_inference(self.architecture, self.layout, chunk)
        n_threads = min(n_threads, -(-plan.batch_size // plan.shard_size))
        memory = aligned_zeros(plan.memory(n_threads))
        for indices in images.chunks(chunk):
            part = scores[indices[0] : indices[-1] + 1]
            execute(plan, self, memory, images.source(indices), n_threads, scores=part)
        return scores


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
        Known before anything is taken: memory, parameters, two moments, and the best parameters so far.
    """
    parameters = lay_out_parameters(architecture)
    return 4 * (plan_training(architecture, parameters, batch_size).memory(n_threads) + 4 * parameters.size)


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
    segments, moments, targets, weights, losses, scores, rule : ndarray
        As the machine's entry names them; those a plan does not use may be left out.
    """
    run = _machine().run
    pixels, floats, rows = source
    with _threads().threads(n_threads):
        run(
            plan.segments if segments is None else segments,
            plan.program,
            plan.blocks,
            plan.layout(len(rows), n_threads),
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


def _machine():
    """Import the machine, with Numba and the kernels, when it is first wanted."""
    global _seconds_compiling
    start = time.perf_counter()
    from skconvnet.engine.cpu import machine

    _seconds_compiling += time.perf_counter() - start
    return machine
