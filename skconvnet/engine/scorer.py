"""The scorer: class scores of images by a network, with all that can be made ready made ready once."""

import math
from collections import defaultdict

import numpy as np

from skconvnet.engine.execution import Execution
from skconvnet.engine.folding import fold_batch_norms
from skconvnet.engine.memory import aligned_zeros
from skconvnet.engine.network import Network
from skconvnet.engine.plan import plan_inference

__all__ = ["Scorer"]

_CHUNK = 1 << 22  # pixels, at most, of the images whose scores one run of the machine computes
_KEPT = 1 << 19  # float32 of memory, at most, that an execution may hold until it is wanted again


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
        self._n_scores = architecture.layers[-1].output.size
        self._plans = {}  # by the number of images
        self._idle = defaultdict(list)  # executions that no thread is at, by that and the number of threads

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
        """
        plan = self._plan(len(images), math.prod(images.shape))
        n_threads = min(n_threads, -(-plan.batch_size // plan.shard_size))
        if approve is not None:
            approve(4 * (len(images) * self._n_scores + plan.memory(n_threads)))
        scores = np.empty((len(images), self._n_scores), np.float32)
        idle = self._idle[plan.batch_size, n_threads]
        try:
            execution = idle.pop()
        except IndexError:
            execution = Execution(plan, self._network, aligned_zeros(plan.memory(n_threads)), n_threads)
        for indices in images.chunks(plan.batch_size):
            execution.run(images.source(indices), scores=scores[indices[0] : indices[-1] + 1])
        if plan.memory(n_threads) <= _KEPT:
            idle.append(execution)
        return scores

    def _plan(self, n_images, image_size):
        """Return a plan for so many images or, where they are more than one run takes, for a part of them.

        There is one for each power of two, so that batches of many sizes share a few.
        """
        most = max(1, _CHUNK // image_size)
        batch_size = min(most, 1 << max(0, n_images - 1).bit_length())
        if batch_size not in self._plans:
            network = self._network
            self._plans[batch_size] = plan_inference(network.architecture, network.layout, batch_size)
        return self._plans[batch_size]
