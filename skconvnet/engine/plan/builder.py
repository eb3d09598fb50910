"""The builder: instructions collected step by step, while their buffers have no places yet."""

from contextlib import contextmanager

import numpy as np

from skconvnet.engine.program.instructions import WIDTH, Op, SegmentKind, Space, encode
from skconvnet.engine.program.memory import N_ZEROS, NO_BORDER, Buffer, element, offset, pack
from skconvnet.engine.program.target import round_to_line

__all__ = ["PlanBuilder"]


class PlanBuilder:
    """Collects instructions, buffers, segments and blocks; operands stay symbolic until `program`.

    Parameters
    ----------
    architecture : BoundArchitecture
        The layers.
    batch_size : int
        The most samples of a batch.
    target : Target
        The machine.
    split_image : bool, default=False
        Whether workers without an image of their own compute parts of the layers that are large enough.

    Attributes
    ----------
    shared : int
        Elements of shared memory that are allocated so far.
    blocks : list of tuple
        Blocks of parameters, with the columns of `Block`.
    deferred_weight_gradients : list of tuple
        (step, input, gradient of the output) of the weight gradients that the update computes.
    update_scratch : int
        Elements that a worker needs for the gradient of one block.
    arena_scratch : int
        Elements at the beginning of each worker's arena that no volume shares.
    weights_read : int
        Elements of the largest matrix of transformed weights, which each micro-batch reads.
    in_body : bool
        Whether the next blocks belong to the body, which may learn at another rate.
    """

    def __init__(self, architecture, batch_size, target, split_image=False):
        self.architecture = architecture
        self.batch_size = batch_size
        self.target = target
        self.split_image = split_image
        self.shared = N_ZEROS
        self.blocks = []
        self.deferred_weight_gradients = []
        self.update_scratch = 0
        self.arena_scratch = 0
        self.weights_read = 0
        self.in_body = False
        self._instructions = []
        self._zeros = []  # instructions for the allocation of memory
        self._buffers = []
        self._segments = [(SegmentKind.PER_SAMPLE, 0)]  # kind and first instruction
        self._current = {}  # volumes that this segment has computed, or computed again, by the volume they stand for

    # Instructions and segments

    def emit(self, op, operands, **numbers):
        """Append an instruction and return its number.

        Parameters
        ----------
        op : Op
        operands : dict of str to Operand
        **numbers : int or float
            Both with the names of ``INSTRUCTIONS[op]``.
        """
        number = len(self._instructions)
        for operand in operands.values():
            if operand.buffer is not None:
                operand.buffer.uses.append((len(self._segments), number))
        self._instructions.append((op, operands, numbers))
        return number

    def begin(self, kind):
        """Begin a segment of another kind."""
        self._segments.append((kind, len(self._instructions)))
        self._current = {}

    @contextmanager
    def reduce(self):
        """Emit a segment that reduces what all samples have left, between two segments of samples."""
        self.begin(SegmentKind.REDUCE)
        yield
        self.begin(SegmentKind.PER_SAMPLE)

    @contextmanager
    def split_across_workers(self, step):
        """Emit the sums of a step: split across workers where that is faster, else sample by sample."""
        weights = step.weights
        is_heavy = weights.whole_batch and weights.n_rows * weights.columns > self.target.split_weights
        with self.in_parts(is_heavy or (self.split_image and step.layer.n_flops > self.target.split_flops)):
            yield

    @contextmanager
    def in_parts(self, is_split):
        """Emit what workers share in a segment of its own, if they do."""
        if not is_split:
            yield
            return
        self.begin(SegmentKind.SPLIT)
        yield
        self.begin(SegmentKind.PER_SAMPLE)

    def segments(self):
        """Return the segments that have work: int64 with the columns of `Segment`."""
        ends = [*(first for _, first in self._segments[1:]), len(self._instructions)]
        found = [(kind, first, end) for (kind, first), end in zip(self._segments, ends, strict=True)]
        return np.array([one for one in found if one[1] < one[2] or one[0] == SegmentKind.UPDATE], np.int64)

    # Memory

    def allocate_shared(self, size):
        """Allocate `size` elements of shared memory and return their offset."""
        offset, self.shared = self.shared, self.shared + round_to_line(size)
        return offset

    def worker_scratch(self, size):
        """Return the operand for `size` elements of a worker's own, for use until the next ones are asked for."""
        self.arena_scratch = max(self.arena_scratch, round_to_line(size))
        return offset(Space.LOCAL, 0)

    def buffer(self, rows, columns, depth, channels, border=NO_BORDER, **more):
        """Make a buffer and clear its border.

        Parameters
        ----------
        rows, columns, depth, channels, border, **more
            As `Buffer` takes them.
        """
        made = Buffer(rows, columns, depth, channels, border, of_batch=self.target.runs_in_step, **more)
        self._buffers.append(made)
        self._current[made] = made
        if any(border):
            numbers = dict(zip(("top", "left", "bottom", "right"), border, strict=True))
            numbers |= {"rows": rows, "columns": columns, "depth": depth}
            self._emit_zeros(Op.CLEAR_BORDER, made, element(made), numbers, kind=(rows, columns, depth, border))
        return made

    def _emit_zeros(self, op, buffer, operand, numbers, kind):
        """Emit zeros that stay in a buffer, of the `kind` that other buffers may have, too."""
        if self.target.keeps_zeros:
            buffer.of_batch, buffer.zeros = True, kind
            self._zeros.append((op, {"y": operand}, numbers))
        else:
            self.emit(op, {"y": operand}, **numbers)

    def volume(self, volume, border, **more):
        """Make the buffer of a step's output."""
        depth = self.target.pad(volume.depth)
        return self.buffer(volume.height, volume.width, depth, volume.depth, border, **more)

    def like(self, volume, border=NO_BORDER):
        """Make a buffer for another volume of the same shape."""
        return self.buffer(volume.rows, volume.columns, volume.depth, volume.channels, border)

    def gradient(self, volume):
        """Make the buffer of a volume's gradient, with the border that the layer before needs in its backward pass."""
        return self.like(volume, volume.gradient_border)

    def recompute(self, volume):
        """Return a volume for use in this segment: itself, or the volume computed again if that is cheaper.

        Where samples run in step, to compute it again would be another instruction that reads and writes all of the
        batch, and the volume has a place for the batch in any case.
        """
        if volume.recompute is None or self.target.runs_in_step:
            return volume
        if volume not in self._current:
            copy = self.like(volume, volume.border)
            volume.recompute(self, copy)
            self._current[volume] = copy
        return self._current[volume]

    def clear(self, buffer):
        """Emit zeros for all of a buffer."""
        self.emit(Op.CLEAR, {"y": _storage(buffer)}, size=buffer.size)

    def load_images(self, border):
        """Emit the loading of images into a `border` and return their buffer."""
        height, width, channels = self.architecture.image_shape
        reads_numbers = self.architecture.layers[0].kind in ("CONV", "FC")  # not vectors, so its depth is not padded
        x = self.buffer(height, width, channels if reads_numbers else self.target.pad(channels), channels, border)
        if x.depth != channels:
            self._emit_zeros(Op.CLEAR, x, _storage(x), {"size": x.size}, kind=x)  # beside channels, as no other buffer
        numbers = {"rows": height, "columns": width, "depth": channels, "y_row": x.row, "y_depth": x.depth}
        self.emit(Op.LOAD_IMAGES, {"y": element(x)}, **numbers)
        return x

    # The update

    def cut(self, weights, first, rows, contraction, transposed, stride):
        """Cut rows of a layer's weights into blocks.

        Parameters
        ----------
        weights : WeightSlot
            The layer's.
        first, rows : int
            The rows to cut.
        contraction : int
            Number of the instruction that computes their gradient over the whole batch, or -1.
        transposed : int or None
            Offset in shared memory of their transposed copy.
        stride : int
            Distance between two columns in that copy.
        """
        target = self.target
        most = max(1, target.block // weights.columns, weights.n_rows // target.max_blocks)
        for row in range(0, rows, most):
            here = min(most, rows - row)
            self.block(
                weights.weights + (first + row) * weights.columns,
                here,
                weights.columns,
                contraction=contraction,
                first_row=first + row,
                decay=1,
                transposed=-1 if transposed is None else transposed + row,
                stride=stride,
            )
            if target.defers_fc_gradients:
                self.update_scratch = max(self.update_scratch, round_to_line(max(target.block, here * weights.columns)))

    def block(
        self, offset, rows, columns, *, contraction=-1, first_row=0, decay=0, transposed=-1, stride=0, gradient=-1
    ):
        """Add a block of parameters, with the columns of `Block`."""
        columns = (offset, rows, columns, contraction, first_row, decay, transposed, stride, gradient, self.in_body)
        self.blocks.append(columns)

    # The result

    def place(self, max_micro_batch):
        """Place all buffers.

        Parameters
        ----------
        max_micro_batch : int
            The most samples that may go through the network together.

        Returns
        -------
        micro_batch : int
            The number of samples whose volumes fit the target's arena, at least 1.
        arena, batch : int
            Elements of one worker, and of the whole batch.
        """
        self._check_offsets()
        local = pack([b for b in self._buffers if b.space == Space.LOCAL], lambda use: use[1])
        # All of a segment is one time, unless samples run in step: they are at different instructions.
        time = 1 if self.target.runs_in_step else 0
        batch = pack([b for b in self._buffers if b.space == Space.BATCH], lambda use: use[time])
        size = max(self.target.arena, min(self.weights_read, self.target.largest_arena))
        micro_batch = max(1, min(size // max(1, local), max_micro_batch, self.target.max_micro_batch))
        return micro_batch, self.arena_scratch + local * micro_batch, batch * self.batch_size

    def _check_offsets(self):
        """Raise a ValueError if a volume of the whole batch is larger than the target's kernels can address."""
        largest = max(self._buffers, key=lambda buffer: buffer.size)
        most = self.target.largest_offset // largest.size
        if self.batch_size > most:
            shape = f"{largest.rows}x{largest.columns}x{largest.channels}"
            advice = f"batch_size={most} or less" if most else "smaller images or fewer filters"
            raise ValueError(
                f"The volumes [{shape}] of {self.batch_size} images are {self.batch_size * largest.size:,} numbers."
                f" Kernels of this device reach {self.target.largest_offset:,} at most. Use {advice}."
            )

    def program(self, micro_batch):
        """Encode the instructions, and those that write what stays zero, once all buffers are placed."""
        places = {Space.LOCAL: (self.arena_scratch, micro_batch), Space.BATCH: (0, self.batch_size)}
        return _encode(self._instructions, places), _encode(self._zeros, places)


def _storage(buffer):
    """Return the operand for the beginning of a buffer, which is in its border if it has one."""
    top, left, _, _ = buffer.border
    return element(buffer, -top, -left)


def _encode(instructions, places):
    rows = [
        encode(op, {name: operand.resolve(places) for name, operand in operands.items()}, numbers)
        for op, operands, numbers in instructions
    ]
    return np.array(rows, np.int64).reshape(-1, WIDTH)
