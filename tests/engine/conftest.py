"""Fixtures for tests of the engine."""

from contextlib import nullcontext

import pytest


@pytest.fixture
def any_number_of_workers(monkeypatch):
    """Work is divided among as many workers as asked for, in turns on the threads that there are."""
    from skconvnet.engine.cpu import machine

    monkeypatch.setattr(machine, "threads", lambda count: nullcontext())
