"""CONV by Winograd's minimal filtering F(4x4, 3x3): transforms around products (see `cpu.llvm.winograd`).

The outputs are cut into tiles of 4 x 4. A tile has 36 positions, and at each position the channels of all tiles are one
matrix product: the 36 products are the groups of one CONTRACT. A transformed volume is stored position by position,
[36 x tiles x depth].

    forward            U = G w G'      V = B' x B      M = V U at each position      y = A' M A + bias
    input gradient     the same, with the output gradient for x and the transposed weights for w
    weight gradient    V = B' x B      D = A dy A'     Z = V' D at each position     dw = G' Z G
"""

from skconvnet.engine.plan.steps.convolution import Convolution, emit_contract
from skconvnet.engine.program.instructions import Adds, Op, Samples, SegmentKind, Space, Transform
from skconvnet.engine.program.memory import ZEROS, element, offset

__all__ = ["WinogradConvolution", "has_fewer_products"]

_TILE = 4  # outputs along each axis
_POSITIONS = 36
_OVERLAP = 2  # inputs that a tile shares with the next: F - S


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
    return (
        (layer.F, layer.S, layer.groups) == (3, 1, 1)
        and min(layer.input.depth, layer.K) >= target.winograd_depth
        and min(layer.output.height, layer.output.width) >= target.winograd_extent
        and weights.rows[2] % target.lanes == 0  # images are stored without padding of their depth
    )


def _tiles(extent):
    return -(-extent // _TILE)


def _beyond(x, y, before):
    """Return the inputs that the last tile of `y` outputs reads behind the last of `x`."""
    return max(0, _TILE * _tiles(y) + _OVERLAP - before - x)


class WinogradConvolution(Convolution):
    """A CONV with F = 3, S = 1 and one group, and possibly ReLU, by minimal filtering.

    Parameters
    ----------
    layer : BoundConv
    weights : WeightSlot
        Where its parameters are.
    """

    def __init__(self, layer, weights):
        super().__init__(layer, weights)
        self.before_gradient = _OVERLAP - layer.P  # the padding of the input gradient's CONV
        self._U = self._transposed_U = None  # offsets of transformed weights in shared memory

    @property
    def border(self):
        """The padding P; on the far sides as much of it as the last tile reaches."""
        x, y, P = self.layer.input, self.layer.output, self.P
        return P, P, _beyond(x.height, y.height, P), _beyond(x.width, y.width, P)

    @property
    def gradient_border(self):
        """Zeros around the output gradient: those that its tiles reach, as output and as input."""
        x, y, before = self.layer.input, self.layer.output, self.before_gradient
        after = [_TILE * _tiles(extent) - extent for extent in (y.height, y.width)]
        if not self.needs_input_gradient:
            return 0, 0, *after
        beyond = (_beyond(y.height, x.height, before), _beyond(y.width, x.width, before))
        return max(0, before), max(0, before), *map(max, after, beyond)

    # The weights

    def transform_weights(self, builder):
        """Emit the transformed weights, and those of the input gradient from the transposed weights."""
        w = self.weights
        source = offset(Space.PARAMETERS, w.weights)
        self._U = _transform_weights(builder, source, w.rows[2], w.filters, w.columns, w.rows[2] * w.columns)
        if self.needs_input_gradient:
            tap = self.phases.tap_size
            self.transposed = builder.allocate_shared(self.phases.group_size)
            source = offset(Space.SHARED, self.transposed)
            self._transposed_U = _transform_weights(builder, source, w.filters, w.rows[2], w.transposed_stride, tap)

    # Forward and backward

    def _sums(self, builder, x):
        is_split = builder.split_image and self.layer.n_flops > builder.target.split_flops
        _convolve(builder, x, self.P, self._U, self.y, self._bias(), self.relu, is_split)

    def _input_gradient(self, builder, dx, dy):
        _convolve(builder, dy, self.before_gradient, self._transposed_U, dx, ZEROS)

    def weights_gradient(self, builder, x, dy, space, first_element):
        """Emit the gradient of the weights, by bands of tiles and blocks of channels."""
        w, target = self.weights, builder.target
        C, K, columns = x.depth, dy.depth, _tiles(dy.columns)
        block = max(target.lanes, min(C, target.winograd_sums // (_POSITIONS * K) // target.lanes * target.lanes))
        sums = builder.worker_sums(_POSITIONS * block * K)
        for first, rows in _bands(target, _tiles(dy.rows), columns * (C + K)):
            n = rows * columns
            V, D = (builder.buffer(_POSITIONS, n, depth, depth) for depth in (C, K))
            _transform_tiles(builder, Transform.INPUT, element(x, _TILE * first - self.P, -self.P), x, V, columns)
            _transform_tiles(builder, Transform.GRADIENT, element(dy, _TILE * first), dy, D, columns)
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
                    sums,
                    offset(space, first_element + channel * w.columns),
                    columns=count,
                    depth=K,
                    x_column=K,
                    x_i=6 * count * K,
                    x_j=count * K,
                    y_column=w.columns,
                    y_a=3 * C * w.columns,
                    y_b=C * w.columns,
                    adds=Adds.BEHIND_FIRST if first == 0 else Adds.ALWAYS,
                )
        return number


def _bands(target, rows, of_a_row):
    """Yield (first row, rows) of bands of tile rows whose transforms fit `winograd_band`, as equal as possible.

    Parameters
    ----------
    target : Target
    rows : int
        Rows of tiles.
    of_a_row : int
        Elements at one position of a row of tiles.
    """
    most = max(1, target.winograd_band // (_POSITIONS * of_a_row))
    band = -(-rows // -(-rows // most))
    for first in range(0, rows, band):
        yield first, min(band, rows - first)


def _transform_weights(builder, source, rows, columns, column_stride, tap):
    """Emit U = G w G' of nine matrices of weights, `tap` elements apart; return its offset in shared memory."""
    stride = builder.target.row_stride(columns)
    size = _POSITIONS * rows * stride
    U, builder.weights_read = builder.allocate_shared(size), max(builder.weights_read, size)
    _emit_transform(
        builder,
        Transform.WEIGHTS,
        source,
        offset(Space.SHARED, U),
        columns=rows,
        depth=columns,
        x_column=column_stride,
        x_i=3 * tap,
        x_j=tap,
        y_column=stride,
        y_a=6 * rows * stride,
        y_b=rows * stride,
    )
    return U


def _transform_tiles(builder, transform, first, volume, positions, columns):
    """Emit the transform of all tiles of a band of a volume, whose first tile begins at the operand `first`."""
    _emit_transform(
        builder,
        transform,
        first,
        element(positions),
        rows=positions.columns // columns,
        columns=columns,
        depth=volume.depth,
        x_row=_TILE * volume.row,
        x_column=_TILE * volume.depth,
        x_i=volume.row,
        x_j=volume.depth,
        y_row=columns * volume.depth,
        y_column=volume.depth,
        y_a=6 * positions.row,
        y_b=positions.row,
        each_sample=1,
    )


def _convolve(builder, x, before, U, y, bias, relu=False, is_split=False):
    """Emit the CONV of `x`, padded by `before`, with the weights that are transformed at `U`, into `y`."""
    C, K, columns = x.depth, y.depth, _tiles(y.columns)
    stride = builder.target.row_stride(K)
    for first, rows in _bands(builder.target, _tiles(y.rows), columns * (C + K)):
        n = rows * columns
        V, M = (builder.buffer(_POSITIONS, n, depth, depth) for depth in (C, K))
        _begin_part(builder, is_split)
        _transform_tiles(builder, Transform.INPUT, element(x, _TILE * first - before, -before), x, V, columns)
        _begin_part(builder, is_split)
        emit_contract(
            builder,
            a=element(V),
            b=offset(Space.SHARED, U),
            start=ZEROS,
            c=element(M),
            counts={"M": n, "N": K, "K": C, "groups": _POSITIONS},
            a_strides={"i": V.size, "p": C, "k": 1, "g": V.row},
            b_strides={"k": stride, "g": C * stride},
            c_strides={"i": M.size, "p": K, "g": M.row},
            sample_loop=Samples.I,
        )
        _begin_part(builder, is_split)
        _emit_transform(
            builder,
            Transform.OUTPUT,
            element(M),
            element(y, _TILE * first),
            start=bias,
            rows=rows,
            columns=columns,
            depth=K,
            x_row=columns * K,
            x_column=K,
            x_i=6 * M.row,
            x_j=M.row,
            start_q=0 if bias is ZEROS else 1,
            y_row=_TILE * y.row,
            y_column=_TILE * y.depth,
            y_a=y.row,
            y_b=y.depth,
            down=y.rows - _TILE * first,
            across=y.columns,
            RELU=relu,
            each_sample=1,
        )
    if is_split:
        builder.begin(SegmentKind.PER_SAMPLE)


def _begin_part(builder, is_split):
    """Begin a segment of its own for the next instruction, if workers share it."""
    if is_split:
        builder.begin(SegmentKind.SPLIT)


def _emit_transform(builder, transform, x, y, *, start=ZEROS, **numbers):
    """Emit a TRANSFORM and return its number: counts are 1 and all else is 0 unless given."""
    zero = "x_row y_row start_q down across RELU each_sample adds"
    numbers = {"rows": 1} | dict.fromkeys(zero.split(), 0) | numbers
    return builder.emit(Op.TRANSFORM, {"x": x, "start": start, "y": y}, transform=transform, **numbers)
