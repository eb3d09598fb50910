"""The scorer: class scores of images by a network."""

import math
from collections import defaultdict
from time import perf_counter

import numpy as np
from scipy.linalg.blas import dnrm2, snrm2

from skconvnet.engine.network import Network, image_work
from skconvnet.engine.plan.plan import plan_inference
from skconvnet.engine.scale import PixelScale
from skconvnet.engine.weights.fold import fold_batch_norms

__all__ = ["Scorer"]

# Upper bounds of the absolute values of pixels, NaN if one of them is. A norm takes less time than a minimum and a
# maximum, and warns of nothing.
_NORMS = {np.dtype(np.uint8): snrm2, np.dtype(np.float32): snrm2, np.dtype(np.float64): dnrm2}
_ROUNDED = 0.999  # of a limit: norms are rounded

_N_TIMES = 5  # whose median is compared
_TRIAL = 32  # of so many images, one is scored the slower way


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
    pixels : PixelScale
        The scale of the pixels that the network was trained on.

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
        height, width, channels = architecture.image_shape
        self._shapes_of_one = {(1, height * width * channels), (1, height, width, channels)}
        if channels == 1:
            self._shapes_of_one.add((1, height, width))
        self.pixels = PixelScale(network.mean, network.scale)
        low, high = self.pixels.norms_of_one(height * width * channels)
        self._norms_of_one = low, min(high, _ROUNDED * network.pixel_limit)
        self._splits_image, self._pace = self._n_workers(1, 2) > 1, Pace()
        self._idle_for_one = defaultdict(list)  # as `_idle`, by number of workers

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

    def can_use_threads(self, n_images):
        """Return whether there is work for a second thread."""
        return self._n_workers(n_images, 2) > 1

    def scores_of_one(self, pixels, count_threads):
        """Compute the scores of one image in the least time, if the pixels need no closer look.

        Parameters
        ----------
        pixels : ndarray
            Of any shape and dtype.
        count_threads : callable
            Returns the number of threads to use. It is called only if there is work for a second thread.

        Returns
        -------
        ndarray of float64, shape (1, n_classes), or None
            The bits that `scores` computes. None if this is not one image of the network's shape in uint8, float32 or
            float64, if `Network.check_pixels` might refuse it, if `PixelScale.doubt` might doubt it, or if it needs
            much memory or is scored on a GPU.
        """
        norm, (low, high) = _NORMS.get(pixels.dtype), self._norms_of_one
        if norm is None or pixels.shape not in self._shapes_of_one:
            return None
        pixels = pixels.ravel()
        if not (low < norm(pixels) <= high or self.pixels.suits(pixels)):  # NaN is and does neither
            return None
        n_threads = count_threads() if self._splits_image else 1
        if n_threads == 1:
            return self._scores_of_one(pixels, 1)
        splits = self._pace.splits()
        n_workers = n_threads if splits else 1
        is_first, begin = not self._idle_for_one[n_workers], perf_counter()
        scores = self._scores_of_one(pixels, n_workers)
        if not is_first:  # then an execution was made, which is not the work of one image
            self._pace.note(splits, perf_counter() - begin)
        return scores

    def _scores_of_one(self, pixels, n_workers):
        idle = self._idle_for_one[n_workers]
        try:
            one_image = idle.pop()
        except IndexError:
            plan = self._plan(1, split_image=n_workers > 1)
            if plan.memory(n_workers) > self.device.max_memory_for_one:
                return None
            one_image = self.device.one_image(plan, self._network, n_workers)
        scores = one_image.scores(pixels)
        if len(idle) < self.device.max_idle:
            idle.append(one_image)
        return scores

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


class Pace:
    """Tells whether workers should share single images, from the time that images took.

    Workers that share an image wait for one another. Where other programs need the processors, that takes longer than
    the work, so the faster way is found by trying both. Several threads may use a pace; the scores do not depend on it.

    Examples
    --------
    >>> pace = Pace()
    >>> for _ in range(3):
    ...     splits = pace.splits()
    ...     pace.note(splits, 0.002 if splits else 0.001)
    >>> pace.splits()
    False
    """

    def __init__(self):
        self._times = {True: (), False: ()}  # the last ones, of either way
        self._n_images = 0

    def splits(self):
        """Return whether to split the next image: mostly the faster way, at times the other."""
        self._n_images += 1
        is_faster = _median(self._times[True]) <= _median(self._times[False])
        return is_faster != (self._n_images % _TRIAL == 0)

    def note(self, is_split, seconds):
        """Note the time that an image took."""
        self._times[is_split] = (*self._times[is_split][1 - _N_TIMES :], seconds)


def _median(times):
    """Return the median, or 0 of none: what has no time yet is tried."""
    return sorted(times)[len(times) // 2] if times else 0.0
