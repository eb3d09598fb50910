"""The pixels of the images on the device: all of them, or those of a few steps at a time.

Images that fit go up once, as uint8 or float32, and a minibatch is a list of their numbers. Larger sets stream through
two buffers: one is filled while the steps that use the other are running.
"""

import math

import numpy as np

from skconvnet.engine.cuda.arrays import when_free

__all__ = ["DevicePixels"]

_CHUNK_PIXELS = 1 << 24  # converted and uploaded at a time
_KEPT_BYTES = 1 << 24  # of memory for images that are kept for the next ones
_SHARE = 0.75  # of the free memory: what images may take


class DevicePixels:
    """Pixels in the memory of the device, in an array named "pixels".

    Parameters
    ----------
    driver : Driver
        The device.
    arrays : DeviceArrays
        Where the memory is taken.

    Attributes
    ----------
    address : int
        Where the pixels begin.
    is_bytes : int
        1 if the pixels are uint8, 0 if they are float32.
    """

    def __init__(self, driver, arrays):
        self._driver, self._arrays = driver, arrays
        self._images = None
        self._half = 0  # images in one of two buffers; 0 if all images are on the device
        self.address = 0
        self.is_bytes = 0

    def hold(self, images, n_least, n_most):
        """Upload the images if the device has room for them, else make two buffers; what is there is used in place.

        Parameters
        ----------
        images : Images
            All images. If they are those of the call before, nothing is done.
        n_least, n_most : int
            Images that a buffer has room for: at least those of a minibatch, at most those of a table of steps.

        Raises
        ------
        MemoryError
            If not even two buffers of `n_least` images fit.
        """
        if images is self._images:
            return
        self.forget()
        there = images.on_device
        is_bytes = images.are_bytes if there is None else there.dtype == np.uint8
        self._dtype, self.is_bytes = (np.uint8, 1) if is_bytes else (np.float32, 0)
        if there is not None:
            self._images, self._half, self.address = images, 0, there.address
            return
        self._image_bytes = math.prod(images.shape) * np.dtype(self._dtype).itemsize
        n_places = when_free(lambda: self._allocate(len(images), n_least, n_most))
        if n_places == len(images):
            self._half = 0
            for indices in images.chunks(max(1, _CHUNK_PIXELS // math.prod(images.shape))):
                self._upload(images, slice(indices[0], indices[-1] + 1), int(indices[0]))
        else:
            self._half = n_places // 2
        self._images = images

    def _allocate(self, n_images, n_least, n_most):
        """Allocate room for as many images as possible, and return how many: all of them, or those of two buffers."""
        n_fit = int(_SHARE * self._driver.memory()[0]) // self._image_bytes
        half, rooms = max(n_least, min(n_most, n_fit // 2, n_images // 4)), []
        if n_images <= max(n_fit, 2 * n_least):
            rooms.append(n_images)
        while 2 * half < n_images:
            rooms.append(2 * half)
            if half == n_least:
                break
            half = max(n_least, half // 2)
        for n_places in rooms:  # other processes may have taken the memory since it was asked for
            try:
                self.address = self._arrays.allocate("pixels", n_places * self._image_bytes)
                return n_places
            except MemoryError:
                if n_places == rooms[-1]:
                    raise

    @property
    def n_places(self):
        """The images that two buffers have room for; 0 if all images are on the device."""
        return 2 * self._half

    def has(self, images):
        """Return whether these are the images of the last `hold`."""
        return images is self._images

    @property
    def most(self):
        """The most images that `place` can take at a time."""
        return self._half or math.inf

    def place(self, indices, turn):
        """Return the numbers by which kernels find some images, which are uploaded if they are not on the device.

        Parameters
        ----------
        indices : ndarray of int64, (m,)
            The images; m is at most `most`.
        turn : int
            Counts the calls; the images of the turn before stay where they are.

        Returns
        -------
        ndarray of int64, (m,)
        """
        if self._half == 0:
            return indices
        first = self._half * (turn % 2)
        self._upload(self._images, indices, first)
        return first + np.arange(len(indices))

    def forget(self):
        """Forget the images. Their memory is freed, unless it is little and may do for others."""
        self._images = None
        self._arrays.release_large("pixels", _KEPT_BYTES)

    def _upload(self, images, which, first):
        """Upload some images behind the first `first` ones of the buffer."""
        self._driver.upload(self.address + first * self._image_bytes, images.rows(which, self._dtype))
