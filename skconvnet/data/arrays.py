"""Arrays of other libraries, read as NumPy arrays."""

import numpy as np


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
        return _from_dlpack(array)
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
