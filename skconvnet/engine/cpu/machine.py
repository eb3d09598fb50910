"""The CPU machine: compiled once, it executes any program.

The batch is cut into shards and each shard into micro-batches; a worker takes one micro-batch after the other through
a whole segment of the program, forward and backward, in an arena that stays in its cache. What is cut where depends
on the plan alone: workers only take turns at the shards, so their number cannot change a bit of the result.
"""

import hashlib
import warnings
from functools import cache
from pathlib import Path
from threading import Lock

import numpy as np
from numba import cfunc, njit, prange, types

from skconvnet.engine.cpu.calls import Call
from skconvnet.engine.cpu.instructions import further, normal, plain
from skconvnet.engine.cpu.kernels.convolution import contract, describe, part_of, rows_of
from skconvnet.engine.cpu.kernels.optimizer import adam, sgd, sum_slots, turn
from skconvnet.engine.cpu.llvm.kernel import kernel
from skconvnet.engine.cpu.llvm.pointers import array_at, call, call_with
from skconvnet.engine.cpu.threads import are_lost, one_at_a_time, threads
from skconvnet.engine.program.instructions import (
    OPERANDS,
    WIDTH,
    Block,
    Descriptor,
    Layout,
    Op,
    Rule,
    Segment,
    Space,
    Task,
    Work,
)

__all__ = ["prepare", "prepare_all", "run"]


_X, _W, _START, _Y = OPERANDS.values()
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
    if kind == Work.ONCE:
        return 1
    if kind == Work.SAMPLES:
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
        if kind != Work.TURN:
            gradient = _gradient(block, program, layout, frame, own, task)
            _update(block, gradient, frame[Space.PARAMETERS], task, rule)
        if block[Block.TURNED] >= 0:
            p, turned = frame[Space.PARAMETERS] + 4 * block[Block.OFFSET], frame[Space.SHARED] + 4 * block[Block.TURNED]
            turn(p, turned, block[Block.ROWS], block[Block.COLUMNS], block[Block.TURNED_STRIDE])


@kernel
def _work(worker, task):
    """Do one worker's share of one segment."""
    layout = array_at(task[Task.LAYOUT], (_N_LAYOUT,), np.int64)
    segment = array_at(task[Task.SEGMENT], (_N_SEGMENT,), np.int64)
    program = array_at(task[Task.PROGRAM], (task[Task.INSTRUCTIONS], WIDTH), np.int64)
    rule = array_at(task[Task.RULE], (_N_RULE,), np.float64)
    frame, own = np.empty(_FRAME, np.int64), np.empty(_OWN, np.int64)
    _spaces(frame, layout, task[Task.PARAMETERS], task[Task.MEMORY], worker)
    if segment[Segment.KIND] == Work.SAMPLES:
        _work_on_samples(worker, segment, program, layout, frame, own, task)
    elif segment[Segment.KIND] == Work.ONCE:
        _work_once(worker, segment, program, layout, frame, own, task)
    elif segment[Segment.KIND] == Work.PARTS:
        _work_on_parts(worker, segment, program, layout, frame, own, task)
    else:
        blocks = array_at(task[Task.BLOCKS], (task[Task.N_BLOCKS], _N_BLOCK), np.int64)
        _work_on_blocks(worker, segment[Segment.KIND], blocks, program, layout, frame, own, task, rule)


def _stamp():
    """Return a digest of every source that is compiled into the entries: Numba's cache looks at this file alone."""
    here = Path(__file__).parent
    sources = [*sorted(here.rglob("*.py")), *sorted((here.parent / "program").rglob("*.py"))]
    return hashlib.sha256(b"".join(source.read_bytes() for source in sources)).hexdigest()


# What is compiled: each by a function of the stamp of its sources and of Numba's options. The stamp is a variable of
# their closures for one reason: Numba keys its cache by a closure's values, and so an edit of any kernel, intrinsics
# included, is compiled afresh. The first four have addresses, ``void (int64)``, and are compiled when they are needed.


def _compile_contract(stamp, options):
    @cfunc(types.void(types.int64), **options)
    def contract_entry(descriptor):
        stamp  # noqa: B018
        contract(descriptor)

    return contract_entry


def _compile_plain(stamp, options):
    @cfunc(types.void(types.int64), **options)
    def plain_entry(call_at):
        stamp  # noqa: B018
        plain(call_at)

    return plain_entry


def _compile_further(stamp, options):
    @cfunc(types.void(types.int64), **options)
    def further_entry(call_at):
        stamp  # noqa: B018
        further(call_at)

    return further_entry


def _compile_normal(stamp, options):
    @cfunc(types.void(types.int64), **options)
    def normal_entry(call_at):
        stamp  # noqa: B018
        normal(call_at)

    return normal_entry


def _compile_work(stamp, options):
    """Compile one worker's share of one segment: ``void (int64 worker, int64 task)``."""

    @cfunc(types.void(types.int64, types.int64), **options)
    def work_entry(worker, task):
        stamp  # noqa: B018
        _work(worker, array_at(task, (_N_TASK,), np.int64))

    return work_entry


def _compile_run(stamp, options):
    """Compile all workers' shares of all segments: ``void (int64 task)``.

    A worker that is alone works in the thread that calls: a forked child has no other, and waking one takes time.
    """

    @njit(types.void(types.int64), parallel=True, **options)
    def run_entry(task_at):
        stamp  # noqa: B018
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

    return run_entry


_STAMP = _stamp()  # of the sources as they are imported: what is compiled later is still that
_entries = {}
_compiling = Lock()


def _compiled(compile_entry):
    """Return an entry, compiled when it is first wanted: once, however many threads want it at once.

    What is there is handed out without the lock, which a process forked from a thread beside may find taken for ever.
    """
    if compile_entry not in _entries:
        with _compiling:
            if compile_entry not in _entries:
                _entries[compile_entry] = _obtain(compile_entry)
    return _entries[compile_entry]


def _obtain(compile_entry):
    """Compile an entry, or load it from Numba's cache; what cannot be kept there is compiled all the same."""
    options = {"nogil": True, "error_model": "numpy"}
    try:
        return compile_entry(_STAMP, options | {"cache": True})
    except RuntimeError as error:
        if "cannot cache" not in str(error):
            raise
        _warn_once("no directory for them is writable")
    except OSError as error:  # a disk that is full, say
        _warn_once(str(error))
    return compile_entry(_STAMP, options)


@cache
def _warn_once(reason):
    warnings.warn(
        f"Compiled kernels cannot be kept ({reason}), so every process compiles them anew. Set NUMBA_CACHE_DIR to a "
        "directory that is writable and has room.",
        stacklevel=3,
    )


@cache
def _ready(has_further, has_normal):
    """Make ready what programs need that have such instructions, and return the addresses that a task begins with."""
    needed = {
        Task.CONTRACT: _compile_contract,
        Task.PLAIN: _compile_plain,
        Task.FURTHER: _compile_further if has_further else None,
        Task.NORMAL: _compile_normal if has_normal else None,
        Task.WORK: _compile_work,
    }
    addresses = np.zeros(len(needed), np.int64)
    for at, entry in needed.items():
        addresses[at] = 0 if entry is None else _compiled(entry).address
    _compiled(_compile_run)
    return addresses


@cache
def prepare(ops):
    """Compile or load what programs need that have these opcodes, a frozenset, and return its addresses."""
    has_further = any(Op.AVERAGE_POOL <= op < Op.CHANNEL_MOMENTS for op in ops)
    return _ready(has_further=has_further, has_normal=any(op >= Op.CHANNEL_MOMENTS for op in ops))


def prepare_all():
    """Compile or load everything; return whether anything was compiled, and the directory of the cache or None."""
    _ready(has_further=True, has_normal=True)
    stats = _compiled(_compile_run).stats
    return not stats.cache_hits, stats.cache_path


def run(task, layout):
    """Run a plan.

    Parameters
    ----------
    task : ndarray of int64, (columns of Task,)
        Where everything is; it begins with what `prepare` returned. The current segment is written.
    layout : ndarray of int64, (columns of Layout,)
        The one that the task has the address of. In a child that was forked from the process whose threads they were,
        it is written: one worker does the work of all.
    """
    if are_lost():
        layout[Layout.WORKERS] = 1
    workers = int(layout[Layout.WORKERS])
    if workers == 1:
        _compiled(_compile_run)(task.ctypes.data)
    else:
        with threads(workers), one_at_a_time():
            _compiled(_compile_run)(task.ctypes.data)
