import os
from contextlib import suppress

import numpy as np
import pytest

from skconvnet.interchange.onnx import graph
from skconvnet.interchange.onnx.graph import read_graph
from skconvnet.interchange.onnx.reader import read_onnx
from tests.interchange.onnx import fuzz_onnx
from tests.interchange.onnx.cases import model_of, written

onnx = pytest.importorskip("onnx")

NODES = [("Conv", "x w", "c", {}), ("GlobalMaxPool", "c", "y", {})]
FILTERS = np.arange(8, dtype=np.float32).reshape(2, 1, 2, 2)
CONTENT = FILTERS.tobytes()


def external(folder, location, content=CONTENT, **said):
    """A model whose filters are in another file."""
    model = model_of(NODES, {"w": FILTERS}, shape=("n", 1, 4, 4))
    tensor = model.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = onnx.TensorProto.EXTERNAL
    for key, value in {"location": location, **said}.items():
        tensor.external_data.add(key=key, value=str(value))
    if not os.path.isabs(location) and content is not None:
        (folder / location).write_bytes(content)
    return written(model, folder)


def test_external_data_in_the_folder_are_read(tmp_path):
    path = external(tmp_path, "weights", b"before" + FILTERS.tobytes() + b"after", offset=6, length=32)
    assert np.array_equal(read_onnx(path)[1].coefs[0], FILTERS.transpose(2, 3, 1, 0))


def shared_external(folder, n, location="weights"):
    """A model with n unused tensors more, whose data are those of the filters."""
    path = external(folder, location)
    model = onnx.load(path, load_external_data=False)
    for number in range(n):
        tensor = model.graph.initializer.add()
        tensor.CopyFrom(model.graph.initializer[0])
        tensor.name = f"w{number}"
    return written(model, folder)


def test_tensors_with_the_same_external_data_share_an_array(tmp_path):
    constants = read_graph(shared_external(tmp_path, 3)).constants
    assert len(constants) == 4
    assert all(np.shares_memory(constants["w"], array) for array in constants.values())


def test_external_data_that_would_fill_the_memory_are_refused(tmp_path, monkeypatch):
    path = shared_external(tmp_path, 1)
    model = onnx.load(path, load_external_data=False)
    (tmp_path / "more").write_bytes(CONTENT)
    model.graph.initializer[1].external_data[0].value = "more"
    monkeypatch.setattr(graph, "MAX_NUMBERS", 15)
    with pytest.raises(ValueError, match="in other files have more than 15 numbers together"):
        read_graph(written(model, tmp_path))


def test_labels_that_would_fill_the_memory_are_refused(tmp_path):
    """NumPy makes all texts as long as the longest."""
    labels = np.array(["a"] * 4100 + ["a" * 4100], object)
    model = model_of(NODES, {"w": FILTERS, "labels": labels}, ("n", 1, 4, 4))
    with pytest.raises(ValueError, match="its tensor 'labels' has 4101 texts of up to 4100 bytes"):
        read_onnx(written(model, tmp_path))


def test_external_data_elsewhere_are_refused(tmp_path):
    folder = tmp_path / "models"
    folder.mkdir()
    (tmp_path / "secret").write_bytes(FILTERS.tobytes())
    (folder / "link").symlink_to(tmp_path / "secret")
    for location in ("../secret", str(tmp_path / "secret"), "link"):
        with pytest.raises(ValueError, match="outside the folder of the file"):
            read_onnx(external(folder, location, None))


@pytest.mark.parametrize(
    ("said", "message"),
    [
        ({"offset": 1}, "It needs 32 bytes, and the file has 32"),
        ({"length": 16}, "are 16 bytes from 0"),
        ({"offset": -4}, "begin or end at '-4', which is no place in a file"),
        ({"offset": "x"}, "begin or end at 'x'"),
        ({"offset": 2**70}, "which is no place in a file"),
    ],
)
def test_external_data_out_of_bounds_are_refused(said, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        read_onnx(external(tmp_path, "weights", **said))


def test_missing_external_data_are_told(tmp_path):
    with pytest.raises(ValueError, match="there is no file 'weights' beside it"):
        read_onnx(external(tmp_path, "weights", None))


@pytest.mark.parametrize("dtype", [np.float16, np.float64, "bfloat16"])
def test_floating_point_numbers_of_other_sizes_are_read(dtype, tmp_path):
    filters = onnx.helper.make_tensor("w", onnx.TensorProto.BFLOAT16, FILTERS.shape, FILTERS.ravel())
    model = model_of(NODES, {"w": FILTERS.astype(np.float32 if dtype == "bfloat16" else dtype)}, ("n", 1, 4, 4))
    if dtype == "bfloat16":
        model.graph.initializer[0].CopyFrom(filters)
    assert np.array_equal(read_onnx(written(model, tmp_path))[1].coefs[0], FILTERS.transpose(2, 3, 1, 0))


@pytest.mark.parametrize("content", [b"", b"no graph", b"\x08\x07\x3a\x00"])
def test_other_files_are_refused(content, tmp_path):
    path = tmp_path / "network.onnx"
    path.write_bytes(content)
    with pytest.raises(ValueError, match="it is damaged, or no file of ONNX"):
        read_onnx(path)


@pytest.mark.parametrize("shape", [(2, 1, 2, 3), (-1, 2), (2**40, 2**40)])
def test_tensors_with_other_sizes_are_refused(shape, tmp_path):
    model = model_of(NODES, {"w": FILTERS}, shape=("n", 1, 4, 4))
    model.graph.initializer[0].dims[:] = shape
    with pytest.raises(ValueError, match="its tensor 'w'"):
        read_onnx(written(model, tmp_path))


def test_a_constant_that_would_fill_the_memory_is_refused(tmp_path):
    nodes = [("ConstantOfShape", "s", "w", {}), *NODES]
    model = model_of(nodes, {"s": np.array([2**20, 1, 2**10, 2**10])}, shape=("n", 1, 4, 4))
    with pytest.raises(ValueError, match="too large"):
        read_onnx(written(model, tmp_path))


def test_damaged_files_are_refused_or_read(tmp_path):
    """What is raised is a ValueError. The script fuzz_onnx damages more files."""
    rng, path, n_read, kinds = np.random.default_rng(0), tmp_path / "network.onnx", 0, fuzz_onnx.models()
    for number in range(100):
        path.write_bytes(fuzz_onnx.damaged(rng, kinds[number % len(kinds)]))
        with suppress(ValueError):
            read_onnx(path)
            n_read += 1
    assert 10 < n_read < 90
