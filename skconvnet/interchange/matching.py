"""Which network the arrays of a file belong to, if a library of PyTorch has named them."""

import re
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from skconvnet.architecture import (
    ARCHITECTURES,
    CASE_STUDIES,
    PUBLISHED,
    Architecture,
    ArchitectureError,
    BoundArchitecture,
    find_architecture,
)
from skconvnet.engine import Learned
from skconvnet.engine.weights.layout import learning_layers
from skconvnet.interchange.description import check_count
from skconvnet.interchange.layouts import LAYOUTS, library_name, wanted_of_torch
from skconvnet.interchange.weights import collect, file_differences

__all__ = ["find_match", "read_torch"]

_STUDIES = CASE_STUDIES | PUBLISHED
_UNKNOWN = np.array(["no classifier 1", "no classifier 2"])  # the labels if a file has no classifier
_MOST_NEW = 2**16  # the most classes if the file has no classifier
_IGNORED = re.compile(r".*\.num_batches_tracked|aux[12]\..*")  # a counter of NORM, and what only trains GoogLeNet
_PREFIXES = ("module.", "model.", "net.")  # of a network that is a part of another module, as of DataParallel
_OF_YOUR_OWN = "A network of your own: write it with torch.onnx.export, and load the .onnx file."
_OLD_DENSENET = re.compile(r"(denselayer\d+\.(?:norm|conv))\.(\d\.)")  # names of torchvision before 0.3


@dataclass(frozen=True, eq=False)
class Match:
    """A network whose layers a library would name, and the arrays of a file.

    Parameters
    ----------
    layout : str
        The library: a key of `LAYOUTS`.
    name : str
        Of the architecture.
    bound : BoundArchitecture
        The network, with as many classes as the file.
    wanted : Learned of lists of Wanted or None
        What it needs from the file.
    arrays : dict of str to ndarray
        Those of the file; zeros for a classifier that it does not have.
    classes : ndarray
        The labels.
    has_classifier : bool
        Whether the file has one.
    """

    layout: str
    name: str
    bound: BoundArchitecture
    wanted: Learned
    arrays: dict
    classes: np.ndarray
    has_classifier: bool

    @property
    def ignored(self):
        """The names of the arrays that are not needed."""
        return {key for key in self.arrays if _IGNORED.fullmatch(key)}

    @property
    def differences(self):
        """How the arrays differ from those of the network; see `file_differences`."""
        return file_differences(self.wanted, self.arrays, self.ignored)


def read_torch(arrays, description, layout="auto"):
    """Return the network of arrays that one of PyTorch's libraries has named.

    Parameters
    ----------
    arrays : dict of str to ndarray
        The arrays of the file.
    description : Description
        What is known about the network. Without an architecture, it is the one whose layers have these names.
    layout : str
        A key of `LAYOUTS`, or "auto".

    Returns
    -------
    match : Match
        The network.
    learned : Learned
        Its arrays; zeros for a classifier that the file does not have.

    Raises
    ------
    ValueError
        If the arrays are those of no network, or not those of this architecture.
    """
    match = find_match(arrays, description, layout)
    check_count(match.classes, match.bound.n_classes)
    if not match.has_classifier and len(match.classes) > _MOST_NEW:
        raise ValueError(f"it has no classifier, and one for {len(match.classes):,} classes is not made. Pass classes.")
    learned = collect(match.bound, match.wanted, match.arrays, match.ignored)
    return match, learned


def find_match(arrays, description, layout="auto"):
    """Find the network that arrays belong to; see `read_torch`.

    Parameters
    ----------
    arrays, description, layout
        As there.

    Returns
    -------
    Match
        Without differences, unless the description says which architecture it is.
    """
    arrays = _modern(arrays)
    matches = [_match(*candidate, arrays, description) for candidate in _candidates(description, layout)]
    nearest = min(filter(None, matches), key=lambda match: len(match.differences), default=None)
    if nearest is None or (description.architecture is None and nearest.differences):
        raise _unknown(arrays, description.architecture, nearest)
    if description.image_shape not in (None, nearest.bound.image_shape) and not nearest.differences:
        ARCHITECTURES[nearest.name].bind(description.image_shape)  # raises the error that _fitting_shape has kept
    return nearest


def _modern(arrays):
    """Return the arrays with the names of today's libraries."""
    for prefix in _PREFIXES:
        if all(key.startswith(prefix) for key in arrays):
            arrays = {key.removeprefix(prefix): array for key, array in arrays.items()}
    return {_OLD_DENSENET.sub(r"\1\2", key): array for key, array in arrays.items()}


def _candidates(description, layout):
    """Return the architectures that a file may have, with the functions that name their layers.

    Returns
    -------
    list of (str, str, Architecture, tuple of int, callable)
        Library, name, network, image shape, function.
    """
    named = [
        (library, name, function)
        for library, networks in LAYOUTS.items()
        if layout in ("auto", library)
        for name, functions in networks.items()
        for function in functions
    ]
    names = {name for _, name, _ in named}
    wanted = description.architecture
    if isinstance(wanted, str):
        wanted = _name_in_library(wanted.strip(), names)
    if wanted is None or wanted in names:
        return [
            (library, name, ARCHITECTURES[name], _fitting_shape(name, description.image_shape), function)
            for library, name, function in named
            if wanted in (None, name)
        ]
    architecture = find_architecture(wanted, description.image_shape)
    if description.image_shape is None:
        raise ValueError("it does not say its image_shape. Pass image_shape.")
    architecture.bind(description.image_shape)
    functions = {function: library for library, _, function in reversed(named)}  # the first library that has it
    return [
        (library, str(architecture), architecture, description.image_shape, function)
        for function, library in functions.items()
    ]


def _fitting_shape(name, image_shape):
    """Return a shape of images, but that of the network's paper if none is given or if it does not fit.

    So the arrays are compared first: of another network, they are the reason why the images do not fit.
    """
    if image_shape is not None:
        with suppress(ArchitectureError):
            return _bind(ARCHITECTURES[name], tuple(image_shape)).image_shape
    return _STUDIES[name].image_shape


def _name_in_library(wanted, names):
    """Return the name in the zoo of a library's network; another name or a text as it is."""
    variant = library_name(wanted)
    if wanted in names or variant not in names:
        return wanted
    if wanted in ARCHITECTURES:
        raise ValueError(
            f"{wanted!r} is the network of the paper. The libraries of PyTorch have another with the same shapes: pass "
            f"architecture={variant!r}, or ARCHITECTURES[{wanted!r}] if the weights are for the paper's."
        )
    return variant


_bind = lru_cache(32)(Architecture.bind)  # the candidates are the same for every file


def _match(library, name, architecture, image_shape, name_layers, arrays, description):
    """Return the match of arrays with an architecture; None if the function does not name its layers like these."""
    try:
        bound = _bind(architecture, tuple(image_shape))
        names = name_layers(bound)
    except (ArchitectureError, LookupError, ValueError):
        return None
    is_likely = f"{names[0]}.weight" in arrays or (description.architecture is not None and name in _STUDIES)
    if len(names) != len(learning_layers(bound)) or not is_likely:
        return None
    head = f"{names[-1]}.weight"
    has_classifier = head in arrays or f"{names[-1]}.bias" in arrays
    if has_classifier:
        is_matrix = head in arrays and arrays[head].ndim and arrays[head].size
        n_classes = len(arrays[head]) if is_matrix else bound.n_classes
        classes = np.arange(n_classes) if description.classes is None else description.classes
    else:
        classes = _UNKNOWN if description.classes is None else description.classes
        n_classes = len(classes)
    try:
        bound = architecture.bind(image_shape, n_classes)
    except ArchitectureError:
        return None
    wanted = wanted_of_torch(bound, names)
    if not has_classifier:
        last = [one for one in (wanted.coefs[-1], wanted.intercepts[-1]) if one is not None]
        arrays = arrays | {one.key: np.broadcast_to(np.float32(0), one.shapes[0]) for one in last}
    return Match(library, name, bound, wanted, arrays, classes, has_classifier)


def _unknown(arrays, architecture, nearest):
    """Return the error for arrays that are those of no known network."""
    if architecture is not None:
        return ValueError(
            f"no library names the layers of {str(architecture)!r:.100}. Pass an architecture of a library: "
            f"{', '.join(_known())}. {_OF_YOUR_OWN}"
        )
    some = ", ".join(list(arrays)[:3])
    hint = ""
    if nearest is not None:
        hint = f" The nearest network is {nearest.name!r}: pass it as architecture to see the differences."
    return ValueError(
        f"its arrays ({some}, ...) are those of no known network.{hint} Known are {', '.join(_known())}. {_OF_YOUR_OWN}"
    )


def _known():
    return dict.fromkeys(name for networks in LAYOUTS.values() for name in networks)
