"""Loading images: standardised, and augmented, against np.flip and np.pad."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

from skconvnet.engine import Images
from skconvnet.engine.program.instructions import ONE, Op, Space, Warp
from tests.engine.cpu.programs import Memory, run, shared, small

UNTOUCHED = np.float32(77)
IDENTITY = dict.fromkeys(Warp.__members__, 0)

sides = st.integers(1, 19)
shapes = st.tuples(sides, sides, st.integers(1, 4))
shifts = st.integers(-12, 12)
SIMPLE = list(IDENTITY)[: Warp.COSINE]  # mirrored, shifted, covered
simple_warps = st.fixed_dictionaries({**dict.fromkeys(SIMPLE, shifts), "FLIP": st.integers(0, 1)})
simple_warps = simple_warps.map(lambda warp: IDENTITY | warp)
parts = st.integers(-ONE, ONE)
further = {**dict.fromkeys(("COSINE", "SINE", "CONTRAST", "BRIGHTNESS"), parts), "NOISE": st.integers(0, ONE)}
further_warps = st.fixed_dictionaries({**further, "NOISE_KEY": st.integers(0, 2**31 - 1)})
margins = st.tuples(st.integers(0, 3), st.integers(0, 3))  # between two rows, between two columns
kinds = st.sampled_from([np.uint8, np.float32])


def image(shape, kind):
    rng = np.random.default_rng(0)
    return rng.integers(0, 256, shape).astype(kind) if kind is np.uint8 else rng.normal(size=shape).astype(kind)


def statistics(depth):
    """Mean and scale of each channel."""
    return np.linspace(3, 120, depth, dtype=np.float32), np.linspace(0.01, 2, depth, dtype=np.float32)


def loaded(pixels, margins, warp=None, of_channels=None):
    """What is written of an image, in memory with room between the rows and the columns."""
    rows, columns, depth = pixels.shape
    frame = np.full((rows + 2, columns + margins[0] + 1, depth + margins[1]), UNTOUCHED)
    memory = Memory()
    first, (y_row, y_depth) = memory.put(frame), (stride // 4 for stride in frame.strides[:2])
    memory = memory.array()
    place = {"y": shared(first + y_row + y_depth)}
    numbers = {"rows": rows, "columns": columns, "depth": depth, "y_row": y_row, "y_depth": y_depth}
    mean, scale = statistics(depth) if of_channels is None else of_channels
    source = pixels.reshape(1, -1), np.zeros(1, np.int64)
    warps = None if warp is None else np.array([[warp[name] for name in Warp.__members__]], np.int64)
    run([(Op.LOAD_IMAGES, place, numbers)], memory, mean=mean, scale=scale, source=source, warps=warps)
    frame = memory[first : first + frame.size].reshape(frame.shape)
    found = frame[1 : rows + 1, 1 : columns + 1, :depth].copy()
    frame[1 : rows + 1, 1 : columns + 1, :depth] = UNTOUCHED
    assert_array_equal(frame, UNTOUCHED)
    return found


def standardised(pixels):
    mean, scale = statistics(pixels.shape[2])
    return (pixels.astype(np.float32) - mean) * scale


def warped(pixels, warp):
    """The oracle."""
    rows, columns, _ = pixels.shape
    down, right = warp["DOWN"], warp["RIGHT"]
    picture = standardised(pixels)
    if warp["FLIP"]:
        picture = np.flip(picture, axis=1)
    high, wide = abs(down), abs(right)
    padded = np.pad(picture, ((high, high), (wide, wide), (0, 0)))
    picture = padded[high + down : high + down + rows, wide + right : wide + right + columns].copy()
    for row in range(rows):
        for column in range(columns):
            if warp["CUT_TOP"] <= row < warp["CUT_BOTTOM"] and warp["CUT_LEFT"] <= column < warp["CUT_RIGHT"]:
                picture[row, column] = 0
    return picture


def normal_numbers(key, shape):
    """Numbers with mean 0 and variance 1, as Steele et al., figure 16, with whole numbers of Python."""
    numbers = np.empty(shape)
    for place, at in enumerate(np.ndindex(shape)):
        z = (key + (place + 1) * 0x9E3779B97F4A7C15) % 2**64
        z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9 % 2**64
        z = (z ^ (z >> 27)) * 0x94D049BB133111EB % 2**64
        z ^= z >> 31
        numbers[at] = sum((z >> by) % 2**16 - (2**16 - 1) / 2 for by in (0, 16, 32, 48))
    return numbers / np.sqrt((2**32 - 1) / 3)


def resampled(pixels, warp):
    """The oracle of all changes but mixing, in float64."""
    rows, columns, _ = pixels.shape
    toned = standardised(pixels) * (1 + warp["CONTRAST"] / ONE) + warp["BRIGHTNESS"] / ONE
    if warp["FLIP"]:
        toned = np.flip(toned, axis=1)
    cosine, sine = 1 + warp["COSINE"] / ONE, warp["SINE"] / ONE
    picture = warp["NOISE"] / ONE * normal_numbers(warp["NOISE_KEY"], pixels.shape)
    for row, column in np.ndindex(rows, columns):
        y, x = row - (rows - 1) / 2, column - (columns - 1) / 2
        from_row = cosine * y - sine * x + (rows - 1) / 2 + warp["DOWN"]
        from_column = cosine * x + sine * y + (columns - 1) / 2 + warp["RIGHT"]
        r, c = np.ogrid[:rows, :columns]  # linear interpolation: the weight of a pixel falls to 0 at its neighbours
        parts = np.maximum(0, 1 - abs(r - from_row)) * np.maximum(0, 1 - abs(c - from_column))
        picture[row, column] += np.tensordot(parts, toned, 2)
        if warp["CUT_TOP"] <= row < warp["CUT_BOTTOM"] and warp["CUT_LEFT"] <= column < warp["CUT_RIGHT"]:
            picture[row, column] = 0
    return picture


small_shapes = st.tuples(st.integers(1, 5), st.integers(1, 6), st.sampled_from([1, 3, 17]))


@given(small_shapes, kinds, margins, simple_warps, further_warps)
def test_load_image_with_all_changes(shape, kind, margins, simple, further):
    pixels, warp = image(shape, kind), simple | further
    found = loaded(pixels, margins, warp)
    assert_allclose(found, resampled(pixels, warp), rtol=1e-5, atol=1e-3 if kind is np.uint8 else 1e-5)


RICH = {"FLIP": 1, "DOWN": 1, "RIGHT": -2, "CUT_TOP": 1, "CUT_LEFT": 1, "CUT_BOTTOM": 3, "CUT_RIGHT": 3}
RICH |= {"COSINE": -9000, "SINE": 20000, "CONTRAST": 15000, "BRIGHTNESS": 30000, "NOISE": 6000, "NOISE_KEY": 12345}


@pytest.mark.parametrize("name", RICH)
def test_a_change_that_is_left_out_or_reversed_is_noticed(name):
    pixels = image((6, 7, 3), np.uint8)
    found = loaded(pixels, (1, 1), IDENTITY | RICH)
    assert_allclose(found, resampled(pixels, IDENTITY | RICH), rtol=1e-5, atol=1e-3)
    others = {0} if name in SIMPLE and name not in ("DOWN", "RIGHT") else {0, -RICH[name]}
    for other in others:
        assert np.abs(found - resampled(pixels, IDENTITY | RICH | {name: other})).max() > 0.1


def load_all(pixels, warps, n_workers=1):
    """The images of a minibatch, which are augmented."""
    n, rows, columns, depth = pixels.shape
    memory = Memory()
    at = memory.put(np.zeros(pixels.size))
    memory = memory.array()
    mean, scale = statistics(depth)
    numbers = {"rows": rows, "columns": columns, "depth": depth, "y_row": columns * depth, "y_depth": depth}
    run(
        [(Op.LOAD_IMAGES, {"y": (Space.BATCH, at, pixels[0].size)}, numbers)],
        memory,
        samples=n,
        micro_batch=2,
        mean=mean,
        scale=scale,
        source=(pixels.reshape(n, -1), np.arange(n)),
        warps=np.array([[warp[name] for name in Warp.__members__] for warp in warps], np.int64),
    )
    return memory[at : at + pixels.size].reshape(pixels.shape)


def mixed(pictures, warps):
    """The oracle of mixing."""
    result = []
    for place, (picture, warp) in enumerate(zip(pictures, warps, strict=True)):
        share = warp["SHARE"] / ONE
        result.append((1 - share) * picture + share * pictures[place + warp["PARTNER"]])
    return np.array(result)


@given(st.data(), st.integers(1, 5), kinds)
def test_images_are_mixed_with_those_of_other_places(data, n, kind):
    pixels = np.stack([image((3, 4, 2), kind) + np.asarray(place, kind) for place in range(n)])
    warps = [data.draw(simple_warps) | data.draw(further_warps | st.just({})) for _ in range(n)]
    for place, warp in enumerate(warps):
        warp |= {"PARTNER": data.draw(st.integers(-place, n - 1 - place)), "SHARE": data.draw(st.integers(0, ONE))}
    expected = mixed([resampled(one, warp) for one, warp in zip(pixels, warps, strict=True)], warps)
    assert_allclose(load_all(pixels, warps), expected, rtol=1e-5, atol=1e-3)


def test_a_partner_outside_the_minibatch_is_replaced_by_one_inside():
    pixels = np.stack([image((3, 4, 2), np.uint8)] * 2)
    warps = [IDENTITY | {"SHARE": ONE, "PARTNER": partner} for partner in (-(2**31), 2**31 - 1)]
    assert_allclose(load_all(pixels, warps), standardised(pixels[0])[None].repeat(2, axis=0), rtol=1e-6)


def test_noise_is_nearly_normal():
    numbers = loaded(np.zeros((200, 200, 1), np.float32), (0, 0), IDENTITY | {"NOISE": ONE, "NOISE_KEY": 5}, ([0], [1]))
    assert abs(numbers.mean()) < 0.02
    assert abs(numbers.var() - 1) < 0.03
    assert abs(np.mean(np.abs(numbers) < 1) - 0.6827) < 0.02  # 0.675 for the sum of four
    assert abs(np.corrcoef(numbers[:-1].ravel(), numbers[1:].ravel())[0, 1]) < 0.02


@given(shapes, kinds, margins)
def test_load_image(shape, kind, margins):
    pixels = image(shape, kind)
    assert_array_equal(loaded(pixels, margins), standardised(pixels))


@given(shapes, kinds, margins, simple_warps)
def test_load_warped_image(shape, kind, margins, warp):
    pixels = image(shape, kind)
    assert_array_equal(loaded(pixels, margins, warp), warped(pixels, warp))


@pytest.mark.parametrize("kind", [np.uint8, np.float32])
def test_without_a_warp_it_is_loaded_as_it_is_to_the_bit(kind):
    pixels = image((5, 7, 3), kind)
    assert loaded(pixels, (1, 2)).tobytes() == loaded(pixels, (1, 2), IDENTITY).tobytes()


@pytest.mark.parametrize(
    ("warp", "expected"),
    [
        ({}, [[1, 2, 3], [4, 5, 6]]),
        ({"FLIP": 1}, [[3, 2, 1], [6, 5, 4]]),
        ({"DOWN": 1}, [[4, 5, 6], [0, 0, 0]]),
        ({"DOWN": -1}, [[0, 0, 0], [1, 2, 3]]),
        ({"RIGHT": 1}, [[2, 3, 0], [5, 6, 0]]),
        ({"RIGHT": -2}, [[0, 0, 1], [0, 0, 4]]),
        ({"FLIP": 1, "RIGHT": 1}, [[2, 1, 0], [5, 4, 0]]),  # mirrored, then shifted
        ({"CUT_TOP": 0, "CUT_LEFT": 1, "CUT_BOTTOM": 1, "CUT_RIGHT": 3}, [[1, 0, 0], [4, 5, 6]]),
        ({"RIGHT": 1, "CUT_TOP": 1, "CUT_BOTTOM": 2, "CUT_RIGHT": 1}, [[2, 3, 0], [0, 6, 0]]),  # cut out of the result
        ({"CUT_TOP": 1, "CUT_BOTTOM": 1, "CUT_RIGHT": 3}, [[1, 2, 3], [4, 5, 6]]),
        ({"COSINE": -2 * ONE}, [[6, 5, 4], [3, 2, 1]]),  # half a turn
        ({"CONTRAST": ONE, "BRIGHTNESS": -ONE}, [[1, 3, 5], [7, 9, 11]]),
        ({"CONTRAST": ONE, "RIGHT": 1}, [[4, 6, 0], [10, 12, 0]]),  # the outside stays
    ],
)
def test_by_hand(warp, expected):
    pixels = np.array([[1, 2, 3], [4, 5, 6]], np.float32)
    found = loaded(pixels[:, :, None], (0, 0), IDENTITY | warp, of_channels=([0], [1]))
    assert_array_equal(found[:, :, 0], expected)


@pytest.mark.parametrize("name", ["DOWN", "RIGHT"])
@pytest.mark.parametrize("shift", [4, -4, 5, 2**40, -(2**40)])
def test_shifted_out_of_sight(name, shift):
    found = loaded(image((4, 4, 2), np.uint8), (1, 1), IDENTITY | {name: shift})
    assert_array_equal(found, 0)


def test_a_rectangle_is_cut_no_further_than_the_image():
    far = {"CUT_TOP": -(2**40), "CUT_LEFT": -(2**40), "CUT_BOTTOM": 2**40, "CUT_RIGHT": 2**40}
    assert_array_equal(loaded(image((4, 5, 2), np.uint8), (2, 1), IDENTITY | far), 0)


def test_a_nan_shows_where_it_is_and_nowhere_else():
    pixels = image((4, 4, 2), np.float32)
    pixels[1, 2, 0] = np.nan
    found = loaded(pixels, (0, 0), IDENTITY | {"FLIP": 1, "DOWN": 1, "RIGHT": -1})
    assert_array_equal(np.argwhere(np.isnan(found)), [[0, 2, 0]])


@given(small, small, st.integers(1, 4), st.sampled_from(["uint8", "float32"]), st.integers(0, 9), st.integers(0, 5))
def test_images_are_standardised_into_their_places(rows, columns, depth, dtype, space_behind, space_between):
    rng = np.random.default_rng(rows)
    x = rng.integers(0, 256, (6, rows, columns, depth)).astype(dtype)
    mean, scale = rng.random(depth).astype(np.float32), rng.random(depth).astype(np.float32)
    indices = np.array([5, 0, 0, 3])
    y_depth = depth + space_between
    y_row, size = columns * y_depth + space_behind, rows * (columns * y_depth + space_behind) + 3
    memory = Memory(fill=77)
    at = memory.put(np.full(4 * size, 77))
    memory = memory.array()
    expected = memory.copy()
    for sample, pixels in enumerate((x[indices] - mean) * scale):
        for i, j, c in np.ndindex(rows, columns, depth):
            expected[at + sample * size + i * y_row + j * y_depth + c] = pixels[i, j, c]
    numbers = {"rows": rows, "columns": columns, "depth": depth, "y_row": y_row, "y_depth": y_depth}
    run(
        [(Op.LOAD_IMAGES, {"y": (Space.BATCH, at, size)}, numbers)],
        memory,
        samples=4,
        micro_batch=3,
        mean=mean,
        scale=scale,
        source=Images(x, (rows, columns, depth)).source(indices),
    )
    assert_allclose(memory, expected, rtol=1e-6)
