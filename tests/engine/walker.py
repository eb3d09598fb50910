"""A walk through a plan: which float32 every instruction reads and writes, worked out from its numbers alone.

Nothing is computed. Memory is a shadow that remembers who wrote each element last, so that the walk can say where an
address leaves its space, where something is read that nothing has written, and whose values every instruction reads.
"""

from dataclasses import dataclass, field

import numpy as np

from skconvnet.engine.program import FIRST_NUMBER, NUMBERS, OPERANDS, Block, Op, Samples, Space

NOBODY, THE_TURN = -1, -2  # writers that are no instruction
_LANES = 16  # what a sum that starts from zeros (start_q = 0) reads of them at most


class Trespass(AssertionError):
    """An instruction reads or writes where it must not."""


@dataclass
class Walk:
    """A walk of `n_samples` through a plan; `seen` is what each instruction read: whose values, in its own order."""

    plan: object
    n_parameters: int
    n_samples: int
    seen: list = field(default_factory=list)

    def __post_init__(self):
        plan, size = self.plan, self.plan.shard_size
        self.shadows = {
            Space.PARAMETERS: np.full(self.n_parameters, THE_TURN),
            Space.SHARED: np.full(plan.shared, NOBODY),
            Space.BATCH: np.full(plan.batch, NOBODY),
        }
        self.shadows[Space.SHARED][:64] = THE_TURN  # zeros, never written
        for block in plan.blocks:
            self._turn(block)
        last = plan.segments[0][2]
        for shard in range(0, self.n_samples, size):
            self.shadows[Space.SHARD] = np.full(plan.slot, NOBODY)
            end = min(self.n_samples, shard + size)
            for place in range(shard, end, plan.micro_batch):
                self.shadows[Space.LOCAL] = np.full(plan.arena, NOBODY)
                for number in range(last):
                    self._step(number, place, min(plan.micro_batch, end - place), place == shard)
            self._read("a slot", Space.SHARD, self._summed())
        for number in range(last, len(plan.program)):
            self._step(number, 0, self.n_samples, first=True, scratch=True)

    def _turn(self, block):
        parameters = block[Block.OFFSET] + np.arange(block[Block.ROWS] * block[Block.COLUMNS])
        self._inside("a block", Space.PARAMETERS, parameters)
        if block[Block.TURNED] >= 0:
            columns, rows = (block[Block.COLUMNS], block[Block.TURNED_STRIDE]), (block[Block.ROWS], 1)
            places = grid(block[Block.TURNED], columns, rows)
            self._inside("a turned block", Space.SHARED, places)
            if (self.shadows[Space.SHARED][places] != NOBODY).any():
                raise Trespass("a block is turned into the place of another")
            self._write("a turned block", Space.SHARED, places, THE_TURN)

    def _summed(self):
        """Elements of a slot that the update reads."""
        blocks = [block for block in self.plan.blocks if block[Block.CONTRACTION] < 0]
        return np.concatenate(
            [np.zeros(0, int), *(b[Block.OFFSET] + np.arange(b[Block.ROWS] * b[Block.COLUMNS]) for b in blocks)]
        )

    def _step(self, number, place, samples, first, scratch=False):
        code = self.plan.program[number]
        numbers = dict(zip(NUMBERS[Op(code[0])], code[FIRST_NUMBER:].tolist(), strict=False))
        name = f"{Op(code[0]).name} {number}"
        if scratch:  # an update computes the rows of one block at a time, into a place of that size
            self._scratch(name, number, numbers)
        reads, writes = REACH[Op(code[0])](numbers, samples, first)
        for operand, offsets, over_samples in reads:
            space, addresses = self._addresses(code, operand, offsets, place, samples if over_samples else 1)
            self.seen.append(self._read(name, space, addresses).copy())
        for operand, offsets, over_samples in [] if scratch else writes:
            space, addresses = self._addresses(code, operand, offsets, place, samples if over_samples else 1)
            self._write(name, space, addresses, number)

    def _scratch(self, name, number, numbers):
        for block in self.plan.blocks:
            if block[Block.CONTRACTION] == number:
                if block[Block.ROWS] * numbers["N"] > self.plan.arena:
                    raise Trespass(f"{name} has more rows than the arena holds")
                if block[Block.FIRST_ROW] + block[Block.ROWS] > numbers["J"] * numbers["M"]:
                    raise Trespass(f"{name} has fewer rows than its blocks")

    def _addresses(self, code, operand, offsets, place, samples):
        space, offset, stride = code[OPERANDS[operand] :][:3].tolist()
        here = offset + (place * stride if space == Space.BATCH else 0)
        return Space(space), grid(here, (samples, stride))[:, None] + offsets

    def _inside(self, name, space, addresses):
        size = self.shadows[space].size
        if addresses.size and not (addresses.min() >= 0 and addresses.max() < size):
            raise Trespass(f"{name} reaches {addresses.min()}..{addresses.max()} of {space.name}, which has {size}")

    def _read(self, name, space, addresses):
        self._inside(name, space, addresses)
        writers = self.shadows[space][addresses]
        if (writers == NOBODY).any():
            raise Trespass(f"{name} reads {(writers == NOBODY).sum()} of {space.name} that nothing has written")
        return writers

    def _write(self, name, space, addresses, writer):
        self._inside(name, space, addresses)
        self.shadows[space][addresses] = writer


def grid(offset, *loops):
    """All of offset + sum of index * stride, for loops of (count, stride), the last one fastest."""
    addresses = np.array([offset])
    for count, stride in loops:
        addresses = (addresses[:, None] + np.arange(count) * stride).ravel()
    return addresses


# What each instruction reads and writes: (operand, offsets, whether it does so for every sample).


def _contract(n, samples, first):
    counts = {letter: n[letter] for letter in "IJMTRK"}
    if n["samples"] != Samples.NONE:
        counts[Samples(n["samples"]).name] = samples
    columns = (n["N"], 1)

    def loops(operand, letters):
        names = {"i": "I", "j": "J", "p": "M", "t": "T", "r": "R", "k": "K"}
        return [(counts[names[letter]], n[f"{operand}_{letter}"]) for letter in letters]

    start = columns if n["start_q"] else (_LANES, 1)
    c = grid(0, *loops("c", "ijp"), columns)
    again = n["accumulate"] and not first
    reads = [
        ("X", grid(0, *loops("a", "ijptrk")), False),
        ("W", grid(0, *loops("b", "trk"), columns), False),
        ("Y", c, False) if again else ("START", grid(0, *loops("start", "ijp"), start), False),
    ]
    if np.unique(c).size != c.size:
        raise Trespass("a contraction writes an element twice")
    return reads, [("Y", c, False)]


def _load(n, samples, first):
    volume = grid(0, (n["rows"], n["y_row"]), (n["columns"], n["y_depth"]), (n["depth"], 1))
    return [], [("Y", volume, True)]


def _clear(n, samples, first):
    return [], [("Y", np.arange(n["size"]), True)]


def _clear_border(n, samples, first):
    rows, columns = np.ogrid[-n["top"] : n["rows"] + n["bottom"], -n["left"] : n["columns"] + n["right"]]
    outside = (rows < 0) | (rows >= n["rows"]) | (columns < 0) | (columns >= n["columns"])
    row = (n["left"] + n["columns"] + n["right"]) * n["depth"]
    pixels = (rows * row + columns * n["depth"])[outside]
    return [], [("Y", (pixels[:, None] + np.arange(n["depth"])).ravel(), True)]


def _volume(n, row, rows="rows", columns="columns"):
    return grid(0, (n[rows], n[row]), (n[columns] * n["depth"], 1))


def _relu(n, samples, first):
    return [("X", _volume(n, "x_row"), True)], [("Y", _volume(n, "y_row"), True)]


def _bias_relu_backward(n, samples, first):
    reads, writes = [("X", _volume(n, "x_row"), True)], []
    if n["relu"]:
        reads.append(("Y", _volume(n, "y_row"), True))
        writes.append(("W", _volume(n, "w_row"), True))
    if n["bias"]:
        bias = ("START", np.arange(n["depth"]), False)
        reads += [] if first else [bias]
        writes.append(bias)
    return reads, writes


def _windows(n, row):
    """What the windows of a POOL reach of a volume whose rows are n[row] apart."""

    def reached(extent, F, out):
        inside = [range(max(0, i * n["S"] - n["P"]), min(extent, i * n["S"] - n["P"] + F)) for i in range(out)]
        return sorted(set().union(*inside))

    rows = reached(n["rows"], n["F_rows"], n["rows_out"])
    columns = reached(n["columns"], n["F_columns"], n["columns_out"])
    pixels = (np.array(rows)[:, None] * n[row] + np.array(columns) * n["depth"]).ravel()
    return (pixels[:, None] + np.arange(n["depth"])).ravel()


def _max_pool(n, samples, first):
    out = _volume(n, "y_row", "rows_out", "columns_out")
    return [("X", _windows(n, "x_row"), True)], [("Y", out, True)]


def _max_pool_backward(n, samples, first):
    y, dy = (_volume(n, row, "rows_out", "columns_out") for row in ("y_row", "dy_row"))
    dx = ("W", _windows(n, "dx_row"), True)
    reads = [("X", _windows(n, "x_row"), True), ("Y", y, True), ("START", dy, True)]
    return reads + ([dx] if n["overlap"] else []), [dx]


def _cross_entropy(n, samples, first):
    return [("X", np.arange(n["classes"]), True)], [("Y", np.arange(n["depth"]), True)]


def _store_scores(n, samples, first):
    return [("X", np.arange(n["classes"]), True)], []


REACH = {
    Op.LOAD_IMAGES: _load,
    Op.CONTRACT: _contract,
    Op.CLEAR: _clear,
    Op.CLEAR_BORDER: _clear_border,
    Op.RELU: _relu,
    Op.BIAS_RELU_BACKWARD: _bias_relu_backward,
    Op.MAX_POOL: _max_pool,
    Op.MAX_POOL_BACKWARD: _max_pool_backward,
    Op.CROSS_ENTROPY: _cross_entropy,
    Op.STORE_SCORES: _store_scores,
}
