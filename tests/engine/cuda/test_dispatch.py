"""The CUDA machine has every instruction, by kernels of the same names as those of the CPU machine."""

from importlib import import_module

import pytest

pytest.importorskip("numba_cuda", reason="needs the extra skconvnet[cuda] (`make cuda` installs it)")

from skconvnet.engine.cpu.dispatch import FAMILIES
from skconvnet.engine.cuda.compiler import KERNELS
from skconvnet.engine.cuda.dispatch import LOWERINGS
from skconvnet.engine.program.instructions import Op
from tests.test_rooms import FLOORS

# Plans for a GPU do not have them: see `Target.winograd_depth` and `has_depthwise`.
CPU_ONLY = {Op.TRANSFORM, Op.DEPTHWISE, Op.DEPTHWISE_WEIGHTS}
FILES = sorted(set.union(*FLOORS["skconvnet/engine/cuda/kernels"]))

# Kernels of the CPU machine that are named otherwise here, and why.
OTHER_NAMES = {
    "contract": "CONTRACT",  # there are as many as tiles and readings of A
    "adam": "update",  # one launch takes the step of all blocks, by either rule
    "sgd": "update",
    "write_zeros": "clear",  # on the CPU a part of other kernels
}


def names_of(machine, file):
    return set(import_module(f"skconvnet.engine.{machine}.kernels.{file}").__all__)


def test_every_instruction_is_lowered():
    assert FAMILIES.keys() == set(Op)
    assert LOWERINGS.keys() == set(Op) - CPU_ONLY


@pytest.mark.parametrize("file", FILES)
def test_kernels_have_the_names_that_the_cpu_machine_gives_them(file):
    missing = names_of("cpu", file) - names_of("cuda", file)
    assert {OTHER_NAMES.get(name) for name in missing} <= names_of("cuda", file)


@pytest.mark.parametrize("op", LOWERINGS, ids=lambda op: op.name)
def test_an_instruction_is_lowered_by_the_function_of_its_name(op):
    assert LOWERINGS[op].__name__ == f"lower_{op.name.lower()}"


def test_every_kernel_is_documented():
    assert all(kernel.function.__doc__ for kernel in KERNELS.values())
