"""Kernels are tested on the imitated device and, where there is one, on a GPU."""

import pytest


@pytest.fixture(autouse=True, scope="module", params=["executor", pytest.param("gpu", marks=pytest.mark.gpu)])
def driver_of_kernels(request):
    if request.param == "executor":
        yield
        return
    from skconvnet.engine import device
    from tests.engine.cuda.kernels.harness import CHOSEN

    try:
        CHOSEN.append(device._find_gpu().driver)
    except ValueError:
        pytest.skip("no NVIDIA GPU")
    yield
    CHOSEN.pop()
