"""Volumes and the formula for output sizes: ``(W - F + 2P)/S + 1``."""

from dataclasses import dataclass

from skconvnet.architecture.errors import ArchitectureError

_REACH = 1000  # an error message searches for values that fit up to this distance


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


def output_extent(W, F, S, P, round, name):
    """Return (W - F + 2P)/S + 1, the number of positions of a window along one axis.

    Parameters
    ----------
    W, F, S, P : int
        Extent of the input, extent of the window, stride, and number of zeros on each side of the input.
    round : {None, "floor", "ceil"}
        What to do if the result is not a whole number. None: raise an error. "floor": drop the windows that reach
        beyond the padded input. "ceil": keep one such window if it begins inside the input or the padding before it.
    name : str
        The layer and axis, for the error.

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
    span = W - F + 2 * P
    if span < 0:
        raise ArchitectureError(_too_large(W, F, S, P, name))
    whole_windows = span // S + 1
    if span % S == 0 or round == "floor":
        return whole_windows
    if round == "ceil":
        begins_inside = whole_windows * S < W + P  # the next window, counted from the first zero of the padding
        return whole_windows + begins_inside
    raise ArchitectureError(_not_whole(W, F, S, P, name))


def output_extents(layer, window):
    """Return the height and width of the output of a layer that slides a window over its input.

    Parameters
    ----------
    layer : BoundLayer
        Its `name`, `input`, `S`, `P` and `round` are read.
    window : tuple of int
        Its (rows, columns).

    Returns
    -------
    list of int

    Raises
    ------
    ArchitectureError
        As `output_extent` does.
    """
    axes = (("height", layer.input.height, window[0]), ("width", layer.input.width, window[1]))
    return [
        output_extent(extent, F, layer.S, layer.P, layer.round, f"{layer.name} over the {axis} of {layer.input}")
        for axis, extent, F in axes
    ]


def padding(P, F, name):
    """Return P as a number of zeros: 0 for "valid", (F - 1)/2 for "same".

    Parameters
    ----------
    P : int, "same" or "valid"
    F : int
    name : str
        The layer, for the error.

    Returns
    -------
    int

    Raises
    ------
    ArchitectureError
        If P is "same" and F is even.
    """
    if P == "same" and F % 2 == 0:
        raise ArchitectureError(
            f"{name}: P='same' is (F - 1)/2 = ({F} - 1)/2 = {F // 2 - 1}.5, which is not a whole number. "
            f"What fits: F={F - 1} or F={F + 1}, or a whole number for P"
        )
    return {"same": (F - 1) // 2, "valid": 0}.get(P, P)


def check_square(layer, window):
    """Raise an `ArchitectureError` if the (rows, columns) of a window differ, since the notation has only one F."""
    rows, columns = window
    if rows != columns:
        raise ArchitectureError(
            f"{layer.name}: its window is {columns} wide and {rows} high, but the notation has only square windows. "
            "Use square images, or layers before it that make the volume square"
        )


def _arithmetic(W, F, S, P):
    """Return the formula with its numbers, with enough decimals that a fraction does not look whole."""
    value = (W - F + 2 * P) / S + 1
    decimals = max(3, len(str(S)))
    return f"(W - F + 2P)/S + 1 = ({W} - {F} + {2 * P})/{S} + 1 = {f'{value:.{decimals}f}'.rstrip('0').rstrip('.')}"


def _too_large(W, F, S, P, name):
    return (
        f"{name}: the window F={F} is larger than the padded input, W + 2P = {W} + {2 * P} = {W + 2 * P}, so "
        f"{_arithmetic(W, F, S, P)}. What fits: F={W + 2 * P} or smaller, P={(F - W + 1) // 2} or larger, "
        f"or W={F - 2 * P} or larger"
    )


def _not_whole(W, F, S, P, name):
    def fits(W=W, F=F, S=S, P=P):
        return F <= W + 2 * P and (W - F + 2 * P) % S == 0

    nearest = [
        *_nearest("S", S, 1, lambda s: s <= max(S, F) and fits(S=s)),  # a larger stride skips pixels
        *_nearest("P", P, 0, lambda P: P < F and fits(P=P)),
        # P may be "same", which changes with F: the message fixes it.
        *(f"{choice} with P={P}" for choice in _nearest("F", F, 1, lambda F: P < F and fits(F=F))),
        *_nearest("W", W, 1, lambda W: fits(W=W)),
    ]
    return (
        f"{name}: {_arithmetic(W, F, S, P)} is not a whole number. "
        f"What fits: round=floor, round=ceil, {', '.join(nearest)}"
    )


def _nearest(letter, value, lowest, fits):
    """Return the nearest smaller and the nearest larger value that fit, as texts."""
    below = range(value - 1, max(lowest, value - _REACH) - 1, -1)
    above = range(value + 1, value + _REACH + 1)
    found = [next((v for v in side if fits(v)), None) for side in (below, above)]
    return [f"{letter}={v}" for v in found if v is not None]
