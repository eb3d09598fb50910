"""Execute PTX on the CPU, with the checks that a GPU does not make.

    memory = Memory()                                       allocate, free, upload, download, clear
    x = memory.allocate(n_bytes)                            an address, as kernels take it
    program = load(ptx_text)                                cached by text
    program.launch(grid, block, arguments, memory)          raises PtxError: what, where, which block and thread

`arguments` are int and float, in the order of the kernel's parameters; `grid` and `block` are an int or up to three.
The threads of a block run one after another from barrier to barrier, blocks in order. It is noticed when a kernel

- accesses memory outside of every allocation, outside of shared or local memory, or not aligned to the access,
- reads global or shared memory that nothing has written, or that cp.async has not filled yet,
- accesses what another thread writes without a barrier between, in shared memory, or in global memory in one launch,
- waits at a barrier that not every thread of the block comes to, or exchanges with lanes that do not come,
- takes more back edges than the launch has fuel for: a loop that does not end.

Nothing is known of this on hardware: the speed, bank conflicts, and what `.approx` rounds to.
"""

import struct
from functools import cache, lru_cache
from math import prod

import numpy as np

from tests.engine.cuda.ptx.errors import PtxError
from tests.engine.cuda.ptx.explain import explain, readable
from tests.engine.cuda.ptx.machine_code import compiled
from tests.engine.cuda.ptx.memory import Memory
from tests.engine.cuda.ptx.parser import BITS, parse
from tests.engine.cuda.ptx.scheduler import BY_HOST, UNWRITTEN, WORDS, Outcome, Slot, run_grid
from tests.engine.cuda.ptx.translate import Emitter

__all__ = ["FUEL", "Memory", "Program", "PtxError", "load"]

FUEL = 2**31  # back edges of a launch
_STATIC_SHARED, _SHARED = 48 * 1024, 227 * 1024  # bytes a block may have: of every GPU, and of the largest
_RENEW = 2**30  # stamps are renewed before a launch that begins beyond


@cache
def load(text):
    """Return the `Program` of a PTX text with one entry; the same one for the same text."""
    return Program(text)


class Program:
    """A kernel that can be launched. Machine code is made by the first launch, apart for launches without checks.

    Attributes
    ----------
    kernel : parser.Kernel
    """

    def __init__(self, text):
        self.kernel = parse(text)
        self._codes = {}
        self._format = _format_of(self.kernel.parameters)

    def launch(self, grid, block, arguments, memory, check=True, dynamic_shared=0, fuel=FUEL, check_initialised=True):
        """Run the kernel for every thread of a grid.

        Parameters
        ----------
        grid, block : int or tuple of int
            Blocks of the grid and threads of a block; up to three each.
        arguments : sequence of int or float
            One for each parameter.
        memory : Memory
        check : bool, default=True
            If False, only bounds, barriers and fuel are checked.
        dynamic_shared : int, default=0
            Bytes of dynamic shared memory.
        fuel : int, default=FUEL
            Back edges that all threads together may take.
        check_initialised : bool, default=True
            If False, global memory may be read before it is written.

        Raises
        ------
        PtxError
            If a check fails. Memory stays as the kernel left it.
        """
        code = self._code(check)
        grid, block = _three(grid), _three(block)
        n_threads = prod(block)
        self._check_sizes(grid, block, code.layout.shared_bytes, dynamic_shared)
        work = _Workspace.of(n_threads, code.frame_bytes, code.layout.shared_bytes + dynamic_shared)
        parameters = self._pack(arguments)
        if memory.next_stamp > _RENEW:
            memory.renew_stamps()
        context = work.context
        context[Slot.PARAMETERS] = parameters.ctypes.data
        context[Slot.CONSTANTS] = memory.constant(self, bytes(code.layout.constants)) if code.layout.constants else 0
        context[Slot.ARENA : Slot.TO_READ + 1] = memory.base, memory.size, memory.to_written, memory.to_read
        context[Slot.READABLE] = BY_HOST if check_initialised else UNWRITTEN
        context[Slot.SHARED_SIZE] = code.layout.shared_bytes + dynamic_shared
        context[Slot.NEXT_STAMP] = memory.next_stamp
        context[Slot.STRIDE] = n_threads + -(-n_threads // 32) + 1
        context[Slot.FUEL] = fuel
        context[Slot.THREADS_X : Slot.THREADS_Z + 1] = block
        context[Slot.BLOCKS_X : Slot.BLOCKS_Z + 1] = grid
        work.shared_written[:] = 0
        work.shared_read[:] = 0
        outcome = run_grid(
            code.address, context, n_threads, work.warp_epochs, work.frames.ctypes.data, code.frame_bytes,
            work.state, work.resume, work.exchange, work.snapshot,
        )  # fmt: skip
        memory.next_stamp = int(context[Slot.NEXT_STAMP])
        if outcome:
            raise PtxError(explain(Outcome(outcome), self.kernel, code, context, memory, work))

    def _code(self, check):
        if check not in self._codes:
            self._codes[check] = _Code(self.kernel, check)
        return self._codes[check]

    def _check_sizes(self, grid, block, static_shared, dynamic_shared):
        """Refuse what every GPU refuses."""
        who = f"kernel {readable(self.kernel.name)}"
        if not (0 < min(block) and prod(block) <= self.kernel.most_threads and block[2] <= 64):
            raise PtxError(f"{who}: a block of {block} threads; 1 to {self.kernel.most_threads} are possible")
        if not (0 < min(grid) and grid[0] < 2**31 and max(grid[1:]) < 2**16):
            raise PtxError(f"{who}: a grid of {grid} blocks; 1 to 2,147,483,647, 65,535 and 65,535 are possible")
        if static_shared > _STATIC_SHARED or static_shared + dynamic_shared > _SHARED:
            raise PtxError(
                f"{who}: {static_shared} bytes of static and {dynamic_shared} of dynamic shared memory; "
                f"{_STATIC_SHARED} static and {_SHARED} together are possible"
            )

    def _pack(self, arguments):
        """The parameter buffer."""
        parameters, who = self.kernel.parameters, f"kernel {readable(self.kernel.name)}"
        if len(arguments) != len(parameters):
            raise PtxError(f"{who} takes {len(parameters)} arguments, and {len(arguments)} were given")
        try:
            packed = self._format.pack(*arguments)
        except struct.error as error:
            given = ", ".join(
                f"{one.name}: .{one.type} = {value!r}" for one, value in zip(parameters, arguments, strict=True)
            )
            raise PtxError(f"{who}: the arguments do not fit the parameters ({error}): {given}") from error
        return np.frombuffer(packed or b"\0", np.uint8)


def _format_of(parameters):
    """The format of the parameter buffer. Integers are signed, as Numba's are, whatever PTX calls them."""
    letters, end = {"8": "b", "16": "h", "32": "i", "64": "q"}, 0
    parts = ["<"]
    for one in parameters:
        letter = {"f32": "f", "f64": "d"}.get(one.type) or letters[one.type[1:]]
        parts.append(f"{one.offset - end}x{letter}")
        end = one.offset + BITS[one.type] // 8
    return struct.Struct("".join(parts))


def _three(size):
    """Up to three sizes as three."""
    sizes = tuple(int(one) for one in size) if isinstance(size, tuple | list) else (int(size),)
    return (*sizes, 1, 1)[:3]


class _Code:
    """Machine code of a kernel: `address`, the `layout` of its variables, `frame_bytes` of a thread."""

    def __init__(self, kernel, check):
        emitter = Emitter(kernel, check)
        emitter.translate()
        self.layout, self.frame_bytes, self.sites = emitter.layout, emitter.frame_size, emitter.sites
        self._engine = compiled(emitter.module())
        self.address = self._engine.get_function_address("run")


class _Workspace:
    """Memory of the threads of one block, used again by the next launch."""

    def __init__(self, n_threads, frame_bytes, shared_bytes):
        self.size = n_threads, frame_bytes, shared_bytes
        self.context = np.zeros(len(Slot), np.int64)
        self.warp_epochs = np.zeros(32, np.int64)
        self.frames = np.zeros((n_threads, frame_bytes), np.uint8)
        self.state = np.zeros(n_threads, np.int64)
        self.resume = np.zeros(n_threads, np.int64)
        self.exchange = np.zeros((n_threads, WORDS), np.int32)
        self.snapshot = np.zeros((32, WORDS), np.int32)
        self.shared = np.zeros(shared_bytes + 64, np.uint8)
        self.shared_start = -self.shared.ctypes.data % 64
        self.shared_written = np.zeros(shared_bytes // 4 + 8, np.int32)
        self.shared_read = np.zeros(shared_bytes // 4 + 8, np.int32)
        self.context[Slot.SHARED] = self.shared.ctypes.data + self.shared_start
        self.context[Slot.SHARED_WRITTEN] = self.shared_written.ctypes.data
        self.context[Slot.SHARED_READ] = self.shared_read.ctypes.data
        self.context[Slot.EXCHANGE] = self.exchange.ctypes.data
        self.context[Slot.SNAPSHOT] = self.snapshot.ctypes.data

    @classmethod
    @lru_cache(maxsize=64)
    def of(cls, n_threads, frame_bytes, shared_bytes):
        """The work space for these sizes."""
        return cls(n_threads, frame_bytes, shared_bytes)
