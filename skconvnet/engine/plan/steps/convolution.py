"""CONV and FC: sums over weights, written as the contractions of `cpu.llvm.tile` in the letters of the CS231n notes."""

from functools import cached_property

from skconvnet.engine.plan.steps.bands import Taps
from skconvnet.engine.plan.steps.branches import emit_copy_channels
from skconvnet.engine.plan.steps.groups import GroupSlices, group_runs
from skconvnet.engine.plan.steps.phases import Phases
from skconvnet.engine.plan.steps.step import Step
from skconvnet.engine.program.instructions import Op, Samples, Space
from skconvnet.engine.program.memory import NO_BORDER, ZEROS, element, offset

__all__ = ["Convolution", "emit_contract"]


class Convolution(Step):
    """CONV, and FC as the CONV whose filter covers its input volume, with bias and possibly ReLU.

    y[i, j, k] = bias[k] + sum over u, v < F and c < C of x[i*S + u*D - P, j*S + v*D - P, c] * w[u, v, c, k]

    D is the dilation. With groups, C and k are those of one group, and there is one such sum for each group. F, S, P
    and D of i and u, those of the rows, may differ from those of j and v.

    Parameters
    ----------
    layer : BoundConv or BoundFC
    weights : WeightSlot
        Where its parameters are.
    """

    learns = True
    relu = False

    def __init__(self, layer, weights):
        super().__init__(layer)
        self.weights = weights
        self.transposed = None  # offset of the transposed weights in shared memory, if the input gradient is needed
        self.down, self.across = layer.axes

    @property
    def overwrites(self):
        """The gradient before the ReLU replaces the gradient after it."""
        return self.relu

    @property
    def border(self):
        """The padding P; on the far sides as much of it as the last filter reaches."""
        x, y, down, across = self.layer.input, self.layer.output, self.down, self.across
        bottom = (y.height - 1) * down.S + down.reach - down.P - x.height
        right = (y.width - 1) * across.S + across.reach - across.P - x.width
        return down.P, across.P, max(0, bottom), max(0, right)

    @property
    def gradient_border(self):
        """Zeros around the output gradient that the transposed filter reads."""
        if self.layer.kind == "FC" or not self.needs_input_gradient:
            return NO_BORDER
        return self.phases.gradient_border

    @cached_property
    def phases(self):
        """The phases of the input gradient."""
        return Phases(self.layer, self.weights, self.weights.transposed_stride)

    # Forward

    def forward(self, builder, x, border):
        """Emit the sums above, beginning with the bias, and the ReLU."""
        w = self.weights
        self.x = x
        self.y = builder.volume(self.layer.output, border, gradient_border=self.gradient_border)
        self.seen = x = self._dense(builder, x) if w.whole_batch else x
        self._sums(builder, x)
        return self.y

    def _sums(self, builder, x):
        """Emit the sums into `y`."""
        w = self.weights
        for run in group_runs(builder.target, w.groups):
            slices = GroupSlices(builder, self.y, run, w.K // w.groups)
            with slices.to_write() as (y, first):
                with builder.split_across_workers(self):
                    self._sums_of_groups(builder, x, run, y, first, slices.distance)

    def _sums_of_groups(self, builder, x, run, y, first, distance):
        """Emit the sums of a run of groups, written to the channels `first`, `first + distance`, ... of `y`."""
        w, down, across = self.weights, self.down, self.across
        weights = w.weights + run.first * w.group_size
        counts, strides = self._filter_counts("TRK", x), self._filter_strides("trk")
        tap_flops = _separate_rows(y.columns) * w.filters * counts["R"] * counts["K"]
        taps = Taps(y.rows, down.F, step=down.S, tap_step=down.dilation, before=down.P, extent=x.rows)
        for band in taps.bands(tap_flops, builder.target.spared_flops):
            emit_contract(
                builder,
                a=self._first_seen(x, run, band.first * down.S + band.tap * down.dilation),
                b=offset(Space.PARAMETERS, weights + band.tap * strides["t"]),
                start=self._bias(run.first * (w.K // w.groups)),
                c=element(y, band.first, channel=first),
                counts=counts | {"J": band.count, "M": y.columns, "N": w.filters, "T": band.taps, "groups": run.count},
                a_strides={
                    "i": x.size,
                    "j": down.S * x.row,
                    "p": across.S * x.depth,
                    "t": down.dilation * x.row,
                    "r": across.dilation * x.depth,
                    "k": 1,
                    "g": w.depth,
                },
                b_strides=strides | {"g": w.group_size},
                start_strides={} if w.bias is None else {"q": 1, "g": w.K // w.groups},
                c_strides={"i": y.size, "j": y.row, "p": y.depth, "g": distance},
                RELU=self.relu,
                sample_loop=Samples.I,
            )

    def _dense(self, builder, x):
        """Return the input as contiguous memory, which the blocks of an FC's weight gradient are cut from."""
        if x.is_dense:
            return x
        scratch = builder.like(x)
        emit_copy_channels(builder, element(x), x, element(scratch), scratch, x.depth)
        return scratch

    # Backward

    def backward(self, builder, dy):
        """Emit the gradient before the ReLU, those of bias and weights, and that of the input."""
        w = self.weights
        if self.relu or self._bias_slot is not None:
            self._bias_gradient(builder, dy)
        if not self.learns:
            pass
        elif w.whole_batch:
            builder.deferred_weight_gradients.append((self, self.seen, dy))
        else:
            self.weights_gradient(builder, builder.recompute(self.x), dy, Space.SHARD, w.weights)
        if not self.needs_input_gradient:
            return None
        dx = builder.gradient(self.x)
        self._input_gradient(builder, dx, dy)
        return dx

    @property
    def _bias_slot(self):
        """Where the gradient of the biases is in a shard's slot; None if there is none."""
        return self.weights.bias if self.learns else None

    def _input_gradient(self, builder, dx, dy):
        """Emit the gradient of the input."""
        w = self.weights
        if self.layer.kind == "FC":
            self.transposed = builder.allocate_shared(w.columns * w.transposed_stride)
            with builder.split_across_workers(self):
                self._covered_gradient(builder, dx, dy)
        else:
            self.transposed = builder.allocate_shared(w.groups * self.phases.group_size)
            for run in group_runs(builder.target, w.groups):
                slices = GroupSlices(builder, dx, run, w.depth)
                with slices.to_write() as (part, first):
                    for phase in self.phases:
                        self._phase_gradient(builder, phase, run, part, first, slices.distance, dy)

    def _bias_gradient(self, builder, dy):
        bias, y = self._bias_slot, self.y if self.relu else dy
        builder.emit(
            Op.BIAS_RELU_BACKWARD,
            {
                "dy": element(dy),
                "y": element(y),
                "dx": element(dy),
                "dbias": ZEROS if bias is None else offset(Space.SHARD, bias),
            },
            rows=dy.rows,
            columns=dy.columns,
            depth=dy.depth,
            dy_row=dy.row,
            y_row=y.row,
            dx_row=dy.row,
            relu=self.relu,
            bias=bias is not None,
        )

    def weights_gradient(self, builder, x, dy, space, first_element):
        """Emit the gradient of the weights, and return the number of the last instruction.

        dw[u, v, c, k] = sum over samples, i and j of x[i*S + u*D - P, j*S + v*D - P, c] * dy[i, j, k]

        Parameters
        ----------
        builder : PlanBuilder
        x, dy : Buffer
            The input and the gradient of the output.
        space : Space
            Where the gradient is written, from `first_element` on.
        first_element : int
        """
        w, target, down, across = self.weights, builder.target, self.down, self.across
        counts, strides = self._filter_counts("IJM", x), self._filter_strides("ijp")
        row_flops = _separate_rows(dy.columns) * w.filters * counts["J"] * counts["M"]
        if counts["J"] * counts["M"] < target.tile_rows:
            row_flops = 0  # rows of the filter had better share a tile
        taps = Taps(down.F, dy.rows, step=down.dilation, tap_step=down.S, before=down.P, extent=x.rows)
        for run in group_runs(target, w.groups):
            slices = GroupSlices(builder, dy, run, w.K // w.groups)
            gradient, first = slices.to_read()
            into = first_element + run.first * w.group_size
            for band in taps.bands(row_flops, target.spared_flops):
                number = emit_contract(
                    builder,
                    a=self._first_seen(x, run, band.first * down.dilation + band.tap * down.S),
                    b=element(gradient, band.tap, channel=first),
                    start=ZEROS,
                    c=offset(space, into + band.first * strides["i"]),
                    counts=counts
                    | {"I": band.count, "N": w.filters, "R": band.taps, "K": dy.columns, "groups": run.count},
                    a_strides={
                        "i": down.dilation * x.row,
                        "j": across.dilation * x.depth,
                        "p": 1,
                        "t": x.size,
                        "r": down.S * x.row,
                        "k": across.S * x.depth,
                        "g": w.depth,
                    },
                    b_strides={
                        "t": gradient.size,
                        "r": gradient.row,
                        "k": gradient.depth,
                        "g": slices.distance,
                    },
                    c_strides=strides | {"g": w.group_size},
                    sample_loop=Samples.T,
                    accumulate=1,
                )
        return number

    def _covered_gradient(self, builder, dx, dy):
        """Emit dx[u, v, c] = sum over k of dy[k] * w[u, v, c, k]: inputs are the columns, one image row at a time.

        For a target that loops over groups, all columns are one row where rows are contiguous, else each row is a
        group that has the same `a`.
        """
        w, rows, columns = self.weights, dx.rows, dx.columns * dx.depth
        if builder.target.loops_groups and dx.row == columns:
            rows, columns = 1, rows * columns
        for run in group_runs(builder.target, rows):
            emit_contract(
                builder,
                a=element(dy),
                b=offset(Space.SHARED, self.transposed + run.first * columns),
                start=ZEROS,
                c=element(dx, run.first),
                counts={"N": columns, "K": w.columns, "groups": run.count},
                a_strides={"i": dy.size, "k": 1},
                b_strides={"k": w.n_rows, "g": columns},
                c_strides={"i": dx.size, "g": dx.row},
                sample_loop=Samples.I,
            )

    def _phase_gradient(self, builder, phase, run, dx, first, distance, dy):
        """Emit the gradient of the inputs of one phase, for a run of groups.

        dx[h, v, c] = sum over taps and k of dy[(h + P - u*D)/S, (v + P - u'*D)/S, k] * w[u, u', c, k], a CONV of
        stride 1 with the taps in reverse order.
        """
        rows, columns, w, tap = phase.rows, phase.columns, self.weights, self.phases.tap_size
        filters = w.K // w.groups
        products = dy.depth if w.groups == 1 else filters
        transposed = self.transposed + run.first * self.phases.group_size + phase.offset
        above, left = ((axis.taps - 1) * axis.step - axis.output for axis in (rows, columns))
        tap_flops = _separate_rows(columns.count) * w.rows[2] * columns.taps * products
        taps = Taps(rows.count, rows.taps, step=1, tap_step=rows.step, before=above, extent=dy.rows)
        for band in taps.bands(tap_flops, builder.target.spared_flops):
            emit_contract(
                builder,
                a=element(dy, band.first + band.tap * rows.step - above, -left, run.first * filters),
                b=offset(Space.SHARED, transposed + band.tap * columns.taps * tap),
                start=ZEROS,
                c=element(dx, rows.first + self.down.S * band.first, columns.first, first),
                counts={
                    "J": band.count,
                    "M": columns.count,
                    "N": w.rows[2],
                    "T": band.taps,
                    "R": columns.taps,
                    "K": products,
                    "groups": run.count,
                },
                a_strides={
                    "i": dy.size,
                    "j": dy.row,
                    "p": dy.depth,
                    "t": rows.step * dy.row,
                    "r": columns.step * dy.depth,
                    "k": 1,
                    "g": filters,
                },
                b_strides={
                    "t": columns.taps * tap,
                    "r": tap,
                    "k": w.transposed_stride,
                    "g": self.phases.group_size,
                },
                c_strides={
                    "i": dx.size,
                    "j": self.down.S * dx.row,
                    "p": self.across.S * dx.depth,
                    "g": distance,
                },
                sample_loop=Samples.I,
            )

    # The update

    def update(self, builder):
        """Cut the biases, and the weights unless their gradient is deferred."""
        if not (self.weights.whole_batch and self.learns):
            self.cut(builder, -1)
        if self.weights.bias is not None:
            builder.block(self.weights.bias, 1, self.weights.n_biases)

    def cut(self, builder, contraction):
        """Cut the weights into blocks of rows; the rows of one filter tap are transposed together."""
        w = self.weights
        if self.transposed is None:
            runs = [(0, w.groups * w.n_rows, None)]
        elif self.layer.kind == "FC":
            runs = [(0, w.n_rows, 0)]
        else:
            runs = self.phases.transposed_runs()
        for first, rows, run in runs:
            transposed = None if run is None else self.transposed + run
            builder.cut(w, first, rows, contraction, transposed, w.transposed_stride)

    # Operands and numbers

    def _first_seen(self, x, run, row=0):
        """Return the operand for the first activation that a run's first filter sees, or `row` rows below it."""
        return element(x, row - self.down.P, -self.across.P, run.first * self.weights.depth)

    def _bias(self, first=0):
        """Return the operand for the biases of the filters from `first` on, or for zeros."""
        bias = self.weights.bias
        return ZEROS if bias is None else offset(Space.PARAMETERS, bias + first)

    def _filter_counts(self, letters, x):
        """Return the counts of the loops over a filter's rows, columns and channels, padded so that loops merge."""
        rows, columns, _ = self.weights.rows
        channels = x.depth if self.weights.groups == 1 else self.weights.depth
        return dict(zip(letters, (rows, columns, channels), strict=True))

    def _filter_strides(self, letters):
        """Return the strides of the weights along a filter's rows, columns and channels."""
        _, columns, depth = self.weights.rows
        channel = self.weights.columns
        return dict(zip(letters, (columns * depth * channel, depth * channel, channel), strict=True))


def _separate_rows(columns):
    """Return the number of columns, or 0 for one column.

    With one column the rows form one loop, and bands would change the order of the sum.
    """
    return columns if columns > 1 else 0


def emit_contract(
    builder,
    *,
    a,
    b,
    start,
    c,
    counts,
    a_strides,
    b_strides,
    c_strides,
    start_strides=None,
    RELU=0,
    sample_loop,
    accumulate=0,
):
    """Emit a CONTRACT and return its number: counts are 1 and strides 0 unless given.

    Of a single group, the strides from group to group are 0, too.
    """
    numbers = dict.fromkeys([*"IJMNTRK", "groups"], 1) | counts
    strides = {"a": ("ijptrkg", a_strides), "b": ("trkg", b_strides), "start": ("ijpqg", start_strides or {})}
    for operand, (letters, given) in (strides | {"c": ("ijpg", c_strides)}).items():
        numbers |= {f"{operand}_{letter}": given.get(letter, 0) for letter in letters}
    if numbers["groups"] == 1:
        numbers |= dict.fromkeys(["a_g", "b_g", "start_g", "c_g"], 0)
    operands = {"a": a, "b": b, "start": start, "c": c}
    return builder.emit(Op.CONTRACT, operands, **numbers, RELU=RELU, sample_loop=sample_loop, accumulate=accumulate)
