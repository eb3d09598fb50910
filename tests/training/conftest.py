"""Fixtures of the tests of checkpoints."""

import pytest


@pytest.fixture
def path(tmp_path):
    return tmp_path / "fit.npz"
