"""The numbers that a text leaves to the constructor, checked once and the same ever after."""

import operator
from collections.abc import Sequence
from dataclasses import dataclass, fields

from skconvnet.architecture.errors import ArchitectureError, shown
from skconvnet.architecture.notation.parser import MAX_NUMBER

PER_BLOCK = ("pool", "K", "F", "S", "P")  # where M="auto" looks for a length, in this order
_SMALLEST_SIDE = 4  # M="auto" halves the image's shorter side to no less


@dataclass(frozen=True)
class Hyperparameters:
    """What a text's layers and repeats take where they spell no number of their own.

    Whole numbers may be NumPy's and sequences may be arrays; they are kept as ints and tuples.

    Parameters
    ----------
    K : "auto", int >= 1, or sequence of int
        Filters of the CONV layers. "auto": 32 in the first block, twice as many in every later block that follows a
        POOL, at most 256.
    F, S : int >= 1, or sequence of int
        Extent of the filters, and stride.
    P : int >= 0, "same" or "valid", or sequence of these
        Zero-padding; "same" is (F - 1)/2, "valid" is 0.
    N : int >= 0
        Repetitions of a group marked ``*N``.
    M : "auto" or int >= 0
        Repetitions of a group marked ``*M``. "auto": the length of a sequence in pool, K, F, S or P, the first of them
        that is one; else as many as halve the image to no less than 4 pixels on its shorter side, at least 1.
    hidden_layer_sizes : int >= 1, or sequence of int
        Units of the FC layers before the last; a group marked ``*K`` stands once for each.
    pool : bool, or sequence of bool
        Whether ``POOL?`` stands.
    pool_F, pool_S : int >= 1, or sequence of int
        Extent and stride of the POOL layers.

    Raises
    ------
    ArchitectureError
        Where a value is of none of these kinds.

    Notes
    -----
    A sequence for K, F, S or P has one value per CONV layer or one per block, one for `pool` has one per block, one for
    `pool_F` or `pool_S` one per POOL that stands. A block is one repetition of the outermost repeat around a CONV; a
    CONV outside all repeats is a block by itself.

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

    def __post_init__(self):
        for name, check in _CHECKS.items():
            object.__setattr__(self, name, check(name, getattr(self, name)))

    def repetitions(self, image):
        """Return what the letters of a repeat stand for.

        Parameters
        ----------
        image : Volume
            The input of the network.

        Returns
        -------
        dict
            A number for each of "N", "M" and "K".
        """
        return {"N": self.N, "M": self._blocks(image), "K": len(self.hidden_layer_sizes)}

    def _blocks(self, image):
        if self.M != "auto":
            return self.M
        for name in PER_BLOCK:
            if isinstance(getattr(self, name), tuple):
                return len(getattr(self, name))
        halvings = (min(image.height, image.width) // _SMALLEST_SIDE).bit_length() - 1
        return max(1, halvings)


HYPERPARAMETERS = tuple(field.name for field in fields(Hyperparameters))


def spread(name, value, blocks, n_blocks):
    """Return one value for each CONV layer.

    Parameters
    ----------
    name : str
        The hyperparameter's, for the error.
    value : object or tuple
        One value for all; or a tuple with one per CONV layer, or else one per block.
    blocks : list of int
        The block that each CONV layer stands in.
    n_blocks : int

    Returns
    -------
    list

    Raises
    ------
    ArchitectureError
        Where a tuple has another length.

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
    lengths = " or ".join(str(length) for length in dict.fromkeys((len(blocks), n_blocks)))
    raise ArchitectureError(
        f"{name} has length {len(value)}, but the network has {len(blocks)} CONV layers in {n_blocks} blocks: "
        f"give one value, or a sequence of length {lengths}"
    )


def whole_number(name, value, lowest, alternative=""):
    """Return a whole number as an int; NumPy's whole numbers are some too, floats and bools are not.

    Parameters
    ----------
    name : str
        What the number is, for the error.
    value : object
        What came.
    lowest : int
        The smallest number allowed.
    alternative : str
        What else would have been allowed, for the error.

    Returns
    -------
    int

    Raises
    ------
    ArchitectureError
        Where the value is no whole number from `lowest` to `MAX_NUMBER`.
    """
    try:
        number = None if isinstance(value, bool) else operator.index(value)
    except Exception:  # whatever a stranger's __index__ may raise
        number = None
    if number is None or not lowest <= number <= MAX_NUMBER:
        needed = f"a whole number from {lowest} to {MAX_NUMBER}" + (alternative and f" or {alternative}")
        raise ArchitectureError(f"{name} must be {needed}, but {shown(value)} came")
    return number


def as_sequence(value):
    """Return the values of a sequence or an array as a list, or None for anything else."""
    if hasattr(value, "tolist"):
        value = value.tolist()
    return list(value) if isinstance(value, Sequence) and not isinstance(value, str | bytes | bytearray) else None


def _one_or_more(check):
    """Let a check take a sequence too; it is kept as a tuple."""

    def check_each(name, value):
        values = as_sequence(value)
        if values == []:
            raise ArchitectureError(f"{name} must be one value, or a sequence with at least one, but none came")
        return check(name, value) if values is None else tuple(check(name, one) for one in values)

    return check_each


def _count(lowest):
    return lambda name, value: whole_number(name, value, lowest)


def _or_words(lowest, *words):
    """Make a check for a whole number or one of some words."""

    def check(name, value):
        if isinstance(value, str) and value in words:
            return str(value)
        return whole_number(name, value, lowest, " or ".join(map(repr, words)))

    return check


def _filters(name, value):
    """Check K: "auto" stands for all the layers or for none."""
    check = _or_words(1, "auto") if as_sequence(value) is None else _one_or_more(_count(1))
    return check(name, value)


def _flag(name, value):
    value = value.tolist() if hasattr(value, "tolist") else value
    if not isinstance(value, bool):
        raise ArchitectureError(f"{name} must be True or False, or a sequence of these, but {shown(value)} came")
    return value


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
}
