"""NORM: each kernel from its PTX, on shapes that fill thread blocks and on ragged ones, against the oracles."""

from functools import partial
from itertools import islice

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

pytest.importorskip("numba_cuda", reason="needs the extra skconvnet[cuda] (`make cuda` installs it)")

from skconvnet.engine.cuda.compiler import KERNELS, ptx
from skconvnet.engine.cuda.kernels import normalisation
from skconvnet.engine.cuda.lowering import Call
from skconvnet.engine.program.instructions import NormRow, Op
from tests import oracles
from tests.engine.cpu import norms
from tests.engine.cpu.norms import NO_BORDER, drawn, known, moments_of, of_gradients, scales_and_shifts, two
from tests.engine.cpu.programs import assert_only_written
from tests.engine.cuda.kernels.harness import execute_on, launch, run, without_each_barrier
from tests.engine.cuda.ptx.execute import PtxError

Bench = partial(norms.Bench, run=run)
BORDERS = (1, 0, 2, 1), (0, 2, 0, 0), NO_BORDER, (2, 1, 1, 3)
SHAPES = [
    (1, 1, 1, 8),
    (3, 5, 4, 24),
    (2, 7, 9, 40),
    (2, 1, 2, 1032),  # more quads than threads
    (1, 1, 1, 1032),  # each thread of a block has a quad of its own
    (1, 33, 32, 8),  # a second part of 32 pixels
    (2, 64, 32, 16),  # two whole parts
]
MANY = (150, 2, 3, 16)  # more samples than slices of a thread block, and not a multiple

shapes = pytest.mark.parametrize("shape", SHAPES, ids=str)
sample_shapes = pytest.mark.parametrize("shape", [SHAPES[0], SHAPES[1], (128, 1, 2, 8), MANY], ids=str)
relus = pytest.mark.parametrize("relu", [False, True])


# -- Kernels -----------------------------------------------------------------------------------------------------------

OVER_SAMPLES = set("batch_statistics running_statistics batch_gradients layer_statistics layer_gradients".split())


@pytest.mark.parametrize("name", [*normalisation.__all__])
def test_kernels_that_work_on_pixels_compute_in_float32(name):
    if name in KERNELS and name not in OVER_SAMPLES | {"layer_scale_gradients"}:
        assert ".f64" not in ptx(KERNELS[name], (9, 0))


def of_lrn_backward(bench):
    numbers = {"size": 5, "alpha": 0.5, "beta": 0.75, "k": 1.0}
    bench.run(Op.LRN_BACKWARD, {"x": "x", "dy": "dy", "dx": "dx"}, **numbers)


@pytest.mark.parametrize(
    ("name", "work"),
    [
        ("channel_moments", lambda bench: bench.moments()),
        ("normalise_sums", lambda bench: bench.sums("all")),
        ("batch_statistics", lambda bench: bench.batch_statistics()),
        ("batch_gradients", lambda bench: bench.batch_gradients()),
        ("layer_statistics", lambda bench: bench.layer_statistics()),
        ("layer_gradients", lambda bench: bench.layer_gradients()),
        ("layer_scale_gradients", lambda bench: bench.layer_gradients()),
        ("lrn_backward", of_lrn_backward),
    ],
)
def test_a_missing_barrier_is_noticed(name, work):
    bench, count = Bench(drawn((2, 3, 2, 16))), 0
    work(bench)
    for _ in islice(without_each_barrier(KERNELS[name]), 2):  # to compile a kernel takes long
        count += 1
        with pytest.raises(PtxError):
            work(bench)
    assert count > 0


@shapes
def test_channel_moments(shape):
    x = drawn(shape, mean=3)
    bench = Bench(x, borders=BORDERS)
    before = bench.moments()
    assert_allclose(bench.table("sums", two), moments_of(x), rtol=1e-5, atol=1e-6)
    assert_only_written(bench.memory, before, bench.where("sums", two))


def test_nothing_is_read_behind_the_last_pixel():
    """The channels of a thread block are 32, those of the volume 24, and memory ends with them."""
    x, dy, coefficients, into = drawn((1, 2, 3, 24)), drawn((1, 2, 3, 24), 1), drawn((8, 24), 2), drawn((2, 24), 3)
    sizes = 2, 3, 24, 72
    launch(KERNELS["channel_moments"], (1, 1), x, into, *sizes, x.size, 48, 8)
    assert_allclose(into[None], moments_of(x), rtol=1e-5, atol=1e-6)
    rows = 72, x.size, x.size, 0, 48, 0, 8  # of x, the samples', and those of `into`; no ReLU
    launch(KERNELS["normalise_sums"], (1, 1), dy, x, coefficients, into, *sizes, *rows)
    assert_allclose(into[0], dy.sum((0, 1, 2)), rtol=1e-5, atol=1e-5)


def test_moments_around_a_first_pixel_that_is_far_from_all_others():
    x = drawn((1, 32, 32, 8))
    x[:, :1] += 1000  # the first pixels of all threads
    bench = Bench(x)
    bench.moments()
    assert_allclose(bench.table("sums", two), moments_of(x), rtol=2e-6)


@shapes
@relus
def test_normalise_is_factor_and_offset(shape, relu):
    x = drawn(shape)
    bench = Bench(x, borders=BORDERS)
    coefficients = bench.memory[bench.where("all", range(8))] = drawn((1, 8, shape[3]), 1)
    before = bench.normalise("all", relu)
    expected = x.astype(float) * coefficients[0, NormRow.FACTOR] + coefficients[0, NormRow.OFFSET]
    assert_allclose(bench["y"], np.maximum(expected, 0) if relu else expected, atol=1e-6)
    assert_only_written(bench.memory, before, bench.where("y"))


def test_normalise_with_coefficients_of_each_sample():
    x = drawn((3, 2, 3, 16))
    bench = Bench(x)
    c = bench.memory[bench.where("own", range(8))] = drawn((3, 8, 16), 1)
    bench.normalise("own")
    c = c[:, :, None, None]
    assert_allclose(bench["y"], x * c[:, NormRow.FACTOR] + c[:, NormRow.OFFSET], atol=1e-6)
    bench.backward("own")
    expected = c[:, NormRow.FACTOR] * x + c[:, NormRow.CONSTANT] + c[:, NormRow.SLOPE] * (x - c[:, NormRow.MEAN])
    assert_allclose(bench["dx"], expected, atol=2e-6)
    bench.sums("own")
    moment = (x * (x - c[:, NormRow.MEAN].astype(float)) * c[:, NormRow.INVERSE]).sum((1, 2))
    assert_allclose(bench.table("sums", two), np.stack([x.sum((1, 2)), moment], axis=1), atol=1e-5)


@shapes
@relus
def test_normalise_sums(shape, relu):
    x, dy = drawn(shape), drawn(shape, 1)
    bench = Bench(x, dy, borders=BORDERS)
    c = (bench.memory[bench.where("all", range(8))] == 0) + drawn((1, 8, shape[3]), 2)
    bench.memory[bench.where("all", range(8))], c = c, c[0]
    before = bench.sums("all", relu)
    if relu:  # where the output that `normalise` writes is zero
        bench.normalise("all", relu)
        dy = np.where(bench["y"] > 0, dy, 0)
        assert_array_equal(bench["dy"], dy)
        before[bench.where("y")] = bench["y"]
    normalised = (x - c[NormRow.MEAN].astype(float)) * c[NormRow.INVERSE]
    expected = np.stack([dy.sum((1, 2), dtype=float), (dy * normalised).sum((1, 2))], axis=1)
    assert_allclose(bench.table("sums", two), expected, rtol=1e-5, atol=1e-5)
    assert_only_written(bench.memory, before, bench.where("sums", two), *([bench.where("dy")] if relu else []))


@shapes
def test_normalise_backward(shape):
    x, dy = drawn(shape), drawn(shape, 1)
    bench = Bench(x, dy, borders=BORDERS)
    c = drawn((8, shape[3]), 2)
    bench.memory[bench.where("all", range(8))] = c
    before = bench.backward("all")
    expected = c[NormRow.FACTOR] * dy + c[NormRow.CONSTANT] + c[NormRow.SLOPE] * (x - c[NormRow.MEAN])
    assert_allclose(bench["dx"], expected, atol=2e-6)
    assert_only_written(bench.memory, before, bench.where("dx"))


@sample_shapes
@pytest.mark.parametrize(("momentum", "eps"), [(0.1, 1e-5), (1.0, 0.5)])
def test_batch_statistics(shape, momentum, eps):
    x, (scale, shift) = drawn(shape, mean=2), scales_and_shifts(shape[3])
    bench = Bench(x, scale=scale, shift=shift)
    bench.memory[bench.where("running", two)] = running = np.abs(drawn((2, shape[3]), 3))
    bench.memory[bench.where("sums", two)] = moments_of(x)
    before = bench.batch_statistics(momentum, eps)
    mean, variance = x.mean((0, 1, 2), dtype=float), x.astype(float).var((0, 1, 2))
    inverse = 1 / np.sqrt(variance + eps)
    expected = [scale * inverse, shift - mean * scale * inverse, mean, inverse]
    assert_allclose(bench.table("all", known), expected, rtol=1e-6, atol=1e-5)
    after = oracles.running_statistics(x.astype(float), *running.astype(float), momentum)
    assert_allclose(bench.table("running", two), after, rtol=1e-6)
    assert_only_written(bench.memory, before, bench.where("all", known), bench.where("running", two))


@pytest.mark.parametrize("depth", [8, 264])
def test_running_statistics(depth):
    x, (scale, shift) = drawn((2, 3, 4, depth)), scales_and_shifts(depth)
    bench = Bench(x, scale=scale, shift=shift)
    mean, variance = bench.memory[bench.where("running", two)] = np.abs(drawn((2, depth), 3))
    operands = {"scales": "scales", "running": "running", "coefficients": "all"}
    before = bench.run(Op.RUNNING_STATISTICS, operands, eps=0.5)
    constants = [NormRow.CONSTANT, NormRow.SLOPE]
    assert_only_written(bench.memory, before, bench.where("all", known), bench.where("all", constants))
    assert_array_equal(bench.table("all", constants), 0)
    bench.normalise("all")
    assert_allclose(bench["y"], oracles.batch_norm_inference(x, scale, shift, mean, variance, 0.5), atol=2e-5)


@sample_shapes
def test_batch_gradients(shape):
    samples, rows, columns, depth = shape
    bench = Bench(drawn(shape))
    bench.memory[bench.where("sums", two)] = sums = drawn((samples, 2, depth), 1)
    bench.memory[bench.where("all", range(8))] = c = drawn((8, depth), 2)
    before = bench.batch_gradients()
    (total, moment), count = sums.sum(0, dtype=float), samples * rows * columns
    slope = -c[NormRow.FACTOR] * c[NormRow.INVERSE] * moment / count
    expected = [-c[NormRow.FACTOR] * total / count, slope, moment, total]
    assert_allclose(bench.table("all", of_gradients), expected, rtol=1e-6, atol=1e-12)
    assert_only_written(bench.memory, before, bench.where("all", of_gradients))


@pytest.mark.parametrize(("depth", "channels"), [(8, 1), (16, 16), (264, 257)])
def test_layer_statistics(depth, channels):
    """Over the whole volume of each sample, padding left out; where depth is padding all coefficients are zero."""
    shape, (scale, shift) = (3, 3, 4, depth), scales_and_shifts(depth)
    x = drawn(shape, mean=2)
    x[..., channels:] = 0
    bench = Bench(x, scale=scale, shift=shift, channels=channels)
    bench.memory[bench.where("sums", two)] = moments_of(x)
    before = bench.layer_statistics(1e-3)
    own = x[..., :channels].astype(float)
    mean = own.mean((1, 2, 3))[:, None] * np.ones(channels)
    inverse = 1 / np.sqrt(own.var((1, 2, 3)) + 1e-3)[:, None] * np.ones(channels)
    scale, shift = scale[:channels], shift[:channels]
    expected = np.stack([scale * inverse, shift - mean * scale * inverse, mean, inverse], axis=1)
    assert_allclose(bench.table("own", known)[..., :channels], expected, rtol=1e-6, atol=1e-5)
    assert_array_equal(bench.table("own", known)[..., channels:], 0)
    assert_array_equal(bench.table("own", of_gradients), 0)
    assert_only_written(bench.memory, before, bench.where("own", range(8)))


@pytest.mark.parametrize(("samples", "depth", "channels"), [(1, 8, 1), (70, 16, 16), (3, 264, 257)])
def test_layer_gradients(samples, depth, channels):
    pixels, (scale, shift) = 6, scales_and_shifts(depth)
    bench = Bench(drawn((samples, 2, 3, depth)), scale=scale, shift=shift, channels=channels)
    bench.memory[bench.where("sums", two)] = sums = drawn((samples, 2, depth), 1)
    bench.memory[bench.where("own", range(8))] = c = drawn((samples, 8, depth), 2)
    before = bench.layer_gradients()
    total, moment = sums.sum(0, dtype=float)
    moment[channels:] = total[channels:] = 0
    assert_allclose(bench.table("gradients", two), [moment, total], rtol=1e-6, atol=1e-12)
    means = (scale * sums.astype(float))[..., :channels].sum(2) / (channels * pixels)
    inverse = c[:, NormRow.INVERSE, :channels].astype(float)
    expected = np.stack([-inverse * means[:, :1], -(inverse**2) * means[:, 1:]], axis=1)
    found = bench.table("own", (NormRow.CONSTANT, NormRow.SLOPE))[..., :channels]
    assert_allclose(found, expected, rtol=1e-6, atol=1e-12)
    written = bench.where("own", (NormRow.CONSTANT, NormRow.SLOPE))[..., :channels]
    assert_only_written(bench.memory, before, written, bench.where("gradients", two))


# -- Together ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(2, 3, 5, 24), (3, 33, 32, 8)], ids=str)
@relus
def test_batch_norm_and_its_gradients(shape, relu):
    x, dy, (scale, shift) = drawn(shape, mean=1), drawn(shape, 1), scales_and_shifts(shape[3])
    bench = Bench(x, dy, scale=scale, shift=shift, borders=BORDERS)
    bench.moments()
    bench.batch_statistics()
    bench.normalise("all", relu)
    y = oracles.batch_norm(x.astype(float), scale, shift, 1e-5)
    assert_allclose(bench["y"], np.maximum(y, 0) if relu else y, atol=1e-5)
    dy = np.where(bench["y"] > 0, dy, 0) if relu else dy
    bench.sums("all", relu)
    bench.batch_gradients()
    bench.backward("all")
    dx, d_scale, d_shift = oracles.batch_norm_gradients(dy.astype(float), x.astype(float), scale, 1e-5)
    assert_allclose(bench["dx"], dx, atol=1e-5)
    assert_allclose(bench.table("all", of_gradients)[2:], [d_scale, d_shift], rtol=1e-5, atol=2e-5)


@pytest.mark.parametrize(("shape", "channels"), [((2, 3, 5, 24), 17), ((2, 33, 32, 8), 8)], ids=str)
@relus
def test_layer_norm_and_its_gradients(shape, channels, relu):
    x, dy, (scale, shift) = drawn(shape, mean=1), drawn(shape, 1), scales_and_shifts(shape[3])
    for volume in (x, dy):
        volume[..., channels:] = 0
    bench = Bench(x, dy, scale=scale, shift=shift, channels=channels, borders=BORDERS)
    bench.moments()
    bench.layer_statistics()
    bench.normalise("own", relu)
    scale, shift, own = scale[:channels], shift[:channels], x[..., :channels].astype(float)
    y = oracles.layer_norm(own, scale, shift, 1e-5)
    assert_allclose(bench["y"][..., :channels], np.maximum(y, 0) if relu else y, atol=1e-5)
    assert_array_equal(bench["y"][..., channels:], 0)
    dy = np.where(bench["y"] > 0, dy, 0) if relu else dy
    bench.sums("own", relu)
    bench.layer_gradients()
    bench.backward("own")
    dx, d_scale, d_shift = oracles.layer_norm_gradients(dy[..., :channels].astype(float), own, scale, 1e-5)
    assert_allclose(bench["dx"][..., :channels], dx, atol=1e-5)
    assert_array_equal(bench["dx"][..., channels:], 0)
    found = bench.table("gradients", two)[:, :channels]
    assert_allclose(found, [d_scale, d_shift], rtol=1e-5, atol=5e-5)


def test_one_number_alone_has_no_variance_and_moves_no_running_statistics():
    bench = Bench(np.full((1, 1, 1, 8), 3, np.float32))
    bench.moments()
    bench.batch_statistics(momentum=1.0, eps=0.25)
    assert_array_equal(bench.table("running", two), [[0] * 8, [1] * 8])
    assert_array_equal(bench.table("all", [NormRow.INVERSE]), [[2] * 8])


@pytest.mark.parametrize("shape", [(4, 16, 16, 8), (2, 40, 40, 8)], ids=str)
def test_statistics_of_a_mean_much_larger_than_the_deviation(shape):
    """Sums of squares would have no digit left: 1e8 +- 1 needs more than float32 has."""
    x = drawn(shape, mean=1e4)
    x[1:] += 1  # the samples' own means differ, too
    bench = Bench(x)
    bench.moments()
    bench.batch_statistics(momentum=1.0, eps=0.0)
    mean, variance = x.mean((0, 1, 2), dtype=float), x.astype(float).var((0, 1, 2), ddof=1)
    found_mean, found_variance = bench.table("running", two)
    assert_allclose(found_mean, mean, rtol=2e-7)  # two units in the last place
    assert_allclose(found_variance, variance, rtol=1e-3)


def test_what_diverges_is_seen():
    x = drawn((2, 2, 3, 8))
    x[1, 1, 1, 3] = np.nan
    bench = Bench(x)
    bench.moments()
    bench.batch_statistics()
    bench.normalise("all", relu=True)
    assert np.isnan(bench["y"][..., 3]).all()
    assert np.isfinite(bench["y"][..., :3]).all()


# -- Local response normalisation --------------------------------------------------------------------------------------

LRN = [  # shape, size, alpha, beta, k
    ((1, 1, 1, 8), 1, 0.5, 0.5, 1.0),
    ((2, 3, 5, 24), 5, 0.5, 0.75, 2.0),
    ((1, 4, 3, 40), 30, 0.5, 1.0, 1.0),
    ((1, 2, 2, 16), 33, 1e-4, 0.75, 2.0),  # all slices are in every window
    ((1, 9, 5, 96), 4, 0.5, 0.75, 1.0),  # several thread blocks, of even windows, which end within a pixel
    ((1, 1, 3, 1032), 9, 0.5, 0.75, 1.0),  # pixels longer than a thread block
]
lrn_cases = pytest.mark.parametrize(("shape", "size", "alpha", "beta", "k"), LRN, ids=str)


@lrn_cases
def test_lrn(shape, size, alpha, beta, k):
    x = drawn(shape)
    numbers, rows = {"size": size, "alpha": alpha, "beta": beta, "k": k}, {"x_row": "x", "y_row": "y"}
    found = execute_on(Op.LRN, {"x": x, "y": 0 * x}, BORDERS[:2], numbers, rows)
    assert_allclose(found, oracles.local_response_norm(x.astype(float), size, alpha, beta, k), rtol=2e-6)


@pytest.mark.parametrize("case", [*LRN, ((1, 1, 2, 1032), 1100, 0.1, 0.75, 1.0)], ids=str)
def test_lrn_backward(case):
    shape, size, alpha, beta, k = case
    x, dy = drawn(shape), drawn(shape, 1)
    numbers = {"size": size, "alpha": alpha, "beta": beta, "k": k}
    rows = {"x_row": "x", "dy_row": "dy", "dx_row": "dx"}
    found = execute_on(Op.LRN_BACKWARD, {"x": x, "dy": dy, "dx": 0 * x}, BORDERS[:3], numbers, rows)
    expected = lrn_gradient(x.astype(float), dy.astype(float), size, alpha, beta, k)
    assert_allclose(found, expected, rtol=1e-5, atol=1e-5)


def lrn_gradient(x, dy, size, alpha, beta, k):
    """`oracles.local_response_norm_gradient` of deep volumes, whose loops over pairs of slices are a matrix here."""
    depth, before = x.shape[3], size // 2
    away = np.arange(depth) - np.arange(depth)[:, None]  # of slice j from slice c
    window = ((away >= -before) & (away < size - before)).astype(float)  # (c, j)
    base = k + alpha * x**2 @ window.T
    return dy * base**-beta - 2 * alpha * beta * x * ((dy * x * base ** (-beta - 1)) @ window)


def test_the_gradient_above_is_the_oracles():
    x, dy = drawn((1, 2, 2, 9)).astype(float), drawn((1, 2, 2, 9), 1).astype(float)
    for size in (1, 4, 5, 30):
        expected = oracles.local_response_norm_gradient(dy, x, size, 0.5, 0.75, 1.0)
        assert_allclose(lrn_gradient(x, dy, size, 0.5, 0.75, 1.0), expected, rtol=1e-12)


@pytest.mark.parametrize("size", [1e-10, 1.0, 1e8])
def test_lrn_of_activations_of_any_size(size):
    x = drawn((1, 2, 2, 8)) * np.float32(size)
    numbers = {"size": 5, "alpha": 1e-4, "beta": 0.75, "k": 2.0}
    found = execute_on(Op.LRN, {"x": x, "y": 0 * x}, [NO_BORDER] * 2, numbers, {"x_row": "x", "y_row": "y"})
    assert_allclose(found, oracles.local_response_norm(x.astype(float), 5, 1e-4, 0.75, 2.0), rtol=1e-5)


def test_windows_that_do_not_fit_shared_memory_are_refused():
    with pytest.raises(ValueError, match=r"size=12000 .* 6000 deep .* at most 11258"):
        list(normalisation.lower_lrn_backward(Call({"size": 12000, "depth": 6000}, 0)))
