"""Layers as the plan sees them: each writes its forward instructions and, beside them, its backward ones.

The sums are the contractions of `cpu.tile`, in the seeds' letters. A step is given buffers and emits instructions into
the `work` that is being written (see `plan`); it takes no memory and computes nothing.
"""

from dataclasses import dataclass

from skconvnet.engine.memory import at, place
from skconvnet.engine.program import Op, Samples, Space

__all__ = ["Convolution", "MaxPool", "Relu", "steps_of"]


def steps_of(architecture, parameters):
    """Pair layers with their parameters, and let a RELU behind a CONV or FC be part of it.

    Parameters
    ----------
    architecture : BoundArchitecture
        The layers.
    parameters : Parameters
        Their places in the parameter vector.

    Returns
    -------
    list of Step
        In network order.
    """
    steps, weights = [], iter(parameters.layers)
    for layer in architecture.layers:
        if layer.kind == "RELU" and steps and isinstance(steps[-1], Convolution) and not steps[-1].relu:
            steps[-1].relu = True
        elif layer.kind in ("CONV", "FC"):
            steps.append(Convolution(layer, next(weights)))
        else:
            steps.append(_STEPS[layer.kind](layer))
    return steps


class Step:
    """One layer as the plan sees it.

    Parameters
    ----------
    layer : BoundLayer
        What the architecture says of it.
    """

    whole_batch = False  # whether it wants its input, and the gradient by its output, of the whole batch at once
    border = (0, 0, 0, 0)  # of zeros around its input: top, left, bottom, right
    gradient_border = (0, 0, 0, 0)  # around the gradient by its output

    def __init__(self, layer):
        self.layer = layer

    def forward(self, work, x, y):
        """Emit what computes the output `y` from the input `x`."""
        raise NotImplementedError

    def backward(self, work, x, y, dy):
        """Emit what the layer does with the gradient `dy` for itself: nothing, without weights."""

    def input_gradient(self, work, x, y, dx, dy):
        """Emit what computes the gradient `dx` by the input, after `backward`."""
        raise NotImplementedError


class Convolution(Step):
    """CONV, and FC as the CONV whose filter covers its input volume, with bias and perhaps ReLU.

    y[i, j, k] = bias[k] + sum over u, v < F and c < C of x[i*S + u - P, j*S + v - P, c] * w[u, v, c, k]
    """

    def __init__(self, layer, weights):
        super().__init__(layer)
        self.weights = weights
        self.relu = False
        self.turned = None  # offset of the transposed weights in shared memory, once the input's gradient is wanted
        self.whole_batch = weights.whole_batch
        self.S, self.P = (layer.S, layer.P) if layer.kind == "CONV" else (1, 0)

    @property
    def border(self):
        """The padding P, on the far sides as much of it as the last filter reaches."""
        x, y, (rows, columns, _) = self.layer.input, self.layer.output, self.weights.rows
        bottom = (y.height - 1) * self.S + rows - self.P - x.height
        right = (y.width - 1) * self.S + columns - self.P - x.width
        return self.P, self.P, max(0, bottom), max(0, right)

    def forward(self, work, x, y):
        """Emit the sum above, from the bias on, and the ReLU."""
        w = self.weights
        work.emit(
            Op.CONTRACT,
            {
                "X": at(x, -self.P, -self.P),
                "W": place(Space.PARAMETERS, w.weights),
                "START": place(Space.PARAMETERS, w.bias),
                "Y": at(y),
            },
            **_contraction(
                counts={"J": y.rows, "M": y.columns, "N": w.columns, "R": w.rows[0], "K": w.rows[1] * x.depth},
                a={"i": x.size, "j": self.S * x.row, "p": self.S * x.depth, "r": x.row, "k": 1},
                b={"r": w.rows[1] * x.depth * w.columns, "k": w.columns},
                start={"q": 1},
                c={"i": y.size, "j": y.row, "p": y.depth},
                RELU=self.relu,
                samples=Samples.I,
            ),
        )

    def backward(self, work, x, y, dy):
        """Emit the gradient through the ReLU, that of the bias, and that of the weights unless it waits."""
        operands = {"X": at(dy), "Y": at(y), "W": at(dy), "START": place(Space.SHARD, self.weights.bias)}
        work.emit(Op.BIAS_RELU_BACKWARD, operands, **_relu_numbers(y, dy, dy), relu=self.relu, bias=1)
        if not self.whole_batch:
            self.weights_gradient(work, x, dy, place(Space.SHARD, self.weights.weights))

    def weights_gradient(self, work, x, dy, into):
        """Emit the gradient of the weights, and return the instruction's number.

        dw[u, v, c, k] = sum over samples, i and j of x[i*S + u - P, j*S + v - P, c] * dy[i, j, k]
        """
        w = self.weights
        run = w.rows[1] * x.depth
        return work.emit(
            Op.CONTRACT,
            {"X": at(x, -self.P, -self.P), "W": at(dy), "START": place(Space.SHARED, 0), "Y": into},
            **_contraction(
                counts={"J": w.rows[0], "M": run, "N": w.columns, "R": dy.rows, "K": dy.columns},
                a={"j": x.row, "p": 1, "t": x.size, "r": self.S * x.row, "k": self.S * x.depth},
                b={"t": dy.size, "r": dy.row, "k": dy.depth},
                c={"j": run * w.columns, "p": w.columns},
                samples=Samples.T,
                accumulate=1,
            ),
        )

    def input_gradient(self, work, x, y, dx, dy):
        """Emit the sums over the transposed weights, for which shared memory is taken."""
        self.turned = work.share(self.weights.n_rows * self.weights.columns)
        if self.layer.kind == "FC":
            self._covered_gradient(work, dx, dy)
        else:
            for phase in self._phases().values():
                self._phase_gradient(work, phase, dx, dy)

    def _covered_gradient(self, work, dx, dy):
        """Emit dx[u, v, c] = sum over k of dy[k] * w[u, v, c, k]: inputs are the columns, one image row at a time."""
        w = self.weights
        run = dx.columns * dx.depth
        for row in range(dx.rows):
            work.emit(
                Op.CONTRACT,
                {
                    "X": at(dy),
                    "W": place(Space.SHARED, self.turned + row * run),
                    "START": place(Space.SHARED, 0),
                    "Y": at(dx, row),
                },
                **_contraction(
                    counts={"N": run, "K": w.columns},
                    a={"i": dy.size, "k": 1},
                    b={"k": w.n_rows},
                    c={"i": dx.size},
                    samples=Samples.I,
                ),
            )

    def _phase_gradient(self, work, phase, dx, dy):
        """Emit the gradient of the inputs that meet the same taps of the filters: every S-th row and column.

        dx[h, v, c] = sum over taps and k of dy[(h + P - u)/S, (v + P - u')/S, k] * w[u, u', c, k], a CONV of stride 1
        with the taps turned about.
        """
        rows, columns = phase.rows, phase.columns
        work.emit(
            Op.CONTRACT,
            {
                "X": at(dy, rows.output - (rows.taps - 1), columns.output - (columns.taps - 1)),
                "W": place(Space.SHARED, self.turned + phase.turned),
                "START": place(Space.SHARED, 0),
                "Y": at(dx, rows.first, columns.first),
            },
            **_contraction(
                counts={
                    "J": rows.count,
                    "M": columns.count,
                    "N": dx.depth,
                    "R": rows.taps,
                    "K": columns.taps * dy.depth,
                },
                a={"i": dy.size, "j": dy.row, "p": dy.depth, "r": dy.row, "k": 1},
                b={"r": columns.taps * dy.depth * dx.depth, "k": dx.depth},
                c={"i": dx.size, "j": self.S * dx.row, "p": self.S * dx.depth},
                samples=Samples.I,
            ),
        )

    def _phases(self):
        """Return the phases of the input's gradient, at most S x S, each with the place of its turned taps."""
        x, F = self.layer.input, self.weights.rows[0]
        phases, turned, tap = {}, 0, self.weights.rows[2] * self.weights.columns
        for down in self._phases_along(x.height, F):
            for along in self._phases_along(x.width, F):
                rows, columns = self._phase(down, x.height, F), self._phase(along, x.width, F)
                phases[down, along] = _Phase(rows, columns, turned)
                turned += rows.taps * columns.taps * tap
        return phases

    def _phases_along(self, extent, F):
        """Return the phases that have a tap or an input: of a stride beyond both, not all S of them."""
        return sorted({(i + self.P) % self.S for i in range(extent)} | set(range(min(F, self.S))))

    def _phase(self, phase, extent, F):
        first = (phase - self.P) % self.S
        return _PhaseAxis(
            taps=len(range(phase, F, self.S)),
            first=first,
            count=max(0, len(range(first, extent, self.S))),
            output=(first + self.P - phase) // self.S,
        )

    @property
    def gradient_border(self):
        """Outputs that never were, which the turned taps reach beyond the first and the last."""
        if self.layer.kind == "FC":
            return 0, 0, 0, 0
        y, phases = self.layer.output, self._phases().values()
        return (
            max(phase.rows.before for phase in phases),
            max(phase.columns.before for phase in phases),
            max(phase.rows.after(y.height) for phase in phases),
            max(phase.columns.after(y.width) for phase in phases),
        )

    @property
    def taps(self):
        """Rows of the weights that are turned together: (first row, rows, offset of the turned copy)."""
        (F, width, depth), columns = self.weights.rows, self.weights.columns
        if self.layer.kind == "FC":
            return [(0, self.weights.n_rows, self.turned)]
        phases = self._phases()
        found = []
        for u in range(F):
            for v in range(width):
                phase = phases[u % self.S, v % self.S]
                down, along = phase.rows.taps - 1 - u // self.S, phase.columns.taps - 1 - v // self.S
                tap = phase.turned + (down * phase.columns.taps + along) * depth * columns
                found.append(((u * width + v) * depth, depth, self.turned + tap))
        return found

    @property
    def turned_stride(self):
        """Distance between two columns of the weights in their turned copy."""
        return self.weights.n_rows if self.layer.kind == "FC" else self.weights.rows[2]


@dataclass(frozen=True)
class _PhaseAxis:
    """One axis of a phase: `count` inputs from `first`, the first of them under output `output` by its first tap."""

    taps: int
    first: int
    count: int
    output: int

    @property
    def before(self):
        return max(0, self.taps - 1 - self.output) if self.taps and self.count else 0

    def after(self, extent):
        return max(0, self.output + self.count - extent) if self.taps and self.count else 0


@dataclass(frozen=True)
class _Phase:
    rows: _PhaseAxis
    columns: _PhaseAxis
    turned: int


class MaxPool(Step):
    """POOL(max): y[i, j] = maximum of x over the window at (i*S - P, j*S - P)."""

    def _numbers(self, x, y):
        rows, columns = self.layer.F
        return {
            "rows": x.rows,
            "columns": x.columns,
            "depth": x.depth,
            "x_row": x.row,
            "F_rows": rows,
            "F_columns": columns,
            "S": self.layer.S,
            "P": self.layer.P,
            "rows_out": y.rows,
            "columns_out": y.columns,
            "y_row": y.row,
        }

    def forward(self, work, x, y):
        """Emit the maxima."""
        work.emit(Op.MAX_POOL, {"X": at(x), "Y": at(y)}, **self._numbers(x, y))

    def input_gradient(self, work, x, y, dx, dy):
        """Emit the way back to the winners: stored where windows tile the input, else added up from zero."""
        F, S, P = self.layer.F, self.layer.S, self.layer.P
        tiled = P == 0 and F == (S, S) and (y.rows * S, y.columns * S) == (x.rows, x.columns)
        if not tiled:
            work.emit(Op.CLEAR, {"Y": at(dx, -dx.border[0], -dx.border[1])}, size=dx.size)
        operands = {"X": at(x), "Y": at(y), "W": at(dx), "START": at(dy)}
        numbers = self._numbers(x, y)
        work.emit(Op.MAX_POOL_BACKWARD, operands, **numbers, dx_row=dx.row, dy_row=dy.row, overlap=not tiled)


class Relu(Step):
    """A RELU that stands by itself: y = max(x, 0)."""

    def forward(self, work, x, y):
        """Emit the maximum with zero."""
        numbers = {"rows": x.rows, "columns": x.columns, "depth": x.depth, "x_row": x.row, "y_row": y.row}
        work.emit(Op.RELU, {"X": at(x), "Y": at(y)}, **numbers)

    def input_gradient(self, work, x, y, dx, dy):
        """Emit the gradient where the output is not zero."""
        operands = {"X": at(dy), "Y": at(y), "W": at(dx), "START": place(Space.SHARED, 0)}
        work.emit(Op.BIAS_RELU_BACKWARD, operands, **_relu_numbers(y, dy, dx), relu=1, bias=0)


def _relu_numbers(y, dy, dx):
    numbers = {"rows": y.rows, "columns": y.columns, "depth": y.depth}
    return numbers | {"x_row": dy.row, "y_row": y.row, "w_row": dx.row}


_STEPS = {"POOL": MaxPool, "RELU": Relu}


def _contraction(counts, a, b, c, start=None, *, RELU=0, samples=Samples.NONE, accumulate=0):
    """Return the numbers of a CONTRACT: counts are 1 and strides 0 unless given."""
    numbers = dict.fromkeys("IJMNTRK", 1) | counts
    numbers |= {f"a_{letter}": a.get(letter, 0) for letter in "ijptrk"}
    numbers |= {f"b_{letter}": b.get(letter, 0) for letter in "trk"}
    numbers |= {f"start_{letter}": (start or {}).get(letter, 0) for letter in "ijpq"}
    numbers |= {f"c_{letter}": c.get(letter, 0) for letter in "ijp"}
    return numbers | {"RELU": RELU, "samples": samples, "accumulate": accumulate}
