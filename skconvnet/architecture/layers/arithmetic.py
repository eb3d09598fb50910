"""Volumes and the formula for output sizes: ``(W - F + 2P)/S + 1``.

Numbers that differ along the axes are stored as (rows, columns), as arrays have them, and spelled as width x height, as
volumes are.
"""

from dataclasses import dataclass
from typing import NamedTuple

from skconvnet.architecture.errors import ArchitectureError
from skconvnet.architecture.notation.table import collapse


class WindowTooLargeError(ArchitectureError):
    """The error for a window that is larger than its padded input."""


REACH = 1000  # an error message searches for values that fit up to this distance


@dataclass(frozen=True)
class Volume:
    """The shape of a volume of activations. It prints as width x height x depth.

    Examples
    --------
    >>> str(Volume(height=24, width=32, depth=3))
    '[32x24x3]'
    """

    height: int
    width: int
    depth: int

    @property
    def size(self):
        """The number of activations."""
        return self.height * self.width * self.depth

    def __str__(self):
        return f"[{self.width}x{self.height}x{self.depth}]"


class Axis(NamedTuple):
    """A window along one axis.

    Parameters
    ----------
    F, S, P : int
        Extent, stride, and number of zeros on each side of the input.
    dilation : int
        The distance between two neighbouring pixels of the window.

    Examples
    --------
    >>> Axis(F=3, S=1, P=0, dilation=2).reach
    5
    """

    F: int
    S: int
    P: int
    dilation: int = 1

    @property
    def reach(self):
        """The pixels from the first to the last of the window."""
        return (self.F - 1) * self.dilation + 1


class Side(NamedTuple):
    """The width or the height of an input, and the window along it.

    Parameters
    ----------
    letter : str
        What it is called in errors: W or H; of a square input, W for both.
    extent : int
    axis : Axis
    """

    letter: str
    extent: int
    axis: Axis

    @property
    def padded(self):
        """The extent with the zeros on both sides."""
        return self.extent + 2 * self.axis.P

    def fits(self, W=None, **changed):
        """Return whether the window has a whole number of positions, with another extent `W`, F, S or P.

        Examples
        --------
        >>> side = Side("W", 8, Axis(F=3, S=2, P=0))
        >>> side.fits(), side.fits(W=9), side.fits(F=2)
        (False, True, True)
        """
        extent, axis = self.extent if W is None else W, self.axis._replace(**changed)
        span = extent - axis.reach + 2 * axis.P
        return span >= 0 and span % axis.S == 0


def axes_of(F, S, P, dilation=1):
    """Return the axes of a window, those of its rows and of its columns.

    Parameters
    ----------
    F, S, P, dilation : int or tuple of int
        A number, or (rows, columns).

    Returns
    -------
    tuple of Axis

    Examples
    --------
    >>> axes_of(F=(1, 3), S=2, P=0)
    (Axis(F=1, S=2, P=0, dilation=1), Axis(F=3, S=2, P=0, dilation=1))
    """
    return tuple(map(Axis, *map(_per_axis, (F, S, P, dilation))))


def _per_axis(value):
    """Return (rows, columns) of a number or of such a tuple."""
    return value if isinstance(value, tuple) else (value, value)


def output_extent(W, F, S, P, round, name, dilation=1):
    """Return (W - F + 2P)/S + 1, the number of positions of a window along one axis.

    Of a dilated window, (F - 1)*dilation + 1 takes the place of F.

    Parameters
    ----------
    W, F, S, P : int
        Extent of the input, extent of the window, stride, and number of zeros on each side of the input.
    round : {None, "floor", "ceil"}
        What to do if the result is not a whole number. None: raise an error. "floor": drop the windows that reach
        beyond the padded input. "ceil": keep one such window if it begins inside the input or the padding before it.
    name : str
        The layer and axis, for the error.
    dilation : int, default=1
        The distance between two neighbouring pixels of the window.

    Returns
    -------
    int
        At least 1.

    Raises
    ------
    ArchitectureError
        If the window is larger than the padded input, or if the result is not a whole number and `round` is None.

    Notes
    -----
    The formula is from the CS231n notes, section "Spatial arrangement". "ceil" rounds as Caffe and PyTorch do.

    Examples
    --------
    >>> output_extent(W=227, F=11, S=4, P=0, round=None, name="CONV 1")
    55
    >>> output_extent(W=10, F=3, S=2, P=0, round="floor", name="CONV 1")
    4
    """
    side = Side("W", W, Axis(F, S, P, dilation))
    return _positions(side, round, name, [side])


def _positions(side, round, name, sides):
    """Return the output extent along one of the sides of an input; an error says what fits all of them."""
    S, span = side.axis.S, side.padded - side.axis.reach
    if span < 0:
        raise WindowTooLargeError(_too_large(side, name, sides))
    whole_windows = span // S + 1
    if span % S == 0 or round == "floor":
        return whole_windows
    if round == "ceil":
        # The next window, counted from the first zero of the padding.
        begins_inside = whole_windows * S < side.extent + side.axis.P
        return whole_windows + begins_inside
    raise ArchitectureError(_not_whole(side, name, sides))


class RoundedLayer:
    """A layer that slides a window over its input, and rounds the size of its output where `rounding` says so.

    `round` is what the text says, or else `rounding` where (W - F + 2P)/S + 1 is not a whole number: the text of a
    network on a known image shows each layer that rounds. On another image, `rounding` counts again.

    Examples
    --------
    >>> from skconvnet.architecture import Architecture
    >>> print(Architecture.parse("INPUT -> CONV(K=8) -> POOL -> POOL -> FC").bind((14, 14, 1)))
    INPUT -> CONV(K=8, F=3, S=1, P=1) -> POOL(max, F=2, S=2, P=0) -> POOL(max, F=2, S=2, P=0, round=floor) -> FC(10)
    """

    def __post_init__(self):
        if self.round is None and self.rounding != "exact" and not self._divides():
            object.__setattr__(self, "round", self.rounding)
        output_extents(self)

    def _divides(self):
        extents = self.input.height, self.input.width
        return all((W - axis.reach + 2 * axis.P) % axis.S == 0 for W, axis in zip(extents, self.axes, strict=True))


def output_extents(layer):
    """Return the height and width of the output of a layer that slides a window over its input.

    Parameters
    ----------
    layer : BoundLayer
        Its `name`, `input`, `axes` and `round` are read.

    Returns
    -------
    list of int

    Raises
    ------
    ArchitectureError
        As `output_extent` does.
    """
    rows, columns = layer.axes
    width, height = Side("W", layer.input.width, columns), Side("H", layer.input.height, rows)
    sides = [width, width if width[1:] == height[1:] else height]
    names = (f"{layer.name} over the {side} of {layer.input}" for side in ("height", "width"))
    return [_positions(side, layer.round, name, sides) for side, name in zip(sides[::-1], names, strict=True)]


def padding(P, F, name, dilation=1):
    """Return P as a number of zeros: 0 for "valid", (F - 1)*dilation/2 for "same".

    Parameters
    ----------
    P : int, tuple of int, "same" or "valid"
    F : int or tuple of int
        A number, or (rows, columns), which have each their own zeros.
    name : str
        The layer, for the error.
    dilation : int or tuple of int, default=1

    Returns
    -------
    int or tuple of int

    Raises
    ------
    ArchitectureError
        If P is "same" and (F - 1)*dilation is odd.

    Examples
    --------
    >>> padding("same", F=(1, 3), name="CONV 1", dilation=2)
    (0, 2)
    """
    if P == "same":
        return collapse(_same(axis, name) for axis in axes_of(F, 1, 0, dilation))
    return 0 if P == "valid" else P


def _same(axis, name):
    """Return the zeros on each side with which a window of stride 1 keeps the extent of its input."""
    F, times, by = axis.F, *(("", "") if axis.dilation == 1 else ("*dilation", f"*{axis.dilation}"))
    zeros, is_odd = divmod(axis.reach - 1, 2)
    if is_odd:
        raise ArchitectureError(
            f"{name}: P='same' is (F - 1){times}/2 = ({F} - 1){by}/2 = {zeros}.5, which is not a whole number. "
            f"What fits: F={F - 1} or F={F + 1}, or a whole number for P"
        )
    return zeros


def _arithmetic(side):
    """Return the formula with its numbers, with enough decimals that a fraction does not look whole."""
    letter, W, (F, S, P, dilation) = side
    value = (side.padded - side.axis.reach) / S + 1
    decimals = max(3, len(str(S)))
    shown = f"{value:.{decimals}f}".rstrip("0").rstrip(".")
    reach, number = ("F", F) if dilation == 1 else ("((F - 1)*dilation + 1)", f"(({F} - 1)*{dilation} + 1)")
    return f"({letter} - {reach} + 2P)/S + 1 = ({W} - {number} + {2 * P})/{S} + 1 = {shown}"


def _changed_together(side, sides):
    """Return the sides that another F, S or P of one of them changes too: those with the same window."""
    return [other for other in sides if other.axis == side.axis]


def _too_large(side, name, sides):
    letter, W, (F, _, P, dilation) = side
    window, reach = f"F={F}", side.axis.reach
    if dilation > 1:
        window += f" with dilation={dilation}, (F - 1)*dilation + 1 = {reach},"
    together = _changed_together(side, sides)
    sizes = {one.letter: one.axis.reach - 2 * one.axis.P for one in sides if one.padded < one.axis.reach}
    return (
        f"{name}: the window {window} is larger than the padded input, {letter} + 2P = {W} + {2 * P} = {side.padded}, "
        f"so {_arithmetic(side)}. What fits: F={min((one.padded - 1) // dilation + 1 for one in together)} or smaller, "
        f"P={max((reach - one.extent + 1) // 2 for one in together)} or larger, or {_spelled(sizes)} or larger"
    )


def _not_whole(side, name, sides):
    _, _, (F, S, P, _) = side
    together = _changed_together(side, sides)

    def fits(**changed):
        return all(one.fits(**changed) for one in together)

    def fits_extent(one):
        return lambda W: one.fits(W=W)

    unfit = {one.letter: _nearest(one.extent, 1, fits_extent(one)) for one in sides if not one.fits()}
    sizes = [dict(zip(unfit, extents, strict=True)) for extents in zip(*unfit.values(), strict=True)]
    choices = [
        *({"S": s} for s in _nearest(S, 1, lambda s: s <= max(S, F) and fits(S=s))),  # a larger one skips pixels
        *({"P": p} for p in _nearest(P, 0, lambda p: p < F and fits(P=p))),
        # P may be "same", which changes with F: the message fixes it.
        *({"F": f, "P": P} for f in _nearest(F, 1, lambda f: P < f and fits(F=f))),
        *sizes,
    ]
    nearest = [_spelled(choice, " with ") for choice in choices if None not in choice.values()]
    return (
        f"{name}: {_arithmetic(side)} is not a whole number, and rounding='exact' refuses it: "
        f"rounding='floor' rounds down. What fits: round=floor, round=ceil, {', '.join(nearest)}"
    )


def _spelled(numbers, between=" and "):
    return between.join(f"{letter}={number}" for letter, number in numbers.items())


def _nearest(value, lowest, fits):
    """Return the nearest smaller and the nearest larger value that fit; None for one that there is not."""
    below = range(value - 1, max(lowest, value - REACH) - 1, -1)
    above = range(value + 1, value + REACH + 1)
    return [next((v for v in side if fits(v)), None) for side in (below, above)]
