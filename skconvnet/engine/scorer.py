"""The scorer: class scores of images by a network."""

import math
from collections import defaultdict

import numpy as np

from skconvnet.engine.network import Network, image_work
from skconvnet.engine.plan.plan import plan_inference
from skconvnet.engine.weights.fold import fold_batch_norms

__all__ = ["Scorer"]


class Scorer:
    """Computes the class scores of images.

    Batch normalisation is folded into the layers before it. Plans, and executions with little memory, are kept for the
    next call, so that scoring one image costs little more than its multiply-adds. Several threads may use a scorer at
    once.

    Parameters
    ----------
    network : Network
        The network. Its parameters are copied.
    batch_pixels : int, optional
        The most pixels of the images that the machine is given at a time; by default as many as the device wants.

    Attributes
    ----------
    device : CpuDevice or CudaDevice
        The network's.
    output : Volume
        The volume of the scores: 1 x 1 x n_classes, or a map of these on larger images.

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

    def __init__(self, network, batch_pixels=None):
        architecture, learned = fold_batch_norms(network.architecture, network.learned)
        self._network = Network(architecture, network.mean, network.scale, network.device)
        self._network.learned = learned
        self.device = network.device
        self.output = architecture.layers[-1].output
        self._batch_pixels = batch_pixels or self.device.batch_pixels
        self._n_flops = image_work(architecture)
        self._plans = {}  # by batch size and `split_image`
        self._idle = defaultdict(list)  # executions that no thread is using, by plan and number of workers

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
        larger = Network(network.architecture.on(image_shape), network.mean, network.scale, network.device)
        larger.parameters = network.parameters
        return Scorer(larger)

    def scores(self, images, n_threads, check_memory=None):
        """Compute the scores of images. Their bits do not depend on `n_threads`.

        Parameters
        ----------
        images : Images
            The n images, of the network's image shape.
        n_threads : int
            Threads to use.
        check_memory : callable, optional
            Called with the number of bytes of memory before it is allocated. It raises an error if that is too much.

        Returns
        -------
        ndarray of float32, shape (n, n_classes), or (n, rows * columns * n_classes) on larger images
            The output of the last layer, before any softmax.

        Raises
        ------
        ValueError
            If a pixel is too far from the mean for float32.
        """
        self._network.check_pixels(images)
        batch_size = self._batch_size(len(images), math.prod(images.shape))
        n_workers = self._n_workers(len(images), n_threads)
        plan = self._plan(batch_size, split_image=batch_size < n_workers)
        memory = plan.memory(n_workers)
        while batch_size > 1 and not self.device.has_room(4 * memory):
            batch_size //= 2
            plan = self._plan(batch_size, split_image=False)
            memory = plan.memory(n_workers)
        if check_memory is not None:
            check_memory(4 * (len(images) * self.output.size + memory))
        scores = np.empty((len(images), self.output.size), np.float32)
        idle = self._idle[plan, n_workers]
        try:
            execution = idle.pop()
        except IndexError:
            execution = self._network.device.execution(plan, self._network, n_workers)
        execution.score(images, scores)
        if memory <= self.device.max_idle_memory and len(idle) < self.device.max_idle:
            idle.append(execution)
        return scores

    def _batch_size(self, n_images, n_pixels):
        """Return the images in a batch: a power of two if it holds them all, so that few plans are made."""
        return min(max(1, self._batch_pixels // n_pixels), 1 << max(0, n_images - 1).bit_length())

    def _n_workers(self, n_images, n_threads):
        """Return the number of workers for which there is enough work."""
        target, flops = self._network.device.target, n_images * self._n_flops
        if n_images == 1:
            return n_threads if flops > target.split_image_flops else 1
        return max(1, min(n_threads, n_images, flops // target.worker_flops))

    def _plan(self, batch_size, split_image):
        plan = self._plans.get((batch_size, split_image))
        if plan is None:
            network = self._network
            layout, target = network.parameter_layout, network.device.target
            plan = self._plans[batch_size, split_image] = plan_inference(
                network.architecture, layout, batch_size, target, split_image
            )
        return plan
