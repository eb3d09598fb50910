"""Machine code from LLVM IR, kept on disk: tests load the same kernels in many processes."""

import hashlib
import os
import tempfile
from pathlib import Path

import llvmlite
import llvmlite.binding as llvm

FOLDER = Path(__file__).parent / "__pycache__" / "code"
_MOST_FILES = 2000


def _target_machine():
    """Return a new one: an execution engine owns the one that it is made with."""
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    target = llvm.Target.from_default_triple()
    return target.create_target_machine(opt=2, cpu=llvm.get_host_cpu_name(), features=_features())


def _features():
    return llvm.get_host_cpu_features().flatten()


def compiled(text, folder=FOLDER):
    """Return an execution engine that holds the machine code of a module's text.

    Parameters
    ----------
    text : str
        LLVM IR.
    folder : Path
        Of the cache. Without a folder that can be written to, every process compiles.

    Returns
    -------
    llvmlite.binding.ExecutionEngine
    """
    about = (text, llvmlite.__version__, llvm.get_host_cpu_name(), _features())
    path = folder / hashlib.sha256("\0".join(about).encode()).hexdigest()
    try:
        code = path.read_bytes()
    except OSError:
        code = _compile(text)
        _keep(path, code)
    engine = llvm.create_mcjit_compiler(llvm.parse_assembly(""), _target_machine())
    engine.add_object_file(llvm.ObjectFileRef.from_data(code))
    engine.finalize_object()
    return engine


def _compile(text):
    machine = _target_machine()
    module = llvm.parse_assembly(text)
    module.verify()
    builder = llvm.create_pass_builder(machine, llvm.create_pipeline_tuning_options(speed_level=2))
    builder.getModulePassManager().run(module, builder)
    return machine.emit_object(module)


def _keep(path, code):
    """Write a file whole or not at all, and remove the oldest ones where there are too many."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix="new-")
        with os.fdopen(handle, "wb") as file:
            file.write(code)
        os.replace(name, path)
        files = sorted(path.parent.iterdir(), key=lambda file: file.stat().st_mtime)
        for file in files[: -_MOST_FILES // 2] if len(files) > _MOST_FILES else []:
            file.unlink(missing_ok=True)
    except OSError:
        return
