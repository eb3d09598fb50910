"""Say what a kernel did wrong, from what it left behind: nothing changes after a check has failed."""

from tests.engine.cuda.ptx.accesses import LOCAL_TAG, READ, SHARED_TAG, access_of
from tests.engine.cuda.ptx.parser import BITS
from tests.engine.cuda.ptx.scheduler import PENDING, Outcome, Slot


def explain(outcome, kernel, context, memory, work):
    """Return the message of an error.

    Parameters
    ----------
    outcome : Outcome
    kernel : Kernel
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
    who = f"kernel {kernel.name}, block {block}, thread {context[Slot.THREAD]}"
    if outcome is Outcome.DIVERGENT_BARRIER:
        return f"{who}: divergent barrier: some threads wait at a barrier, and this thread does not come to it"
    if outcome is Outcome.DIVERGENT_WARP:
        return f"{who}: divergent warp: lanes exchange values with this lane, which does not come there"
    if outcome is Outcome.OUT_OF_STAMPS:
        return f"{who}: too many threads and barriers in one launch to check them"
    instruction = kernel.instructions[context[Slot.SITE]]
    at = f"{who}, line {instruction.line} ({instruction.text})"
    name = instruction.opcode.split(".")[0]
    if name == "bra":
        return f"{at}: out of fuel: loops go on for too long"
    if name == "trap":
        return f"{at}: trap"
    if name == "shfl":
        return f"{at}: reads from lane {context[Slot.ADDRESS]}, which takes no part"
    access = access_of(instruction.opcode, BITS)
    return f"{at}: {_explain_access(access, int(context[Slot.ADDRESS]), context, memory, work)}"


def _explain_access(access, address, context, memory, work):
    space = access.space or {SHARED_TAG: "shared", LOCAL_TAG: "local"}.get(address & ~(SHARED_TAG - 1), "global")
    if space == "global":
        where, (written, read) = memory.describe(address), memory.stamps(address, access.n_bytes)
        outside = len(written) == 0 or not written.all()
    else:
        size = {"shared": int(context[Slot.SHARED_SIZE]), "local": 0}[space]
        where = f"byte {address} of {size}"
        words = slice(address // 4, address // 4 + max(access.n_bytes // 4, 1))
        written, read = work.shared_written[words], work.shared_read[words]
        outside = not 0 <= address <= size - access.n_bytes
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
    return f"race: {does}, {_other(written, read, context)}, and no barrier is between"


def _other(written, read, context):
    """Name the other side of a race."""
    own, stride = context[Slot.OWN], context[Slot.STRIDE]
    for stamps, does in ((written, "written"), (read, "read")):
        others = [int(stamp) for stamp in stamps if stamp >= context[Slot.LAUNCH] and stamp != own]
        if others:
            if others[0] < context[Slot.BLOCK]:
                return f"{does} by another block"
            thread = (others[0] - context[Slot.BLOCK]) % stride
            return f"{does} by thread {thread}" if thread < stride - 1 else f"{does} by several threads"
    return "used by another thread"
