"""Optimizer steps on the blocks of parameters, the transposed copies, and the counter of steps.

One launch takes the step for all blocks, whose table (rows of `Block`, int64) is on the device. A block of parameters
has a row of thread blocks, which walk along it together. Addresses are in bytes, offsets in float32 elements.
"""

from skconvnet.engine.cuda.compiler import Address, cuda, float32, kernel
from skconvnet.engine.cuda.llvm.memory import load, load_double, load_int, load_long, store, store_int
from skconvnet.engine.cuda.llvm.quads import load_quad, splat, square_root, store_quad
from skconvnet.engine.cuda.llvm.threads import block, chunk, left, over, thread
from skconvnet.engine.cuda.lowering import chunks
from skconvnet.engine.program.instructions import Block, Rule

__all__ = [
    "count_step",
    "lower_sum_slots",
    "lower_transpose",
    "lower_update",
    "sum_slots",
    "transpose",
    "update",
]

_THREADS = 256
_PIECE = 16 * _THREADS  # parameters of a thread block: four quads a thread, which read the rule once
_SIDE = 32  # rows and columns of a tile that is transposed in shared memory
_LINE = _SIDE + 1  # a column of the tile is in 32 different banks, too
_TILE = _SIDE * _LINE
_MOST_CHUNKS = 64

# Columns of the tables, in bytes.
_OFFSET, _ROWS, _COLUMNS, _DECAYS = 8 * Block.OFFSET, 8 * Block.ROWS, 8 * Block.COLUMNS, 8 * Block.DECAY
_GRADIENT, _TRANSPOSED, _STRIDE = 8 * Block.GRADIENT, 8 * Block.TRANSPOSED, 8 * Block.TRANSPOSED_STRIDE
_IN_BODY = 8 * Block.IN_BODY
_ADAM, _RATE, _DECAY, _BETA_1 = 8 * Rule.ADAM, 8 * Rule.RATE, 8 * Rule.DECAY, 8 * Rule.BETA_1
_BODY_RATE, _BODY_DECAY = 8 * Rule.BODY_RATE, 8 * Rule.BODY_DECAY
_BETA_2, _EPSILON, _DEBIAS, _NESTEROV = 8 * Rule.BETA_2, 8 * Rule.EPSILON, 8 * Rule.DEBIAS, 8 * Rule.NESTEROV
_BLOCK, _RULE = 8 * len(Block), 8 * len(Rule)  # a row


@kernel(_THREADS)
def update(
    blocks: Address,
    parameters: Address,
    gradient: Address,
    shared: Address,
    moment_1: Address,
    moment_2: Address,
    rules: Address,
    step: Address,
    piece,
):
    """Take the step of Adam or of gradient descent for all blocks; the formulas are `engine.cpu.kernels.optimizer`'s.

    Parameters
    ----------
    blocks : int64
        Table of the blocks, (blocks, columns of `Block`) int64. The length of each is a multiple of four.
    parameters, moment_1, moment_2 : int64
        Float32 vectors of all parameters and their moments, overwritten. Gradient descent has only the first moment.
    gradient : int64
        Float32 vector of gradients, read where a block has no GRADIENT of its own.
    shared : int64
        Float32 memory in which GRADIENT is an offset.
    rules : int64
        Table of the epoch's steps, (steps, columns of `Rule`) float64. Its numbers are rounded to float32.
    step : int64
        The row of `rules`, int32.
    piece : int32
        Parameters of one thread block, a multiple of four.
    """
    own, rule = blocks + _BLOCK * block(), rules + _RULE * load_int(step)
    offset, end = 4 * load_long(own + _OFFSET), 4 * load_long(own + _ROWS) * load_long(own + _COLUMNS)
    complete = load_long(own + _GRADIENT)
    g = shared + 4 * complete if complete >= 0 else gradient + offset
    p, m, v = parameters + offset, moment_1 + offset, moment_2 + offset
    in_body = load_long(own + _IN_BODY) != 0
    one, rate = splat(float32(1)), splat(float32(load_double(rule + (_BODY_RATE if in_body else _RATE))))
    shrinks = float32(load_double(rule + (_BODY_DECAY if in_body else _DECAY)))
    decay = splat(shrinks if load_long(own + _DECAYS) != 0 else float32(0))
    b1, b2 = splat(float32(load_double(rule + _BETA_1))), splat(float32(load_double(rule + _BETA_2)))
    root, small = splat(float32(load_double(rule + _DEBIAS))), splat(float32(load_double(rule + _EPSILON)))
    is_adam, is_nesterov = load_double(rule + _ADAM) != 0, load_double(rule + _NESTEROV) != 0
    at = 4 * piece * chunk() + 16 * thread()
    end = min(end, 4 * piece * (chunk() + 1))
    while at < end:
        here, down = load_quad(p + at), load_quad(g + at)
        if is_adam:
            first = b1 * load_quad(m + at) + (one - b1) * down
            second = b2 * load_quad(v + at) + (one - b2) * down * down
            store_quad(m + at, first)
            store_quad(v + at, second)
            here = (one - decay) * here - rate * first / (root * square_root(second) + small)
        else:
            down = rate * (down + decay * here)
            velocity = b1 * load_quad(m + at) - down
            store_quad(m + at, velocity)
            if is_nesterov:
                velocity = b1 * velocity - down
            here = here + velocity
        store_quad(p + at, here)
        at += 16 * _THREADS


@kernel(_THREADS)
def transpose(blocks: Address, parameters: Address, shared: Address, chunks):
    """Write the transposed copies: element (row, k) of a block goes to TRANSPOSED + k * TRANSPOSED_STRIDE + row.

    Parameters
    ----------
    blocks : int64
        Table of the blocks, (blocks, columns of `Block`) int64; those without a copy are left out.
    parameters : int64
        Float32 vector of all parameters.
    shared : int64
        Float32 memory of the copies, written.
    chunks : int32
        Thread blocks of each block of parameters.
    """
    tile = cuda.shared.array(_TILE, float32)
    own = blocks + _BLOCK * block()
    rows, columns, stride = load_long(own + _ROWS), load_long(own + _COLUMNS), load_long(own + _STRIDE)
    p, copy = parameters + 4 * load_long(own + _OFFSET), load_long(own + _TRANSPOSED)
    across, along, first = over(columns + (_SIDE - 1), _SIDE), left(thread(), _SIDE), over(thread(), _SIDE)
    tiles = across * over(rows + (_SIDE - 1), _SIDE) if copy >= 0 else 0
    number = chunk()
    while number < tiles:
        top, start = over(number, across) * _SIDE, left(number, across) * _SIDE
        row = first
        while row < _SIDE:
            if top + row < rows and start + along < columns:
                tile[row * _LINE + along] = load(p + 4 * ((top + row) * columns + start + along))
            row += _THREADS // _SIDE
        cuda.syncthreads()
        k = first
        while k < _SIDE:
            if top + along < rows and start + k < columns:
                store(shared + 4 * (copy + (start + k) * stride + top + along), tile[along * _LINE + k])
            k += _THREADS // _SIDE
        cuda.syncthreads()  # the tile is written again
        number += chunks


@kernel(_THREADS)
def sum_slots(gradient: Address, slot_size, slots):
    """Add the gradients of all shards in the first shard's slot, in the order of the shards.

    Parameters
    ----------
    gradient : int64
        Address of the slots, float32; the first is overwritten.
    slot_size : int32
        Elements of a slot, a multiple of four.
    slots : int32
        How many there are.
    """
    at = 4 * (_THREADS * block() + thread())
    if at < slot_size:
        address = gradient + 4 * at
        total = load_quad(address)
        for _ in range(1, slots):
            address += 4 * slot_size
            total = total + load_quad(address)
        store_quad(gradient + 4 * at, total)


def lower_sum_slots(call, slot_size, slots):
    """Yield the launch that sums the gradients of several shards; none for one shard."""
    if slots > 1:
        blocks = chunks(slot_size // 4, _THREADS)
        yield call.launch(sum_slots, (blocks,), slot_size=slot_size, slots=slots)


@kernel(threads=1)
def count_step(step: Address):
    """Add 1 to the int32 that counts the steps of the epoch."""
    store_int(step, load_int(step) + 1)


def lower_update(call, blocks):
    """Yield the launches of an UPDATE segment: the step, then the transposed copies of the new parameters.

    Parameters
    ----------
    call : Call
        Has, by name, the addresses that `update` takes.
    blocks : ndarray of int64, shape (n, columns of `Block`)
        The plan's blocks, of which ``call["blocks"]`` is the address on the device.
    """
    if (blocks[:, Block.CONTRACTION] >= 0).any():
        raise ValueError(
            "The plan leaves gradients to the update, by CONTRACTION, which only the CPU machine computes there; "
            "make the plan for the target GPU."
        )
    if not len(blocks):
        return
    most = int((blocks[:, Block.ROWS] * blocks[:, Block.COLUMNS]).max())
    rows = min(_MOST_CHUNKS, chunks(most, _PIECE))
    yield call.launch(update, (len(blocks), rows), piece=_PIECE * chunks(most, _PIECE * rows))
    yield from lower_transpose(call, blocks)


def lower_transpose(call, blocks):
    """Yield the launch of a TRANSPOSE segment, if any block has a copy; parameters as for `lower_update`."""
    with_copy = blocks[blocks[:, Block.TRANSPOSED] >= 0]
    if len(with_copy):
        tiles = chunks(with_copy[:, Block.ROWS], _SIDE) * chunks(with_copy[:, Block.COLUMNS], _SIDE)
        rows = min(_MOST_CHUNKS, int(tiles.max()))
        yield call.launch(transpose, (len(blocks), rows), chunks=rows)
