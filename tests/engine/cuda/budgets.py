"""What ptxas makes of every kernel: registers, stack, spills, and how much of the inner loop multiplies.

    python -m tests.engine.cuda.budgets                  write the table that `test_budgets` compares with
    python -m tests.engine.cuda.budgets max_pool relu    measure these kernels again, and keep the rest of the table

No GPU is needed: ptxas and nvdisasm come with ``pip install "skconvnet[cuda-test]"``.
"""

import re
import subprocess
import sysconfig
from argparse import ArgumentParser
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from pkgutil import iter_modules
from shutil import which
from tempfile import TemporaryDirectory
from typing import NamedTuple

import skconvnet.engine.cuda.kernels
from skconvnet.engine.cuda.compiler import KERNELS, ptx

__all__ = [
    "ARCHITECTURES",
    "TABLE",
    "Budget",
    "kernels",
    "label",
    "measure",
    "missing_tools",
    "read_table",
    "tools",
    "write_table",
]

for module in iter_modules(skconvnet.engine.cuda.kernels.__path__):
    import_module(f"skconvnet.engine.cuda.kernels.{module.name}")  # defines the kernels of a family

ARCHITECTURES = ((7, 5), (8, 0), (9, 0), (10, 0), (12, 0))
TABLE = Path(__file__).with_name("budgets.txt")

_BIN = Path(sysconfig.get_paths()["purelib"], "nvidia", "cu13", "bin")
_OPCODE = re.compile(r"/\*[0-9a-f]+\*/\s+(?:@!?U?P[T\d]+\s+)?([A-Z][A-Z0-9_.]*)")
_LABEL = re.compile(r"(\.L_\w+):")
_BRANCH = re.compile(r"\bBRA\b.*`\((\.L_\w+)\)")


class Budget(NamedTuple):
    """What one kernel takes on one architecture.

    Parameters
    ----------
    registers, stack, spills, shared : int
        Registers of a thread; bytes of its stack; bytes that it spills; bytes of shared memory of a block.
    local : int
        Instructions that access the stack.
    float64 : int
        PTX instructions of float64 numbers.
    products : int
        Of 1,000 instructions of the inner loop, how many multiply and add; 0 where no loop does so a lot.
    """

    registers: int
    stack: int
    spills: int
    shared: int
    local: int
    float64: int
    products: int


def kernels():
    """Every kernel of the package, by name."""
    return dict(sorted((name, kernel) for name, kernel in KERNELS.items() if _is_ours(kernel)))


def _is_ours(kernel):
    """Whether a kernel is not one that a test has defined."""
    return kernel.function.__module__.startswith("skconvnet.")


@cache
def _tool(name):
    """The path of a tool of the toolkit, or None."""
    return which(name, path=str(_BIN)) or which(name)


def missing_tools():
    """The names of the tools that are not installed."""
    return [name for name in ("ptxas", "nvdisasm") if _tool(name) is None]


def tools():
    """The versions that the numbers depend on."""
    stated = subprocess.run([_tool("ptxas"), "--version"], capture_output=True, text=True, check=True).stdout
    (release,) = re.findall(r"V(\d+\.\d+\.\d+)", stated)
    return f"ptxas {release}, NVVM {version('nvidia-nvvm')}, numba-cuda {version('numba-cuda')}"


def measure(architecture, names):
    """The budgets of kernels, by name; those that the architecture cannot execute are left out."""
    chosen = {name: kernel for name, kernel in kernels().items() if name in names and kernel.minimum_cc <= architecture}
    with ThreadPoolExecutor(2) as pool:  # ptxas assembles one kernel while Numba compiles the next
        found = {
            name: pool.submit(_assemble, ptx(kernel, architecture), architecture) for name, kernel in chosen.items()
        }
        return {name: budget.result() for name, budget in found.items()}


def _assemble(text, architecture):
    """Assemble PTX, and count."""
    with TemporaryDirectory() as folder:
        source, binary = Path(folder, "kernel.ptx"), Path(folder, "kernel.cubin")
        source.write_text(text)
        target = ["--gpu-name", label(architecture)]
        done = subprocess.run([_tool("ptxas"), "-v", *target, source, "-o", binary], capture_output=True, text=True)
        if done.returncode:
            raise ValueError(f"ptxas refuses the kernel: {done.stderr}")
        code = subprocess.run([_tool("nvdisasm"), "-c", binary], capture_output=True, text=True, check=True).stdout

    def stated(pattern):
        return sum(map(int, re.findall(pattern, done.stderr)))

    lines = code.splitlines()
    return Budget(
        registers=stated(r"Used (\d+) registers"),
        stack=stated(r"(\d+) bytes stack frame"),
        spills=stated(r"(\d+) bytes spill stores"),
        shared=stated(r"(\d+) bytes smem"),
        local=sum(opcode.startswith(("LDL", "STL")) for opcode in _opcodes(lines)),
        float64=len(re.findall(r"^\s[^.]*\b\w+[\w.]*\.f64\b", text, re.MULTILINE)),
        products=_share_of_products(lines),
    )


def _opcodes(lines):
    return [found.group(1) for line in lines if (found := _OPCODE.search(line))]


def _share_of_products(lines):
    """Of 1,000 instructions of the shortest loop that multiplies a lot."""
    labels, shares = {}, []
    for number, line in enumerate(lines):
        if found := _LABEL.match(line.strip()):
            labels[found.group(1)] = number
        elif (found := _BRANCH.search(line)) and found.group(1) in labels:
            opcodes = _opcodes(lines[labels[found.group(1)] : number + 1])
            kinds = Counter(opcode.split(".")[0] for opcode in opcodes)
            products = kinds["FFMA"] + kinds["FFMA2"] + kinds["HMMA"]
            if products >= 32:
                shares.append((len(opcodes), round(1000 * products / len(opcodes))))
    return min(shares, default=(0, 0))[1]


def read_table():
    """The versions of the table, and its budgets: {architecture: {name: Budget}}."""
    header, _, *lines = TABLE.read_text().splitlines()
    table = {architecture: {} for architecture in ARCHITECTURES}
    labels = {label(architecture): budgets for architecture, budgets in table.items()}
    for line in lines:
        name, architecture, *numbers = line.split()
        labels[architecture][name] = Budget(*map(int, numbers))
    return header, table


def label(architecture):
    """What ptxas calls an architecture: sm_90 for (9, 0)."""
    return "sm_{}{}".format(*architecture)


def write_table(names):
    """Measure kernels, and write them to the table, which keeps the others that the package still has."""
    table = read_table()[1] if TABLE.exists() else {architecture: {} for architecture in ARCHITECTURES}
    for architecture, rows in table.items():
        rows |= measure(architecture, names)
        print(f"{label(architecture)}: {len(rows)} kernels", flush=True)
    lines = [tools(), f"{'kernel':32} {'':6}" + "".join(f" {field:>9}" for field in Budget._fields)]
    for name in kernels():
        for architecture, rows in table.items():
            if name in rows:
                lines.append(f"{name:32} {label(architecture):6}" + "".join(f" {number:9}" for number in rows[name]))
    TABLE.write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    parser = ArgumentParser(description="Write budgets.txt.")
    parser.add_argument("names", nargs="*", help="the kernels to measure again; all unless given")
    write_table(parser.parse_args().names or kernels())
