"""The gradient of a network's scores by its images."""

import math
from dataclasses import replace

import numpy as np

from skconvnet.architecture.layers.branches import BoundSkip
from skconvnet.engine.device import CpuDevice
from skconvnet.engine.network import Network
from skconvnet.engine.plan.plan import plan_gradient
from skconvnet.engine.program.memory import aligned_zeros
from skconvnet.engine.program.target import round_to_line

__all__ = ["ImageGradient"]

_MOST_IMAGES = 16  # at a time
_MOST_MEMORY = 1 << 28  # float32 of a plan for several images


class ImageGradient:
    """Computes gradients of a network's scores by its images, on the processor.

    Layers compute as in scoring: NORM(batch) uses its running statistics, and DROPOUT drops nothing.

    Parameters
    ----------
    network : Network
        The network. Its parameters are copied.

    Examples
    --------
    >>> import numpy as np
    >>> from skconvnet.architecture import Architecture
    >>> from skconvnet.engine import Images, Learned, Network
    >>> bound = Architecture.parse("INPUT -> FC").bind((1, 2, 1), n_classes=2)
    >>> network = Network(bound, mean=[0], scale=[1])
    >>> network.learned = Learned([np.array([[1, 2], [3, 4]])], [np.zeros(2)], [], [])
    >>> images = Images(np.zeros((1, 2), np.uint8), (1, 2, 1))
    >>> ImageGradient(network).of(images, sum_weights=np.array([[0, 1]]), n_threads=1).ravel()
    array([2., 4.], dtype=float32)
    """

    def __init__(self, network):
        architecture = network.architecture
        # In front of the first layer, so that this one is stored like all others, which have a gradient.
        skip = BoundSkip("SKIP", architecture.layers[0].input)
        architecture = replace(architecture, layers=(skip, *architecture.layers))
        device = network.device if isinstance(network.device, CpuDevice) else CpuDevice()
        self._network = Network(architecture, network.mean, network.scale, device)
        layout, n_scores = self._network.parameter_layout, architecture.layers[-1].output.size
        parameters = aligned_zeros(layout.size + round_to_line(n_scores))
        parameters[: layout.size] = layout.pack(network.learned)
        self._network.parameters = parameters
        self._sum_weights = parameters[layout.size : layout.size + n_scores]

    def of(self, images, sum_weights, n_threads):
        """Compute the gradients of weighted sums of the scores by the standardised pixels.

        Parameters
        ----------
        images : Images
            The n images, of the network's image shape.
        sum_weights : ndarray, (n, n_scores)
            The weights of each image's sum: 1 for one score and 0 for the others gives the gradient of that score.
        n_threads : int
            Threads to use. The bits do not depend on it.

        Returns
        -------
        ndarray of float32, (n, height, width, channels)

        Raises
        ------
        ValueError
            If a pixel is too far from the mean for float32.
        """
        self._network.check_pixels(images)
        gradient = np.empty((len(images), math.prod(images.shape)), np.float32)
        execution = self._execution(len(images), n_threads)
        distinct, which = np.unique(sum_weights, axis=0, return_inverse=True)
        for number, weights in enumerate(distinct):
            self._sum_weights[:] = weights
            members = np.flatnonzero(which == number)
            part = np.empty((len(members), gradient.shape[1]), np.float32)
            execution.score(images.take(members), part)
            gradient[members] = part
        return gradient.reshape(-1, *images.shape)

    def _execution(self, n_images, n_threads):
        """Return an execution for several images at a time, or for one where several need much memory."""
        network = self._network
        layout, device = network.parameter_layout, network.device
        batch_size = max(1, min(n_images, _MOST_IMAGES))
        plan = plan_gradient(network.architecture, layout, batch_size, device.target)
        if plan.memory(n_threads) > _MOST_MEMORY:
            n_threads, plan = 1, plan_gradient(network.architecture, layout, 1, device.target)
        return device.execution(plan, network, n_threads)
