"""Binding: from a parsed text to layers on an image of known size.

1. `Unrolled` writes out the repeats.
2. `_fill` sets the options that the text leaves to the hyperparameters.
3. `_Binder` makes the layers, each on the output of the one before.
"""

from collections import Counter
from contextlib import contextmanager
from dataclasses import dataclass

from skconvnet.architecture.errors import ArchitectureError, counted, error_at, shown
from skconvnet.architecture.hyperparameters import as_sequence, spread, whole_number
from skconvnet.architecture.layers import LAYERS
from skconvnet.architecture.layers.arithmetic import Volume, WindowTooLargeError
from skconvnet.architecture.layers.branches import BoundGate, BoundSkip, BoundStack, BoundSum, walk
from skconvnet.architecture.notation.table import MAX_LAYERS
from skconvnet.architecture.notation.tree import Branches, Layer, Repeat, contains, count_layers

FIRST_K, LARGEST_K = 32, 256  # for K="auto"
_ROUNDED = ("CONV", "POOL")
N_CLASSES = 10  # if neither the text nor the caller gives a number of classes
_BOUND = {layer.kind: layer for layer in LAYERS}
_BOUND_BRANCHES = {branches.operator: branches for branches in (BoundSum, BoundStack, BoundGate)}


def image_volume(image_shape):
    """Return the volume of images of shape (height, width, channels).

    Parameters
    ----------
    image_shape : sequence of ints
        Height, width and channels, each at least 1. Without channels there is one.

    Returns
    -------
    Volume

    Raises
    ------
    ArchitectureError
        If `image_shape` is anything else.
    """
    extents = as_sequence(image_shape)
    if extents is None or len(extents) not in (2, 3):
        raise ArchitectureError(
            f"image_shape must be (height, width, channels), or (height, width) if grey, got {shown(image_shape)}"
        )
    names = zip(("height", "width", "number of channels"), (*extents, 1), strict=False)
    return Volume(*(whole_number(f"the {name} in image_shape={shown(image_shape)}", n, 1) for name, n in names))


def bind_chain(chain, source, image, n_classes, hyperparameters):
    """Bind a parsed chain to an image's volume and a number of classes.

    Parameters
    ----------
    chain : tuple
        The result of `skconvnet.architecture.notation.parser.parse`.
    source : str
        The text of the chain, for errors.
    image : Volume
    n_classes : int or None
        At least 1. None: the depth of the last volume, where a last FC without units has 10.
    hyperparameters : Hyperparameters

    Returns
    -------
    tuple of BoundLayer
        In network order.

    Raises
    ------
    ArchitectureError
        If the network does not fit its input, its classes or its hyperparameters, or is too large.
    """
    if n_classes is not None:
        n_classes = whole_number("n_classes", n_classes, 1)
    times = hyperparameters.repetitions(image)
    n_layers = count_layers(chain, times)
    if n_layers > MAX_LAYERS:
        letters = ", ".join(f"{letter}={number}" for letter, number in times.items())
        raise error_at(f"{n_layers} layers with {letters}, and at most {MAX_LAYERS} are allowed", source, 0)
    unrolled = Unrolled(chain, times)
    unrolled.drop_pools(hyperparameters.pool)
    _fill(unrolled, n_classes, hyperparameters, source)
    layers = _Binder(source, image, hyperparameters.rounding).chain(unrolled.chain, image)
    _check_output(layers, source, n_classes)
    return layers


@dataclass
class _Place:
    """A layer of the unrolled network."""

    layer: Layer
    block: int
    repetition: int | None  # which repetition of a *K group it is in
    options: dict  # those that the text spells; `_fill` adds the others


class Unrolled:
    """A chain of `_Place` and `Branches` without repeats, and its number of blocks."""

    def __init__(self, chain, times):
        self.times = times
        self.n_blocks = 0
        self.chain = list(self._write_out(chain, outermost=True, repetition=None))

    def _write_out(self, chain, outermost, repetition):
        for item in chain:
            if isinstance(item, Repeat):
                is_block = outermost and contains(item.body, "CONV")
                for i in range(self.times.get(item.times, item.times)):
                    self.n_blocks += is_block
                    yield from self._write_out(item.body, False, i if item.times == "K" else repetition)
            elif isinstance(item, Branches):
                branches = [list(self._write_out(branch, outermost, repetition)) for branch in item.branches]
                yield Branches(item.operator, branches, item.position)
            else:
                self.n_blocks += outermost and item.kind == "CONV"
                yield _Place(item, max(self.n_blocks - 1, 0), repetition, item.options)

    def places(self, kind=None):
        """Return the places in network order: those of one kind of layer, or all."""
        return [place for place in _flat(self.chain) if kind in (None, place.layer.kind)]

    def drop_pools(self, pool):
        """Drop each ``POOL?`` for which `pool` is False."""
        if isinstance(pool, tuple) and len(pool) != self.n_blocks:
            raise ArchitectureError(
                f"pool has length {len(pool)}, but the network has {counted(self.n_blocks, 'block')}: "
                f"give one value, or a sequence of length {self.n_blocks}"
            )

        def is_kept(place):
            return not place.layer.optional or (pool[place.block] if isinstance(pool, tuple) else pool)

        self.chain = _kept(self.chain, is_kept)


def _flat(chain):
    for item in chain:
        if isinstance(item, Branches):
            for branch in item.branches:
                yield from _flat(branch)
        else:
            yield item


def _kept(chain, is_kept):
    return [
        Branches(item.operator, [_kept(branch, is_kept) for branch in item.branches], item.position)
        if isinstance(item, Branches)
        else item
        for item in chain
        if isinstance(item, Branches) or is_kept(item)
    ]


def _fill(unrolled, n_classes, hyperparameters, source):
    """Set the options of CONV, POOL and FC that the text does not spell."""
    ends = list(ends_of(unrolled.chain))
    _fill_pool(unrolled.places("POOL"), hyperparameters)
    _fill_fc(unrolled.places("FC"), ends, n_classes, hyperparameters.hidden_layer_sizes, source)
    if n_classes is None:
        depths = [place.options.get("units", place.options.get("K")) for place in ends]
        n_classes = next((depth for depth in depths if isinstance(depth, int)), N_CLASSES)
    _fill_conv(unrolled, n_classes, hyperparameters)


def ends_of(chain):
    """Yield each CONV and FC that the depth at the end of a chain is that of: several if branches are added there.

    A gate has its depth from what it multiplies: an FC or a CONV inside it does not compute scores.
    """
    for item in reversed(chain):
        if not isinstance(item, Branches):
            if item.layer.kind in ("CONV", "FC"):
                yield item
                return
            continue
        if item.operator == "+":
            for branch in item.branches:
                yield from ends_of(branch)
        if item.operator == "|" or all(_has_weights(branch) for branch in item.branches):
            return


def _has_weights(chain):
    return any(place.layer.kind in ("CONV", "FC") for place in _flat(chain))


def _fill_conv(unrolled, n_classes, hyperparameters):
    places = unrolled.places("CONV")
    blocks = [place.block for place in places]
    columns = {name: spread(name, getattr(hyperparameters, name), blocks, unrolled.n_blocks) for name in "KFSP"}
    if hyperparameters.K == "auto":
        columns["K"] = _automatic_filters(unrolled.places())
    for place, *numbers in zip(places, *columns.values(), strict=True):
        place.options = dict(zip(columns, numbers, strict=True)) | place.options
        if place.options["K"] == "classes":
            place.options = place.options | {"K": n_classes}


def _automatic_filters(places):
    """Return K of each CONV for K="auto": it doubles in every block after a POOL, which halves height and width."""
    filters, K, block, pooled = [], FIRST_K, None, False
    for place in places:
        if place.layer.kind == "POOL":
            pooled = True
        elif place.layer.kind == "CONV":
            if place.block != block:
                K = min(2 * K, LARGEST_K) if pooled and filters else K
                block, pooled = place.block, False
            filters.append(K)
    return filters


def _fill_pool(places, hyperparameters):
    """Give each POOL its window; a sequence has no value for a POOL(F=all)."""
    places = [place for place in places if place.options.get("F") != "all"]
    columns = {}
    for name, value in (("pool_F", hyperparameters.pool_F), ("pool_S", hyperparameters.pool_S)):
        if isinstance(value, tuple) and len(value) != len(places):
            raise ArchitectureError(
                f"{name} has length {len(value)}, but the network has {counted(len(places), 'POOL layer')}: "
                f"give one value, or a sequence of length {len(places)}"
            )
        columns[name] = value if isinstance(value, tuple) else [value] * len(places)
    for place, F, S in zip(places, columns["pool_F"], columns["pool_S"], strict=True):
        place.options = {"F": F, "S": S} | place.options


def _fill_fc(places, ends, n_classes, sizes, source):
    """Set the units of each FC: of those among `ends` from the classes, and of the others from the sizes."""
    last = [place for place in ends if place.layer.kind == "FC"]
    hidden = [place for place in places if not any(place is one for one in last)]
    from_sizes = [place for place in hidden if place.repetition is None and "units" not in place.layer.options]
    if len(sizes) == 1:
        sizes = sizes * max(1, len(from_sizes))  # one value is for all layers, as for K
    if len(from_sizes) > len(sizes):
        raise ArchitectureError(
            f"hidden_layer_sizes has length {len(sizes)}, but {len(from_sizes)} FC layers that do not end the network "
            f"take their units from it: give {len(from_sizes)} sizes, or write the units as in FC(128)"
        )
    for place, units in zip(from_sizes, sizes, strict=False):
        place.options = {"units": units}
    for place in places:
        if place.repetition is not None:
            place.options = {"units": sizes[place.repetition]} | place.options
    for place in last:
        place.options = {"units": n_classes or N_CLASSES} | place.options
        if place.options["units"] != (n_classes or place.options["units"]):
            message = (
                f"the last FC has {place.options['units']} units, but y has {n_classes} classes or outputs: "
                "end the network with FC, which takes its units from y"
            )
            raise error_at(message, source, place.layer.position)


class _Binder:
    """Makes the layers of filled places, and numbers them by kind for their names."""

    def __init__(self, source, image, rounding):
        self.source = source
        self.image = image
        self.rounding = rounding
        self.numbers = Counter()

    def chain(self, chain, volume):
        layers = []
        for item in chain:
            layer = self.branches(item, volume) if isinstance(item, Branches) else self.layer(item, volume)
            volume = layer.output
            layers.append(layer)
        return tuple(layers)

    def name(self, kind):
        self.numbers[kind] += 1
        return f"{kind} {self.numbers[kind]}"

    def layer(self, place, volume):
        kind = place.layer.kind
        name = self.name(kind)
        with self.pointing_at(place.layer, volume):
            rounding = {"rounding": self.rounding} if kind in _ROUNDED else {}
            return _BOUND[kind].bind(name, volume, place.options | rounding)

    def branches(self, item, volume):
        bound = _BOUND_BRANCHES[item.operator]
        name = self.name(bound.kind)
        # A branch without layers, such as [FC]*0, is a SKIP.
        branches = [self.chain(branch, volume) or (BoundSkip(self.name("SKIP"), volume),) for branch in item.branches]
        with self.pointing_at(item):
            return bound(name, volume, tuple(branches))

    @contextmanager
    def pointing_at(self, node, volume=None):
        """Add a caret under a node of the tree to errors; of a `volume` that became too small, also why it did."""
        try:
            yield
        except WindowTooLargeError as error:
            is_smaller = min(volume.height, volume.width) < min(self.image.height, self.image.width)
            why = f". The layers before it made {volume} of {self.image}: use fewer POOL, a smaller M, or larger images"
            raise error_at(f"{error}{why * is_smaller}", self.source, node.position) from None
        except ArchitectureError as error:
            raise error_at(str(error), self.source, node.position) from None


def _check_output(layers, source, n_classes):
    if not any(layer.kind in ("CONV", "FC") for layer in walk(layers)):
        raise error_at("a network needs a CONV or an FC: end it with FC", source, 0)
    volume = layers[-1].output
    n_classes = n_classes or volume.depth
    needed = Volume(1, 1, n_classes)
    if volume != needed:
        message = (
            f"the network ends in {volume}, but {n_classes} classes or outputs need {needed}: "
            "end it with FC, or with CONV(K=classes) -> POOL(average, F=all)"
        )
        raise error_at(message, source, len(source.rstrip()))
