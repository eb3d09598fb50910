"""Machines whose assembly tests read; none of them need be at hand, for what is compiled for it is not run."""

import pytest
from numba.core import config
from numba.core.codegen import JITCPUCodegen
from numba.core.compiler_lock import global_compiler_lock

from skconvnet.engine.cpu.llvm import tile

__all__ = ["MACHINES", "PROCESSORS", "REGISTERS", "assembly_on", "on_x86"]

# Features of the machine, its registers, and the lanes of one.
MACHINES = {
    "AVX-512": ("+sse2,+avx,+avx2,+fma,+avx512f,+avx512vl", 32, 16),
    "AVX2": ("+sse2,+avx,+avx2,+fma,-avx512f", 16, 8),
    "AVX": ("+sse2,+avx,-avx2,-fma,-avx512f", 16, 8),
    "SSE2": ("+sse,+sse2,-avx,-avx2,-avx512f", 16, 4),
    "Neon": ("+neon,+fp-armv8", 32, 4),
    "anything": ("", 16, 4),
}
# A processor of each machine that is x86-64.
PROCESSORS = {"AVX-512": "skylake-avx512", "AVX2": "haswell", "AVX": "sandybridge", "SSE2": "x86-64"}
REGISTERS = {4: "xmm", 8: "ymm", 16: "zmm"}  # by lanes

on_x86 = pytest.mark.skipif(not tile._TRIPLE.startswith("x86_64"), reason="the assembly that is read here is x86-64's")


def assembly_on(machine, emit):
    """What Numba makes for a machine of the functions that `emit(module)` writes and returns."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(config, "CPU_NAME", PROCESSORS[machine])
        patch.setattr(config, "CPU_FEATURES", MACHINES[machine][0])
        library = JITCPUCodegen(machine).create_library("functions")
        module = library.create_ir_module("functions")
        for function in emit(module):
            function.linkage = "external"  # else it is left out, as nothing calls it
        library.add_ir_module(module)
        with global_compiler_lock:
            library.finalize()
        return library.get_asm_str()
