"""Steps: what the nodes of a graph are in the notation's terms, before they are ordered into chains and branches."""

from dataclasses import dataclass, field

import numpy as np

from skconvnet.architecture.layers.arithmetic import Volume
from skconvnet.interchange.onnx.graph import Node

__all__ = ["Signal", "Step"]


@dataclass(eq=False)
class Step:
    """A layer, or the place where branches meet.

    Parameters
    ----------
    node : Node or None
        The node that it was read from. None: the images.
    kind : str
        The layer, or the operator "+", "|" or "*" of branches. "AFFINE" and "ERF" are parts of layers: they become
        layers together with others.
    inputs : tuple of Step
        One, except of branches.
    output : Volume
    options : dict
        The options of the layer in the notation.
    learned : tuple of ndarray
        Weights and biases, as in `Learned`; of NORM(batch) also means and variances. Of AFFINE its mean and scale in
        float64: it computes (x - mean) * scale.
    """

    node: Node | None
    kind: str
    inputs: tuple
    output: Volume
    options: dict = field(default_factory=dict)
    learned: tuple = ()


@dataclass(frozen=True, eq=False)
class Signal:
    """A value of the graph: what a step computes, and the order of its numbers.

    Parameters
    ----------
    step : Step
        What computes it.
    form : {"NCHW", "NHWC", "CHW", "HWC", "NORM"}
        Four dimensions in one of two orders, or the numbers of each image in a row in one of two orders. "NORM": the
        volume of each image as one channel, of shape (n, 1, size), in the order depth, height, width.
    is_probability : bool
        Whether softmax has been applied. No layer may follow it.
    zeros : tuple of int
        Rows and columns of zeros before the volume, and behind it, which the next CONV takes as its padding.
    """

    step: Step
    form: str
    is_probability: bool = False
    zeros: tuple = (0, 0, 0, 0)

    @property
    def volume(self):
        """The volume of one image."""
        return self.step.output

    @property
    def is_row(self):
        """Whether it has two dimensions."""
        return self.form in ("CHW", "HWC")

    @property
    def channel_axis(self):
        """The axis of the channels; None if it has none of its own."""
        if self.is_row:
            return 1 if self.volume.height == self.volume.width == 1 else None
        return {"NCHW": 1, "NHWC": 3, "NORM": None}[self.form]

    def dimensions(self, n):
        """Return its dimensions for n images."""
        height, width, depth = self.volume.height, self.volume.width, self.volume.depth
        return {
            "NCHW": (n, depth, height, width),
            "NHWC": (n, height, width, depth),
            "NORM": (n, 1, self.volume.size),
        }.get(self.form, (n, self.volume.size))

    def per_channel(self, array, n):
        """Return a constant that is broadcast along this value as one number, or one for each channel.

        Raises
        ------
        ValueError
            If its numbers differ within a channel.
        """
        dimensions = self.dimensions(n)
        array = np.asarray(array)
        if array.ndim > len(dimensions):
            raise ValueError(f"a constant has the shape {array.shape}, and the value has {dimensions}")
        shape = (1,) * (len(dimensions) - array.ndim) + array.shape
        spread = [axis for axis, extent in enumerate(shape) if extent != 1]
        if not spread:
            return array.reshape(())
        if spread != [self.channel_axis] or array.size != self.volume.depth:
            raise ValueError(
                f"a constant of the shape {array.shape} is not one number, nor one for each of the "
                f"{self.volume.depth} channels of {dimensions}"
            )
        return array.ravel()
