"""The CPU machine: compiled once, it executes any program.

The batch is cut into shards and each shard into micro-batches; a worker takes one micro-batch after the other through
a whole segment of the program, forward and backward, in an arena that stays in its cache. What is cut where depends
on the plan alone: workers only take turns at the shards, so their number cannot change a bit of the result.
"""

import hashlib
import warnings
from functools import cache
from pathlib import Path

import numpy as np
from numba import cfunc, njit, prange, types

from skconvnet.engine.cpu.calls import Call, Task
from skconvnet.engine.cpu.contraction import contract, describe, part_of, rows_of
from skconvnet.engine.cpu.instructions import further, normal, plain
from skconvnet.engine.cpu.optimizer import adam, sgd, sum_slots, turn
from skconvnet.engine.cpu.pointers import array_at, call, call_with
from skconvnet.engine.cpu.threads import are_lost, one_at_a_time
from skconvnet.engine.program import (
    OPERANDS,
    WIDTH,
    Block,
    Descriptor,
    Layout,
    Op,
    Rule,
    Segment,
    Space,
    Work,
)

__all__ = ["prepare", "prepare_all", "run"]


_X, _W, _START, _Y = OPERANDS.values()
_FRAME = len(Space) + 1  # an address for each space, then the first sample of the micro-batch
_N_DESCRIPTOR, _N_TASK, _N_CALL, _N_LAYOUT, _N_RULE, _N_BLOCK, _N_SEGMENT = map(
    len, (Descriptor, Task, Call, Layout, Rule, Block, Segment)
)


@njit(nogil=True, error_model="numpy")
def _address(code, operand, frame):
    """Address of an instruction's operand, for the first sample of the micro-batch."""
    space, offset, stride = code[operand], code[operand + 1], code[operand + 2]
    if space == Space.BATCH:
        offset += frame[-1] * stride
    return frame[space] + 4 * offset


@njit(nogil=True, error_model="numpy")
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


@njit(nogil=True, error_model="numpy")
def _spaces(frame, layout, parameters, memory, worker):
    """Fill in the addresses of the spaces as `worker` sees them before it has a shard."""
    frame[Space.PARAMETERS] = parameters
    frame[Space.SHARED] = memory + 4 * layout[Layout.SHARED]
    frame[Space.BATCH] = memory + 4 * layout[Layout.BATCH]
    frame[Space.LOCAL] = memory + 4 * (layout[Layout.ARENAS] + worker * layout[Layout.ARENA_SIZE])
    frame[Space.SHARD] = memory + 4 * layout[Layout.SLOTS]
    frame[-1] = 0


@njit(nogil=True, error_model="numpy")
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


@njit(nogil=True, error_model="numpy")
def _work_once(worker, segment, program, layout, frame, own, task):
    """Execute a segment that one worker does for all."""
    if worker == 0:
        for at in range(segment[Segment.FIRST], segment[Segment.LAST]):
            _execute(program[at], frame, own, layout[Layout.SAMPLES], True, task)


@njit(nogil=True, error_model="numpy")
def _work_on_parts(worker, segment, program, layout, frame, own, task):
    """Compute this worker's part of each contraction over the whole batch."""
    for at in range(segment[Segment.FIRST], segment[Segment.LAST]):
        code = program[at]
        x, w = _address(code, _X, frame), _address(code, _W, frame)
        start, y = _address(code, _START, frame), _address(code, _Y, frame)
        describe(code, own, x, w, start, y, layout[Layout.SAMPLES], True)
        part_of(own, worker, layout[Layout.WORKERS])
        call(task[Task.CONTRACT], own.ctypes.data)


@njit(nogil=True, error_model="numpy")
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
    describe(code, own, x, w, start, gradient, samples, True)
    rows_of(own, block[Block.FIRST_ROW], block[Block.ROWS])
    call(task[Task.CONTRACT], own.ctypes.data)
    return gradient


@njit(nogil=True, error_model="numpy")
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


@njit(nogil=True, error_model="numpy")
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


@njit(nogil=True, error_model="numpy")
def _work(worker, task):
    """Do one worker's share of one segment."""
    layout = array_at(task[Task.LAYOUT], (_N_LAYOUT,), np.int64)
    segment = array_at(task[Task.SEGMENT], (_N_SEGMENT,), np.int64)
    program = array_at(task[Task.PROGRAM], (task[Task.INSTRUCTIONS], WIDTH), np.int64)
    rule = array_at(task[Task.RULE], (_N_RULE,), np.float64)
    frame, own = np.empty(_FRAME, np.int64), np.empty(max(_N_DESCRIPTOR, _N_CALL), np.int64)
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


@njit(nogil=True, error_model="numpy")
def _fill_in(
    task,
    kernels,
    program,
    blocks,
    layout,
    parameters,
    memory,
    moments,
    pixels,
    floats,
    rows,
    mean,
    scale,
    targets,
    weights,
    losses,
    scores,
    rule,
    warps,
):
    """Write down for the workers where the entry's arrays are; all but the segment."""
    task[: len(kernels)] = kernels
    task[Task.LAYOUT], task[Task.RULE] = layout.ctypes.data, rule.ctypes.data
    task[Task.PROGRAM], task[Task.INSTRUCTIONS] = program.ctypes.data, program.shape[0]
    task[Task.BLOCKS], task[Task.N_BLOCKS] = blocks.ctypes.data, blocks.shape[0]
    task[Task.PARAMETERS], task[Task.MEMORY] = parameters.ctypes.data, memory.ctypes.data
    task[Task.MOMENT_1], task[Task.MOMENT_2] = moments[0].ctypes.data, moments[1].ctypes.data
    task[Task.BYTES] = pixels.shape[0]
    task[Task.PIXELS] = pixels.ctypes.data if pixels.shape[0] > 0 else floats.ctypes.data
    task[Task.ROWS], task[Task.MEAN], task[Task.SCALE] = rows.ctypes.data, mean.ctypes.data, scale.ctypes.data
    task[Task.TARGETS], task[Task.WEIGHTS] = targets.ctypes.data, weights.ctypes.data
    task[Task.LOSSES], task[Task.SCORES] = losses.ctypes.data, scores.ctypes.data
    task[Task.WARPS], task[Task.WARPED] = warps.ctypes.data, warps.shape[0]


def _stamp():
    """Return a digest of every source that is compiled into the entries: Numba's cache looks at this file alone."""
    here = Path(__file__).parent
    sources = [*sorted(here.glob("*.py")), here.parent / "program.py"]
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
    """Compile all workers' shares of all segments."""
    i64, f32, f64 = types.int64, types.float32, types.float64

    def array(kind, dimensions, writable=False):
        return types.Array(kind, dimensions, "C", readonly=not writable)

    signature = types.void(
        array(i64, 1),  # kernels: the addresses that a task begins with, or 0 where the program needs none
        i64,  # work: address
        array(i64, 2),  # segments, (segments, columns of Segment)
        array(i64, 2),  # program, (instructions, WIDTH)
        array(i64, 2),  # blocks, (blocks, columns of Block)
        array(i64, 1),  # layout, (columns of Layout,)
        array(f32, 1, writable=True),  # parameters; written by an update
        array(f32, 1, writable=True),  # memory
        array(f32, 2, writable=True),  # moments, (2, parameters)
        array(types.uint8, 2),  # pixels, (n, image), or empty where there are floats
        array(f32, 2),  # floats, (n, image)
        array(i64, 1),  # rows of either, (samples,)
        array(f32, 1),  # mean, (channels,)
        array(f32, 1),  # scale, (channels,)
        array(i64, 1),  # targets, (samples,)
        array(f64, 1),  # weights, (samples,)
        array(f64, 1, writable=True),  # losses, (samples,)
        array(f32, 2, writable=True),  # scores, (samples, classes), or a map of them for each sample
        array(f64, 1),  # rule, (columns of Rule,)
        array(i64, 2),  # warps, (samples, columns of Warp), or empty: images as they are
    )

    @njit(signature, parallel=True, **options)
    def run_entry(
        kernels,
        work_at,
        segments,
        program,
        blocks,
        layout,
        parameters,
        memory,
        moments,
        pixels,
        floats,
        rows,
        mean,
        scale,
        targets,
        weights,
        losses,
        scores,
        rule,
        warps,
    ):
        stamp  # noqa: B018
        task = np.empty(_N_TASK, np.int64)
        _fill_in(
            task,
            kernels,
            program,
            blocks,
            layout,
            parameters,
            memory,
            moments,
            pixels,
            floats,
            rows,
            mean,
            scale,
            targets,
            weights,
            losses,
            scores,
            rule,
            warps,
        )
        here = task.ctypes.data
        for segment in range(segments.shape[0]):
            task[Task.SEGMENT] = segments.ctypes.data + 8 * segment * segments.shape[1]
            for worker in prange(layout[Layout.WORKERS]):
                call_with(work_at, worker, here)

    return run_entry


@cache
def _compiled(compile_entry):
    """Compile an entry, or load it from Numba's cache, if there is a place for one."""
    options = {"nogil": True, "error_model": "numpy"}
    try:
        return compile_entry(_stamp(), options | {"cache": True})
    except RuntimeError as error:
        if "cannot cache" not in str(error):
            raise
        _warn_once()
        return compile_entry(_stamp(), options)


@cache
def _warn_once():
    warnings.warn(
        "No directory for compiled kernels is writable, so every process compiles them anew. Set NUMBA_CACHE_DIR to a "
        "directory that is.",
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
    }
    addresses = np.zeros(len(needed), np.int64)
    for at, entry in needed.items():
        addresses[at] = 0 if entry is None else _compiled(entry).address
    _compiled(_compile_work)
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


def run(kernels, segments, *arguments):
    """Run a plan's segments one after the other.

    `kernels` is what `prepare` returned for the program's opcodes; the rest are the entry's arguments.
    """
    if are_lost():
        _run_alone(kernels, segments, *arguments)
        return
    with one_at_a_time():
        _compiled(_compile_run)(kernels, _compiled(_compile_work).address, segments, *arguments)


def _run_alone(kernels, segments, *arguments):
    """Do the work of all workers, one after the other, without a parallel region."""
    task = np.empty(_N_TASK, np.int64)
    _fill_in.py_func(task, kernels, *arguments)
    _, _, layout, *_ = arguments
    for segment in segments:
        task[Task.SEGMENT] = segment.ctypes.data
        for worker in range(layout[Layout.WORKERS]):
            _compiled(_compile_work).ctypes(worker, task.ctypes.data)
