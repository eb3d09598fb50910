import numpy as np
import pytest

from tests.engine.cuda.ptx.execute import Memory, PtxError, load
from tests.engine.cuda.ptx.texts import entry

TILE = ".shared .align 16 .b8 tile[512];\n"
# Thread i copies the i-th 16 bytes of x to the tile, and again 256 bytes further; then its neighbour's go to y.
COPIES = """
    ld.param.u64 %rd1, [x]; ld.param.u64 %rd2, [y]; ld.param.u32 %r9, [n];
    mov.u32 %r1, %tid.x;
    mul.lo.u32 %r2, %r1, 16;
    mul.wide.u32 %rd3, %r1, 16;
    add.s64 %rd4, %rd1, %rd3;
    add.s64 %rd5, %rd2, %rd3;
    mov.u32 %r3, tile;
    add.u32 %r4, %r3, %r2;
    add.u32 %r5, %r4, 256;
    xor.b32 %r6, %r2, 16;
    add.u32 %r6, %r6, %r3;
    cp.async.cg.shared.global [%r4], [%rd4], 16;
    cp.async.commit_group;
    cp.async.ca.shared.global [%r5], [%rd4], 16, %r9;
    cp.async.commit_group;
    cp.async.wait_group 1;
    bar.sync 0;
    ld.shared.v4.u32 {%r10, %r11, %r12, %r13}, [%r6];
    cp.async.wait_group 0;
    ld.shared.u32 %r13, [%r5];
    st.global.v4.u32 [%rd5], {%r10, %r11, %r12, %r13};
"""


def run(text, n=16):
    """Run 16 threads on x = 0, 1, ..., 63; return y, four numbers a thread."""
    memory = Memory(2**20)
    x, y, out = memory.allocate(256), memory.allocate(256), np.empty((16, 4), np.int32)
    memory.upload(x, np.arange(64, dtype=np.int32))
    load(entry(text, "u64 x, u64 y, u32 n", TILE)).launch(1, 16, [x, y, n], memory)
    memory.download(y, out)
    return out


def test_copies_arrive_when_they_are_waited_for():
    neighbour = np.arange(16) ^ 1
    want = 4 * neighbour[:, None] + np.arange(4)
    want[:, 3] = 4 * np.arange(16)
    np.testing.assert_array_equal(run(COPIES), want)


def test_a_copy_of_nothing_writes_zeros():
    np.testing.assert_array_equal(run(COPIES, n=0)[:, 3], 0)
    with pytest.raises(PtxError, match="reads some of its bytes"):
        run(COPIES, n=8)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("wait_group 1", "wait_group 2", "cp.async not waited for: reads 16 bytes of shared memory"),
        ("wait_group 0", "wait_group 1", "cp.async not waited for: reads 4 bytes of shared memory"),
        ("bar.sync 0;", "", "not initialised: reads 16 bytes of shared memory"),
        (
            "cp.async.wait_group 1;\n    bar.sync 0;",
            "bar.sync 0;\n    cp.async.wait_group 1;",
            "cp.async not waited for",
        ),
        (
            "add.u32 %r5, %r4, 256",
            "add.u32 %r5, %r4, 272",
            "out of bounds: writes 16 bytes of shared memory at byte 512",
        ),
        ("add.u32 %r5, %r4, 256", "add.u32 %r5, %r4, 8", "misaligned: writes 16 bytes of shared memory"),
        ("add.s64 %rd4, %rd1, %rd3", "add.s64 %rd4, %rd2, %rd3", "not initialised: reads 16 bytes of global memory"),
    ],
)
def test_a_fault_of_a_copy_is_reported(old, new, message):
    assert old in COPIES
    with pytest.raises(PtxError, match=message):
        run(COPIES.replace(old, new))


def test_wait_all_waits_for_every_copy():
    text = COPIES.replace("cp.async.commit_group;\n    cp.async.wait_group 1", "cp.async.wait_all")
    np.testing.assert_array_equal(run(text.replace("cp.async.wait_group 0;", "")), run(COPIES))
