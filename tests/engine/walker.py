"""A walk through a plan: which float32 every instruction reads and writes, worked out from its numbers alone.

Nothing is computed. Memory is a shadow that remembers who wrote each element last, so that the walk can say where an
address leaves its space, where something is read that nothing has written, where two workers may meet, and whose values
every instruction reads.
"""

from dataclasses import dataclass, field

import numpy as np

from skconvnet.engine.program.instructions import (
    INSTRUCTIONS,
    REAL,
    Adds,
    Block,
    NormRow,
    Op,
    Samples,
    Segment,
    SegmentKind,
    Space,
    Transform,
)
from skconvnet.engine.program.memory import N_ZEROS

NOBODY, TRANSPOSITION, ZEROS = -1, -2, -3  # writers that are no instruction; one zero is as good as another
_LANES = 16  # what a sum that starts from zeros (start_q = 0) reads of them at most
_CLEARING = (Op.CLEAR, Op.CLEAR_BORDER)


def tile_of(transform, F):
    """The numbers along an axis that a transform reads, and those that it writes."""
    m = 7 - F
    return {
        Transform.INPUT: (6, 6),
        Transform.OUTPUT: (6, m),
        Transform.GRADIENT: (m, 6),
        Transform.WEIGHTS: (F, 6),
        Transform.WEIGHTS_GRADIENT: (6, F),
    }[transform]


_SPLIT = (Op.CONTRACT, Op.TRANSFORM)
_REDUCTIONS = (Op.BATCH_STATISTICS, Op.RUNNING_STATISTICS, Op.BATCH_GRADIENTS)


class Trespass(AssertionError):
    """An instruction reads or writes where it must not."""


@dataclass
class Walk:
    """A walk of `n_samples` through a plan; `seen` is what each instruction read: whose values, in its own order.

    Segments that prepare are walked once, with one sample. The others are walked twice in a plan that writes zeros
    once: the second step finds what the first has left.

    `runs` are the numbers of the instructions, in the order in which they run. A writer is an instruction and the first
    sample that it worked on. `zeros` are the elements of a slot that the
    update reads and nothing ever writes: zero since the memory was taken, as slots share their places with nobody.
    """

    plan: object
    n_parameters: int
    n_samples: int
    seen: list = field(default_factory=list)
    runs: list = field(default_factory=list)

    def __post_init__(self):
        plan, self.reachable = self.plan, set(Space)
        shards = range(0, self.n_samples, plan.shard_size)
        self.shadows = {
            Space.PARAMETERS: np.full(self.n_parameters, TRANSPOSITION),
            Space.SHARED: np.full(plan.shared, NOBODY),
            Space.BATCH: np.full(plan.batch, NOBODY),
        }
        self.slots = [np.full(plan.slot, NOBODY) for _ in shards]
        self.shadows[Space.SHARED][:N_ZEROS] = TRANSPOSITION  # zeros, never written
        for block in plan.blocks:
            self._turn(block)
        walk = {
            SegmentKind.PER_SAMPLE: self._samples,
            SegmentKind.REDUCE: self._once,
            SegmentKind.SPLIT: self._once,
            SegmentKind.UPDATE: self._update,
        }
        self._clear_once()
        self.reachable = {Space.PARAMETERS, Space.SHARED}
        self._walk_segments(walk, plan.preparing_segments, 1)
        prepared, self.reachable = len(self.runs), set(Space)
        for _ in range(2 if len(plan.zeros) else 1):
            del self.runs[prepared:]
            self._walk_segments(walk, plan.batch_segments, self.n_samples)

    def _walk_segments(self, walk, segments, batch):
        self.batch = batch
        for segment in segments:
            self.kind = SegmentKind(segment[Segment.KIND])
            walk[self.kind](range(segment[Segment.FIRST], segment[Segment.LAST]))

    def _clear_once(self):
        """What the plan wants to be zero when memory has been allocated."""
        self.kind = None
        for row in self.plan.zeros:
            op, operands, numbers = decode(row)
            ((_, offsets, _),) = REACH[op](numbers, self.n_samples, True)[1]
            space, addresses = self._addresses(operands["y"], offsets, 0, self.n_samples)
            self._write(f"{op.name} at the allocation", space, addresses, ZEROS)

    # Segments

    def _samples(self, numbers):
        """Shard by shard and micro-batch by micro-batch; several shards may be on their way at once."""
        size = self.plan.shard_size
        self.visitors = np.full(self.plan.batch, NOBODY)  # the shard that reached this segment's elements of BATCH
        for shard, slot in enumerate(self.slots):
            self.shard, self.shadows[Space.SHARD] = shard, slot
            begin, end = shard * size, min(self.n_samples, (shard + 1) * size)
            for place in range(begin, end, self.plan.micro_batch):
                self.shadows[Space.LOCAL] = np.full(self.plan.arena, NOBODY)
                for number in numbers:
                    self._step(number, place, min(self.plan.micro_batch, end - place), place == begin)
        del self.shadows[Space.SHARD], self.shadows[Space.LOCAL]

    def _once(self, numbers):
        """One worker, which has neither an arena nor a slot to itself."""
        for number in numbers:
            self._step(number, 0, self.batch, first=True)

    def _update(self, numbers):
        """Block by block: its gradient, wherever that is. Contractions compute only the rows of one block at a time."""
        summed = [np.zeros(0, int)]
        for block in self.plan.blocks:
            run = np.arange(block[Block.ROWS] * block[Block.COLUMNS])
            if block[Block.GRADIENT] >= 0:
                self.seen.append(self._read("a block", Space.SHARED, block[Block.GRADIENT] + run).copy())
            elif block[Block.CONTRACTION] < 0:
                summed.append(block[Block.OFFSET] + run)
            elif block[Block.CONTRACTION] not in numbers:
                raise Trespass("a block's contraction is not one of the update's")
        summed = np.concatenate(summed)
        for slot in self.slots:
            self.shadows[Space.SHARD] = slot
            self._inside("the sum of the slots", Space.SHARD, summed)
            writers = slot[summed]
            self.seen.append(writers)
            self.zeros = summed[writers == NOBODY]
        for number in numbers:
            self._step(number, 0, self.n_samples, first=True)

    def _turn(self, block):
        parameters = block[Block.OFFSET] + np.arange(block[Block.ROWS] * block[Block.COLUMNS])
        self._inside("a block", Space.PARAMETERS, parameters)
        if block[Block.TRANSPOSED] >= 0:
            columns, rows = (block[Block.COLUMNS], block[Block.TRANSPOSED_STRIDE]), (block[Block.ROWS], 1)
            places = grid(block[Block.TRANSPOSED], columns, rows)
            self._inside("a turned block", Space.SHARED, places)
            if (self.shadows[Space.SHARED][places] != NOBODY).any():
                raise Trespass("a block is turned into the place of another")
            self._write("a turned block", Space.SHARED, places, TRANSPOSITION)

    # Instructions

    def _step(self, number, place, samples, first):
        self.runs.append(number)
        op, operands, numbers = decode(self.plan.program[number])
        name = f"{op.name} {number}"
        if (op in _REDUCTIONS) != (self.kind == SegmentKind.REDUCE):
            raise Trespass(f"{name} stands in a segment of another kind")
        if self.kind == SegmentKind.SPLIT and (op not in _SPLIT or numbers.get("accumulate") or numbers.get("adds")):
            raise Trespass(f"{name} cannot be shared out")
        if self.kind == SegmentKind.UPDATE:  # which computes the rows of one block at a time, into a place of that size
            self._scratch(name, number, numbers)
        reads, writes = REACH[op](numbers, samples, first)
        for operand, offsets, over_samples in reads:
            space, addresses = self._addresses(operands[operand], offsets, place, samples if over_samples else 1)
            self.seen.append(self._read(name, space, addresses).copy())
        for operand, offsets, over_samples in [] if self.kind == SegmentKind.UPDATE else writes:
            space, addresses = self._addresses(operands[operand], offsets, place, samples if over_samples else 1)
            transforms_weights = op == Op.TRANSFORM and self.kind == SegmentKind.SPLIT and space == Space.SHARED
            if space in (Space.PARAMETERS, Space.SHARED) and not (op in _REDUCTIONS or transforms_weights):
                raise Trespass(f"{name} writes to {space.name} while other workers read it")
            self._write(name, space, addresses, ZEROS if op in _CLEARING else number * self.n_samples + place)

    def _scratch(self, name, number, numbers):
        for operand in "ac":
            rows = grid(0, *[(numbers[count], numbers[f"{operand}_{stride}"]) for count, stride in ("Ii", "Jj", "Mp")])
            if np.unique(np.diff(rows)).size > 1:
                raise Trespass(f"{name} has rows that are not equally far apart, so no block can be cut from them")
        for block in self.plan.blocks:
            if block[Block.CONTRACTION] == number:
                if block[Block.ROWS] * numbers["N"] > self.plan.arena:
                    raise Trespass(f"{name} has more rows than the arena holds")
                if block[Block.FIRST_ROW] + block[Block.ROWS] > rows.size:
                    raise Trespass(f"{name} has fewer rows than its blocks")

    # Memory

    def _addresses(self, operand, offsets, place, samples):
        space, offset, stride = operand
        here = offset + (place * stride if space == Space.BATCH else 0)
        return space, grid(here, (samples, stride))[:, None] + offsets

    def _inside(self, name, space, addresses):
        if space not in self.reachable:
            raise Trespass(f"{name} reaches {space.name}, and is to prepare")
        if space not in self.shadows:
            raise Trespass(f"{name} reaches {space.name}, which its segment has not")
        size = self.shadows[space].size
        if addresses.size and not (addresses.min() >= 0 and addresses.max() < size):
            raise Trespass(f"{name} reaches {addresses.min()}..{addresses.max()} of {space.name}, which has {size}")
        if space == Space.BATCH and self.kind == SegmentKind.PER_SAMPLE:
            visitors = self.visitors[addresses]
            if ((visitors != NOBODY) & (visitors != self.shard)).any():
                raise Trespass(f"{name} reaches what another shard works on")
            self.visitors[addresses] = self.shard

    def _read(self, name, space, addresses):
        self._inside(name, space, addresses)
        writers = self.shadows[space][addresses]
        if (writers == NOBODY).any():
            raise Trespass(f"{name} reads {(writers == NOBODY).sum()} of {space.name} that nothing has written")
        return writers

    def _write(self, name, space, addresses, writer):
        self._inside(name, space, addresses)
        self.shadows[space][addresses] = writer


def decode(row):
    """The opcode, the operands as (Space, offset, stride) and the numbers of an encoded instruction, by name."""
    op = Op(row[0])
    instruction, values = INSTRUCTIONS[op], row.tolist()
    operands = {}
    for name in instruction.operands:
        space, offset, stride = values[instruction.operand(name) :][:3]
        operands[name] = Space(space), offset, stride
    numbers = {}
    for name in instruction.numbers:
        column = instruction.number(name)
        numbers[name] = row[column].view(np.float64).item() if name in REAL else values[column]
    return op, operands, numbers


def grid(offset, *loops):
    """All of offset + sum of index * stride, for loops of (count, stride), the last one fastest."""
    addresses = np.array([offset])
    for count, stride in loops:
        addresses = (addresses[:, None] + np.arange(count) * stride).ravel()
    return addresses


# What each instruction reads and writes: (operand, offsets, whether it does so for every sample).


def _contract(n, samples, first):
    counts = {letter: n[letter] for letter in "IJMTRK"}
    if n["sample_loop"] != Samples.NONE:
        counts[Samples(n["sample_loop"]).name] = samples
    columns = (n["N"], 1)

    def loops(operand, letters):
        names = {"i": "I", "j": "J", "p": "M", "t": "T", "r": "R", "k": "K"}
        own = [(counts[names[letter]], n[f"{operand}_{letter}"]) for letter in letters]
        return [(n["groups"], n[f"{operand}_g"]), *own]

    start = columns if n["start_q"] else (_LANES, 1)
    c = grid(0, *loops("c", "ijp"), columns)
    again = n["accumulate"] and not first
    reads = [
        ("a", grid(0, *loops("a", "ijptrk")), False),
        ("b", grid(0, *loops("b", "trk"), columns), False),
        ("c", c, False) if again else ("start", grid(0, *loops("start", "ijp"), start), False),
    ]
    if np.unique(c).size != c.size:
        raise Trespass("a contraction writes an element twice")
    return reads, [("c", c, False)]


def _transform(n, samples, first):
    """Tiles of `x`, of which those at the end of an OUTPUT are written in part."""
    inputs, outputs = tile_of(n["transform"], n["F"])
    depth, is_output = (n["depth"], 1), n["transform"] == Transform.OUTPUT
    tiles = np.mgrid[: n["rows"], : n["columns"]].reshape(2, -1).T
    y = []
    for row, column in tiles:
        down, across = (
            min(outputs, limit - outputs * at) if is_output else outputs
            for limit, at in ((n["down"], row), (n["across"], column))
        )
        y.append(grid(row * n["y_row"] + column * n["y_column"], (down, n["y_a"]), (across, n["y_b"]), depth))
    x = [
        grid(row * n["x_row"] + column * n["x_column"], (inputs, n["x_i"]), (inputs, n["x_j"]), depth)
        for row, column in tiles
    ]
    x, y, each = np.concatenate(x), np.concatenate(y), n["each_sample"] != 0
    if np.unique(y).size != y.size:
        raise Trespass("a transform writes an element twice")
    adds = n["adds"] == Adds.ALWAYS or (n["adds"] == Adds.BEHIND_FIRST and not first)
    start = ("y", y, each) if adds else ("start", np.arange(n["depth"] if n["start_q"] else _LANES), False)
    return [("x", x, each), start], [("y", y, each)]


def _load(n, samples, first):
    volume = grid(0, (n["rows"], n["y_row"]), (n["columns"], n["y_depth"]), (n["depth"], 1))
    return [], [("y", volume, True)]


def _clear(n, samples, first):
    return [], [("y", np.arange(n["size"]), True)]


def _clear_border(n, samples, first):
    rows, columns = np.ogrid[-n["top"] : n["rows"] + n["bottom"], -n["left"] : n["columns"] + n["right"]]
    outside = (rows < 0) | (rows >= n["rows"]) | (columns < 0) | (columns >= n["columns"])
    row = (n["left"] + n["columns"] + n["right"]) * n["depth"]
    pixels = (rows * row + columns * n["depth"])[outside]
    return [], [("y", (pixels[:, None] + np.arange(n["depth"])).ravel(), True)]


def _volume(n, row, rows="rows", columns="columns"):
    return grid(0, (n[rows], n[row]), (n[columns] * n["depth"], 1))


def _of_each(n, samples, first):
    """One number out for each in: RELU, ACTIVATE, DROPOUT, LRN."""
    return [("x", _volume(n, "x_row"), True)], [("y", _volume(n, "y_row"), True)]


def _bias_relu_backward(n, samples, first):
    reads, writes = [("dy", _volume(n, "dy_row"), True)], []
    if n["relu"]:
        reads.append(("y", _volume(n, "y_row"), True))
        writes.append(("dx", _volume(n, "dx_row"), True))
    if n["bias"]:
        bias = ("dbias", np.arange(n["depth"]), False)
        reads += [] if first else [bias]
        writes.append(bias)
    return reads, writes


def _windows(n, row):
    """What the windows of a POOL reach of a volume whose rows are n[row] apart."""

    def reached(axis):
        F, S, P = (n[f"{letter}_{axis}"] for letter in "FSP")
        firsts = [i * S - P for i in range(n[f"{axis}_out"])]
        return sorted(set().union(*[range(max(0, first), min(n[axis], first + F)) for first in firsts]))

    rows, columns = reached("rows"), reached("columns")
    pixels = (np.array(rows)[:, None] * n[row] + np.array(columns) * n["depth"]).ravel()
    return (pixels[:, None] + np.arange(n["depth"])).ravel()


def _pool(n, samples, first):
    out = _volume(n, "y_row", "rows_out", "columns_out")
    return [("x", _windows(n, "x_row"), True)], [("y", out, True)]


def _max_pool_backward(n, samples, first):
    y, dy = (_volume(n, row, "rows_out", "columns_out") for row in ("y_row", "dy_row"))
    dx = ("dx", _windows(n, "dx_row"), True)
    reads = [("x", _windows(n, "x_row"), True), ("y", y, True), ("dy", dy, True)]
    return reads + ([dx] if n["overlap"] else []), [dx]


def _cross_entropy(n, samples, first):
    return [("scores", np.arange(n["classes"]), True)], [("dscores", np.arange(n["depth"]), True)]


def _loss_of_outputs(n, samples, first):
    return [("scores", np.arange(n["outputs"]), True)], [("dscores", np.arange(n["depth"]), True)]


def _store_scores(n, samples, first):
    pixels = grid(0, (n["rows"], n["x_row"]), (n["columns"], n["depth"]), (n["classes"], 1))
    return [("x", pixels, True)], []


def _average_pool_backward(n, samples, first):
    dx = ("dx", _windows(n, "dx_row"), True)
    return [("dy", _volume(n, "dy_row", "rows_out", "columns_out"), True), dx], [dx]


def _prelu(n, samples, first):
    reads = [
        ("x", _volume(n, "x_row"), True),
        ("v", _volume(n, "v_row"), True),
        ("slopes", np.arange(n["depth"]), False),
    ]
    return reads, [("y", _volume(n, "y_row"), True)]


def _prelu_slopes(n, samples, first):
    slopes = ("dslopes", np.arange(n["depth"]), False)
    reads = [("x", _volume(n, "x_row"), True), ("dy", _volume(n, "dy_row"), True)]
    return reads + ([] if first else [slopes]), [slopes]


def _activate_backward(n, samples, first):
    reads = [("dy", _volume(n, "dy_row"), True), ("kept", _volume(n, "kept_row"), True)]
    return reads, [("dx", _volume(n, "dx_row"), True)]


def _add(n, samples, first):
    reads = [("x", _volume(n, "x_row"), True), ("w", _volume(n, "w_row"), True)]
    return reads, [("y", _volume(n, "y_row"), True)]


def _multiply(n, samples, first):
    w = grid(0, (n["rows"], n["w_row"]), (n["columns"], n["w_column"]), (n["depth"], 1))
    return [("x", _volume(n, "x_row"), True), ("w", w, True)], [("y", _volume(n, "y_row"), True)]


def _multiply_sums(n, samples, first):
    reads = [("x", _volume(n, "x_row"), True), ("w", _volume(n, "w_row"), True)]
    return reads, [("sums", np.arange(n["depth"]), True)]


def _copy_channels(n, samples, first):
    pixels = [[(n["rows"], n[f"{side}_row"]), (n["columns"], n[f"{side}_depth"])] for side in "xy"]
    copied, cleared = (n["channels"], 1), (n["channels"] + n["clear"], 1)
    return [("x", grid(0, *pixels[0], copied), True)], [("y", grid(0, *pixels[1], cleared), True)]


def _lrn_backward(n, samples, first):
    reads = [("x", _volume(n, "x_row"), True), ("dy", _volume(n, "dy_row"), True)]
    return reads, [("dx", _volume(n, "dx_row"), True)]


def _pair(n, width="depth"):
    """Two rows, of sums or of scales and shifts."""
    return grid(0, (2, n["depth"]), (n[width], 1))


def _coefficients(n, *rows, width="depth"):
    """Some rows of `Normal`, or as much of them as is not padding."""
    return (np.array(rows)[:, None] * n["depth"] + np.arange(n[width])).ravel()


_KNOWN = (NormRow.FACTOR, NormRow.OFFSET, NormRow.MEAN, NormRow.INVERSE)
_OF_GRADIENTS = (NormRow.CONSTANT, NormRow.SLOPE, NormRow.SCALE_GRADIENT, NormRow.SHIFT_GRADIENT)


def _channel_moments(n, samples, first):
    return [("x", _volume(n, "x_row"), True)], [("moments", _pair(n), True)]


def _batch_statistics(n, samples, first):
    running = ("running", _pair(n), False)
    reads = [("moments", _pair(n), True), ("scales", _pair(n), False), running]
    return reads, [("coefficients", _coefficients(n, *_KNOWN), False), running]


def _running_statistics(n, samples, first):
    reads = [("scales", _pair(n), False), ("running", _pair(n), False)]
    return reads, [("coefficients", _coefficients(n, *_KNOWN, NormRow.CONSTANT, NormRow.SLOPE), False)]


def _batch_gradients(n, samples, first):
    reads = [("sums", _pair(n), True), ("coefficients", _coefficients(n, NormRow.FACTOR, NormRow.INVERSE), False)]
    return reads, [("coefficients", _coefficients(n, *_OF_GRADIENTS), False)]


def _layer_statistics(n, samples, first):
    reads = [("moments", _pair(n, "channels"), True), ("scales", _pair(n, "channels"), True)]
    return reads, [("coefficients", _coefficients(n, *NormRow), True)]


def _layer_gradients(n, samples, first):
    reads = [
        ("sums", _pair(n, "channels"), True),
        ("scales", np.arange(n["channels"]), True),
        ("coefficients", _coefficients(n, NormRow.INVERSE, width="channels"), True),
    ]
    if not first:
        reads.append(("dscales", _pair(n, "channels"), True))
    written = _coefficients(n, NormRow.CONSTANT, NormRow.SLOPE, width="channels")
    return reads, [("dscales", _pair(n) if first else _pair(n, "channels"), True), ("coefficients", written, True)]


def _normalise(n, samples, first):
    coefficients = ("coefficients", _coefficients(n, NormRow.FACTOR, NormRow.OFFSET), True)
    return [("x", _volume(n, "x_row"), True), coefficients], [("y", _volume(n, "y_row"), True)]


def _normalise_sums(n, samples, first):
    dy = ("dy", _volume(n, "dy_row"), True)
    reads = [dy, ("x", _volume(n, "x_row"), True), ("coefficients", _coefficients(n, *_KNOWN), True)]
    return reads, [("sums", _pair(n), True), *([dy] if n["relu"] else [])]


def _normalise_backward(n, samples, first):
    known = _coefficients(n, NormRow.FACTOR, NormRow.MEAN, NormRow.CONSTANT, NormRow.SLOPE)
    reads = [("dy", _volume(n, "dy_row"), True), ("x", _volume(n, "x_row"), True), ("coefficients", known, True)]
    return reads, [("dx", _volume(n, "dx_row"), True)]


def _taps(n):
    """The elements of x that a sum with a filter for each channel reads."""
    loops = [("rows", "x_row"), ("columns", "x_column"), ("T", "x_t"), ("R", "x_r")]
    return grid(0, *[(n[count], n[stride]) for count, stride in loops], (n["depth"], 1))


def _depthwise(n, samples, first):
    reads = [
        ("x", _taps(n), True),
        ("w", grid(0, (n["T"], n["w_t"]), (n["R"], n["w_r"]), (n["channels"], n["w_c"])), False),
    ]
    if n["has_bias"]:
        reads.append(("bias", np.arange(n["depth"]), False))
    y = grid(0, (n["rows"], n["y_row"]), (n["columns"], n["y_column"]), (n["depth"], 1))
    return reads, [("y", y, True)]


def _depthwise_weights(n, samples, first):
    dw = ("dw", grid(0, (n["T"], n["dw_t"]), (n["R"], n["dw_r"]), (n["channels"], n["dw_c"])), False)
    reads = [("x", _taps(n), True), ("dy", _volume(n, "dy_row"), True)]
    return reads + ([] if first else [dw]), [dw]


REACH = {
    Op.LOAD_IMAGES: _load,
    Op.CONTRACT: _contract,
    Op.CLEAR: _clear,
    Op.CLEAR_BORDER: _clear_border,
    Op.RELU: _of_each,
    Op.BIAS_RELU_BACKWARD: _bias_relu_backward,
    Op.MAX_POOL: _pool,
    Op.MAX_POOL_BACKWARD: _max_pool_backward,
    Op.SOFTMAX_CROSS_ENTROPY: _cross_entropy,
    Op.SIGMOID_CROSS_ENTROPY: _loss_of_outputs,
    Op.REGRESSION_LOSS: _loss_of_outputs,
    Op.STORE_SCORES: _store_scores,
    Op.AVERAGE_POOL: _pool,
    Op.AVERAGE_POOL_BACKWARD: _average_pool_backward,
    Op.PRELU: _prelu,
    Op.PRELU_SLOPES: _prelu_slopes,
    Op.ACTIVATE: _of_each,
    Op.ACTIVATE_BACKWARD: _activate_backward,
    Op.DROPOUT: _of_each,
    Op.ADD: _add,
    Op.MULTIPLY: _multiply,
    Op.MULTIPLY_SUMS: _multiply_sums,
    Op.COPY_CHANNELS: _copy_channels,
    Op.LRN: _of_each,
    Op.LRN_BACKWARD: _lrn_backward,
    Op.CHANNEL_MOMENTS: _channel_moments,
    Op.BATCH_STATISTICS: _batch_statistics,
    Op.RUNNING_STATISTICS: _running_statistics,
    Op.LAYER_STATISTICS: _layer_statistics,
    Op.NORMALISE: _normalise,
    Op.NORMALISE_SUMS: _normalise_sums,
    Op.BATCH_GRADIENTS: _batch_gradients,
    Op.LAYER_GRADIENTS: _layer_gradients,
    Op.NORMALISE_BACKWARD: _normalise_backward,
    Op.DEPTHWISE: _depthwise,
    Op.DEPTHWISE_WEIGHTS: _depthwise_weights,
    Op.TRANSFORM: _transform,
}
