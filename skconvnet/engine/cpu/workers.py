"""The workers: how threads divide the segments of a plan among themselves."""

import numpy as np
from numba import prange

from skconvnet.engine.cpu.calls import Call
from skconvnet.engine.cpu.compile import kernel
from skconvnet.engine.cpu.kernels.convolution import describe, part_of, rows_of
from skconvnet.engine.cpu.kernels.optimizer import adam, sgd, sum_slots, turn
from skconvnet.engine.cpu.llvm.pointers import array_at, call, call_with
from skconvnet.engine.program.instructions import (
    INSTRUCTIONS,
    WIDTH,
    Block,
    Descriptor,
    Layout,
    Op,
    Rule,
    Segment,
    SegmentKind,
    Space,
    Task,
)

__all__ = ["run_segments", "work"]

_X, _W, _START, _Y = map(INSTRUCTIONS[Op.CONTRACT].operand, ("a", "b", "start", "c"))
_FRAME = len(Space) + 1  # an address for each space, then the first sample of the micro-batch
_N_DESCRIPTOR, _N_TASK, _N_CALL, _N_LAYOUT, _N_RULE, _N_BLOCK, _N_SEGMENT = map(
    len, (Descriptor, Task, Call, Layout, Rule, Block, Segment)
)
_OWN = max(_N_DESCRIPTOR, _N_CALL)
_FIRST = np.True_  # for `True` Numba would compile a second variant of what takes it


@kernel
def _address(code, operand, frame):
    """Address of an instruction's operand, for the first sample of the micro-batch."""
    space, offset, stride = code[operand], code[operand + 1], code[operand + 2]
    if space == Space.BATCH:
        offset += frame[-1] * stride
    return frame[space] + 4 * offset


@kernel
def _execute(code, frame, own, samples, first, task):
    """Execute one instruction on `samples` samples; `own` is the worker's place for what it hands on."""
    x, w = _address(code, _X, frame), _address(code, _W, frame)
    start, y = _address(code, _START, frame), _address(code, _Y, frame)
    op = code[0]
    if op == Op.CONTRACT:
        describe(code, own, x, w, start, y, samples, first)
        call(task[Task.CONTRACT], own.ctypes.data)
        return
    own[Call.CODE], own[Call.TASK], own[Call.PLACE] = code.ctypes.data, task.ctypes.data, frame[-1]
    own[Call.X], own[Call.W], own[Call.START], own[Call.Y] = x, w, start, y
    own[Call.SAMPLES], own[Call.FIRST] = samples, first
    if op < Op.AVERAGE_POOL:
        call(task[Task.PLAIN], own.ctypes.data)
    elif op < Op.CHANNEL_MOMENTS:
        call(task[Task.FURTHER], own.ctypes.data)
    else:
        call(task[Task.NORMAL], own.ctypes.data)


@kernel
def _spaces(frame, layout, parameters, memory, worker):
    """Fill in the addresses of the spaces as `worker` sees them before it has a shard."""
    frame[Space.PARAMETERS] = parameters
    frame[Space.SHARED] = memory + 4 * layout[Layout.SHARED]
    frame[Space.BATCH] = memory + 4 * layout[Layout.BATCH]
    frame[Space.LOCAL] = memory + 4 * (layout[Layout.ARENAS] + worker * layout[Layout.ARENA_SIZE])
    frame[Space.SHARD] = memory + 4 * layout[Layout.SLOTS]
    frame[-1] = 0


@kernel
def _busy_workers(kind, layout):
    """How many workers have anything to do in a segment of this kind."""
    if kind == SegmentKind.REDUCE:
        return 1
    if kind == SegmentKind.PER_SAMPLE:
        shards = (layout[Layout.SAMPLES] + layout[Layout.SHARD_SIZE] - 1) // layout[Layout.SHARD_SIZE]
        return max(1, min(layout[Layout.WORKERS], shards))
    return layout[Layout.WORKERS]


@kernel
def _work_on_samples(worker, segment, program, layout, frame, own, task):
    """Take this worker's turns at the shards: shard `worker`, then every further one by the number of workers."""
    slots, samples, size = frame[Space.SHARD], layout[Layout.SAMPLES], layout[Layout.SHARD_SIZE]
    shards = (samples + size - 1) // size
    for shard in range(worker, shards, layout[Layout.WORKERS]):
        frame[Space.SHARD] = slots + 4 * shard * layout[Layout.SLOT_SIZE]
        begin, end = shard * size, min(samples, (shard + 1) * size)
        for place in range(begin, end, layout[Layout.MICRO_BATCH]):
            frame[-1] = place
            count = min(layout[Layout.MICRO_BATCH], end - place)
            for at in range(segment[Segment.FIRST], segment[Segment.LAST]):
                _execute(program[at], frame, own, count, place == begin, task)


@kernel
def _work_once(worker, segment, program, layout, frame, own, task):
    """Execute a segment that one worker does for all."""
    if worker == 0:
        for at in range(segment[Segment.FIRST], segment[Segment.LAST]):
            _execute(program[at], frame, own, layout[Layout.SAMPLES], _FIRST, task)


@kernel
def _work_on_parts(worker, segment, program, layout, frame, own, task):
    """Compute this worker's part of each contraction over the whole batch."""
    for at in range(segment[Segment.FIRST], segment[Segment.LAST]):
        code = program[at]
        x, w = _address(code, _X, frame), _address(code, _W, frame)
        start, y = _address(code, _START, frame), _address(code, _Y, frame)
        describe(code, own, x, w, start, y, layout[Layout.SAMPLES], _FIRST)
        part_of(own, worker, layout[Layout.WORKERS])
        call(task[Task.CONTRACT], own.ctypes.data)


@kernel
def _gradient(block, program, layout, frame, own, task):
    """Bring a block's gradient over the whole batch together and return its address."""
    size, samples = layout[Layout.SHARD_SIZE], layout[Layout.SAMPLES]
    if block[Block.GRADIENT] >= 0:
        return frame[Space.SHARED] + 4 * block[Block.GRADIENT]
    if block[Block.CONTRACTION] < 0:
        gradient, count = frame[Space.SHARD] + 4 * block[Block.OFFSET], block[Block.ROWS] * block[Block.COLUMNS]
        sum_slots(gradient, layout[Layout.SLOT_SIZE], (samples + size - 1) // size, count)
        return gradient
    code = program[block[Block.CONTRACTION]]
    x, w = _address(code, _X, frame), _address(code, _W, frame)
    start, gradient = _address(code, _START, frame), _address(code, _Y, frame)
    describe(code, own, x, w, start, gradient, samples, _FIRST)
    rows_of(own, block[Block.FIRST_ROW], block[Block.ROWS])
    call(task[Task.CONTRACT], own.ctypes.data)
    return gradient


@kernel
def _update(block, gradient, parameters, task, rule):
    """Step one block of the parameters down its gradient."""
    at, count = 4 * block[Block.OFFSET], block[Block.ROWS] * block[Block.COLUMNS]
    p, m = parameters + at, task[Task.MOMENT_1] + at
    rate = np.float32(rule[Rule.RATE])
    decay = np.float32(rule[Rule.DECAY]) if block[Block.DECAY] else np.float32(0)
    beta_1 = np.float32(rule[Rule.BETA_1])
    if rule[Rule.ADAM] != 0:
        beta_2, epsilon = np.float32(rule[Rule.BETA_2]), np.float32(rule[Rule.EPSILON])
        v = task[Task.MOMENT_2] + at
        adam(p, gradient, m, v, count, rate, decay, beta_1, beta_2, epsilon, np.float32(rule[Rule.DEBIAS]))
    else:
        sgd(p, gradient, m, count, rate, decay, beta_1, rule[Rule.NESTEROV] != 0)


@kernel
def _work_on_blocks(worker, kind, blocks, program, layout, frame, own, task, rule):
    """Take this worker's turns at the blocks of parameters."""
    for at in range(worker, blocks.shape[0], layout[Layout.WORKERS]):
        block = blocks[at]
        if kind != SegmentKind.TRANSPOSE:
            gradient = _gradient(block, program, layout, frame, own, task)
            _update(block, gradient, frame[Space.PARAMETERS], task, rule)
        if block[Block.TRANSPOSED] >= 0:
            p = frame[Space.PARAMETERS] + 4 * block[Block.OFFSET]
            turned = frame[Space.SHARED] + 4 * block[Block.TRANSPOSED]
            turn(p, turned, block[Block.ROWS], block[Block.COLUMNS], block[Block.TRANSPOSED_STRIDE])


def work(worker, task_at):
    """Do one worker's share of the task's segment: ``void (int64 worker, int64 task)``."""
    task = array_at(task_at, (_N_TASK,), np.int64)
    layout = array_at(task[Task.LAYOUT], (_N_LAYOUT,), np.int64)
    segment = array_at(task[Task.SEGMENT], (_N_SEGMENT,), np.int64)
    program = array_at(task[Task.PROGRAM], (task[Task.INSTRUCTIONS], WIDTH), np.int64)
    rule = array_at(task[Task.RULE], (_N_RULE,), np.float64)
    frame, own = np.empty(_FRAME, np.int64), np.empty(_OWN, np.int64)
    _spaces(frame, layout, task[Task.PARAMETERS], task[Task.MEMORY], worker)
    if segment[Segment.KIND] == SegmentKind.PER_SAMPLE:
        _work_on_samples(worker, segment, program, layout, frame, own, task)
    elif segment[Segment.KIND] == SegmentKind.REDUCE:
        _work_once(worker, segment, program, layout, frame, own, task)
    elif segment[Segment.KIND] == SegmentKind.SPLIT:
        _work_on_parts(worker, segment, program, layout, frame, own, task)
    else:
        blocks = array_at(task[Task.BLOCKS], (task[Task.N_BLOCKS], _N_BLOCK), np.int64)
        _work_on_blocks(worker, segment[Segment.KIND], blocks, program, layout, frame, own, task, rule)


def run_segments(task_at):
    """Run the segments of the task at an address, one after the other, each by all its workers.

    A single worker runs in the calling thread: a forked child has no other thread, and waking one takes time.
    """
    task = array_at(task_at, (_N_TASK,), np.int64)
    layout = array_at(task[Task.LAYOUT], (_N_LAYOUT,), np.int64)
    for segment in range(task[Task.N_SEGMENTS]):
        task[Task.SEGMENT] = task[Task.SEGMENTS] + 8 * _N_SEGMENT * segment
        workers = _busy_workers(array_at(task[Task.SEGMENT], (_N_SEGMENT,), np.int64)[Segment.KIND], layout)
        if workers == 1:
            call_with(task[Task.WORK], 0, task_at)
        else:
            for worker in prange(workers):
                call_with(task[Task.WORK], worker, task_at)
