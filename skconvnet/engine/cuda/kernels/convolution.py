"""Contractions: every layer with weights, as one matrix product with strides.

`cpu.llvm.tile` has the sum and says what its loops are in each layer. Here (i, j, p) are the rows of the product,
(t, r, k) its reduction and q its columns. A block of threads computes a tile of C (see `cuda.llvm.tile`), and walks the
reduction in slabs: `DEPTH` elements k of one line (t, r). Where there are too few tiles for a whole GPU, the reduction
is split into parts, each of which has blocks of its own, and `finish_contract` adds the parts.
"""

from skconvnet.engine.cuda.compiler import Address, cuda, float32, inlined, int32, int64, kernel
from skconvnet.engine.cuda.contraction import schedule
from skconvnet.engine.cuda.llvm.memory import load
from skconvnet.engine.cuda.llvm.products import N_SUMS, FloatProducts, TensorProducts
from skconvnet.engine.cuda.llvm.quads import load_quad, quad, splat, store_quad, where_greater
from skconvnet.engine.cuda.llvm.registers import below, digits, dot, shift, spaced, zeros
from skconvnet.engine.cuda.llvm.sums import sum_slices
from skconvnet.engine.cuda.llvm.threads import block, block_y, left, over, part, thread
from skconvnet.engine.cuda.llvm.tile import DEPTH, QUAD, TILES, Reader, storer
from skconvnet.engine.cuda.lowering import chunks
from skconvnet.engine.program.instructions import INSTRUCTIONS, Op, Samples

__all__ = ["CONTRACT", "finish_contract", "launch_schedule", "lower_contract"]

_THREADS = 256  # of finish_contract
_TABLE = QUAD * _THREADS  # a quad of each
_NUMBERS = INSTRUCTIONS[Op.CONTRACT].numbers
_QUADS = "N b_t b_r b_k b_g c_i c_j c_p c_g".split()  # multiples of 4


def _contract(products_of, reading, tile):
    """Make the kernel for one kind of products, one reading of A and one tile."""
    products = products_of(tile)
    place_of_sums, place_in_slab, multiply = products.place, products.slab_place, products.multiply
    no_sums, rows_of_sums, store = zeros(N_SUMS), spaced(products.rows), storer(products)
    slab_of_a = Reader(reading, tile.rows, products.row_stride, tile.threads)
    slab_of_b = Reader("m", tile.columns, products.column_stride, tile.threads)
    place_a, columns_a, load_a, put_a = slab_of_a.place, slab_of_a.columns, slab_of_a.load, slab_of_a.put
    place_b, columns_b, load_b, put_b = slab_of_b.place, slab_of_b.columns, slab_of_b.load, slab_of_b.put
    tile_rows, tile_columns, threads_b = tile.rows, tile.columns, slab_of_b.threads
    row_stride, column_stride = products.row_stride, products.column_stride
    begin_b, size = slab_of_a.size, slab_of_a.size + slab_of_b.size
    two_slabs = 2 * size

    @kernel(
        tile.threads,
        _blocks(products, reading, tile),
        f"contract{products.suffix}_{reading}_{tile}",
        products.minimum_cc,
    )
    def contract(
        a: Address, b: Address, start: Address, c: Address, parts, RELU,
        J, M, N, R, K, rows, slabs, line_slabs, part_slabs,
        a_i, a_j, a_p, a_t, a_r, a_k, a_g, b_t, b_r, b_k, b_g, start_q, start_g, c_i, c_j, c_p, c_g, c_part,
        a_step: Address, a_step_r: Address, a_step_t: Address, b_step: Address, b_step_r: Address, b_step_t: Address,
    ):  # fmt: skip
        """C = start + A B: a tile of the rows and columns of one group, or one part of its reduction.

        blockIdx: tile of rows, tile of columns, part + parts * group.

        Parameters
        ----------
        a, b, start, c : Address
            float32. C is written, and may not overlap the others. `start` is 0 where there is none. `a` is a multiple
            of 16 unless the reading is "1"; `b` and `c` are.
        parts : int32
            Parts of the reduction. Part s is written `s * c_part` elements after C.
        RELU : int32
            1: what is negative becomes 0.
        J, M, N, R, K : int32
            Counts of the loops. N is a multiple of 4.
        rows, slabs, line_slabs, part_slabs, a_step, a_step_r, a_step_t, b_step, b_step_r, b_step_t
            As in `cuda.contraction.Schedule`.
        a_i, a_j, ..., c_g : int32
            Strides in float32 elements; those from group to group are a_g, b_g, start_g and c_g.
        """
        shared = cuda.shared.array(two_slabs, float32, alignment=16)  # twice: a slab of A, a slab of B
        first_row, first_column = int32(block() * tile_rows), int32(block_y() * tile_columns)
        group = over(part(), parts)
        number = int32(part() - group * parts)

        # The first slab of this part begins at element k of line r of t.
        slab = int32(number * part_slabs)
        n_left = min(part_slabs, int32(slabs - slab))
        line = over(slab, line_slabs)
        t = over(line, R)
        r = int32(line - t * R)
        k = int32((slab - line * line_slabs) * DEPTH)

        # What this thread copies. For a row or column that is not there it copies the first: that sum is not stored.
        line_a, column_a = place_a(thread())
        line_b, column_b = place_b(thread())
        p, j, i = digits(below(columns_a(first_row + column_a), rows), M, J)
        from_a = shift(dot(i, j, p, a_i, a_j, a_p), line_a * a_k)
        from_b = first_column + column_b if first_column + column_b < N else int64(0)
        a += 4 * (int64(group) * a_g + t * a_t + r * a_r + k * a_k)
        b += 4 * (int64(group) * b_g + t * b_t + r * b_r + (k + line_b) * b_k + from_b)
        to_a = int32(line_a * row_stride + column_a)
        to_b = int32(begin_b + line_b * column_stride + column_b)
        put_a(shared, to_a, load_a(a, from_a, a_k, k + line_a, K))
        if thread() < threads_b:
            put_b(shared, to_b, load_b(b, columns_b(0), b_k, k + line_b, K))
        cuda.syncthreads()

        # While a slab is multiplied, the next one is loaded, and then put to the other half of shared memory.
        row, column = place_of_sums(thread())
        row_in_a, column_in_b = place_in_slab(thread())
        sums = no_sums()
        here = int32(0)
        while n_left > 0:
            n_left = int32(n_left - 1)
            k, a, b = int32(k + DEPTH), a + a_step, b + b_step
            if k >= K:
                k, r, a, b = int32(0), int32(r + 1), a + a_step_r, b + b_step_r
                if r >= R:
                    r, a, b = int32(0), a + a_step_t, b + b_step_t
            end = K if n_left > 0 else int32(0)  # after the last slab, there is nothing to load
            next_a = load_a(a, from_a, a_k, k + line_a, end)
            next_b = load_b(b, columns_b(0), b_k, k + line_b, end)
            sums = multiply(sums, shared, here + row_in_a, here + begin_b + column_in_b)
            here = int32(size - here)
            put_a(shared, here + to_a, next_a)
            if thread() < threads_b:
                put_b(shared, here + to_b, next_b)
            cuda.syncthreads()

        if start != 0:
            start += 4 * int64(group) * start_g
        c += 4 * (int64(group) * c_g + int64(number) * c_part)
        p, j, i = digits(rows_of_sums(first_row + row), M, J)
        c_rows = dot(i, j, p, c_i, c_j, c_p)
        store(sums, start, start_q, c, c_rows, first_row + row, first_column + column, rows, N, RELU)

    return contract


def _blocks(products, reading, tile):
    """Return how many blocks should fit on a multiprocessor, which limits the registers of a thread.

    The widest tile needs no more than 128 registers a thread, which are two blocks. Others need 168 to 200; there, few
    threads with 64 sums each are work enough.
    """
    if products.run != QUAD:
        return 256 // tile.threads
    if reading == "1":
        return 320 // tile.threads
    return (512 if tile.threads == 256 else 384) // tile.threads


_PRODUCTS = {"ieee": FloatProducts, "tf32x3": TensorProducts}

CONTRACT = {
    (precision, reading, tile): _contract(products, reading, tile)
    for precision, products in _PRODUCTS.items()
    for reading in "km1"
    for tile in TILES
}


@kernel(_THREADS)
def finish_contract(
    sums: Address, start: Address, c: Address, parts, part_size, wide, RELU,
    J, M, N, rows, start_q, start_g, c_i, c_j, c_p, c_g,
):  # fmt: skip
    """C = the sums of all parts, in an order that depends on shapes alone, + start, for the quads of one group.

    A block has `wide` quads and 256 / wide slices of the parts. Thread slice * wide + q adds the parts slice,
    slice + 256 / wide, ... of quad q, and then the slices are added in a tree.

    blockIdx: `wide` quads of a group, group.

    Parameters
    ----------
    sums : Address
        float32, shape (parts, groups, rows, N).
    part_size : int32
        Elements of a part.
    wide : int32
        A power of two up to 256.
    start, c, parts, RELU, J, M, N, rows, start_q, start_g, c_i, c_j, c_p, c_g
        As `contract` takes them; `start` is not 0.
    """
    table = cuda.shared.array(_TABLE, float32)
    first, slices, zero = over(thread(), wide), over(_THREADS, wide), splat(float32(0))
    at = QUAD * int64(wide * block() + left(thread(), wide))
    address = sums + 4 * (block_y() * (rows * N) + at + int64(first) * part_size)
    total, number = zero, int32(first)
    end = parts if at < rows * N else 0
    while number < end:
        total = total + load_quad(address)
        address += 4 * int64(slices) * part_size
        number = int32(number + slices)
    total = sum_slices(table, total, wide)
    if first == 0 and at < rows * N:
        row = over(at, N)
        q = at - row * N
        line = over(row, M)
        i = over(line, J)
        total = total + _start_quad(start + 4 * (block_y() * start_g + q * start_q), start_q)
        if RELU != 0:
            total = where_greater(zero, total, zero, total)
        store_quad(c + 4 * (i * c_i + (line - i * J) * c_j + (row - line * M) * c_p + block_y() * c_g + q), total)


@inlined
def _start_quad(start, start_q):
    """Return four numbers that are `start_q` elements apart."""
    step = 4 * start_q
    return quad(load(start), load(start + step), load(start + 2 * step), load(start + 3 * step))


def lower_contract(call):
    """Yield the launches of CONTRACT.

    ``call["float32_precision"]`` is "ieee", or "tf32x3" for tensor cores, from compute capability 8.0 on.

    Raises
    ------
    ValueError
        If the instruction starts from rows, or reads or writes quads at addresses that are not multiples of 16.
    """
    loops = {name: call[name] for name in _NUMBERS}
    if loops["sample_loop"] != Samples.NONE:
        loops[Samples(loops["sample_loop"]).name] = call["samples"]
    _check(call, loops)
    if 0 in (loops["I"], loops["J"], loops["M"], loops["N"]):
        return
    yield from launch_schedule(call, schedule(loops, call["a"] % 16 == 0))


def launch_schedule(call, cut):
    """Yield the sums of a schedule, and for a reduction in parts their addition.

    Parameters
    ----------
    call : Call
        With ``float32_precision``, the addresses of `a`, `b`, `start` and `c`, and RELU.
    cut : Schedule
    """
    contract = CONTRACT[call["float32_precision"], cut.reading, cut.tile]
    numbers = cut.loops | {"parts": cut.parts}
    if cut.parts == 1:
        yield call.launch(contract, cut.grid, **numbers, c_part=0)
        return
    rows, columns, size = numbers["rows"], numbers["N"], cut.part_size
    sums = call.scratch(cut.parts * size)
    dense = {"c_i": numbers["J"] * numbers["M"] * columns, "c_j": numbers["M"] * columns, "c_p": columns}
    unfinished = dense | {"c": sums, "c_g": rows * columns, "c_part": size, "start": 0, "RELU": 0}
    yield call.launch(contract, cut.grid, **numbers | unfinished)
    wide = _THREADS
    while wide > 4 and 4 * (_THREADS // wide) < cut.parts:  # a thread adds about four parts
        wide //= 2
    blocks = chunks(rows * columns // QUAD, wide), numbers["groups"]
    yield call.launch(finish_contract, blocks, **numbers, sums=sums, part_size=size, wide=wide)


def _check(call, loops):
    """Raise a ValueError for an instruction that the kernels cannot execute."""
    if any(loops[f"start_{letter}"] for letter in "ijp"):
        raise ValueError(
            "CONTRACT starts from rows of numbers, and the kernels for a GPU from one row. Plan for a GPU."
        )
    uneven = [name for name in _QUADS if loops[name] % QUAD] + [name for name in "bc" if call[name] % 16]
    if uneven:
        raise ValueError(
            f"CONTRACT has {', '.join(uneven)} that do not begin at quads: the kernels for a GPU need addresses of B "
            "and C that are multiples of 16, and strides that are multiples of 4. Pad depths to multiples of 8."
        )
