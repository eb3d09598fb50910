"""The plan: a network's layers turned into programs, and every byte of their memory laid out before any is taken.

Each layer with kernels is a class here: its forward instructions stand beside its backward ones. The sums are the
contractions of `cpu.tile`, written with the seeds' letters.
"""

from dataclasses import dataclass

import numpy as np

from skconvnet.engine.memory import Buffer, at, lined, pack, padded, place
from skconvnet.engine.program import Block, Layout, Op, Samples, Space, Work, encode

__all__ = ["Plan", "plan_inference", "plan_training"]

_ZEROS = 64  # float32 of zeros that sums start from: the widest panel
_ARENA = 128 * 1024  # float32 that the volumes of a micro-batch may fill: half of a 1 MiB cache
_MOST_SHARDS = 16  # bounds both the gradient slots and the threads that a step can use
_MOST_SAMPLES = 16  # in a micro-batch
_BLOCK = 8192  # float32 in a block of parameters


@dataclass(frozen=True)
class Plan:
    """A network's work, ready for a machine.

    Parameters
    ----------
    program : ndarray of int64, (instructions, WIDTH)
        What `program` defines.
    segments : ndarray of int64, (segments, 3)
        The work between two barriers, by the columns of `Segment`: each done by all workers before the next begins.
    blocks : ndarray of int64, (blocks, columns of Block)
        The parameters, cut for the update; none in inference.
    shared, batch, slot, arena : int
        Float32 elements that all workers share; that the whole batch takes; of one shard's gradients; of one worker.
    micro_batch, shard_size, batch_size : int
        Samples that go through the network together; that share a gradient slot; that a step takes at most.
    """

    program: np.ndarray
    segments: np.ndarray
    blocks: np.ndarray
    shared: int
    batch: int
    slot: int
    arena: int
    micro_batch: int
    shard_size: int
    batch_size: int

    def layout(self, n_samples, n_workers):
        """Where everything lies when `n_samples` are worked on: int64 by the columns of `Layout`."""
        slots = self.shared + self.batch
        layout = {
            Layout.SHARED: 0,
            Layout.BATCH: self.shared,
            Layout.SLOTS: slots,
            Layout.ARENAS: slots + self.slot * -(-self.batch_size // self.shard_size),
            Layout.SLOT_SIZE: self.slot,
            Layout.ARENA_SIZE: self.arena,
            Layout.SHARD_SIZE: self.shard_size,
            Layout.MICRO_BATCH: self.micro_batch,
            Layout.SAMPLES: n_samples,
            Layout.WORKERS: n_workers,
        }
        return np.array([layout[name] for name in Layout], np.int64)

    def memory(self, n_workers):
        """Float32 elements of memory that a machine needs to run the plan with `n_workers` threads."""
        return int(self.layout(self.batch_size, n_workers)[Layout.ARENAS]) + n_workers * self.arena


def plan_training(architecture, parameters, batch_size):
    """Plan one step: forward, loss, backward, update.

    Parameters
    ----------
    architecture : BoundArchitecture
        The layers.
    parameters : Parameters
        Their places in the parameter vector.
    batch_size : int
        Samples of the largest minibatch.

    Returns
    -------
    Plan
        Its segments: samples through the network, then the update. (The transposed weights are first written by a
        segment of `Work.TURN` alone.)
    """
    shard_size = -(-batch_size // _MOST_SHARDS)
    work = _Training(_steps(architecture, parameters), batch_size)
    return Plan(
        program=work.program(micro_batch := work.micro_batch(shard_size)),
        segments=np.array([[Work.SAMPLES, 0, work.n_per_sample], [Work.UPDATE, 0, 0]], np.int64),
        blocks=np.array(work.blocks, np.int64),
        shared=work.shared,
        batch=work.batch,
        slot=parameters.slot,
        arena=max(work.arena(micro_batch), work.scratch),
        micro_batch=micro_batch,
        shard_size=shard_size,
        batch_size=batch_size,
    )


def plan_inference(architecture, parameters, batch_size):
    """Plan the scores of at most `batch_size` images; see `plan_training`."""
    work = _Work(_steps(architecture, parameters), batch_size)
    work.forward(Space.LOCAL)
    work.emit(Op.STORE_SCORES, {"X": at(work.volumes[-1])}, classes=architecture.n_classes)
    micro_batch = work.micro_batch(_MOST_SAMPLES)
    return Plan(
        program=work.program(micro_batch),
        segments=np.array([[Work.SAMPLES, 0, len(work.instructions)]], np.int64),
        blocks=np.zeros((0, len(Block)), np.int64),
        shared=_ZEROS,
        batch=0,
        slot=0,
        arena=work.arena(micro_batch),
        micro_batch=micro_batch,
        shard_size=micro_batch,
        batch_size=batch_size,
    )


def _steps(architecture, parameters):
    """Pair layers with their parameters, and let a RELU behind a CONV or FC be part of it."""
    steps, weights = [], iter(parameters.layers)
    for layer in architecture.layers:
        if layer.kind == "RELU" and steps and isinstance(steps[-1], _Convolution) and not steps[-1].relu:
            steps[-1].relu = True
        elif layer.kind in ("CONV", "FC"):
            steps.append(_Convolution(layer, next(weights)))
        else:
            steps.append(_STEPS[layer.kind](layer))
    return steps


class _Work:
    """Instructions being written: buffers have no places yet, so operands are kept symbolic until `program`."""

    def __init__(self, steps, batch_size):
        self.steps = steps
        self.batch_size = batch_size
        self.instructions = []
        self.buffers = []
        self.volumes = []  # the input and each step's output

    def emit(self, op, operands, **numbers):
        """Append an instruction and return its number."""
        number = len(self.instructions)
        for operand in operands.values():
            if operand.buffer is not None:
                operand.buffer.uses.append(number)
        self.instructions.append((op, operands, numbers))
        return number

    def buffer(self, rows, columns, depth, border=(0, 0, 0, 0), space=Space.LOCAL):
        """Make a buffer; its border is written with zeros at once."""
        made = Buffer(rows, columns, depth, border, space)
        self.buffers.append(made)
        if any(border):
            sides = dict(zip(("top", "left", "bottom", "right"), border, strict=True))
            self.emit(Op.CLEAR_BORDER, {"Y": at(made)}, rows=rows, columns=columns, depth=depth, **sides)
        return made

    def forward(self, batch_space):
        """Write the instructions from the images to the class scores; inputs of FC layers go to `batch_space`."""
        first = self.steps[0]
        depth = first.layer.input.depth if isinstance(first, _Convolution) else padded(first.layer.input.depth)
        x = self._volume(first.layer.input, depth, first, batch_space)
        self._load(x, first.layer.input)
        self.volumes.append(x)
        for step, reader in zip(self.steps, [*self.steps[1:], None], strict=True):
            y = self._volume(step.layer.output, padded(step.layer.output.depth), reader, batch_space)
            step.forward(self, self.volumes[-1], y)
            self.volumes.append(y)

    def _volume(self, volume, depth, reader, batch_space):
        border = reader.border if reader is not None else (0, 0, 0, 0)
        space = batch_space if reader is not None and reader.whole_batch else Space.LOCAL
        return self.buffer(volume.height, volume.width, depth, border, space)

    def _load(self, x, volume):
        if x.depth != volume.depth:
            self.emit(Op.CLEAR, {"Y": at(x, -x.border[0], -x.border[1])}, size=x.size)
        numbers = {"rows": x.rows, "columns": x.columns, "depth": volume.depth, "y_row": x.row, "y_depth": x.depth}
        self.emit(Op.LOAD_IMAGES, {"Y": at(x)}, **numbers)

    def micro_batch(self, most):
        """Samples whose volumes fit the cache together, between 1 and `most`."""
        return int(np.clip(_ARENA // max(1, self.arena(1)), 1, min(most, _MOST_SAMPLES)))

    def arena(self, micro_batch):
        """Place the local buffers; returns the size of one worker's arena."""
        return pack([buffer for buffer in self.buffers if buffer.space == Space.LOCAL], micro_batch)

    @property
    def batch(self):
        """Place the buffers of the whole batch; returns their size."""
        offset = 0
        for buffer in self.buffers:
            if buffer.space == Space.BATCH:
                buffer.offset, offset = offset, offset + buffer.size * self.batch_size
        return offset

    def program(self, micro_batch):
        """Place all buffers and encode."""
        self.arena(micro_batch), self.batch
        return np.array(
            [
                encode(op, {name: operand.resolve() for name, operand in operands.items()}, **numbers)
                for op, operands, numbers in self.instructions
            ]
        )


class _Training(_Work):
    """The instructions of a training step, and the blocks of its update."""

    def __init__(self, steps, batch_size):
        super().__init__(steps, batch_size)
        self.shared = _ZEROS
        self.blocks = []
        self.scratch = lined(_BLOCK)  # a worker's place for the gradient of one block
        self.forward(Space.BATCH)
        gradients = self._loss()
        whole_batch = self._backward(gradients)
        self.n_per_sample = len(self.instructions)
        for step, x, dy in whole_batch:
            self._cut(step, step.weights_gradient(self, x, dy, place(Space.LOCAL, 0)))
        for step in self.steps:
            if isinstance(step, _Convolution):
                if not step.whole_batch:
                    self._cut(step, -1)
                self._block(step.weights.bias, 1, step.weights.columns)

    def share(self, size):
        """Take `size` elements of shared memory; returns their offset."""
        offset, self.shared = self.shared, self.shared + lined(size)
        return offset

    def gradient(self, step):
        """Make the buffer of the gradient by a step's output, bordered as the step's backward pass reads it."""
        y = self.volumes[self.steps.index(step) + 1]
        space = Space.BATCH if step.whole_batch else Space.LOCAL
        border = step.gradient_border if self._flows_below(step) else (0, 0, 0, 0)
        return self.buffer(y.rows, y.columns, y.depth, border, space)

    def _loss(self):
        scores, dy = self.volumes[-1], self.gradient(self.steps[-1])
        classes = self.steps[-1].layer.output.depth
        self.emit(Op.CROSS_ENTROPY, {"X": at(scores), "Y": at(dy)}, classes=classes, depth=scores.depth)
        return dy

    def _backward(self, dy):
        """Write the backward pass, down to the first layer with weights; returns what awaits the whole batch."""
        waiting = []
        for number in reversed(range(len(self.steps))):
            step, x, y = self.steps[number], self.volumes[number], self.volumes[number + 1]
            if not any(isinstance(below, _Convolution) for below in self.steps[: number + 1]):
                break
            step.backward(self, x, y, dy)
            if step.whole_batch:
                waiting.append((step, x, dy))
            if self._flows_below(step):
                dx = self.gradient(self.steps[number - 1])
                step.input_gradient(self, x, y, dx, dy)
                dy = dx
        return waiting

    def _flows_below(self, step):
        """Whether a layer below `step` has weights, so that the gradient goes on."""
        return any(isinstance(below, _Convolution) for below in self.steps[: self.steps.index(step)])

    def _cut(self, step, contraction):
        """Cut a layer's weights into blocks of rows; rows of one filter tap are turned together."""
        weights = step.weights
        taps = step.taps if step.turned is not None else [(0, weights.n_rows, -1)]
        most = max(1, _BLOCK // weights.columns)
        for first, rows, turned in taps:
            for row in range(0, rows, most):
                self._block(
                    weights.weights + (first + row) * weights.columns,
                    min(most, rows - row),
                    weights.columns,
                    contraction=contraction,
                    first_row=first + row,
                    decay=1,
                    turned=turned + row if turned >= 0 else -1,
                    stride=step.turned_stride,
                )
                self.scratch = max(self.scratch, lined(min(most, rows - row) * weights.columns))

    def _block(self, offset, rows, columns, contraction=-1, first_row=0, decay=0, turned=-1, stride=0):
        self.blocks.append((offset, rows, columns, contraction, first_row, decay, turned, stride))


class _Step:
    """One layer as the plan sees it. The border that it wants around its input is zero unless it says otherwise."""

    whole_batch = False  # whether it wants its input, and the gradient by its output, of the whole batch at once
    border = (0, 0, 0, 0)  # of zeros around its input
    gradient_border = (0, 0, 0, 0)  # around the gradient by its output

    def __init__(self, layer):
        self.layer = layer

    def backward(self, work, x, y, dy):
        """Write what the layer does with `dy` but for the gradient by its input: nothing, without weights."""


class _Convolution(_Step):
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
        operands = {"X": at(dy), "Y": at(y), "W": at(dy), "START": place(Space.SHARD, self.weights.bias)}
        work.emit(Op.BIAS_RELU_BACKWARD, operands, **_relu_numbers(y, dy, dy), relu=self.relu, bias=1)
        if not self.whole_batch:
            self.weights_gradient(work, x, dy, place(Space.SHARD, self.weights.weights))

    def weights_gradient(self, work, x, dy, into):
        """dw[u, v, c, k] = sum over samples, i and j of x[i*S + u - P, j*S + v - P, c] * dy[i, j, k]."""
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
        self.turned = work.share(self.weights.n_rows * self.weights.columns)
        if self.layer.kind == "FC":
            self._covered_gradient(work, dx, dy)
        else:
            for phase in self._phases():
                self._phase_gradient(work, phase, dx, dy)

    def _covered_gradient(self, work, dx, dy):
        """dx[u, v, c] = sum over k of dy[k] * w[u, v, c, k]: the input is the columns, row by row of its image."""
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
        """Compute the gradient of the inputs that meet the same taps of the filters: every S-th row and column.

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
        """The S x S phases of the input's gradient, each with the place of its turned taps."""
        x, F = self.layer.input, self.weights.rows[0]
        turned, tap = 0, self.weights.rows[2] * self.weights.columns
        for down in range(self.S):
            for along in range(self.S):
                rows, columns = self._phase(down, x.height, F), self._phase(along, x.width, F)
                yield _Phase(rows, columns, turned)
                turned += rows.taps * columns.taps * tap

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
        y, phases = self.layer.output, list(self._phases())
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
        phases = {(p // self.S, p % self.S): phase for p, phase in enumerate(self._phases())}
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


class _MaxPool(_Step):
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
        work.emit(Op.MAX_POOL, {"X": at(x), "Y": at(y)}, **self._numbers(x, y))

    def input_gradient(self, work, x, y, dx, dy):
        F, S, P = self.layer.F, self.layer.S, self.layer.P
        tiled = P == 0 and F == (S, S) and (y.rows * S, y.columns * S) == (x.rows, x.columns)
        if not tiled:
            work.emit(Op.CLEAR, {"Y": at(dx, -dx.border[0], -dx.border[1])}, size=dx.size)
        operands = {"X": at(x), "Y": at(y), "W": at(dx), "START": at(dy)}
        numbers = self._numbers(x, y)
        work.emit(Op.MAX_POOL_BACKWARD, operands, **numbers, dx_row=dx.row, dy_row=dy.row, overlap=not tiled)


class _Relu(_Step):
    """A RELU that stands by itself: y = max(x, 0)."""

    def forward(self, work, x, y):
        numbers = {"rows": x.rows, "columns": x.columns, "depth": x.depth, "x_row": x.row, "y_row": y.row}
        work.emit(Op.RELU, {"X": at(x), "Y": at(y)}, **numbers)

    def input_gradient(self, work, x, y, dx, dy):
        operands = {"X": at(dy), "Y": at(y), "W": at(dx), "START": place(Space.SHARED, 0)}
        work.emit(Op.BIAS_RELU_BACKWARD, operands, **_relu_numbers(y, dy, dx), relu=1, bias=0)


def _relu_numbers(y, dy, dx):
    numbers = {"rows": y.rows, "columns": y.columns, "depth": y.depth}
    return numbers | {"x_row": dy.row, "y_row": y.row, "w_row": dx.row}


_STEPS = {"POOL": _MaxPool, "RELU": _Relu}


def _contraction(counts, a, b, c, start=None, *, RELU=0, samples=Samples.NONE, accumulate=0):
    """The numbers of a CONTRACT: counts are 1 and strides 0 unless given."""
    numbers = dict.fromkeys("IJMNTRK", 1) | counts
    numbers |= {f"a_{letter}": a.get(letter, 0) for letter in "ijptrk"}
    numbers |= {f"b_{letter}": b.get(letter, 0) for letter in "trk"}
    numbers |= {f"start_{letter}": (start or {}).get(letter, 0) for letter in "ijpq"}
    numbers |= {f"c_{letter}": c.get(letter, 0) for letter in "ijp"}
    return numbers | {"RELU": RELU, "samples": samples, "accumulate": accumulate}
