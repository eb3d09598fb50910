"""Numba's threads: lent, given back, and started so that they wait asleep."""

import os

import pytest
from numba import get_num_threads

from skconvnet.engine.cpu import threads


def test_threads_are_given_back():
    before = get_num_threads()
    with threads.threads(1):
        assert get_num_threads() == threads.most_threads() == 1
    assert get_num_threads() == before
    with pytest.raises(ZeroDivisionError), threads.threads(1):
        raise ZeroDivisionError
    assert get_num_threads() == before


@pytest.mark.parametrize(
    ("setting", "seen"),
    [
        ({}, {"GOMP_SPINCOUNT": "2000"}),
        ({"GOMP_SPINCOUNT": "7"}, {"GOMP_SPINCOUNT": "7"}),
        ({"OMP_WAIT_POLICY": "active"}, {"OMP_WAIT_POLICY": "active"}),
    ],
    ids=str,
)
def test_threads_wait_asleep_unless_the_user_says_otherwise(monkeypatch, setting, seen):
    """What the runtime reads when it starts; the environment is afterwards as it was."""
    for name in ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY"):
        monkeypatch.delenv(name, raising=False)
    for name, value in setting.items():
        monkeypatch.setenv(name, value)
    at_start = []
    monkeypatch.setattr(threads, "get_num_threads", lambda: at_start.append(dict(os.environ)))
    before = dict(os.environ)
    threads._start()
    assert {name: value for name, value in at_start[0].items() if name in ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY")} == seen
    assert dict(os.environ) == before
