import json
import sys

import numpy as np
import pytest

from skconvnet.interchange.safetensors import read_safetensors, write_safetensors
from tests.estimators.quick import refused


def file_of(dtype, array):
    """A file with one array, x, written by hand."""
    entry = {"dtype": dtype, "shape": array.shape, "data_offsets": [0, array.nbytes]}
    header = json.dumps({"x": entry}).encode()
    return len(header).to_bytes(8, "little") + header + array.tobytes()


@pytest.mark.parametrize("bits", [16, 32, 64])
def test_every_float_is_read_as_float32(bits):
    array = np.array([[1.5, -2, 65504]], f"f{bits // 8}")
    found = read_safetensors(file_of(f"F{bits}", array)).arrays["x"]
    assert found.dtype == np.float32
    assert np.array_equal(found, array)


def test_bfloat16_is_the_upper_half_of_float32():
    array = np.array([1.0, -3.140625, 2.0**-130, np.inf], np.float32)
    upper = (array.view(np.uint32) >> 16).astype(np.uint16)
    assert np.array_equal(read_safetensors(file_of("BF16", upper)).arrays["x"], array)


def test_whole_numbers_stay_whole_numbers():
    assert read_safetensors(file_of("I8", np.zeros(3, np.int8))).arrays["x"].dtype == np.int8


def test_the_texts_may_be_null():
    data = file_of("F32", np.zeros(3, np.float32))
    header = b'{"__metadata__":null,' + data[9:-12]
    assert read_safetensors(len(header).to_bytes(8, "little") + header + data[-12:]).metadata == {}


def test_types_that_numpy_does_not_have_are_refused_by_name():
    with refused("x has numbers of the type F8_E4M3, and F64, F32, F16 and BF16 are read"):
        read_safetensors(file_of("F8_E4M3", np.zeros(3, np.uint8)))


@pytest.mark.parametrize("change", [lambda data: b"", lambda data: data[:-1], lambda data: b"\xff" + data])
def test_damaged_files_are_refused(change):
    data = write_safetensors({"x": np.zeros(3, np.float32)}, {})
    with refused("it is damaged, or no file of safetensors"):
        read_safetensors(change(data))


def test_a_missing_library_is_an_error_with_the_line_of_pip(monkeypatch):
    monkeypatch.setitem(sys.modules, "safetensors", None)
    with pytest.raises(ImportError, match=r"not installed: pip install safetensors$"):
        write_safetensors({}, {})
