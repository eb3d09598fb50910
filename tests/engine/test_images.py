"""Images: arrays read in place, converted arrays, statistics, and pixels that float32 cannot compute with."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from skconvnet.engine import Images, PixelSource
from skconvnet.engine.images import pixel_limit

SHAPE = (3, 4, 2)


@pytest.fixture
def pixels():
    return np.random.default_rng(0).integers(0, 256, (11, *SHAPE)).astype(np.uint8)


def chosen(source):
    """The images of a source."""
    pixels, rows = source
    return pixels[rows]


@pytest.mark.parametrize("dtype", ["uint8", "float32", "float64", "int16", "bool", ">f4", "float16"])
@pytest.mark.parametrize("order", ["C", "F", "strided", "rows"])
def test_a_source_has_the_images_of_the_minibatch(pixels, dtype, order):
    x = pixels.astype(dtype)
    x = {"C": x, "F": np.asfortranarray(x), "strided": np.repeat(x, 2, 2)[:, :, ::2], "rows": x.reshape(11, -1)}[order]
    indices = np.array([10, 0, 3, 3])
    read, rows = source = Images(x, SHAPE).source(indices)
    assert_array_equal(chosen(source), pixels.astype(dtype).reshape(11, -1)[indices])
    is_direct = dtype == "uint8" and order in ("C", "rows")
    assert (read.dtype, rows.dtype) == (np.uint8 if is_direct else np.float32, np.int64)
    assert read.flags.c_contiguous


@pytest.mark.parametrize("dtype", ["uint8", "float32"])
def test_direct_arrays_are_not_copied(pixels, dtype, tmp_path):
    x = pixels.astype(dtype)
    np.save(tmp_path / "x.npy", x)
    for direct in (x, x.reshape(11, -1), np.load(tmp_path / "x.npy", mmap_mode="r")):
        images = Images(direct, SHAPE)
        assert images.is_direct
        read, _ = images.source(np.arange(2))
        assert np.shares_memory(read, direct)
        assert images.source(np.arange(3))[0] is read  # whose address is known


@pytest.mark.parametrize("dtype", ["float64", "int64", ">f4"])
def test_other_arrays_are_converted_one_minibatch_at_a_time(pixels, dtype):
    made = Images(pixels.astype(dtype), SHAPE)
    assert not made.is_direct
    assert not Images(pixels[::2], SHAPE).is_direct
    assert len(made.source(np.array([7, 8]))[0]) == 2


def test_chunks_are_consecutive(pixels):
    made = Images(pixels, SHAPE)
    assert len(made) == 11
    assert [chunk.tolist() for chunk in made.chunks(4)] == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9, 10]]
    assert [chunk.tolist() for chunk in made.chunks(100)] == [list(range(11))]


class OfArray(PixelSource):
    """The images of an array, which are copied whenever they are read."""

    def __init__(self, pixels):
        super().__init__(pixels.shape, pixels.dtype)
        self._pixels = pixels

    def read(self, indices):
        return self._pixels[indices]


@pytest.mark.parametrize("dtype", ["uint8", "float64"])
def test_images_that_are_no_array(pixels, dtype):
    pixels = pixels.astype(dtype)
    source, indices = OfArray(pixels), np.array([10, 0, 3, 3])
    images, direct = Images(source, SHAPE), Images(pixels, SHAPE)
    assert not images.is_direct
    assert images.are_bytes == (dtype == "uint8")
    for which in (indices, slice(2, 9, 3), slice(None), pixels[:, 0, 0, 0] > 9):
        assert_array_equal(source[which], pixels[which])
    assert_array_equal(source[4], pixels[4])
    assert_array_equal(chosen(images.source(indices)), pixels.reshape(11, -1)[indices])
    assert_array_equal(images.statistics(np.arange(11), 50), direct.statistics(np.arange(11), 50))
    with pytest.raises(NotImplementedError):
        PixelSource((3, 4), np.uint8)[:1]


@pytest.mark.parametrize("is_source", [False, True])
def test_taken_images(pixels, is_source):
    images = Images(OfArray(pixels) if is_source else pixels, SHAPE, largest=255)
    for which in (np.array([10, 0, 3, 3]), slice(4, None)):
        taken = images.take(which)
        assert_array_equal(taken.pixels[:], pixels[which])
        assert_array_equal(taken.take(np.array([2, 1])).pixels[:], pixels[which][[2, 1]])
        assert (taken.shape, taken.largest, len(taken)) == (SHAPE, 255, len(pixels[which]))
        assert isinstance(taken.pixels, PixelSource) == is_source


# -- Statistics --------------------------------------------------------------------------------------------------------


def test_statistics_are_those_of_each_channel(pixels):
    mean, scale = Images(pixels, SHAPE).statistics()
    assert_allclose(mean, pixels.mean(axis=(0, 1, 2)), rtol=1e-6)
    assert_allclose(1 / scale, pixels.std(axis=(0, 1, 2)), rtol=1e-6)
    assert mean.dtype == scale.dtype == np.float32
    assert mean.shape == scale.shape == (2,)


@pytest.mark.parametrize("chunk", [1, 24, 100, 1 << 20])
def test_statistics_of_large_sets_are_taken_chunk_by_chunk(pixels, chunk):
    mean, scale = Images(pixels, SHAPE).statistics(chunk_pixels=chunk)
    assert_allclose(mean, pixels.mean(axis=(0, 1, 2)), rtol=1e-6)
    assert_allclose(1 / scale, pixels.std(axis=(0, 1, 2)), rtol=1e-6)


def test_statistics_have_the_same_bits_in_every_form(pixels):
    expected = [statistic.tobytes() for statistic in Images(pixels, SHAPE).statistics()]
    forms = [pixels.astype(dtype) for dtype in ("float32", "float64", "int64", ">f4", "float16")]
    forms += [np.asfortranarray(pixels), pixels.reshape(11, -1), np.asfortranarray(pixels.reshape(11, -1), float)]
    for form in forms:
        assert [statistic.tobytes() for statistic in Images(form, SHAPE).statistics()] == expected


def test_a_constant_channel_has_scale_one(pixels):
    for value in (0, 200):
        pixels[..., 1] = value
        mean, scale = Images(pixels, SHAPE).statistics()
        assert mean[1] == value
        assert scale[1] == 1


def test_a_small_deviation_around_a_large_mean():
    x = 1e6 + np.random.default_rng(0).standard_normal((500, 4, 4, 1))
    mean, scale = Images(x, (4, 4, 1)).statistics()
    stored = x.astype(np.float32).astype(float)
    assert_allclose(mean, stored.mean(), rtol=1e-7)
    assert_allclose(1 / scale, stored.std(), rtol=1e-5)


# -- Weighted statistics -----------------------------------------------------------------------------------------------


def bits(statistics):
    return [statistic.tobytes() for statistic in statistics]


@pytest.mark.parametrize("weights", [None, np.ones(11), np.full(11, 0.3, np.float32)], ids=["none", "ones", "equal"])
def test_equal_weights_give_the_same_bits_as_none(pixels, weights):
    assert bits(Images(pixels, SHAPE).statistics(weights)) == bits(Images(pixels, SHAPE).statistics())


@pytest.mark.parametrize("chunk", [1, 24, 100, 1 << 20])
def test_weighted_statistics_are_those_of_repeated_images(pixels, chunk):
    counts = np.array([0, 0, 0, 0, 0, 2, 1, 0, 5, 1, 3])  # whole chunks without weight at the beginning
    expected = Images(np.repeat(pixels, counts, axis=0), SHAPE).statistics()
    for weights in (counts, (counts / 5).astype(np.float32)):
        assert_allclose(Images(pixels, SHAPE).statistics(weights, chunk), expected, rtol=1e-6)


@pytest.mark.parametrize("dtype", ["uint8", "float32", "int64", "float16"])
def test_images_of_weight_zero_are_ignored(pixels, dtype):
    weights = np.arange(11) % 3 / 2
    there = weights > 0
    expected = bits(Images(pixels[there].astype(float), SHAPE).statistics(weights[there]))
    pixels[~there] = 255
    assert bits(Images(pixels.astype(dtype), SHAPE).statistics(weights)) == expected


def test_a_channel_that_is_constant_in_weighted_images_has_scale_one(pixels):
    weights = np.linspace(0, 1, 11)
    pixels[1:, ..., 1] = 77
    mean, scale = Images(pixels, SHAPE).statistics(weights)
    assert (mean[1], scale[1]) == (77, 1)


# -- What float32 cannot compute with ----------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["float64", "int64", ">f8"])
@pytest.mark.parametrize("chunk", [1, 1 << 20])
def test_a_channel_that_is_constant_in_float32_alone_is_refused(pixels, dtype, chunk):
    x = pixels.astype(dtype)
    x[..., 1] += 10**10
    with pytest.raises(ValueError, match=r"The pixels of X in channel 1 are between 1000000000\d\.0 and"):
        Images(x, SHAPE).statistics(chunk_pixels=chunk)
    weights = np.arange(11) == 0
    x[0, ..., 1] = 10**10
    assert Images(x, SHAPE).statistics(weights, chunk)[1][1] == 1


def test_a_small_variation_that_float32_represents_is_a_constant_in_every_form(pixels):
    x = (1e8 + 8 * (pixels % 3)).astype(np.float32)
    statistics = Images(x, SHAPE).statistics()
    assert statistics[1].tolist() == [1, 1]
    assert bits(Images(x.astype(np.float64), SHAPE).statistics()) == bits(statistics)
    assert bits(Images(x.astype(np.int64), SHAPE).statistics()) == bits(statistics)


def test_variations_that_are_rounding_errors_are_a_constant(pixels):
    x = pixels.astype(np.float64)
    for constant in (0.1, 1e-40, 0.0):
        x[..., 1] = constant * (1 + 1e-15 * pixels[..., 1])
        assert Images(x, SHAPE).statistics()[1][1] == 1


@pytest.mark.parametrize("chunk", [5, 1 << 20])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_pixel_too_far_from_the_mean_is_named(pixels, dtype, chunk):
    mean, scale = np.array([3, -4], np.float32), np.array([1, 1e10], np.float32)
    x = pixels.astype(dtype)
    Images(x, SHAPE).check_standardised(mean, scale, chunk_pixels=chunk)
    x[:, 0, 0, 0] = 1e6  # far in the other channel
    x[7, 2, 1, 1] = 1e6
    for form, place in ((x, "7, 2, 1, 1"), (x.reshape(11, -1), "7, 19"), (np.asfortranarray(x), "7, 2, 1, 1")):
        with pytest.raises(ValueError, match=rf"^X_val\[{place}\] is 1e\+06\. The training pixels have mean -4 and"):
            Images(form, SHAPE).check_standardised(mean, scale, "X_val", chunk)


@pytest.mark.parametrize("mean", [0, 1e-3, -5, 1e30, -3e38])
@pytest.mark.parametrize("scale", [1e-38, 1e-20, 1, 1e20, 1e37])
def test_pixels_up_to_the_limit_are_safe_and_pixels_far_above_are_not(mean, scale):
    mean, scale = np.array([mean, 0], np.float32), np.array([scale, 1e-30], np.float32)
    limit = pixel_limit(mean, scale)
    if limit <= 0:  # the mean itself may be too far from zero: every image is checked
        return
    for pixel in (0.999 * limit, -0.999 * limit):
        x = np.full((1, 2), pixel)
        Images(x, (1, 1, 2)).check_standardised(mean, scale)
        assert np.isfinite((x.astype(np.float32) - mean) * scale).all()
    with pytest.raises(ValueError, match=r"^X\[0, 0\] is"):
        Images(np.full((1, 2), 3 * (limit + 2 * abs(float(mean[0])))), (1, 1, 2)).check_standardised(mean, scale)


@pytest.mark.parametrize("dtype", ["uint8", "float64"])
@pytest.mark.parametrize("order", ["C", "F", "rows"])
def test_mirrored_images_have_left_and_right_exchanged(pixels, dtype, order):
    x = pixels.astype(dtype)
    x = {"C": x, "F": np.asfortranarray(x), "rows": x.reshape(11, -1)}[order]
    mirrored, indices = Images(x, SHAPE, largest=255.0).mirrored(), np.array([10, 0, 3, 3])
    assert (len(mirrored), mirrored.shape, mirrored.largest) == (11, SHAPE, 255.0)
    assert mirrored.are_bytes == (dtype == "uint8")
    assert_array_equal(chosen(mirrored.source(indices)), pixels[indices, :, ::-1].reshape(4, -1))
    assert_array_equal(mirrored.take(slice(2, 4)).mirrored().rows(np.arange(2)), pixels[2:4].reshape(2, -1))
