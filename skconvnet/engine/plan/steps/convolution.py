"""CONV and FC: sums over weights, written as the contractions of `cpu.tile` in the seeds' letters."""

from contextlib import contextmanager
from dataclasses import dataclass
from itertools import groupby
from math import prod

from skconvnet.engine.plan.steps.branches import copy_channels
from skconvnet.engine.plan.steps.step import Step
from skconvnet.engine.program.instructions import Op, Samples, Space
from skconvnet.engine.program.memory import DEPTH, NO_BORDER, at, padded, place, spread

__all__ = ["Convolution"]

_WORTH_SPARING = 8192  # multiply-adds of an image: those of some instructions
_FEW = 12  # rows, of which several runs share a tile


class Convolution(Step):
    """CONV, and FC as the CONV whose filter covers its input volume, with bias and perhaps ReLU.

    y[i, j, k] = bias[k] + sum over u, v < F and c < C of x[i*S + u - P, j*S + v - P, c] * w[u, v, c, k]

    With groups, C and k are those of one group, and the sum stands once for each.
    """

    learns = True
    relu = False

    def __init__(self, layer, weights):
        super().__init__(layer)
        self.weights = weights
        self.turned = None  # offset of the transposed weights in shared memory, once the input's gradient is wanted
        self.S, self.P = (layer.S, layer.P) if layer.kind == "CONV" else (1, 0)

    @property
    def overwrites(self):
        """The gradient through the ReLU takes the place of the one before."""
        return self.relu

    @property
    def border(self):
        """The padding P, on the far sides as much of it as the last filter reaches."""
        x, y, (rows, columns, _) = self.layer.input, self.layer.output, self.weights.rows
        bottom = (y.height - 1) * self.S + rows - self.P - x.height
        right = (y.width - 1) * self.S + columns - self.P - x.width
        return self.P, self.P, max(0, bottom), max(0, right)

    def forward(self, work, x, border):
        """Emit the sum above, from the bias on, and the ReLU."""
        w = self.weights
        self.x, self.y = x, work.volume(self.layer.output, border, self.gradient_border)
        self.seen = x = self._dense(work, x) if w.whole_batch else x
        for group in range(w.groups):
            with _Slices(work, self.y, group, w.K // w.groups).written() as (y, first):
                with work.shared_out(self):
                    self._sums(work, x, group, y, first)
        return self.y

    def backward(self, work, dy):
        """Emit the gradient through the ReLU, those of bias and weights, and that of the input."""
        w = self.weights
        if self.relu or w.bias is not None:
            self._bias_gradient(work, dy)
        if w.whole_batch:
            work.later.append((self, self.seen, dy))
        else:
            self.weights_gradient(work, work.again(self.x), dy, Space.SHARD, w.weights)
        if not self.wanted:
            return None
        dx = work.gradient(self.x)
        self.turned = work.share(w.groups * self._turned_size)
        if self.layer.kind == "FC":
            with work.shared_out(self):
                self._covered_gradient(work, dx, dy)
        else:
            for group in range(w.groups):
                with _Slices(work, dx, group, w.depth).written() as (part, first):
                    for phase in self._phases().values():
                        self._phase_gradient(work, phase, group, part, first, dy)
        return dx

    def _sums(self, work, x, group, y, first):
        """Emit the sums of one group's filters, which go to the channels of `y` from the `first` on."""
        w = self.weights
        weights = w.weights + group * w.n_rows * w.columns
        counts, strides = self._filter_counts("TRK", x), self._filter_strides("trk")
        of_tap = _spared(y.columns) * w.filters * counts["R"] * counts["K"]
        for band in _bands(y.rows, counts["T"], self.S, 1, self.P, x.rows, of_tap):
            work.emit(
                Op.CONTRACT,
                {
                    "X": self._seen(x, group, band.first * self.S + band.tap),
                    "W": place(Space.PARAMETERS, weights + band.tap * strides["t"]),
                    "START": self._bias(group),
                    "Y": at(y, band.first, channel=first),
                },
                **_contraction(
                    counts=counts | {"J": band.count, "M": y.columns, "N": w.filters, "T": band.taps},
                    a={"i": x.size, "j": self.S * x.row, "p": self.S * x.depth, "t": x.row, "r": x.depth, "k": 1},
                    b=strides,
                    start={"q": 0 if w.bias is None else 1},
                    c={"i": y.size, "j": y.row, "p": y.depth},
                    RELU=self.relu,
                    samples=Samples.I,
                ),
            )

    def update(self, work):
        """Cut the weights, whose gradient the shards have summed or is still to be taken, and the biases."""
        if not self.weights.whole_batch:
            self.cut(work, -1)
        if self.weights.bias is not None:
            work.block(self.weights.bias, 1, self.weights.n_biases)

    def cut(self, work, contraction):
        """Cut the weights into blocks of rows; rows of one filter tap are turned together."""
        weights = self.weights
        taps = self._taps if self.turned is not None else [(0, weights.groups * weights.n_rows, None)]
        for first, rows, turned in taps:
            work.cut(weights, first, rows, contraction, turned, self._turned_stride)

    def weights_gradient(self, work, x, dy, space, into):
        """Emit the gradient of the weights, and return the last instruction's number.

        dw[u, v, c, k] = sum over samples, i and j of x[i*S + u - P, j*S + v - P, c] * dy[i, j, k]
        """
        w = self.weights
        counts, strides = self._filter_counts("IJM", x), self._filter_strides("ijp")
        of_row = _spared(dy.columns) * w.filters * counts["J"] * counts["M"]
        if counts["J"] * counts["M"] < _FEW:
            of_row = 0  # rows of the filter had better share a tile
        for group in range(w.groups):
            gradient, first = _Slices(work, dy, group, w.K // w.groups).read()
            into_group = into + group * w.n_rows * w.columns
            for band in _bands(counts["I"], dy.rows, 1, self.S, self.P, x.rows, of_row):
                number = work.emit(
                    Op.CONTRACT,
                    {
                        "X": self._seen(x, group, band.first + band.tap * self.S),
                        "W": at(gradient, band.tap, channel=first),
                        "START": place(Space.SHARED, 0),
                        "Y": place(space, into_group + band.first * strides["i"]),
                    },
                    **_contraction(
                        counts=counts | {"I": band.count, "N": w.filters, "R": band.taps, "K": dy.columns},
                        a={"i": x.row, "j": x.depth, "p": 1, "t": x.size, "r": self.S * x.row, "k": self.S * x.depth},
                        b={"t": gradient.size, "r": gradient.row, "k": gradient.depth},
                        c=strides,
                        samples=Samples.T,
                        accumulate=1,
                    ),
                )
        return number

    def _dense(self, work, x):
        """Return the input as one run of memory, which blocks of an FC's weight gradient are cut from."""
        if x.is_dense:
            return x
        own = work.buffer(x.rows, x.columns, x.depth, x.channels)
        copy_channels(work, at(x), x, at(own), own, x.depth)
        return own

    def _bias_gradient(self, work, dy):
        bias = self.weights.bias
        work.emit(
            Op.BIAS_RELU_BACKWARD,
            {
                "X": at(dy),
                "Y": at(self.y if self.relu else dy),
                "W": at(dy),
                "START": place(Space.SHARED, 0) if bias is None else place(Space.SHARD, bias),
            },
            rows=dy.rows,
            columns=dy.columns,
            depth=dy.depth,
            x_row=dy.row,
            y_row=(self.y if self.relu else dy).row,
            w_row=dy.row,
            relu=self.relu,
            bias=bias is not None,
        )

    def _seen(self, x, group, row=0):
        """Operand: the first activation that the first filter of a group sees, or that so many rows further on."""
        return at(x, row - self.P, -self.P, group * self.weights.depth)

    def _bias(self, group):
        w = self.weights
        if w.bias is None:
            return place(Space.SHARED, 0)
        return place(Space.PARAMETERS, w.bias + group * (w.K // w.groups))

    def _filter_counts(self, letters, x):
        """Return the counts of the loops over a filter's rows, columns and channels, padded so that loops join."""
        rows, columns, _ = self.weights.rows
        channels = x.depth if self.weights.groups == 1 else self.weights.depth
        return dict(zip(letters, (rows, columns, channels), strict=True))

    def _filter_strides(self, letters):
        """Return the strides of the weights along a filter's rows, columns and channels."""
        _, columns, depth = self.weights.rows
        channel = self.weights.columns
        return dict(zip(letters, (columns * depth * channel, depth * channel, channel), strict=True))

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

    def _phase_gradient(self, work, phase, group, dx, first, dy):
        """Emit the gradient of the inputs that meet the same taps of the filters: every S-th row and column.

        dx[h, v, c] = sum over taps and k of dy[(h + P - u)/S, (v + P - u')/S, k] * w[u, u', c, k], a CONV of stride 1
        with the taps turned about.
        """
        rows, columns, w = phase.rows, phase.columns, self.weights
        filters, tap = w.K // w.groups, self._turned_tap
        products = dy.depth if w.groups == 1 else filters
        turned = self.turned + group * self._turned_size + phase.turned
        above = rows.taps - 1 - rows.output
        of_tap = _spared(columns.count) * w.rows[2] * columns.taps * products
        for band in _bands(rows.count, rows.taps, 1, 1, above, dy.rows, of_tap):
            row = band.first + band.tap - above
            work.emit(
                Op.CONTRACT,
                {
                    "X": at(dy, row, columns.output - (columns.taps - 1), group * filters),
                    "W": place(Space.SHARED, turned + band.tap * columns.taps * tap),
                    "START": place(Space.SHARED, 0),
                    "Y": at(dx, rows.first + self.S * band.first, columns.first, first),
                },
                **_contraction(
                    counts={
                        "J": band.count,
                        "M": columns.count,
                        "N": w.rows[2],
                        "T": band.taps,
                        "R": columns.taps,
                        "K": products,
                    },
                    a={"i": dy.size, "j": dy.row, "p": dy.depth, "t": dy.row, "r": dy.depth, "k": 1},
                    b={"t": columns.taps * tap, "r": tap, "k": self._turned_stride},
                    c={"i": dx.size, "j": self.S * dx.row, "p": self.S * dx.depth},
                    samples=Samples.I,
                ),
            )

    def _phases(self):
        """Return the phases of the input's gradient, at most S x S, each with the place of its turned taps."""
        x, F = self.layer.input, self.weights.rows[0]
        phases, turned, tap = {}, 0, self._turned_tap
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
        if self.layer.kind == "FC" or not self.wanted:
            return NO_BORDER
        y, phases = self.layer.output, self._phases().values()
        return (
            max(phase.rows.before for phase in phases),
            max(phase.columns.before for phase in phases),
            max(phase.rows.after(y.height) for phase in phases),
            max(phase.columns.after(y.width) for phase in phases),
        )

    @property
    def _taps(self):
        """Rows of the weights that are turned together: (first row, rows, offset of the turned copy)."""
        w, (F, width, depth) = self.weights, self.weights.rows
        if self.layer.kind == "FC":
            return [(0, w.n_rows, self.turned)]
        phases, found = self._phases(), []
        for group in range(w.groups):
            for u in range(F):
                for v in range(width):
                    phase = phases[u % self.S, v % self.S]
                    down, along = phase.rows.taps - 1 - u // self.S, phase.columns.taps - 1 - v // self.S
                    tap = phase.turned + (down * phase.columns.taps + along) * self._turned_tap
                    turned = self.turned + group * self._turned_size + tap
                    found.append((group * w.n_rows + (u * width + v) * depth, depth, turned))
        return found

    @property
    def _turned_stride(self):
        """Distance between two columns of the weights in their turned copy."""
        return self.weights.n_rows if self.layer.kind == "FC" else spread(self.weights.rows[2])

    @property
    def _turned_tap(self):
        """Size of one filter tap's turned copy."""
        return self.weights.columns * self._turned_stride

    @property
    def _turned_size(self):
        """Size of one group's turned copy."""
        return self._turned_tap if self.layer.kind == "FC" else prod(self.weights.rows[:2]) * self._turned_tap


class _Slices:
    """The depth slices of one group in a volume, for kernels that take whole vectors of channels.

    Where a group's slices begin and end between two vectors, a copy of their own stands in for them.
    """

    def __init__(self, work, volume, group, channels):
        self.work = work
        self.volume = volume
        self.first = group * channels
        self.channels = channels
        self.stands_alone = channels == volume.channels or channels % DEPTH == 0

    def _copy(self):
        volume = self.volume
        return self.work.buffer(volume.rows, volume.columns, padded(self.channels), self.channels)

    def read(self):
        """Return the buffer to read the slices from, and the first one's place in it."""
        if self.stands_alone:
            return self.volume, self.first
        own = self._copy()
        padding = own.depth - own.channels
        copy_channels(self.work, at(self.volume, channel=self.first), self.volume, at(own), own, own.channels, padding)
        return own, 0

    @contextmanager
    def written(self):
        """Hand out the buffer to write the slices to, and the first one's place in it."""
        if self.stands_alone:
            yield self.volume, self.first
            return
        own = self._copy()
        yield own, 0
        last = self.first + self.channels == self.volume.channels
        padding = self.volume.depth - self.volume.channels if last else 0
        target = at(self.volume, channel=self.first)
        copy_channels(self.work, at(own), own, target, self.volume, self.channels, padding)


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


def _spared(columns):
    """Return the columns of which rows may be spared: with one, rows are a single run, whose order of sums is kept."""
    return columns if columns > 1 else 0


@dataclass(frozen=True)
class _Band:
    """Consecutive positions along an axis, `count` from the `first` on, that meet `taps` taps from `tap` on."""

    first: int
    count: int
    tap: int
    taps: int


def _bands(positions, taps, step, tap_step, before, extent, of_tap):
    """Group positions by the taps that meet the volume: the others would add products with zeros of its border.

    Parameters
    ----------
    positions, taps : int
        How many there are along an axis.
    step, tap_step, before, extent : int
        Tap t of position i lies at i*step + t*tap_step - before, inside if that is one of 0 ... extent - 1.
    of_tap : int
        Multiply-adds that a tap of a position costs.

    Returns
    -------
    list of _Band
        A single one, of all, where the border costs less than the instructions to spare it.
    """

    def met(position):
        first = position * step - before
        tap = min(max(0, -(first // tap_step)), taps - 1)  # one at least, so that there is something to sum
        return tap, max(1, min(taps, (extent - 1 - first) // tap_step + 1) - tap)

    everything = [_Band(0, positions, 0, taps)]
    if of_tap == 0 or taps == 0:
        return everything
    bands = []
    for (tap, count), run in groupby(range(positions), met):
        run = list(run)
        bands.append(_Band(run[0], len(run), tap, count))
    spared = positions * taps - sum(band.count * band.taps for band in bands)
    return bands if spared * of_tap > _WORTH_SPARING else everything


def _contraction(counts, a, b, c, start=None, *, RELU=0, samples=Samples.NONE, accumulate=0):
    """Return the numbers of a CONTRACT: counts are 1 and strides 0 unless given."""
    numbers = dict.fromkeys("IJMNTRK", 1) | counts
    numbers |= {f"a_{letter}": a.get(letter, 0) for letter in "ijptrk"}
    numbers |= {f"b_{letter}": b.get(letter, 0) for letter in "trk"}
    numbers |= {f"start_{letter}": (start or {}).get(letter, 0) for letter in "ijpq"}
    numbers |= {f"c_{letter}": c.get(letter, 0) for letter in "ijp"}
    return numbers | {"RELU": RELU, "samples": samples, "accumulate": accumulate}
