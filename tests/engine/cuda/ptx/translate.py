"""Translate a kernel of PTX into LLVM IR: one function that runs one thread from one point of waiting to the next.

    i64 run(context, frame, thread, resume)

The registers of PTX become local variables, which LLVM keeps in registers of the processor. Where the thread must wait,
the registers that are needed later are saved in its frame, and the function returns; called again with the number that
it returned, it goes on. See `scheduler` for what it finds in memory.
"""

import re
from dataclasses import replace

from tests.engine.cuda.ptx.accesses import (
    LOCAL_TAG,
    READ,
    SHARED_TAG,
    STAMP_SUMS,
    UPDATE,
    WRITE,
    Checks,
    access_of,
)
from tests.engine.cuda.ptx.copies import QUEUE_BYTES, Copies
from tests.engine.cuda.ptx.errors import PtxError
from tests.engine.cuda.ptx.liveness import live_after, registers_of, used, written
from tests.engine.cuda.ptx.opcodes import IR, TABLE
from tests.engine.cuda.ptx.parser import BITS, Address, Bits
from tests.engine.cuda.ptx.scheduler import FAILED, WORDS, Slot, Wait

_SPECIAL = {
    **{
        f"%{ptx}.{axis}": Slot[f"{slot}_{axis.upper()}"]
        for ptx, slot in (("tid", "THREAD"), ("ntid", "THREADS"), ("ctaid", "BLOCK"), ("nctaid", "BLOCKS"))
        for axis in "xyz"
    },
    "%laneid": Slot.LANE,
    "%warpid": Slot.WARP,
}
_NO_EFFECT = ("membar", "fence", "nanosleep", "prefetch", "prefetchu")


class Layout:
    """Where variables lie: shared and local memory and constants, as byte offsets."""

    def __init__(self, kernel):
        self.offsets = {}
        self.dynamic = False
        sizes = dict.fromkeys(("shared", "local", "constant"), 0)
        self.constants = bytearray()
        named = {name for one in kernel.instructions for name in _names(one.operands)}
        for array in sorted(kernel.arrays.values(), key=lambda array: array.n_bytes is None):
            space = array.space if array.space in sizes else "constant"
            if space == "constant" and array.name not in named:
                continue
            start = -(-sizes[space] // max(array.align, 16)) * max(array.align, 16)
            self.offsets[array.name] = (space, start)
            sizes[space] = start + (array.n_bytes or 0)
            self.dynamic |= array.n_bytes is None
            if space == "constant":
                self.constants += bytes(start - len(self.constants)) + array.initial
                self.constants += bytes(sizes[space] - len(self.constants))
        self.shared_bytes, self.local_bytes = sizes["shared"], -(-sizes["local"] // 16) * 16


def _names(operands):
    for one in operands:
        if isinstance(one, tuple):
            yield from _names(one)
        else:
            yield one.base if isinstance(one, Address) else one


def _storage(kernel):
    """IR type of each register. Those of 32 untyped bits that hold floats are floats: so LLVM optimises them."""
    votes = dict.fromkeys(kernel.registers, 0)
    for instruction in kernel.instructions:
        if instruction.opcode.startswith("mov."):
            continue
        for name in registers_of(instruction.operands, kernel.registers):
            votes[name] += 1 if instruction.opcode.endswith((".f32", ".tf32.f32")) else -1
    return {
        name: "float" if BITS[type_] == 32 and votes[name] > 0 else IR[type_]
        for name, type_ in kernel.registers.items()
    }


class Emitter:
    """The code of one kernel while it grows, and what `opcodes` needs to add to it."""

    def __init__(self, kernel, check):
        self.kernel = kernel
        self.full = check
        self.layout = Layout(kernel)
        self.storage = _storage(kernel)
        self.live = live_after(kernel)
        self.lines = []
        self.n_values = 0
        self.resumes = []
        self.saved = {}  # register -> byte in the frame
        self.frame_bytes = 0
        self.splats = {}
        self.sites = []  # (instruction, reason) of every check
        self.number = 0  # of the instruction
        opcodes = [instruction.opcode for instruction in kernel.instructions]
        self.checks = Checks(
            self,
            has_barrier=any(opcode.startswith(("bar.", "barrier.")) for opcode in opcodes),
            has_warp_barrier=any(opcode.startswith("bar.warp") for opcode in opcodes),
        )
        self.copies = Copies(self) if any(opcode.startswith("cp.async") for opcode in opcodes) else None
        self.variables = {name: f"%r{number}" for number, name in enumerate(kernel.registers)}
        self.parameters = {one.name: one.offset for one in kernel.parameters}

    # -- Lines of code -------------------------------------------------------------------------------------------------
    def line(self, text):
        """Append a line."""
        self.lines.append(text)

    def op(self, text):
        """Append an instruction with a result; return the result's name."""
        self.n_values += 1
        self.lines.append(f"%v{self.n_values} = {text}")
        return f"%v{self.n_values}"

    def two(self, instruction, kind, a, b):
        """An instruction of two operands of one type."""
        return self.op(f"{instruction} {kind} {a}, {b}")

    def convert(self, instruction, value, source, target):
        """A conversion between IR types."""
        return self.op(f"{instruction} {source} {value} to {target}")

    def call(self, name, type_, *values, extra=""):
        """A call of an intrinsic whose operands and result have one PTX type."""
        kind = IR[type_]
        suffix = f"f{BITS[type_]}" if kind in ("half", "float", "double") else kind
        operands = ", ".join(f"{kind} {value}" for value in values)
        return self.op(f"call {kind} @llvm.{name}.{suffix}({operands}{extra})")

    def is_class(self, type_, value, classes):
        """Whether a float is of one of LLVM's classes."""
        return self.op(f"call i1 @llvm.is.fpclass.f{BITS[type_]}({IR[type_]} {value}, i32 {classes})")

    def label(self, name):
        """Begin a block, which the code before runs into."""
        if not self._has_ended():
            self.line(f"br label %{name}")
        self.line(f"{name}:")

    def _has_ended(self):
        return self.lines[-1].startswith(("br ", "ret ", "switch ", "unreachable"))

    def new_label(self):
        """A name that no block has."""
        self.n_values += 1
        return f"L{self.n_values}"

    def slot_pointer(self, slot):
        """A pointer into the context."""
        return self.op(f"getelementptr i64, ptr %context, i64 {int(slot)}")

    def splat(self, what, n):
        """A vector of n times a stamp; the entry computes it once."""
        return self.splats.setdefault((what, n), f"%splat_{what}_{n}")

    def fail_unless(self, condition, address, reason):
        """Leave the thread if a check of this instruction fails.

        The reason is a text, in which {address} stands for the value `address`, or an `Access`.
        """
        bad, good = self.new_label(), self.new_label()
        self.line(f"br i1 {condition}, label %{good}, label %{bad}, !prof !0")
        self.line(f"{bad}:")
        self.line(f"store i64 {len(self.sites)}, ptr %site")
        self.line(f"store i64 {address}, ptr %address")
        self.line("br label %FAILED")
        self.line(f"{good}:")
        self.sites.append((self.kernel.instructions[self.number], reason))

    # -- Operands ------------------------------------------------------------------------------------------------------
    def read(self, operand, type_):
        """The value of an operand, of a PTX type."""
        kind, width = IR[type_], BITS[type_]
        if isinstance(operand, Bits):
            return self.op(f"bitcast i{width} {operand.bits} to {kind}") if kind[0] != "i" else str(operand.bits)
        if isinstance(operand, int):
            if kind == "i1":
                return "true" if operand else "false"
            return str(operand) if kind[0] == "i" else self.op(f"bitcast i{width} {operand} to {kind}")
        if operand.startswith("!"):
            return self.two("xor", "i1", self.read(operand[1:], "pred"), "true")
        if operand in self.variables:
            value = self.op(f"load {self.storage[operand]}, ptr {self.variables[operand]}")
            return self._as(value, self.storage[operand], kind, BITS[self.kernel.registers[operand]], width)
        if operand in _SPECIAL:
            value = self.op(f"load i64, ptr {self.slot_pointer(_SPECIAL[operand])}")
            return value if width == 64 else self.convert("trunc", value, "i64", kind)
        if operand in ("WARP_SZ", "%warpsize"):
            return "32"
        return self._variable_address(operand, kind)

    def _variable_address(self, name, kind):
        if name not in self.layout.offsets:
            self.fail(f"{name} is not declared")
        space, offset = self.layout.offsets[name]
        if space == "constant":
            return self.two("add", "i64", "%CONSTANTS", offset)
        return str(offset)

    def _as(self, value, kind, wanted, width, wanted_width):
        """A register's value as another type of its width, or its lower bits."""
        if kind == wanted:
            return value
        if width == wanted_width:
            return self.convert("bitcast", value, kind, wanted)
        if kind[0] != "i":
            value = self.convert("bitcast", value, kind, f"i{width}")
        if width < wanted_width:
            self.fail(f"a register of {width} bits is read as {wanted_width}")
        value = self.convert("trunc", value, f"i{width}", f"i{wanted_width}")
        return value if wanted[0] == "i" else self.convert("bitcast", value, f"i{wanted_width}", wanted)

    def write(self, operand, value, type_):
        """Write a register. A wider one is filled with the sign of signed types, else with zeros."""
        if operand == "_":
            return
        if operand not in self.variables:
            self.fail(f"{operand} is not a register")
        kind, width = self.storage[operand], BITS[self.kernel.registers[operand]]
        if kind != IR[type_]:
            if IR[type_][0] != "i":
                value = self.convert("bitcast", value, IR[type_], f"i{BITS[type_]}")
            if width < BITS[type_]:
                self.fail(f"{BITS[type_]} bits do not fit into a register of {width}")
            if width > BITS[type_]:
                extend = "sext" if type_[0] == "s" else "zext"
                value = self.convert(extend, value, f"i{BITS[type_]}", f"i{width}")
            if kind[0] != "i":
                value = self.convert("bitcast", value, f"i{width}", kind)
        self.line(f"store {kind} {value}, ptr {self.variables[operand]}")

    def fail(self, what):
        """Raise a PtxError that names the line."""
        instruction = self.kernel.instructions[self.number]
        raise PtxError(f"line {instruction.line} of PTX: {what}: {instruction.text}")

    # -- Waiting -------------------------------------------------------------------------------------------------------
    def wait(self, why, needed):
        """Save the registers `needed`, return to the scheduler, and load them when the thread goes on."""
        names = sorted(needed, key=lambda name: (-BITS[self.kernel.registers[name]], self.variables[name]))
        for name in names:
            value = self.op(f"load {self.storage[name]}, ptr {self.variables[name]}")
            self.line(f"store {self.storage[name]} {value}, ptr {self._frame_pointer(name)}")
        number = len(self.resumes) + 1
        self.resumes.append(f"R{number}")
        self.line(f"ret i64 {4 * number + int(why)}")
        self.line(f"R{number}:")
        for name in names:
            value = self.op(f"load {self.storage[name]}, ptr {self._frame_pointer(name)}")
            self.line(f"store {self.storage[name]} {value}, ptr {self.variables[name]}")

    def _frame_pointer(self, name):
        if name not in self.saved:
            size = max(BITS[self.kernel.registers[name]] // 8, 1)
            self.frame_bytes = -(-self.frame_bytes // size) * size
            self.saved[name] = self.frame_bytes
            self.frame_bytes += size
        return self.op(f"getelementptr i8, ptr %frame, i64 {self.saved[name]}")

    def exchange(self, values, mask, why=Wait.WARP):
        """Offer int32 numbers to the lanes of `mask`, and wait until all of them have done so."""
        first = self.two("mul", "i64", "%thread", WORDS)
        for word, value in [*enumerate(values), (WORDS - 1, mask)]:
            place = self.op(f"getelementptr i32, ptr %exchange, i64 {self.two('add', 'i64', first, word)}")
            self.line(f"store i32 {value}, ptr {place}")
        instruction = self.kernel.instructions[self.number]
        registers = self.kernel.registers
        needed = self.live[self.number] - set(written(instruction, registers))
        self.wait(why, needed | set(used(instruction, registers)))

    def received(self, lane, word, type_="b32"):
        """What a lane offered."""
        place = self.two("add", "i32", self.two("mul", "i32", lane, WORDS), word)
        pointer = self.op(f"getelementptr i32, ptr %snapshot, i32 {place}")
        return self.op(f"load {IR[type_]}, ptr {pointer}")

    def lane(self):
        """Return the number of this thread in its warp."""
        return self.read("%laneid", "u32")

    def members(self):
        """The mask of the lanes that offered numbers."""
        value = self.op(f"load i64, ptr {self.slot_pointer(Slot.MEMBERS)}")
        return self.convert("trunc", value, "i64", "i32")

    def require_lane(self, lane):
        """Fail if a lane that is read from takes no part."""
        bit = self.two("and", "i32", self.two("lshr", "i32", self.members(), lane), 1)
        wide = self.convert("zext", lane, "i32", "i64")
        self.fail_unless(self.two("icmp ne", "i32", bit, 0), wide, "reads from lane {address}, which takes no part")

    def ballot(self, word):
        """The mask of the members whose number is not 0."""
        total = "0"
        for lane in range(32):
            offered = self.two("icmp ne", "i32", self.received(str(lane), word), 0)
            bit = self.op(f"select i1 {offered}, i32 {1 << lane if lane < 31 else -(1 << 31)}, i32 0")
            total = self.two("or", "i32", total, bit)
        return self.two("and", "i32", total, self.members())

    # -- Memory --------------------------------------------------------------------------------------------------------
    def address(self, operand):
        """The value of an address in square brackets."""
        if operand.base is None:
            return str(operand.offset)
        value = self.read(operand.base, self._address_type(operand.base))
        if self._address_type(operand.base) == "u32":
            value = self.convert("zext", value, "i32", "i64")
        return self.two("add", "i64", value, operand.offset) if operand.offset else value

    def _address_type(self, base):
        """Addresses in shared memory may be of 32 bits."""
        return "u32" if BITS[self.kernel.registers.get(base, "u64")] == 32 else "u64"

    def pointer(self, access, operand):
        """A pointer to what an access reads or writes, checked."""
        if access.space == "param":
            if operand.base not in self.parameters:
                self.fail(f"{operand.base} is not a parameter")
            return self.op(f"getelementptr i8, ptr %parameters, i64 {self.parameters[operand.base] + operand.offset}")
        address = self.address(operand)
        if access.space:
            return self.checks.pointer(access, address)
        return self._generic_pointer(access, address)

    def _generic_pointer(self, access, address):
        """An address whose tag says which memory it is in."""
        tag = self.two("lshr", "i64", address, 56)
        tails = {"shared": SHARED_TAG, "local": LOCAL_TAG, "global": 0}
        labels = {space: self.new_label() for space in tails}
        after = self.new_label()
        cases = " ".join(f"i64 {tails[space] >> 56}, label %{labels[space]}" for space in ("shared", "local"))
        self.line(f"switch i64 {tag}, label %{labels['global']} [{cases}]")
        found = []
        for space, offset in tails.items():
            self.line(f"{labels[space]}:")
            place = self.two("sub", "i64", address, offset)
            pointer = self.checks.pointer(replace(access, space=space), place)
            end = self.new_label()
            self.label(end)
            self.line(f"br label %{after}")
            found.append(f"[{pointer}, %{end}]")
        self.line(f"{after}:")
        return self.op(f"phi ptr {', '.join(found)}")

    def _parts(self, access, pointer):
        for number in range(access.n):
            yield number, self.op(f"getelementptr {IR[access.type]}, ptr {pointer}, i64 {number}")

    def _load(self, access, instruction):
        target, operand = instruction.operands
        targets = target if isinstance(target, tuple) else (target,)
        pointer = self.pointer(access, operand)
        values = [self.op(f"load {IR[access.type]}, ptr {place}, align 1") for _, place in self._parts(access, pointer)]
        for one, value in zip(targets, values, strict=True):
            self.write(one, value, access.type)

    def _store(self, access, instruction):
        operand, source = instruction.operands
        sources = source if isinstance(source, tuple) else (source,)
        values = [self.read(one, access.type) for one in sources]
        for number, place in self._parts(access, self.pointer(access, operand)):
            self.line(f"store {IR[access.type]} {values[number]}, ptr {place}, align 1")

    def _update(self, access, instruction):
        """Atomic operations: threads run one after another, so a load and a store are one operation."""
        operands = list(instruction.operands)
        target = operands.pop(0) if instruction.opcode.startswith("atom") else "_"
        values = [self.read(one, access.type) for one in operands[1:]]
        pointer, kind = self.pointer(access, operands[0]), IR[access.type]
        old = self.op(f"load {kind}, ptr {pointer}, align 1")
        self.line(f"store {kind} {self._updated(access, old, *values)}, ptr {pointer}, align 1")
        self.write(target, old, access.type)

    def _updated(self, access, old, value, replacement=None):
        kind, operation, type_ = IR[access.type], access.operation, access.type
        if operation == "exch":
            return value
        if operation == "cas":
            same = self.two("icmp eq", kind, old, value)
            return self.op(f"select i1 {same}, {kind} {replacement}, {kind} {old}")
        if operation in ("min", "max"):
            name = f"{operation}imumnum" if kind[0] != "i" else ("s" if type_[0] == "s" else "u") + operation
            return self.call(name, type_, old, value)
        return self.two("fadd" if kind[0] != "i" else operation, kind, old, value)

    # -- Instructions --------------------------------------------------------------------------------------------------
    def translate(self):
        """Append the code of every instruction."""
        leaders = set(self.kernel.labels.values())
        self.line("START:")
        if self.copies:
            self.copies.begin()
        for number, instruction in enumerate(self.kernel.instructions):
            self.number = number
            if number in leaders:
                self.label(f"I{number}")
            elif self._has_ended():
                self.line(f"{self.new_label()}:")
            self._translate_guarded(instruction)
        last = len(self.kernel.instructions)
        if last in leaders:
            self.label(f"I{last}")
        if not self._has_ended():
            self.line("ret i64 0")

    def _translate_guarded(self, instruction):
        name = instruction.opcode.split(".")[0]
        if name == "bra":
            self._branch(instruction)
            return
        if not instruction.guard:
            self._translate(instruction)
            return
        inside, after = self.new_label(), self.new_label()
        self._branch_if(instruction.guard, inside, after)
        self.line(f"{inside}:")
        self._translate(instruction)
        self.label(after)

    def _branch_if(self, guard, inside, after):
        name, negated = guard
        labels = (after, inside) if negated else (inside, after)
        self.line(f"br i1 {self.read(name, 'pred')}, label %{labels[0]}, label %{labels[1]}")

    def _branch(self, instruction):
        target = instruction.operands[-1]
        if target not in self.kernel.labels:
            self.fail(f"there is no label {target}")
        place = self.kernel.labels[target]
        if place <= self.number:
            self._burn_fuel()
        if not instruction.guard:
            self.line(f"br label %I{place}")
            return
        after = self.new_label()
        self._branch_if(instruction.guard, f"I{place}", after)
        self.line(f"{after}:")

    def _burn_fuel(self):
        """Count a back edge; leave the thread when there were too many."""
        fuel = self.two("sub", "i64", self.op("load i64, ptr %fuel"), 1)
        self.line(f"store i64 {fuel}, ptr %fuel")
        self.fail_unless(self.two("icmp sge", "i64", fuel, 0), "0", "out of fuel: loops go on for too long")

    def _translate(self, instruction):
        opcode, operands = instruction.opcode, instruction.operands
        name = opcode.split(".")[0]
        if emit := TABLE.get(opcode):
            emit(self, *operands)
        elif access := access_of(opcode, BITS):
            {READ: self._load, WRITE: self._store, UPDATE: self._update}[access.kind](access, instruction)
        elif name in ("ret", "exit"):
            self.line("ret i64 0")
        elif opcode == "bar.warp.sync":
            self.exchange([], self.read(operands[0], "b32"), Wait.WARP_MEMORY)
        elif name in ("bar", "barrier"):
            self._barrier(opcode, operands)
        elif opcode.startswith("cp.async"):
            self._copy_async(opcode.split("."), operands)
        elif name == "cvta":
            self._convert_address(opcode, operands)
        elif name == "trap":
            self.fail_unless("false", "0", "trap")
        elif name not in _NO_EFFECT:
            self.fail("this opcode is not in the table")

    def _barrier(self, opcode, operands):
        if opcode.removesuffix(".aligned") not in ("bar.sync", "barrier.sync") or operands != (0,):
            self.fail("only barriers of the whole block with number 0 are known")
        self.wait(Wait.BLOCK, self.live[self.number])

    def _copy_async(self, parts, operands):
        """Copies that are waited for later, see `copies`."""
        if parts[2] == "commit_group":
            self.copies.commit()
        elif parts[2] == "wait_group":
            self.copies.wait(operands[0])
        elif parts[2] == "wait_all":
            self.copies.commit()  # it waits for what is in no group yet, too
            self.copies.wait(0)
        elif parts[2] in ("ca", "cg") and operands[2] in (4, 8, 16):
            n_read = self.read(operands[3], "u32") if len(operands) > 3 else None
            self.copies.copy(self.address(operands[0]), self.address(operands[1]), operands[2], n_read)
        else:
            self.fail("this opcode is not in the table")

    def _convert_address(self, opcode, operands):
        """Between an address of one memory and a generic one, which has a tag."""
        value = self.read(operands[1], "u64")
        tag = SHARED_TAG if "shared" in opcode else LOCAL_TAG if "local" in opcode else 0
        self.write(operands[0], self.two("sub" if ".to." in opcode else "add", "i64", value, tag), "u64")

    # -- The whole function --------------------------------------------------------------------------------------------
    def module(self):
        """The text of the LLVM module. Call `translate` before."""
        local = self._local_offset
        lines = ["define i64 @run(i64 %context.i, i64 %frame.i, i64 %thread, i64 %resume) {", "ENTRY:"]
        lines += [f"%{name} = inttoptr i64 %{name}.i to ptr" for name in ("context", "frame")]
        for slot in Slot:
            lines.append(f"%{slot.name}.p = getelementptr i64, ptr %context, i64 {int(slot)}")
            lines.append(f"%{slot.name} = load i64, ptr %{slot.name}.p")
        for slot in (Slot.FUEL, Slot.SITE, Slot.ADDRESS):
            lines.append(f"%{slot.name.lower()} = getelementptr i64, ptr %context, i64 {int(slot)}")
        lines += [f"%{name} = inttoptr i64 %{name.upper()} to ptr" for name in ("parameters", "exchange", "snapshot")]
        lines += [f"%LOCAL = add i64 %frame.i, {local}", f"%LOCAL_SIZE = add i64 0, {self.layout.local_bytes}"]
        lines.append(f"%queue = getelementptr i8, ptr %frame, i64 {local + self.layout.local_bytes}")
        lines += ["%THREADS.xy = mul i64 %THREADS_X, %THREADS_Y", "%THREADS = mul i64 %THREADS.xy, %THREADS_Z"]
        lines += self._splat_lines()
        lines += [f"{self.variables[name]} = alloca {kind}" for name, kind in self.storage.items()]
        places = " ".join(f"i64 {number + 1}, label %{label}" for number, label in enumerate(self.resumes))
        lines.append(f"switch i64 %resume, label %FAILED [i64 0, label %START {places}]")
        lines += self.lines
        lines += ["FAILED:", f"ret i64 {FAILED}", "}", '!0 = !{!"branch_weights", i32 100000, i32 1}']
        text = "\n".join(lines)
        return "\n".join([*_declarations(text), text]) + "\n"

    def _splat_lines(self):
        lines = []
        for what in dict.fromkeys(what for what, _ in self.splats):
            total, *terms = STAMP_SUMS.get(what, (f"%{what}",))
            for number, term in enumerate(terms):
                lines.append(f"%sum_{what}_{number} = add i64 {total}, {term}")
                total = f"%sum_{what}_{number}"
            lines.append(f"%word_{what} = trunc i64 {total} to i32")
        for what, n in self.splats:
            lines.append(f"%one_{what}_{n} = insertelement <{n} x i32> poison, i32 %word_{what}, i32 0")
            mask = f"<{n} x i32> zeroinitializer"
            lines.append(f"%splat_{what}_{n} = shufflevector <{n} x i32> %one_{what}_{n}, <{n} x i32> poison, {mask}")
        return lines

    @property
    def _local_offset(self):
        """Where local memory begins in the frame: after the registers that are saved."""
        return -(-self.frame_bytes // 16) * 16

    @property
    def frame_size(self):
        """Bytes of a thread's frame: registers that are saved, local memory, and the queue of copies."""
        return self._local_offset + self.layout.local_bytes + (QUEUE_BYTES if self.copies else 0) + 16


def _declarations(text):
    """Declare the intrinsics that are called."""
    found = {}
    for kind, name, operands in re.findall(r"call (\S+) (@llvm[\w.]+)\(([^()]*)\)", text):
        types = [one.strip().rpartition(" ")[0] for one in operands.split(",")]
        found[name] = f"declare {kind} {name}({', '.join(types)})"
    return found.values()
