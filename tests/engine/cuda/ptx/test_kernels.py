"""Every kernel of the package uses only what the executor knows, for the oldest and the newest kind of compiler."""

from importlib import import_module
from pkgutil import iter_modules

import pytest

pytest.importorskip("numba_cuda", reason="needs the extra skconvnet[cuda] (`make cuda` installs it)")

import skconvnet.engine.cuda.kernels
from skconvnet.engine.cuda.compiler import KERNELS, ptx
from tests.engine.cuda.ptx.parser import parse
from tests.engine.cuda.ptx.translate import Emitter

for module in iter_modules(skconvnet.engine.cuda.kernels.__path__):
    import_module(f"skconvnet.engine.cuda.kernels.{module.name}")


# NVVM has one compiler for architectures before 10.0 and another since; each spells PTX in its way.
@pytest.mark.parametrize("cc", [(9, 0), (12, 0)], ids=["sm_90", "sm_120"])
@pytest.mark.parametrize("name", sorted(KERNELS))
def test_each_opcode_of_a_kernel_is_known(name, cc):
    emitter = Emitter(parse(ptx(KERNELS[name], cc)), check=True)
    emitter.translate()  # raises PtxError for an opcode that is not in the table
    assert emitter.sites  # something was checked
