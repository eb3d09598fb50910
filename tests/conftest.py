"""Settings and fixtures for all tests."""

import os
from concurrent.futures import ProcessPoolExecutor
from importlib.util import find_spec
from multiprocessing import get_context

import pytest
from hypothesis import settings

# No deadline: kernels compile on first use, so the time of one example means nothing.
settings.register_profile("skconvnet", deadline=None, max_examples=30, derandomize=True)
settings.load_profile("skconvnet")


class WithoutCuda:
    """Leaves out the examples in the CUDA machine and its tests' tools, which need the extra `skconvnet[cuda]`."""

    def pytest_ignore_collect(self, collection_path):
        path = collection_path.as_posix()
        is_tool = "tests/engine/cuda/" in path and path.endswith(".py") and not collection_path.name.startswith("test_")
        return True if "skconvnet/engine/cuda" in path or is_tool else None


class RequiringCuda:
    """Has tests fail that are skipped because `skconvnet[cuda]` or `skconvnet[cuda-test]` is not installed."""

    @pytest.hookimpl(wrapper=True)
    def pytest_make_collect_report(self):
        return self._fail_if_missing((yield))

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(self):
        return self._fail_if_missing((yield))

    def _fail_if_missing(self, report):
        if report.skipped and "skconvnet[cuda" in str(report.longrepr):
            report.outcome = "failed"
            report.longrepr = f"SKCONVNET_REQUIRE_CUDA is set; run `make cuda`, or unset it. {report.longrepr[2]}"
        return report


def pytest_configure(config):
    if find_spec("numba_cuda") is None:
        config.pluginmanager.register(WithoutCuda())
    if os.environ.get("SKCONVNET_REQUIRE_CUDA"):  # set by `.ci/run`
        config.pluginmanager.register(RequiringCuda())


@pytest.fixture(scope="session")
def in_torch():
    """`in_torch(function, *arguments)` calls a function of `tests.torch_answers` in a process that imports PyTorch.

    There is one such process for the session. It is spawned, not forked, so that it inherits no OpenMP threads.
    """
    if find_spec("torch") is None:
        pytest.skip("PyTorch is not installed (`make peers` installs it)")
    with ProcessPoolExecutor(max_workers=1, mp_context=get_context("spawn")) as process:
        yield lambda function, *arguments: process.submit(function, *arguments).result()


@pytest.fixture(scope="session")
def imitated_gpu():
    """A driver that executes kernels on the CPU. There is one for the session, so that each kernel is loaded once."""
    if find_spec("numba_cuda") is None:
        pytest.skip("needs the extra skconvnet[cuda] (`make cuda` installs it)")
    from tests.engine.cuda.executor import PtxDriver

    return PtxDriver()


@pytest.fixture(params=["executor", pytest.param("gpu", marks=pytest.mark.gpu)])
def cuda(request, monkeypatch):
    """The driver behind device="cuda": that of an imitated GPU, and where there is a GPU also its own."""
    from skconvnet.engine import device

    if request.param == "gpu":
        try:
            return device._find_gpu().driver
        except ValueError:
            pytest.skip("no NVIDIA GPU")
    driver = request.getfixturevalue("imitated_gpu")
    monkeypatch.setattr(device, "_find_gpu", lambda: device.CudaDevice(driver))
    return driver
