"""The parameter `pretrained`: the network that a fit begins with, on images and classes that may be others."""

import os
import re
from dataclasses import replace
from itertools import zip_longest

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.frozen import FrozenEstimator
from sklearn.utils.validation import check_is_fitted

from skconvnet.architecture import ArchitectureError, BoundArchitecture, Volume, walk
from skconvnet.architecture.layers.branches import BoundBranches
from skconvnet.data import advice_on_channels
from skconvnet.engine import Learned, Network
from skconvnet.engine.program.target import CPU
from skconvnet.engine.weights.layout import lay_out_parameters, learning_layers
from skconvnet.estimators.fitted import stored_network
from skconvnet.interchange import read_network


def pretrained_network(pretrained):
    """Return the network that the parameter `pretrained` names.

    Parameters
    ----------
    pretrained : str, path-like, BaseEstimator or None
        As `ConvNetClassifier` has it.

    Returns
    -------
    StoredNetwork or None
        None if there is no pretrained network.

    Raises
    ------
    ValueError
        If it is an estimator but no frozen ConvNetClassifier, or the file is refused.
    sklearn.exceptions.NotFittedError
        If the frozen classifier is not fitted.
    """
    if pretrained is None:
        return None
    if not isinstance(pretrained, BaseEstimator):
        return _read(pretrained)
    if not isinstance(pretrained, FrozenEstimator):
        raise ValueError(
            f"pretrained is a {type(pretrained).__name__} that is not frozen. Wrap the fitted classifier: "
            "pretrained=FrozenEstimator(classifier), with FrozenEstimator from sklearn.frozen."
        )
    check_is_fitted(pretrained)
    classifier = pretrained.estimator
    if not hasattr(classifier, "architecture_"):
        raise ValueError(f"pretrained needs a fitted ConvNetClassifier, but the FrozenEstimator has {classifier!r}.")
    return stored_network(classifier)


def _read(path):
    """Return the network of a file; an error tells how to say more about the file."""
    try:
        return read_network(path)
    except ValueError as error:
        if not os.path.isfile(path):
            raise
        raise ValueError(
            f"{error}\nArguments for the file are those of load_network: pass pretrained="
            "FrozenEstimator(load_network(path, pixel_mean=..., pixel_std=...)), with those that it needs."
        ) from error


def head_of(bound):
    """Return the place of a network's head: the last layer with weights, CONV or FC, among the layers of the chain.

    If that layer is inside branches, it is the place of the branches.

    Examples
    --------
    >>> from skconvnet import Architecture
    >>> head_of(Architecture.parse("INPUT -> CONV -> RELU -> POOL -> FC -> RELU").bind((8, 8, 1)))
    3
    """
    return max(n for n, layer in enumerate(bound.layers) if any(one.kind in ("CONV", "FC") for one in walk([layer])))


def body_of(bound):
    """Return the names of all layers before the head, a frozenset."""
    return frozenset(layer.name for layer in walk(bound.layers[: head_of(bound)]))


def bind_pretrained(stored, image_shape, n_classes, own=None):
    """Bind the network of a file to the user's images and classes.

    Parameters
    ----------
    stored : StoredNetwork
        The file's network.
    image_shape : tuple of int
        (height, width, channels).
    n_classes : int or None
        Number of classes. None: those of the file.
    own : BoundArchitecture, optional
        The user's own network, which must be that of the file up to the head.

    Returns
    -------
    BoundArchitecture
        `own`, or the network of the file with a head for so many classes.

    Raises
    ------
    ValueError
        If the images have other channels or do not fit the layers, or a layer before the head is another or has weights
        of another shape.
    """
    there = stored.architecture
    _check_channels(there.image_shape, image_shape)
    here = there if own is not None else _with_classes(there, n_classes or there.n_classes)
    try:
        layers = _fitted_to(here.layers, Volume(*image_shape))
    except ArchitectureError as error:
        is_smaller = any(ours < theirs for ours, theirs in zip(image_shape, there.image_shape, strict=True))
        reason = str(error).partition(" What fits")[0].rstrip(".")  # the layers cannot be changed
        raise ValueError(
            f"The pretrained network needs {'larger images' if is_smaller else 'images of another size'} than those of "
            f"shape {image_shape}. {reason}. Use images of shape {there.image_shape}."
        ) from error
    here = BoundArchitecture(image_shape, here.n_classes, layers)
    if own is None:
        own = here
        if own.layers[-1].output.size != own.n_classes:
            raise ValueError(
                f"Images of shape {image_shape} do not fit the pretrained network, which ends in "
                f"{own.layers[-1].output} with them. Use images of shape {there.image_shape}."
            )
    _check_layers(own, here)
    _check_weights(own, there)
    return own


def _with_classes(bound, n_classes):
    """Return a network with another number of classes."""
    if n_classes == bound.n_classes:
        return bound
    at = head_of(bound)
    head = bound.layers[at]
    if head.kind not in ("CONV", "FC"):
        raise ValueError(
            f"The pretrained network has {bound.n_classes} classes and y has {n_classes}. Its last layer with weights "
            f"is inside {head.name}, and only a CONV or FC outside branches can be replaced. Give an architecture that "
            "ends in FC."
        )
    head = replace(head, **{"units" if head.kind == "FC" else "K": n_classes})
    return BoundArchitecture(bound.image_shape, n_classes, (*bound.layers[:at], head, *bound.layers[at + 1 :]))


def _fitted_to(layers, volume):
    """Return a chain on another input, with windows of FC and POOL that are the whole input where they were."""
    chain = []
    for layer in layers:
        sides = volume.height, volume.width
        changed = {}
        if isinstance(layer, BoundBranches):
            changed = {"branches": tuple(_fitted_to(branch, volume) for branch in layer.branches)}
        elif layer.kind == "FC":
            changed = {"window": sides}
        elif layer.kind == "POOL" and layer.P == 0 and layer.F == (layer.input.height, layer.input.width):
            changed = {"F": sides, "S": 1}
        chain.append(replace(layer, input=volume, **changed))
        volume = chain[-1].output
    return tuple(chain)


def _check_channels(there, here):
    """Raise a ValueError if images have other channels than those of a file."""
    if there[2] != here[2]:
        advice = advice_on_channels(there[2], here[2]) or " Use images with these channels."
        raise ValueError(
            f"The pretrained network is for images with {there[2]} channel{'s' * (there[2] != 1)}, and X has images of "
            f"shape {here}.{advice}"
        )


def _check_layers(own, here):
    """Raise a ValueError that names the first layer before the head that differs from that of the file."""
    ours, theirs = (walk(bound.layers[: head_of(bound)]) for bound in (own, here))
    for layer, original in zip_longest(ours, theirs):
        if layer is None or original is None or not _is_same(layer, original):
            raise ValueError(
                "architecture must be that of the pretrained network up to the head. The first layer that differs is "
                f"{_told(layer, own)}; the pretrained network has {_told(original, here)}. Use architecture='auto', or "
                "pretrained=None."
            )


def _is_same(layer, original):
    """Return whether two layers on the same input compute the same, whether or not their texts say how they round."""
    texts = (re.sub(r", round=\w+", "", str(one)) for one in (layer, original))
    return next(texts) == next(texts) and layer.output == original.output


def _check_weights(own, there):
    """Raise a ValueError that names the first layer before the head whose weights have another shape in the file."""
    ours, theirs = (walk(bound.layers[: head_of(bound)]) for bound in (own, there))
    shapes, their_shapes = map(_weight_shapes, (own, there))
    for layer, original in zip(ours, theirs, strict=True):
        if shapes.get(layer.name) != their_shapes.get(original.name):
            raise ValueError(
                f"Images of shape {own.image_shape} do not fit the pretrained network: here is {_told(layer, own)}, "
                f"and the network has {_told(original, there)}. An FC sees all of its input: use images of shape "
                f"{there.image_shape}."
            )


def _weight_shapes(bound):
    """Return the shape of each layer's weights, by its name."""
    slots = lay_out_parameters(bound, CPU).slots
    return {layer.name: slot.shapes[0] for layer, slot in zip(learning_layers(bound), slots, strict=True)}


def _told(layer, bound):
    """Return what a layer is, in an error."""
    if layer is None:
        return "no layer there"
    shapes = _weight_shapes(bound)
    weights = f" with weights of shape {shapes[layer.name]}" if layer.name in shapes else ""
    return f"{layer.name}, {layer}{weights}"


def keeps_head(stored, bound, classes):
    """Return whether a fit keeps the head of a file: if the file has one, for the same labels, and of the same layers.

    Parameters
    ----------
    stored : StoredNetwork
        The file's network.
    bound : BoundArchitecture
        As `bind_pretrained` returns it.
    classes : ndarray of shape (n_classes,)
        The sorted labels.

    Returns
    -------
    bool
    """
    there = stored.architecture
    heads = [[*map(str, one.layers[head_of(one) :])] for one in (there, bound)]
    is_same = heads[0] == heads[1] and _weight_shapes(there) == _weight_shapes(bound)
    if stored.classes is None or classes is None:  # several labels, or numbers
        return False
    return is_same and stored.has_classifier and np.array_equal(stored.classes, classes)


def begin_with(stored, bound, kind, device, rng):
    """Make a network with the weights of a file.

    Parameters
    ----------
    stored : StoredNetwork
        The file's network.
    bound : BoundArchitecture
        As `bind_pretrained` returns it.
    kind : Classes, Labels or Values
        What the outputs mean.
    device : CpuDevice or CudaDevice
        Where it is trained.
    rng : numpy.random.Generator
        Where the weights of a new head are drawn from.

    Returns
    -------
    network : Network
    has_new_head : bool
        Whether the head is new: see `keeps_head`.
    """
    network = Network(bound, stored.pixel_mean, stored.pixel_scale, device)
    if keeps_head(stored, bound, kind.classes):
        network.learned = stored.learned
        return network, False
    network.initialise(rng, kind.gain)
    body = learning_layers(BoundArchitecture(bound.image_shape, bound.n_classes, bound.layers[: head_of(bound)]))
    n_running = sum(layer.kind == "NORM" and layer.mode == "batch" for layer in body)
    counts = len(body), len(body), n_running, n_running
    parts = zip(stored.learned, network.learned, counts, strict=True)
    network.learned = Learned(*(old[:count] + new[count:] for old, new, count in parts))
    return network, True
