"""Images that a function changes, a minibatch at a time."""

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from skconvnet.engine.changed import ChangedImages
from skconvnet.engine.images import Images, PixelSource

BATCHES = [np.array([4, 0, 2]), np.array([1]), np.array([3, 3])]
STEPS = [7, 8, 9]


class Source(PixelSource):
    """An array that is read as files are."""

    def __init__(self, pixels):
        super().__init__(pixels.shape, pixels.dtype)
        self._pixels = pixels

    def read(self, indices):
        return self._pixels[indices]


def pixels(dtype=np.uint8):
    return np.arange(60).reshape(5, 2, 3, 2).astype(dtype)


def change(step, images):
    """Depends on the step, and on the minibatch as a whole."""
    return images * np.float64(step) + images.sum()


EXPECTED = np.concatenate(
    [change(step, pixels(int)[batch]) for step, batch in zip(STEPS, BATCHES, strict=True)]
).astype(np.float32)


@pytest.mark.parametrize(
    "given", [pixels(), pixels(">f8"), np.asfortranarray(pixels()), pixels().reshape(5, 12), Source(pixels())]
)
def test_each_minibatch_is_changed_whatever_is_read_of_it(given):
    source = ChangedImages(Images(given, (2, 3, 2)), BATCHES, STEPS, change)
    assert (source.shape, source.dtype) == ((6, 2, 3, 2), np.float32)
    for which in (slice(None), slice(2, 5), np.array([5, 0, 3, 0]), np.zeros(0, int)):
        assert_array_equal(source[which], EXPECTED[which])
    assert_array_equal(Images(source, (2, 3, 2)).rows(slice(1, 4)), EXPECTED[1:4].reshape(3, -1))


@pytest.mark.parametrize("make", [np.array, Source])
def test_the_function_gets_a_copy_in_the_dtype_of_the_images(make):
    given = make(pixels(np.int16))
    asked = []

    def overwrite(step, images):
        asked.append((step, images.shape, images.dtype))
        images[...] = 0
        return images

    source = ChangedImages(Images(given, (2, 3, 2)), BATCHES, STEPS, overwrite)
    assert_array_equal(source[3:6], 0)
    assert asked == [(8, (1, 2, 3, 2), np.int16), (9, (2, 2, 3, 2), np.int16)]
    assert_array_equal(given[:], pixels())
