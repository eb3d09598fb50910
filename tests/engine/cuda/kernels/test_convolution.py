"""CONTRACT of the plans of networks, against the same sums in float64: the compiled kernels, executed on the CPU."""

import numpy as np
import pytest

pytest.importorskip("numba_cuda", reason="needs the extra skconvnet[cuda] (`make cuda` installs it)")

from skconvnet.architecture import Architecture
from skconvnet.engine import Network, SoftmaxCrossEntropy
from skconvnet.engine.cuda.contraction import schedule
from skconvnet.engine.cuda.kernels.convolution import CONTRACT, launch_schedule, lower_contract
from skconvnet.engine.cuda.llvm.tile import TILES
from skconvnet.engine.cuda.lowering import Call, call_of
from skconvnet.engine.device import CpuDevice
from skconvnet.engine.plan.plan import plan_training
from skconvnet.engine.program.instructions import INSTRUCTIONS, Op, Samples, Space
from skconvnet.engine.program.target import GPU
from tests.engine.cpu.programs import Memory, shared
from tests.engine.cuda.kernels.harness import driver, lowered, run, without_each_barrier
from tests.engine.cuda.ptx.execute import PtxError

# Largest errors, of the sum of the absolute values of all terms; measured are 3.3e-7 and 6.3e-7.
TOLERANCE = {"ieee": 1e-6, "tf32x3": 2e-6}


# -- The contractions of networks --------------------------------------------------------------------------------------


class Machine:
    """The memory of a plan on the device, each space apart, filled with random numbers."""

    def __init__(self, text, shape, batch, precision="ieee", n_classes=10):
        self.named = {"samples": batch, "place": 0, "float32_precision": precision}
        bound = Architecture.parse(text).bind(shape, n_classes)
        layout = Network(bound, np.zeros(shape[2]), np.ones(shape[2]), CpuDevice(GPU)).parameter_layout
        self.plan = plan = plan_training(bound, layout, SoftmaxCrossEntropy(), batch, GPU)
        sizes = {Space.PARAMETERS: layout.size, Space.SHARED: plan.shared, Space.BATCH: plan.batch}
        sizes |= {Space.LOCAL: plan.arena, Space.SHARD: plan.slot}
        rng = np.random.default_rng(0)
        self.memory = {space: rng.standard_normal(size).astype(np.float32) for space, size in sizes.items()}
        self.memory[Space.SHARED][:64] = 0
        self.addresses = {space: driver().allocate(array.nbytes) for space, array in self.memory.items()}

    @property
    def contractions(self):
        return [row for row in self.plan.program if row[0] == Op.CONTRACT]

    def launches(self, row, scratch=0):
        """The launches of an instruction, and the float32 elements of scratch that it needs."""
        call = call_of(row, self.addresses, self.named, scratch)
        return list(lower_contract(call)), call.scratch_size

    def run(self, row):
        """Execute one instruction; returns the memory of C's space after it."""
        for space, array in self.memory.items():
            driver().upload(self.addresses[space], array)
        scratch = driver().allocate(4 * self.launches(row)[1])  # nothing is written there yet, which would be noticed
        driver().record(self.launches(row, scratch)[0]).replay()
        driver().synchronize()
        driver().free(scratch)
        space = Space(row[INSTRUCTIONS[Op.CONTRACT].operand("c")])
        after = np.empty_like(self.memory[space])
        driver().download(self.addresses[space], after)
        return after

    def free(self):
        for address in self.addresses.values():
            driver().free(address)


def upload(array):
    """The address of a copy on the device."""
    address = driver().allocate(array.nbytes)
    driver().upload(address, array)
    return address


def expected(machine, row):
    """Where C is in its space; what it should be; and the sum of the absolute values of its terms."""
    instruction = INSTRUCTIONS[Op.CONTRACT]
    n = {name: int(row[instruction.number(name)]) for name in instruction.numbers}
    n[Samples(n["sample_loop"]).name] = machine.named["samples"]
    rows = [(n["groups"], "g"), (n["I"], "i"), (n["J"], "j"), (n["M"], "p")]
    sums = [(n["T"], "t"), (n["R"], "r"), (n["K"], "k")]

    def elements(operand, loops, **strides):
        """The elements of an operand in its space, with an axis for each loop."""
        distances = {letter: n.get(f"{operand}_{letter}", 0) for _, letter in loops} | strides
        axes = [np.arange(count) * distances[letter] for count, letter in loops]
        return row[instruction.operand(operand) + 1] + sum(np.ix_(*axes))

    def values(operand, loops, **strides):
        space = Space(row[instruction.operand(operand)])
        return machine.memory[space][elements(operand, loops, **strides)].astype(np.float64)

    columns = (n["N"], "q")
    a, start = values("a", [*rows, *sums]), values("start", [*rows, columns])
    b = values("b", [rows[0], *sums, columns], q=1)
    total = np.array([np.tensordot(x, y, 3) for x, y in zip(a, b, strict=True)]) + start
    size = np.array([np.tensordot(abs(x), abs(y), 3) for x, y in zip(a, b, strict=True)]) + abs(start)
    return elements("c", [*rows, columns], q=1), np.maximum(total, 0) if n["RELU"] else total, size


def assert_as_float64(machine, row):
    """An instruction computes its sums, and writes nothing else."""
    after = machine.run(row)
    at, wanted, size = expected(machine, row)
    error = np.abs(after[at] - wanted) / size
    assert error.max() <= TOLERANCE[machine.named["float32_precision"]], dict(
        zip(INSTRUCTIONS[Op.CONTRACT].numbers, row[13:].tolist(), strict=False)
    )
    before = machine.memory[Space(row[INSTRUCTIONS[Op.CONTRACT].operand("c")])].copy()
    before[at] = after[at]
    np.testing.assert_array_equal(after, before)


# Text, shape of the images and batch: readings, tiles and parts differ.
NETWORKS = {
    "digits": ("INPUT -> CONV(K=32) -> RELU -> CONV(K=32) -> RELU -> POOL -> FC(128) -> RELU -> FC", (8, 8, 1), 32),
    "strides": (
        "INPUT -> CONV(K=16, F=5, S=2, P=2) -> RELU -> CONV(K=64, F=3, S=2) -> CONV(K=136, F=1) -> RELU -> FC",
        (13, 13, 3),
        9,
    ),
    "groups": (
        "INPUT -> CONV(K=24, F=3) -> CONV(K=24, F=3, groups=4) -> CONV(K=24, F=3, groups=24) -> FC",
        (9, 9, 3),
        5,
    ),
    "fc": ("INPUT -> FC(200) -> RELU -> FC(72) -> RELU -> FC", (8, 8, 1), 64),
    "one sample": ("INPUT -> CONV(K=9, F=4, S=3, P=1, round=ceil) -> RELU -> FC(300) -> FC", (11, 7, 3), 1),
    "130 samples": ("INPUT -> CONV(K=8, F=2, S=2, P=0, bias=no) -> FC(40) -> FC", (4, 6, 3), 130),
}


@pytest.mark.parametrize(
    ("name", "precision"), [*((name, "ieee") for name in NETWORKS), ("digits", "tf32x3"), ("groups", "tf32x3")]
)
def test_contractions_of_plans(name, precision):
    machine = Machine(*NETWORKS[name], precision)
    for row in machine.contractions:
        assert_as_float64(machine, row)
    machine.free()


# -- Each kernel -------------------------------------------------------------------------------------------------------

KERNELS = [pytest.param(*key, id="-".join(map(str, key))) for key in CONTRACT]

# The loops over rows: one to four and seventeen to twenty of them, which end at each of the rows of a thread.
ROWS = [(1, 1, 1), (1, 1, 2), (1, 1, 1), (1, 2, 1), (3, 1, 1), (1, 2, 2), (1, 1, 17), (3, 3, 2), (1, 19, 1), (2, 2, 5)]
ROWS_OF_QUADS = [(1, 1, 4), (1, 1, 8), (2, 1, 4), (1, 3, 4), (1, 2, 8), (5, 1, 4)]


def padded(array, extra, end=False):
    """Copy an array to memory with `extra` NaN behind each axis; returns that memory, and the strides in float32.

    With `end`, memory ends with the last number, so that it is noticed who reads behind it.
    """
    memory = np.full(np.add(array.shape, extra), np.nan, np.float32)
    memory[tuple(slice(size) for size in array.shape)] = array
    strides = [stride // 4 for stride in memory.strides]
    last = sum((size - 1) * stride for size, stride in zip(array.shape, strides, strict=True))
    return memory.ravel()[: last + 1] if end else memory, strides


def run_kernel(precision, reading, tile, rows, columns, K, *, T=2, R=2, RELU=1):
    """Launch a contraction of two groups and small whole numbers, of which every sum is exact; returns the schedule."""
    counts, rng = dict(zip(("groups", *"IJMTRKN"), (2, *rows, T, R, K, columns), strict=True)), np.random.default_rng(0)

    def drawn(*loops):
        return rng.integers(-3, 4, [counts[loop] for loop in loops]).astype(np.float32)

    a, b, start = drawn("groups", *"IJMTRK"), drawn("groups", *"TRKN"), drawn("groups", "N")
    exact = np.einsum("gijptrk,gtrkq->gijpq", a, b, optimize=True) + start[:, None, None, None]
    axes = [0, 1, 2, 4, 5, 6, 3] if reading == "m" else range(7)
    at_a, strides_a = padded(a.transpose(axes), [0, 0, 1, 0, 1, 1, 1 if reading == "1" else 4], end=True)
    at_b, strides_b = padded(b, [0, 0, 1, 1, 4], end=True)
    c, strides_c = padded(np.maximum(exact, 0) if RELU else exact, [0, 0, 1, 1, 4])
    loops = counts | {f"a_{'gijptrk'[axis]}": stride for axis, stride in zip(axes, strides_a, strict=True)}
    loops |= {f"b_{letter}": stride for letter, stride in zip("gtrk", strides_b[:-1], strict=True)}
    loops |= {f"c_{letter}": stride for letter, stride in zip("gijp", strides_c[:-1], strict=True)}
    cut = schedule(loops | {"start_q": 1, "start_g": columns}, a_is_aligned=reading != "1", tiles=[tile])
    assert cut.reading == reading
    found = np.full_like(c, np.nan)
    scratch = driver().allocate(4 * cut.parts * cut.part_size)
    arrays = {"b": at_b, "start": start, "c": found, "a": at_a}  # behind A and C, nothing that is read
    addresses = {name: upload(array) for name, array in arrays.items()}
    try:
        call = Call({"float32_precision": precision, "RELU": RELU, **addresses}, scratch)
        driver().record(launch_schedule(call, cut)).replay()
        driver().synchronize()
        driver().download(addresses["c"], found)
    finally:
        for address in (scratch, *addresses.values()):
            driver().free(address)
    np.testing.assert_array_equal(found, c)
    return cut


def run_shapes(precision, reading, tile):
    """Launch a kernel for shapes that end at each place of its tile: of its rows, columns and slabs."""
    few = [4, 8] + [tile.warp_columns // 2 + 4] * 8
    products = [12, 8, 4, 20] if reading == "k" else [3, 8, 11, 5, 7, 9, 6, 10]
    for number, rows in enumerate(ROWS_OF_QUADS if reading == "m" else ROWS):
        run_kernel(precision, reading, tile, rows, few[number], products[number % len(products)])
    whole = (tile.rows // 8, 2, 4)
    run_kernel(precision, reading, tile, whole, tile.columns, products[1], R=1, RELU=0)
    run_kernel(precision, reading, tile, (whole[0] + 1, 2, 4), tile.columns + 4, products[0], T=1)


@pytest.mark.parametrize(("precision", "reading", "tile"), KERNELS)
def test_kernels_are_exact_for_whole_numbers(precision, reading, tile):
    run_shapes(precision, reading, tile)


def run_parts(precision, reading):
    """Split a reduction in the middle of a line, into more parts than the slices of a block that adds them."""
    cut = run_kernel(precision, reading, TILES[-1], (3, 1, 4), 40, 604 if reading == "k" else 603, T=1, R=3)
    assert cut.parts > 20
    assert cut.loops["part_slabs"] % cut.loops["line_slabs"]


@pytest.mark.parametrize("reading", "km1")
@pytest.mark.parametrize("precision", ["ieee", "tf32x3"])
def test_parts_of_the_reduction(precision, reading):
    run_parts(precision, reading)


@pytest.mark.parametrize("precision", ["ieee", "tf32x3"])
def test_each_barrier_is_needed(precision):
    tile = TILES[-1]
    for _ in without_each_barrier(CONTRACT[precision, "k", tile]):
        with pytest.raises(PtxError, match="shared memory"):
            run_kernel(precision, "k", tile, (8, 1, 4), tile.columns, 16)


def test_nan_passes_the_relu():
    """A fit that diverges is noticed by its loss."""
    for precision in ("ieee", "tf32x3"):
        memory = Memory()
        a, b, start, c = (memory.put(np.full(size, fill)) for size, fill in ((8, np.nan), (64, 1), (8, 0), (8, 5)))
        numbers = dict.fromkeys(INSTRUCTIONS[Op.CONTRACT].numbers, 0) | dict.fromkeys([*"IJMTR", "groups"], 1)
        numbers |= {"N": 8, "K": 8, "a_k": 1, "b_k": 8, "RELU": 1}
        memory = memory.array()
        operands = {name: shared(offset) for name, offset in zip("a b start c".split(), (a, b, start, c), strict=True)}
        run([(Op.CONTRACT, operands, numbers)], memory, float32_precision=precision)
        assert np.isnan(memory[c : c + 8]).all()


@pytest.mark.parametrize(("offset", "reading"), [(64, "k"), (66, "1")])
def test_a_is_read_in_quads_where_it_is_aligned(offset, reading):
    numbers = dict.fromkeys(INSTRUCTIONS[Op.CONTRACT].numbers, 0) | dict.fromkeys([*"IJMNTRK", "groups"], 8)
    operands = dict.fromkeys(("b", "start", "c"), shared(64)) | {"a": shared(offset)}
    launch = lowered((Op.CONTRACT, operands, numbers | {"a_k": 1}), float32_precision="ieee")[0]
    assert launch.kernel in [CONTRACT["ieee", reading, tile] for tile in TILES]


# -- What is refused ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"start_p": 8}, "starts from rows"),
        ({"N": 10}, "N that do not begin at quads"),
        ({"b_k": 9, "c_p": 2}, "b_k, c_p that do not begin at quads"),
    ],
)
def test_operands_that_are_not_quads(changed, message):
    numbers = dict.fromkeys(INSTRUCTIONS[Op.CONTRACT].numbers, 0) | dict.fromkeys([*"IJMNTRK", "groups"], 8)
    operands = dict.fromkeys(("a", "b", "start", "c"), shared(64))
    with pytest.raises(ValueError, match=message):
        lowered((Op.CONTRACT, operands, numbers | changed))
    with pytest.raises(ValueError, match="c that do not begin at quads"):
        lowered((Op.CONTRACT, operands | {"c": shared(66)}, numbers))
