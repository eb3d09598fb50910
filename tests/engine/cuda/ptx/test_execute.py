import numpy as np
import pytest

from tests.engine.cuda.ptx import execute
from tests.engine.cuda.ptx.execute import Memory, PtxError, load
from tests.engine.cuda.ptx.texts import entry

# x in %rd1, this thread's number in %r1 and its address, x + 4 thread, in %rd2.
MY_NUMBER = """
    ld.param.u64 %rd1, [x];
    mov.u32 %r2, %ctaid.x;
    mov.u32 %r3, %ntid.x;
    mov.u32 %r4, %tid.x;
    mad.lo.s32 %r1, %r2, %r3, %r4;
    mul.wide.s32 %rd2, %r1, 4;
    add.s64 %rd2, %rd1, %rd2;
"""
SHARED = ".shared .align 16 .b8 tile[256];\n"
# this thread's place in the tile in %r5
MY_PLACE = """
    mov.u32 %r5, tile;
    shl.b32 %r6, %r4, 2;
    add.s32 %r5, %r5, %r6;
"""


@pytest.fixture
def memory():
    return Memory(2**22)


def numbers(memory, values):
    values = np.asarray(values)
    address = memory.allocate(values.nbytes)
    memory.upload(address, values)
    return address


def downloaded(memory, address, like):
    out = np.empty_like(like)
    memory.download(address, out)
    return out


def test_every_thread_of_every_block_runs(memory):
    x = memory.allocate(4 * 96)
    load(entry(MY_NUMBER + "st.global.u32 [%rd2], %r1;")).launch(3, 32, [x], memory)
    np.testing.assert_array_equal(downloaded(memory, x, np.empty(96, np.int32)), np.arange(96))


def test_grids_and_blocks_have_three_dimensions(memory):
    x = memory.allocate(4 * 6)
    text = """
    ld.param.u64 %rd1, [x];
    mov.u32 %r1, %ctaid.y; mov.u32 %r2, %tid.z; mov.u32 %r3, %nctaid.y; mov.u32 %r4, %ntid.z;
    mad.lo.s32 %r5, %r1, %r4, %r2;
    mad.lo.s32 %r6, %r3, 10, %r4;
    mul.wide.s32 %rd2, %r5, 4;
    add.s64 %rd2, %rd1, %rd2;
    st.global.u32 [%rd2], %r6;
    """
    load(entry(text)).launch((1, 3), (1, 1, 2), [x], memory)
    np.testing.assert_array_equal(downloaded(memory, x, np.empty(6, np.int32)), 32)


def test_parameters_are_packed_by_their_types(memory):
    x = memory.allocate(32)
    text = """
    ld.param.u64 %rd1, [x]; ld.param.u32 %r1, [n]; ld.param.f32 %f1, [a]; ld.param.f64 %fd1, [b];
    st.global.u32 [%rd1], %r1; st.global.f32 [%rd1+4], %f1; st.global.f64 [%rd1+8], %fd1;
    """
    load(entry(text, "u64 x, u32 n, f32 a, f64 b")).launch(1, 1, [x, -5, np.float32(0.1), 0.1], memory)
    out = downloaded(memory, x, np.empty(16, np.uint8))
    assert out[:4].view(np.int32) == -5
    assert out[4:8].view(np.float32) == np.float32(0.1)
    assert out[8:].view(np.float64) == 0.1


@pytest.mark.parametrize(("arguments", "message"), [([], "takes 1 arguments, and 0"), ([1, 2], "takes 1 arguments")])
def test_arguments_must_be_as_many_as_parameters(memory, arguments, message):
    with pytest.raises(PtxError, match=message):
        load(entry("")).launch(1, 1, arguments, memory)


@pytest.mark.parametrize("argument", [1.5, 2**31])
def test_arguments_must_fit_their_parameters(memory, argument):
    with pytest.raises(PtxError, match=r"do not fit the parameters .*n: .u32 = "):
        load(entry("", "u32 n")).launch(1, 1, [argument], memory)


@pytest.mark.parametrize(
    ("grid", "block", "dynamic_shared", "message"),
    [
        ((1, 65536), 1, 0, r"a grid of \(1, 65536, 1\) blocks"),
        (0, 1, 0, r"a grid of \(0, 1, 1\) blocks"),
        (1, 65, 0, r"a block of \(65, 1, 1\) threads; 1 to 64"),
        (1, 0, 0, r"a block of \(0, 1, 1\) threads"),
        (1, 1, 227 * 1024 - 255, "256 bytes of static and 232193 of dynamic shared memory"),
    ],
)
def test_what_every_gpu_refuses_is_refused(memory, grid, block, dynamic_shared, message):
    text = entry("st.shared.u32 [tile], %r1;", arrays=SHARED).replace("{", ".maxntid 64, 1, 1\n{", 1)
    with pytest.raises(PtxError, match=message):
        load(text).launch(grid, block, [0], memory, dynamic_shared=dynamic_shared)
    load(text).launch((1, 3), 64, [0], memory, check=False)


def test_a_barrier_orders_what_threads_write_in_shared_memory(memory):
    x = numbers(memory, np.arange(64, dtype=np.int32))
    text = (
        MY_NUMBER
        + MY_PLACE
        + """
    ld.global.u32 %r7, [%rd2];
    st.shared.u32 [%r5], %r7;
    bar.sync 0;
    mov.u32 %r8, tile;
    sub.s32 %r9, 252, %r6;
    add.s32 %r8, %r8, %r9;
    ld.shared.u32 %r7, [%r8];
    st.global.u32 [%rd2], %r7;
    """
    )
    load(entry(text, arrays=SHARED)).launch(1, 64, [x], memory)
    np.testing.assert_array_equal(downloaded(memory, x, np.empty(64, np.int32)), np.arange(64)[::-1])
    with pytest.raises(PtxError, match=r"not initialised: reads 4 bytes of shared memory"):
        load(entry(text.replace("bar.sync 0;", ""), arrays=SHARED)).launch(1, 64, [x], memory)


def test_dynamic_shared_memory_has_the_size_of_the_launch(memory):
    x = memory.allocate(4)
    text = "ld.param.u64 %rd1, [x]; mov.u32 %r1, 7; st.shared.u32 [more+60], %r1; ld.shared.u32 %r2, [more+60];"
    program = load(entry(text + "st.global.u32 [%rd1], %r2;", arrays=".extern .shared .align 16 .b8 more[];\n"))
    program.launch(1, 1, [x], memory, dynamic_shared=64)
    assert downloaded(memory, x, np.empty(1, np.int32)) == 7
    with pytest.raises(PtxError, match="out of bounds: writes 4 bytes of shared memory at byte 60 of 60"):
        program.launch(1, 1, [x], memory, dynamic_shared=60)


def test_a_loop_ends_when_the_fuel_does(memory):
    text = MY_NUMBER + "HERE: add.s32 %r1, %r1, 1; st.global.u32 [%rd2], %r1; bra HERE;"
    with pytest.raises(PtxError, match=r"block \(0, 0, 0\), thread 0, line \d+ \(bra HERE\): out of fuel"):
        load(entry(text)).launch(1, 1, [memory.allocate(4)], memory, fuel=1000)


FAULTS = {
    "out of bounds: writes 4 bytes of global memory at .*, byte 128 of an allocation of 128": (
        MY_NUMBER + "st.global.u32 [%rd2], %r1;",
        33,
    ),
    "out of bounds: reads 4 bytes of global memory at 0x10, before every allocation": (
        "mov.u64 %rd1, 16; ld.global.u32 %r1, [%rd1];",
        1,
    ),
    "misaligned: reads 16 bytes of global memory": (
        MY_NUMBER + "ld.global.v4.f32 {%f1, %f2, %f3, %f4}, [%rd2];",
        2,
    ),
    "race: writes 4 bytes of global memory.*written by thread 0": (MY_NUMBER + "st.global.u32 [%rd1], %r1;", 2),
    "race: reads 4 bytes of global memory.*written by thread 0": (
        MY_NUMBER + "st.global.u32 [%rd2], %r1; ld.global.u32 %r7, [%rd1];",
        2,
    ),
    "race: writes 4 bytes of global memory.*read by several threads": (
        MY_NUMBER + "ld.global.u32 %r7, [%rd1+8]; st.global.u32 [%rd2], %r7;",
        3,
    ),
    "divergent barrier": (MY_NUMBER + "setp.lt.s32 %p1, %r1, 3; @%p1 bar.sync 0;", 4),
    "thread 1: divergent barrier": (
        MY_NUMBER + "setp.lt.s32 %p1, %r1, 1; @%p1 bra A; bar.sync 0; bra B; A: bar.sync 0; B:",
        2,
    ),
    "trap": ("trap;", 1),
}


@pytest.mark.parametrize("message", FAULTS)
def test_a_fault_is_reported(memory, message):
    text, n_threads = FAULTS[message]
    x = numbers(memory, np.zeros(32, np.float32))
    with pytest.raises(PtxError, match=message):
        load(entry(text)).launch(1, n_threads, [x], memory)


def test_blocks_must_not_touch_what_other_blocks_write(memory):
    x = memory.allocate(4)
    with pytest.raises(PtxError, match=r"block \(1, 0, 0\), thread 0.*race.*written by another block"):
        load(entry(MY_NUMBER + "st.global.u32 [%rd1], %r1;")).launch(2, 1, [x], memory)


@pytest.mark.parametrize(
    ("name", "readable_name"),
    [("kernel", "kernel"), ("_ZN9skconvnet12_3clocals_3e4reluB2v1B92cw5xii", "relu"), ("_ZN4add2E", "add2")],
)
def test_errors_name_kernels_as_they_are_written(memory, name, readable_name):
    text = entry("trap;").replace(".entry kernel(", f".entry {name}(")
    with pytest.raises(PtxError, match=f"^kernel {readable_name}, block"):
        load(text).launch(1, 1, [0], memory)


def test_launches_follow_one_another(memory):
    x = memory.allocate(4)
    program = load(entry(MY_NUMBER + "st.global.u32 [%rd1], %r1; ld.global.u32 %r2, [%rd1];"))
    for _ in range(3):
        program.launch(1, 1, [x], memory)


def test_stamps_begin_anew_before_they_run_out(memory):
    x = memory.allocate(4)
    program = load(entry(MY_NUMBER + "st.global.u32 [%rd1], %r1;"))
    memory.next_stamp = 2**30 + 1
    program.launch(1, 1, [x], memory)
    assert memory.next_stamp < 100
    program.launch(1, 1, [x], memory)


def test_a_launch_that_has_no_stamps_left_is_an_error(memory, monkeypatch):
    monkeypatch.setattr(execute, "_RENEW", 2**31)
    memory.next_stamp = 2**31 - 50
    with pytest.raises(PtxError, match="too many threads and barriers in one launch"):
        load(entry(MY_NUMBER)).launch(1, 64, [0], memory)


def test_memory_from_allocate_must_be_written_before_it_is_read(memory):
    program = load(entry(MY_NUMBER + "ld.global.u32 %r7, [%rd2];"))
    x = memory.allocate(4)
    with pytest.raises(PtxError, match=r"not initialised: reads 4 bytes of global memory at .*, byte 0 of"):
        program.launch(1, 1, [x], memory)
    program.launch(1, 1, [x], memory, check_initialised=False)
    memory.clear(x, 4)
    program.launch(1, 1, [x], memory)


def test_without_checks_the_bounds_still_hold(memory):
    program = load(entry(MY_NUMBER + "st.global.u32 [%rd1], %r1;"))
    program.launch(1, 2, [memory.allocate(4)], memory, check=False)
    with pytest.raises(PtxError, match="out of bounds"):
        program.launch(1, 1, [0], memory, check=False)
