"""Where each layer's weights and biases lie in one vector of parameters.

The vector holds the CONV weights, (F, F, C, K), and all biases first, whose gradients each shard of a batch sums for
itself; then the FC weights, (inputs, K), too large for that: their gradients are taken once from the whole batch.
Depths are padded to the vector width with zeros, which training leaves zero.
"""

from dataclasses import dataclass

import numpy as np

from skconvnet.architecture import ArchitectureError
from skconvnet.engine.memory import aligned_zeros, lined, padded

__all__ = ["Parameters", "Weights", "lay_out_parameters"]


@dataclass(frozen=True)
class Weights:
    """Where one CONV or FC layer's parameters lie in the parameter vector, and their padded shape.

    Parameters
    ----------
    rows : tuple of int
        (filter rows, filter columns, input depth as stored). An FC's filter covers its input volume.
    depth : int
        Input channels that are not padding.
    K, columns : int
        Filters, and filters as stored.
    weights, bias : int
        Offsets in the parameter vector.
    whole_batch : bool
        Whether the gradient is taken from the whole batch at once.
    """

    rows: tuple[int, int, int]
    depth: int
    K: int
    columns: int
    weights: int
    bias: int
    whole_batch: bool

    @property
    def n_rows(self):
        """Rows of the weights seen as a matrix of `columns` columns."""
        return int(np.prod(self.rows))

    @property
    def shape(self):
        """Shape of the stored weights."""
        return (*self.rows, self.columns)


@dataclass(frozen=True)
class Parameters:
    """The parameter vector of a network.

    Parameters
    ----------
    layers : tuple of Weights
        In network order.
    size : int
        Float32 elements in all.
    slot : int
        How many of them, from the beginning, have a gradient in each shard's slot.
    """

    layers: tuple[Weights, ...]
    size: int
    slot: int

    def pack(self, coefs, intercepts):
        """Write weights and biases as users know them into a new vector; what pads them is zero."""
        vector = aligned_zeros(self.size)
        for layer, coef, intercept in zip(self.layers, coefs, intercepts, strict=True):
            whole = np.asarray(coef, np.float32).reshape(*layer.rows[:2], layer.depth, layer.K)
            self._view(vector, layer)[:, :, : layer.depth, : layer.K] = whole
            vector[layer.bias : layer.bias + layer.K] = intercept
        return vector

    def unpack(self, vector, shapes):
        """Read weights of the users' `shapes`, and biases, from `vector`: two lists of new arrays."""
        coefs = [
            np.array(self._view(vector, layer)[:, :, : layer.depth, : layer.K]).reshape(shape)
            for layer, shape in zip(self.layers, shapes, strict=True)
        ]
        return coefs, [vector[layer.bias : layer.bias + layer.K].copy() for layer in self.layers]

    @staticmethod
    def _view(vector, layer):
        return vector[layer.weights : layer.weights + layer.n_rows * layer.columns].reshape(layer.shape)


def lay_out_parameters(architecture):
    """Give each CONV and FC of a bound architecture its place in the parameter vector.

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
        If a layer has no kernels yet, which the message names, or if no layer has weights.
    """
    for layer in architecture.layers:
        _check_implemented(layer)
    weighted = [(index, layer) for index, layer in enumerate(architecture.layers) if layer.kind in ("CONV", "FC")]
    if not weighted:
        raise ArchitectureError(f"{architecture} has no CONV and no FC, so there is nothing to learn. Add an FC.")
    shapes = [(*_filter(index, layer), padded(layer.output.depth)) for index, layer in weighted]
    kinds = [layer.kind for _, layer in weighted]
    convs = [np.prod(shape) if kind == "CONV" else 0 for kind, shape in zip(kinds, shapes, strict=True)]
    biases = [shape[-1] for shape in shapes]
    fcs = [np.prod(shape) if kind == "FC" else 0 for kind, shape in zip(kinds, shapes, strict=True)]
    ends = np.cumsum([lined(size) for size in (*convs, *biases, *fcs)]).tolist()
    starts = np.reshape([0, *ends[:-1]], (3, -1)).tolist()
    layers = tuple(
        Weights(
            rows=shape[:3],
            depth=layer.input.depth,
            K=layer.output.depth,
            columns=shape[3],
            weights=starts[0][n] if layer.kind == "CONV" else starts[2][n],
            bias=starts[1][n],
            whole_batch=layer.kind == "FC",
        )
        for n, ((_, layer), shape) in enumerate(zip(weighted, shapes, strict=True))
    )
    return Parameters(layers, size=ends[-1], slot=starts[2][0])


def _check_implemented(layer):
    known = layer.kind in ("CONV", "RELU", "FC") or (layer.kind == "POOL" and layer.mode == "max")
    if not known or getattr(layer, "groups", 1) != 1:
        raise ArchitectureError(
            f"{layer.name}: {layer.keyword} is not implemented yet. The notation and the volume arithmetic know it, "
            "but what can be fitted so far is CONV without groups, RELU, POOL(max) and FC."
        )


def _filter(index, layer):
    """Rows of a layer's weights: (filter rows, filter columns, stored input depth)."""
    # The network's input has no gradient and is read one number at a time: its depth needs no padding.
    depth = layer.input.depth if index == 0 else padded(layer.input.depth)
    extent = (layer.F, layer.F) if layer.kind == "CONV" else (layer.input.height, layer.input.width)
    return (*extent, depth)
