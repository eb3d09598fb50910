"""The CPU machine: one compiled entry that executes any program.

The batch is cut into shards and each shard into micro-batches; a worker takes one micro-batch after the other through
a whole segment of the program, forward and backward, in an arena that stays in its cache. What is cut where depends
on the plan alone: workers only take turns at the shards, so their number cannot change a bit of the result.
"""

import hashlib
from enum import IntEnum
from pathlib import Path

import numpy as np
from numba import cfunc, njit, prange, types

from skconvnet.engine.cpu.contraction import contract, describe, rows_of
from skconvnet.engine.cpu.elementwise import bias_relu_backward, clear, clear_border, load_image, relu
from skconvnet.engine.cpu.loss import cross_entropy, store_scores
from skconvnet.engine.cpu.optimizer import adam, sgd, sum_slots, turn
from skconvnet.engine.cpu.pointers import array_at, call, call_with
from skconvnet.engine.cpu.pool import max_pool, max_pool_backward
from skconvnet.engine.program import (
    DESCRIPTOR,
    FIRST_NUMBER,
    OPERANDS,
    WIDTH,
    Block,
    Layout,
    Op,
    Rule,
    Segment,
    Space,
    Work,
)

__all__ = ["run"]


class _Task(IntEnum):
    """What the entry hands to the workers: addresses of its arrays, and the counts that they need."""

    CONTRACT = 0
    LAYOUT = 1
    RULE = 2
    SEGMENT = 3
    PROGRAM = 4
    INSTRUCTIONS = 5
    BLOCKS = 6
    N_BLOCKS = 7
    PARAMETERS = 8
    MEMORY = 9
    MOMENT_1 = 10
    MOMENT_2 = 11
    PIXELS = 12
    BYTES = 13
    ROWS = 14
    MEAN = 15
    SCALE = 16
    TARGETS = 17
    WEIGHTS = 18
    LOSSES = 19
    SCORES = 20


# Numba types an enumeration's members as objects of their own: plain integers compile in half the time.
_LOAD, _CONTRACT, _CLEAR, _BORDER, _RELU, _BIAS_RELU, _POOL, _POOL_BACK, _LOSS, _SCORES = (int(op) for op in Op)
_X, _W, _START, _Y = OPERANDS.values()
_N0 = FIRST_NUMBER
_PARAMETERS, _SHARED, _BATCH, _LOCAL, _SHARD = (int(space) for space in Space)
_FRAME = len(Space) + 1  # an address for each space, then the first sample of the micro-batch
_FIELDS = len(DESCRIPTOR)
(
    _SHARED_AT,
    _BATCH_AT,
    _SLOTS_AT,
    _ARENAS_AT,
    _SLOT_SIZE,
    _ARENA_SIZE,
    _SHARD_SIZE,
    _MICRO_BATCH,
    _SAMPLES,
    _WORKERS,
) = (int(field) for field in Layout)
_ADAM, _RATE, _DECAY, _BETA_1, _BETA_2, _EPSILON, _DEBIAS, _NESTEROV, _SMOOTHING = (int(field) for field in Rule)
_OFFSET, _ROWS, _COLUMNS, _CONTRACTION, _FIRST_ROW, _DECAYS, _TURNED, _STRIDE = (int(f) for f in Block)
_KIND, _FIRST, _LAST = (int(field) for field in Segment)
(
    _CONTRACT_AT,
    _LAYOUT,
    _RULE,
    _SEGMENT,
    _PROGRAM,
    _INSTRUCTIONS,
    _BLOCKS,
    _N_BLOCKS,
    _PARAMETERS_AT,
    _MEMORY,
    _MOMENT_1,
    _MOMENT_2,
    _PIXELS,
    _BYTES,
    _ROWS_AT,
    _MEAN,
    _SCALE,
    _TARGETS,
    _WEIGHTS,
    _LOSSES,
    _SCORES_AT,
) = (int(field) for field in _Task)
_N_TASK, _N_LAYOUT, _N_RULE, _N_BLOCK, _WIDTH = len(_Task), len(Layout), len(Rule), len(Block), WIDTH
_OVER_SAMPLES, _TURN_ONLY = int(Work.SAMPLES), int(Work.TURN)


@njit(nogil=True, error_model="numpy")
def _address(code, operand, frame):
    """Address of an instruction's operand, for the first sample of the micro-batch."""
    space, offset, stride = code[operand], code[operand + 1], code[operand + 2]
    if space == _BATCH:
        offset += frame[-1] * stride
    return frame[space] + 4 * offset


@njit(nogil=True, error_model="numpy")
def _over_images(code, x, w, y, x_step, w_step, y_step, start, start_step, samples, first):
    """Execute an instruction that works on one image at a time, image by image."""
    op = code[0]
    n0, n1, n2, n3 = code[_N0], code[_N0 + 1], code[_N0 + 2], code[_N0 + 3]
    n4, n5, n6, n7 = code[_N0 + 4], code[_N0 + 5], code[_N0 + 6], code[_N0 + 7]
    n8, n9, n10, n11 = code[_N0 + 8], code[_N0 + 9], code[_N0 + 10], code[_N0 + 11]
    n12, n13 = code[_N0 + 12], code[_N0 + 13]
    for sample in range(samples):
        if op == _CLEAR:
            clear(y, n0)
        elif op == _BORDER:
            clear_border(y, n0, n1, n2, n3, n4, n5, n6)
        elif op == _RELU:
            relu(x, y, n0, n1, n2, n3, n4)
        elif op == _BIAS_RELU:
            bias_relu_backward(x, y, w, start, n0, n1, n2, n3, n4, n5, n6 != 0, n7 != 0, first and sample == 0)
        elif op == _POOL:
            max_pool(x, y, n0, n1, n2, n3, n4, n5, n6, n7, n8, n9, n10)
        elif op == _POOL_BACK:
            max_pool_backward(x, y, w, start, n0, n1, n2, n3, n4, n5, n6, n7, n8, n9, n10, n11, n12, n13 != 0)
        x += x_step
        w += w_step
        y += y_step
        start += start_step


@njit(nogil=True, error_model="numpy")
def _load_images(code, y, task, first, samples):
    """Execute LOAD_IMAGES: standardise the micro-batch's images, from bytes where there are bytes."""
    height, width, depth = code[_N0], code[_N0 + 1], code[_N0 + 2]
    y_row, y_depth = code[_N0 + 3], code[_N0 + 4]
    mean, scale = array_at(task[_MEAN], (depth,), np.float32), array_at(task[_SCALE], (depth,), np.float32)
    size = height * width * depth
    rows = array_at(task[_ROWS_AT], (first + samples,), np.int64)
    for sample in range(samples):
        at = rows[first + sample] * size
        if task[_BYTES] != 0:
            image = array_at(task[_PIXELS] + at, (size,), np.uint8)
            load_image(image, y, mean, scale, height, width, depth, y_row, y_depth)
        else:
            image = array_at(task[_PIXELS] + 4 * at, (size,), np.float32)
            load_image(image, y, mean, scale, height, width, depth, y_row, y_depth)
        y += 4 * code[_Y + 2]


@njit(nogil=True, error_model="numpy")
def _losses(code, x, y, task, first, samples, smoothing):
    """Execute CROSS_ENTROPY: each sample's loss, and the gradient by its scores."""
    end = first + samples
    targets, weights = array_at(task[_TARGETS], (end,), np.int64), array_at(task[_WEIGHTS], (end,), np.float64)
    losses = array_at(task[_LOSSES], (end,), np.float64)
    for s in range(first, end):
        losses[s] = cross_entropy(x, y, code[_N0], code[_N0 + 1], targets[s], weights[s], smoothing)
        x += 4 * code[_X + 2]
        y += 4 * code[_Y + 2]


@njit(nogil=True, error_model="numpy")
def _store_scores(code, x, task, first, samples):
    """Execute STORE_SCORES: copy each sample's scores out."""
    scores = array_at(task[_SCORES_AT], (first + samples, code[_N0]), np.float32)
    for s in range(first, first + samples):
        store_scores(x, scores[s], code[_N0])
        x += 4 * code[_X + 2]


@njit(nogil=True, error_model="numpy")
def _micro_batch(program, begin, end, frame, descriptor, samples, first, task, rule):
    """Execute the instructions from `begin` to `end` on one micro-batch."""
    place = frame[-1]
    for at in range(begin, end):
        code = program[at]
        op = code[0]
        x, w = _address(code, _X, frame), _address(code, _W, frame)
        start, y = _address(code, _START, frame), _address(code, _Y, frame)
        if op == _CONTRACT:
            describe(code, descriptor, x, w, start, y, samples, first)
            call(task[_CONTRACT_AT], descriptor.ctypes.data)
        elif op == _LOAD:
            _load_images(code, y, task, place, samples)
        elif op == _LOSS:
            _losses(code, x, y, task, place, samples, rule[_SMOOTHING])
        elif op == _SCORES:
            _store_scores(code, x, task, place, samples)
        else:
            x_step, w_step, y_step = 4 * code[_X + 2], 4 * code[_W + 2], 4 * code[_Y + 2]
            _over_images(code, x, w, y, x_step, w_step, y_step, start, 4 * code[_START + 2], samples, first)


@njit(nogil=True, error_model="numpy")
def _spaces(frame, layout, parameters, memory, worker):
    """Fill in the addresses of the spaces as `worker` sees them before it has a shard."""
    frame[_PARAMETERS] = parameters
    frame[_SHARED] = memory + 4 * layout[_SHARED_AT]
    frame[_BATCH] = memory + 4 * layout[_BATCH_AT]
    frame[_LOCAL] = memory + 4 * (layout[_ARENAS_AT] + worker * layout[_ARENA_SIZE])
    frame[_SHARD] = memory + 4 * layout[_SLOTS_AT]
    frame[-1] = 0


@njit(nogil=True, error_model="numpy")
def _work_on_samples(worker, segment, program, layout, frame, descriptor, task, rule):
    """Take this worker's turns at the shards: shard `worker`, then every further one by the number of workers."""
    slots, samples, size = frame[_SHARD], layout[_SAMPLES], layout[_SHARD_SIZE]
    shards = (samples + size - 1) // size
    for shard in range(worker, shards, layout[_WORKERS]):
        frame[_SHARD] = slots + 4 * shard * layout[_SLOT_SIZE]
        begin, end = shard * size, min(samples, (shard + 1) * size)
        for place in range(begin, end, layout[_MICRO_BATCH]):
            frame[-1] = place
            count = min(layout[_MICRO_BATCH], end - place)
            first = place == begin
            _micro_batch(program, segment[_FIRST], segment[_LAST], frame, descriptor, count, first, task, rule)


@njit(nogil=True, error_model="numpy")
def _gradient(block, program, layout, frame, descriptor, task):
    """Bring a block's gradient over the whole batch together and return its address."""
    size, samples = layout[_SHARD_SIZE], layout[_SAMPLES]
    if block[_CONTRACTION] < 0:
        gradient = frame[_SHARD] + 4 * block[_OFFSET]
        sum_slots(gradient, layout[_SLOT_SIZE], (samples + size - 1) // size, block[_ROWS] * block[_COLUMNS])
        return gradient
    code = program[block[_CONTRACTION]]
    x, w = _address(code, _X, frame), _address(code, _W, frame)
    start, gradient = _address(code, _START, frame), _address(code, _Y, frame)
    describe(code, descriptor, x, w, start, gradient, samples, True)
    rows_of(descriptor, block[_FIRST_ROW], block[_ROWS])
    call(task[_CONTRACT_AT], descriptor.ctypes.data)
    return gradient


@njit(nogil=True, error_model="numpy")
def _update(block, gradient, parameters, task, rule):
    """Step one block of the parameters down its gradient."""
    at, count = 4 * block[_OFFSET], block[_ROWS] * block[_COLUMNS]
    p, m = parameters + at, task[_MOMENT_1] + at
    rate = np.float32(rule[_RATE])
    decay = np.float32(rule[_DECAY]) if block[_DECAYS] else np.float32(0)
    beta_1 = np.float32(rule[_BETA_1])
    if rule[_ADAM] != 0:
        beta_2, epsilon = np.float32(rule[_BETA_2]), np.float32(rule[_EPSILON])
        v = task[_MOMENT_2] + at
        adam(p, gradient, m, v, count, rate, decay, beta_1, beta_2, epsilon, np.float32(rule[_DEBIAS]))
    else:
        sgd(p, gradient, m, count, rate, decay, beta_1, rule[_NESTEROV] != 0)


@njit(nogil=True, error_model="numpy")
def _work_on_blocks(worker, kind, blocks, program, layout, frame, descriptor, task, rule):
    """Take this worker's turns at the blocks of parameters."""
    for at in range(worker, blocks.shape[0], layout[_WORKERS]):
        block = blocks[at]
        if kind != _TURN_ONLY:
            gradient = _gradient(block, program, layout, frame, descriptor, task)
            _update(block, gradient, frame[_PARAMETERS], task, rule)
        if block[_TURNED] >= 0:
            p, turned = frame[_PARAMETERS] + 4 * block[_OFFSET], frame[_SHARED] + 4 * block[_TURNED]
            turn(p, turned, block[_ROWS], block[_COLUMNS], block[_STRIDE])


@njit(nogil=True, error_model="numpy")
def _work(worker, task):
    """Do one worker's share of one segment."""
    layout, segment = array_at(task[_LAYOUT], (_N_LAYOUT,), np.int64), array_at(task[_SEGMENT], (3,), np.int64)
    program = array_at(task[_PROGRAM], (task[_INSTRUCTIONS], _WIDTH), np.int64)
    rule = array_at(task[_RULE], (_N_RULE,), np.float64)
    frame, descriptor = np.empty(_FRAME, np.int64), np.empty(_FIELDS, np.int64)
    _spaces(frame, layout, task[_PARAMETERS_AT], task[_MEMORY], worker)
    if segment[_KIND] == _OVER_SAMPLES:
        _work_on_samples(worker, segment, program, layout, frame, descriptor, task, rule)
    else:
        blocks = array_at(task[_BLOCKS], (task[_N_BLOCKS], _N_BLOCK), np.int64)
        _work_on_blocks(worker, segment[_KIND], blocks, program, layout, frame, descriptor, task, rule)


def _stamp():
    """Return a digest of every source that is compiled into the entries: Numba's cache looks at this file alone."""
    here = Path(__file__).parent
    sources = [*sorted(here.glob("*.py")), here.parent / "program.py"]
    return hashlib.sha256(b"".join(source.read_bytes() for source in sources)).hexdigest()


def _compile(stamp):
    """Compile the entries for the sources of `stamp`, or load them from Numba's cache.

    `stamp` is a variable of their closures for one reason: Numba keys its cache by a closure's values, and so an edit
    of any kernel, intrinsics included, is compiled afresh.

    Returns
    -------
    contract : CFunc, ``void (int64 descriptor)``
        A contraction.
    work : CFunc, ``void (int64 worker, int64 task)``
        One worker's share of one segment.
    run : Dispatcher
        All workers' shares of all segments.
    """
    i64, f32, f64 = types.int64, types.float32, types.float64
    options = {"cache": True, "nogil": True, "error_model": "numpy"}

    @cfunc(types.void(i64), **options)
    def contract_entry(descriptor):
        stamp  # noqa: B018 - see the docstring
        contract(descriptor)

    @cfunc(types.void(i64, i64), **options)
    def work_entry(worker, task):
        stamp  # noqa: B018
        _work(worker, array_at(task, (_N_TASK,), np.int64))

    def array(kind, dimensions, writable=False):
        return types.Array(kind, dimensions, "C", readonly=not writable)

    signature = types.void(
        i64,  # contract: address
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
        array(f32, 2, writable=True),  # scores, (samples, classes)
        array(f64, 1),  # rule, (columns of Rule,)
    )

    @njit(signature, parallel=True, **options)
    def run_entry(
        contract_at,
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
    ):
        stamp  # noqa: B018
        task = np.empty(_N_TASK, np.int64)
        task[_CONTRACT_AT], task[_LAYOUT], task[_RULE] = contract_at, layout.ctypes.data, rule.ctypes.data
        task[_PROGRAM], task[_INSTRUCTIONS] = program.ctypes.data, program.shape[0]
        task[_BLOCKS], task[_N_BLOCKS] = blocks.ctypes.data, blocks.shape[0]
        task[_PARAMETERS_AT], task[_MEMORY] = parameters.ctypes.data, memory.ctypes.data
        task[_MOMENT_1], task[_MOMENT_2] = moments[0].ctypes.data, moments[1].ctypes.data
        task[_BYTES] = pixels.shape[0]
        task[_PIXELS] = pixels.ctypes.data if pixels.shape[0] > 0 else floats.ctypes.data
        task[_ROWS_AT], task[_MEAN], task[_SCALE] = rows.ctypes.data, mean.ctypes.data, scale.ctypes.data
        task[_TARGETS], task[_WEIGHTS] = targets.ctypes.data, weights.ctypes.data
        task[_LOSSES], task[_SCORES_AT] = losses.ctypes.data, scores.ctypes.data
        here = task.ctypes.data
        for segment in range(segments.shape[0]):
            task[_SEGMENT] = segments.ctypes.data + 8 * segment * segments.shape[1]
            for worker in prange(layout[_WORKERS]):
                call_with(work_at, worker, here)

    return contract_entry, work_entry, run_entry


_contract, _work_entry, _run = _compile(_stamp())


def run(*arguments):
    """Run a plan's segments one after the other; `arguments` are those of the entry, after the addresses."""
    _run(_contract.address, _work_entry.address, *arguments)
