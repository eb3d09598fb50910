"""The plan: a network's layers as a program, with all memory laid out before any is allocated."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from skconvnet.engine.plan.builder import PlanBuilder
from skconvnet.engine.plan.steps import backward_chain, forward_chain, mark_gradients, steps_of, walk_steps
from skconvnet.engine.plan.steps.branches import emit_copy_channels
from skconvnet.engine.program.instructions import INSTRUCTIONS, Block, Op, SegmentKind, Space
from skconvnet.engine.program.memory import element, offset
from skconvnet.engine.weights.layout import WeightSlot, learning_layers

__all__ = ["Plan", "plan_gradient", "plan_inference", "plan_training"]

_ELEMENT = 16  # multiply-adds that take as long as one element that another instruction reads or writes


@dataclass(frozen=True, eq=False)
class Plan:
    """A network's work, ready for a machine.

    Parameters
    ----------
    program : ndarray of int64, shape (instructions, WIDTH)
        Instructions, encoded as `program.instructions` defines them.
    zeros : ndarray of int64, shape (instructions, WIDTH)
        Instructions that write what stays zero, for once after the allocation of memory. A machine that clears all of
        its memory then need not execute them.
    segments : ndarray of int64, shape (segments, columns of Segment)
        The work between two barriers. All workers finish a segment before the next begins.
    blocks : ndarray of int64, shape (blocks, columns of Block)
        The parameters, cut for the update; none in inference.
    shared, batch, slot, arena : int
        Float32 elements: shared by all workers; for the whole batch; for one shard's gradients; for one worker.
    micro_batch, shard_size, batch_size : int
        Samples that go through the network together; samples that share a gradient slot; the most samples of a batch.
    n_outcomes : int, default=0
        Numbers that the loss writes for each sample; none in inference.
    n_preparing : int, default=0
        How many of the first segments read parameters only, and write shared memory only. An execution runs them when
        it is made, with a batch of one sample and no images, and the other segments for every batch.
    """

    program: np.ndarray
    zeros: np.ndarray
    segments: np.ndarray
    blocks: np.ndarray
    shared: int
    batch: int
    slot: int
    arena: int
    micro_batch: int
    shard_size: int
    batch_size: int
    n_outcomes: int = 0
    n_preparing: int = 0

    @property
    def preparing_segments(self):
        """The segments that an execution runs when it is made, and after parameters were set from outside."""
        return self.segments[: self.n_preparing]

    @property
    def batch_segments(self):
        """The segments that an execution runs for every batch."""
        return self.segments[self.n_preparing :]

    @cached_property
    def ops(self):
        """The opcodes of the program, a frozenset."""
        return frozenset(self.program[:, 0].tolist())

    @cached_property
    def work(self):
        """The work of a batch, in multiply-adds: an estimate from the numbers of the instructions."""
        return self.batch_size * sum(_work(op, self.program[self.program[:, 0] == op]) for op in self.ops)

    def memory(self, n_workers):
        """Return the float32 elements that a machine with `n_workers` workers needs to run the plan."""
        n_shards = -(-self.batch_size // self.shard_size)
        return self.shared + self.batch + n_shards * self.slot + n_workers * self.arena


def _work(op, rows):
    """Return the work of instructions with one opcode for one sample, in multiply-adds."""
    instruction = INSTRUCTIONS[op]
    n = {name: rows[:, instruction.number(name)].astype(float) for name in instruction.numbers}
    if op == Op.CONTRACT:
        return float(np.maximum([n[loop] for loop in ("groups", *"IJMNTRK")], 1).prod(axis=0).sum())
    if op == Op.CLEAR:
        return _ELEMENT * float(n["size"].sum())
    pixels = n.get("rows", 1) * n.get("columns", 1)
    if op == Op.TRANSFORM:
        pixels *= 36 * n["each_sample"]
    if op in (Op.DEPTHWISE, Op.DEPTHWISE_WEIGHTS):
        pixels *= np.maximum(n["T"] * n["R"] / _ELEMENT, 1)
    if op == Op.CLEAR_BORDER:
        pixels = (n["top"] + n["rows"] + n["bottom"]) * (n["left"] + n["columns"] + n["right"]) - pixels
    if "F_rows" in n:
        window = np.minimum(n["F_rows"], n["rows"]) * np.minimum(n["F_columns"], n["columns"])  # without padding
        pixels = np.maximum(pixels, n["rows_out"] * n["columns_out"] * window)
    return _ELEMENT * float(np.sum(pixels * n.get("depth", n.get("channels"))))


def plan_training(architecture, layout, loss, batch_size, target, frozen=frozenset(), body=frozenset()):
    """Plan one training step: forward, loss, backward, update.

    Parameters
    ----------
    architecture : BoundArchitecture
        The layers.
    layout : ParameterLayout
        Where their parameters are in the parameter vector.
    loss : SoftmaxCrossEntropy, or another loss of `plan.steps.loss`
    batch_size : int
        The most samples of a minibatch.
    target : Target
        The machine.
    frozen : frozenset of str
        The names of layers, the first of the network, whose weights and running statistics do not change. They score as
        they do in inference, and the backward pass ends at them.
    body : frozenset of str
        The names of layers that were pretrained: their weights have the learning rate of the body, and NORM(batch)
        keeps its running statistics.

    Returns
    -------
    Plan
        Its segments take samples through the network, with a barrier wherever NORM(batch) reduces over them, and then
        update the parameters. The transposed weights must be written before the first step, by a segment of
        `SegmentKind.TRANSPOSE` alone.

    Raises
    ------
    ValueError
        If a volume or the weights of a layer are larger than the target's kernels can address.
    """
    _check_weights(architecture, layout, target)
    builder = PlanBuilder(architecture, batch_size, target)
    steps = steps_of(architecture, layout, target, training=True, frozen=frozen, body=body)
    mark_gradients(steps)
    n_preparing = _prepare(builder, [step for step in walk_steps(steps) if not step.learns], in_training=True)
    learning = [step for step in walk_steps(steps) if step.learns]
    with builder.reduce():
        for step in learning:
            step.begin_batch(builder)
    _transform_weights(builder, learning, in_training=True)
    scores = forward_chain(builder, steps, builder.load_images(steps[0].border))
    backward_chain(builder, steps, loss.emit(builder, scores))
    with builder.reduce():
        for step in learning:
            step.end_batch(builder)
    builder.begin(SegmentKind.UPDATE)
    for step, x, dy in builder.deferred_weight_gradients:
        builder.in_body = step.layer.name in body
        step.cut(builder, step.weights_gradient(builder, x, dy, Space.LOCAL, 0))
    for step in learning:
        builder.in_body = step.layer.name in body
        step.update(builder)
    shard_size = -(-batch_size // target.max_shards)
    if builder.weights_read > target.arena:
        shard_size = max(shard_size, min(target.shard_of_heavy_weights, batch_size))
    return _plan(builder, shard_size, shard_size, layout.slot, loss.n_outcomes, n_preparing)


def plan_inference(architecture, layout, batch_size, target, split_image=False):
    """Plan the scores of at most `batch_size` images.

    Parameters
    ----------
    architecture, layout, batch_size, target
        As in `plan_training`.
    split_image : bool, default=False
        Whether workers without an image of their own compute parts of the layers that are large enough.

    Returns
    -------
    Plan
        Its shards may be made smaller, since nothing is summed over them. What depends on the parameters alone is
        computed by segments that prepare.

    Raises
    ------
    ValueError
        As `plan_training`.
    """
    _check_weights(architecture, layout, target)
    builder = PlanBuilder(architecture, batch_size, target, split_image)
    steps = steps_of(architecture, layout, target, training=False)
    n_preparing = _prepare(builder, list(walk_steps(steps)), in_training=False)
    _store(builder, forward_chain(builder, steps, builder.load_images(steps[0].border)))
    return _plan(builder, None, batch_size, slot=0, n_preparing=n_preparing)


def plan_gradient(architecture, layout, batch_size, target):
    """Plan the gradient of a weighted sum of the scores by at most `batch_size` images.

    Parameters
    ----------
    architecture : BoundArchitecture
        The layers. The first is no CONV or FC: these read images of another depth than gradients have.
    layout, batch_size, target
        As in `plan_training`. The weights of the sum, one for each score, are in the parameter vector behind what the
        layout has.

    Returns
    -------
    Plan
        Like a plan of inference, but it stores the gradient in place of the scores. Nothing learns: layers compute as
        in inference, and no gradient of weights is computed.

    Raises
    ------
    ValueError
        As `plan_training`.
    """
    _check_weights(architecture, layout, target)
    builder = PlanBuilder(architecture, batch_size, target)
    steps = steps_of(architecture, layout, target, training=False)
    mark_gradients(steps, learned_before=True)
    n_preparing = _prepare(builder, list(walk_steps(steps)), in_training=True)
    scores = forward_chain(builder, steps, builder.load_images(steps[0].border))
    dscores, padding = builder.gradient(scores), scores.depth - scores.channels
    sum_weights = offset(Space.PARAMETERS, layout.size)
    emit_copy_channels(builder, sum_weights, scores, element(dscores), dscores, scores.channels, padding)
    _store(builder, backward_chain(builder, steps, dscores))
    for step in walk_steps(steps):
        step.update(builder)  # the blocks say what is transposed; no segment updates them
    return _plan(builder, None, batch_size, slot=0, n_preparing=n_preparing)


def _store(builder, volume):
    """Emit the copy of a volume to the scores of the task."""
    builder.emit(
        Op.STORE_SCORES,
        {"x": element(volume)},
        rows=volume.rows,
        columns=volume.columns,
        classes=volume.channels,
        x_row=volume.row,
        depth=volume.depth,
    )


def _prepare(builder, steps, in_training):
    """Emit the segments that read the parameters of these steps only, and return how many they are."""
    with builder.reduce():
        for step in steps:
            step.prepare(builder)
    _transform_weights(builder, steps, in_training)
    return len(builder.segments())


def _transform_weights(builder, steps, in_training):
    """Emit a segment that transforms the weights, each worker a part of them."""
    builder.begin(SegmentKind.SPLIT)
    for step in steps:
        step.transform_weights(builder, in_training)
    builder.begin(SegmentKind.PER_SAMPLE)


def _check_weights(architecture, layout, target):
    """Raise a ValueError if a layer has more weights than the target's kernels can address."""
    for layer, slot in zip(learning_layers(architecture), layout.slots, strict=True):
        if isinstance(slot, WeightSlot) and slot.groups * slot.group_size > target.largest_offset:
            raise ValueError(
                f"{layer} has {slot.groups * slot.group_size:,} weights, padding included. Kernels of this device reach"
                f" {target.largest_offset:,} at most. Use fewer filters or units, or a smaller input of the layer."
            )


def _plan(builder, shard_size, max_micro_batch, slot, n_outcomes=0, n_preparing=0):
    """Place the buffers and encode; without a shard size, a shard is a micro-batch."""
    micro_batch, arena, batch = builder.place(max_micro_batch)
    program, zeros = builder.program(micro_batch)
    return Plan(
        program=program,
        zeros=zeros,
        segments=builder.segments(),
        blocks=np.array(builder.blocks, np.int64).reshape(-1, len(Block)),
        shared=builder.shared,
        batch=batch,
        slot=slot,
        arena=max(arena, builder.update_scratch),
        micro_batch=micro_batch,
        shard_size=micro_batch if shard_size is None else shard_size,
        batch_size=builder.batch_size,
        n_outcomes=n_outcomes,
        n_preparing=n_preparing,
    )
