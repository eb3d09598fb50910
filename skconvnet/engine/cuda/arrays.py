"""Arrays on the device, found by name and freed together."""

import weakref

__all__ = ["DeviceArrays"]


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
        self.free = weakref.finalize(self, _free, driver, self.addresses)

    def __getitem__(self, name):
        return self.addresses[name]

    def allocate(self, name, n_bytes):
        """Allocate memory under a name, in place of what had that name, and return its address.

        Raises
        ------
        MemoryError
            If the device has not enough memory.
        """
        self.release(name)
        self.addresses[name] = self._driver.allocate(n_bytes)
        return self.addresses[name]

    def put(self, name, array):
        """Allocate memory for a C-contiguous array, upload it, and return its address."""
        address = self.allocate(name, array.nbytes)
        self._driver.upload(address, array)
        return address

    def release(self, name):
        """Free the array of this name, if there is one."""
        if name in self.addresses:
            self._driver.free(self.addresses.pop(name))


def _free(driver, addresses):
    while addresses:
        driver.free(addresses.popitem()[1])
