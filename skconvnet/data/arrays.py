"""Arrays of other libraries, read as NumPy arrays."""

import numpy as np

_CPU = 1  # kDLCPU of DLPack
_COPIES_TO_CPU = ("cpu", "get")  # of PyTorch, CuPy


def as_numpy(array, name):
    """Convert an array that supports DLPack, such as a PyTorch tensor, to an ndarray.

    Memory on the CPU is shared; an array on a GPU is copied.

    Parameters
    ----------
    array : object
        Anything. An object without DLPack, or an ndarray, is returned unchanged.
    name : str
        What the error calls it.

    Returns
    -------
    ndarray or object

    Raises
    ------
    ValueError
        If NumPy cannot read the array.
    """
    if isinstance(array, np.ndarray) or not hasattr(array, "__dlpack__"):
        return array
    try:
        on_cpu = _on_cpu(array)
        return on_cpu if isinstance(on_cpu, np.ndarray) else _from_dlpack(on_cpu)
    except (BufferError, RuntimeError, TypeError, ValueError) as error:
        raise ValueError(
            f"{name} is a {type(array).__name__} that cannot be read as an ndarray ({error}). Bring it to the CPU, "
            "detached from any gradient, in a dtype that NumPy has."
        ) from error


def _from_dlpack(array):
    """Ask for memory on the CPU; older versions of DLPack cannot be asked, and are read as they are."""
    try:
        return np.from_dlpack(array, device="cpu")
    except TypeError:
        return np.from_dlpack(array)


def _on_cpu(array):
    """Copy an array of a GPU to the CPU by its own method, where it has one: not every DLPack can be asked to copy."""
    if array.__dlpack_device__()[0] == _CPU:
        return array
    for name in _COPIES_TO_CPU:
        if hasattr(array, name):
            return getattr(array, name)()
    return array
