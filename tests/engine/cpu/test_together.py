"""Processes that compile together: what one does, the others leave, wait for, and do if nothing came of it."""

import sys
from contextlib import ExitStack
from pathlib import Path
from threading import Timer
from time import monotonic, sleep

import pytest

from skconvnet.engine.cpu import together
from skconvnet.engine.cpu.cache import claimed
from skconvnet.engine.cpu.together import do_all, do_unclaimed, helpers


@pytest.fixture
def jobs(tmp_path):
    """Four jobs that write a file each, as text how often they were done."""

    def write(path):
        path.write_text("again" if path.exists() else "once")

    paths = [tmp_path / f"{number}.bin" for number in range(4)]
    return {path: lambda path=path: write(path) for path in paths}


def done(jobs):
    return [path.read_text() if path.exists() else None for path in jobs]


def test_what_another_process_does_is_left_to_it(jobs):
    _, second, *_ = jobs
    with claimed(second):
        others = do_unclaimed(jobs)
    assert list(others) == [second]
    assert done(jobs) == ["once", None, "once", "once"]
    assert do_unclaimed(others) == {}
    assert done(jobs) == ["once"] * 4


def test_all_is_done_when_the_others_have_ended(jobs):
    first, second, *_ = jobs
    claims = ExitStack()
    claims.enter_context(claimed(first))
    claims.enter_context(claimed(second))
    Timer(0.3, claims.close).start()
    do_all(jobs)
    assert done(jobs) == ["once"] * 4


def test_a_process_that_was_stopped_is_not_waited_for_forever(jobs, monkeypatch):
    monkeypatch.setattr(together, "_PATIENCE", 0.1)
    with ExitStack() as claims:
        for path in jobs:
            claims.enter_context(claimed(path))
        do_all(jobs)
    assert done(jobs) == ["once"] * 4


def write_and_wait(path):
    """What a helper does in the test below."""
    Path(path).write_text("written")
    sleep(600)


def test_helpers_are_other_processes_and_end_with_the_block(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(Path(__file__).parent)
    monkeypatch.setattr(write_and_wait, "__module__", Path(__file__).stem)
    path = tmp_path / "file"
    with helpers(1, write_and_wait, str(path)):
        until = monotonic() + 100
        while not path.exists() and monotonic() < until:
            sleep(0.05)
    assert path.read_text() == "written"  # and the block has ended before the helper's 600 s


@pytest.mark.parametrize("executable", ["", None, "/opt/blender", "/nowhere/python3"])
def test_without_an_interpreter_there_is_no_helper(jobs, monkeypatch, executable):
    monkeypatch.setattr(sys, "executable", executable)
    with helpers(2, write_and_wait, "never written"):
        do_all(jobs)
    assert done(jobs) == ["once"] * 4
