"""The scorer: class scores of images by a network, with all that can be made ready made ready once."""

import math
from collections import defaultdict

import numpy as np

from skconvnet.architecture import walk
from skconvnet.engine.cpu.execution import Execution
from skconvnet.engine.network import Network
from skconvnet.engine.plan.plan import plan_inference
from skconvnet.engine.program.memory import aligned_zeros
from skconvnet.engine.weights.fold import fold_batch_norms

__all__ = ["Scorer"]

_CHUNK = 1 << 21  # pixels, at most, of the images whose scores one run of the machine computes
_WORTH_WAKING = 2_000_000  # multiply-adds that a worker takes as long for as to wake up,
_WORTH_SHARING = 16_000_000  # and those of an image that workers gain by sharing
_KEPT = 1 << 19  # float32 of memory, at most, that an execution may hold until it is wanted again
_MOST_IDLE = 8  # executions of one kind that are kept


class Scorer:
    """Computes the class scores of images.

    Batch normalisation is folded into the layers before it, and plans are kept: scoring one image after the other
    costs little more than the network's sums. It may be used by several threads at once.

    Parameters
    ----------
    network : Network
        Its parameters as they are now; later changes do not count.

    Examples
    --------
    >>> import numpy as np
    >>> from skconvnet.architecture import Architecture
    >>> from skconvnet.engine import Images
    >>> bound = Architecture.parse("INPUT -> CONV(K=4) -> NORM -> RELU -> FC").bind((6, 6, 1), n_classes=3)
    >>> network = Network(bound, mean=[0], scale=[1])
    >>> network.initialise(np.random.default_rng(0))
    >>> Scorer(network).scores(Images(np.zeros((5, 36), np.uint8), (6, 6, 1)), n_threads=1).shape
    (5, 3)
    """

    def __init__(self, network):
        architecture, learned = fold_batch_norms(network.architecture, network.learned)
        self._network = Network(architecture, network.mean, network.scale)
        self._network.learned = learned
        self.output = architecture.layers[-1].output
        self._n_flops = sum(layer.n_flops for layer in walk(architecture.layers) if layer.kind in ("CONV", "FC"))
        self._plans = {}  # by the number of images, and whether workers share each
        self._idle = defaultdict(list)  # executions that no thread is at, by plan and number of workers

    def on(self, image_shape):
        """Return a scorer of the same network on larger images.

        Parameters
        ----------
        image_shape : tuple of int
            (height, width, channels).

        Returns
        -------
        Scorer
            It computes a map of scores: see `BoundArchitecture.on`, also for the errors.
        """
        network = self._network
        larger = Network(network.architecture.on(image_shape), network.mean, network.scale)
        larger.parameters = network.parameters
        return Scorer(larger)

    def scores(self, images, n_threads, approve=None):
        """Compute the class scores of images, whatever n_threads with the same bits.

        Parameters
        ----------
        images : Images
            Of the architecture's image shape.
        n_threads : int
            Threads to use.
        approve : callable, optional
            Called with the bytes of memory that will be taken, before they are; raises if they are too many.

        Returns
        -------
        ndarray of float32, (n, n_classes), or (n, rows * columns * n_classes) where the last volume is a map
            What the last layer gives, before any softmax.

        Raises
        ------
        ValueError
            If a pixel is too far from the mean for float32.
        """
        self._network.check_pixels(images)
        batch_size = self._batch_size(len(images), math.prod(images.shape))
        n_workers = self._n_workers(len(images), n_threads)
        plan = self._plan(batch_size, shares=batch_size < n_workers)
        if approve is not None:
            approve(4 * (len(images) * self.output.size + plan.memory(n_workers)))
        scores = np.empty((len(images), self.output.size), np.float32)
        idle = self._idle[plan, n_workers]
        try:
            execution = idle.pop()
        except IndexError:
            execution = Execution(plan, self._network, aligned_zeros(plan.memory(n_workers)), n_workers)
        for indices in images.chunks(batch_size):
            shard_size = _evenly(len(indices), n_workers, plan.shard_size)
            source = images.source(indices)
            execution.run(source, scores=scores[indices[0] : indices[-1] + 1], shard_size=shard_size)
        if plan.memory(n_workers) <= _KEPT and len(idle) < _MOST_IDLE:
            idle.append(execution)
        return scores

    def _batch_size(self, n_images, image_size):
        """Return how many images one run takes, a power of two, so that batches of many sizes share a few plans."""
        return min(max(1, _CHUNK // image_size), 1 << max(0, n_images - 1).bit_length())

    def _n_workers(self, n_images, n_threads):
        """Return how many of the threads have so much to do that waking them pays."""
        work = n_images * self._n_flops
        if n_images == 1:
            return n_threads if work > _WORTH_SHARING else 1
        return max(1, min(n_threads, n_images, work // _WORTH_WAKING))

    def _plan(self, batch_size, shares):
        if (batch_size, shares) not in self._plans:
            network = self._network
            made = plan_inference(network.architecture, network.layout, batch_size, shares)
            self._plans[batch_size, shares] = made
        return self._plans[batch_size, shares]


def _evenly(n_images, n_workers, most):
    """Return the size of shards, no more than `most`, that gives all workers as many as can be of equal size."""
    of_one = -(-n_images // n_workers)
    return -(-of_one // -(-of_one // most))
