"""Which registers hold values that are still needed, where threads wait."""

from tests.engine.cuda.ptx.parser import Address

_WITHOUT_RESULT = {"st", "bra", "bar", "barrier", "red", "ret", "exit", "trap", "membar", "fence", "cp", "nanosleep"}


def has_result(instruction):
    """Whether the first operand is written."""
    return instruction.opcode.split(".")[0] not in _WITHOUT_RESULT


def registers_of(operand, registers):
    """The registers that an operand names."""
    if isinstance(operand, tuple):
        return [name for one in operand for name in registers_of(one, registers)]
    name = operand.base if isinstance(operand, Address) else operand
    name = name.lstrip("!") if isinstance(name, str) else name
    return [name] if name in registers else []


def written(instruction, registers):
    """The registers that an instruction writes."""
    return registers_of(instruction.operands[0], registers) if has_result(instruction) else []


def used(instruction, registers):
    """The registers that an instruction reads."""
    operands = instruction.operands[1:] if has_result(instruction) else instruction.operands
    guard = registers_of(instruction.guard[0], registers) if instruction.guard else []
    return registers_of(tuple(operands), registers) + guard


def successors(kernel, number):
    """The instructions that may follow an instruction; the number of instructions stands for the end."""
    instruction = kernel.instructions[number]
    name = instruction.opcode.split(".")[0]
    following = [number + 1] if instruction.guard or name not in ("bra", "ret", "exit", "trap") else []
    return following + ([kernel.labels[instruction.operands[-1]]] if name == "bra" else [])


def live_after(kernel):
    """For each instruction, the registers that are read later before they are written.

    Parameters
    ----------
    kernel : Kernel

    Returns
    -------
    live : list of set of str
    """
    index = {name: 1 << number for number, name in enumerate(kernel.registers)}
    uses, kills = [], []
    for instruction in kernel.instructions:
        uses.append(_mask(used(instruction, kernel.registers), index))
        kills.append(0 if instruction.guard else _mask(written(instruction, kernel.registers), index))
    after = [successors(kernel, number) for number in range(len(uses))]
    before = [0] * (len(uses) + 1)
    live = [0] * len(uses)
    changed = True
    while changed:
        changed = False
        for number in reversed(range(len(uses))):
            out = 0
            for other in after[number]:
                out |= before[other]
            live[number] = out
            new = uses[number] | (out & ~kills[number])
            changed |= new != before[number]
            before[number] = new
    names = list(kernel.registers)
    return [{names[k] for k in _bits(mask)} for mask in live]


def _mask(registers, index):
    mask = 0
    for name in registers:
        mask |= index[name]
    return mask


def _bits(mask):
    while mask:
        lowest = mask & -mask
        yield lowest.bit_length() - 1
        mask ^= lowest
