"""POOL."""

from dataclasses import dataclass
from typing import ClassVar

from skconvnet.architecture.errors import ArchitectureError
from skconvnet.architecture.layers.arithmetic import Volume, axes_of, check_square, output_extents, padding
from skconvnet.architecture.layers.base import BoundLayer
from skconvnet.architecture.notation.table import spell_layer


@dataclass(frozen=True)
class BoundPool(BoundLayer):
    """The maximum or average over windows of F = (rows, columns), in each depth slice.

    Only pixels of the input count. Padding, and what lies beyond the padded input (round="ceil"), are left out of the
    maximum and of the average.
    """

    mode: str
    F: tuple[int, int]
    S: int
    P: int
    round: str | None = None

    kind: ClassVar[str] = "POOL"

    def __post_init__(self):
        if self.P >= min(self.F):
            raise ArchitectureError(
                f"{self.name}: with P={self.P} a window of F={min(self.F)} can contain only padding; P must be below F"
            )
        output_extents(self)

    @classmethod
    def bind(cls, name, volume, options):
        """Make the layer from the options of the notation; P becomes a number, and F=all the extent of the input."""
        options = {"mode": "max", "P": 0} | options
        F, P = options["F"], options["P"]
        if F != "all":
            changed = {"F": (F, F), "P": padding(P, F, name)}
        elif P in (0, "valid"):
            changed = {"F": (volume.height, volume.width), "S": 1, "P": 0}  # one position, whatever the stride
        else:
            raise ArchitectureError(f"{name}: F=all is a window over the whole input, which allows no padding P={P}")
        return cls(name, volume, **options | changed)

    @property
    def axes(self):
        """The numbers of the window, those of its rows and of its columns: two `Axis`."""
        return axes_of(self.F, self.S, self.P)

    @property
    def output(self):
        """The volume of the output, as deep as the input."""
        return Volume(*output_extents(self), self.input.depth)

    def convolutional(self):
        """Return the layer itself if its window is square."""
        check_square(self, self.F)
        return self

    def __str__(self):
        rows, columns = self.F  # they differ only if the window is the whole input
        return spell_layer(self.kind, vars(self) | {"F": rows if rows == columns else "all"})


LAYERS = (BoundPool,)
