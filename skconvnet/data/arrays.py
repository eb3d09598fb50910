"""Arrays of other libraries, read as NumPy arrays."""

import numpy as np

from skconvnet.engine import OnDevice

_CPU, _CUDA = 1, 2  # kDLCPU and kDLCUDA of DLPack
_PIXELS = ("|u1", "<f4")  # the dtypes that a GPU reads in place, as the CUDA array interface names them
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


def on_first_gpu(array):
    """Return where an array lies in the memory of the first GPU, if kernels can read it there.

    Parameters
    ----------
    array : object
        Anything. The arrays of CuPy and the CUDA tensors of PyTorch have the CUDA array interface, which is read.

    Returns
    -------
    OnDevice or None
        None for what lies elsewhere, is not contiguous, or is neither uint8 nor float32.
    """
    found = getattr(array, "__cuda_array_interface__", None)
    if found is None or array.__dlpack_device__() != (_CUDA, 0):
        return None
    if found["typestr"] not in _PIXELS or found.get("strides") is not None or found.get("mask") is not None:
        return None
    return OnDevice(found["data"][0], np.dtype(found["typestr"]), array)


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
