"""CONV by Winograd's minimal filtering: transforms around products (see `cpu.llvm.winograd`).

The outputs are cut into tiles of m x m: 4 x 4 for F = 3, and 2 x 2 for F = 5. A tile has 36 positions, and at each
position the channels of all tiles are one matrix product: the 36 products are the groups of one CONTRACT. A transformed
volume is stored position by position, [36 x tiles x depth].

    forward            U = G w G'      V = B' x B      M = V U at each position      y = A' M A + bias
    input gradient     the same, with the output gradient for x and the transposed weights for w
    weight gradient    V = B' x B      D = A dy A'     Z = V' D at each position     dw = G' Z G
"""

from dataclasses import dataclass, replace

from skconvnet.engine.plan.steps.convolution import Convolution, emit_contract
from skconvnet.engine.program.instructions import (
    N_POINTS,
    TRANSFORMED_FILTERS,
    Adds,
    Op,
    Samples,
    Space,
    Transform,
    outputs_of_tile,
)
from skconvnet.engine.program.memory import ZEROS, Operand, element, offset

__all__ = ["WinogradConvolution", "has_fewer_products"]

_POSITIONS = N_POINTS**2
# Output rows and columns from which the weight gradient is computed by minimal filtering, by F. With fewer, the direct
# sum has so few terms that its error is a fourth or less.
_LEAST_OF_GRADIENT = {3: 0, 5: 24}


def has_fewer_products(layer, weights, target):
    """Return whether a CONV is one that minimal filtering computes faster, by its shape alone.

    Parameters
    ----------
    layer : BoundConv
    weights : WeightSlot
        The layer's.
    target : Target
        The machine.
    """
    down, across = layer.axes
    return (
        down == across
        and down.F in TRANSFORMED_FILTERS
        and down.S == down.dilation == layer.groups == 1
        and min(layer.input.depth, layer.K) >= target.winograd_depth
        and min(layer.output.height, layer.output.width) >= target.winograd_extent
        and weights.rows[2] % target.lanes == 0  # images are stored without padding of their depth
    )


def _tiles(extent, F):
    """Return the tiles along an axis of `extent` outputs."""
    return -(-extent // outputs_of_tile(F))


def _covered(extent, F):
    """Return the outputs of those tiles."""
    return _tiles(extent, F) * outputs_of_tile(F)


def _beyond(x, y, F, before):
    """Return the inputs that the last tile of `y` outputs reads behind the last of `x`."""
    return max(0, _covered(y, F) + F - 1 - before - x)


@dataclass(frozen=True)
class _Weights:
    """F x F matrices of weights, one for each filter tap.

    Parameters
    ----------
    F : int
    first : Operand
        Their first element.
    rows, columns : int
        Of each matrix: depth of the volume that is read, and of the one that is written.
    row, tap : int
        Distance between two rows, and between two matrices.
    """

    F: int
    first: Operand
    rows: int
    columns: int
    row: int
    tap: int

    def transform(self, builder, U, stride, rows=None, columns=None):
        """Emit U = G w G' of the matrices, or of their parts (first, count) of rows and columns.

        Parameters
        ----------
        builder : PlanBuilder
        U : Operand
            Where to: [36 x rows x stride].
        stride : int
            Distance between two rows of U.
        rows, columns : tuple of int, optional
            The part.
        """
        (row, n_rows), (column, n_columns) = rows or (0, self.rows), columns or (0, self.columns)
        _emit_transform(
            builder,
            Transform.WEIGHTS,
            self.F,
            replace(self.first, offset=self.first.offset + row * self.row + column),
            U,
            columns=n_rows,
            depth=n_columns,
            x_column=self.row,
            x_i=self.F * self.tap,
            x_j=self.tap,
            y_column=stride,
            y_a=6 * n_rows * stride,
            y_b=n_rows * stride,
        )


class _Products:
    """The products with transformed weights at the 36 positions: M = V U.

    With F = 3 the transformed weights are four times as many as the weights. If they outgrow the cache, to read them
    for the few tiles of a few images takes longer than to transform the weights again, block by block. Either way the
    sums have the same order.

    Parameters
    ----------
    builder : PlanBuilder
        The transforms are emitted here, unless each block is transformed when it is read.
    weights : _Weights
    output : Volume
        The volume that the tiles cover.
    in_training : bool
        Whether the weights change from batch to batch, and so are transformed once for each.
    """

    def __init__(self, builder, weights, output, in_training):
        self.weights = weights
        self.stride = builder.target.row_stride(weights.columns)
        target, size = builder.target, _POSITIONS * weights.rows * self.stride
        tiles = builder.batch_size * _tiles(output.height, weights.F) * _tiles(output.width, weights.F)
        builder.weights_read = max(builder.weights_read, size)
        self.U = None
        if in_training or size <= target.winograd_band or tiles >= target.winograd_tiles:
            self.U = offset(Space.SHARED, builder.allocate_shared(size))
            weights.transform(builder, self.U, self.stride)

    def emit(self, builder, V, M, is_split):
        """Emit the products for the transformed tiles V."""
        if self.U is not None:
            with builder.in_parts(is_split):
                self._block(builder, V, M, self.U, self.stride, (0, V.depth), (0, M.depth))
            return
        most_rows, most_columns = builder.target.winograd_block
        if is_split:
            most_rows = V.depth  # fewer barriers
        size = _POSITIONS * min(most_rows, V.depth) * min(most_columns, M.depth)
        U = offset(Space.SHARED, builder.allocate_shared(size)) if is_split else builder.worker_scratch(size)
        for columns in _runs(M.depth, most_columns):
            for rows in _runs(V.depth, most_rows):
                with builder.in_parts(is_split):
                    self.weights.transform(builder, U, columns[1], rows, columns)
                with builder.in_parts(is_split):
                    self._block(builder, V, M, U, columns[1], rows, columns)

    def _block(self, builder, V, M, U, stride, rows, columns):
        """Emit the products with a block of U, added to those with the rows before it."""
        (row, n_rows), (column, n_columns) = rows, columns
        emit_contract(
            builder,
            a=element(V, channel=row),
            b=U,
            start=element(M, channel=column) if row else ZEROS,
            c=element(M, channel=column),
            counts={"M": V.columns, "N": n_columns, "K": n_rows, "groups": _POSITIONS},
            a_strides={"i": V.size, "p": V.depth, "k": 1, "g": V.row},
            b_strides={"k": stride, "g": n_rows * stride},
            start_strides={"i": M.size, "p": M.depth, "q": 1, "g": M.row} if row else {},
            c_strides={"i": M.size, "p": M.depth, "g": M.row},
            sample_loop=Samples.I,
        )


def _runs(extent, most):
    """Return the runs (first, count) of at most `most` that `extent` is cut into."""
    return [(first, min(most, extent - first)) for first in range(0, extent, most)]


class WinogradConvolution(Convolution):
    """A CONV with F = 3 or 5, S = 1 and one group, and possibly ReLU, by minimal filtering.

    Parameters
    ----------
    layer : BoundConv
    weights : WeightSlot
        Where its parameters are.
    """

    def __init__(self, layer, weights):
        super().__init__(layer, weights)
        self.F, self.P, self.m = self.down.F, self.down.P, outputs_of_tile(self.down.F)
        self.before_gradient = self.F - 1 - self.P  # the padding of the input gradient's CONV

    @property
    def border(self):
        """The padding P; on the far sides as much of it as the last tile reaches."""
        x, y, P = self.layer.input, self.layer.output, self.P
        return P, P, _beyond(x.height, y.height, self.F, P), _beyond(x.width, y.width, self.F, P)

    @property
    def gradient_border(self):
        """Zeros around the output gradient: those that its tiles reach, as output and as input."""
        x, y, before = self.layer.input, self.layer.output, self.before_gradient
        after = [_covered(extent, self.F) - extent for extent in (y.height, y.width)]
        if not self.needs_input_gradient:
            return 0, 0, *after
        beyond = (_beyond(y.height, x.height, self.F, before), _beyond(y.width, x.width, self.F, before))
        return max(0, before), max(0, before), *map(max, after, beyond)

    # The weights

    def transform_weights(self, builder, in_training):
        """Emit the transformed weights, and those of the input gradient from the transposed weights."""
        w = self.weights
        weights = _Weights(
            self.F, offset(Space.PARAMETERS, w.weights), w.rows[2], w.filters, w.columns, w.rows[2] * w.columns
        )
        self._products = _Products(builder, weights, self.layer.output, in_training)
        if self.needs_input_gradient:
            self.transposed = builder.allocate_shared(self.phases.group_size)
            source = offset(Space.SHARED, self.transposed)
            weights = _Weights(self.F, source, w.filters, w.rows[2], w.transposed_stride, self.phases.tap_size)
            self._gradient_products = _Products(builder, weights, self.layer.input, in_training)

    # Forward and backward

    def _sums(self, builder, x):
        self._convolve(builder, x, self.P, self._products, self.y, self._bias(), self.relu)

    def _input_gradient(self, builder, dx, dy):
        self._convolve(builder, dy, self.before_gradient, self._gradient_products, dx, ZEROS)

    def _convolve(self, builder, x, before, products, y, bias, relu=False):
        """Emit the CONV of `x`, padded by `before`, into `y`."""
        C, K, columns = x.depth, y.depth, _tiles(y.columns, self.F)
        is_split = builder.split_image and self.layer.n_flops > builder.target.split_flops
        for first, rows in _bands(builder.target, _tiles(y.rows, self.F), columns, C, K):
            n = rows * columns
            V, M = (builder.buffer(_POSITIONS, n, depth, depth) for depth in (C, K))
            with builder.in_parts(is_split):
                self._transform_tiles(
                    builder, Transform.INPUT, element(x, self.m * first - before, -before), x, V, columns
                )
            products.emit(builder, V, M, is_split)
            with builder.in_parts(is_split):
                _emit_transform(
                    builder,
                    Transform.OUTPUT,
                    self.F,
                    element(M),
                    element(y, self.m * first),
                    start=bias,
                    rows=rows,
                    columns=columns,
                    depth=K,
                    x_row=columns * K,
                    x_column=K,
                    x_i=6 * M.row,
                    x_j=M.row,
                    start_q=0 if bias is ZEROS else 1,
                    y_row=self.m * y.row,
                    y_column=self.m * y.depth,
                    y_a=y.row,
                    y_b=y.depth,
                    down=y.rows - self.m * first,
                    across=y.columns,
                    RELU=relu,
                    each_sample=1,
                )

    def weights_gradient(self, builder, x, dy, space, first_element):
        """Emit the gradient of the weights, by bands of tiles and blocks of channels.

        The parameters are those of `Convolution.weights_gradient`.
        """
        if min(dy.rows, dy.columns) < _LEAST_OF_GRADIENT[self.F]:
            return super().weights_gradient(builder, x, dy, space, first_element)
        w, target = self.weights, builder.target
        C, K, columns = x.depth, dy.depth, _tiles(dy.columns, self.F)
        block = max(target.lanes, min(C, target.winograd_sums // (_POSITIONS * K) // target.lanes * target.lanes))
        sums = builder.worker_scratch(_POSITIONS * block * K)
        for first, rows in _bands(target, _tiles(dy.rows, self.F), columns, C, K):
            n = rows * columns
            V, D = (builder.buffer(_POSITIONS, n, depth, depth) for depth in (C, K))
            self._transform_tiles(builder, Transform.INPUT, element(x, self.m * first - self.P, -self.P), x, V, columns)
            self._transform_tiles(builder, Transform.GRADIENT, element(dy, self.m * first), dy, D, columns)
            for channel in range(0, C, block):
                count = min(block, C - channel)
                emit_contract(
                    builder,
                    a=element(V, channel=channel),
                    b=element(D),
                    start=ZEROS,
                    c=sums,
                    counts={"M": count, "N": K, "K": n, "groups": _POSITIONS},
                    a_strides={"p": 1, "t": V.size, "k": C, "g": V.row},
                    b_strides={"t": D.size, "k": K, "g": D.row},
                    c_strides={"p": K, "g": count * K},
                    sample_loop=Samples.T,
                )
                number = _emit_transform(
                    builder,
                    Transform.WEIGHTS_GRADIENT,
                    self.F,
                    sums,
                    offset(space, first_element + channel * w.columns),
                    columns=count,
                    depth=K,
                    x_column=K,
                    x_i=6 * count * K,
                    x_j=count * K,
                    y_column=w.columns,
                    y_a=self.F * C * w.columns,
                    y_b=C * w.columns,
                    adds=Adds.BEHIND_FIRST if first == 0 else Adds.ALWAYS,
                )
        return number

    def _transform_tiles(self, builder, transform, first, volume, positions, columns):
        """Emit the transform of all tiles of a band of a volume, whose first tile begins at the operand `first`."""
        _emit_transform(
            builder,
            transform,
            self.F,
            first,
            element(positions),
            rows=positions.columns // columns,
            columns=columns,
            depth=volume.depth,
            x_row=self.m * volume.row,
            x_column=self.m * volume.depth,
            x_i=volume.row,
            x_j=volume.depth,
            y_row=columns * volume.depth,
            y_column=volume.depth,
            y_a=6 * positions.row,
            y_b=positions.row,
            each_sample=1,
        )


def _bands(target, rows, columns, C, K):
    """Yield (first row, rows) of bands of tile rows, as equal as possible.

    The transforms of a band fill at most `winograd_band`, or as much as the weights that are read for it.

    Parameters
    ----------
    target : Target
    rows, columns : int
        Of tiles.
    C, K : int
        Depths of the two volumes that are transformed.
    """
    size = max(target.winograd_band, min(_POSITIONS * C * K, target.largest_arena))
    most = max(1, size // (_POSITIONS * columns * (C + K)))
    band = -(-rows // -(-rows // most))
    for first in range(0, rows, band):
        yield first, min(band, rows - first)


def _emit_transform(builder, transform, F, x, y, *, start=ZEROS, **numbers):
    """Emit a TRANSFORM and return its number: counts are 1 and all else is 0 unless given."""
    zero = "x_row y_row start_q down across RELU each_sample adds"
    numbers = {"rows": 1} | dict.fromkeys(zero.split(), 0) | numbers
    return builder.emit(Op.TRANSFORM, {"x": x, "start": start, "y": y}, transform=transform, F=F, **numbers)
