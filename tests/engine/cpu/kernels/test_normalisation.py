"""NORM: each of its instructions alone on the machine, then what they make together, against the oracles."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

from skconvnet.engine.program.instructions import NormRow, Op, SegmentKind
from tests import oracles
from tests.engine.cpu.norms import NO_BORDER, Bench, drawn, known, moments_of, of_gradients, scales_and_shifts, two
from tests.engine.cpu.programs import assert_only_written, borders, execute_on, shapes

four_borders = st.tuples(borders, borders, borders, borders)


# -- Instructions ------------------------------------------------------------------------------------------------------


@given(shapes, four_borders)
def test_channel_moments(shape, four):
    x = drawn(shape)
    bench = Bench(x, borders=four)
    before = bench.moments()
    assert_allclose(bench.table("sums", two), moments_of(x), rtol=1e-5, atol=1e-5)
    assert_only_written(bench.memory, before, bench.where("sums", two))


@given(shapes, four_borders, st.booleans())
def test_normalise_is_factor_and_offset(shape, four, relu):
    x = drawn(shape)
    bench = Bench(x, borders=four)
    coefficients = drawn((8, shape[3]), 1)
    bench.memory[bench.where("all", range(8))] = coefficients
    before = bench.normalise("all", relu)
    expected = x.astype(float) * coefficients[NormRow.FACTOR] + coefficients[NormRow.OFFSET]
    assert_allclose(bench["y"], np.maximum(expected, 0) if relu else expected, atol=1e-5)
    assert_only_written(bench.memory, before, bench.where("y"))


def test_normalise_with_coefficients_of_each_sample():
    x = drawn((3, 2, 3, 16))
    bench = Bench(x)
    coefficients = drawn((3, 8, 16), 1)
    bench.memory[bench.where("own", range(8))] = coefficients
    bench.normalise("own")
    expected = x * coefficients[:, None, None, NormRow.FACTOR] + coefficients[:, None, None, NormRow.OFFSET]
    assert_allclose(bench["y"], expected, atol=1e-5)


@given(shapes, four_borders, st.booleans())
def test_normalise_sums(shape, four, relu):
    x, dy = drawn(shape), drawn(shape, 1)
    bench = Bench(x, dy, borders=four)
    coefficients = drawn((8, shape[3]), 2)
    bench.memory[bench.where("all", range(8))] = coefficients
    before = bench.sums("all", relu)
    if relu:  # decided by the same arithmetic in float32 as in the forward pass
        dy = np.where(x * coefficients[NormRow.FACTOR] + coefficients[NormRow.OFFSET] > 0, dy, 0)
        assert_array_equal(bench["dy"], dy)
    normalised = (x - coefficients[NormRow.MEAN].astype(float)) * coefficients[NormRow.INVERSE]
    expected = np.stack([dy.sum((1, 2), dtype=float), (dy * normalised).sum((1, 2))], axis=1)
    assert_allclose(bench.table("sums", two), expected, atol=1e-4)
    written = [bench.where("dy")] if relu else []
    assert_only_written(bench.memory, before, bench.where("sums", two), *written)


@given(shapes, four_borders)
def test_normalise_backward(shape, four):
    x, dy = drawn(shape), drawn(shape, 1)
    bench = Bench(x, dy, borders=four)
    c = drawn((8, shape[3]), 2)
    bench.memory[bench.where("all", range(8))] = c
    before = bench.backward("all")
    expected = c[NormRow.FACTOR] * dy + c[NormRow.CONSTANT] + c[NormRow.SLOPE] * (x - c[NormRow.MEAN])
    assert_allclose(bench["dx"], expected, atol=1e-5)
    assert_only_written(bench.memory, before, bench.where("dx"))


@given(shapes, st.sampled_from([0.0, 0.1, 1.0]), st.sampled_from([1e-5, 0.5]))
def test_batch_statistics(shape, momentum, eps):
    x, (scale, shift) = drawn(shape, mean=2), scales_and_shifts(shape[3])
    bench = Bench(x, scale=scale, shift=shift)
    bench.memory[bench.where("running", two)] = running = np.abs(drawn((2, shape[3]), 3))
    bench.memory[bench.where("sums", two)] = moments_of(x)
    before = bench.batch_statistics(momentum, eps)
    mean, variance = x.mean((0, 1, 2), dtype=float), x.astype(float).var((0, 1, 2))
    inverse = 1 / np.sqrt(variance + eps)
    expected = [scale * inverse, shift - mean * scale * inverse, mean, inverse]
    assert_allclose(bench.table("all", known), expected, rtol=2e-5, atol=1e-4)
    after = oracles.running_statistics(x.astype(float), *running.astype(float), momentum)
    assert_allclose(bench.table("running", two), after, rtol=1e-5, atol=1e-6)
    assert_only_written(bench.memory, before, bench.where("all", known), bench.where("running", two))


def test_the_running_variance_is_unbiased_and_the_one_that_normalises_is_not():
    x = np.array([0, 2, 4, 6], np.float32).reshape(2, 1, 2, 1) * np.ones(8, np.float32)
    bench = Bench(x)
    bench.moments()
    bench.batch_statistics(momentum=1.0, eps=0.0)
    assert_allclose(bench.table("running", two), [[3] * 8, [20 / 3] * 8], rtol=1e-6)
    assert_allclose(bench.table("all", [NormRow.INVERSE]), [[1 / np.sqrt(5)] * 8], rtol=1e-6)


def test_one_number_alone_has_no_variance_and_moves_no_running_statistics():
    bench = Bench(np.full((1, 1, 1, 8), 3, np.float32))
    bench.moments()
    bench.batch_statistics(momentum=1.0, eps=0.25)
    assert_array_equal(bench.table("running", two), [[0] * 8, [1] * 8])
    assert_array_equal(bench.table("all", [NormRow.INVERSE]), [[2] * 8])


@given(st.sampled_from([8, 16, 24]), st.sampled_from([1e-5, 0.5]))
def test_running_statistics(depth, eps):
    x, (scale, shift) = drawn((2, 3, 4, depth)), scales_and_shifts(depth)
    bench = Bench(x, scale=scale, shift=shift)
    mean, variance = bench.memory[bench.where("running", two)] = np.abs(drawn((2, depth), 3))
    operands = {"scales": "scales", "running": "running", "coefficients": "all"}
    before = bench.run(Op.RUNNING_STATISTICS, operands, kind=SegmentKind.REDUCE, eps=eps)
    constants = [NormRow.CONSTANT, NormRow.SLOPE]
    assert_only_written(bench.memory, before, bench.where("all", known), bench.where("all", constants))
    assert_array_equal(bench.table("all", constants), 0)
    bench.normalise("all")
    assert_allclose(bench["y"], oracles.batch_norm_inference(x, scale, shift, mean, variance, eps), atol=1e-4)


@given(shapes)
def test_batch_gradients(shape):
    samples, rows, columns, depth = shape
    bench = Bench(drawn(shape))
    bench.memory[bench.where("sums", two)] = sums = drawn((samples, 2, depth), 1)
    bench.memory[bench.where("all", range(8))] = c = drawn((8, depth), 2)
    before = bench.batch_gradients()
    (total, moment), count = sums.sum(0, dtype=float), samples * rows * columns
    slope = -c[NormRow.FACTOR] * c[NormRow.INVERSE] * moment / count
    expected = [-c[NormRow.FACTOR] * total / count, slope, moment, total]
    assert_allclose(bench.table("all", of_gradients), expected, rtol=1e-5, atol=1e-6)
    assert_only_written(bench.memory, before, bench.where("all", of_gradients))


@given(shapes, st.integers(0, 7), st.sampled_from([1e-5, 0.5]))
def test_layer_statistics(shape, padding, eps):
    """Over the whole volume of each sample, padding left out; where depth is padding all coefficients are zero."""
    channels, (scale, shift) = shape[3] - padding, scales_and_shifts(shape[3])
    x = drawn(shape, mean=2)
    x[..., channels:] = 0
    bench = Bench(x, scale=scale, shift=shift, channels=channels)
    bench.memory[bench.where("sums", two)] = moments_of(x)
    before = bench.layer_statistics(eps)
    own = x[..., :channels].astype(float)
    mean = own.mean((1, 2, 3))[:, None] * np.ones(channels)
    inverse = 1 / np.sqrt(own.var((1, 2, 3)) + eps)[:, None] * np.ones(channels)
    scale, shift = scale[:channels], shift[:channels]
    expected = np.stack([scale * inverse, shift - mean * scale * inverse, mean, inverse], axis=1)
    assert_allclose(bench.table("own", known)[..., :channels], expected, rtol=2e-4, atol=1e-4)
    assert_array_equal(bench.table("own", known)[..., channels:], 0)
    assert_array_equal(bench.table("own", of_gradients), 0)
    assert_only_written(bench.memory, before, bench.where("own", range(8)))


@given(st.integers(1, 7), st.integers(1, 3), st.integers(1, 4), st.integers(0, 7))
def test_layer_gradients_are_summed_over_each_shard(samples, micro_batch, shard_size, padding):
    depth, channels, pixels = 16, 16 - padding, 6
    scale, shift = scales_and_shifts(depth)
    bench = Bench(drawn((samples, 2, 3, depth)), scale=scale, shift=shift, channels=channels)
    bench.memory[bench.where("sums", two)] = sums = drawn((samples, 2, depth), 1)
    bench.memory[bench.where("own", range(8))] = c = drawn((samples, 8, depth), 2)
    before = bench.layer_gradients(micro_batch=micro_batch, shard_size=shard_size, slot=64)
    slots = [bench.places["gradients"][1] + 64 * n for n in range(-(-samples // shard_size))]
    for shard, slot in enumerate(slots):
        total, moment = sums[shard * shard_size : (shard + 1) * shard_size].sum(0, dtype=float)
        moment[channels:] = total[channels:] = 0
        found = bench.memory[slot : slot + 2 * depth].reshape(2, depth)
        assert_allclose(found, [moment, total], rtol=1e-5, atol=1e-6)
    means = (scale * sums)[..., :channels].sum(2, dtype=float) / (channels * pixels)
    inverse = c[:, NormRow.INVERSE, :channels]
    constant, slope = -inverse * means[:, :1], -(inverse**2) * means[:, 1:]
    found = bench.table("own", (NormRow.CONSTANT, NormRow.SLOPE))[..., :channels]
    assert_allclose(found, np.stack([constant, slope], axis=1), rtol=1e-4, atol=1e-6)
    written = bench.where("own", (NormRow.CONSTANT, NormRow.SLOPE))[..., :channels]
    assert_only_written(bench.memory, before, written, *(np.arange(slot, slot + 2 * depth) for slot in slots))


# -- Together ----------------------------------------------------------------------------------------------------------


def large_enough(shape):
    """What is normalised together must be some numbers: of two, only the sign is left."""
    return np.prod(shape[:3]) >= 6


@given(shapes.filter(large_enough), four_borders, st.booleans(), st.sampled_from([1e-5, 0.5]))
def test_batch_norm_and_its_gradients(shape, four, relu, eps):
    x, dy, (scale, shift) = drawn(shape, mean=1), drawn(shape, 1), scales_and_shifts(shape[3])
    bench = Bench(x, dy, scale=scale, shift=shift, borders=four)
    bench.moments()
    bench.batch_statistics(eps=eps)
    bench.normalise("all", relu)
    y = oracles.batch_norm(x.astype(float), scale, shift, eps)
    assert_allclose(bench["y"], np.maximum(y, 0) if relu else y, atol=2e-5)
    dy = np.where(bench["y"] > 0, dy, 0) if relu else dy
    bench.sums("all", relu)
    bench.batch_gradients()
    bench.backward("all")
    dx, d_scale, d_shift = oracles.batch_norm_gradients(dy.astype(float), x.astype(float), scale, eps)
    assert_allclose(bench["dx"], dx, atol=2e-4)
    assert_allclose(bench.table("all", of_gradients)[2:], [d_scale, d_shift], atol=2e-4)


@given(shapes.filter(large_enough), four_borders, st.booleans(), st.integers(0, 7), st.sampled_from([1e-5, 0.5]))
def test_layer_norm_and_its_gradients(shape, four, relu, padding, eps):
    channels, (scale, shift) = shape[3] - padding, scales_and_shifts(shape[3])
    x, dy = drawn(shape, mean=1), drawn(shape, 1)
    for volume in (x, dy):
        volume[..., channels:] = 0
    if np.prod(shape[1:3]) * channels < 6:
        return
    bench = Bench(x, dy, scale=scale, shift=shift, channels=channels, borders=four)
    bench.moments()
    bench.layer_statistics(eps)
    bench.normalise("own", relu)
    scale, shift, own = scale[:channels], shift[:channels], x[..., :channels].astype(float)
    y = oracles.layer_norm(own, scale, shift, eps)
    assert_allclose(bench["y"][..., :channels], np.maximum(y, 0) if relu else y, atol=2e-5)
    assert_array_equal(bench["y"][..., channels:], 0)
    dy = np.where(bench["y"] > 0, dy, 0) if relu else dy
    bench.sums("own", relu)
    bench.layer_gradients(slot=64)
    bench.backward("own")
    dx, d_scale, d_shift = oracles.layer_norm_gradients(dy[..., :channels].astype(float), own, scale, eps)
    assert_allclose(bench["dx"][..., :channels], dx, atol=2e-4)
    assert_array_equal(bench["dx"][..., channels:], 0)
    first = bench.places["gradients"][1]
    found = bench.memory[first : first + 2 * shape[3]].reshape(2, -1)[:, :channels]
    assert_allclose(found, [d_scale, d_shift], atol=2e-4)


def test_statistics_of_a_mean_much_larger_than_the_deviation():
    """Sums of squares would have no digit left: 1e8 +- 1 needs more than float32 has."""
    x = drawn((8, 16, 16, 8), mean=1e4)
    x[4:] += 1  # the samples' own means differ, too
    bench = Bench(x)
    bench.moments()
    bench.batch_statistics(momentum=1.0, eps=0.0)
    mean, variance = x.mean((0, 1, 2), dtype=float), x.astype(float).var((0, 1, 2), ddof=1)
    found_mean, found_variance = bench.table("running", two)
    assert_allclose(found_mean, mean, rtol=1e-7)
    assert_allclose(found_variance, variance, rtol=1e-3)
    bench.layer_statistics(eps=0.0)
    inverse = 1 / np.sqrt(x.astype(float).var((1, 2, 3)))
    assert_allclose(bench.table("own", [NormRow.INVERSE])[:, 0], inverse[:, None] * np.ones(8), rtol=1e-3)
    bench.normalise("all")
    assert_allclose(bench["y"].mean((0, 1, 2), dtype=float), 1, atol=2e-3)  # the shift
    assert_allclose(bench["y"].std((0, 1, 2), dtype=float), 1, rtol=1e-3)


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

settings_of_lrn = st.tuples(
    st.sampled_from([1, 2, 3, 4, 5, 8, 9, 30]), st.sampled_from([1e-4, 0.5]), st.sampled_from([0.5, 0.75, 1.0])
)


@given(shapes, borders, borders, settings_of_lrn, st.sampled_from([1.0, 2.0]))
def test_lrn(shape, x_border, y_border, settings, k):
    size, alpha, beta = settings
    x = drawn(shape)
    numbers, rows = {"size": size, "alpha": alpha, "beta": beta, "k": k}, {"x_row": "x", "y_row": "y"}
    found = execute_on(Op.LRN, {"x": x, "y": 0 * x}, (x_border, y_border), numbers, rows)
    assert_allclose(found, oracles.local_response_norm(x.astype(float), size, alpha, beta, k), rtol=2e-6)


@given(shapes, borders, borders, borders, settings_of_lrn, st.sampled_from([1.0, 2.0]))
def test_lrn_backward(shape, x_border, dy_border, dx_border, settings, k):
    size, alpha, beta = settings
    x, dy = drawn(shape), drawn(shape, 1)
    numbers = {"size": size, "alpha": alpha, "beta": beta, "k": k}
    rows = {"x_row": "x", "dy_row": "dy", "dx_row": "dx"}
    volumes = {"x": x, "dy": dy, "dx": 0 * x}
    found = execute_on(Op.LRN_BACKWARD, volumes, (x_border, dy_border, dx_border), numbers, rows)
    expected = oracles.local_response_norm_gradient(dy.astype(float), x.astype(float), size, alpha, beta, k)
    assert_allclose(found, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("size", [1e-10, 1.0, 1e8])
def test_lrn_of_activations_of_any_size(size):
    x = drawn((1, 2, 2, 8)) * np.float32(size)
    numbers = {"size": 5, "alpha": 1e-4, "beta": 0.75, "k": 2.0}
    found = execute_on(Op.LRN, {"x": x, "y": 0 * x}, [NO_BORDER] * 2, numbers, {"x_row": "x", "y_row": "y"})
    assert_allclose(found, oracles.local_response_norm(x.astype(float), 5, 1e-4, 0.75, 2.0), rtol=1e-5)
