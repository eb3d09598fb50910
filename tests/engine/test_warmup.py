"""warmup: in processes at once, and where no directory is writable."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import skconvnet
from skconvnet.engine.warmup import Warmup, warmup

PACKAGE = Path(skconvnet.__file__).parent
NOWHERE = "/dev/null/below"  # a directory that not even root can make


def start(*arguments, root, **environment):
    """Start a Python process that imports the package from `root`."""
    return subprocess.Popen(
        [sys.executable, *arguments],
        env=os.environ | {"PYTHONPATH": str(root)} | environment,
        cwd=root,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


ALONE = """
from skconvnet.__main__ import main
from skconvnet.engine.cpu import machine
from skconvnet.engine.program.instructions import Op

all_entries = machine._entries_for
machine._entries_for = lambda ops: all_entries([Op.CLEAR])
main(["warmup"])
"""


@pytest.fixture(scope="module")
def processes(tmp_path_factory):
    """`python -m skconvnet warmup` three times at once, with output and errors of each, and the cache of the first two.

    Two share a cache that is empty at first. The third has no place for one: NUMBA_CACHE_DIR and the home directory
    cannot be written to. It imports another copy of the package, compiles the kernels of CLEAR alone, and ends with
    exit status 1.
    """
    cache, root = tmp_path_factory.mktemp("cache"), tmp_path_factory.mktemp("package")
    copy = root / PACKAGE.name
    shutil.copytree(PACKAGE, copy, ignore=shutil.ignore_patterns("__pycache__"))
    command = "-m", "skconvnet", "warmup"
    shared = [start(*command, root=PACKAGE.parent, NUMBA_CACHE_DIR=str(cache)) for _ in range(2)]
    nowhere = dict.fromkeys(("NUMBA_CACHE_DIR", "HOME", "XDG_CACHE_HOME", "LOCALAPPDATA"), NOWHERE)
    alone = start("-c", ALONE, root=root, **nowhere)
    outputs = [process.communicate(timeout=600) for process in (*shared, alone)]
    assert [process.returncode for process in (*shared, alone)] == [0, 0, 1 if sys.platform != "win32" else 0], outputs
    return *outputs, cache


def test_two_processes_at_once_fill_one_cache(processes):
    *shared, _, cache = processes
    for out, err in shared:
        ready, where = out.splitlines()
        assert ready.startswith("kernels ")
        assert Path(where.removeprefix("cache: ")).parent == cache
        assert err == "" or re.fullmatch("Compiling the kernels .* for this processor, .* once[.]\n", err)
    assert sum(err != "" for _, err in shared) == 1
    assert any(out.startswith("kernels compiled") for out, _ in shared)


LATER = """
from numba.core import event

listener = event.RecordingListener()
with event.install_listener("numba:compile", listener):
    from sklearn.datasets import load_digits
    from skconvnet import ConvNetClassifier
    from skconvnet.engine.warmup import warmup

    done = warmup()
    X, y = load_digits(return_X_y=True)
    ConvNetClassifier(K=8, max_iter=1).fit(X, y).predict(X)
print(done.compiled, len(listener.buffer))
"""


def test_a_later_process_compiles_nothing(processes):
    *_, cache = processes
    later = start("-c", LATER, root=PACKAGE.parent, NUMBA_CACHE_DIR=str(cache))
    out, err = later.communicate(timeout=600)
    assert out.split() == ["False", "0"], err


@pytest.mark.skipif(sys.platform == "win32", reason="there is no /dev/null here")
def test_without_a_place_for_the_cache_there_is_one_warning_and_kernels_all_the_same(processes):
    _, _, (out, err), _ = processes
    ready, where = out.splitlines()
    assert ready.startswith("kernels compiled")
    assert where.startswith("cache: none")
    assert err.count("Warning: ") == 1
    assert "Set NUMBA_CACHE_DIR to a directory with free space that is writable by you alone" in err


def test_a_second_time_in_a_process_does_nothing():
    first = warmup()
    second = warmup()
    assert (second.compiled, second.cache) == (first.compiled, first.cache)
    assert second.seconds < 0.1


def test_it_prints_what_was_done():
    assert str(Warmup(24.31, compiled=True, cache="/somewhere")) == "kernels compiled in 24.3 s\ncache: /somewhere"
    assert str(Warmup(0.26, compiled=False, cache=None)).startswith("kernels loaded in 0.3 s\ncache: none")
