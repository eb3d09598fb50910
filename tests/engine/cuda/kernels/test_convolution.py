"""CONTRACT of the plans of networks, against the same sums in float64: the compiled kernels, executed on the CPU."""

import numpy as np
import pytest

pytest.importorskip("numba_cuda", reason="needs the extra skconvnet[cuda]")

from skconvnet.architecture import Architecture
from skconvnet.engine import Network, SoftmaxCrossEntropy
from skconvnet.engine.cuda.kernels.convolution import lower_contract
from skconvnet.engine.cuda.lowering import call_of
from skconvnet.engine.device import CpuDevice
from skconvnet.engine.plan.plan import plan_training
from skconvnet.engine.program.instructions import INSTRUCTIONS, Op, Samples, Space
from skconvnet.engine.program.target import GPU
from tests.engine.cuda.kernels.harness import driver

# Of the sum of the absolute values of all terms: float32 rounds each addition to 6e-8 of what it adds to.
TOLERANCE = 2e-6


class Machine:
    """The memory of a plan on the device, each space apart, filled with random numbers."""

    def __init__(self, text, shape, batch, n_classes=10):
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

    def launches(self, row, samples):
        call = call_of(row, self.addresses, {"samples": samples})
        list(lower_contract(call))
        scratch = np.full(max(call.scratch_size, 1), np.nan, np.float32)
        at = driver().allocate(scratch.nbytes)
        driver().upload(at, scratch)
        return at, list(lower_contract(call_of(row, self.addresses, {"samples": samples}, at)))

    def run(self, row, samples):
        """Execute one instruction; returns its launches and the memory of C's space after it."""
        for space, array in self.memory.items():
            driver().upload(self.addresses[space], array)
        scratch, launches = self.launches(row, samples)
        driver().record(launches).replay()
        driver().free(scratch)
        space = Space(row[INSTRUCTIONS[Op.CONTRACT].operand("c")])
        after = np.empty_like(self.memory[space])
        driver().download(self.addresses[space], after)
        return launches, after

    def free(self):
        for address in self.addresses.values():
            driver().free(address)


def expected(machine, row, samples):
    """C's place in its space; what it should be; and the sum of the absolute values of its terms."""
    instruction = INSTRUCTIONS[Op.CONTRACT]
    n = {name: int(row[instruction.number(name)]) for name in instruction.numbers}
    n[Samples(n["sample_loop"]).name] = samples
    rows, sums = [("groups", "g"), ("I", "i"), ("J", "j"), ("M", "p")], [("T", "t"), ("R", "r"), ("K", "k")]

    def view(operand, loops, along=0):
        space, offset = row[instruction.operand(operand) :][:2].tolist()
        counts = [n[count] for count, _ in loops] + [n["N"]] * bool(along)
        strides = [n.get(f"{operand}_{letter}", 0) for _, letter in loops] + [along] * bool(along)
        if operand == "start":
            counts, strides = [*counts, n["N"]], [*strides, n["start_q"]]
        return offset + sum(np.ix_(*(np.arange(c) * s for c, s in zip(counts, strides, strict=True)))), space

    def values(operand, loops, along=0):
        at, space = view(operand, loops, along)
        return machine.memory[Space(space)][at].astype(np.float64)

    a, b, start = values("a", rows + sums), values("b", rows[:1] + sums, along=1), values("start", rows)
    total, size = ([np.tensordot(*pair, 3) for pair in zip(f(a), f(b), strict=True)] for f in (np.asarray, np.abs))
    total, size = np.array(total) + start, np.array(size) + np.abs(start)
    return view("c", rows, along=1)[0], np.maximum(total, 0) if n["RELU"] else total, size


def assert_as_float64(machine, row, samples, tolerance=TOLERANCE):
    launches, after = machine.run(row, samples)
    at, wanted, size = expected(machine, row, samples)
    assert (np.abs(after[at] - wanted) <= tolerance * size).all()
    before = machine.memory[Space(row[INSTRUCTIONS[Op.CONTRACT].operand("c")])].copy()
    before[at] = after[at]
    np.testing.assert_array_equal(after, before)  # nothing else was written
    return launches


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


@pytest.mark.parametrize("name", NETWORKS)
def test_contractions_of_plans(name):
    text, shape, batch = NETWORKS[name]
    machine = Machine(text, shape, batch)
    for row in machine.contractions:
        assert_as_float64(machine, row, batch)
    machine.free()
