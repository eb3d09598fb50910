"""Which device is taken, and what is said where there is none."""

import re
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from unittest.mock import Mock

import pytest

from skconvnet.engine import device
from skconvnet.engine.device import CpuDevice, CudaDevice, check_device, device_for_scoring, device_for_training

MUCH = 1e20
EXTRA = "needs the extra skconvnet[cuda] (`make cuda` installs it)"


@pytest.fixture
def gpu(monkeypatch):
    """A GPU that does nothing."""
    found = CudaDevice(SimpleNamespace(name="Toy", memory=lambda: (5, 9)))
    monkeypatch.setattr(device, "_find_gpu", lambda: found)
    return found


@pytest.fixture
def no_gpu(monkeypatch):
    monkeypatch.setattr(device, "_find_gpu", Mock(side_effect=ValueError("no NVIDIA GPU")))


@pytest.mark.usefixtures("no_gpu")
def test_without_a_gpu_only_training_on_cuda_is_refused():
    for refused in (lambda: check_device("cuda"), lambda: device_for_training("cuda", MUCH)):
        with pytest.raises(ValueError, match="no NVIDIA GPU"):
            refused()
    check_device("auto")
    assert device_for_training("auto", MUCH) == CpuDevice()
    assert device_for_scoring("cuda", MUCH) == device_for_scoring("auto", MUCH) == CpuDevice()


def test_auto_takes_the_gpu_where_there_is_work_for_it(gpu):
    assert device_for_training("auto", MUCH) is gpu
    assert device_for_training("auto", 1e9) == CpuDevice()
    assert device_for_training("cuda", 0) is gpu
    assert device_for_training("cpu", MUCH) == CpuDevice()
    assert device_for_scoring("auto", MUCH) is gpu
    assert device_for_scoring("auto", 1e3) == CpuDevice()
    assert device_for_scoring("cuda", 0) is gpu
    assert device_for_scoring("cpu", MUCH) == CpuDevice()


def test_a_gpu_multiplies_as_it_is_told(gpu):
    assert device_for_training("cuda", 0, "ieee") is gpu
    for found in (
        device_for_training("cuda", 0, "tf32x3"),
        device_for_training("auto", MUCH, "tf32x3"),
        device_for_scoring("cuda", 0, "tf32x3"),
    ):
        assert found == replace(gpu, float32_precision="tf32x3")
    for found in (device_for_training("cpu", MUCH, "tf32x3"), device_for_scoring("auto", 1e3, "tf32x3")):
        assert found == CpuDevice()


@pytest.mark.parametrize(("capability", "expected"), [((7, 5), "ieee"), ((8, 0), "tf32x3"), ((9, 0), "tf32x3")])
def test_tensor_cores_of_tf32_are_there_from_ampere_on(gpu, monkeypatch, capability, expected):
    pytest.importorskip("numba_cuda", reason=EXTRA)
    told = []
    monkeypatch.setattr("skconvnet.engine.cuda.execution.Execution", lambda *arguments: told.append(arguments[-1]))
    gpu.driver.compute_capability = capability
    replace(gpu, float32_precision="tf32x3").execution(plan=None, network=None, n_workers=1)
    assert told == [expected]


def test_errors_name_the_gpu_and_its_free_memory(gpu):
    assert (gpu.name, gpu.memory(), gpu.free_memory()) == ("the GPU Toy", 9, 5)


def test_without_the_packages_the_error_says_how_to_install_them(monkeypatch):
    monkeypatch.setitem(sys.modules, "skconvnet.engine.cuda.driver", None)
    monkeypatch.delattr("skconvnet.engine.cuda.driver", raising=False)  # that another test has imported
    with pytest.raises(ValueError, match="Install them with pip install 'numba-cuda") as found:
        device._find_gpu.__wrapped__()
    project = (Path(__file__).parents[2] / "pyproject.toml").read_text()
    extra = re.search(r"^cuda = \[(.*)\]", project, re.MULTILINE)
    assert re.findall("'([^']*)'", str(found.value).partition("pip install")[2])[:3] == re.findall(
        '"([^"]*)"', extra[1]
    )


def test_no_threads_are_refused():
    with pytest.raises(ValueError, match=r"n_jobs=0 is no number of threads. Use 1 or more, or None or -1"):
        device.thread_count(0)


def test_a_forked_child_cannot_use_the_gpu_of_its_parent(gpu, monkeypatch):
    monkeypatch.setattr(device, "_process_of_gpu", [1])  # not this process
    with pytest.raises(ValueError, match="forked after its parent had used the GPU"):
        check_device("cuda")
    assert device_for_scoring("cuda") == CpuDevice()


@pytest.mark.parametrize(
    ("capability", "message"),
    [
        ((7, 4), "Toy has compute capability 7.4, and device='cuda' needs 7.5 or newer. Use device='cpu'"),
        ((12, 2), "Toy has compute capability 12.2, and device='cuda' knows those up to 12.1. Update skconvnet, or"),
        ((13, 0), "Toy has compute capability 13.0, and device='cuda' knows those up to 12.1. Update skconvnet, or"),
    ],
)
def test_a_gpu_that_the_compiler_does_not_know_is_refused(monkeypatch, capability, message):
    imitate_driver(monkeypatch, capability)
    with pytest.raises(ValueError, match=re.escape(message)):
        device._find_gpu.__wrapped__()


@pytest.mark.parametrize("capability", [(7, 5), (9, 0), (12, 1)])
def test_a_gpu_that_the_compiler_knows_is_taken(monkeypatch, capability):
    driver = imitate_driver(monkeypatch, capability)
    assert device._find_gpu.__wrapped__() == CudaDevice(driver)


def imitate_driver(monkeypatch, capability):
    """Have the driver find one GPU of a compute capability, which is returned."""
    pytest.importorskip("numba_cuda", reason=EXTRA)
    module = pytest.importorskip("skconvnet.engine.cuda.driver", reason=EXTRA)
    found = SimpleNamespace(name="Toy", compute_capability=capability)
    monkeypatch.setattr(device, "_process_of_gpu", [])
    for name, answer in (("count_devices", 1), ("driver_version", (13, 0)), ("Driver", found)):
        monkeypatch.setattr(module, name, lambda answer=answer: answer)
    return found


@pytest.mark.parametrize("error", [MemoryError("the device is out of memory"), RuntimeError("CUDAError: busy")])
def test_a_gpu_that_cannot_be_opened_is_none(monkeypatch, error):
    pytest.importorskip("cuda.core", reason=EXTRA)
    from skconvnet.engine.cuda import driver

    monkeypatch.setattr(driver, "count_devices", lambda: 1)
    monkeypatch.setattr(driver, "driver_version", lambda: (13, 0))
    monkeypatch.setattr(driver, "Driver", Mock(side_effect=error))
    device._find_gpu.cache_clear()
    with pytest.raises(ValueError, match=r"cannot be used \(.*(out of memory|busy).*nvidia-smi"):
        device_for_training("cuda", 0)
    assert device_for_training("auto", MUCH) == CpuDevice()


def test_without_a_driver_the_error_says_which_to_install(monkeypatch):
    driver = pytest.importorskip("skconvnet.engine.cuda.driver", reason=EXTRA)
    monkeypatch.setattr(driver, "count_devices", lambda: 0)
    monkeypatch.setattr(driver, "driver_version", lambda: (0, 0))
    with pytest.raises(ValueError, match=r"no NVIDIA driver\. Where .* install version 580 or newer"):
        device._find_gpu.__wrapped__()
    monkeypatch.setattr(driver, "driver_version", lambda: (13, 0))
    with pytest.raises(ValueError, match=r"no NVIDIA GPU\. nvidia-smi"):
        device._find_gpu.__wrapped__()


@pytest.mark.parametrize(("name", "precision"), [("gpu", "ieee"), ("cuda:0", "ieee"), (None, "ieee"), ("cpu", "tf32")])
def test_a_name_that_there_is_not_is_refused_in_training_and_in_scoring(name, precision):
    wrong = "float32_precision='tf32'" if precision == "tf32" else f"device={name!r}"
    for choose in (device_for_training, device_for_scoring):
        with pytest.raises(ValueError, match=f"{wrong} does not exist. Choose one of '") as caught:
            choose(name, 0, precision)
        assert ("CUDA_VISIBLE_DEVICES" in str(caught.value)) == wrong.startswith("device")
