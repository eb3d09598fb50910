"""cp.async: copies from global to shared memory that a thread waits for later.

The numbers are copied at once, but until the thread has waited for them their stamps say that nobody may read or write
them. For this each thread has a queue of the words that it waits for: how many have gone through it, how many have come
out of it, the number of the group that is being filled, and a ring of places, each a group and a byte of shared memory.
"""

from tests.engine.cuda.ptx.accesses import READ, WRITE, Access

_RING = 1024  # words in flight
_ISSUED, _ARRIVED, _GROUP, _FIRST = 0, 8, 16, 24  # bytes in the queue
QUEUE_BYTES = _FIRST + 8 * _RING


class Copies:
    """Appends the code of cp.async to an emitter's code; `queue` is a pointer to the thread's queue."""

    def __init__(self, emitter):
        self.e = emitter

    def begin(self):
        """Empty the queue."""
        for place in (_ISSUED, _ARRIVED, _GROUP):
            self.e.line(f"store i64 0, ptr {self._place(place)}")

    def _place(self, byte):
        return self.e.op(f"getelementptr i8, ptr %queue, i64 {byte}")

    def _load(self, byte):
        return self.e.op(f"load i64, ptr {self._place(byte)}")

    def _ring_place(self, number):
        """Pointer to an entry of the ring."""
        e = self.e
        byte = e.two("mul", "i64", e.two("and", "i64", number, _RING - 1), 8)
        return self._place(e.two("add", "i64", byte, _FIRST))

    def copy(self, target, source, n_bytes, n_read=None):
        """Copy from a global to a shared address. Of `n_read` bytes that are read, all or none can be asked for."""
        e = self.e
        pointer = e.checks.pointer(Access(WRITE, "shared", "b32", n_bytes // 4, n_bytes), target)
        value = self._read(source, n_bytes, n_read)
        e.line(f"store i{8 * n_bytes} {value}, ptr {pointer}, align 1")
        if e.full:
            e.checks.mark_pending(target, n_bytes)
            for byte in range(0, n_bytes, 4):
                self._push(target, byte)

    def _read(self, source, n_bytes, n_read):
        """What is read, or zeros where nothing is."""
        e = self.e
        kind, access = f"i{8 * n_bytes}", Access(READ, "global", "b32", n_bytes // 4, n_bytes)
        reads, after = e.new_label(), e.new_label()
        if n_read is not None:
            none = e.two("icmp eq", "i32", n_read, 0)
            all_ = e.two("icmp eq", "i32", n_read, n_bytes)
            e.fail_unless(e.two("or", "i1", none, all_), source, "reads some of its bytes: only all or none are known")
            before = e.new_label()
            e.label(before)
            e.line(f"br i1 {none}, label %{after}, label %{reads}")
            e.line(f"{reads}:")
        value = e.op(f"load {kind}, ptr {e.checks.pointer(access, source)}, align 1")
        if n_read is None:
            return value
        end = e.new_label()
        e.label(end)
        e.label(after)
        return e.op(f"phi {kind} [{value}, %{end}], [0, %{before}]")

    def _push(self, target, byte):
        e = self.e
        issued = self._load(_ISSUED)
        room = e.two("icmp slt", "i64", e.two("sub", "i64", issued, self._load(_ARRIVED)), _RING)
        e.fail_unless(room, target, f"more than {_RING} numbers are on their way")
        group = e.two("shl", "i64", self._load(_GROUP), 32)
        e.line(
            f"store i64 {e.two('add', 'i64', group, e.two('add', 'i64', target, byte))}, ptr {self._ring_place(issued)}"
        )
        e.line(f"store i64 {e.two('add', 'i64', issued, 1)}, ptr {self._place(_ISSUED)}")

    def commit(self):
        """End a group."""
        group = self._load(_GROUP)
        self.e.line(f"store i64 {self.e.two('add', 'i64', group, 1)}, ptr {self._place(_GROUP)}")

    def wait(self, n_groups):
        """Wait until at most `n_groups` of the groups that were ended are in flight."""
        e = self.e
        limit = e.two("sub", "i64", self._load(_GROUP), n_groups)
        test, next_, arrive, done = (e.new_label() for _ in range(4))
        e.label(test)
        arrived = self._load(_ARRIVED)
        some = e.two("icmp slt", "i64", arrived, self._load(_ISSUED))
        e.line(f"br i1 {some}, label %{next_}, label %{done}")
        e.line(f"{next_}:")
        entry = e.op(f"load i64, ptr {self._ring_place(arrived)}")
        waited = e.two("icmp slt", "i64", e.two("lshr", "i64", entry, 32), limit)
        e.line(f"br i1 {waited}, label %{arrive}, label %{done}")
        e.line(f"{arrive}:")
        e.checks.mark_own(e.two("and", "i64", entry, (1 << 32) - 1))
        e.line(f"store i64 {e.two('add', 'i64', arrived, 1)}, ptr {self._place(_ARRIVED)}")
        e.line(f"br label %{test}")
        e.line(f"{done}:")
