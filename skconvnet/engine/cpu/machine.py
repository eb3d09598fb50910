"""The CPU machine: one compiled entry that executes any program.

The batch is cut into shards and each shard into micro-batches; a worker takes one micro-batch after the other through
a whole segment of the program, forward and backward, in an arena that stays in its cache. What is cut where depends
on the plan alone: workers only take turns at the shards, so their number cannot change a bit of the result.
"""

import hashlib
import warnings
from enum import IntEnum
from pathlib import Path

import numpy as np
from numba import cfunc, njit, prange, types

from skconvnet.engine.cpu.contraction import contract, describe, part_of, rows_of
from skconvnet.engine.cpu.elementwise import (
    add,
    bias_relu_backward,
    clear,
    clear_border,
    copy_channels,
    dropout,
    mixed,
    relu,
    squash,
    squash_backward,
)
from skconvnet.engine.cpu.load import load_image, load_warped_image
from skconvnet.engine.cpu.loss import cross_entropy, store_scores
from skconvnet.engine.cpu.normalisation import (
    batch_gradients,
    batch_statistics,
    channel_moments,
    layer_gradients,
    layer_statistics,
    lrn,
    lrn_backward,
    normalise,
    normalise_backward,
    normalise_sums,
    running_statistics,
)
from skconvnet.engine.cpu.optimizer import adam, sgd, sum_slots, turn
from skconvnet.engine.cpu.pointers import array_at, call, call_with, real
from skconvnet.engine.cpu.pool import average_pool, average_pool_backward, max_pool, max_pool_backward
from skconvnet.engine.cpu.threads import are_lost, one_at_a_time
from skconvnet.engine.program import (
    FIRST_NUMBER,
    OPERANDS,
    WIDTH,
    Block,
    Descriptor,
    Layout,
    Op,
    Rule,
    Segment,
    Space,
    Warp,
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
    WARPS = 21
    WARPED = 22


_X, _W, _START, _Y = OPERANDS.values()
_N0 = FIRST_NUMBER
_FRAME = len(Space) + 1  # an address for each space, then the first sample of the micro-batch
_N_DESCRIPTOR, _N_TASK, _N_LAYOUT, _N_RULE, _N_BLOCK, _N_SEGMENT, _N_WARP = map(
    len, (Descriptor, _Task, Layout, Rule, Block, Segment, Warp)
)


@njit(nogil=True, error_model="numpy")
def _address(code, operand, frame):
    """Address of an instruction's operand, for the first sample of the micro-batch."""
    space, offset, stride = code[operand], code[operand + 1], code[operand + 2]
    if space == Space.BATCH:
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
        if op == Op.CLEAR:
            clear(y, n0)
        elif op == Op.CLEAR_BORDER:
            clear_border(y, n0, n1, n2, n3, n4, n5, n6)
        elif op == Op.RELU:
            relu(x, y, n0, n1, n2, n3, n4)
        elif op == Op.BIAS_RELU_BACKWARD:
            bias_relu_backward(x, y, w, start, n0, n1, n2, n3, n4, n5, n6 != 0, n7 != 0, first and sample == 0)
        elif op == Op.MAX_POOL:
            max_pool(x, y, n0, n1, n2, n3, n4, n5, n6, n7, n8, n9, n10)
        elif op == Op.MAX_POOL_BACKWARD:
            max_pool_backward(x, y, w, start, n0, n1, n2, n3, n4, n5, n6, n7, n8, n9, n10, n11, n12, n13 != 0)
        elif op == Op.AVERAGE_POOL:
            average_pool(x, y, n0, n1, n2, n3, n4, n5, n6, n7, n8, n9, n10)
        elif op == Op.AVERAGE_POOL_BACKWARD:
            average_pool_backward(x, y, n0, n1, n2, n3, n4, n5, n6, n7, n8, n9, n10)
        elif op == Op.SQUASH:
            squash(x, y, n0, n1, n2, n3, n4, n5, n6 != 0)
        elif op == Op.SQUASH_BACKWARD:
            squash_backward(x, y, w, n0, n1, n2, n3, n4, n5, n6 != 0)
        elif op == Op.ADD:
            add(x, w, y, n0, n1, n2, n3, n4, n5, n6 != 0)
        elif op == Op.COPY_CHANNELS:
            copy_channels(x, y, n0, n1, n2, n3, n4, n5, n6, n7)
        elif op == Op.LRN:
            lrn(x, y, n0, n1, n2, n3, n4, n5, real(n6), real(n7), real(n8))
        elif op == Op.LRN_BACKWARD:
            lrn_backward(x, w, y, n0, n1, n2, n3, n4, n5, n6, real(n7), real(n8), real(n9))
        x += x_step
        w += w_step
        y += y_step
        start += start_step


@njit(nogil=True, error_model="numpy")
def _normalise(code, x, w, y, x_step, w_step, y_step, start, start_step, samples, first):
    """Execute an instruction of a NORM, image by image."""
    op = code[0]
    n0, n1, n2, n3 = code[_N0], code[_N0 + 1], code[_N0 + 2], code[_N0 + 3]
    n4, n5 = code[_N0 + 4], code[_N0 + 5]
    for sample in range(samples):
        if op == Op.CHANNEL_MOMENTS:
            channel_moments(x, y, n0, n1, n2, n3)
        elif op == Op.LAYER_STATISTICS:
            layer_statistics(x, w, y, n0, n1, n2, real(n3))
        elif op == Op.NORMALISE:
            normalise(x, y, w, n0, n1, n2, n3, n4, n5 != 0)
        elif op == Op.NORMALISE_SUMS:
            normalise_sums(x, y, w, start, n0, n1, n2, n3, n4, n5 != 0)
        elif op == Op.LAYER_GRADIENTS:
            layer_gradients(x, w, start, y, n0, n1, n2, first and sample == 0)
        elif op == Op.NORMALISE_BACKWARD:
            normalise_backward(x, y, start, w, n0, n1, n2, n3, n4, n5)
        x += x_step
        w += w_step
        y += y_step
        start += start_step


@njit(nogil=True, error_model="numpy")
def _drop_out(code, x, y, layout, first, samples):
    """Execute DROPOUT: what is drawn depends on the seed, the step, the layer and the sample's place in the batch."""
    n0, n1, n2, n3, n4, layer = code[_N0], code[_N0 + 1], code[_N0 + 2], code[_N0 + 3], code[_N0 + 4], code[_N0 + 5]
    key = mixed(mixed(np.uint64(layout[Layout.SEED]), np.uint64(layout[Layout.STEP])), np.uint64(layer))
    for sample in range(first, first + samples):
        dropout(x, y, n0, n1, n2, n3, n4, mixed(key, np.uint64(sample)), real(code[_N0 + 6]))
        x += 4 * code[_X + 2]
        y += 4 * code[_Y + 2]


@njit(nogil=True, error_model="numpy")
def _once(code, x, w, start, y, samples):
    """Execute an instruction that brings the whole batch together."""
    op, step = code[0], code[_X + 2]
    n0, n1, n2, n3 = code[_N0], code[_N0 + 1], code[_N0 + 2], code[_N0 + 3]
    if op == Op.BATCH_STATISTICS:
        batch_statistics(x, w, start, y, samples, step, n0, n1, real(n2), real(n3))
    elif op == Op.RUNNING_STATISTICS:
        running_statistics(w, start, y, n0, real(n1))
    elif op == Op.BATCH_GRADIENTS:
        batch_gradients(x, y, samples, step, n0, n1)


@njit(nogil=True, error_model="numpy")
def _load_images(code, y, task, first, samples):
    """Execute LOAD_IMAGES: standardise the micro-batch's images, from bytes where there are bytes."""
    depth = code[_N0 + 2]
    mean, scale = array_at(task[_Task.MEAN], (depth,), np.float32), array_at(task[_Task.SCALE], (depth,), np.float32)
    size = code[_N0] * code[_N0 + 1] * depth
    rows = array_at(task[_Task.ROWS], (first + samples,), np.int64)
    for sample in range(first, first + samples):
        at = rows[sample] * size
        if task[_Task.BYTES] != 0:
            image = array_at(task[_Task.PIXELS] + at, (size,), np.uint8)
            _load_one(code, image, y, mean, scale, task, sample)
        else:
            image = array_at(task[_Task.PIXELS] + 4 * at, (size,), np.float32)
            _load_one(code, image, y, mean, scale, task, sample)
        y += 4 * code[_Y + 2]


@njit(nogil=True, error_model="numpy")
def _load_one(code, image, y, mean, scale, task, sample):
    """Load one image, as it is or as its warp says."""
    rows, columns, depth = code[_N0], code[_N0 + 1], code[_N0 + 2]
    y_row, y_depth = code[_N0 + 3], code[_N0 + 4]
    if task[_Task.WARPED] == 0:
        load_image(image, y, mean, scale, rows, columns, depth, y_row, y_depth)
    else:
        warps = array_at(task[_Task.WARPS], (task[_Task.WARPED], _N_WARP), np.int64)
        load_warped_image(image, y, mean, scale, rows, columns, depth, y_row, y_depth, warps[sample])


@njit(nogil=True, error_model="numpy")
def _losses(code, x, y, task, first, samples, smoothing):
    """Execute CROSS_ENTROPY: each sample's loss, and the gradient by its scores."""
    end = first + samples
    targets = array_at(task[_Task.TARGETS], (end,), np.int64)
    weights = array_at(task[_Task.WEIGHTS], (end,), np.float64)
    losses = array_at(task[_Task.LOSSES], (end,), np.float64)
    for s in range(first, end):
        losses[s] = cross_entropy(x, y, code[_N0], code[_N0 + 1], targets[s], weights[s], smoothing)
        x += 4 * code[_X + 2]
        y += 4 * code[_Y + 2]


@njit(nogil=True, error_model="numpy")
def _store_scores(code, x, task, first, samples):
    """Execute STORE_SCORES: copy each sample's scores out."""
    rows, columns, classes = code[_N0], code[_N0 + 1], code[_N0 + 2]
    scores = array_at(task[_Task.SCORES], (first + samples, rows, columns, classes), np.float32)
    for s in range(first, first + samples):
        store_scores(x, scores[s], code[_N0 + 3], code[_N0 + 4])
        x += 4 * code[_X + 2]


@njit(nogil=True, error_model="numpy")
def _micro_batch(program, begin, end, frame, descriptor, samples, first, task, rule, layout):
    """Execute the instructions from `begin` to `end` on one micro-batch."""
    place = frame[-1]
    for at in range(begin, end):
        code = program[at]
        op = code[0]
        x, w = _address(code, _X, frame), _address(code, _W, frame)
        start, y = _address(code, _START, frame), _address(code, _Y, frame)
        if op == Op.CONTRACT:
            describe(code, descriptor, x, w, start, y, samples, first)
            call(task[_Task.CONTRACT], descriptor.ctypes.data)
        elif op == Op.LOAD_IMAGES:
            _load_images(code, y, task, place, samples)
        elif op == Op.CROSS_ENTROPY:
            _losses(code, x, y, task, place, samples, rule[Rule.SMOOTHING])
        elif op == Op.STORE_SCORES:
            _store_scores(code, x, task, place, samples)
        elif op == Op.DROPOUT:
            _drop_out(code, x, y, layout, place, samples)
        else:
            x_step, w_step, y_step = 4 * code[_X + 2], 4 * code[_W + 2], 4 * code[_Y + 2]
            start_step = 4 * code[_START + 2]
            if op < Op.CHANNEL_MOMENTS:
                _over_images(code, x, w, y, x_step, w_step, y_step, start, start_step, samples, first)
            else:
                _normalise(code, x, w, y, x_step, w_step, y_step, start, start_step, samples, first)


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
def _work_on_samples(worker, segment, program, layout, frame, descriptor, task, rule):
    """Take this worker's turns at the shards: shard `worker`, then every further one by the number of workers."""
    slots, samples, size = frame[Space.SHARD], layout[Layout.SAMPLES], layout[Layout.SHARD_SIZE]
    shards = (samples + size - 1) // size
    for shard in range(worker, shards, layout[Layout.WORKERS]):
        frame[Space.SHARD] = slots + 4 * shard * layout[Layout.SLOT_SIZE]
        begin, end = shard * size, min(samples, (shard + 1) * size)
        for place in range(begin, end, layout[Layout.MICRO_BATCH]):
            frame[-1] = place
            count = min(layout[Layout.MICRO_BATCH], end - place)
            first = place == begin
            _micro_batch(
                program,
                segment[Segment.FIRST],
                segment[Segment.LAST],
                frame,
                descriptor,
                count,
                first,
                task,
                rule,
                layout,
            )


@njit(nogil=True, error_model="numpy")
def _work_once(worker, segment, program, layout, frame):
    """Execute a segment that one worker does for all."""
    if worker > 0:
        return
    for at in range(segment[Segment.FIRST], segment[Segment.LAST]):
        code = program[at]
        x, w = _address(code, _X, frame), _address(code, _W, frame)
        start, y = _address(code, _START, frame), _address(code, _Y, frame)
        _once(code, x, w, start, y, layout[Layout.SAMPLES])


@njit(nogil=True, error_model="numpy")
def _work_on_parts(worker, segment, program, layout, frame, descriptor, task):
    """Compute this worker's part of each contraction over the whole batch."""
    for at in range(segment[Segment.FIRST], segment[Segment.LAST]):
        code = program[at]
        x, w = _address(code, _X, frame), _address(code, _W, frame)
        start, y = _address(code, _START, frame), _address(code, _Y, frame)
        describe(code, descriptor, x, w, start, y, layout[Layout.SAMPLES], True)
        part_of(descriptor, worker, layout[Layout.WORKERS])
        call(task[_Task.CONTRACT], descriptor.ctypes.data)


@njit(nogil=True, error_model="numpy")
def _gradient(block, program, layout, frame, descriptor, task):
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
    describe(code, descriptor, x, w, start, gradient, samples, True)
    rows_of(descriptor, block[Block.FIRST_ROW], block[Block.ROWS])
    call(task[_Task.CONTRACT], descriptor.ctypes.data)
    return gradient


@njit(nogil=True, error_model="numpy")
def _update(block, gradient, parameters, task, rule):
    """Step one block of the parameters down its gradient."""
    at, count = 4 * block[Block.OFFSET], block[Block.ROWS] * block[Block.COLUMNS]
    p, m = parameters + at, task[_Task.MOMENT_1] + at
    rate = np.float32(rule[Rule.RATE])
    decay = np.float32(rule[Rule.DECAY]) if block[Block.DECAY] else np.float32(0)
    beta_1 = np.float32(rule[Rule.BETA_1])
    if rule[Rule.ADAM] != 0:
        beta_2, epsilon = np.float32(rule[Rule.BETA_2]), np.float32(rule[Rule.EPSILON])
        v = task[_Task.MOMENT_2] + at
        adam(p, gradient, m, v, count, rate, decay, beta_1, beta_2, epsilon, np.float32(rule[Rule.DEBIAS]))
    else:
        sgd(p, gradient, m, count, rate, decay, beta_1, rule[Rule.NESTEROV] != 0)


@njit(nogil=True, error_model="numpy")
def _work_on_blocks(worker, kind, blocks, program, layout, frame, descriptor, task, rule):
    """Take this worker's turns at the blocks of parameters."""
    for at in range(worker, blocks.shape[0], layout[Layout.WORKERS]):
        block = blocks[at]
        if kind != Work.TURN:
            gradient = _gradient(block, program, layout, frame, descriptor, task)
            _update(block, gradient, frame[Space.PARAMETERS], task, rule)
        if block[Block.TURNED] >= 0:
            p, turned = frame[Space.PARAMETERS] + 4 * block[Block.OFFSET], frame[Space.SHARED] + 4 * block[Block.TURNED]
            turn(p, turned, block[Block.ROWS], block[Block.COLUMNS], block[Block.TURNED_STRIDE])


@njit(nogil=True, error_model="numpy")
def _work(worker, task):
    """Do one worker's share of one segment."""
    layout = array_at(task[_Task.LAYOUT], (_N_LAYOUT,), np.int64)
    segment = array_at(task[_Task.SEGMENT], (_N_SEGMENT,), np.int64)
    program = array_at(task[_Task.PROGRAM], (task[_Task.INSTRUCTIONS], WIDTH), np.int64)
    rule = array_at(task[_Task.RULE], (_N_RULE,), np.float64)
    frame, descriptor = np.empty(_FRAME, np.int64), np.empty(_N_DESCRIPTOR, np.int64)
    _spaces(frame, layout, task[_Task.PARAMETERS], task[_Task.MEMORY], worker)
    if segment[Segment.KIND] == Work.SAMPLES:
        _work_on_samples(worker, segment, program, layout, frame, descriptor, task, rule)
    elif segment[Segment.KIND] == Work.ONCE:
        _work_once(worker, segment, program, layout, frame)
    elif segment[Segment.KIND] == Work.PARTS:
        _work_on_parts(worker, segment, program, layout, frame, descriptor, task)
    else:
        blocks = array_at(task[_Task.BLOCKS], (task[_Task.N_BLOCKS], _N_BLOCK), np.int64)
        _work_on_blocks(worker, segment[Segment.KIND], blocks, program, layout, frame, descriptor, task, rule)


@njit(nogil=True, error_model="numpy")
def _fill_in(
    task,
    contract_at,
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
    task[_Task.CONTRACT], task[_Task.LAYOUT], task[_Task.RULE] = contract_at, layout.ctypes.data, rule.ctypes.data
    task[_Task.PROGRAM], task[_Task.INSTRUCTIONS] = program.ctypes.data, program.shape[0]
    task[_Task.BLOCKS], task[_Task.N_BLOCKS] = blocks.ctypes.data, blocks.shape[0]
    task[_Task.PARAMETERS], task[_Task.MEMORY] = parameters.ctypes.data, memory.ctypes.data
    task[_Task.MOMENT_1], task[_Task.MOMENT_2] = moments[0].ctypes.data, moments[1].ctypes.data
    task[_Task.BYTES] = pixels.shape[0]
    task[_Task.PIXELS] = pixels.ctypes.data if pixels.shape[0] > 0 else floats.ctypes.data
    task[_Task.ROWS], task[_Task.MEAN], task[_Task.SCALE] = rows.ctypes.data, mean.ctypes.data, scale.ctypes.data
    task[_Task.TARGETS], task[_Task.WEIGHTS] = targets.ctypes.data, weights.ctypes.data
    task[_Task.LOSSES], task[_Task.SCORES] = losses.ctypes.data, scores.ctypes.data
    task[_Task.WARPS], task[_Task.WARPED] = warps.ctypes.data, warps.shape[0]


def _stamp():
    """Return a digest of every source that is compiled into the entries: Numba's cache looks at this file alone."""
    here = Path(__file__).parent
    sources = [*sorted(here.glob("*.py")), here.parent / "program.py"]
    return hashlib.sha256(b"".join(source.read_bytes() for source in sources)).hexdigest()


def _compile(stamp, cache):
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
    options = {"cache": cache, "nogil": True, "error_model": "numpy"}

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
        array(f32, 2, writable=True),  # scores, (samples, classes), or a map of them for each sample
        array(f64, 1),  # rule, (columns of Rule,)
        array(i64, 2),  # warps, (samples, columns of Warp), or empty: images as they are
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
        warps,
    ):
        stamp  # noqa: B018
        task = np.empty(_N_TASK, np.int64)
        _fill_in(
            task,
            contract_at,
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
            task[_Task.SEGMENT] = segments.ctypes.data + 8 * segment * segments.shape[1]
            for worker in prange(layout[Layout.WORKERS]):
                call_with(work_at, worker, here)

    return contract_entry, work_entry, run_entry


def _compile_or_load():
    """Return the entries, from Numba's cache if there is a place for one."""
    try:
        return _compile(_stamp(), cache=True)
    except RuntimeError as error:
        if "cannot cache" not in str(error):
            raise
        warnings.warn(
            "No directory for compiled kernels is writable, so every process compiles them anew. Set NUMBA_CACHE_DIR "
            "to a directory that is.",
            stacklevel=2,
        )
        return _compile(_stamp(), cache=False)


_contract, _work_entry, _run = _compile_or_load()


def run(segments, *arguments):
    """Run a plan's segments one after the other; `segments` and `arguments` are the entry's, behind the addresses."""
    if are_lost():
        _run_alone(segments, *arguments)
        return
    with one_at_a_time():
        _run(_contract.address, _work_entry.address, segments, *arguments)


def _run_alone(segments, *arguments):
    """Do the work of all workers, one after the other, without a parallel region."""
    task = np.empty(_N_TASK, np.int64)
    _fill_in.py_func(task, _contract.address, *arguments)
    _, _, layout, *_ = arguments
    for segment in segments:
        task[_Task.SEGMENT] = segment.ctypes.data
        for worker in range(layout[Layout.WORKERS]):
            _work_entry.ctypes(worker, task.ctypes.data)
