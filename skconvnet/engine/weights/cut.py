"""A network cut off after one of its layers, with the numbers learned up to there, or cut in two."""

from skconvnet.architecture import BoundArchitecture, walk
from skconvnet.engine.weights.layout import Learned, learning_layers

__all__ = ["cut_behind", "split_architecture"]


def cut_behind(architecture, learned, name):
    """Cut a network off after a layer, which becomes the last.

    Of the branches around the layer, only the part of its own branch that leads to it is kept.

    Parameters
    ----------
    architecture : BoundArchitecture
    learned : Learned
    name : str
        The name of one of its layers, such as ``"CONV 2"``.

    Returns
    -------
    architecture : BoundArchitecture
        The network up to the layer. Its `n_classes` is the depth of the layer's volume.
    learned : Learned
        Its learned numbers, the same arrays.

    Raises
    ------
    KeyError
        If no layer has the name.

    Examples
    --------
    >>> from skconvnet.architecture import Architecture
    >>> bound = Architecture.parse("INPUT -> CONV(K=4) -> (CONV(K=4) + SKIP) -> FC").bind((8, 8, 1), 10)
    >>> print(cut_behind(bound, Learned([1, 2, 3], [4, 5, 6], [], []), "CONV 2"))
    (BoundArchitecture('INPUT -> CONV(K=4, F=3, S=1, P=1) -> CONV(K=4, F=3, S=1, P=1)', image_shape=(8, 8, 1),
    n_classes=4), Learned(coefs=[1, 2], intercepts=[4, 5], means=[], variances=[]))
    """
    layers = _up_to(architecture.layers, name)
    if layers is None:
        raise KeyError(name)
    kept = {layer.name for layer in walk(layers)}
    learning = learning_layers(architecture)
    running = [layer for layer in learning if layer.kind == "NORM" and layer.mode == "batch"]
    own = Learned(
        _of(kept, learning, learned.coefs),
        _of(kept, learning, learned.intercepts),
        _of(kept, running, learned.means),
        _of(kept, running, learned.variances),
    )
    return BoundArchitecture(architecture.image_shape, layers[-1].output.depth, layers), own


def split_architecture(architecture, number):
    """Split a network into two.

    Parameters
    ----------
    architecture : BoundArchitecture
    number : int
        The layers of the first part, from 0 to below the number of layers in the chain, so that the second has one.
        Branches and what joins them count as one layer.

    Returns
    -------
    first, second : BoundArchitecture
        The images of the second are the activations that the first ends in. What the network learned is, list by list,
        what the first has learned, and then what the second has.

    Raises
    ------
    ValueError
        If `number` leaves no layer for the second part.

    Examples
    --------
    >>> from skconvnet.architecture import Architecture
    >>> bound = Architecture.parse("INPUT -> CONV(K=4) -> RELU -> FC").bind((8, 8, 1), 10)
    >>> split_architecture(bound, 2)[1]
    BoundArchitecture('INPUT -> FC(10)', image_shape=(8, 8, 4), n_classes=10)
    """
    layers, shape = architecture.layers, architecture.image_shape
    if not 0 <= number < len(layers):
        raise ValueError(f"number={number} of {len(layers)} layers: give 0 to {len(layers) - 1}, so that one is left")
    volume = layers[number].input
    first = BoundArchitecture(shape, volume.depth, layers[:number])
    return first, BoundArchitecture(
        (volume.height, volume.width, volume.depth), architecture.n_classes, layers[number:]
    )


def _up_to(layers, name):
    """Return the chain that ends in the layer of this name, or None if there is no such layer."""
    for number, layer in enumerate(layers):
        if layer.name == name:
            return layers[: number + 1]
        for branch in getattr(layer, "branches", ()):
            inside = _up_to(branch, name)
            if inside is not None:
                return layers[:number] + inside
    return None


def _of(kept, layers, arrays):
    """Return the arrays of the layers that are kept."""
    return [array for layer, array in zip(layers, arrays, strict=True) if layer.name in kept]
