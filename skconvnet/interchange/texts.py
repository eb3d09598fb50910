"""The text of a network that leaves open what the images and the classes decide."""

import re

from skconvnet.architecture.notation.tree import spell_branches, spell_chain

__all__ = ["general_text"]


def general_text(bound):
    """Return the text of a network for images of any size, and for any number of classes.

    A POOL over its whole input, with S=1, is F=all, and the last CONV or FC of the chain takes its width from the
    classes. On images of the same shape, with as many classes, the text binds to the same network.

    Parameters
    ----------
    bound : BoundArchitecture
        The network.

    Returns
    -------
    str

    Examples
    --------
    >>> from skconvnet import Architecture
    >>> bound = Architecture.parse("INPUT -> CONV(K=4) -> POOL(average, F=all) -> FC").bind((8, 8, 1))
    >>> general_text(bound)
    'INPUT -> CONV(K=4, F=3, S=1, P=1) -> POOL(average, F=all) -> FC'
    """
    texts = [_text(layer) for layer in bound.layers]
    at = max((n for n, layer in enumerate(bound.layers) if layer.kind in ("CONV", "FC")), default=None)
    if at is not None and not any(hasattr(layer, "branches") for layer in bound.layers[at:]):
        head = bound.layers[at]
        texts[at] = "FC" if head.kind == "FC" else texts[at].replace(f"K={head.K},", "K=classes,")
    return f"INPUT -> {spell_chain(texts)}"


def _text(layer):
    if hasattr(layer, "branches"):
        return spell_branches(layer.operator, [[_text(one) for one in branch] for branch in layer.branches])
    is_global = layer.kind == "POOL" and layer.F == (layer.input.height, layer.input.width)
    return re.sub(r"F=\w+, S=1, P=0", "F=all", str(layer)) if is_global else str(layer)
