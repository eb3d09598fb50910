"""Steps as chains and branches: where branches meet, the nearest step that all of them pass is where they begin."""

from dataclasses import dataclass, field

from skconvnet.architecture.notation.table import MAX_LAYERS, MAX_NESTING
from skconvnet.architecture.notation.tree import spell_branches
from skconvnet.interchange.onnx.steps import Step

__all__ = ["Fork", "Part", "chain_of", "parts_of"]


@dataclass
class Part:
    """A layer of a chain, with its learned arrays; see `Step`."""

    kind: str
    options: dict
    learned: tuple
    step: Step


@dataclass
class Fork:
    """Branches of a chain."""

    operator: str
    branches: list
    step: Step = field(repr=False)

    def __str__(self):
        return spell_branches(self.operator, self.branches)


def chain_of(step, steps):
    """Return the chain that leads from the images to a step.

    Parameters
    ----------
    step : Step
        The end of the chain.
    steps : list of Step
        All steps after that of the images, in the order of computation.

    Returns
    -------
    list of Part and Fork

    Raises
    ------
    ValueError
        If the graph is no chain of layers and branches in each other, as where two branches share a layer. Also if it
        has more layers than the notation allows.

    Notes
    -----
    A step dominates another if every path from the images passes it. The nearest one is found as the common ancestor of
    all inputs in the tree of dominators: K. Cooper, T. Harvey and K. Kennedy, "A simple, fast dominance algorithm"
    (2001), which takes one pass over a graph without circles.
    """
    if len(steps) > MAX_LAYERS:
        raise ValueError(f"it has {len(steps)} layers, and at most {MAX_LAYERS} are read.")
    return _Decomposition(steps).chain(step, None, 0)


def parts_of(chain):
    """Yield the layers of a chain in network order, including those of branches."""
    for item in chain:
        if isinstance(item, Fork):
            for branch in item.branches:
                yield from parts_of(branch)
        else:
            yield item


class _Decomposition:
    """The tree of dominators, and the steps that have a place in a chain."""

    def __init__(self, steps):
        self.parent, self.depth, self.placed = {}, {}, set()
        for step in steps:
            fork = step.inputs[0]
            for other in step.inputs[1:]:
                fork = self.common(fork, other)
            self.parent[step], self.depth[step] = fork, self.depth.get(fork, 0) + 1

    def common(self, first, second):
        """Return the nearest common ancestor of two steps."""
        while first is not second:
            if self.depth.get(first, 0) < self.depth.get(second, 0):
                first, second = second, first
            first = self.parent[first]
        return first

    def chain(self, step, begin, nesting):
        """Return the chain from `begin`, which is left out, to a step. None: from the images."""
        if nesting > MAX_NESTING:
            raise step.node.refused(f"branches are nested more than {MAX_NESTING} deep")
        items = []
        while step is not begin and step.inputs:
            if step in self.placed:
                raise step.node.refused("its value is used by two branches that do not begin there")
            self.placed.add(step)
            fork = self.parent[step]
            if len(step.inputs) == 1:
                items.append(Part(step.kind, step.options, step.learned, step))
            else:
                branches = [self.chain(branch, fork, nesting + 1) for branch in step.inputs]
                items.append(Fork(step.kind, branches, step))
            step = fork
        return items[::-1]
