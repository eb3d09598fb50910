"""Arrays on the device, found by name and freed together; and how to wait for memory."""

import weakref
from time import monotonic, sleep

__all__ = ["DeviceArrays", "when_free"]

_PATIENCE, _PAUSE = 60.0, 0.25  # seconds that a process waits for memory, and between two attempts

_MOST_TIMES = 4  # that memory may be larger than what is asked for


class DeviceArrays:
    """Memory of a device, which is freed when the object is no longer used.

    Parameters
    ----------
    driver : Driver
        The device.

    Attributes
    ----------
    addresses : dict of str to int
        Where each array begins.
    """

    def __init__(self, driver):
        self._driver = driver
        self.addresses = {}
        self._sizes = {}
        self.free = weakref.finalize(self, _free, driver, self.addresses)

    def __getitem__(self, name):
        return self.addresses[name]

    def allocate(self, name, n_bytes):
        """Allocate memory under a name, in place of what had that name, and return its address.

        What had that name stays where it is if its memory is large enough, and not far too large.

        Raises
        ------
        MemoryError
            If the device has not enough memory.
        """
        if name not in self.addresses or not n_bytes <= self._sizes[name] <= _MOST_TIMES * n_bytes:
            self.release(name)
            self.addresses[name] = self._driver.allocate(n_bytes)
            self._sizes[name] = n_bytes
        return self.addresses[name]

    def put(self, name, array):
        """Allocate memory for a C-contiguous array, upload it, and return its address."""
        address = self.allocate(name, array.nbytes)
        self._driver.upload(address, array)
        return address

    def release_large(self, name, n_bytes):
        """Free the array of this name if it is larger than so many bytes."""
        if self._sizes.get(name, 0) > n_bytes:
            self.release(name)

    def release(self, name):
        """Free the array of this name, if there is one."""
        if name in self.addresses:
            del self._sizes[name]
            self._driver.free(self.addresses.pop(name))


def when_free(allocate):
    """Call a function that allocates memory until it succeeds: other processes of a search may free some.

    Parameters
    ----------
    allocate : callable
        It holds nothing after a MemoryError.

    Raises
    ------
    MemoryError
        If the memory is not free after a minute.
    """
    give_up = monotonic() + _PATIENCE
    while True:
        try:
            return allocate()
        except MemoryError:
            if monotonic() > give_up:
                raise
        sleep(_PAUSE)


def _free(driver, addresses):
    while addresses:
        driver.free(addresses.popitem()[1])
