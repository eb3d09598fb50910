"""Workers: how the threads of the CPU machine divide a plan.

A training step of a plan with two segments, on two workers::

    batch     | shard 0     | shard 1     | shard 2     | shard 3     |    cut by the plan alone
              | m  m  m     | m  m  m     | m  m  m     | m  m        |    micro-batches, a few samples each
              +-------------+-------------+-------------+-------------+
    worker 0  | 1st turn    |             | 2nd turn    |             |    in arena 0
    worker 1  |             | 1st turn    |             | 2nd turn    |    in arena 1
              +-------------+-------------+-------------+-------------+
    gradients | slot 0      | slot 1      | slot 2      | slot 3      |    one slot for each shard
              ================= barrier: end of the segment ===========
    update    | block 0: worker 0 | block 1: worker 1 | block 2: worker 0 | ...

1. A worker takes one micro-batch of its shard through all instructions of the segment, forward and backward. The
   activations are in the worker's arena, which stays in its cache.
2. The gradients of a shard's micro-batches are added up in the shard's slot.
3. At a barrier all workers wait: for a layer that needs the whole batch, or for the update.
4. In the update a worker adds up the slots for a block of parameters, in the order of the shards, and takes the
   optimizer's step.

Each worker has a queue of turns. A worker whose queue is empty takes turns from those of the others, so that a worker
that is slow, or that its processor has not begun yet, costs the others little. The first worker to come finds all turns
waiting, and the last one finds none: a segment ends when its turns are done, whoever was there to do them.

Workers and their number decide only who takes which turn. So they cannot change a bit of the result.
"""

import numpy as np
from numba import prange

from skconvnet.engine.cpu.compile import kernel
from skconvnet.engine.cpu.kernels.optimizer import adam, sgd, sum_slots, transpose
from skconvnet.engine.cpu.llvm.atomics import add_to, wait_for
from skconvnet.engine.cpu.llvm.pointers import array_at, call, call_with
from skconvnet.engine.cpu.task import Contraction, InstructionCall, Layout, Task
from skconvnet.engine.program.instructions import WIDTH, Block, Op, Rule, Segment, SegmentKind, Space

__all__ = ["run_segments", "work"]

_OPERANDS = int(InstructionCall.OPERAND_0)
_N_CALL = len(InstructionCall) + len(Contraction)
_N_FRAME = len(Space) + 1  # an address for each space, then the place of the micro-batch's first sample in the batch
_N_TASK, _N_LAYOUT, _N_RULE, _N_BLOCK, _N_SEGMENT, _N_OPS = map(len, (Task, Layout, Rule, Block, Segment, Op))
_FIRST = np.True_  # for `True` Numba would compile a second variant of what takes it


@kernel
def _layout_of(task):
    return array_at(task[Task.LAYOUT], (_N_LAYOUT,), np.int64)


@kernel
def _segments_of(task):
    return array_at(task[Task.SEGMENTS], (task[Task.N_SEGMENTS], _N_SEGMENT), np.int64)


@kernel
def _program_of(task):
    return array_at(task[Task.PROGRAM], (task[Task.N_INSTRUCTIONS], WIDTH), np.int64)


@kernel
def _n_shards(layout):
    return (layout[Layout.SAMPLES] + layout[Layout.SHARD_SIZE] - 1) // layout[Layout.SHARD_SIZE]


@kernel
def _fill_frame(frame, layout, task, worker):
    """Write the addresses of the spaces as `worker` sees them before its first turn at a segment."""
    memory = task[Task.MEMORY]
    frame[Space.PARAMETERS] = task[Task.PARAMETERS]
    frame[Space.SHARED] = memory + 4 * layout[Layout.SHARED]
    frame[Space.BATCH] = memory + 4 * layout[Layout.BATCH]
    frame[Space.LOCAL] = memory + 4 * (layout[Layout.ARENAS] + worker * layout[Layout.ARENA_SIZE])
    frame[Space.SHARD] = memory + 4 * layout[Layout.SLOTS]
    frame[-1] = 0


@kernel
def _execute(code, task, frame, made, samples, first):
    """Execute one instruction on `samples` samples; `made` is the worker's `InstructionCall`, overwritten."""
    for operand in range(4):
        space, offset, stride = code[1 + 3 * operand], code[2 + 3 * operand], code[3 + 3 * operand]
        if space == Space.BATCH:
            offset += frame[-1] * stride
        made[_OPERANDS + operand] = frame[space] + 4 * offset
    made[InstructionCall.CODE], made[InstructionCall.PLACE] = code.ctypes.data, frame[-1]
    made[InstructionCall.SAMPLES], made[InstructionCall.FIRST] = samples, first
    entries = array_at(task[Task.ENTRIES], (_N_OPS,), np.int64)
    call(entries[code[0]], made.ctypes.data)


@kernel
def _take_shard(shard, segment, task, frame, made):
    """Take a shard through the segment, one micro-batch after the other."""
    layout, program = _layout_of(task), _program_of(task)
    size = layout[Layout.SHARD_SIZE]
    frame[Space.SHARD] = task[Task.MEMORY] + 4 * (layout[Layout.SLOTS] + shard * layout[Layout.SLOT_SIZE])
    begin, end = shard * size, min(layout[Layout.SAMPLES], (shard + 1) * size)
    for place in range(begin, end, layout[Layout.MICRO_BATCH]):
        frame[-1] = place
        count = min(layout[Layout.MICRO_BATCH], end - place)
        for at in range(segment[Segment.FIRST], segment[Segment.LAST]):
            _execute(program[at], task, frame, made, count, place == begin)


@kernel
def _take_whole_batch(segment, task, frame, made):
    """Execute a segment on all samples at once."""
    program, samples = _program_of(task), _layout_of(task)[Layout.SAMPLES]
    for at in range(segment[Segment.FIRST], segment[Segment.LAST]):
        _execute(program[at], task, frame, made, samples, _FIRST)


@kernel
def _gradient(block, task, frame, made):
    """Reduce a block's gradient over the whole batch, and return its address."""
    if block[Block.GRADIENT] >= 0:
        return frame[Space.SHARED] + 4 * block[Block.GRADIENT]
    layout = _layout_of(task)
    if block[Block.CONTRACTION] < 0:
        gradient, count = frame[Space.SHARD] + 4 * block[Block.OFFSET], block[Block.ROWS] * block[Block.COLUMNS]
        sum_slots(gradient, layout[Layout.SLOT_SIZE], _n_shards(layout), count)
        return gradient
    made[InstructionCall.FIRST_ROW], made[InstructionCall.ROWS] = block[Block.FIRST_ROW], block[Block.ROWS]
    _execute(_program_of(task)[block[Block.CONTRACTION]], task, frame, made, layout[Layout.SAMPLES], _FIRST)
    return made[_OPERANDS + 3]


@kernel
def _update(block, gradient, task):
    """Take the optimizer's step for one block of parameters."""
    at, count = 4 * block[Block.OFFSET], block[Block.ROWS] * block[Block.COLUMNS]
    rule = array_at(task[Task.RULE], (_N_RULE,), np.float64)
    p, m = task[Task.PARAMETERS] + at, task[Task.MOMENT_1] + at
    in_body = block[Block.IN_BODY] != 0
    rate = np.float32(rule[Rule.BODY_RATE] if in_body else rule[Rule.RATE])
    decay = np.float32(0)
    if block[Block.DECAY]:
        decay = np.float32(rule[Rule.BODY_DECAY] if in_body else rule[Rule.DECAY])
    beta_1 = np.float32(rule[Rule.BETA_1])
    if rule[Rule.ADAM] != 0:
        beta_2, epsilon = np.float32(rule[Rule.BETA_2]), np.float32(rule[Rule.EPSILON])
        v = task[Task.MOMENT_2] + at
        adam(p, gradient, m, v, count, rate, decay, beta_1, beta_2, epsilon, np.float32(rule[Rule.DEBIAS]))
    else:
        sgd(p, gradient, m, count, rate, decay, beta_1, rule[Rule.NESTEROV] != 0)


@kernel
def _take_block(block, segment, task, frame, made):
    """Update a block of parameters, unless only its transposed copy is wanted, and write that copy."""
    if segment[Segment.KIND] == SegmentKind.UPDATE:
        _update(block, _gradient(block, task, frame, made), task)
    if block[Block.TRANSPOSED] >= 0:
        p = frame[Space.PARAMETERS] + 4 * block[Block.OFFSET]
        transposed = frame[Space.SHARED] + 4 * block[Block.TRANSPOSED]
        transpose(p, transposed, block[Block.ROWS], block[Block.COLUMNS], block[Block.TRANSPOSED_STRIDE])


@kernel
def _turns(segment, task):
    """Return the first turn of a segment in this call, and the one behind the last."""
    layout, kind = _layout_of(task), segment[Segment.KIND]
    workers = layout[Layout.WORKERS]
    if kind == SegmentKind.PER_SAMPLE:
        return workers * task[Task.FIRST_TURN], min(_n_shards(layout), workers * task[Task.LAST_TURN])
    if kind == SegmentKind.UPDATE or kind == SegmentKind.TRANSPOSE:
        return 0, task[Task.N_BLOCKS]
    return 0, workers if kind == SegmentKind.SPLIT else 1


@kernel
def _take_turn(turn, segment, task, frame, made):
    """Do a turn: a shard, a block of parameters, a part of the instructions, or all of the segment."""
    kind = segment[Segment.KIND]
    if kind == SegmentKind.PER_SAMPLE:
        _take_shard(turn, segment, task, frame, made)
    elif kind == SegmentKind.UPDATE or kind == SegmentKind.TRANSPOSE:
        blocks = array_at(task[Task.BLOCKS], (task[Task.N_BLOCKS], _N_BLOCK), np.int64)
        _take_block(blocks[turn], segment, task, frame, made)
    else:
        if kind == SegmentKind.SPLIT:
            made[InstructionCall.PART], made[InstructionCall.PARTS] = turn, _layout_of(task)[Layout.WORKERS]
        _take_whole_batch(segment, task, frame, made)


@kernel
def _take_turns(worker, segment, taken, task, frame, made):
    """Take this worker's turns at a segment, then turns that other workers have not begun, and wait for all.

    At address `taken` there is a counter of the turns that were begun in each worker's queue, and behind them one of
    the turns that are done.
    """
    workers = _layout_of(task)[Layout.WORKERS]
    first, last = _turns(segment, task)
    for other in range(worker, worker + workers):
        queue = other % workers
        turn = first + queue + workers * add_to(taken + 8 * queue, 1)
        while turn < last:
            _take_turn(turn, segment, task, frame, made)
            add_to(taken + 8 * workers, 1)
            turn = first + queue + workers * add_to(taken + 8 * queue, 1)
    wait_for(taken + 8 * workers, last - first)


def work(worker, task_at):
    """Take one worker's part in all segments of the task at an address."""
    task = array_at(task_at, (_N_TASK,), np.int64)
    layout, segments = _layout_of(task), _segments_of(task)
    frame, made = np.empty(_N_FRAME, np.int64), np.empty(_N_CALL, np.int64)
    for at in range(segments.shape[0]):
        _fill_frame(frame, layout, task, worker)
        made[InstructionCall.TASK], made[InstructionCall.ROWS] = task_at, 0
        made[InstructionCall.PART], made[InstructionCall.PARTS] = 0, 1
        taken = task[Task.TAKEN] + 8 * at * (layout[Layout.WORKERS] + 1)
        _take_turns(worker, segments[at], taken, task, frame, made)


@kernel
def _busy_workers(task):
    """Return how many workers have something to do in one of the segments."""
    segments, workers, most = _segments_of(task), _layout_of(task)[Layout.WORKERS], 1
    for at in range(segments.shape[0]):
        first, last = _turns(segments[at], task)
        most = max(most, min(workers, last - first))
    return most


def run_segments(task_at):
    """Run the segments of the task at an address, one after the other, each by all its workers.

    A single worker runs in the calling thread: a forked child has no other thread, and waking one takes time.
    """
    task = array_at(task_at, (_N_TASK,), np.int64)
    taken = array_at(task[Task.TAKEN], (task[Task.N_SEGMENTS] * (_layout_of(task)[Layout.WORKERS] + 1),), np.int64)
    for at in range(taken.size):
        taken[at] = 0
    workers = _busy_workers(task)
    if workers == 1:
        call_with(task[Task.WORK], 0, task_at)
    else:
        for worker in prange(workers):
            call_with(task[Task.WORK], worker, task_at)
