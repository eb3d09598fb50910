import numpy as np
import pytest

from tests.engine.cuda.ptx.accesses import READ, UPDATE, WRITE, Access, access_of
from tests.engine.cuda.ptx.execute import Memory, PtxError, load
from tests.engine.cuda.ptx.parser import BITS
from tests.engine.cuda.ptx.texts import entry

THREAD = """
    ld.param.u64 %rd1, [x];
    mov.u32 %r1, %tid.x;
    mul.wide.u32 %rd2, %r1, 4;
    add.s64 %rd2, %rd2, %rd1;
"""
TILE = ".shared .align 16 .b8 tile[128];\n"
MY_PLACE = "mov.u32 %r2, tile; shl.b32 %r3, %r1, 2; add.u32 %r2, %r2, %r3;"


def run(text, values, n_threads=1, n_blocks=1, arrays=""):
    """Run a kernel that changes `values`, uploaded to x; return them."""
    memory = Memory(2**20)
    values = np.array(values)
    x = memory.allocate(values.nbytes)
    memory.upload(x, values)
    load(entry(THREAD + text, arrays=arrays)).launch(n_blocks, n_threads, [x], memory)
    memory.download(x, values)
    return values


@pytest.mark.parametrize(
    ("opcode", "access"),
    [
        ("ld.global.nc.v4.f32", Access(READ, "global", "f32", 4, 16)),
        ("ld.global.L1::no_allocate.L2::128B.v2.b64", Access(READ, "global", "b64", 2, 16)),
        ("ld.const.u8", Access(READ, "global", "u8", 1, 1)),
        ("ld.param.u64", Access(READ, "param", "u64", 1, 8)),
        ("ld.volatile.f32", Access(READ, "", "f32", 1, 4)),
        ("st.shared.v2.f64", Access(WRITE, "shared", "f64", 2, 16)),
        ("atom.global.add.u32", Access(UPDATE, "global", "u32", 1, 4, "add")),
        ("red.shared.max.s32", Access(UPDATE, "shared", "s32", 1, 4, "max")),
        ("ld.async.f32", None),
        ("ld.global.pred", None),
        ("atom.global.u32", None),
        ("add.s32", None),
    ],
)
def test_an_opcode_says_what_it_accesses(opcode, access):
    assert access_of(opcode, BITS) == access


@pytest.mark.parametrize(
    ("type_", "dtype", "value"),
    [("u8", np.uint8, 200), ("s8", np.int8, -3), ("u16", np.uint16, 40000), ("s16", np.int16, -5)],
)
def test_narrow_numbers_are_extended(type_, dtype, value):
    raw = np.zeros(4, np.int32)
    raw.view(dtype)[0] = value
    got = run(f"ld.global.{type_} %r4, [%rd1]; st.global.u32 [%rd1+4], %r4; st.global.u8 [%rd1+9], %r4;", raw)
    assert got[1] == value
    assert got.view(np.uint8)[9] == value & 255


@pytest.mark.parametrize("space", ["global", "shared"])
def test_vectors_are_loaded_and_stored(space):
    there, place = ("tile", "%r2") if space == "shared" else ("x", "%rd1")
    text = f"mov.u32 %r2, tile; mov.u32 %r4, 1; mov.u32 %r5, 2; mov.u32 %r6, 3; mov.u32 %r7, 4; // {there}\n"
    text += f"st.{space}.v4.u32 [{place}], {{%r4, %r5, %r6, %r7}}; ld.{space}.v2.u64 {{%rd4, %rd5}}, [{place}];"
    text += "st.global.v2.u64 [%rd1], {%rd5, %rd4};"
    np.testing.assert_array_equal(run(text, np.zeros(4, np.int32), arrays=TILE), [3, 4, 1, 2])


@pytest.mark.parametrize(("size", "at"), [(60, 48), (8, 0)])
@pytest.mark.parametrize("check", [True, False])
def test_an_access_must_fit_to_its_last_byte(size, at, check):
    text = f"mov.u32 %r4, 1; st.shared.v4.u32 [tile+{at}], {{%r4, %r4, %r4, %r4}};"
    memory, arrays = Memory(2**20), f".shared .align 16 .b8 tile[{size}];\n"
    with pytest.raises(PtxError, match=f"out of bounds: writes 16 bytes of shared memory at byte {at} of {size}"):
        load(entry(THREAD + text, arrays=arrays)).launch(1, 1, [0], memory, check=check)
    text = text.replace("shared", "global").replace("tile", "%rd1")
    address = memory.base + memory.size - 8
    with pytest.raises(PtxError, match="out of bounds: writes 16 bytes of global memory"):
        load(entry(THREAD + text.replace(f"+{at}", ""))).launch(1, 1, [address], memory, check=check)


def test_threads_may_change_bytes_side_by_side():
    text = "cvt.u64.u32 %rd3, %r1; add.s64 %rd3, %rd3, %rd1; ld.global.u8 %r4, [%rd3]; add.u32 %r4, %r4, %r1;"
    got = run(text + "st.global.u8 [%rd3], %r4;", np.full(8, 10, np.uint8), n_threads=8)
    np.testing.assert_array_equal(got, np.arange(10, 18))


def test_local_memory_belongs_to_each_thread():
    text = """
    .local .align 16 .b8 own[32];
    mov.u64 %rd4, own;
    st.local.u32 [%rd4+28], %r1;
    ld.local.u32 %r4, [%rd4+28];
    st.global.u32 [%rd2], %r4;
    """
    np.testing.assert_array_equal(run(text, np.zeros(4, np.int32), n_threads=4), np.arange(4))
    with pytest.raises(PtxError, match="out of bounds: writes 4 bytes of local memory at byte 32 of 32"):
        run(text.replace("+28", "+32"), np.zeros(4, np.int32))
    with pytest.raises(PtxError, match=r"misaligned: writes 4 bytes of local memory at byte 26 of 32"):
        run(text.replace("+28", "+26"), np.zeros(4, np.int32))


def test_constants_have_their_initial_values():
    arrays = ".visible .const .align 4 .b8 table[8] = {1, 0, 0, 0, 255, 255, 255, 255};\n"
    text = "mov.u64 %rd4, table; ld.const.u32 %r4, [%rd4+4]; ld.const.u32 %r5, [table]; sub.s32 %r4, %r5, %r4;"
    assert run(text + "st.global.u32 [%rd1], %r4;", np.zeros(1, np.int32), arrays=arrays) == 2


def test_generic_addresses_find_their_memory():
    text = """
    .local .align 8 .b8 own[8];
    mov.u64 %rd4, own;      cvta.local.u64 %rd4, %rd4;
    mov.u64 %rd5, tile;     cvta.shared.u64 %rd5, %rd5;
    cvta.to.global.u64 %rd6, %rd1;
    mov.u32 %r4, 10; st.u32 [%rd4], %r4;
    mov.u32 %r4, 20; st.u32 [%rd5], %r4;
    ld.u32 %r4, [%rd4]; ld.u32 %r5, [%rd5]; ld.u32 %r6, [%rd6];
    add.s32 %r4, %r4, %r5; add.s32 %r4, %r4, %r6;
    cvta.to.shared.u64 %rd5, %rd5; ld.shared.u32 %r5, [%rd5];
    cvta.to.local.u64 %rd4, %rd4; ld.local.u32 %r6, [%rd4];
    st.u32 [%rd1], %r4; st.u32 [%rd1+4], %r5; st.u32 [%rd1+8], %r6;
    """
    np.testing.assert_array_equal(run(text, np.full(3, 3, np.int32), arrays=TILE), [33, 20, 10])
    with pytest.raises(PtxError, match="out of bounds: writes 4 bytes of shared memory at byte 128 of 128"):
        run(text.replace("st.u32 [%rd5]", "st.u32 [%rd5+128]"), np.zeros(3, np.int32), arrays=TILE)


ATOMICS = {
    "add.u32": lambda old, new: old + new,
    "min.s32": min,
    "max.s32": max,
    "and.b32": lambda old, new: old & new,
    "or.b32": lambda old, new: old | new,
    "xor.b32": lambda old, new: old ^ new,
    "exch.b32": lambda old, new: new,
}


@pytest.mark.parametrize("operation", ATOMICS)
def test_atomic_operations_of_all_threads_count(operation):
    got = run(f"atom.global.{operation} %r4, [%rd1], %r1;", np.array([12], np.int32), n_threads=3, n_blocks=2)
    want = 12
    for thread in (0, 1, 2, 0, 1, 2):
        want = ATOMICS[operation](want, thread)
    assert got == want


def test_compare_and_swap_returns_the_old_value():
    text = "mov.u32 %r4, 7; atom.global.cas.b32 %r5, [%rd1], 12, %r4; st.global.u32 [%rd1+4], %r5;"
    np.testing.assert_array_equal(run(text, np.array([12, 0], np.int32)), [7, 12])
    np.testing.assert_array_equal(run(text, np.array([13, 0], np.int32)), [13, 13])


def test_floats_are_added_atomically_in_shared_memory():
    text = """
    mov.f32 %f1, 0f3F000000;
    setp.eq.s32 %p1, %r1, 0;
    @%p1 st.shared.f32 [tile], %f1;
    bar.sync 0;
    red.shared.add.f32 [tile], %f1;
    bar.sync 0;
    @%p1 ld.shared.f32 %f2, [tile];
    @%p1 st.global.f32 [%rd1], %f2;
    """
    assert run(text, np.zeros(1, np.float32), n_threads=4, arrays=TILE) == 2.5


# -- Order ------------------------------------------------------------------------------------------------------------
IN_WARP = (
    MY_PLACE
    + """
    xor.b32 %r4, %r2, 4;
    st.shared.u32 [%r2], %r1;
    bar.warp.sync -1;
    ld.shared.u32 %r5, [%r4];
    bar.warp.sync -1;
    st.shared.u32 [%r2], %r5;
    bar.warp.sync -1;
    ld.shared.u32 %r6, [tile];
    bar.warp.sync -1;
    setp.eq.s32 %p1, %r1, 5;
    @%p1 st.shared.u32 [tile], %r1;
    st.global.u32 [%rd2], %r5;
"""
)


def test_a_barrier_of_the_warp_orders_its_lanes():
    np.testing.assert_array_equal(run(IN_WARP, np.zeros(32, np.int32), 32, arrays=TILE), np.arange(32) ^ 1)


def test_each_warp_has_its_own_barrier():
    text = (
        MY_PLACE
        + """
    xor.b32 %r4, %r2, 4;
    st.shared.u32 [%r2], %r1;
    bar.warp.sync -1;
    ld.shared.u32 %r5, [%r4];
    st.global.u32 [%rd2], %r5;
    """
    )
    got = run(text, np.zeros(64, np.int32), 64, arrays=TILE.replace("128", "256"))
    np.testing.assert_array_equal(got, np.arange(64) ^ 1)


@pytest.mark.parametrize(
    ("removed", "message"),
    [
        (0, "not initialised: reads|race: reads"),
        (1, "race: reads.*written by thread 0"),
        (2, "race: reads.*written by thread"),
        (3, "race: writes.*several"),
    ],
)
def test_without_a_barrier_of_the_warp_there_is_a_race(removed, message):
    parts = IN_WARP.split("bar.warp.sync -1;")
    without = "".join(part + ("" if k == removed else "bar.warp.sync -1;") for k, part in enumerate(parts[:-1]))
    with pytest.raises(PtxError, match=message):
        run(without + parts[-1], np.zeros(32, np.int32), 32, arrays=TILE)


def test_a_barrier_of_the_warp_does_not_order_warps():
    text = (
        MY_PLACE + "st.shared.u32 [%r2], %r1; bar.warp.sync -1; ld.shared.u32 %r5, [tile]; st.global.u32 [%rd2], %r5;"
    )
    with pytest.raises(PtxError, match=r"thread 32, .*race: reads"):
        run(text, np.zeros(64, np.int32), 64, arrays=TILE.replace("128", "256"))


def test_a_barrier_orders_global_memory_in_a_block():
    text = """
    st.global.u32 [%rd2], %r1;
    bar.sync 0;
    xor.b32 %r4, %r1, 1; mul.wide.u32 %rd4, %r4, 4; add.s64 %rd4, %rd4, %rd1;
    ld.global.u32 %r5, [%rd4];
    bar.sync 0;
    st.global.u32 [%rd2], %r5;
    """
    np.testing.assert_array_equal(run(text, np.zeros(4, np.int32), 4), [1, 0, 3, 2])
    first, second, third = text.split("bar.sync 0;")
    with pytest.raises(PtxError, match=r"race: writes 4 bytes of global memory.*read by thread 0"):
        run(first + second + "bar.sync 0;" + third, np.zeros(4, np.int32), 4)
    with pytest.raises(PtxError, match=r"race: reads 4 bytes of global memory.*written by thread 0"):
        run(first + "bar.sync 0;" + second + third, np.zeros(4, np.int32), 4)


def test_a_barrier_does_not_order_blocks():
    text = "ld.global.u32 %r4, [%rd1]; bar.sync 0; bar.sync 0; mov.u32 %r5, %ctaid.x; setp.eq.u32 %p1, %r5, 1;"
    with pytest.raises(PtxError, match=r"block \(1, 0, 0\), .*race: writes.*read by another block"):
        run(text + "@%p1 st.global.u32 [%rd1], %r4;", np.zeros(4, np.int32), 1, 2)


def test_many_readers_are_no_race():
    text = (
        MY_PLACE
        + """
    st.shared.u32 [%r2], %r1;
    bar.sync 0;
    ld.shared.u32 %r4, [tile+4]; ld.shared.u32 %r5, [tile+4]; ld.global.u32 %r6, [%rd1+256];
    bar.sync 0;
    st.shared.u32 [%r2], %r4;
    add.s32 %r4, %r4, %r6;
    st.global.u32 [%rd2], %r4;
    """
    )
    values = np.full(65, 7, np.int32)
    arrays = TILE.replace("128", "256")
    np.testing.assert_array_equal(run(text, values, 64, arrays=arrays), [*[8] * 64, 7])
    with pytest.raises(PtxError, match=r"race: writes 4 bytes of shared memory.*read by several threads"):
        run(text[::-1].replace("bar.sync 0;"[::-1], "", 1)[::-1], values, 64, arrays=arrays)
