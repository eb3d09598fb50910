"""The machine: compiled once for all networks, anew for other sources, and on other machines with the same answers."""

import ast
import errno
import hashlib
import os
import platform
import shutil
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import CellType, FunctionType

import numpy as np
import pytest
from numba import get_num_threads, njit, types
from numba.core import event
from numba.core.caching import FunctionCache, IndexDataCacheFile
from numba.core.registry import cpu_target

import skconvnet.engine
from skconvnet.engine import Adam, compile_time
from skconvnet.engine.cpu import machine
from skconvnet.engine.cpu.llvm import tile
from skconvnet.engine.plan.plan import plan_inference, plan_training
from skconvnet.engine.program.instructions import Op
from tests.engine.networks import EVERY_INSTRUCTION, VARIED, VARIED_SHAPE, Problem, mismatches

ENGINE = Path(skconvnet.engine.__file__).parent

# -- Compiled once -----------------------------------------------------------------------------------------------------


@pytest.fixture
def compilations():
    """What Numba compiles from here on."""
    listener = event.RecordingListener()
    with event.install_listener("numba:compile", listener):
        yield listener.buffer


def test_another_network_compiles_nothing(compilations):
    Problem(VARIED, VARIED_SHAPE, n=7).answers()
    compilations.clear()
    for problem in (Problem("INPUT -> FC", (3, 4, 1)), Problem(VARIED, VARIED_SHAPE, n=20)):
        problem.answers(n_threads=get_num_threads())
        problem.answers(optimizer=Adam(), alpha=0.1)
    assert compilations == []
    njit(types.int64(types.int64))(lambda x: x + 1)  # that the list would not be empty
    assert compilations


def test_threads_that_want_an_entry_at_once_compile_it_once(monkeypatch):
    monkeypatch.setattr(machine, "_entries", {})
    compiled = []

    def compile_slowly(stamp, options):
        time.sleep(0.2)  # the other threads come in the meantime
        compiled.append(object())
        return compiled[-1]

    with ThreadPoolExecutor(8) as pool:
        entries = list(pool.map(lambda _: machine._compiled(compile_slowly), range(8)))
    assert len(compiled) == 1
    assert entries == compiled * 8


def test_compile_time_is_that_of_the_first_import():
    Problem("INPUT -> FC", (2, 2, 1)).answers()
    first = compile_time()
    Problem("INPUT -> CONV -> FC", (2, 2, 1)).answers()
    assert 0 <= compile_time() - first < 0.1


# -- The cache ---------------------------------------------------------------------------------------------------------


def kernel_sources():
    """All sources of the package that the machine is compiled from: its own, and what those import."""
    found, waiting = set(), [ENGINE / "cpu" / "machine.py"]
    while waiting:
        source = waiting.pop()
        found.add(source)
        for node in ast.walk(ast.parse(source.read_text())):
            if isinstance(node, ast.ImportFrom) and node.module.startswith("skconvnet."):
                imported = ENGINE.parents[1].joinpath(*node.module.split(".")).with_suffix(".py")
                if imported not in found:
                    waiting.append(imported)
    return sorted(found)


@pytest.mark.parametrize("source", kernel_sources(), ids=lambda source: source.name)
def test_the_stamp_changes_with_every_source(source, tmp_path, monkeypatch):
    copy = tmp_path / "engine"
    shutil.copytree(ENGINE, copy, ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setattr(machine, "__file__", str(copy / "cpu" / "machine.py"))
    before = machine._stamp()
    assert before == machine._stamp()
    with (copy / source.relative_to(ENGINE)).open("a") as changed:
        changed.write("\n")
    assert machine._stamp() != before


def test_the_stamp_is_part_of_the_key_of_every_cached_entry():
    entries = [machine._compiled(value) for name, value in vars(machine).items() if name.startswith("_compile_")]
    assert len(entries) == 6
    for entry in entries:
        function = entry._cache._py_func
        assert function.__code__.co_freevars.count("stamp") == 1
        assert cache_key(function) == cache_key(function)
        assert cache_key(function) != cache_key(with_another_stamp(function))


def test_what_is_compiled_later_has_the_stamp_of_what_was_imported(monkeypatch):
    """Sources that are edited while the process runs are not what it compiles."""
    monkeypatch.setattr(machine, "_stamp", lambda: pytest.fail("the sources may be others by now"))
    function = machine._obtain(machine._compile_run)._cache._py_func
    cells = dict(zip(function.__code__.co_freevars, function.__closure__, strict=True))
    assert cells["stamp"].cell_contents == machine._STAMP


def cache_key(function):
    return FunctionCache(function)._index_key(types.void(types.int64), cpu_target.target_context.codegen())


def with_another_stamp(function):
    cells = [
        CellType(hashlib.sha256(b"other").hexdigest()) if name == "stamp" else cell
        for name, cell in zip(function.__code__.co_freevars, function.__closure__, strict=True)
    ]
    return FunctionType(function.__code__, function.__globals__, function.__name__, None, tuple(cells))


def test_on_a_full_disk_there_is_one_warning_and_kernels_all_the_same(monkeypatch):
    def save(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(IndexDataCacheFile, "save", save)
    monkeypatch.setattr(machine, "_STAMP", "of sources that nobody has compiled")
    machine._warn_once.cache_clear()
    with pytest.warns(UserWarning, match="No space left on device.*Set NUMBA_CACHE_DIR") as warned:
        entries = [machine._obtain(machine._compile_run) for _ in range(2)]
    assert len(warned) == 1
    assert all(entry.signatures for entry in entries)


# -- Other machines ----------------------------------------------------------------------------------------------------

OTHERS = {
    "AVX2": ("haswell", "+sse,+sse2,+sse3,+ssse3,+sse4.1,+sse4.2,+popcnt,+avx,+avx2,+fma,+bmi,+bmi2,+f16c,+movbe"),
    "SSE2": ("x86-64", "+sse,+sse2"),
}


@pytest.fixture(scope="module")
def answers_of_others(tmp_path_factory):
    """Where each process that compiled for another machine wrote its answers, or its errors; all work at once."""
    if platform.machine().lower() not in ("x86_64", "amd64"):
        pytest.skip("these machines are kinds of x86-64, and this one is not")
    features = cpu_target.target_context.codegen().magic_tuple()[2].split(",")
    path = tmp_path_factory.mktemp("machines")
    processes = {}
    for name, (cpu, wanted) in OTHERS.items():
        if not set(wanted.split(",")) <= set(features):
            continue
        path.joinpath(name).mkdir()
        environment = os.environ | {
            "NUMBA_CPU_NAME": cpu,
            "NUMBA_CPU_FEATURES": wanted,
            "NUMBA_CACHE_DIR": str(path / f"cache {name}"),
            "NUMBA_NUM_THREADS": "1",
            "PYTHONPATH": str(ENGINE.parents[1]),
        }
        command = [sys.executable, "-m", "tests.engine.networks", str(path / name)]
        processes[name] = subprocess.Popen(
            command, env=environment, cwd=ENGINE.parents[1], stderr=subprocess.PIPE, text=True
        )
    errors = {name: process.communicate()[1] for name, process in processes.items()}
    return {name: path / name if process.returncode == 0 else errors[name] for name, process in processes.items()}


@pytest.mark.parametrize("network", EVERY_INSTRUCTION)
@pytest.mark.parametrize("other", OTHERS)
def test_another_machine_gives_the_same_answers(answers_of_others, other, network):
    if other not in answers_of_others:
        pytest.skip(f"this machine cannot do what {other} does")
    written = answers_of_others[other]
    assert not isinstance(written, str), written
    panels = tuple(tuple(panel) for panel in np.load(written / "panels.npy").tolist())
    assert panels == tile.panels_of(OTHERS[other][1])
    found = dict(np.load(written / f"{network}.npz"))
    assert mismatches(found, EVERY_INSTRUCTION[network].answers()) == {}


def test_the_networks_that_other_machines_answer_have_every_instruction():
    found = set()
    for problem in EVERY_INSTRUCTION.values():
        network = problem.network()
        for planned in (plan_training, plan_inference):
            found |= planned(network.architecture, network.layout, problem.n).ops
    assert found == set(Op)
