"""The tree of a text: a chain is a tuple of `Layer`, `Repeat` and `Branches`.

The `position` of a node is the index in the text at which it begins. It does not count in comparisons.
"""

from dataclasses import dataclass, field

from skconvnet.architecture.notation.table import spell_layer


@dataclass(frozen=True)
class Layer:
    """A layer with the options that the text spells."""

    kind: str
    options: dict = field(default_factory=dict)
    optional: bool = False
    position: int = field(default=0, compare=False)

    def __str__(self):
        return spell_layer(self.kind, self.options) + "?" * self.optional


@dataclass(frozen=True)
class Repeat:
    """``[body]*times``, where `times` is a number or one of the letters N, M and K."""

    body: tuple
    times: int | str
    position: int = field(default=0, compare=False)

    def __str__(self):
        return f"[{spell_chain(self.body)}]*{self.times}"


@dataclass(frozen=True)
class Branches:
    """``(A + B)``, a sum, ``(A | B)``, a stack along depth, or ``(A * B)``, a gate. Each branch is a chain."""

    operator: str
    branches: tuple
    position: int = field(default=0, compare=False)

    def __str__(self):
        return spell_branches(self.operator, self.branches)


def spell_chain(chain):
    """Return the canonical text of a chain; the ``str`` of each item is its text."""
    return " -> ".join(map(str, chain))


def spell_branches(operator, branches):
    """Return the canonical text of a sum, stack or gate."""
    return f"({f' {operator} '.join(map(spell_chain, branches))})"


def contains(chain, kind):
    """Return whether a chain contains a layer of this kind, at any depth."""
    for item in chain:
        if isinstance(item, Repeat):
            found = contains(item.body, kind)
        elif isinstance(item, Branches):
            found = any(contains(branch, kind) for branch in item.branches)
        else:
            found = item.kind == kind
        if found:
            return True
    return False


def count_layers(chain, times):
    """Return the number of layers after all repeats are written out, without writing them out.

    A repeat with nothing in it counts as one, so that the count also bounds the work of writing it out.

    Parameters
    ----------
    chain : tuple
        A chain of the tree.
    times : dict
        The number for each of the letters N, M and K.

    Returns
    -------
    int
    """
    total = 0
    for item in chain:
        if isinstance(item, Repeat):
            total += max(1, times.get(item.times, item.times) * count_layers(item.body, times))
        elif isinstance(item, Branches):
            total += 1 + sum(count_layers(branch, times) for branch in item.branches)
        else:
            total += 1
    return total
