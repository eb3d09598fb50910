import math
import os
import pickle
import zipfile
from collections import OrderedDict

import numpy as np
import pytest

from skconvnet.interchange.pytorch import read_pytorch
from skconvnet.interchange.safetensors import read_safetensors
from tests.estimators.quick import refused
from tests.interchange import torch_files
from tests.interchange.torch_pickles import MAGIC, PROTOCOL, SYSTEM, archive, described, old_file

SIX = np.arange(6, dtype="<f4").tobytes()


@pytest.mark.parametrize("new", [True, False], ids=["archive", "old"])
def test_arrays_are_those_of_pytorch(in_torch, tmp_path, new):
    expected = in_torch(torch_files.save, tmp_path / "arrays.pth", new)
    found = read_pytorch((tmp_path / "arrays.pth").read_bytes()).arrays
    assert found.keys() == expected.keys()
    for name, array in expected.items():
        assert found[name].dtype == array.dtype
        assert np.array_equal(found[name], array)


@pytest.mark.parametrize("name", ["state_dict", "model"])
def test_a_checkpoint_has_the_arrays_of_its_network(in_torch, tmp_path, name):
    in_torch(torch_files.save_checkpoint, tmp_path / "checkpoint.pt", name)
    assert read_pytorch((tmp_path / "checkpoint.pt").read_bytes()).arrays.keys() == {"fc.weight", "fc.bias"}


def test_strides_are_followed():
    assert read_pytorch(archive(described(x={}), {"0": SIX})).arrays["x"].tolist() == [[0, 1, 2], [3, 4, 5]]
    turned = archive(described(x={"shape": (3, 2), "strides": (1, 3)}), {"0": SIX})
    assert read_pytorch(turned).arrays["x"].tolist() == [[0, 3], [1, 4], [2, 5]]


@pytest.mark.parametrize(
    "wrong",
    [
        {"offset": 1},
        {"offset": -1},
        {"strides": (4, 1)},
        {"strides": (-3, 1)},
        {"shape": (2, 4)},
        {"shape": (2, 2**40), "strides": (0, 0)},
        {"shape": (2**62, 2**62, 0), "strides": (2**62, 1, 1)},
        {"shape": (2, 3, 1)},
        {"n": 7},
        {"n": 2**61},
        {"n": -1},
        {"key": "1"},
        {"storage": b"torch DoubleStorage"},
    ],
)
def test_no_array_leaves_its_storage(wrong):
    with pytest.raises(ValueError, match=r"the array 'x'|the storage '0'|the pickle|its pickle|damaged"):
        read_pytorch(archive(described(x=wrong), {"0": SIX}))


class Harmful:
    def __reduce__(self):
        return os.mkdir, ("/tmp/never-made-by-skconvnet",)


@pytest.mark.parametrize("protocol", range(1, 5))
def test_nothing_that_a_pickle_names_is_called(protocol):
    for content in (Harmful(), {"x": Harmful()}):
        with refused("its pickle names 'posix.mkdir', which is not loaded"):
            read_pytorch(archive(pickle.dumps(content, protocol)))
    assert not os.path.exists("/tmp/never-made-by-skconvnet")


def test_what_is_refused_is_converted_by_the_line_in_the_error(in_torch, tmp_path):
    with refused("PyTorch converts it") as error:
        read_pytorch(archive(pickle.dumps(Harmful())))
    for before, converted in in_torch(torch_files.save_and_convert, tmp_path / "file.pth", str(error.value)):
        with refused("its pickle names"):
            read_pytorch(before)
        assert read_safetensors(converted).arrays.keys() == {"fc.weight", "fc.bias"}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"x": math.nan, "y": [1, (2, 3), "a", None, True]}, "it has no dictionary of arrays"),
        ({(1, 2): 3}, "keys are neither texts nor numbers"),
        (OrderedDict(a=1), "it has no dictionary of arrays"),
        ({1, 2}, "its pickle has the instruction EMPTY_SET"),
        (b"PK", "it has no dictionary of arrays"),
    ],
)
def test_other_things_are_refused(content, message):
    with refused(message):
        read_pytorch(archive(pickle.dumps(content, 4)))


@pytest.mark.parametrize(
    "data",
    [
        b"PK",
        archive(b""),
        archive(b"\x80\x02."),
        archive(b"\x80\x02t."),
        archive(b"\x80\x02h\x07."),
        archive(b"\x80\x02K\x01K\x02\x93."),
        archive(b"\x80\x02\x8e\xff\xff\xff\xff\xff\xff\xff\x7f"),
        archive(described(x={}), {"0": SIX}, zipfile.ZIP_DEFLATED),
        archive(described(x={}), {"0": SIX}, byteorder=b"big"),
        archive(described(x={}), {"0": SIX})[:-40],
        archive(b"\x80\x02r\xff\xff\xff\xff."),
        pickle.dumps(3, 2),
        b"".join(pickle.dumps(part, 2) for part in (MAGIC, PROTOCOL, {"little_endian": False})),
        b"".join(pickle.dumps(part, 2) for part in (MAGIC, PROTOCOL, SYSTEM, {}, ["0"])),
        b"".join(
            [*(pickle.dumps(part, 2) for part in (MAGIC, PROTOCOL, SYSTEM)), described(), pickle.dumps(["0"], 2), SIX]
        ),
    ],
)
def test_damaged_files_are_refused(data):
    with pytest.raises(ValueError, match=r"^(it|its|'data.pkl'|the storage '0'|pickle|expected|not enough) "):
        read_pytorch(data)


NESTED = b"".join(b"](h%ch%ceq%c" % (n, n, n + 1) for n in range(60))  # 2**60 texts


@pytest.mark.parametrize("end", [b"\x93", b"h\x3c\x93"])
def test_what_is_named_by_nested_lists_is_refused_at_once(end):
    with refused("its pickle names something by other things than texts"):
        read_pytorch(archive(b"\x80\x02X\x01\x00\x00\x00aq\x00" + NESTED + end + b"."))


def test_the_keys_of_an_old_file_are_texts():
    with refused("it has a storage whose key is no text"):
        read_pytorch(b"".join(pickle.dumps(part, 2) for part in (MAGIC, PROTOCOL, SYSTEM, {}, [("0",)])))


def test_a_shape_is_a_short_tuple():
    long = described(x={"shape": (1,) * 9, "strides": (1,) * 9})
    listed = described(x={"shape": (), "strides": ()}).replace(b"(t", b"]")
    for pickled in (long, listed):
        with refused("whose shape or strides are no tuple of up to 8"):
            read_pytorch(archive(pickled, {"0": SIX}))


def test_a_pickle_has_a_bounded_number_of_instructions(monkeypatch):
    monkeypatch.setattr("skconvnet.interchange.pytorch._MOST_STEPS", 100)
    with refused("its pickle has more than 100 instructions"):
        read_pytorch(archive(b"\x80\x02" + b"(" * 200))


def test_arrays_are_not_larger_than_the_file():
    pickled = described(x={}, y={}, z={})
    with refused("its arrays overlap"):
        read_pytorch(archive(pickled, {"0": SIX}))


def test_an_old_file_by_hand():
    data = old_file(described(x={}), {"0": SIX})
    assert read_pytorch(data).arrays["x"].tolist() == [[0, 1, 2], [3, 4, 5]]
    with refused("the storage '0' has another length than the pickle says"):
        read_pytorch(data[:-1])
