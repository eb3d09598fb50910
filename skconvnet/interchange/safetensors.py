"""Files of safetensors: named arrays, and a header of texts. There is nothing in them that could be executed."""

import json
from operator import itemgetter

import numpy as np

from skconvnet.interchange.weights import WeightsFile, as_float32

__all__ = ["read_safetensors", "write_safetensors"]

_DTYPES = {"F64": "<f8", "F32": "<f4", "F16": "<f2", "BF16": "bf16", "BOOL": "?"}
_DTYPES |= {f"{kind}{bits}": f"<{kind.lower()}{bits // 8}" for kind in "IU" for bits in (8, 16, 32, 64)}


def read_safetensors(data):
    """Read the content of a file.

    Parameters
    ----------
    data : bytes
        The content.

    Returns
    -------
    WeightsFile

    Raises
    ------
    ImportError
        If the library safetensors is not installed.
    ValueError
        If the content is not that of such a file, or if it has numbers of a type that NumPy does not have.

    Examples
    --------
    >>> data = write_safetensors({"mean": np.zeros(3, np.float32)}, {"author": "me"})
    >>> read_safetensors(data)
    WeightsFile(arrays={'mean': array([0., 0., 0.], dtype=float32)}, metadata={'author': 'me'})
    """
    library = _library()
    try:
        found = library.deserialize(data)
    except library.SafetensorError as error:
        raise ValueError(f"it is damaged, or no file of safetensors ({error}).") from error
    arrays = {name: _array(name, **entry) for name, entry in sorted(found, key=itemgetter(0))}
    size = int.from_bytes(data[:8], "little")
    metadata = json.loads(data[8 : 8 + size]).get("__metadata__") or {}  # the library has checked it, and allows null
    return WeightsFile(arrays, metadata)


def write_safetensors(arrays, metadata):
    """Return the content of a file.

    Parameters
    ----------
    arrays : dict of str to ndarray of float32
        The arrays.
    metadata : dict of str to str
        The texts of the header.

    Returns
    -------
    bytes

    Raises
    ------
    ImportError
        If the library safetensors is not installed.
    """
    _library()
    from safetensors.numpy import save

    return save({name: np.ascontiguousarray(array, np.float32) for name, array in arrays.items()}, metadata)


def _array(name, shape, dtype, data):
    if dtype not in _DTYPES:
        raise ValueError(
            f"{name} has numbers of the type {dtype}, and F64, F32, F16 and BF16 are read. Convert them to one of "
            "these."
        )
    return as_float32(data, _DTYPES[dtype]).reshape(shape)


def _library():
    try:
        import safetensors
    except ImportError as error:
        raise ImportError(
            "Files of .safetensors need safetensors, which is not installed: pip install safetensors"
        ) from error
    return safetensors
