"""A network as the parts of a diagram: volumes, branches, and repeated parts.

A diagram is a chain, a tuple of parts. Layers that keep the volume, such as RELU, belong to the part before them.
"""

import re
from dataclasses import dataclass
from itertools import count, takewhile

from skconvnet.architecture import Volume
from skconvnet.architecture.layers.branches import BoundBranches

__all__ = ["Fork", "Part", "Repeat", "diagram_of", "fold", "parts_in"]

_SHOWN = re.compile(r"(?:[KFSP]|groups|dilation)=|max$|average$|batch$|layer$|lrn$")  # what a label says of a layer
_LONGEST_LINE = 12  # characters, where layers after a CONV stand beside its numbers
_LONGEST_PERIOD = 12  # parts of a repeated chain


@dataclass(frozen=True)
class Part:
    """A volume of the diagram, and the layers that make it.

    Parameters
    ----------
    name : str
        The name of the layer.
    kind : str
        Its kind, such as ``"CONV"``.
    volume : Volume
        Its output.
    numbers : tuple of str
        Its numbers, such as ``"K=16"``.
    followers : tuple of str
        Kinds of the layers after it that keep the volume.
    last : Volume or None
        The output of the last repetition, if the part is repeated.
    """

    name: str
    kind: str
    volume: Volume
    numbers: tuple = ()
    followers: tuple = ()
    last: Volume | None = None

    @property
    def signature(self):
        """What is equal in two parts that do the same: all but the name and the depth."""
        return self.kind, self.numbers, self.followers, self.volume.height, self.volume.width

    @property
    def label(self):
        """The lines of text below the box.

        Examples
        --------
        >>> Part("CONV 1", "CONV", Volume(8, 8, 16), ("K=16", "F=3", "S=1", "P=1"), ("NORM", "RELU")).label
        ['CONV 1', 'K=16 F=3', 'S=1 P=1', 'NORM, RELU', '[8x8x16]']
        >>> Part("CONV 1", "CONV", Volume(8, 8, 16), ("K=16", "F=3", "S=1", "P=1"), ("RELU",)).label
        ['CONV 1', 'K=16 F=3', 'S=1 P=1 RELU', '[8x8x16]']
        """
        numbers = [" ".join(self.numbers[n : n + 2]) for n in range(0, len(self.numbers), 2)]
        followers = [", ".join(self.followers[n : n + 2]) for n in range(0, len(self.followers), 2)]
        if numbers and followers and len(numbers[-1] + followers[0]) < _LONGEST_LINE:
            numbers[-1:], followers = [f"{numbers[-1]} {followers[0]}"], followers[1:]
        changed = self.last is not None and self.last != self.volume
        return [self.name, *numbers, *followers, str(self.volume), *([f"to {self.last}"] if changed else [])]

    def caption(self, words):
        """Return the lines of text below the box, of which fewer may be wanted.

        Parameters
        ----------
        words : {"all", "volume", "name", "none"}
            Whether all is written, the name and the volume, the name, or nothing.

        Returns
        -------
        list of str
        """
        return {"all": self.label, "volume": [self.name, str(self.volume)], "name": [self.name], "none": []}[words]


@dataclass(frozen=True)
class Fork:
    """Branches and what joins them.

    Parameters
    ----------
    branches : tuple of tuple
        A chain for each branch; an empty one is the input itself.
    operator : str
        The sign of the notation: "+", "|" or "*".
    joint : Part
        The output.
    """

    branches: tuple
    operator: str
    joint: Part

    @property
    def signature(self):
        """What is equal in two forks that do the same."""
        branches = tuple(tuple(part.signature for part in branch) for branch in self.branches)
        return self.operator, branches, self.joint.signature

    @property
    def main(self):
        """The number of the branch with the most parts."""
        lengths = [len(list(parts_in(branch))) for branch in self.branches]
        return lengths.index(max(lengths))


@dataclass(frozen=True)
class Repeat:
    """A chain that is repeated.

    Parameters
    ----------
    chain : tuple
        The parts, as they are in the first repetition.
    times : int
    """

    chain: tuple
    times: int

    @property
    def signature(self):
        """What is equal in two repeats that do the same."""
        return self.times, tuple(part.signature for part in self.chain)


def diagram_of(architecture):
    """Return the diagram of a network.

    Parameters
    ----------
    architecture : BoundArchitecture

    Returns
    -------
    tuple
        The chain, from the input to the scores.

    Examples
    --------
    >>> from skconvnet import Architecture
    >>> bound = Architecture.parse("INPUT -> CONV(K=4) -> RELU -> (CONV(K=4) + SKIP) -> RELU -> FC").bind((8, 8, 1))
    >>> [part.name for part in parts_in(diagram_of(bound))]
    ['INPUT', 'CONV 1', 'CONV 2', 'SUM 1', 'FC 1']
    """
    image = Part("INPUT", "INPUT", Volume(*architecture.image_shape))
    return _chain(architecture.layers, (image,))


def _chain(layers, begin=()):
    """Return the parts of a chain of layers, after those that it begins with."""
    chain = list(begin)
    for layer in layers:
        if layer.kind == "SKIP":
            continue
        if _keeps_volume(layer) and chain:
            chain[-1] = _followed(chain[-1], layer)
        elif isinstance(layer, BoundBranches):
            branches = sorted(map(_chain, layer.branches), key=bool)  # the input itself goes above the others
            chain.append(Fork(tuple(branches), layer.operator, Part(layer.name, layer.kind, layer.output)))
        else:
            chain.append(Part(layer.name, layer.kind, layer.output, _numbers(layer)))
    return tuple(chain)


def _keeps_volume(layer):
    """Return whether a layer changes the numbers of a volume and nothing else."""
    return layer.n_activations == 0 or layer.kind == "NORM"


def _followed(part, layer):
    """Return a part with one more layer that keeps the volume."""
    if isinstance(part, Fork):
        return Fork(part.branches, part.operator, _followed(part.joint, layer))
    return Part(part.name, part.kind, part.volume, part.numbers, (*part.followers, layer.kind))


def _numbers(layer):
    """Return the numbers of a layer as the notation spells them; K of an FC is the number of its units."""
    if layer.kind == "FC":
        return (f"K={layer.output.depth}",)
    options = re.search(r"\((.*)\)", str(layer))
    return tuple(option for option in options[1].split(", ") if _SHOWN.match(option)) if options else ()


def parts_in(chain):
    """Yield every part of a chain, those of branches before what joins them.

    Parameters
    ----------
    chain : tuple

    Yields
    ------
    Part
    """
    for part in chain:
        if isinstance(part, Fork):
            for branch in part.branches:
                yield from parts_in(branch)
            yield part.joint
        elif isinstance(part, Repeat):
            yield from parts_in(part.chain)
        else:
            yield part


def fold(chain):
    """Replace the parts that follow each other and do the same by one of them, which says how often.

    Parameters
    ----------
    chain : tuple

    Returns
    -------
    tuple

    Examples
    --------
    >>> from skconvnet import Architecture
    >>> bound = Architecture.parse("INPUT -> [CONV(K=4) -> RELU]*9 -> FC").bind((8, 8, 1))
    >>> _, repeated, _ = fold(diagram_of(bound))
    >>> repeated.times, repeated.chain[0].name
    (9, 'CONV 1')
    """
    chain = tuple(_fold_branches(part) for part in chain)
    signatures = [part.signature for part in chain]
    folded, at = [], 0
    while at < len(chain):
        period, times = _best_repetition(signatures, at)
        if times > 1:
            end = at + period * times
            last = chain[end - period : end]
            folded.append(Repeat(tuple(map(_until, chain[at : at + period], last)), times))
            at = end
        else:
            folded.append(chain[at])
            at += 1
    return tuple(folded)


def _fold_branches(part):
    if not isinstance(part, Fork):
        return part
    return Fork(tuple(map(fold, part.branches)), part.operator, part.joint)


def _best_repetition(signatures, at):
    """Return (period, times) of the repetition from a place on that leaves out the most parts."""

    def times(period):
        unit = signatures[at : at + period]
        begins = count(at + period, period)
        return 1 + sum(1 for _ in takewhile(lambda begin: signatures[begin : begin + period] == unit, begins))

    longest = min(_LONGEST_PERIOD, (len(signatures) - at) // 2)
    options = [(period, times(period)) for period in range(1, longest + 1)]
    return max(options, key=lambda option: option[0] * (option[1] - 1), default=(1, 1))


def _until(part, last):
    """Return a part that also knows its last repetition."""
    if isinstance(part, Fork):
        branches = tuple(tuple(map(_until, *both)) for both in zip(part.branches, last.branches, strict=True))
        return Fork(branches, part.operator, _until(part.joint, last.joint))
    if isinstance(part, Repeat):
        return Repeat(tuple(map(_until, part.chain, last.chain)), part.times)
    return Part(part.name, part.kind, part.volume, part.numbers, part.followers, last.last or last.volume)
