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

The number of workers decides only who takes which turn. So it cannot change a bit of the result.
"""

import numpy as np
from numba import prange

from skconvnet.engine.cpu.compile import kernel
from skconvnet.engine.cpu.kernels.optimizer import adam, sgd, sum_slots, transpose
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
def _segment_of(task):
    return array_at(task[Task.SEGMENT], (_N_SEGMENT,), np.int64)


@kernel
def _program_of(task):
    return array_at(task[Task.PROGRAM], (task[Task.N_INSTRUCTIONS], WIDTH), np.int64)


@kernel
def _n_shards(layout):
    return (layout[Layout.SAMPLES] + layout[Layout.SHARD_SIZE] - 1) // layout[Layout.SHARD_SIZE]


@kernel
def _fill_frame(frame, layout, task, worker):
    """Write the addresses of the spaces as `worker` sees them before its first turn."""
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
def _take_shards(worker, task, frame, made):
    """Take this worker's turns at the shards, one micro-batch after the other through the segment."""
    layout, segment, program = _layout_of(task), _segment_of(task), _program_of(task)
    slots, workers, size = frame[Space.SHARD], layout[Layout.WORKERS], layout[Layout.SHARD_SIZE]
    last = min(_n_shards(layout), workers * task[Task.LAST_TURN])
    for shard in range(worker + workers * task[Task.FIRST_TURN], last, workers):
        frame[Space.SHARD] = slots + 4 * shard * layout[Layout.SLOT_SIZE]
        begin, end = shard * size, min(layout[Layout.SAMPLES], (shard + 1) * size)
        for place in range(begin, end, layout[Layout.MICRO_BATCH]):
            frame[-1] = place
            count = min(layout[Layout.MICRO_BATCH], end - place)
            for at in range(segment[Segment.FIRST], segment[Segment.LAST]):
                _execute(program[at], task, frame, made, count, place == begin)


@kernel
def _take_whole_batch(task, frame, made):
    """Execute a segment on all samples at once."""
    segment, program, samples = _segment_of(task), _program_of(task), _layout_of(task)[Layout.SAMPLES]
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
def _take_blocks(worker, task, frame, made):
    """Take this worker's turns at the blocks of parameters: update them, unless only the transposed copy is wanted."""
    blocks = array_at(task[Task.BLOCKS], (task[Task.N_BLOCKS], _N_BLOCK), np.int64)
    is_update = _segment_of(task)[Segment.KIND] == SegmentKind.UPDATE
    for at in range(worker, blocks.shape[0], _layout_of(task)[Layout.WORKERS]):
        block = blocks[at]
        if is_update:
            _update(block, _gradient(block, task, frame, made), task)
        if block[Block.TRANSPOSED] >= 0:
            p = frame[Space.PARAMETERS] + 4 * block[Block.OFFSET]
            transposed = frame[Space.SHARED] + 4 * block[Block.TRANSPOSED]
            transpose(p, transposed, block[Block.ROWS], block[Block.COLUMNS], block[Block.TRANSPOSED_STRIDE])


def work(worker, task_at):
    """Do one worker's share of the current segment of the task at an address."""
    task = array_at(task_at, (_N_TASK,), np.int64)
    layout, kind = _layout_of(task), _segment_of(task)[Segment.KIND]
    frame, made = np.empty(_N_FRAME, np.int64), np.empty(_N_CALL, np.int64)
    _fill_frame(frame, layout, task, worker)
    made[InstructionCall.TASK], made[InstructionCall.ROWS] = task_at, 0
    made[InstructionCall.PART], made[InstructionCall.PARTS] = 0, 1
    if kind == SegmentKind.PER_SAMPLE:
        _take_shards(worker, task, frame, made)
    elif kind == SegmentKind.UPDATE or kind == SegmentKind.TRANSPOSE:
        _take_blocks(worker, task, frame, made)
    else:
        if kind == SegmentKind.SPLIT:
            made[InstructionCall.PART], made[InstructionCall.PARTS] = worker, layout[Layout.WORKERS]
        _take_whole_batch(task, frame, made)


@kernel
def _busy_workers(task):
    """Return how many workers have something to do in the current segment."""
    layout, kind = _layout_of(task), _segment_of(task)[Segment.KIND]
    if kind == SegmentKind.REDUCE:
        return 1
    if kind == SegmentKind.PER_SAMPLE:
        return max(1, min(layout[Layout.WORKERS], _n_shards(layout)))
    return layout[Layout.WORKERS]


def run_segments(task_at):
    """Run the segments of the task at an address, one after the other, each by all its workers.

    A single worker runs in the calling thread: a forked child has no other thread, and waking one takes time.
    """
    task = array_at(task_at, (_N_TASK,), np.int64)
    for segment in range(task[Task.N_SEGMENTS]):
        task[Task.SEGMENT] = task[Task.SEGMENTS] + 8 * _N_SEGMENT * segment
        workers = _busy_workers(task)
        if workers == 1:
            call_with(task[Task.WORK], 0, task_at)
        else:
            for worker in prange(workers):
                call_with(task[Task.WORK], worker, task_at)
