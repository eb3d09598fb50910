"""The base class of bound layers, and chains of them.

A bound layer knows its input and all its numbers, and fits its input: otherwise the constructor raises
`ArchitectureError`. ``str`` of a layer is its text in the notation.

The costs of a layer are for one image. `n_weights` and `n_biases` count learned numbers. `n_flops` counts the
multiply-adds of the forward pass as papers do: the products with the weights of CONV and FC, nothing else.
"""

from dataclasses import dataclass, replace
from typing import ClassVar

from skconvnet.architecture.layers.arithmetic import Volume
from skconvnet.architecture.notation.table import spell_layer


@dataclass(frozen=True)
class BoundLayer:
    """A layer on a known input. The defaults are those of a layer that keeps the volume and learns nothing.

    Parameters
    ----------
    name : str
        Kind and number, such as ``"CONV 2"``.
    input : Volume
    """

    name: str
    input: Volume

    kind: ClassVar[str]
    n_weights: ClassVar[int] = 0
    n_biases: ClassVar[int] = 0
    n_flops: ClassVar[int] = 0
    arithmetic: ClassVar[str] = ""  # how the number of parameters is computed, such as "5*5*3*12 + 12"

    @classmethod
    def bind(cls, name, volume, options):
        """Make the layer from the options of the notation.

        Parameters
        ----------
        name : str
        volume : Volume
            The input.
        options : dict
            The options that the text spells or the hyperparameters give.

        Returns
        -------
        BoundLayer

        Raises
        ------
        ArchitectureError
            If the layer does not fit its input.
        """
        return cls(name, volume, **options)

    @property
    def output(self):
        """The volume of the output."""
        return self.input

    @property
    def n_activations(self):
        """The number of activations that the layer stores; 0 if it works in place."""
        return self.output.size

    def on(self, volume):
        """Return the layer with the same numbers on another input of the same depth.

        Parameters
        ----------
        volume : Volume

        Returns
        -------
        BoundLayer

        Raises
        ------
        ArchitectureError
            If the layer does not fit, or would compute another function there.
        """
        return replace(self, input=volume)

    def convolutional(self):
        """Return an equal layer that is not an FC and that the notation can spell for images of any size."""
        return self

    def __str__(self):
        return spell_layer(self.kind, vars(self))


class InPlaceLayer(BoundLayer):
    """A layer that overwrites its input and stores no activations."""

    n_activations: ClassVar[int] = 0


def convolutional(layers):
    """Return a chain in which each FC is replaced by the equal CONV.

    Parameters
    ----------
    layers : sequence of BoundLayer

    Returns
    -------
    tuple of BoundLayer
    """
    return tuple(layer.convolutional() for layer in layers)


def chain_on(layers, volume):
    """Return a chain of layers on another input; see `BoundLayer.on`."""
    chain = []
    for layer in layers:
        chain.append(layer.on(volume))
        volume = chain[-1].output
    return tuple(chain)
