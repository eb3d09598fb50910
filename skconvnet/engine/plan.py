"""The plan: a network's layers turned into programs, and every byte of their memory laid out before any is taken."""

from dataclasses import dataclass

import numpy as np

from skconvnet.engine.memory import Buffer, at, lined, pack, padded, place
from skconvnet.engine.program import Block, Layout, Op, Space, Work, encode
from skconvnet.engine.steps import Convolution, steps_of

__all__ = ["Plan", "plan_inference", "plan_training"]

_ZEROS = 64  # float32 of zeros that sums start from: the widest panel
_ARENA = 128 * 1024  # float32 that the volumes of a micro-batch may fill: half of a 1 MiB cache
_MOST_SHARDS = 16  # bounds both the gradient slots and the threads that a step can use
_MOST_SAMPLES = 16  # in a micro-batch
_BLOCK = 8192  # float32 in a block of parameters,
_MOST_BLOCKS = 4096  # unless that makes more blocks of a layer than this


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
        """Return where everything lies when `n_samples` are worked on: int64 by the columns of `Layout`."""
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
        """Return the float32 elements of memory that a machine needs to run the plan with `n_workers` threads."""
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
    work = _Training(steps_of(architecture, parameters), batch_size)
    micro_batch = work.micro_batch(shard_size)
    return Plan(
        program=work.program(micro_batch),
        segments=np.array([[Work.SAMPLES, 0, work.n_per_sample], [Work.UPDATE, 0, 0]], np.int64),
        blocks=np.array(work.blocks, np.int64),
        shared=work.shared,
        batch=work.place_batch(),
        slot=parameters.slot,
        arena=max(work.place_local(micro_batch), work.scratch),
        micro_batch=micro_batch,
        shard_size=shard_size,
        batch_size=batch_size,
    )


def plan_inference(architecture, parameters, batch_size):
    """Plan the scores of at most `batch_size` images; see `plan_training`."""
    work = _Work(steps_of(architecture, parameters), batch_size)
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
        arena=work.place_local(micro_batch),
        micro_batch=micro_batch,
        shard_size=micro_batch,
        batch_size=batch_size,
    )


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
        depth = first.layer.input.depth if isinstance(first, Convolution) else padded(first.layer.input.depth)
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
        """Return how many samples' volumes fit the cache together, between 1 and `most`."""
        return int(np.clip(_ARENA // max(1, self.place_local(1)), 1, min(most, _MOST_SAMPLES)))

    def place_local(self, micro_batch):
        """Place the buffers of a micro-batch, and return the size of one worker's arena."""
        return pack([buffer for buffer in self.buffers if buffer.space == Space.LOCAL], micro_batch)

    def place_batch(self):
        """Place the buffers of the whole batch, and return their size."""
        offset = 0
        for buffer in self.buffers:
            if buffer.space == Space.BATCH:
                buffer.offset, offset = offset, offset + buffer.size * self.batch_size
        return offset

    def program(self, micro_batch):
        """Place all buffers, and encode."""
        self.place_local(micro_batch)
        self.place_batch()
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
            if isinstance(step, Convolution):
                if not step.whole_batch:
                    self._cut(step, -1)
                self._block(step.weights.bias, 1, step.weights.columns)

    def share(self, size):
        """Take `size` elements of shared memory, and return their offset."""
        offset, self.shared = self.shared, self.shared + lined(size)
        return offset

    def gradient(self, number):
        """Make the buffer of the gradient by a step's output, bordered as the step's backward pass reads it."""
        step, y = self.steps[number], self.volumes[number + 1]
        space = Space.BATCH if step.whole_batch else Space.LOCAL
        border = step.gradient_border if self._flows_below(number) else (0, 0, 0, 0)
        return self.buffer(y.rows, y.columns, y.depth, border, space)

    def _loss(self):
        """Write the loss, and return the gradient by the class scores."""
        scores, dy = self.volumes[-1], self.gradient(len(self.steps) - 1)
        classes = self.steps[-1].layer.output.depth
        self.emit(Op.CROSS_ENTROPY, {"X": at(scores), "Y": at(dy)}, classes=classes, depth=scores.depth)
        return dy

    def _backward(self, dy):
        """Write the backward pass, down to the first layer with weights, and return what awaits the whole batch."""
        waiting = []
        for number in reversed(range(self._first_weights, len(self.steps))):
            step, x, y = self.steps[number], self.volumes[number], self.volumes[number + 1]
            step.backward(self, x, y, dy)
            if step.whole_batch:
                waiting.append((step, x, dy))
            if self._flows_below(number):
                dx = self.gradient(number - 1)
                step.input_gradient(self, x, y, dx, dy)
                dy = dx
        return waiting

    @property
    def _first_weights(self):
        return next(number for number, step in enumerate(self.steps) if isinstance(step, Convolution))

    def _flows_below(self, number):
        """Whether a layer below has weights, so that the gradient goes on."""
        return number > self._first_weights

    def _cut(self, step, contraction):
        """Cut a layer's weights into blocks of rows; rows of one filter tap are turned together."""
        weights = step.weights
        taps = step.taps if step.turned is not None else [(0, weights.n_rows, -1)]
        most = max(1, _BLOCK // weights.columns, weights.n_rows // _MOST_BLOCKS)
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
