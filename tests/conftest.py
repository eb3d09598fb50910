"""Settings and fixtures that every test shares."""

from concurrent.futures import ProcessPoolExecutor
from importlib.util import find_spec
from multiprocessing import get_context

import pytest
from hypothesis import settings

# Kernels compile on first use, so the time of one example says nothing.
settings.register_profile("skconvnet", deadline=None, max_examples=30, derandomize=True)
settings.load_profile("skconvnet")


@pytest.fixture(scope="session")
def in_torch():
    """`in_torch(function, *arguments)` runs a function of `tests.torch_answers` where PyTorch may be imported.

    That is one process for the whole session, spawned and not forked, so that it inherits no OpenMP threads.
    """
    if find_spec("torch") is None:
        pytest.skip("PyTorch, the oracle of this test, is not installed (`make peers` installs it)")
    with ProcessPoolExecutor(max_workers=1, mp_context=get_context("spawn")) as process:
        yield lambda function, *arguments: process.submit(function, *arguments).result()
