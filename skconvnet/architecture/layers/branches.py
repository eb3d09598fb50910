"""Sums, stacks and gates of branches, SKIP, and the walk through all layers of a network."""

from dataclasses import dataclass, field, replace
from typing import ClassVar

from skconvnet.architecture.errors import ArchitectureError
from skconvnet.architecture.layers.arithmetic import Volume
from skconvnet.architecture.layers.base import BoundLayer, InPlaceLayer, chain_on, convolutional
from skconvnet.architecture.notation.table import MAX_NUMBER
from skconvnet.architecture.notation.tree import spell_branches


@dataclass(frozen=True)
class BoundSkip(InPlaceLayer):
    """The input unchanged, as a branch of a sum, stack or gate."""

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


@dataclass(frozen=True)
class BoundGate(BoundBranches):
    """The product of the outputs of two branches.

    They have the same volume, or one of them is [1x1xC]: each of its numbers multiplies one depth slice of the other.

    Examples
    --------
    >>> from skconvnet.architecture import Architecture
    >>> text = "INPUT -> (SKIP * POOL(average, F=all) -> CONV(K=8, F=1) -> SIGMOID) -> FC"
    >>> print(Architecture.parse(text).bind((16, 16, 8)).layers[0].output)
    [16x16x8]
    """

    kind: ClassVar[str] = "GATE"
    operator: ClassVar[str] = "*"

    @property
    def output(self):
        """The volume of the output, that of the larger branch."""
        first, second = self.outputs
        return second if _is_pixel(first) else first

    @property
    def scales_slices(self):
        """Whether one branch is [1x1xC] and the other is larger."""
        return len(set(self.outputs)) > 1

    def on(self, volume):
        """Return the gate on another input; raise `ArchitectureError` if one branch is [1x1xC] and so depends on all.

        Where the network slides over a larger image, that branch has another value at each position.
        """
        if volume == self.input:
            return self
        made = None if self.scales_slices else super().on(volume)
        if made is None or made.scales_slices:
            raise ArchitectureError(
                f"{self.name}: one of its branches is one pixel of {self.input}. On {volume} the gate would compute "
                "another function than the one that was fitted. Use images of the same size"
            )
        return made

    def _check_outputs(self):
        first, second = self.outputs
        if first != second and (first.depth != second.depth or not (_is_pixel(first) or _is_pixel(second))):
            raise self._disagreement(f"height, width and depth, or one must be [1x1x{first.depth}]")


def _is_pixel(volume):
    return volume.height == volume.width == 1


def walk(layers):
    """Yield every layer in network order, including those of branches. Learned numbers are stored in this order.

    A sum, stack or gate comes after the layers of its branches.

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


LAYERS = (BoundSkip, BoundSum, BoundStack, BoundGate)
