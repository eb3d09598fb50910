"""Images as a function changes them, a minibatch at a time, before the machine reads them."""

import numpy as np

from skconvnet.engine.images import PixelSource

__all__ = ["ChangedImages"]


class ChangedImages(PixelSource):
    """The images of some training steps, one minibatch after the other, each minibatch as a function changes it.

    Nothing is kept: a minibatch is read, changed and converted to float32 whenever one of its images is read.

    Parameters
    ----------
    images : Images
        All training images.
    batches : sequence of ndarray of int64, (m,)
        The images of each minibatch.
    steps : sequence of int
        The number of each step.
    change : callable
        ``change(step, pixels)`` returns the changed images of a minibatch. It gets a copy of their pixels, of shape
        (m, height, width, channels) and in the dtype of the images. The same step and pixels give the same result.

    Examples
    --------
    >>> import numpy as np
    >>> from skconvnet.engine.images import Images
    >>> images = Images(np.arange(8, dtype=np.uint8).reshape(4, 2), (1, 2, 1))
    >>> batches = [np.array([3, 0]), np.array([1])]
    >>> ChangedImages(images, batches, [1, 2], lambda step, pixels: pixels * 10.0 * step)[:].reshape(3, 2)
    array([[60., 70.],
           [ 0., 10.],
           [40., 60.]], dtype=float32)
    """

    def __init__(self, images, batches, steps, change):
        self._ends = np.cumsum([len(batch) for batch in batches])
        super().__init__((int(self._ends[-1]), *images.shape), np.float32)
        self._images, self._batches, self._steps, self._change = images, batches, steps, change

    def read(self, indices):
        """Return some of the images, as `PixelSource.read`."""
        pixels = np.empty((len(indices), *self.shape[1:]), self.dtype)
        numbers = np.searchsorted(self._ends, indices, side="right")
        for number in np.unique(numbers):
            first = self._ends[number] - len(self._batches[number])
            here = numbers == number
            pixels[here] = self._changed(number)[indices[here] - first]
        return pixels

    def _changed(self, number):
        """Return the images of a minibatch."""
        return self._change(int(self._steps[number]), np.array(self._images.unconverted(self._batches[number])))
