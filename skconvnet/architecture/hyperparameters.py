"""The numbers that a text leaves to the constructor."""

import operator
import re
from collections.abc import Sequence
from dataclasses import dataclass, fields

from skconvnet.architecture.errors import ArchitectureError, counted, did_you_mean, shown
from skconvnet.architecture.notation.table import MAX_NUMBER

PER_BLOCK = ("pool", "K", "F", "S", "P")  # M="auto" is the length of the first of these that is a sequence
ROUNDINGS = ("floor", "ceil", "exact")
SMALLEST_SIDE = 4  # M="auto" does not halve the shorter side of the image below this


@dataclass(frozen=True)
class Hyperparameters:
    """The values for layers and repeats that do not spell their own.

    Whole numbers may be NumPy's and sequences may be arrays. They are stored as ints and tuples.

    Parameters
    ----------
    K : "auto", int >= 1, or sequence of int
        Filters of the CONV layers. "auto": 32 in the first block, doubled in every later block that follows a POOL,
        at most 256.
    F, S : int >= 1, or sequence of int
        Extent and stride of the filters.
    P : int >= 0, "same" or "valid", or sequence of these
        Zero-padding. "same" is (F - 1)/2, "valid" is 0.
    N : int >= 0
        Repetitions of groups marked ``*N``.
    M : "auto" or int >= 0
        Repetitions of groups marked ``*M``. "auto": the length of the first of pool, K, F, S and P that is a
        sequence. If none is, the number of times that the shorter side of the image can be halved to at least 4
        pixels, at least 1.
    hidden_layer_sizes : int >= 1, or sequence of int
        Units of the FC layers that do not end the network, in order. A group marked ``*K`` is repeated once per value.
    pool : bool, or sequence of bool
        Whether to keep ``POOL?``.
    pool_F, pool_S : int >= 1, or sequence of int
        Extent and stride of the POOL layers.
    rounding : {"floor", "ceil", "exact"}
        What to do where (W - F + 2P)/S + 1 of a CONV or POOL without ``round=`` is not a whole number: round down,
        round up, or raise an error.

    Raises
    ------
    ArchitectureError
        If a value is not of these types.

    Notes
    -----
    A sequence for K, F, S or P has one value per CONV layer or one per block, a sequence for `pool` one per block, and
    a sequence for `pool_F` or `pool_S` one per POOL layer that is kept. A block is one repetition of the outermost
    repeat around a CONV. A CONV outside all repeats is a block by itself.

    Examples
    --------
    >>> Hyperparameters(K=[16, 32]).K
    (16, 32)
    """

    K: str | int | tuple[int, ...] = "auto"
    F: int | tuple[int, ...] = 3
    S: int | tuple[int, ...] = 1
    P: str | int | tuple[str | int, ...] = "same"
    N: int = 2
    M: str | int = "auto"
    hidden_layer_sizes: tuple[int, ...] = (128,)
    pool: bool | tuple[bool, ...] = True
    pool_F: int | tuple[int, ...] = 2
    pool_S: int | tuple[int, ...] = 2
    rounding: str = "floor"

    def __post_init__(self):
        for name, check in _CHECKS.items():
            object.__setattr__(self, name, check(name, getattr(self, name)))

    def repetitions(self, image):
        """Return the number of repetitions for each letter.

        Parameters
        ----------
        image : Volume
            The input of the network.

        Returns
        -------
        dict
            The numbers for "N", "M" and "K".
        """
        return {"N": self.N, "M": self._blocks(image), "K": len(self.hidden_layer_sizes)}

    def _blocks(self, image):
        if self.M != "auto":
            return self.M
        for name in PER_BLOCK:
            if isinstance(getattr(self, name), tuple):
                return len(getattr(self, name))
        halvings = (min(image.height, image.width) // SMALLEST_SIDE).bit_length() - 1
        return max(1, halvings)


HYPERPARAMETERS = tuple(field.name for field in fields(Hyperparameters))


def spread(name, value, blocks, n_blocks):
    """Return one value for each CONV layer.

    Parameters
    ----------
    name : str
        The name of the hyperparameter, for the error.
    value : object or tuple
        One value for all layers, or a tuple with one value per CONV layer or one per block.
    blocks : list of int
        The block of each CONV layer.
    n_blocks : int

    Returns
    -------
    list

    Raises
    ------
    ArchitectureError
        If the tuple has another length.

    Examples
    --------
    >>> spread("K", (16, 32), blocks=[0, 0, 1, 1], n_blocks=2)
    [16, 16, 32, 32]
    """
    if not isinstance(value, tuple):
        return [value] * len(blocks)
    if len(value) == len(blocks):
        return list(value)
    if len(value) == n_blocks:
        return [value[block] for block in blocks]
    square = (
        f". For filters of {value[0]}x{value[0]} give one number, F={value[0]}"
        if name == "F" and len({*value}) == 1
        else ""
    )
    lengths = " or ".join(str(length) for length in dict.fromkeys((len(blocks), n_blocks)))
    raise ArchitectureError(
        f"{name} has length {len(value)}, but the network has {counted(len(blocks), 'CONV layer')} in "
        f"{counted(n_blocks, 'block')}: give one value, or a sequence of length {lengths}{square}"
    )


def whole_number(name, value, lowest, words=(), error=ArchitectureError):
    """Return a whole number as an int.

    Parameters
    ----------
    name : str
        What the number is, for the error.
    value : object
        A whole number, possibly NumPy's; floats and bools are rejected.
    lowest : int
        The smallest number allowed.
    words : sequence of str
        What is allowed too, for the error.
    error : type, default=ArchitectureError
        The class of the error.

    Returns
    -------
    int

    Raises
    ------
    ArchitectureError or `error`
        If the value is not a whole number from `lowest` to `MAX_NUMBER`.
    """
    try:
        number = None if isinstance(value, bool) else operator.index(value)
    except Exception:  # __index__ may raise anything
        number = None
    if number is None or not lowest <= number <= MAX_NUMBER:
        needed = " or ".join([f"a whole number from {lowest} to {MAX_NUMBER}", *map(repr, words)])
        hint = did_you_mean(value, words) if isinstance(value, str) else ""
        if isinstance(value, str) and re.fullmatch(r"\d{1,9}x\d{1,9}", value):
            hint = f". Two numbers, of width x height, are written in the text: CONV({name}={value})"
        raise error(f"{name} must be {needed}, got {shown(value)}{hint}")
    return number


def as_sequence(value):
    """Return the values of a sequence or an array as a list, or None if it is neither."""
    if hasattr(value, "tolist"):
        value = value.tolist()
    return list(value) if isinstance(value, Sequence) and not isinstance(value, str | bytes | bytearray) else None


def _one_or_more(check):
    """Extend a check to sequences, which become tuples."""

    def check_each(name, value):
        values = as_sequence(value)
        if values == []:
            raise ArchitectureError(f"{name} must be one value or a sequence of at least one, got an empty sequence")
        return check(name, value) if values is None else tuple(check(name, one) for one in values)

    return check_each


def _count(lowest):
    return lambda name, value: whole_number(name, value, lowest)


def _or_words(lowest, *words):
    """Return a check for a whole number or one of the words."""

    def check(name, value):
        if isinstance(value, str) and value in words:
            return str(value)
        return whole_number(name, value, lowest, words)

    return check


def _filters(name, value):
    """Check K. "auto" is allowed alone, but not in a sequence."""
    check = _or_words(1, "auto") if as_sequence(value) is None else _one_or_more(_count(1))
    return check(name, value)


def _flag(name, value):
    value = value.tolist() if hasattr(value, "tolist") else value
    if not isinstance(value, bool):
        raise ArchitectureError(f"{name} must be True or False, or a sequence of these, got {shown(value)}")
    return value


def _rounding(name, value):
    if not (isinstance(value, str) and value in ROUNDINGS):
        hint = did_you_mean(value, ROUNDINGS) if isinstance(value, str) else ""
        raise ArchitectureError(f"{name} must be {' or '.join(map(repr, ROUNDINGS))}, got {shown(value)}{hint}")
    return str(value)


def _sizes(name, value):
    values = as_sequence(value)
    return tuple(whole_number(name, size, 1) for size in ([value] if values is None else values))


_CHECKS = {
    "K": _filters,
    "F": _one_or_more(_count(1)),
    "S": _one_or_more(_count(1)),
    "P": _one_or_more(_or_words(0, "same", "valid")),
    "N": _count(0),
    "M": _or_words(0, "auto"),
    "hidden_layer_sizes": _sizes,
    "pool": _one_or_more(_flag),
    "pool_F": _one_or_more(_count(1)),
    "pool_S": _one_or_more(_count(1)),
    "rounding": _rounding,
}
