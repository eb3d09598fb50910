"""The plan: a network's layers turned into programs, and every byte of their memory laid out before any is taken."""

from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from skconvnet.engine.plan.steps import backward_chain, forward_chain, mark_gradients, run, steps_of
from skconvnet.engine.program.instructions import Block, Layout, Op, Space, Work, encode
from skconvnet.engine.program.memory import NO_BORDER, Buffer, at, lined, pack, padded

__all__ = ["Plan", "plan_inference", "plan_training"]

_ZEROS = 64  # float32 of zeros that sums start from: one vector of them is read, again and again (start_q = 0)
_ARENA = 256 * 1024  # float32 that the volumes of a micro-batch may fill: a cache of 1 MiB
_MOST_SHARDS = 16  # bounds both the gradient slots and the threads that a step can use
_MOST_SAMPLES = 16  # in a micro-batch
_HEAVY = 128 * 1024  # float32 of an FC layer's weights beyond which the whole batch reads them once: see `_ARENA`
_WORTH_SHARING = 512 * 1024  # multiply-adds of a layer beyond which workers that are awake share one image
_BLOCK = 8192  # float32 in a block of parameters,
_MOST_BLOCKS = 4096  # unless that makes more blocks of a layer than this


@dataclass(frozen=True, eq=False)
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

    @cached_property
    def ops(self):
        """The opcodes that the program has, a frozenset."""
        return frozenset(self.program[:, 0].tolist())

    def layout(self, n_samples, n_workers, seed=0, step=0):
        """Return where everything lies when `n_samples` are worked on: int64 by the columns of `Layout`."""
        layout = {
            Layout.SHARED: 0,
            Layout.BATCH: self.shared,
            Layout.SLOTS: self.shared + self.batch,
            Layout.ARENAS: self.memory(0),
            Layout.SLOT_SIZE: self.slot,
            Layout.ARENA_SIZE: self.arena,
            Layout.SHARD_SIZE: self.shard_size,
            Layout.MICRO_BATCH: self.micro_batch,
            Layout.WORKERS: n_workers,
            Layout.SAMPLES: n_samples,
            Layout.SEED: seed,
            Layout.STEP: step,
        }
        return np.array([layout[name] for name in Layout], np.int64)

    def memory(self, n_workers):
        """Return the float32 elements of memory that a machine needs to run the plan with `n_workers` threads."""
        n_shards = -(-self.batch_size // self.shard_size)
        return self.shared + self.batch + n_shards * self.slot + n_workers * self.arena


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
        Its segments: samples through the network, with a barrier wherever a NORM(batch) brings them together, then the
        update. (The transposed weights are first written by a segment of `Work.TURN` alone.)
    """
    shard_size = -(-batch_size // _MOST_SHARDS)
    work = _Training(architecture, parameters, batch_size)
    micro_batch = work.micro_batch(shard_size)
    arena, batch = work.place_local(micro_batch), work.place_batch()
    return Plan(
        program=work.program(),
        segments=work.segments(),
        blocks=np.array(work.blocks, np.int64),
        shared=work.shared,
        batch=batch,
        slot=parameters.slot,
        arena=max(arena, work.scratch),
        micro_batch=micro_batch,
        shard_size=shard_size,
        batch_size=batch_size,
    )


def plan_inference(architecture, parameters, batch_size, shares=False):
    """Plan the scores of at most `batch_size` images.

    Parameters
    ----------
    architecture, parameters, batch_size
        As in `plan_training`.
    shares : bool
        Whether workers that have no image of their own compute parts of every layer that is worth it.

    Returns
    -------
    Plan
        Whose shards may be made smaller, as nothing is summed over them.
    """
    work = _Inference(architecture, parameters, batch_size, shares)
    micro_batch = work.micro_batch(_MOST_SAMPLES)
    arena, batch = work.place_local(micro_batch), work.place_batch()
    return Plan(
        program=work.program(),
        segments=work.segments(),
        blocks=np.zeros((0, len(Block)), np.int64),
        shared=work.shared,
        batch=batch,
        slot=0,
        arena=arena,
        micro_batch=micro_batch,
        shard_size=micro_batch,
        batch_size=batch_size,
    )


class _Work:
    """Instructions being written: buffers have no places yet, so operands are kept symbolic until `program`."""

    def __init__(self, architecture, batch_size):
        self.architecture = architecture
        self.batch_size = batch_size
        self.shared = _ZEROS
        self.instructions = []
        self.buffers = []
        self._segments = [(Work.SAMPLES, 0)]  # kind and first instruction
        self._made = {}  # the volumes that this segment has made or computed anew

    def emit(self, op, operands, **numbers):
        """Append an instruction and return its number."""
        number = len(self.instructions)
        for operand in operands.values():
            if operand.buffer is not None:
                operand.buffer.uses.append((len(self._segments), number))
        self.instructions.append((op, operands, numbers))
        return number

    def begin(self, kind):
        """End a segment and begin another."""
        self._segments.append((kind, len(self.instructions)))
        self._made = {}

    @contextmanager
    def once(self):
        """Write a segment that brings together what all samples have left, between two segments of samples."""
        self.begin(Work.ONCE)
        yield
        self.begin(Work.SAMPLES)

    @contextmanager
    def shared_out(self, step):
        """Write the contractions of a step: where that is better, over the whole batch, with a part for each worker."""
        if not self.shares_out(step):
            yield
            return
        self.begin(Work.PARTS)
        yield
        self.begin(Work.SAMPLES)

    def shares_out(self, step):
        """Whether a step's weights are too many to be read for every micro-batch anew."""
        return step.weights.whole_batch and step.weights.n_rows * step.weights.columns > _HEAVY

    def segments(self):
        """Return the segments that have work, by the columns of `Segment`."""
        ends = [*(first for _, first in self._segments[1:]), len(self.instructions)]
        found = [(kind, first, end) for (kind, first), end in zip(self._segments, ends, strict=True)]
        return np.array([one for one in found if one[1] < one[2] or one[0] == Work.UPDATE], np.int64)

    def share(self, size):
        """Take `size` elements of shared memory, and return their offset."""
        offset, self.shared = self.shared, self.shared + lined(size)
        return offset

    def buffer(self, rows, columns, depth, channels, border=NO_BORDER, gradient_border=NO_BORDER, recipe=None):
        """Make a buffer; its border is written with zeros at once."""
        made = Buffer(rows, columns, depth, channels, border, gradient_border, recipe)
        self.buffers.append(made)
        self._made[made] = made
        if any(border):
            sides = dict(zip(("top", "left", "bottom", "right"), border, strict=True))
            self.emit(Op.CLEAR_BORDER, {"Y": at(made)}, rows=rows, columns=columns, depth=depth, **sides)
        return made

    def volume(self, volume, border, gradient_border=NO_BORDER, recipe=None):
        """Make the buffer of a step's output."""
        depth = padded(volume.depth)
        return self.buffer(volume.height, volume.width, depth, volume.depth, border, gradient_border, recipe)

    def gradient(self, volume):
        """Make the buffer of the gradient by a volume, bordered as the backward pass of its maker reads it."""
        return self.buffer(volume.rows, volume.columns, volume.depth, volume.channels, volume.gradient_border)

    def again(self, volume):
        """Return a volume for use in this segment: itself, or the volume computed anew if it has a recipe."""
        if volume.recipe is None:
            return volume
        if volume not in self._made:
            anew = self.buffer(volume.rows, volume.columns, volume.depth, volume.channels, volume.border)
            volume.recipe(self, anew)
            self._made[volume] = anew
        return self._made[volume]

    def clear(self, buffer):
        """Emit zeros for all of a buffer."""
        top, left, _, _ = buffer.border
        self.emit(Op.CLEAR, {"Y": at(buffer, -top, -left)}, size=buffer.size)

    def load(self, border):
        """Emit the loading of images into a `border`, and return their buffer."""
        height, width, channels = self.architecture.image_shape
        reads_channels = self.architecture.layers[0].kind in ("CONV", "FC")
        x = self.buffer(height, width, channels if reads_channels else padded(channels), channels, border)
        if x.depth != channels:
            self.clear(x)
        numbers = {"rows": height, "columns": width, "depth": channels, "y_row": x.row, "y_depth": x.depth}
        self.emit(Op.LOAD_IMAGES, {"Y": at(x)}, **numbers)
        return x

    def micro_batch(self, most):
        """Return how many samples' volumes fit the cache together, between 1 and `most`."""
        return max(1, min(_ARENA // max(1, self.place_local(1)), most, _MOST_SAMPLES))

    def place_local(self, micro_batch):
        """Place the buffers of a micro-batch, and return the size of one worker's arena."""
        return pack([b for b in self.buffers if b.space == Space.LOCAL], micro_batch, lambda use: use[1])

    def place_batch(self):
        """Place the buffers of the whole batch, and return their size.

        All of a segment is one time: its samples are at different instructions.
        """
        return pack([b for b in self.buffers if b.space == Space.BATCH], self.batch_size, lambda use: use[0])

    def program(self):
        """Encode the instructions, once all buffers have their places."""
        return np.array(
            [
                encode(op, {name: operand.resolve() for name, operand in operands.items()}, **numbers)
                for op, operands, numbers in self.instructions
            ]
        )


class _Inference(_Work):
    """The instructions from the images to the class scores."""

    def __init__(self, architecture, parameters, batch_size, shares):
        super().__init__(architecture, batch_size)
        self.shares = shares
        steps = steps_of(architecture, parameters, training=False)
        with self.once():
            for step in run(steps):
                step.prepare(self)
        scores = forward_chain(self, steps, self.load(steps[0].border))
        self.emit(
            Op.STORE_SCORES,
            {"X": at(scores)},
            rows=scores.rows,
            columns=scores.columns,
            classes=scores.channels,
            x_row=scores.row,
            depth=scores.depth,
        )

    def shares_out(self, step):
        """Whether, besides, workers without an image would wait, and the step is worth two barriers."""
        return super().shares_out(step) or (self.shares and step.layer.n_flops > _WORTH_SHARING)


class _Training(_Work):
    """The instructions of a training step, and the blocks of its update."""

    def __init__(self, architecture, parameters, batch_size):
        super().__init__(architecture, batch_size)
        self.blocks = []
        self.later = []  # (step, input, gradient by its output) of the weight gradients that await the whole batch
        self.scratch = lined(_BLOCK)  # a worker's place for the gradient of one block
        steps = steps_of(architecture, parameters, training=True)
        mark_gradients(steps, below=False)
        scores = forward_chain(self, steps, self.load(steps[0].border))
        backward_chain(self, steps, self._loss(scores))
        self.begin(Work.UPDATE)
        for step, x, dy in self.later:
            step.cut(self, step.weights_gradient(self, x, dy, Space.LOCAL, 0))
        for step in run(steps):
            step.update(self)

    def _loss(self, scores):
        """Write the loss, and return the gradient by the class scores."""
        dy = self.gradient(scores)
        self.emit(Op.CROSS_ENTROPY, {"X": at(scores), "Y": at(dy)}, classes=scores.channels, depth=scores.depth)
        return dy

    def cut(self, weights, first, rows, contraction, turned, stride):
        """Cut `rows` rows of weights, from the `first` on, into blocks; their turned copies begin at `turned`."""
        most = max(1, _BLOCK // weights.columns, weights.n_rows // _MOST_BLOCKS)
        for row in range(0, rows, most):
            here = min(most, rows - row)
            self.block(
                weights.weights + (first + row) * weights.columns,
                here,
                weights.columns,
                contraction=contraction,
                first_row=first + row,
                decay=1,
                turned=-1 if turned is None else turned + row,
                stride=stride,
            )
            self.scratch = max(self.scratch, lined(here * weights.columns))

    def block(self, offset, rows, columns, *, contraction=-1, first_row=0, decay=0, turned=-1, stride=0, gradient=-1):
        """Add a block of parameters, by the columns of `Block`."""
        self.blocks.append((offset, rows, columns, contraction, first_row, decay, turned, stride, gradient))
