"""The layout of the parameter vector: where each layer's learned numbers are in it.

The first part holds the parameters for which each shard has its own gradient slot: CONV weights, biases and other small
ones. The second holds FC weights, where the target defers their gradients, and the scales of batch normalisation: their
gradients are computed once, over the whole batch. The last holds the running statistics, which have no gradient. Depths
are padded with zeros to the target's vectors, and training keeps the padding zero.
"""

from dataclasses import dataclass
from enum import IntEnum
from math import prod
from typing import NamedTuple

import numpy as np

from skconvnet.architecture import ArchitectureError, walk
from skconvnet.engine.program.memory import aligned_zeros
from skconvnet.engine.program.target import round_to_line

__all__ = [
    "Learned",
    "ParameterLayout",
    "ScaleSlot",
    "SlopeSlot",
    "WeightSlot",
    "lay_out_parameters",
    "learning_layers",
]


class Learned(NamedTuple):
    """The learned numbers of a network as users see them, each list in network order, branch after branch.

    Parameters
    ----------
    coefs : list of ndarray of float32
        (F rows, F columns, C / groups, K) of a CONV, (inputs, units) of an FC, (C,) scales of a NORM(batch) or
        NORM(layer), (C,) slopes of a PRELU.
    intercepts : list of ndarray of float32
        One for each of `coefs`: (K,), (units,), (C,); (0,) of a CONV without bias and of a PRELU.
    means, variances : list of ndarray of float32
        The running statistics, (C,), of each NORM(batch).
    """

    coefs: list
    intercepts: list
    means: list
    variances: list

    @classmethod
    def empty(cls):
        """Return four empty lists."""
        return cls([], [], [], [])


@dataclass(frozen=True)
class WeightSlot:
    """Where the parameters of a CONV or FC layer are in the parameter vector, and their padded shape.

    Parameters
    ----------
    shape : tuple of int
        Of the weights as users see them.
    rows : tuple of int
        (filter rows, filter columns, depth as stored) of one group. An FC's filter covers the input it was bound to.
    depth : int
        Input channels of one group, without padding.
    K, groups : int
        Filters, and the groups that input and filters are divided into.
    filters, n_biases : int
        Filters of one group, and biases, both padded.
    columns, transposed_stride : int
        Distance between two rows of one group's weights, and between two columns of their transposed copy.
    weights : int
        Offset in the parameter vector: group after group, each (*rows, columns).
    bias : int or None
        Offset in the parameter vector.
    whole_batch : bool
        Whether the gradient is computed over the whole batch at once.
    """

    shape: tuple[int, ...]
    rows: tuple[int, int, int]
    depth: int
    K: int
    groups: int
    filters: int
    n_biases: int
    columns: int
    transposed_stride: int
    weights: int
    bias: int | None
    whole_batch: bool

    @property
    def n_rows(self):
        """Rows of one group's weights as a matrix of `columns` columns."""
        return prod(self.rows)

    @property
    def group_size(self):
        """Elements of one group's weights, with padding."""
        return self.n_rows * self.columns

    @property
    def shapes(self):
        """Shapes of the weights and of the biases, as users see them."""
        return self.shape, (0 if self.bias is None else self.K,)

    def write(self, vector, coef, intercept):
        """Write weights and biases, as users see them, into a vector of zeros."""
        filters = np.asarray(coef, np.float32).reshape(*self.rows[:2], self.depth, self.groups, -1)
        self._view(vector)[...] = np.moveaxis(filters, 3, 0)
        if self.bias is not None:
            vector[self.bias : self.bias + self.K] = intercept

    def read(self, vector):
        """Return weights and biases, as users see them, in new arrays."""
        coef = np.moveaxis(self._view(vector), 0, 3).reshape(self.shape)
        n_biases = 0 if self.bias is None else self.K
        first = self.bias or 0
        return np.array(coef), vector[first : first + n_biases].copy()

    def _view(self, vector):
        stored = vector[self.weights : self.weights + self.groups * self.group_size]
        whole = stored.reshape(self.groups, *self.rows, self.columns)
        return whole[..., : self.depth, : self.K // self.groups]


@dataclass(frozen=True)
class ScaleSlot:
    """Where the parameters of a NORM layer are in the parameter vector.

    Parameters
    ----------
    depth, columns : int
        Depth of the volume, without and with padding.
    scale : int
        Offset of the scales; the shifts are `columns` further on.
    running : int or None
        Offset of the running means; the running variances are `columns` further on.
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
        """Write scales and shifts."""
        self._write(vector, self.scale, coef, intercept)

    def read(self, vector):
        """Return scales and shifts in new arrays."""
        return self._read(vector, self.scale)

    def write_running(self, vector, mean, variance):
        """Write running means and variances."""
        self._write(vector, self.running, mean, variance)

    def read_running(self, vector):
        """Return running means and variances in new arrays."""
        return self._read(vector, self.running)

    def _write(self, vector, first, *pair):
        for offset, values in zip((first, first + self.columns), pair, strict=True):
            vector[offset : offset + self.depth] = values

    def _read(self, vector, first):
        return tuple(vector[offset : offset + self.depth].copy() for offset in (first, first + self.columns))


@dataclass(frozen=True)
class SlopeSlot:
    """Where the slopes of a PRELU layer are in the parameter vector.

    Parameters
    ----------
    depth, columns : int
        Depth of the volume, without and with padding.
    slopes : int
        Offset of the slopes.
    """

    depth: int
    columns: int
    slopes: int

    @property
    def shapes(self):
        """Shapes of the slopes, and of the biases, of which there are none."""
        return (self.depth,), (0,)

    def write(self, vector, coef, intercept):
        """Write the slopes."""
        vector[self.slopes : self.slopes + self.depth] = coef

    def read(self, vector):
        """Return the slopes in a new array, and an empty array."""
        return vector[self.slopes : self.slopes + self.depth].copy(), np.zeros(0, np.float32)


@dataclass(frozen=True)
class ParameterLayout:
    """The parameter vector of a network.

    Parameters
    ----------
    slots : tuple of WeightSlot, ScaleSlot and SlopeSlot
        Those of the layers that learn, in the order of `walk`.
    size : int
        Float32 elements in all.
    slot : int
        Number of leading elements that each shard's gradient slot covers.
    """

    slots: tuple
    size: int
    slot: int

    @property
    def running(self):
        """The slots of layers that have running statistics."""
        return [slot for slot in self.slots if isinstance(slot, ScaleSlot) and slot.running is not None]

    @property
    def shapes(self):
        """Shapes of the learned arrays: `Learned` with tuples of int in place of the arrays."""
        running = [(slot.depth,) for slot in self.running]
        return Learned(*_unzip(slot.shapes for slot in self.slots), running, running)

    def pack(self, learned):
        """Write learned numbers into a new vector, with zeros as padding."""
        vector = aligned_zeros(self.size)
        for slot, coef, intercept in zip(self.slots, learned.coefs, learned.intercepts, strict=True):
            slot.write(vector, coef, intercept)
        for slot, mean, variance in zip(self.running, learned.means, learned.variances, strict=True):
            slot.write_running(vector, mean, variance)
        return vector

    def unpack(self, vector):
        """Return the learned numbers of a vector, `Learned`, in new arrays."""
        coefs, intercepts = _unzip(slot.read(vector) for slot in self.slots)
        return Learned(coefs, intercepts, *_unzip(slot.read_running(vector) for slot in self.running))


def _unzip(pairs):
    pairs = list(pairs)
    return [first for first, _ in pairs], [second for _, second in pairs]


def learning_layers(architecture):
    """Return the layers that learn, CONV, FC, NORM and PRELU, in the order of `walk`."""
    kinds = ("CONV", "FC", "NORM", "PRELU")
    return [layer for layer in walk(architecture.layers) if layer.kind in kinds and layer.n_weights]


class _Part(IntEnum):
    """The parts of the vector, in their order."""

    CONV_WEIGHTS = 0
    SMALL = 1  # biases, the scales and shifts of NORM(layer), and the slopes of PRELU
    FC_WEIGHTS = 2
    BATCH_SCALES = 3
    RUNNING = 4


def lay_out_parameters(architecture, target):
    """Give the learned numbers of each layer their place in the parameter vector.

    Parameters
    ----------
    architecture : BoundArchitecture
        The layers.
    target : Target
        The machine.

    Returns
    -------
    ParameterLayout

    Raises
    ------
    ArchitectureError
        If no layer has weights.
    """
    layers = learning_layers(architecture)
    if not any(layer.kind in ("CONV", "FC") for layer in layers):
        raise ArchitectureError(f"{architecture} has no CONV and no FC, so there is nothing to learn. Add an FC.")
    first = architecture.layers[0]
    shapes = [_stored_shape(layer, target, reads_images=layer is first) for layer in layers]
    sizes = [dict(_sizes(layer, shape, target)) for layer, shape in zip(layers, shapes, strict=True)]
    offsets, ends, end = [{} for _ in layers], {}, 0
    for part in _Part:
        for own, wanted in zip(offsets, sizes, strict=True):
            if part in wanted:
                own[part], end = end, end + round_to_line(wanted[part])
        ends[part] = end
    slots = tuple(_slot(*of_layer, target) for of_layer in zip(layers, shapes, offsets, strict=True))
    last_in_slot = _Part.SMALL if target.defers_fc_gradients else _Part.FC_WEIGHTS
    return ParameterLayout(slots, size=end, slot=ends[last_in_slot])


def _stored_shape(layer, target, *, reads_images):
    """Return a layer's stored shape: (filter rows, filter columns, depth, columns) of a group, or (columns,)."""
    if layer.kind in ("NORM", "PRELU"):
        return (target.pad(layer.input.depth),)
    if layer.kind == "FC":
        extent, depth, columns = layer.window, layer.input.depth, target.pad(layer.units)  # read once a batch
    else:
        extent, depth = tuple(axis.F for axis in layer.axes), layer.input.depth // layer.groups
        columns = target.row_stride(target.pad(layer.K // layer.groups))
    # The network's input has no gradient and is read one number at a time, so its depth needs no padding.
    return (*extent, depth if reads_images else target.pad(depth), columns)


def _sizes(layer, shape, target):
    """Yield the parts of the vector that a layer needs, and its size in each."""
    if layer.kind == "CONV":
        yield _Part.CONV_WEIGHTS, layer.groups * prod(shape)
        if layer.bias:
            # With groups, the vector of the last group's biases may reach beyond the last bias.
            yield _Part.SMALL, target.pad(layer.K) + shape[-1] * (layer.groups > 1)
    elif layer.kind == "FC":
        yield _Part.FC_WEIGHTS, prod(shape)
        yield _Part.SMALL, shape[-1]
    elif layer.kind == "PRELU":
        yield _Part.SMALL, shape[-1]
    elif layer.mode == "batch":
        yield _Part.BATCH_SCALES, 2 * shape[-1]
        yield _Part.RUNNING, 2 * shape[-1]
    else:
        yield _Part.SMALL, 2 * shape[-1]


def _slot(layer, shape, offsets, target):
    """Return the slot of a layer whose parts begin at `offsets`."""
    if layer.kind == "NORM":
        scale = offsets[_Part.BATCH_SCALES if layer.mode == "batch" else _Part.SMALL]
        return ScaleSlot(layer.input.depth, shape[-1], scale, offsets.get(_Part.RUNNING))
    if layer.kind == "PRELU":
        return SlopeSlot(layer.input.depth, shape[-1], offsets[_Part.SMALL])
    is_conv = layer.kind == "CONV"
    groups = layer.groups if is_conv else 1
    depth, K = layer.input.depth // groups, layer.output.depth
    return WeightSlot(
        shape=(*shape[:2], depth, K) if is_conv else (prod(layer.window) * depth, K),
        rows=shape[:3],
        depth=depth,
        K=K,
        groups=groups,
        filters=target.pad(K // groups),
        n_biases=target.pad(K),
        columns=shape[3],
        transposed_stride=target.row_stride(shape[2]) if is_conv else prod(shape[:3]),
        weights=offsets[_Part.CONV_WEIGHTS if is_conv else _Part.FC_WEIGHTS],
        bias=offsets.get(_Part.SMALL),
        whole_batch=not is_conv and target.defers_fc_gradients,
    )
