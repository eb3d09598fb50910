"""Loads and stores with their checks, as LLVM IR.

A checked access is one chain of comparisons and one branch: is the address aligned, is it inside, and do the stamps of
its numbers (see `scheduler`) say that it is ordered after the accesses of other threads? Where it is not, the thread
returns, and `explain` finds out why: nothing has changed since.
"""

import re
from dataclasses import dataclass

from tests.engine.cuda.ptx.scheduler import PENDING, UNWRITTEN

SHARED_TAG, LOCAL_TAG = 1 << 56, 2 << 56  # added to addresses in shared and local memory when they become generic
READ, WRITE, UPDATE = "reads", "writes", "updates"

_QUALIFIERS = {
    *("volatile", "relaxed", "acquire", "release", "acq_rel", "weak", "gpu", "cta", "sys"),
    *("nc", "ca", "cg", "cs", "cv", "lu", "wb", "wt"),
}
_SPACES = {"global": "global", "const": "global", "shared": "shared", "shared::cta": "shared", "local": "local"}


@dataclass(frozen=True)
class Access:
    """What an opcode of memory does: `kind`, `space` ("" for generic, "param"), elements of `type`, and how many."""

    kind: str
    space: str
    type: str
    n: int
    n_bytes: int
    operation: str | None = None


def access_of(opcode, bits):
    """Return the `Access` of an opcode such as "ld.global.nc.v4.f32", or None if it has none."""
    name, *parts = opcode.split(".")
    if name not in ("ld", "ldu", "st", "atom", "red"):
        return None
    space, n, operation, type_ = "", 1, None, parts[-1]
    for part in parts[:-1]:
        if part in _SPACES or part == "param":
            space = _SPACES.get(part, part)
        elif match := re.match(r"v([248])$", part):
            n = int(match[1])
        elif name in ("atom", "red") and part in ATOMICS:
            operation = part
        elif part not in _QUALIFIERS and not part.startswith(("L1::", "L2::")):
            return None
    if type_ not in bits or type_ == "pred" or (name in ("atom", "red")) != (operation is not None):
        return None
    kind = {"st": WRITE, "atom": UPDATE, "red": UPDATE}.get(name, READ)
    return Access(kind, space, type_, n, n * bits[type_] // 8, operation)


ATOMICS = ("add", "and", "or", "xor", "min", "max", "exch", "cas")


class Checks:
    """Appends checks to an emitter's code. One for each translation of a kernel."""

    def __init__(self, emitter, has_barrier, has_warp_barrier):
        self.e = emitter
        self.has_barrier = has_barrier
        self.has_warp_barrier = has_warp_barrier

    def pointer(self, access, address):
        """Check an access; return a pointer to the memory behind its address.

        Without full checks, only test that the address is inside, so that no kernel can harm the process.

        Parameters
        ----------
        access : Access
            Its space is "global", "shared" or "local".
        address : str
            An i64 value: an address for global memory, else an offset.

        Returns
        -------
        pointer : str
        """
        e, full = self.e, self.e.full
        space, n_bytes = access.space, access.n_bytes
        offset = e.two("sub", "i64", address, "%ARENA") if space == "global" else address
        size = {"global": "%ARENA_SIZE", "shared": "%SHARED_SIZE", "local": "%LOCAL_SIZE"}[space]
        # n bytes fit at an offset if offset <= size - n; a size below n makes the difference wrap: test it too
        room = e.two("sub", "i64", size, n_bytes)
        ok = e.two("icmp ule", "i64", offset, room)
        if space != "global":
            ok = e.two("and", "i1", ok, e.two("icmp uge", "i64", size, n_bytes))
        if full and n_bytes > 1:
            low = e.two("and", "i64", address, n_bytes - 1)
            ok = e.two("and", "i1", ok, e.two("icmp eq", "i64", low, 0))
        if full and space != "local":
            safe = e.op(f"select i1 {ok}, i64 {offset}, i64 0")
            stamped, update = self._stamps(space, safe, n_bytes, access.kind)
            e.fail_unless(e.two("and", "i1", ok, stamped), address, access)
            update()
        else:
            e.fail_unless(ok, address, access)
        base = {"global": "%ARENA", "shared": "%SHARED", "local": "%LOCAL"}[space]
        return e.convert("inttoptr", e.two("add", "i64", base, offset), "i64", "ptr")

    def mark_pending(self, offset, n_bytes):
        """Let nobody use numbers of shared memory until `mark_own`."""
        self._mark(offset, "PENDING", n_bytes // 4)

    def mark_own(self, offset):
        """Let a number of shared memory count as written by this thread now."""
        self._mark(offset, "OWN", 1)

    def _mark(self, offset, what, n):
        place = self.e.two("add", "i64", "%SHARED_WRITTEN", offset)
        self._store(self.e.splat(what, n), self.e.convert("inttoptr", place, "i64", "ptr"), n)

    # -- Stamps --------------------------------------------------------------------------------------------------------
    def _stamps(self, space, offset, n_bytes, kind):
        """Return whether the stamps allow the access (an i1), and a function that appends the code of new stamps."""
        e, n = self.e, max(n_bytes // 4, 1)
        if n_bytes < 4:
            offset = e.two("and", "i64", offset, -4)
        places = {}
        for which in ("WRITTEN", "READ"):
            base = f"%SHARED_{which}" if space == "shared" else e.two("add", "i64", "%ARENA", f"%TO_{which}")
            places[which] = e.convert("inttoptr", e.two("add", "i64", base, offset), "i64", "ptr")
        writer = self._load(places["WRITTEN"], n)
        if kind == UPDATE or (kind == WRITE and n_bytes < 4):
            return self._unordered(space, writer, places, n)
        if kind == READ:
            allowed = self._or(n, self._is("eq", writer, "OWN", n), self._ordered(space, writer, n, "READABLE"))
            reader = self._load(places["READ"], n)
            return self._all(allowed, n), lambda: self._store(self._next_reader(space, reader, n), places["READ"], n)
        allowed = self._free(space, writer, n, "UNWRITTEN")
        allowed = self._and(n, allowed, self._free(space, self._load(places["READ"], n), n, None))
        return self._all(allowed, n), lambda: self._store(e.splat("OWN", n), places["WRITTEN"], n)

    def _unordered(self, space, writer, places, n):
        """Atomic updates and stores of single bytes: no order is checked; afterwards the number counts as written."""
        if space == "shared":
            allowed = self._is("ne", writer, "PENDING", n)
            return self._all(allowed, n), lambda: self._store(self.e.splat("OWN", n), places["WRITTEN"], n)
        allowed = self._is("sge", writer, "UNWRITTEN", n)
        return self._all(allowed, n), lambda: self._store(self.e.splat("BY_HOST", n), places["WRITTEN"], n)

    def _free(self, space, stamps, n, least):
        """Own or ordered before: a write may follow."""
        return self._or(n, self._is("eq", stamps, "OWN", n), self._ordered(space, stamps, n, least))

    def _ordered(self, space, stamps, n, least):
        """Whether accesses with these stamps came before this one, for certain; `least`: stamps that count as none."""
        if space == "shared":
            # least says READABLE for reads: then something must have been written in this block
            ordered = self._is("slt", stamps, "EPOCH", n)
            if least == "READABLE":
                ordered = self._and(n, ordered, self._is("sge", stamps, "BLOCK", n))
        else:
            ordered = self._is("slt", stamps, "LAUNCH", n)
            if least:
                ordered = self._and(n, ordered, self._is("sge", stamps, least, n))
            if self.has_barrier:
                earlier = self._and(n, self._is("sge", stamps, "BLOCK", n), self._is("slt", stamps, "EPOCH", n))
                ordered = self._or(n, ordered, earlier)
        if self.has_warp_barrier:
            ordered = self._or(n, ordered, self._ordered_in_warp(stamps, n))
        return ordered

    def _same_warp(self, stamps, n):
        """Whether stamps of this epoch are of this thread's warp: of one lane, or of several."""
        e, kind = self.e, f"<{n} x i32>"
        place = e.two("urem", kind, e.two("sub", kind, stamps, e.splat("BLOCK", n)), e.splat("STRIDE", n))
        warp = e.two("lshr", kind, place, "splat (i32 5)")
        lane = self._and(n, self._is("eq", warp, "WARP", n), self._is("slt", place, "THREADS", n))
        return self._or(n, lane, self._is("eq", place, "SEVERAL_OF_WARP", n))

    def _ordered_in_warp(self, stamps, n):
        """Whether the stamps are of this warp, from before its last synchronisation."""
        before = self._and(n, self._is("sge", stamps, "EPOCH", n), self._is("slt", stamps, "WARP_EPOCH", n))
        return self._and(n, before, self._same_warp(stamps, n))

    def _next_reader(self, space, reader, n):
        """Who has read after this thread does: itself, several threads of the warp or block, or several blocks."""
        e = self.e
        unseen = self._free(space, reader, n, None)
        several = e.splat("SEVERAL", n)
        if self.has_warp_barrier:
            recent = self._and(n, self._is("sge", reader, "WARP_EPOCH", n), self._same_warp(reader, n))
            several = self._choose(recent, e.splat("WARP_SEVERAL", n), several, n)
        if space == "global":
            several = self._choose(self._is("sge", reader, "BLOCK", n), several, e.splat("LAUNCH", n), n)
        return self._choose(unseen, e.splat("OWN", n), several, n)

    # -- Vectors of stamps ---------------------------------------------------------------------------------------------
    def _load(self, place, n):
        return self.e.op(f"load <{n} x i32>, ptr {place}, align 4")

    def _store(self, stamps, place, n):
        self.e.line(f"store <{n} x i32> {stamps}, ptr {place}, align 4")

    def _is(self, comparison, stamps, what, n):
        return self.e.op(f"icmp {comparison} <{n} x i32> {stamps}, {self.e.splat(what, n)}")

    def _and(self, n, a, b):
        return self.e.two("and", f"<{n} x i1>", a, b)

    def _or(self, n, a, b):
        return self.e.two("or", f"<{n} x i1>", a, b)

    def _choose(self, condition, a, b, n):
        return self.e.op(f"select <{n} x i1> {condition}, <{n} x i32> {a}, <{n} x i32> {b}")

    def _all(self, bits, n):
        return self.e.op(f"call i1 @llvm.vector.reduce.and.v{n}i1(<{n} x i1> {bits})")


# The numbers that stamps are compared with: names of the context's slots, or sums of them, or constants.
STAMP_SUMS = {
    "UNWRITTEN": (str(UNWRITTEN),),
    "BY_HOST": ("2",),
    "PENDING": (str(PENDING),),
    "SEVERAL": ("%EPOCH", "%STRIDE", "-1"),
    "WARP_SEVERAL": ("%WARP_EPOCH", "%THREADS", "%WARP"),
    "SEVERAL_OF_WARP": ("%THREADS", "%WARP"),
}
