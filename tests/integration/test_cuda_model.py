"""The model of the CUDA machine's time: work that is counted by hand, and what the command prints."""

from math import prod

import pytest

pytest.importorskip("numba_cuda", reason="needs the extra skconvnet[cuda] (`make cuda` installs it)")

from benchmarks.cuda_model import GPUS, LATENCY, LAUNCH, Gpu, Work, bounds, launches_of, main, seconds
from benchmarks.networks import Problem

ROWS, FILTERS, UNITS = 5 * 8 * 8, 16, 24
NETWORK = Problem((8, 8, 8), f"INPUT -> CONV(K={FILTERS}) -> POOL -> FC({UNITS}) -> RELU -> FC", n_classes=8)


def named(launches, name):
    return [one for one in launches if one[0].kernel.name.startswith(name)]


def test_the_multiply_adds_and_bytes_of_contractions():
    """Depths are multiples of eight, so that nothing is padded but tiles, and zeros around images are not read."""
    (launch, work), *_ = named(launches_of(NETWORK, 5, "scoring"), "contract")
    cut = dict(zip(launch.kernel.parameters, launch.arguments, strict=True))
    assert work.useful == ROWS * FILTERS * 9 * 8
    tile = prod(map(int, launch.kernel.name.split("_")[-1].split("x")))
    assert work.executed == prod(launch.grid) * tile * cut["part_slabs"] * 8
    images = 5 * 10 * 10 * 8  # with their borders
    assert work.bytes == 4 * (images + 9 * 8 * FILTERS + cut["parts"] * ROWS * FILTERS)


def test_the_multiply_adds_of_training():
    """Forward and weight gradient of all layers, and the input gradient of all but the first."""
    conv, fc = ROWS * FILTERS * 9 * 8, 5 * (4 * 4 * FILTERS) * UNITS
    last = 5 * UNITS * 8
    useful = sum(work.useful for _, work in launches_of(NETWORK, 5, "training"))
    assert useful == 2 * conv + 3 * fc + 3 * last


def test_the_bytes_of_other_kernels():
    launches = launches_of(NETWORK, 5, "training")
    (_, pool), (_, update) = named(launches, "max_pool")[0], *named(launches, "update")
    assert pool.bytes == 4 * (ROWS * FILTERS + ROWS // 4 * FILTERS)
    weights = 9 * 8 * FILTERS + 4 * 4 * FILTERS * UNITS + UNITS * 8
    assert 7 * 4 * weights < update.bytes < 7 * 4 * (weights + 200)  # biases, and padding to lines of the cache


def test_the_time_of_a_launch():
    """Three blocks on two multiprocessors take as long as two after one another."""
    gpu = Gpu(multiprocessors=2, lanes=100, clock=1e9, bandwidth=1e9, cache=1e10)
    (launch, _), *_ = launches_of(NETWORK, 5, "scoring")
    launch = launch._replace(grid=(3, 1, 1))
    work = Work(executed=3 * 800, bytes=10, cache=1000, walk=1)
    found = bounds(launch, work, gpu)
    assert found == pytest.approx({"sums": 2 * 800 / (80 * 1e9), "memory": 1e-8, "cache": 1e-7, "walk": LATENCY})
    assert seconds(launch, work, gpu) == pytest.approx(LAUNCH + LATENCY)


def test_the_command_says_that_nothing_was_measured(capsys):
    main(["INPUT -> CONV(K=8) -> NORM -> RELU -> FC", "--input", "8x8x1", "--batch", "4", "--gpu", "t4"])
    printed = capsys.readouterr().out
    assert "nothing was measured" in printed
    for word in ("training: ", "scoring: ", "channel_moments", "load_images", "walk"):
        assert word in printed


def test_gpus_have_the_peaks_of_their_data_sheets():
    teraflops = {name: 2 * gpu.peak / 1e12 for name, gpu in GPUS.items()}
    assert teraflops == pytest.approx({"h100": 59.3, "a100": 19.5, "rtx4090": 82.6, "t4": 8.1}, rel=0.01)
