"""A network: a bound architecture with its parameters."""

import math

import numpy as np

from skconvnet.architecture import walk
from skconvnet.engine.device import CpuDevice
from skconvnet.engine.images import pixel_limit
from skconvnet.engine.plan.plan import plan_training
from skconvnet.engine.plan.steps import SoftmaxCrossEntropy
from skconvnet.engine.program.target import CPU
from skconvnet.engine.weights.cut import cut_behind
from skconvnet.engine.weights.layout import Learned, ScaleSlot, WeightSlot, lay_out_parameters

__all__ = ["BYTES_PER_PARAMETER", "Network", "image_work", "memory_needed", "plan_memory"]

BYTES_PER_PARAMETER = 20  # of training: the parameter, two moments, the best so far, what is learned
_SMALLEST = 1 / 3  # variance of first weights, times the inputs of a filter; that of PyTorch's layers
_SLOPE = 0.25  # of a PRELU before it learns


class Network:
    """A bound architecture with its parameters.

    Parameters
    ----------
    architecture : BoundArchitecture
        The layers and their volumes.
    mean, scale : array-like of shape (channels,)
        Pixels are standardised as (pixel - mean) * scale when they are loaded.
    device : CpuDevice, optional
        Where it is trained and run.

    Attributes
    ----------
    pixel_limit : float
        An absolute value up to which float32 can compute with every standardised pixel.

    Raises
    ------
    ArchitectureError
        If no layer has weights.
    """

    def __init__(self, architecture, mean, scale, device=None):
        self.architecture = architecture
        self.device = device or CpuDevice()
        self.mean = np.ascontiguousarray(mean, np.float32)
        self.scale = np.ascontiguousarray(scale, np.float32)
        self.pixel_limit = pixel_limit(self.mean, self.scale)
        self.parameter_layout = lay_out_parameters(architecture, self.device.target)
        self.parameters = None  # not taken before it is known that there is memory for them

    def check_pixels(self, images, name="X"):
        """Raise a ValueError if a standardised pixel of these `Images` is too large for float32."""
        if images.largest > self.pixel_limit:
            images.check_standardised(self.mean, self.scale, name)

    def initialise(self, rng, gain=1.0):
        """Draw new weights: normal with variance 2 * gain**(1 / layers) / inputs of a filter, or 1/3 if that is more.

        Layers are the CONV and FC of the network. Biases and shifts are zero, scales one, and slopes 1/4.

        Source: K. He et al., "Delving Deep into Rectifiers" (2015), sections 2.1 and 2.2, with gain=1.

        Parameters
        ----------
        rng : numpy.random.Generator
            Where they are drawn from, layer by layer.
        gain : float, default=1.0
            What the layers together multiply the variance by, if a RELU follows each of them.

        Examples
        --------
        >>> from skconvnet import Architecture
        >>> network = Network(Architecture.parse("INPUT -> FC(99) -> RELU -> FC").bind((9, 9, 1), 2), [0], [1])
        >>> for gain in 1, 0.25, 0:
        ...     network.initialise(np.random.default_rng(0), gain)
        ...     print(round(81 * network.learned.coefs[0].var(), 1))
        2.0
        1.0
        0.3
        """
        new = Learned.empty()
        n_layers = sum(isinstance(layer, WeightSlot) for layer in self.parameter_layout.slots)
        variance = max(_SMALLEST, 2 * gain ** (1 / n_layers))
        for layer in self.parameter_layout.slots:
            if isinstance(layer, WeightSlot):
                deviation = np.sqrt(variance / math.prod(layer.shape[:-1]))
                new.coefs.append((rng.standard_normal(layer.shape) * deviation).astype(np.float32))
                new.intercepts.append(np.zeros(0 if layer.bias is None else layer.K, np.float32))
            elif isinstance(layer, ScaleSlot):
                new.coefs.append(np.ones(layer.depth, np.float32))
                new.intercepts.append(np.zeros(layer.depth, np.float32))
            else:
                new.coefs.append(np.full(layer.depth, _SLOPE, np.float32))
                new.intercepts.append(np.zeros(0, np.float32))
        for layer in self.parameter_layout.running:
            new.means.append(np.zeros(layer.depth, np.float32))
            new.variances.append(np.ones(layer.depth, np.float32))
        self.learned = new

    @property
    def learned(self):
        """What the network has learned, in new arrays: `Learned`. Setting it sets the parameters."""
        return self.parameter_layout.unpack(self.parameters)

    @learned.setter
    def learned(self, learned):
        self.parameters = self.parameter_layout.pack(learned)

    def up_to(self, name):
        """Return a network of the layers up to one of this name, as `cut_behind` does, with the same numbers.

        Examples
        --------
        >>> from skconvnet import Architecture
        >>> network = Network(Architecture.parse("INPUT -> FC(9) -> RELU -> FC").bind((9, 9, 1), 2), [0], [1])
        >>> network.initialise(np.random.default_rng(0))
        >>> print(network.up_to("RELU 1").architecture)
        INPUT -> FC(9) -> RELU
        """
        architecture, learned = cut_behind(self.architecture, self.learned, name)
        cut = Network(architecture, self.mean, self.scale, self.device)
        cut.learned = learned
        return cut


def image_work(architecture):
    """Return the multiply-adds of one image's scores, in layers with weights.

    Parameters
    ----------
    architecture : BoundArchitecture

    Returns
    -------
    int
    """
    return sum(layer.n_flops for layer in walk(architecture.layers) if layer.kind in ("CONV", "FC"))


def memory_needed(architecture, batch_size, n_threads, target=CPU):
    """Return the bytes of memory that training needs besides the images.

    Parameters
    ----------
    architecture : BoundArchitecture
        The network.
    batch_size : int
        Samples in the largest minibatch.
    n_threads : int
        Threads to train with.
    target : Target, optional
        The machine.

    Returns
    -------
    int
        As `plan_memory`.
    """
    layout = lay_out_parameters(architecture, target)
    plan = plan_training(architecture, layout, SoftmaxCrossEntropy(), batch_size, target)
    return plan_memory(plan, layout, n_threads)


def plan_memory(plan, layout, n_threads):
    """Return the bytes of memory that a planned training needs besides the images.

    Parameters
    ----------
    plan : Plan
        The plan of a training.
    layout : ParameterLayout
        The layout of the network's parameters.
    n_threads : int
        Threads to train with.

    Returns
    -------
    int
        Bytes of the volumes, gradients, parameters, two moments, the best parameters so far, and the learned arrays.
    """
    return 4 * plan.memory(n_threads) + BYTES_PER_PARAMETER * layout.size
