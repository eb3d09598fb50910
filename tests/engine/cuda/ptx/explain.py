"""Say what a kernel did wrong, from what it left behind: nothing changes after a check has failed."""

import re

from tests.engine.cuda.ptx.accesses import READ, Access
from tests.engine.cuda.ptx.scheduler import PENDING, Outcome, Slot


def explain(outcome, kernel, code, context, memory, work):
    """Return the message of an error.

    Parameters
    ----------
    outcome : Outcome
    kernel : Kernel
    code : object
        Has `sites`, the (Instruction, str or Access) of each check, and the `layout` of variables.
    context : ndarray of int64
        As it was when the check failed.
    memory : Memory
    work : object
        Has `shared_written` and `shared_read`.

    Returns
    -------
    message : str
    """
    block = tuple(int(n) for n in context[Slot.BLOCK_X : Slot.BLOCK_Z + 1])
    who = f"kernel {readable(kernel.name)}, block {block}, thread {context[Slot.THREAD]}"
    if outcome is Outcome.DIVERGENT_BARRIER:
        return f"{who}: divergent barrier: some threads wait at a barrier, and this thread does not come to it"
    if outcome is Outcome.DIVERGENT_WARP:
        return f"{who}: divergent warp: lanes exchange values with this lane, which does not come there"
    if outcome is Outcome.OUT_OF_STAMPS:
        return f"{who}: too many threads and barriers in one launch to check them"
    instruction, reason = code.sites[context[Slot.SITE]]
    address = int(context[Slot.ADDRESS])
    if isinstance(reason, Access):
        reason = _explain_access(reason, address, context, memory, work, code.layout.local_bytes)
    else:
        reason = reason.format(address=address)
    return f"{who}, line {instruction.line} ({instruction.text}): {reason}"


def readable(name):
    """A function's name without what Numba adds: "relu" of "_ZN9skconvnet4reluB2v1...".

    Numba spells the parts of a qualified name as the Itanium ABI does: the length of each, then its characters.
    """
    found, rest = name, name.removeprefix("_ZN") if name.startswith("_ZN") else ""
    while part := re.match(r"\d+", rest):
        end = part.end() + int(part.group())
        found, rest = rest[part.end() : end], rest[end:]
    return found


def _explain_access(access, address, context, memory, work, local_bytes):
    space = access.space
    if space == "global":
        where, (written, read) = memory.describe(address), memory.stamps(address, access.n_bytes)
        outside = len(written) == 0 or not written.all()
    else:
        size = local_bytes if space == "local" else int(context[Slot.SHARED_SIZE])
        where = f"byte {address} of {size}"
        words = slice(address // 4, address // 4 + max(access.n_bytes // 4, 1))
        written, read = work.shared_written[words], work.shared_read[words]
        outside = not 0 <= address <= size - access.n_bytes
        if space == "local" and not outside:
            return f"misaligned: {access.kind} {access.n_bytes} bytes of local memory at {where}"
    does = f"{access.kind} {access.n_bytes} bytes of {space} memory at {where}"
    if outside:
        return f"out of bounds: {does}"
    if address % access.n_bytes:
        return f"misaligned: {does}"
    if (written == PENDING).any():
        return f"cp.async not waited for: {does}"
    first_written = context[Slot.READABLE] if space == "global" else context[Slot.BLOCK]
    if access.kind == READ and (written < first_written).any():
        return f"not initialised: {does}"
    return f"race: {does}, {_other(space, written, read, context)}, and no barrier is between"


def _other(space, written, read, context):
    """Name the other side of a race."""
    for stamps, does in ((written, "written"), (read, "read")):
        for stamp in map(int, stamps):
            if not _is_ordered(space, stamp, context):
                return f"{does} by {_owner(stamp, context)}"
    return "used by another thread"


def _owner(stamp, context):
    """Who has a stamp of this launch."""
    if stamp < context[Slot.BLOCK]:
        return "another block"
    n_threads = context[Slot.THREADS_X : Slot.THREADS_Z + 1].prod()
    place = (stamp - context[Slot.BLOCK]) % context[Slot.STRIDE]
    return f"thread {place}" if place < n_threads else "several threads"


def _is_ordered(space, stamp, context):
    """Whether an access was certainly before this one; as `accesses` has it."""
    if stamp == context[Slot.OWN] or stamp < context[Slot.LAUNCH]:
        return True
    if stamp < context[Slot.EPOCH]:
        return space == "shared" or stamp >= context[Slot.BLOCK]
    place = (stamp - context[Slot.BLOCK]) % context[Slot.STRIDE]
    return stamp < context[Slot.WARP_EPOCH] and place // 32 == context[Slot.WARP]
