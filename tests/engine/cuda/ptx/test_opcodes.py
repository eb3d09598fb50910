from functools import cache
from itertools import product

import numpy as np
import pytest

from tests.engine.cuda.ptx.execute import Memory, PtxError, load
from tests.engine.cuda.ptx.opcodes import TABLE
from tests.engine.cuda.ptx.parser import BITS
from tests.engine.cuda.ptx.texts import entry
from tests.engine.cuda.ptx.twins import CASES, FLOAT, wrapped

_FLOAT_EDGES = {
    type_: [0.0, -0.0, 1.0, -1.5, 2.5, 0.3, np.inf, -np.inf, np.nan, info.smallest_subnormal * 3, -info.tiny, info.max]
    for type_, info in ((type_, np.finfo(dtype)) for type_, dtype in FLOAT.items())
}
_MORE_FLOATS = [3.5, -2.5, 300.7, -129.0, 3e9, -3e9, 1.9e19, 1.00048828125, 65519.0]


def edges(type_, n_operands):
    """Values of a type at which opcodes may go wrong; fewer where they are combined."""
    if type_ == "pred":
        return [False, True]
    if type_ in FLOAT:
        values = _FLOAT_EDGES[type_] + (_MORE_FLOATS if n_operands == 1 else [])
        with np.errstate(over="ignore"):  # some are too large for float16
            return [FLOAT[type_](value) for value in values][:: 1 if n_operands < 3 else 2]
    top = 1 << (BITS[type_] - 1)
    values = [0, 1, 2, 7, 31, 33, top - 1, top, 2 * top - 1, 0x5A5A_A5A5_9669_6996, 255, 64 + top]
    return list(dict.fromkeys(wrapped(value, type_) for value in values))[:: 1 if n_operands < 4 else 2]


def register(type_):
    """The type of register that holds a PTX type: bytes live in registers of 16 bits."""
    return {"s8": "b16", "u8": "b16", "f16": "b16"}.get(type_, type_)


def memory_type(type_):
    return {"pred": "u32", "s8": "b16", "u8": "b16", "f16": "b16"}.get(type_, type_)


def load_operand(number, type_):
    name, at = f"%in{number}", f"[%rd3+{8 * number}]"
    if type_ == "pred":
        return f".reg .pred {name};\nld.global.u32 %r9, {at};\nsetp.ne.s32 {name}, %r9, 0;\n"
    return f".reg .{register(type_)} {name};\nld.global.{memory_type(type_)} {name}, {at};\n"


def compute(number, opcode, case):
    names = ", ".join(f"%in{k}" for k in range(len(case.operands)))
    text = f".reg .{register(case.result)} %out{number};\n{opcode} %out{number}, {names}{case.more};\n"
    if case.result == "pred":
        return text + f"selp.u32 %r9, 1, 0, %out{number};\nst.global.u32 [%rd4+{8 * number}], %r9;\n"
    return text + f"st.global.{memory_type(case.result)} [%rd4+{8 * number}], %out{number};\n"


@cache
def results_of(operand_types, result_type):
    """Results of all opcodes with these types: {opcode: array of 8 bytes a result}, and the operands they were given.

    One kernel computes them all: thread i takes the i-th combination of edge values.
    """
    opcodes = [o for o, case in CASES.items() if (case.operands, case.result) == (operand_types, result_type)]
    operands = list(product(*[edges(type_, len(operand_types)) for type_ in operand_types]))
    given = np.zeros((len(operands), len(operand_types)), np.uint64)
    for column, type_ in enumerate(operand_types):
        given[:, column] = [as_bits(row[column], type_) for row in operands]
    text = f"""
    ld.param.u64 %rd1, [x]; ld.param.u64 %rd2, [y];
    mov.u32 %r1, %ctaid.x;
    mul.wide.u32 %rd3, %r1, {8 * len(operand_types)};
    add.s64 %rd3, %rd3, %rd1;
    mul.wide.u32 %rd4, %r1, {8 * len(opcodes)};
    add.s64 %rd4, %rd4, %rd2;
    """
    text += "".join(load_operand(number, type_) for number, type_ in enumerate(operand_types))
    text += "".join(compute(number, opcode, CASES[opcode]) for number, opcode in enumerate(opcodes))
    out = np.zeros((len(operands), len(opcodes)), np.uint64)
    memory = Memory(2**22)
    x, y = memory.allocate(given.nbytes), memory.allocate(out.nbytes)
    memory.upload(x, given)
    memory.upload(y, out)
    load(entry(text, "u64 x, u64 y")).launch(len(operands), 1, [x, y], memory)
    memory.download(y, out)
    return {opcode: out[:, number].copy() for number, opcode in enumerate(opcodes)}, operands


def as_bits(value, type_):
    if type_ in FLOAT:
        return int(FLOAT[type_](value).view(f"u{BITS[type_] // 8}"))
    return int(value) & ((1 << max(BITS[type_], 16)) - 1)


def expected_bits(case, row):
    with np.errstate(all="ignore"):
        value = case.twin(*row)
    if case.result == "pred":
        return int(bool(value))
    return as_bits(value if case.result in FLOAT else wrapped(value, case.result), case.result)


def test_every_opcode_of_the_table_has_a_test():
    assert set(CASES) | set(COLLECTIVES) == set(TABLE)


@pytest.mark.parametrize("opcode", CASES)
def test_an_opcode_computes_what_its_twin_does(opcode):
    case = CASES[opcode]
    results, operands = results_of(case.operands, case.result)
    expected = np.array([expected_bits(case, row) for row in operands], np.uint64)
    if case.result not in FLOAT:
        np.testing.assert_array_equal(results[opcode], expected, err_msg=str(operands))
        return
    as_float = lambda bits: bits.astype(f"u{BITS[case.result] // 8}").view(FLOAT[case.result])  # noqa: E731
    got, wanted = as_float(results[opcode]), as_float(expected)
    if case.error:
        np.testing.assert_allclose(got, wanted, rtol=case.error)
    else:
        np.testing.assert_array_equal(got, wanted)
    number = ~np.isnan(wanted)
    np.testing.assert_array_equal(np.signbit(got[number]), np.signbit(wanted[number]))


def test_vectors_are_packed_low_part_first():
    memory = Memory(2**20)
    x = memory.allocate(16)
    text = """
    ld.param.u64 %rd1, [x];
    mov.u32 %r1, 0x11223344; mov.u32 %r2, 0x55667788;
    mov.b64 %rd2, {%r1, %r2};
    st.global.u64 [%rd1], %rd2;
    mov.b64 {%r3, %r4}, %rd2;
    mov.b32 {%rs1, %rs2}, %r3;
    st.global.u32 [%rd1+8], %r4;
    st.global.u16 [%rd1+12], %rs1;
    st.global.u16 [%rd1+14], %rs2;
    """
    load(entry(text)).launch(1, 1, [x], memory)
    out = np.empty(16, np.uint8)
    memory.download(x, out)
    assert out.tobytes().hex(" ", 4) == "44332211 88776655 88776655 44332211"


# -- Exchange in a warp -----------------------------------------------------------------------------------------------
LANE = """
    ld.param.u64 %rd1, [x];
    mov.u32 %r1, %tid.x;
    mul.wide.u32 %rd2, %r1, 4;
    add.s64 %rd2, %rd2, %rd1;
    mul.lo.s32 %r2, %r1, 11;
    setp.gt.s32 %p1, %r1, 4;
"""


def run_lanes(text, n_threads=32, values=None):
    """Run one block and return an int32 of each thread."""
    memory = Memory(2**20)
    x = memory.allocate(4 * n_threads)
    memory.upload(x, np.zeros(n_threads, np.int32) if values is None else values)
    load(entry(LANE + text)).launch(1, n_threads, [x], memory)
    out = np.empty(n_threads, np.int32)
    memory.download(x, out)
    return out


def shuffled(mode, by, limits):
    """`shfl.sync` of lane * 11 within a warp, as PTX's manual has it, and whether a lane was found."""
    text = f"shfl.sync.{mode}.b32 %r3|%p2, %r2, {by}, {limits}, -1; selp.u32 %r4, 1000, 0, %p2;"
    return run_lanes(text + "add.s32 %r3, %r3, %r4; st.global.u32 [%rd2], %r3;")


LANES = np.arange(32)


def check_up():
    want = np.where(LANES >= 3, 11 * (LANES - 3) + 1000, 11 * LANES)
    np.testing.assert_array_equal(shuffled("up", 3, 0), want)


def check_down():
    want = np.where(LANES + 3 < 32, 11 * (LANES + 3) + 1000, 11 * LANES)
    np.testing.assert_array_equal(shuffled("down", 3, 31), want)
    in_eights = np.where(LANES % 8 < 5, 11 * (LANES + 3) + 1000, 11 * LANES)
    np.testing.assert_array_equal(shuffled("down", 3, 0x181F), in_eights)


def check_butterfly():
    np.testing.assert_array_equal(shuffled("bfly", 5, 31), 11 * (LANES ^ 5) + 1000)


def check_index():
    np.testing.assert_array_equal(shuffled("idx", 9, 31), np.full(32, 99 + 1000))
    np.testing.assert_array_equal(shuffled("idx", 9, 0x181F), 11 * (LANES // 8 * 8 + 1) + 1000)


def voted(kind, predicate):
    text = f"vote.sync.{kind}.pred %p2, {predicate}, -1; selp.u32 %r3, 1, 0, %p2; st.global.u32 [%rd2], %r3;"
    return set(run_lanes(text).tolist())


def check_all():
    assert (voted("all", "%p1"), voted("all", "1")) == ({0}, {1})


def check_any():
    assert (voted("any", "%p1"), voted("any", "0")) == ({1}, {0})


def check_uniform():
    assert (voted("uni", "%p1"), voted("uni", "0"), voted("uni", "1")) == ({0}, {1}, {1})


def check_ballot():
    ballots = run_lanes("vote.sync.ballot.b32 %r3, %p1, -1; st.global.u32 [%rd2], %r3;", n_threads=40)
    assert set(ballots[:32].view(np.uint32).tolist()) == {0xFFFFFFE0}
    assert set(ballots[32:].tolist()) == {0xFF}


def check_active_mask():
    masks = run_lanes("@%p1 bra HERE; ret; HERE: activemask.b32 %r3; st.global.u32 [%rd2], %r3;")
    assert set(masks[5:].view(np.uint32).tolist()) == {0xFFFFFFE0}


def check_product_of_matrices():
    """Fragments as PTX's manual draws them; the lower 13 bits of tf32 operands are not read."""
    rng = np.random.default_rng(0)
    a, b, c = (rng.standard_normal(shape).astype(np.float32) for shape in ((16, 8), (8, 8), (16, 8)))
    group, thread = LANES // 4, LANES % 4
    fragments = np.empty((32, 10), np.float32)
    for k, (row, column) in enumerate(((0, 0), (8, 0), (0, 4), (8, 4))):
        fragments[:, k] = a[group + row, thread + column]
    for k in range(2):
        fragments[:, 4 + k] = b[thread + 4 * k, group]
    for k in range(4):
        fragments[:, 6 + k] = c[group + k // 2 * 8, 2 * thread + k % 2]
    memory = Memory(2**20)
    x, y = memory.allocate(fragments.nbytes), memory.allocate(32 * 16)
    memory.upload(x, fragments)
    loads = "".join(f"ld.global.b32 %r{10 + k}, [%rd2+{4 * k}];\n" for k in range(6))
    loads += "".join(f"ld.global.f32 %f{k}, [%rd2+{24 + 4 * k}];\n" for k in range(4))
    text = f"""
    ld.param.u64 %rd1, [x]; ld.param.u64 %rd3, [y];
    mov.u32 %r1, %laneid;
    mul.wide.u32 %rd2, %r1, 40; add.s64 %rd2, %rd2, %rd1;
    mul.wide.u32 %rd4, %r1, 16; add.s64 %rd4, %rd4, %rd3;
    {loads}
    mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32
        {{%f4, %f5, %f6, %f7}}, {{%r10, %r11, %r12, %r13}}, {{%r14, %r15}}, {{%f0, %f1, %f2, %f3}};
    st.global.v4.f32 [%rd4], {{%f4, %f5, %f6, %f7}};
    """
    load(entry(text, "u64 x, u64 y")).launch(1, 32, [x, y], memory)
    out = np.empty((32, 4), np.float32)
    memory.download(y, out)
    got = np.empty((16, 8), np.float32)
    for k in range(4):
        got[group + k // 2 * 8, 2 * thread + k % 2] = out[:, k]
    cut = lambda matrix: (matrix.view(np.uint32) & 0xFFFFE000).view(np.float32).astype(float)  # noqa: E731
    np.testing.assert_allclose(got, cut(a) @ cut(b) + c, rtol=1e-5, atol=1e-6)


COLLECTIVES = {
    "shfl.sync.up.b32": check_up,
    "shfl.sync.down.b32": check_down,
    "shfl.sync.bfly.b32": check_butterfly,
    "shfl.sync.idx.b32": check_index,
    "vote.sync.all.pred": check_all,
    "vote.sync.any.pred": check_any,
    "vote.sync.uni.pred": check_uniform,
    "vote.sync.ballot.b32": check_ballot,
    "activemask.b32": check_active_mask,
    "mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32": check_product_of_matrices,
}


@pytest.mark.parametrize("opcode", COLLECTIVES)
def test_lanes_exchange_values(opcode):
    COLLECTIVES[opcode]()


def test_lanes_that_are_named_must_come():
    with pytest.raises(PtxError, match="divergent warp"):
        run_lanes("@%p1 shfl.sync.down.b32 %r3, %r2, 1, 31, -1;")


def test_lanes_that_are_named_must_come_to_the_same_place():
    exchange = "shfl.sync.down.b32 %r3, %r2, 1, 31, -1;"
    with pytest.raises(PtxError, match="thread 5: divergent warp"):
        run_lanes(f"@%p1 bra A; {exchange} bra B; A: {exchange} B:")


def test_a_lane_must_name_itself():
    with pytest.raises(PtxError, match="thread 0: divergent warp"):
        run_lanes("shfl.sync.bfly.b32 %r3, %r2, 2, 31, 254;")


def test_a_lane_must_not_read_from_one_that_takes_no_part():
    with pytest.raises(PtxError, match=r"thread 7.*reads from lane 8, which takes no part"):
        run_lanes("setp.lt.s32 %p1, %r1, 8; @%p1 shfl.sync.down.b32 %r3, %r2, 1, 31, 255;")
