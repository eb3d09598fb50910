"""Where each layer's learned numbers lie in one vector of parameters.

The vector holds what each shard of a batch sums its own gradient of, the CONV weights and the small things, first; then
the FC weights, (inputs, K), too large for that: their gradients are taken once from the whole batch, as those of batch
normalisation are; last the running statistics, which have none. Depths are padded to the vector width with zeros, which
training leaves zero.
"""

from dataclasses import dataclass
from enum import IntEnum
from math import prod
from typing import NamedTuple

import numpy as np

from skconvnet.architecture import ArchitectureError, walk
from skconvnet.engine.program.memory import aligned_zeros, lined, padded, spread

__all__ = ["Learned", "Parameters", "Scales", "Weights", "lay_out_parameters", "learners"]


class Learned(NamedTuple):
    """The learned numbers of a network as users know them, each list in network order, branches one after the other.

    Parameters
    ----------
    coefs : list of ndarray of float32
        (F, F, C / groups, K) of a CONV, (inputs, units) of an FC, (C,) scales of a NORM that learns some.
    intercepts : list of ndarray of float32
        One for each of `coefs`: (K,), (units,), (C,); (0,) of a CONV without bias.
    means, variances : list of ndarray of float32
        The running statistics, (C,), of each NORM(batch).
    """

    coefs: list
    intercepts: list
    means: list
    variances: list

    @classmethod
    def nothing(cls):
        """Return four empty lists."""
        return cls([], [], [], [])


@dataclass(frozen=True)
class Weights:
    """Where one CONV or FC layer's parameters lie in the parameter vector, and their padded shape.

    Parameters
    ----------
    shape : tuple of int
        Of the weights as users know them.
    rows : tuple of int
        (filter rows, filter columns, depth as stored) of one group. An FC's filter covers the input it was bound to.
    depth : int
        Input channels of one group that are not padding.
    K, columns : int
        Filters, and the distance between two rows of one group's.
    groups : int
        Into which input and filters are divided.
    weights : int
        Offset in the parameter vector: group by group, each (*rows, columns).
    bias : int or None
        Offset in the parameter vector.
    whole_batch : bool
        Whether the gradient is taken from the whole batch at once.
    """

    shape: tuple[int, ...]
    rows: tuple[int, int, int]
    depth: int
    K: int
    columns: int
    groups: int
    weights: int
    bias: int | None
    whole_batch: bool

    @property
    def n_rows(self):
        """Rows of one group's weights seen as a matrix of `columns` columns."""
        return prod(self.rows)

    @property
    def filters(self):
        """Columns of one group's weights that are computed with: its filters, padded."""
        return padded(self.K // self.groups)

    @property
    def n_biases(self):
        """Biases as stored."""
        return padded(self.K)

    @property
    def shapes(self):
        """Shapes of the weights and of the biases, as users know them."""
        return self.shape, (0 if self.bias is None else self.K,)

    def write(self, vector, coef, intercept):
        """Write weights and biases as users know them into a vector of zeros."""
        filters = np.asarray(coef, np.float32).reshape(*self.rows[:2], self.depth, self.groups, -1)
        self._view(vector)[...] = np.moveaxis(filters, 3, 0)
        if self.bias is not None:
            vector[self.bias : self.bias + self.K] = intercept

    def read(self, vector):
        """Return new arrays, as users know them."""
        coef = np.moveaxis(self._view(vector), 0, 3).reshape(self.shape)
        n_biases = 0 if self.bias is None else self.K
        first = self.bias or 0
        return np.array(coef), vector[first : first + n_biases].copy()

    def _view(self, vector):
        stored = vector[self.weights : self.weights + self.groups * self.n_rows * self.columns]
        whole = stored.reshape(self.groups, *self.rows, self.columns)
        return whole[..., : self.depth, : self.K // self.groups]


@dataclass(frozen=True)
class Scales:
    """Where one NORM layer's parameters lie in the parameter vector.

    Parameters
    ----------
    depth, columns : int
        Depth of the volume, and as stored.
    scale : int
        Offset of the scales; the shifts follow `columns` further on.
    running : int or None
        Offset of the running means; the running variances follow `columns` further on.
    """

    depth: int
    columns: int
    scale: int
    running: int | None

    @property
    def shapes(self):
        """Shapes of the scales and of the shifts."""
        return (self.depth,), (self.depth,)

    def write(self, vector, coef, intercept):
        """Write scales and shifts as users know them."""
        self._write(vector, self.scale, coef, intercept)

    def read(self, vector):
        """Return new arrays: scales and shifts."""
        return self._read(vector, self.scale)

    def write_running(self, vector, mean, variance):
        """Write the running statistics."""
        self._write(vector, self.running, mean, variance)

    def read_running(self, vector):
        """Return new arrays: running means and variances."""
        return self._read(vector, self.running)

    def _write(self, vector, first, *pair):
        for at, values in zip((first, first + self.columns), pair, strict=True):
            vector[at : at + self.depth] = values

    def _read(self, vector, first):
        return tuple(vector[at : at + self.depth].copy() for at in (first, first + self.columns))


@dataclass(frozen=True)
class Parameters:
    """The parameter vector of a network.

    Parameters
    ----------
    layers : tuple of Weights and Scales
        Of the layers that learn, in the order of `walk`.
    size : int
        Float32 elements in all.
    slot : int
        How many of them, from the beginning, have a gradient in each shard's slot.
    """

    layers: tuple
    size: int
    slot: int

    @property
    def running(self):
        """The layers that have running statistics."""
        return [layer for layer in self.layers if isinstance(layer, Scales) and layer.running is not None]

    @property
    def shapes(self):
        """Shapes of the learned arrays: `Learned` with tuples of int in place of the arrays."""
        running = [(layer.depth,) for layer in self.running]
        return Learned(*_unzip(layer.shapes for layer in self.layers), running, running)

    def pack(self, learned):
        """Write learned numbers into a new vector; what pads them is zero."""
        vector = aligned_zeros(self.size)
        for layer, coef, intercept in zip(self.layers, learned.coefs, learned.intercepts, strict=True):
            layer.write(vector, coef, intercept)
        for layer, mean, variance in zip(self.running, learned.means, learned.variances, strict=True):
            layer.write_running(vector, mean, variance)
        return vector

    def unpack(self, vector):
        """Read new arrays from a vector: `Learned`."""
        coefs, intercepts = _unzip(layer.read(vector) for layer in self.layers)
        return Learned(coefs, intercepts, *_unzip(layer.read_running(vector) for layer in self.running))


def _unzip(pairs):
    pairs = list(pairs)
    return [one for one, _ in pairs], [other for _, other in pairs]


def learners(architecture):
    """Return the layers that learn, CONV, FC and NORM, in the order of `walk`."""
    return [layer for layer in walk(architecture.layers) if layer.kind in ("CONV", "FC", "NORM") and layer.n_weights]


class _Part(IntEnum):
    """The parts of the vector, in their order."""

    CONV_WEIGHTS = 0
    SHARED_OUT = 1  # biases, and a NORM(layer)'s scales and shifts: small, and summed by each shard
    FC_WEIGHTS = 2
    BATCH_SCALES = 3
    RUNNING = 4


def lay_out_parameters(architecture):
    """Give the learned numbers of each layer of a bound architecture their place in the parameter vector.

    Parameters
    ----------
    architecture : BoundArchitecture
        Its layers.

    Returns
    -------
    layout : Parameters
        The places.

    Raises
    ------
    ArchitectureError
        If no layer has weights.
    """
    layers = learners(architecture)
    if not any(layer.kind in ("CONV", "FC") for layer in layers):
        raise ArchitectureError(f"{architecture} has no CONV and no FC, so there is nothing to learn. Add an FC.")
    first = architecture.layers[0]
    shapes = [_shape(layer, layer is first) for layer in layers]
    wanted = [
        (part, number, size)
        for number, (layer, shape) in enumerate(zip(layers, shapes, strict=True))
        for part, size in _parts(layer, shape)
    ]
    places, ends = _places(wanted)
    placed = tuple(
        _layer(layer, shape, {part: places.get((part, number)) for part in _Part})
        for number, (layer, shape) in enumerate(zip(layers, shapes, strict=True))
    )
    return Parameters(placed, size=ends[_Part.RUNNING], slot=ends[_Part.SHARED_OUT])


def _shape(layer, reads_images):
    """Return a layer's stored shape: (filter rows, filter columns, depth, columns) of a group, or (columns,)."""
    if layer.kind == "NORM":
        return (padded(layer.input.depth),)
    if layer.kind == "FC":
        extent, depth, filters = layer.window, layer.input.depth, layer.units
    else:
        extent, depth, filters = (layer.F, layer.F), layer.input.depth // layer.groups, layer.K // layer.groups
    columns = padded(filters) if layer.kind == "FC" else spread(padded(filters))  # an FC's are read once a batch
    # The network's input has no gradient and is read one number at a time: its depth needs no padding.
    return (*extent, depth if reads_images else padded(depth), columns)


def _parts(layer, shape):
    """Yield the parts of the vector that a layer wants, and the size of each."""
    if layer.kind == "CONV":
        yield _Part.CONV_WEIGHTS, layer.groups * prod(shape)
        if layer.bias:
            # Where groups are, the vector of the last one's biases may reach beyond the last bias.
            yield _Part.SHARED_OUT, padded(layer.K) + shape[-1] * (layer.groups > 1)
    elif layer.kind == "FC":
        yield _Part.FC_WEIGHTS, prod(shape)
        yield _Part.SHARED_OUT, shape[-1]
    elif layer.mode == "batch":
        yield _Part.BATCH_SCALES, 2 * shape[-1]
        yield _Part.RUNNING, 2 * shape[-1]
    else:
        yield _Part.SHARED_OUT, 2 * shape[-1]


def _places(wanted):
    """Lay (part, number, size) out part by part: {(part, number): offset}, and where each part ends."""
    places, ends, offset = {}, {}, 0
    for part in _Part:
        for _, number, size in (one for one in wanted if one[0] == part):
            places[part, number], offset = offset, offset + lined(size)
        ends[part] = offset
    return places, ends


def _layer(layer, shape, places):
    if layer.kind == "NORM":
        part = _Part.BATCH_SCALES if layer.mode == "batch" else _Part.SHARED_OUT
        return Scales(layer.input.depth, shape[-1], places[part], places[_Part.RUNNING])
    is_conv = layer.kind == "CONV"
    groups = layer.groups if is_conv else 1
    depth = layer.input.depth // groups
    return Weights(
        shape=(layer.F, layer.F, depth, layer.K) if is_conv else (prod(layer.window) * depth, layer.units),
        rows=shape[:3],
        depth=depth,
        K=layer.output.depth,
        columns=shape[3],
        groups=groups,
        weights=places[_Part.CONV_WEIGHTS if is_conv else _Part.FC_WEIGHTS],
        bias=places[_Part.SHARED_OUT],
        whole_batch=not is_conv,
    )
