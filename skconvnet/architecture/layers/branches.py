"""Sums and stacks of branches, SKIP, and the walk through all layers of a network."""

from dataclasses import dataclass, field, replace
from typing import ClassVar

from skconvnet.architecture.errors import ArchitectureError
from skconvnet.architecture.layers.arithmetic import Volume
from skconvnet.architecture.layers.base import BoundLayer, InPlaceLayer, chain_on, convolutional
from skconvnet.architecture.notation.table import MAX_NUMBER
from skconvnet.architecture.notation.tree import spell_branches


@dataclass(frozen=True)
class BoundSkip(InPlaceLayer):
    """The input unchanged, as a branch of a sum or stack."""

    kind: ClassVar[str] = "SKIP"


@dataclass(frozen=True)
class BoundBranches(BoundLayer):
    """Several chains of layers on the same input.

    `n_weights`, `n_biases` and `n_flops` include the layers of the branches. `n_activations` does not.

    Parameters
    ----------
    branches : tuple of tuples of BoundLayer
        At least one layer each.

    Attributes
    ----------
    outputs : tuple of Volume
        The output of each branch. They are stored, since computing them from nested branches takes exponential time.
    """

    branches: tuple
    outputs: tuple = field(init=False, repr=False)

    operator: ClassVar[str]

    def __post_init__(self):
        object.__setattr__(self, "outputs", tuple(branch[-1].output for branch in self.branches))
        self._check_outputs()

    @property
    def n_weights(self):
        """The weights of all branches."""
        return self._total("n_weights")

    @property
    def n_biases(self):
        """The biases of all branches."""
        return self._total("n_biases")

    @property
    def n_flops(self):
        """The multiply-adds of all branches."""
        return self._total("n_flops")

    def on(self, volume):
        """Return the branches on another input."""
        return replace(self, input=volume, branches=tuple(chain_on(branch, volume) for branch in self.branches))

    def convolutional(self):
        """Return the branches with each FC replaced by a CONV."""
        return replace(self, branches=tuple(map(convolutional, self.branches)))

    def _total(self, count):
        return sum(getattr(layer, count) for branch in self.branches for layer in branch)

    def _check_outputs(self):
        raise NotImplementedError

    def _disagreement(self, what):
        volumes = ", ".join(f"branch {number} gives {volume}" for number, volume in enumerate(self.outputs, 1))
        return ArchitectureError(f"{self.name}: the branches must agree in {what}, but {volumes}")

    def __str__(self):
        return spell_branches(self.operator, self.branches)


@dataclass(frozen=True)
class BoundSum(BoundBranches):
    """The sum of the outputs of the branches."""

    kind: ClassVar[str] = "SUM"
    operator: ClassVar[str] = "+"

    @property
    def output(self):
        """The volume of the output, that of every branch."""
        return self.outputs[0]

    def _check_outputs(self):
        if len(set(self.outputs)) > 1:
            raise self._disagreement("height, width and depth")


@dataclass(frozen=True)
class BoundStack(BoundBranches):
    """The outputs of the branches stacked along depth, in the order of the branches."""

    kind: ClassVar[str] = "STACK"
    operator: ClassVar[str] = "|"

    @property
    def output(self):
        """The volume of the output, as deep as all branches together."""
        first = self.outputs[0]
        return Volume(first.height, first.width, sum(volume.depth for volume in self.outputs))

    def _check_outputs(self):
        if len({(volume.height, volume.width) for volume in self.outputs}) > 1:
            raise self._disagreement("height and width")
        if self.output.depth > MAX_NUMBER:
            raise ArchitectureError(f"{self.name}: its depth is above {MAX_NUMBER}: use fewer or thinner branches")


def walk(layers):
    """Yield every layer in network order, including those of branches. Learned numbers are stored in this order.

    A sum or stack comes after the layers of its branches.

    Parameters
    ----------
    layers : sequence of BoundLayer

    Yields
    ------
    BoundLayer

    Examples
    --------
    >>> from skconvnet.architecture import Architecture
    >>> bound = Architecture.parse("INPUT -> (CONV(K=3) -> RELU + SKIP) -> FC").bind((8, 8, 3), 10)
    >>> [layer.name for layer in walk(bound.layers)]
    ['CONV 1', 'RELU 1', 'SKIP 1', 'SUM 1', 'FC 1']
    """
    for layer in layers:
        if isinstance(layer, BoundBranches):
            for branch in layer.branches:
                yield from walk(branch)
        yield layer


LAYERS = (BoundSkip, BoundSum, BoundStack)
