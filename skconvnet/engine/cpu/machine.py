"""The CPU machine: one compiled entry that executes any program.

The batch is cut into shards and each shard into micro-batches; a worker takes one micro-batch after the other through
a whole segment of the program, forward and backward, in an arena that stays in its cache. What is cut where depends
on the plan alone: workers only take turns at the shards, so their number cannot change a bit of the result.
"""

import hashlib
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from numba import get_num_threads, njit, prange, set_num_threads, types

from skconvnet.engine.cpu.contraction import contract, describe, rows_of
from skconvnet.engine.cpu.elementwise import bias_relu_backward, clear, clear_border, load_image, relu
from skconvnet.engine.cpu.loss import cross_entropy, store_scores
from skconvnet.engine.cpu.optimizer import adam, sgd, sum_slots, turn
from skconvnet.engine.cpu.pool import max_pool, max_pool_backward
from skconvnet.engine.program import (
    DESCRIPTOR,
    FIRST_NUMBER,
    OPERANDS,
    Block,
    Layout,
    Op,
    Rule,
    Segment,
    Space,
    Work,
)

__all__ = ["most_threads", "run", "threads"]

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
def _load_images(code, y, pixels, floats, rows, mean, scale, first, samples):
    """Execute LOAD_IMAGES: standardise the micro-batch's images, from bytes where there are bytes."""
    height, width, depth = code[_N0], code[_N0 + 1], code[_N0 + 2]
    y_row, y_depth = code[_N0 + 3], code[_N0 + 4]
    for sample in range(samples):
        row = rows[first + sample]
        if pixels.shape[0] > 0:
            load_image(pixels[row], y, mean, scale, height, width, depth, y_row, y_depth)
        else:
            load_image(floats[row], y, mean, scale, height, width, depth, y_row, y_depth)
        y += 4 * code[_Y + 2]


@njit(nogil=True, error_model="numpy")
def _micro_batch(program, begin, end, frame, descriptor, samples, first, source, wanted, results, rule):
    """Execute the instructions from `begin` to `end` on one micro-batch."""
    pixels, floats, rows, mean, scale = source
    targets, weights = wanted
    losses, scores = results
    place = frame[-1]
    for at in range(begin, end):
        code = program[at]
        op = code[0]
        x, w = _address(code, _X, frame), _address(code, _W, frame)
        start, y = _address(code, _START, frame), _address(code, _Y, frame)
        if op == _CONTRACT:
            describe(code, descriptor, x, w, start, y, samples, first)
            contract(descriptor)
        elif op == _LOAD:
            _load_images(code, y, pixels, floats, rows, mean, scale, place, samples)
        elif op == _LOSS:
            for s in range(place, place + samples):
                losses[s] = cross_entropy(x, y, code[_N0], code[_N0 + 1], targets[s], weights[s], rule[_SMOOTHING])
                x += 4 * code[_X + 2]
                y += 4 * code[_Y + 2]
        elif op == _SCORES:
            for s in range(place, place + samples):
                store_scores(x, scores[s], code[_N0])
                x += 4 * code[_X + 2]
        else:
            steps = 4 * code[_X + 2], 4 * code[_W + 2], 4 * code[_Y + 2]
            _over_images(code, x, w, y, steps[0], steps[1], steps[2], start, 4 * code[_START + 2], samples, first)


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
def _work_on_samples(worker, segment, program, layout, frame, descriptor, source, wanted, results, rule):
    """Take this worker's turns at the shards: shard `worker`, then every further one by the number of workers."""
    slots, samples, size = frame[_SHARD], layout[_SAMPLES], layout[_SHARD_SIZE]
    shards = (samples + size - 1) // size
    for shard in range(worker, shards, layout[_WORKERS]):
        frame[_SHARD] = slots + 4 * shard * layout[_SLOT_SIZE]
        begin, end = shard * size, min(samples, (shard + 1) * size)
        for place in range(begin, end, layout[_MICRO_BATCH]):
            frame[-1] = place
            count = min(layout[_MICRO_BATCH], end - place)
            _micro_batch(
                program,
                segment[_FIRST],
                segment[_LAST],
                frame,
                descriptor,
                count,
                place == begin,
                source,
                wanted,
                results,
                rule,
            )


@njit(nogil=True, error_model="numpy")
def _gradient(block, program, layout, frame, descriptor):
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
    contract(descriptor)
    return gradient


@njit(nogil=True, error_model="numpy")
def _update(block, gradient, parameters, moments, rule):
    """Step one block of the parameters down its gradient."""
    at, count = 4 * block[_OFFSET], block[_ROWS] * block[_COLUMNS]
    p, m = parameters + at, moments[0].ctypes.data + at
    rate = np.float32(rule[_RATE])
    decay = np.float32(rule[_DECAY]) if block[_DECAYS] else np.float32(0)
    beta_1 = np.float32(rule[_BETA_1])
    if rule[_ADAM] != 0:
        beta_2, epsilon = np.float32(rule[_BETA_2]), np.float32(rule[_EPSILON])
        v = moments[1].ctypes.data + at
        adam(p, gradient, m, v, count, rate, decay, beta_1, beta_2, epsilon, np.float32(rule[_DEBIAS]))
    else:
        sgd(p, gradient, m, count, rate, decay, beta_1, rule[_NESTEROV] != 0)


@njit(nogil=True, error_model="numpy")
def _work_on_blocks(worker, kind, blocks, program, layout, frame, descriptor, moments, rule):
    """Take this worker's turns at the blocks of parameters."""
    for at in range(worker, blocks.shape[0], layout[_WORKERS]):
        block = blocks[at]
        if kind != _TURN_ONLY:
            gradient = _gradient(block, program, layout, frame, descriptor)
            _update(block, gradient, frame[_PARAMETERS], moments, rule)
        if block[_TURNED] >= 0:
            p, turned = frame[_PARAMETERS] + 4 * block[_OFFSET], frame[_SHARED] + 4 * block[_TURNED]
            turn(p, turned, block[_ROWS], block[_COLUMNS], block[_STRIDE])


@njit(nogil=True, error_model="numpy")
def _work(worker, segment, program, blocks, layout, parameters, memory, moments, source, wanted, results, rule):
    """Do one worker's share of one segment."""
    frame, descriptor = np.empty(_FRAME, np.int64), np.empty(_FIELDS, np.int64)
    _spaces(frame, layout, parameters.ctypes.data, memory.ctypes.data, worker)
    if segment[_KIND] == _OVER_SAMPLES:
        _work_on_samples(worker, segment, program, layout, frame, descriptor, source, wanted, results, rule)
    else:
        _work_on_blocks(worker, segment[_KIND], blocks, program, layout, frame, descriptor, moments, rule)


def _stamp():
    """A digest of every source that is compiled into the entry: what Numba's cache does not look at by itself."""
    here = Path(__file__).parent
    sources = [*sorted(here.glob("*.py")), here.parent / "program.py"]
    return hashlib.sha256(b"".join(source.read_bytes() for source in sources)).hexdigest()


def _entry(stamp):
    """Compile the entry for the sources of `stamp`, or load it from Numba's cache.

    `stamp` is a variable of the closure for one reason: Numba keys its cache by the closure's values, and so an edit
    of any kernel, intrinsics included, is compiled afresh.
    """
    i64, f32, f64 = types.int64, types.float32, types.float64

    def array(kind, dimensions, writable=False):
        return types.Array(kind, dimensions, "C", readonly=not writable)

    signature = types.void(
        array(i64, 2),  # segments
        array(i64, 2),  # program
        array(i64, 2),  # blocks
        array(i64, 1),  # layout
        array(f32, 1, writable=True),  # parameters
        array(f32, 1, writable=True),  # memory
        array(f32, 2, writable=True),  # moments
        array(types.uint8, 2),  # pixels
        array(f32, 2),  # floats
        array(i64, 1),  # rows
        array(f32, 1),  # mean
        array(f32, 1),  # scale
        array(i64, 1),  # targets
        array(f64, 1),  # weights
        array(f64, 1, writable=True),  # losses
        array(f32, 2, writable=True),  # scores
        array(f64, 1),  # rule
    )

    @njit(signature, parallel=True, cache=True, nogil=True, error_model="numpy")
    def run(
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
        stamp  # noqa: B018 - see the docstring
        source, wanted, results = (pixels, floats, rows, mean, scale), (targets, weights), (losses, scores)
        for at in range(segments.shape[0]):
            segment = segments[at]
            for worker in prange(layout[_WORKERS]):
                _work(
                    worker, segment, program, blocks, layout, parameters, memory, moments, source, wanted, results, rule
                )

    return run


run = _entry(_stamp())


@contextmanager
def threads(count):
    """Let parallel regions of this Python thread use `count` threads, and restore what was set before."""
    before = get_num_threads()
    set_num_threads(count)
    try:
        yield
    finally:
        set_num_threads(before)


def most_threads():
    """Return how many threads parallel regions of this Python thread may use."""
    return get_num_threads()
