"""A parsed text on an image of known size: every repeat written out, every number filled in, every volume known.

Three steps, each a function of the one before: `_Unrolled` writes the repeats out, `_fill` gives each layer the numbers
that its text left to the hyperparameters, `_Binder` puts the layers on their volumes.
"""

from collections import Counter
from contextlib import contextmanager
from dataclasses import dataclass

from skconvnet.architecture.errors import ArchitectureError, error_at, shown
from skconvnet.architecture.hyperparameters import as_sequence, spread, whole_number
from skconvnet.architecture.layers.base import (
    BoundConv,
    BoundDropout,
    BoundFC,
    BoundNorm,
    BoundPool,
    BoundRelu,
    BoundSigmoid,
    BoundSkip,
    BoundStack,
    BoundSum,
    BoundTanh,
    Volume,
    padding,
    walk,
)
from skconvnet.architecture.notation.parser import (
    MAX_LAYERS,
    Branches,
    Layer,
    Repeat,
    contains,
    count_layers,
    options_of,
)

_FIRST_K, _LARGEST_K = 32, 256  # of K="auto"
_N_CLASSES = 10  # where neither the text nor the caller says
_BOUND = {
    layer.kind: layer
    for layer in (BoundConv, BoundRelu, BoundTanh, BoundSigmoid, BoundPool, BoundNorm, BoundFC, BoundDropout, BoundSkip)
}
_BOUND_BRANCHES = {branches.operator: branches for branches in (BoundSum, BoundStack)}


def image_volume(image_shape):
    """Return the volume of images of shape (height, width, channels).

    Parameters
    ----------
    image_shape : sequence of three ints
        Each at least 1.

    Returns
    -------
    Volume

    Raises
    ------
    ArchitectureError
        For anything else.
    """
    extents = as_sequence(image_shape)
    if extents is None or len(extents) != 3:
        raise ArchitectureError(f"image_shape must be (height, width, channels), but {shown(image_shape)} came")
    return Volume(*(whole_number(f"every number in image_shape={shown(image_shape)}", n, 1) for n in extents))


def bind_chain(chain, source, image, n_classes, hyperparameters):
    """Bind a parsed chain to an image's volume and a number of classes.

    Parameters
    ----------
    chain : tuple
        As `skconvnet.architecture.notation.parser.parse` returns it.
    source : str
        The text that the chain was parsed from, for errors.
    image : Volume
    n_classes : int or None
        At least 1. None: as many as the network ends in, and 10 where its last FC does not say.
    hyperparameters : Hyperparameters

    Returns
    -------
    tuple of BoundLayer
        In network order.

    Raises
    ------
    ArchitectureError
        Where the network does not fit its input, its classes or its hyperparameters, or is too large.
    """
    if n_classes is not None:
        n_classes = whole_number("n_classes", n_classes, 1)
    times = hyperparameters.repetitions(image)
    n_layers = count_layers(chain, times)
    if n_layers > MAX_LAYERS:
        letters = ", ".join(f"{letter}={number}" for letter, number in times.items())
        raise error_at(f"{n_layers} layers with {letters}, and at most {MAX_LAYERS} are allowed", source, 0)
    unrolled = _Unrolled(chain, times)
    unrolled.drop_pools(hyperparameters.pool)
    _fill(unrolled, n_classes, hyperparameters, source)
    layers = _Binder(source).chain(unrolled.chain, image)
    _check_output(layers, source, n_classes)
    return layers


@dataclass
class _Place:
    """Where a layer stands in the unrolled network."""

    layer: Layer
    block: int
    repetition: int | None  # of the *K group that it stands in
    options: dict  # what the layer spells, and in time all its numbers


class _Unrolled:
    """A chain of places and branches of places without any repeat, and the number of blocks in it."""

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
        """Return the places in network order, all or those of one kind of layer."""
        return [place for place in _flat(self.chain) if kind in (None, place.layer.kind)]

    def drop_pools(self, pool):
        """Leave out each ``POOL?`` whose block has none."""
        if isinstance(pool, tuple) and len(pool) != self.n_blocks:
            raise ArchitectureError(
                f"pool has length {len(pool)}, but the network has {self.n_blocks} blocks: "
                f"give one value, or a sequence of length {self.n_blocks}"
            )

        def stands(place):
            return not place.layer.optional or (pool[place.block] if isinstance(pool, tuple) else pool)

        self.chain = _kept(self.chain, stands)


def _flat(chain):
    for item in chain:
        if isinstance(item, Branches):
            for branch in item.branches:
                yield from _flat(branch)
        else:
            yield item


def _kept(chain, stands):
    return [
        Branches(item.operator, [_kept(branch, stands) for branch in item.branches], item.position)
        if isinstance(item, Branches)
        else item
        for item in chain
        if isinstance(item, Branches) or stands(item)
    ]


def _fill(unrolled, n_classes, hyperparameters, source):
    """Give every place the numbers that its layer does not spell."""
    _fill_conv(unrolled, hyperparameters)
    _fill_pool(unrolled.places("POOL"), hyperparameters)
    _fill_fc(unrolled.places("FC"), n_classes, hyperparameters.hidden_layer_sizes, source)
    for place in unrolled.places("NORM"):
        mode = place.options.get("mode", "batch")
        defaults = {name: option.default for name, option in options_of("NORM", mode).items()}
        place.options = defaults | {"mode": mode} | place.options
    for place in unrolled.places("DROPOUT"):
        place.options = {"rate": 0.5} | place.options


def _fill_conv(unrolled, hyperparameters):
    places = unrolled.places("CONV")
    blocks = [place.block for place in places]
    columns = {name: spread(name, getattr(hyperparameters, name), blocks, unrolled.n_blocks) for name in "KFSP"}
    if hyperparameters.K == "auto":
        columns["K"] = _automatic_filters(unrolled.places())
    for place, *numbers in zip(places, *columns.values(), strict=True):
        place.options = dict(zip(columns, numbers, strict=True)) | place.options


def _automatic_filters(places):
    """K="auto": the depth doubles in every block that follows a POOL, as height and width halve."""
    filters, K, block, pooled = [], _FIRST_K, None, False
    for place in places:
        if place.layer.kind == "POOL":
            pooled = True
        elif place.layer.kind == "CONV":
            if place.block != block:
                K = min(2 * K, _LARGEST_K) if pooled and filters else K
                block, pooled = place.block, False
            filters.append(K)
    return filters


def _fill_pool(places, hyperparameters):
    columns = {}
    for name, value in (("pool_F", hyperparameters.pool_F), ("pool_S", hyperparameters.pool_S)):
        if isinstance(value, tuple) and len(value) != len(places):
            raise ArchitectureError(
                f"{name} has length {len(value)}, but the network has {len(places)} POOL layers: "
                f"give one value, or a sequence of length {len(places)}"
            )
        columns[name] = value if isinstance(value, tuple) else [value] * len(places)
    for place, F, S in zip(places, columns["pool_F"], columns["pool_S"], strict=True):
        place.options = {"mode": "max", "F": F, "S": S, "P": 0} | place.options


def _fill_fc(places, n_classes, sizes, source):
    if not places:
        return
    *hidden, last = places
    from_sizes = [place for place in hidden if place.repetition is None and "units" not in place.layer.options]
    if len(sizes) == 1:
        sizes = sizes * max(1, len(from_sizes))  # one value stands for every layer, as one K does
    if len(from_sizes) > len(sizes):
        raise ArchitectureError(
            f"hidden_layer_sizes has length {len(sizes)}, but {len(from_sizes)} FC layers before the last take their "
            f"units from it: give {len(from_sizes)} sizes, or write the units as in FC(128)"
        )
    for place, units in zip(from_sizes, sizes, strict=False):
        place.options = {"units": units}
    for place in places:
        if place.repetition is not None:
            place.options = {"units": sizes[place.repetition]} | place.options
    last.options = {"units": n_classes or _N_CLASSES} | last.options
    if last.options["units"] != (n_classes or last.options["units"]):
        message = (
            f"the last FC has {last.options['units']} units, but there are {n_classes} classes: "
            "end the network with FC, which takes its units from the classes"
        )
        raise error_at(message, source, last.layer.position)


class _Binder:
    """Puts filled places on their volumes, and counts them for their names."""

    def __init__(self, source):
        self.source = source
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
        kind, options = place.layer.kind, place.options
        name = self.name(kind)
        with self.pointing_at(place.layer):
            if kind == "CONV":
                options = options | {
                    "P": padding(options["P"], options["F"], name),
                    "bias": options.get("bias") != "no",
                }
            if kind == "FC":
                options = options | {"window": (volume.height, volume.width)}
            if kind == "POOL":
                options = options | _pool_window(options, volume, name)
            return _BOUND[kind](name, volume, **options)

    def branches(self, item, volume):
        bound = _BOUND_BRANCHES[item.operator]
        name = self.name(bound.kind)
        # A branch that unrolls to nothing hands its input on.
        branches = [self.chain(branch, volume) or (BoundSkip(self.name("SKIP"), volume),) for branch in item.branches]
        with self.pointing_at(item):
            return bound(name, volume, tuple(branches))

    @contextmanager
    def pointing_at(self, node):
        """Put a caret under a node of the tree in the errors of what is made of it."""
        try:
            yield
        except ArchitectureError as error:
            raise error_at(str(error), self.source, node.position) from None


def _pool_window(options, volume, name):
    if options["F"] != "all":
        F = options["F"]
        return {"F": (F, F), "P": padding(options["P"], F, name)}
    if options["P"] not in (0, "valid"):
        raise ArchitectureError(f"{name}: F=all is the whole input, which leaves no place for P={options['P']}")
    # A window over the whole input has one place to stand, whatever the stride.
    return {"F": (volume.height, volume.width), "S": 1, "P": 0}


def _check_output(layers, source, n_classes):
    if not any(layer.kind in ("CONV", "FC") for layer in walk(layers)):
        raise error_at("a network needs a CONV or an FC, and this one has none: end it with FC", source, 0)
    volume = layers[-1].output
    n_classes = n_classes or volume.depth
    needed = Volume(1, 1, n_classes)
    if volume != needed:
        message = f"the network ends in {volume}, but {n_classes} classes need {needed}: end it with FC"
        raise error_at(message, source, len(source.rstrip()))
