"""NORM's instructions, each alone on a machine: what they read and write in one memory."""

import numpy as np

from skconvnet.engine.program.instructions import INSTRUCTIONS, NormRow, Op, SegmentKind, Space
from tests.engine.cpu.programs import Memory, elements, framed, operand, run

__all__ = ["NO_BORDER", "Bench", "drawn", "known", "moments_of", "of_gradients", "scales_and_shifts", "two"]

NO_BORDER = (0, 0, 0, 0)


class Bench:
    """Volumes, sums, coefficients, scales and running statistics in one memory, and the instructions on them.

    `run` executes instructions: that of `tests.engine.cpu.programs`, or of another machine.
    """

    def __init__(self, x, dy=None, *, scale=None, shift=None, channels=None, borders=(NO_BORDER,) * 4, run=run):
        self._run = run
        self.shape = x.shape
        self.samples, self.rows, self.columns, self.depth = x.shape
        self.channels = channels or self.depth
        own = max(512, 8 * self.depth)  # what the sums of one sample, or its coefficients, take at most
        memory, ones = Memory(fill=77), np.ones(self.depth)
        volumes = {"x": x, "y": np.full_like(x, 66), "dy": x if dy is None else dy, "dx": np.full_like(x, 66)}
        self.places, self.row = {}, {}
        for (name, volume), border in zip(volumes.items(), borders, strict=True):
            place = operand(memory, framed(volume, border, 99), border, Space.BATCH)
            self.places[name], self.row[name] = place
        self.places["sums"] = (Space.BATCH, memory.put(np.full(self.samples * own, 55)), own)
        self.places["own"] = (Space.BATCH, memory.put(np.full(self.samples * own, 55)), own)
        self.places["all"] = (Space.SHARED, memory.put(np.full(own, 55)), 0)
        pair = [ones if given is None else given for given in (scale, shift)]
        self.places["scales"] = (Space.PARAMETERS, memory.put(np.concatenate(pair)), 0)
        self.places["running"] = (Space.PARAMETERS, memory.put(np.repeat([0.0, 1.0], self.depth)), 0)
        self.places["gradients"] = (Space.SHARD, memory.put(np.full(4 * own, 44)), 0)
        self.memory = memory.array()

    def run(self, op, operands, *, kind=SegmentKind.PER_SAMPLE, **numbers):
        """Run one instruction; its operands by the names of places, its row distances by those of volumes."""
        given = {"rows": self.rows, "columns": self.columns, "depth": self.depth, "channels": self.channels}
        given |= {"pixels": self.rows * self.columns} | numbers | {f"{of}_row": self.row[of] for of in self.row}
        settings = {name: given.pop(name) for name in ("micro_batch", "shard_size", "slot") if name in given}
        numbers = {name: given[name] for name in INSTRUCTIONS[op].numbers}
        places = {name: self.places[place] for name, place in operands.items()}
        before = self.memory.copy()
        self._run([(op, places, numbers)], self.memory, samples=self.samples, kind=kind, **settings)
        return before

    def moments(self):
        return self.run(Op.CHANNEL_MOMENTS, {"x": "x", "moments": "sums"})

    def batch_statistics(self, momentum=0.1, eps=1e-5):
        operands = {"moments": "sums", "scales": "scales", "running": "running", "coefficients": "all"}
        return self.run(Op.BATCH_STATISTICS, operands, kind=SegmentKind.REDUCE, momentum=momentum, eps=eps)

    def layer_statistics(self, eps=1e-5):
        return self.run(Op.LAYER_STATISTICS, {"moments": "sums", "scales": "scales", "coefficients": "own"}, eps=eps)

    def normalise(self, coefficients, relu=False):
        return self.run(Op.NORMALISE, {"x": "x", "coefficients": coefficients, "y": "y"}, relu=relu)

    def sums(self, coefficients, relu=False):
        return self.run(
            Op.NORMALISE_SUMS, {"dy": "dy", "x": "x", "coefficients": coefficients, "sums": "sums"}, relu=relu
        )

    def batch_gradients(self):
        return self.run(Op.BATCH_GRADIENTS, {"sums": "sums", "coefficients": "all"}, kind=SegmentKind.REDUCE)

    def layer_gradients(self, **settings):
        operands = {"sums": "sums", "scales": "scales", "dscales": "gradients", "coefficients": "own"}
        return self.run(Op.LAYER_GRADIENTS, operands, **settings)

    def backward(self, coefficients):
        return self.run(Op.NORMALISE_BACKWARD, {"dy": "dy", "x": "x", "coefficients": coefficients, "dx": "dx"})

    def where(self, name, rows=None):
        """Indices of a volume's elements, or of the rows of a table: (samples, rows, depth)."""
        if name in self.row:
            return elements(self.places[name], self.shape, self.row[name])
        _, offset, stride = self.places[name]
        samples = np.arange(self.samples if stride else 1)[:, None, None] * stride
        return offset + samples + np.array(rows)[:, None] * self.depth + np.arange(self.depth)

    def __getitem__(self, name):
        return self.memory[self.where(name)]

    def table(self, name, rows):
        found = self.memory[self.where(name, rows)].astype(float)
        return found if self.places[name][2] else found[0]


def drawn(shape, seed=0, mean=0.0):
    return (mean + np.random.default_rng(seed).standard_normal(shape)).astype(np.float32)


def scales_and_shifts(depth):
    rng = np.random.default_rng(depth)
    return rng.uniform(0.5, 2, depth).astype(np.float32), rng.standard_normal(depth).astype(np.float32)


def moments_of(x):
    """Means and sums of squares around them, sample by sample: (samples, 2, depth)."""
    x = x.astype(float)
    means = x.mean((1, 2))
    return np.stack([means, ((x - means[:, None, None]) ** 2).sum((1, 2))], axis=1)


two = (0, 1)
known = (NormRow.FACTOR, NormRow.OFFSET, NormRow.MEAN, NormRow.INVERSE)
of_gradients = (NormRow.CONSTANT, NormRow.SLOPE, NormRow.SCALE_GRADIENT, NormRow.SHIFT_GRADIENT)
