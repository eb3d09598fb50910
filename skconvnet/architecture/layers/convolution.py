"""CONV and FC, the layers that multiply windows of their input by weights."""

from dataclasses import dataclass, field
from typing import ClassVar

from skconvnet.architecture.errors import ArchitectureError
from skconvnet.architecture.layers.arithmetic import RoundedLayer, Volume, axes_of, output_extents, padding
from skconvnet.architecture.layers.base import BoundLayer
from skconvnet.architecture.notation.table import collapse, spell_layer


@dataclass(frozen=True)
class BoundConv(RoundedLayer, BoundLayer):
    """K filters of extent F x F x (input depth / groups), with stride S and padding P.

    With a dilation, neighbouring weights of a filter see pixels that are so far apart. F, S, P and the dilation are
    numbers, or (rows, columns) where the two differ.

    Examples
    --------
    >>> conv = BoundConv("CONV 1", Volume(32, 32, 3), K=12, F=5, S=1, P=2)
    >>> print(conv.output, conv.arithmetic, conv.n_weights + conv.n_biases)
    [32x32x12] 5*5*3*12 + 12 912
    """

    K: int
    F: int | tuple[int, int]
    S: int | tuple[int, int]
    P: int | tuple[int, int]
    groups: int = 1
    round: str | None = None
    bias: bool = True
    dilation: int | tuple[int, int] = 1
    rounding: str = field(default="exact", compare=False)

    kind: ClassVar[str] = "CONV"

    def __post_init__(self):
        if self.input.depth % self.groups or self.K % self.groups:
            raise ArchitectureError(
                f"{self.name}: groups={self.groups} must divide the depth of the input, {self.input.depth}, "
                f"and K={self.K}"
            )
        super().__post_init__()

    @classmethod
    def bind(cls, name, volume, options):
        """Make the layer from the options of the notation; P becomes a number."""
        P = padding(options["P"], options["F"], name, options.get("dilation", 1))
        return cls(name, volume, **options | {"P": P, "bias": options.get("bias") != "no"})

    @property
    def axes(self):
        """The numbers of the window, those of its rows and of its columns: two `Axis`."""
        return axes_of(self.F, self.S, self.P, self.dilation)

    @property
    def output(self):
        """The volume of the output, of depth K."""
        return Volume(*output_extents(self), self.K)

    @property
    def n_weights(self):
        """F * F * (depth of a filter) * K."""
        return self._filter_size * self.K

    @property
    def n_biases(self):
        """One per filter, or none."""
        return self.K if self.bias else 0

    @property
    def n_flops(self):
        """One multiply-add per activation of the output and weight of a filter."""
        return self.output.size * self._filter_size

    @property
    def arithmetic(self):
        """The number of parameters as the CS231n notes write it."""
        rows, columns = self.axes
        weights = f"{columns.F}*{rows.F}*{self._filter_depth}*{self.K}"
        return f"{weights} + {self.K}" if self.bias else weights

    @property
    def _filter_depth(self):
        return self.input.depth // self.groups

    @property
    def _filter_size(self):
        rows, columns = self.axes
        return rows.F * columns.F * self._filter_depth

    def __str__(self):
        return spell_layer(self.kind, vars(self) | {"bias": "yes" if self.bias else "no"})


@dataclass(frozen=True)
class BoundFC(BoundLayer):
    """Units that are connected to every activation in a window.

    Parameters
    ----------
    units : int
    window : tuple of int
        The (rows, columns) of the input that the layer was first bound to. On a larger input the window slides with
        stride 1, so that the layer is a CONV.

    Examples
    --------
    >>> fc = BoundFC("FC 1", Volume(7, 7, 512), 4096, window=(7, 7))
    >>> print(fc.output, fc.on(Volume(12, 12, 512)).output)
    [1x1x4096] [6x6x4096]
    """

    units: int
    window: tuple[int, int]

    kind: ClassVar[str] = "FC"
    round: ClassVar[None] = None

    def __post_init__(self):
        output_extents(self)

    @classmethod
    def bind(cls, name, volume, options):
        """Make the layer with a window over its whole input."""
        return cls(name, volume, **options, window=(volume.height, volume.width))

    @property
    def axes(self):
        """The numbers of the window, those of its rows and of its columns: two `Axis`."""
        return axes_of(self.window, 1, 0)

    @property
    def output(self):
        """The volume of the output, of depth `units`; 1 x 1 if the window is the whole input."""
        return Volume(*output_extents(self), self.units)

    @property
    def n_weights(self):
        """One per unit and activation in the window."""
        rows, columns = self.window
        return rows * columns * self.input.depth * self.units

    @property
    def n_biases(self):
        """One per unit."""
        return self.units

    @property
    def n_flops(self):
        """One multiply-add per weight and position of the window."""
        return self.n_weights * self.output.height * self.output.width

    @property
    def arithmetic(self):
        """The number of parameters as the CS231n notes write it."""
        rows, columns = self.window
        return f"{columns}*{rows}*{self.input.depth}*{self.units} + {self.units}"

    def convolutional(self):
        """Return the CONV with one filter per unit."""
        return BoundConv(self.name, self.input, K=self.units, F=collapse(self.window), S=1, P=0)


LAYERS = (BoundConv, BoundFC)
