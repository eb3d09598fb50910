"""Loading images: standardised, and augmented, against np.flip and np.pad. As PTX."""

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

pytest.importorskip("numba_cuda", reason="needs the extra skconvnet[cuda] (`make cuda` installs it)")

from skconvnet.engine.program.instructions import ONE, Op, Space, Warp
from tests.engine.cpu.kernels.test_images import (
    IDENTITY,
    further_warps,
    mixed,
    resampled,
    simple_warps,
    statistics,
    warped,
)
from tests.engine.cpu.programs import Memory
from tests.engine.cuda.kernels.harness import examples, run

shapes = st.tuples(st.integers(1, 9), st.integers(1, 9), st.integers(1, 4))
kinds = st.sampled_from(["uint8", "float32"])
gaps = st.tuples(st.integers(0, 5), st.integers(0, 9))  # after each pixel and after each row

RECTANGLE = IDENTITY | {"CUT_TOP": 2, "CUT_BOTTOM": 5, "CUT_LEFT": 3, "CUT_RIGHT": 6}  # inside the image
TURNED = {"COSINE": -9000, "SINE": 30000, "CONTRAST": 8000, "BRIGHTNESS": -9000, "NOISE": 7000, "NOISE_KEY": 12345}
N_IMAGES, STEPS, BATCH = 6, 3, 5
INDICES = np.random.default_rng(3).integers(0, N_IMAGES, (STEPS, BATCH)).astype(np.int32)


def images(shape, kind):
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (N_IMAGES, *shape))
    return pixels.astype(kind) if kind == "uint8" else rng.normal(size=pixels.shape).astype(kind)


def loaded(pixels, step=0, samples=BATCH, gaps=(0, 0), warps=None, of_channels=None):
    """What is written of a minibatch, which has its own room for each sample, row and pixel."""
    _, rows, columns, depth = pixels.shape
    y_depth = depth + gaps[0]
    y_row = columns * y_depth + gaps[1]
    size = rows * y_row + 3
    memory = Memory(fill=77)
    at = memory.put(np.full(samples * size, 77))
    memory = memory.array()
    mean, scale = statistics(depth) if of_channels is None else of_channels
    tables = {"pixels": pixels, "indices": INDICES, "mean": mean, "scale": scale, "step": np.array([step], np.int32)}
    tables["warps"] = np.zeros((1, len(Warp)), np.int32) if warps is None else warps
    flags = {"batch": BATCH, "is_bytes": int(pixels.dtype == np.uint8), "is_warped": int(warps is not None)}
    numbers = {"rows": rows, "columns": columns, "depth": depth, "y_row": y_row, "y_depth": y_depth}
    run([(Op.LOAD_IMAGES, {"y": (Space.BATCH, at, size)}, numbers)], memory, samples=samples, **tables, **flags)
    axes = ((samples, size), (rows, y_row), (columns, y_depth), (depth, 1))
    written = at + sum(np.ix_(*(stride * np.arange(count) for count, stride in axes)))
    found = memory[written]
    memory[written] = 77
    assert_array_equal(memory[64:], 77)
    return found


def standardised(pixels):
    mean, scale = statistics(pixels.shape[-1])
    return (pixels.astype(np.float32) - mean) * scale


@examples(20)
@given(shapes, kinds, gaps, st.integers(0, STEPS - 1), st.integers(1, BATCH))
@example((16, 16, 1), "uint8", (0, 0), 1, 5)  # one block to the number
@example((10, 9, 3), "float32", (5, 2), 2, 4)
def test_the_images_of_a_minibatch_are_standardised_to_the_bit(shape, kind, gaps, step, samples):
    pixels = images(shape, kind)
    assert_array_equal(loaded(pixels, step, samples, gaps), standardised(pixels[INDICES[step, :samples]]))


@examples(30)
@given(shapes, kinds, gaps, st.integers(0, STEPS - 1), st.lists(simple_warps, min_size=2, max_size=2))
@example((7, 8, 2), "uint8", (1, 3), 2, [RECTANGLE, RECTANGLE | {"FLIP": 1, "DOWN": -2, "RIGHT": 1}])
def test_each_image_has_its_warp(shape, kind, gaps, step, chosen):
    pixels = images(shape, kind)
    warps = np.full((STEPS, BATCH, len(Warp)), 99, np.int32)
    warps[step, :2] = [[warp[name] for name in Warp.__members__] for warp in chosen]
    expected = [warped(image, warp) for image, warp in zip(pixels[INDICES[step, :2]], chosen, strict=True)]
    assert_array_equal(loaded(pixels, step, 2, gaps, warps), expected)


@examples(10)
@given(shapes, kinds, gaps, st.integers(0, STEPS - 1), st.lists(simple_warps, min_size=2, max_size=2), further_warps)
@example((7, 8, 3), "uint8", (1, 3), 2, [RECTANGLE, RECTANGLE | {"FLIP": 1, "DOWN": -2, "RIGHT": 1}], TURNED)
def test_images_with_all_changes_are_mixed(shape, kind, gaps, step, chosen, further):
    pixels = images(shape, kind)
    chosen = [chosen[0] | {"PARTNER": 1, "SHARE": ONE // 3}, chosen[1] | further | {"PARTNER": -1, "SHARE": ONE // 4}]
    warps = np.full((STEPS, BATCH, len(Warp)), 99, np.int32)
    warps[step, :2] = [[warp[name] for name in Warp.__members__] for warp in chosen]
    pictures = [resampled(image, warp) for image, warp in zip(pixels[INDICES[step, :2]], chosen, strict=True)]
    assert_allclose(loaded(pixels, step, 2, gaps, warps), mixed(pictures, chosen), rtol=1e-5, atol=1e-3)


@pytest.mark.parametrize("name", ["DOWN", "RIGHT"])
@pytest.mark.parametrize("shift", [4, -4, 5, 2**31 - 1, -(2**31)])
@pytest.mark.parametrize("flip", [0, 1])
def test_shifted_out_of_sight(name, shift, flip):
    warps = np.zeros((STEPS, BATCH, len(Warp)), np.int32)
    warps[..., Warp[name]], warps[..., Warp.FLIP] = shift, flip
    assert_array_equal(loaded(images((4, 4, 2), "uint8"), warps=warps), 0)


def test_a_nan_shows_where_it_is_and_nowhere_else():
    pixels = images((4, 4, 2), "float32")
    pixels[:, 1, 2, 0] = np.nan
    warps = np.zeros((STEPS, BATCH, len(Warp)), np.int32)
    warps[..., [Warp.FLIP, Warp.DOWN, Warp.RIGHT]] = 1, 1, -1
    assert_array_equal(np.argwhere(np.isnan(loaded(pixels, samples=1, warps=warps))), [[0, 0, 2, 0]])
