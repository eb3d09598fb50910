"""POOL."""

from dataclasses import dataclass, field
from typing import ClassVar

from skconvnet.architecture.errors import ArchitectureError
from skconvnet.architecture.layers.arithmetic import RoundedLayer, Volume, axes_of, output_extents, padding
from skconvnet.architecture.layers.base import BoundLayer
from skconvnet.architecture.notation.table import collapse, spell_layer, spell_number


@dataclass(frozen=True)
class BoundPool(RoundedLayer, BoundLayer):
    """The maximum or average over windows of F = (rows, columns), in each depth slice.

    S and P are numbers, or (rows, columns) where the two differ.

    Only pixels of the input count. Padding, and what lies beyond the padded input (round="ceil"), are left out of the
    maximum and of the average. With padding="counted", an average counts the padding as zeros.
    """

    mode: str
    F: tuple[int, int]
    S: int | tuple[int, int]
    P: int | tuple[int, int]
    round: str | None = None
    padding: str = "ignored"
    rounding: str = field(default="exact", compare=False)

    kind: ClassVar[str] = "POOL"

    def __post_init__(self):
        for axis in self.axes:
            if axis.P >= axis.F:
                raise ArchitectureError(
                    f"{self.name}: with P={axis.P} a window of F={axis.F} can contain only padding; P must be below F"
                )
        super().__post_init__()

    @classmethod
    def bind(cls, name, volume, options):
        """Make the layer from the options of the notation; P becomes a number, and F=all the extent of the input."""
        options = {"mode": "max", "P": 0} | options
        F, P = options["F"], options["P"]
        if F != "all":
            changed = {"F": F if isinstance(F, tuple) else (F, F), "P": padding(P, F, name)}
        elif P in (0, "valid"):
            changed = {"F": (volume.height, volume.width), "S": 1, "P": 0}  # one position, whatever the stride
        else:
            raise ArchitectureError(
                f"{name}: F=all is a window over the whole input, which allows no padding P={spell_number(P)}"
            )
        return cls(name, volume, **options | changed)

    @property
    def axes(self):
        """The numbers of the window, those of its rows and of its columns: two `Axis`."""
        return axes_of(self.F, self.S, self.P)

    @property
    def counted(self):
        """(rows, columns) of the zeros on each side that an average counts."""
        return tuple(axis.P if self.padding == "counted" else 0 for axis in self.axes)

    @property
    def output(self):
        """The volume of the output, as deep as the input."""
        return Volume(*output_extents(self), self.input.depth)

    def convolutional(self):
        """Return the layer, which spells its window in numbers."""
        return _NumberedPool(**vars(self))

    def __str__(self):
        F = collapse(self.F)
        is_whole = (*self.axes,) == axes_of((self.input.height, self.input.width), 1, 0)
        return self._spelled("all" if is_whole and isinstance(F, tuple) else F)

    def _spelled(self, F):
        return spell_layer(self.kind, vars(self) | {"F": F})


class _NumberedPool(BoundPool):
    """A POOL that never spells its window as F=all, which would be another window on another input."""

    def __str__(self):
        return self._spelled(collapse(self.F))


LAYERS = (BoundPool,)
