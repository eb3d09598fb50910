"""Programs of a few instructions, run on the machine: each kernel can be asked alone, without compiling anything."""

from types import SimpleNamespace

import numpy as np
from hypothesis import strategies as st

from skconvnet.engine.cpu.execution import Execution
from skconvnet.engine.images import NO_PIXELS
from skconvnet.engine.plan.plan import Plan
from skconvnet.engine.program.instructions import WIDTH, Block, SegmentKind, Space, encode
from skconvnet.engine.program.memory import aligned_zeros

__all__ = [
    "Memory",
    "assert_only_written",
    "borders",
    "elements",
    "execute_on",
    "framed",
    "inside",
    "margin",
    "operand",
    "run",
    "shapes",
    "shared",
    "small",
    "volumes_of",
]

NO_MOMENTS = np.zeros((2, 0), np.float32)


class Memory:
    """Float32 memory with room around each array that is put in it, and 64 zeros at its beginning, where sums start."""

    def __init__(self, fill=0.0):
        self.fill = fill
        self.parts = []
        self.size = 64

    def put(self, values, before=0, after=0):
        """Add an array; returns its offset."""
        values = np.asarray(values, np.float32).ravel()
        offset = self.size + before
        self.parts.append((offset, values))
        self.size = -(-(offset + values.size + after + 64) // 16) * 16
        return offset

    def array(self):
        memory = aligned_zeros(self.size)
        memory[64:] = self.fill
        for offset, values in self.parts:
            memory[offset : offset + values.size] = values
        return memory


def run(
    instructions,
    memory,
    *,
    samples=1,
    micro_batch=16,
    shard_size=None,
    n_workers=1,
    slot=0,
    blocks=(),
    kind=SegmentKind.PER_SAMPLE,
    parameters=None,
    mean=(0,),
    scale=(1,),
    source=None,
    moments=NO_MOMENTS,
    **arrays,
):
    """Run one segment of (op, operands, numbers) on `memory`, in place; every space begins at its beginning."""
    rows = [encode(op, operands, numbers) for op, operands, numbers in instructions]
    plan = Plan(
        program=np.array(rows, np.int64).reshape(-1, WIDTH),
        zeros=np.zeros((0, WIDTH), np.int64),
        segments=np.array([[kind, 0, len(rows)]], np.int64),
        blocks=np.array(blocks, np.int64).reshape(-1, len(Block)),
        shared=0,
        batch=0,
        slot=slot,
        arena=0,
        micro_batch=micro_batch,
        shard_size=shard_size or samples,
        batch_size=samples,
    )
    network = SimpleNamespace(
        parameters=memory if parameters is None else parameters,
        mean=np.array(mean, np.float32),
        scale=np.array(scale, np.float32),
    )
    if source is None:
        source = NO_PIXELS, np.zeros(samples, np.int64)
    Execution(plan, network, n_workers, moments, memory).run(source, **arrays)


def shared(offset, stride=0):
    """An operand in shared memory."""
    return Space.SHARED, offset, stride


def framed(volumes, border, fill):
    """(samples, rows, columns, depth) in a frame of (top, left, bottom, right) pixels of `fill`."""
    top, left, bottom, right = border
    return np.pad(volumes, ((0, 0), (top, bottom), (left, right), (0, 0)), constant_values=fill)


def operand(memory, framed_volumes, border, space=Space.LOCAL):
    """Put framed volumes in memory; the operand of their pixels (0, 0), and the distance between two rows."""
    _, _, columns, depth = framed_volumes.shape
    first = (border[0] * columns + border[1]) * depth
    return (space, memory.put(framed_volumes) + first, framed_volumes[0].size), columns * depth


def elements(place, shape, row):
    """Where the volumes at an operand are in memory: indices, (samples, rows, columns, depth)."""
    samples, rows, columns, depth = shape
    _, offset, stride = place
    at = np.ix_(np.arange(samples) * stride, np.arange(rows) * row, np.arange(columns) * depth, np.arange(depth))
    return offset + sum(at)


def inside(memory, place, shape, row):
    """The volumes at an operand: (samples, rows, columns, depth)."""
    return memory[elements(place, shape, row)]


def assert_only_written(memory, before, *written):
    """Nothing but the elements at the indices `written` is not as it was."""
    kept = np.ones(memory.size, bool)
    for indices in written:
        kept[indices] = False
    np.testing.assert_array_equal(memory[kept], before[kept])


# Shapes and borders of volumes, for hypothesis.
small = st.integers(1, 5)
margin = st.integers(0, 3)
depths = st.sampled_from([8, 16, 24])
borders = st.tuples(margin, margin, margin, margin)
shapes = st.tuples(st.integers(1, 3), small, small, depths)


def volumes_of(shape, number):
    """`number` random float32 volumes."""
    return [np.random.default_rng(seed).standard_normal(shape).astype(np.float32) for seed in range(number)]


def execute_on(op, volumes, borders, numbers, rows, space=Space.LOCAL, run=run, **settings):
    """Run one instruction on `volumes`, {operand: volume}, each in a border. Return the last one after the run.

    `rows` maps the instruction's row strides to operands: {number: operand}. `run` is this module's, or that of another
    machine.
    """
    shape, memory = next(iter(volumes.values())).shape, Memory(fill=77)
    laid = {
        name: operand(memory, framed(volume, border, 99), border, space)
        for (name, volume), border in zip(volumes.items(), borders, strict=True)
    }
    memory = memory.array()
    before = memory.copy()
    numbers = {"rows": shape[1], "columns": shape[2], "depth": shape[3]} | numbers
    numbers |= {name: laid[of][1] for name, of in rows.items()}
    run([(op, {name: place for name, (place, _) in laid.items()}, numbers)], memory, samples=shape[0], **settings)
    written = elements(laid[name := [*volumes][-1]][0], volumes[name].shape, laid[name][1])
    assert_only_written(memory, before, written)
    return memory[written]
