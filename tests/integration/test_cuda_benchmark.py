"""The benchmark of GPUs, on kernels that the CPU executes; what it prints of speed means nothing here."""

import math
from dataclasses import replace
from types import SimpleNamespace

import pytest

pytest.importorskip("numba_cuda", reason="needs the extra skconvnet[cuda] (`make cuda` installs it)")

from benchmarks import cuda
from benchmarks.networks import Problem
from skconvnet.engine.device import CudaDevice
from tests.engine.cuda.executor import PtxDriver

TINY = Problem((4, 4, 1), "INPUT -> CONV(K=8) -> RELU -> POOL -> FC", n_classes=3)


class ThisProcess:
    """A side of the benchmark without a process of its own."""

    def __init__(self, n_threads):
        pass

    def run(self, function, *arguments):
        return function(*arguments)


@pytest.fixture
def in_this_process(monkeypatch):
    monkeypatch.setattr(cuda, "Side", ThisProcess)
    monkeypatch.setattr(cuda, "cudnn_version", lambda: "missing")


@pytest.fixture
def imitated_gpu(in_this_process, monkeypatch):
    """Our side runs on the executor; PyTorch has twice the speed with TF32, and no time passes in first fits."""
    device = CudaDevice(PtxDriver(check=False))
    monkeypatch.setattr(cuda, "gpu", lambda precision="ieee": replace(device, float32_precision=precision))
    monkeypatch.setattr(cuda, "describe_gpu", lambda: "a GPU that is imitated")
    monkeypatch.setattr(cuda, "fp32_peak", lambda: 1e12)
    monkeypatch.setattr(cuda, "their_speed", lambda *which: 2e3 if which[4] else 1e3)
    monkeypatch.setattr(cuda, "whole_process", lambda *which: (1.5, ""))
    monkeypatch.setattr(cuda, "NETWORKS", {"digits": TINY})
    yield device
    cuda.forget()


@pytest.mark.parametrize("precision", ["ieee", "tf32x3"])
def test_it_prints_a_row_for_each_network_and_the_first_fits(imitated_gpu, capsys, precision):
    options = ["--networks", "digits", "--batches", "2", "--rounds", "1", "--seconds", "0.001"]
    cuda.main([*options, "--float32-precision", precision])
    out = capsys.readouterr().out
    assert "a GPU that is imitated" in out
    rows = [line.split() for line in out.splitlines() if line.startswith("digits")]
    assert len(rows) == 2  # training and prediction
    for _, batch_size, speed, _, _, _, fp32, ratio, tf32, other, microseconds, *_ in rows:
        expected = 2e6 / float(microseconds.replace(",", ""))
        assert (batch_size, fp32, tf32) == ("2", "1,000", "2,000")
        assert float(speed.replace(",", "")) == pytest.approx(expected, abs=0.5, rel=0.01)
        assert float(ratio) == pytest.approx(expected / 1e3, abs=0.01, rel=0.01)
        assert float(other) == pytest.approx(expected / 2e3, abs=0.01, rel=0.01)
    assert "without compiled kernels     1.50 s (1.50 to 1.50)" in out


def test_without_a_gpu_it_says_so_and_ends(in_this_process, monkeypatch, capsys):
    def no_gpu():
        raise ValueError("no NVIDIA GPU")

    monkeypatch.setattr(cuda, "gpu", no_gpu)
    cuda.main([])
    assert capsys.readouterr().out == "This benchmark needs an NVIDIA GPU, and nothing was measured. no NVIDIA GPU\n"


@pytest.mark.parametrize(
    ("compute_capability", "n_multiprocessors", "megahertz", "teraflops"),
    [((7, 5), 40, 1590, 8.1), ((8, 0), 108, 1410, 19.5), ((9, 0), 132, 1980, 66.9)],  # T4, A100 and H100 by NVIDIA
)
def test_the_peak_is_that_of_the_data_sheet(compute_capability, n_multiprocessors, megahertz, teraflops):
    found = cuda.peak(compute_capability, n_multiprocessors, 1000 * megahertz)
    assert found / 1e12 == pytest.approx(teraflops, abs=0.05)


def test_rows_are_those_of_the_pages_or_those_that_were_chosen():
    default = cuda.rows_of(SimpleNamespace(networks=None, batches=None))
    assert {(name, size) for name, _, size in default} == {
        *((name, size) for name in cuda.NETWORKS for size in (128, 1024)),
        ("vgg16", 64),
        ("resnet18", 64),
    }
    chosen = cuda.rows_of(SimpleNamespace(networks=["alexnet", "digits"], batches=[8]))
    assert [(name, size) for name, _, size in chosen] == [("digits", 8), ("alexnet", 8)]


def test_steps_per_second_count_what_a_step_takes_without_the_first_call(monkeypatch):
    clock = 0.0

    def run(n_steps):
        nonlocal clock
        clock += 0.01 * n_steps + (5 if clock == 0 else 0)

    monkeypatch.setattr(cuda, "perf_counter", lambda: clock)
    assert cuda.steps_per_second(run, seconds=1) == pytest.approx(100)
    assert clock < 5 + 2


def test_a_side_without_enough_memory_has_no_speed():
    def make(device, problem, batch_size):
        raise MemoryError("the device is out of memory")

    assert math.isnan(cuda.images_per_second(make, 1, 1, None, TINY))


@pytest.mark.parametrize("make", [cuda.their_training, cuda.their_prediction])
@pytest.mark.parametrize("memory_format", cuda.MEMORY_FORMATS)
def test_pytorch_runs_the_same_network(in_torch, make, memory_format):
    assert in_torch(cuda.images_per_second, make, 4, 0.01, "cpu", TINY, memory_format) > 0


def test_kernels_of_a_network_are_compiled_without_a_gpu(in_this_process, monkeypatch, capsys):
    monkeypatch.setattr(cuda, "NETWORKS", {"digits": TINY})
    monkeypatch.setenv("NUMBA_CACHE_DIR", "")  # is set by the benchmark, for its processes
    cuda.main(["--compile", "--networks", "digits"])
    name, n_kernels, translating, assembling = capsys.readouterr().out.splitlines()[1].split()
    assert name == "digits"
    assert 8 < int(n_kernels) < 20
    assert float(translating) >= 0  # they may be in the cache
    assert float(assembling) > 0
