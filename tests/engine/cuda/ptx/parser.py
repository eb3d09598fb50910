"""Read PTX, the assembly language that NVIDIA's compilers emit, into a `Kernel`.

What the compiler of Numba's kernels emits is read: one `.entry`, no calls. Anything else is a `PtxError` that names the
line. Source: NVIDIA, "Parallel Thread Execution ISA", version 9.0.
"""

import re
from dataclasses import dataclass, field
from math import prod

from tests.engine.cuda.ptx.errors import PtxError

BITS = {
    "pred": 1,
    **{f"{kind}{bits}": bits for kind in "bus" for bits in (8, 16, 32, 64)},
    "f16": 16,
    "f32": 32,
    "f64": 64,
}

_DIRECTIVES = (".maxntid", ".minnctapersm", ".reqntid", ".maxnreg", ".pragma", ".version", ".target", ".address_size")
_ARRAY = re.compile(
    r"(?:\.(?:visible|common|extern|weak)\s+)*\.(?P<space>shared|local|global|const)\s+(?:\.attribute\s*\([^)]*\)\s*)?"
    r"(?:\.align\s+(?P<align>\d+)\s+)?\.(?P<type>\w+)\s+(?P<name>[\w$]+)\s*(?P<size>\[\d*\])?\s*(?:=\s*(?P<initial>.+))?$",
    re.DOTALL,
)
_PARAMETER = re.compile(
    r"\.param\s+(?:\.align\s+\d+\s+)?\.(?P<type>\w+)\s+(?:\.ptr\s*)?(?:\.(?:global|shared|const|local)\s+)?"
    r"(?:\.align\s+\d+\s+)?(?P<name>[\w$]+)$"
)
_ENTRY = re.compile(r"\.entry\s+(?P<name>[\w$]+)\s*(?:\((?P<parameters>[^)]*)\))?(?P<limits>[^{]*)\{")
_LABEL = re.compile(r"([\w$]+)\s*:(?!:)")
_ADDRESS = re.compile(r"\[\s*(?P<base>[\w$%.]+)\s*(?:\+\s*(?P<offset>-?\w+))?\s*\]$")


@dataclass(frozen=True)
class Bits:
    """A floating-point number as its bits: 0f3F800000 or 0d3FF0000000000000."""

    bits: int
    width: int


@dataclass(frozen=True)
class Address:
    """[base + offset]: base is a register, an array, a parameter, or None for an absolute address."""

    base: str | None
    offset: int


@dataclass(frozen=True)
class Parameter:
    """A parameter of the kernel, and the byte where it begins in the parameter buffer."""

    name: str
    type: str
    offset: int


@dataclass(frozen=True)
class Array:
    """A variable in shared, local, global or constant memory. `n_bytes` is None for dynamic shared memory."""

    name: str
    space: str
    align: int
    n_bytes: int | None
    initial: bytes = b""


@dataclass(frozen=True)
class Instruction:
    """One instruction.

    Attributes
    ----------
    opcode : str
        With all its modifiers: "fma.rn.f32".
    operands : tuple
        Names of registers, arrays and labels (str; "!%p1" for a negated predicate), int, Bits, Address, or tuples of
        these for vectors and for "d|p".
    guard : tuple of (str, bool) or None
        The predicate that must be true, or false where the second is True.
    line : int
        The line of the source.
    text : str
        The instruction as written.
    """

    opcode: str
    operands: tuple
    guard: tuple | None
    line: int
    text: str


@dataclass
class Kernel:
    """What a PTX text says.

    `labels` map to the number of the instruction that follows, and `most_threads` is what .maxntid allows of a block.
    """

    name: str
    most_threads: int = 1024
    parameters: list = field(default_factory=list)
    arrays: dict = field(default_factory=dict)
    registers: dict = field(default_factory=dict)
    instructions: list = field(default_factory=list)
    labels: dict = field(default_factory=dict)

    @property
    def parameter_bytes(self):
        """Size of the parameter buffer."""
        last = self.parameters[-1] if self.parameters else None
        return last.offset + BITS[last.type] // 8 if last else 0


def parse(text):
    """Return the `Kernel` of a PTX text with one entry.

    Parameters
    ----------
    text : str

    Returns
    -------
    Kernel

    Raises
    ------
    PtxError
        If the text has syntax that is not understood; it names the line.
    """
    return _Parser(text).kernel


def _without_comments(text):
    """Blank comments out, so that places and lines stay what they are."""
    blank = lambda match: re.sub(r"[^\n]", " ", match.group())  # noqa: E731
    return re.sub(r"/\*.*?\*/|//[^\n]*", blank, text, flags=re.DOTALL)


def _split(text):
    """Split at commas that are outside of brackets."""
    return [part.strip() for part in re.findall(r"(?:\[[^\]]*\]|\{[^}]*\}|[^,])+", text)]


class _Parser:
    """One pass over a text. `at` is where we are; `scopes` rename registers of inner blocks."""

    def __init__(self, text):
        self.source = _without_comments(text)
        self.at = 0
        self.scopes = [{}]
        entries = list(_ENTRY.finditer(self.source))
        if len(entries) != 1:
            raise PtxError(f"PTX has {len(entries)} entries; a text with one .entry is needed")
        entry = entries[0]
        self.kernel = Kernel(entry["name"])
        if limit := re.search(r"\.(?:maxntid|reqntid)\s+([\d\s,]+)", entry["limits"]):
            self.kernel.most_threads = prod(map(int, limit[1].split(",")))
        self._read_declarations(entry.start())
        self._read_parameters(entry["parameters"] or "")
        self.at = entry.end()
        self._read_body()

    def _fail(self, what):
        line = self.source.count("\n", 0, self.at) + 1
        written = self.source.split("\n")[line - 1].strip()
        raise PtxError(f"line {line} of PTX: {what}: {written}")

    def _read_declarations(self, end):
        """Read the variables before the entry. Other directives there change nothing for us."""
        for match in re.finditer(r"[^;\n]*\.(?:shared|global|const)\b[^;]*;", self.source[:end]):
            self.at = match.start()
            self._add_array(match.group().rstrip(";").strip())

    def _read_parameters(self, text):
        offset = 0
        for one in text.split(","):
            if not one.strip():
                continue
            match = _PARAMETER.match(" ".join(one.split()))
            if not match or match["type"] not in BITS:
                raise PtxError(f"kernel {self.kernel.name}: the parameter {one.strip()!r} is not a number")
            size = BITS[match["type"]] // 8
            offset = -(-offset // size) * size
            self.kernel.parameters.append(Parameter(match["name"], match["type"], offset))
            offset += size

    def _read_body(self):
        while True:
            self.at = re.compile(r"\s*").match(self.source, self.at).end()
            if self.at >= len(self.source):
                self._fail("the kernel does not end")
            here = self.source[self.at]
            if here == "{":
                self.scopes.append({})
                self.at += 1
            elif here == "}":
                self.scopes.pop()
                self.at += 1
                if not self.scopes:
                    return
            elif label := _LABEL.match(self.source, self.at):
                self.kernel.labels[label[1]] = len(self.kernel.instructions)
                self.at = label.end()
            elif self.source.startswith((".loc ", ".loc\t", ".file"), self.at):
                self.at = self.source.index("\n", self.at)
            else:
                end = self.source.find(";", self.at)
                if end < 0:
                    self._fail("a statement without ;")
                self._read_statement(" ".join(self.source[self.at : end].split()))
                self.at = end + 1

    def _read_statement(self, text):
        if text.startswith(".reg"):
            self._add_registers(text)
        elif text.startswith(_DIRECTIVES):
            pass
        elif text.startswith("."):
            self._add_array(text)
        else:
            self._add_instruction(text)

    def _add_registers(self, text):
        match = re.match(r"\.reg\s*\.(\w+)\s+(.+)$", text)
        if not match or match[1] not in BITS:
            self._fail("registers of an unknown type")
        for name in _split(match[2]):
            numbered = re.match(r"([\w$%]+)<(\d+)>$", name)
            names = [f"{numbered[1]}{k}" for k in range(int(numbered[2]))] if numbered else [name]
            for one in names:
                unique = one if len(self.scopes) == 1 else f"{one}@{self.at}"
                self.scopes[-1][one] = unique
                self.kernel.registers[unique] = match[1]

    def _add_array(self, text):
        match = _ARRAY.match(text)
        if not match or match["type"] not in BITS:
            self._fail("a declaration that is not understood")
        element = BITS[match["type"]] // 8
        size = (match["size"] or "[1]")[1:-1]
        initial = b""
        if match["initial"]:
            numbers = [self._number(one) for one in _split(match["initial"].strip("{} "))]
            initial = b"".join(number.to_bytes(element, "little", signed=number < 0) for number in numbers)
        n_bytes = element * int(size) if size else len(initial) or None
        align = int(match["align"] or element)
        self.kernel.arrays[match["name"]] = Array(match["name"], match["space"], align, n_bytes, initial)

    def _number(self, text):
        value = self._operand(text)
        if isinstance(value, Bits):
            return value.bits
        if not isinstance(value, int):
            self._fail(f"{text} is not a number")
        return value

    def _add_instruction(self, text):
        match = re.match(r"(?:@(!?)([\w$%]+)\s+)?([a-z][\w.:]*)\s*(.*)$", text)
        if not match:
            self._fail("a statement that is not understood")
        guard = (self._name(match[2]), match[1] == "!") if match[2] else None
        operands = tuple(self._operand(one) for one in _split(match[4])) if match[4] else ()
        line = self.source.count("\n", 0, self.at) + 1
        self.kernel.instructions.append(Instruction(match[3], operands, guard, line, text))

    def _name(self, name):
        for scope in reversed(self.scopes):
            if name in scope:
                return scope[name]
        return name

    def _operand(self, text):
        if text.startswith("{"):
            return tuple(self._operand(one) for one in _split(text[1:-1]))
        if "|" in text:
            return tuple(self._operand(one.strip()) for one in text.split("|"))
        if text.startswith("["):
            match = _ADDRESS.match(text)
            if not match:
                self._fail(f"the address {text} is not understood")
            if match["base"].isdigit():
                return Address(None, int(match["base"]))
            return Address(self._name(match["base"]), int(match["offset"] or "0", 0))
        if match := re.match(r"0([fFdD])([0-9A-Fa-f]+)$", text):
            return Bits(int(match[2], 16), 32 if match[1] in "fF" else 64)
        if match := re.match(r"(-?(?:0[xX][0-9A-Fa-f]+|\d+))U?$", text):
            return int(match[1], 0)
        if text.startswith("!"):
            return "!" + self._name(text[1:])
        if not re.match(r"[\w$%.]+$", text):
            self._fail(f"the operand {text!r} is not understood")
        return self._name(text)
