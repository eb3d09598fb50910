from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from skconvnet.interchange import inspect_file, write_network
from skconvnet.interchange.safetensors import write_safetensors
from tests.estimators.quick import refused
from tests.interchange.networks import random_network


def test_a_network_is_told_with_its_volumes(tmp_path):
    (tmp_path / "network.safetensors").write_bytes(write_network(random_network()))
    told = inspect_file(tmp_path / "network.safetensors")
    for part in (
        "architecture: INPUT -> CONV",
        "images of 6 x 4 pixels with 3 channels",
        "3 classes: a, b, c",
        "[4x6x4]",
    ):
        assert part in told


def test_outputs_that_are_no_classes_are_told(tmp_path):
    stored = replace(random_network(), classes=None)
    mean, scale = np.array([1.5, 2, 3]), np.array([0.5, 1, 1])
    for network, told in (
        (stored, "3 labels, of which an image may have several"),
        (
            replace(stored, target_mean=mean, target_scale=scale),
            "3 numbers: outputs times 0.5, 1, 1, plus 1.5, 2, 3",
        ),
    ):
        path = tmp_path / "network.safetensors"
        path.write_bytes(write_network(network))
        assert told in inspect_file(path).split("\n")


def test_arrays_of_an_unknown_network_are_listed_with_the_reason(tmp_path):
    arrays = {f"layer{n}\x1b": np.zeros((n, 2)) for n in range(30)}
    (tmp_path / "other.safetensors").write_bytes(write_safetensors(arrays, {"author": "x" * 1000}))
    told = inspect_file(tmp_path / "other.safetensors")
    assert "30 arrays with 870 numbers" in told
    assert "layer12 : float32 (12, 2)" in told
    assert "and 10 more" in told
    assert "are those of no known network" in told
    assert "x" * 101 not in told


def test_a_graph_without_a_standardisation_is_told_with_what_it_lacks():
    onnx = pytest.importorskip("onnx")
    told = inspect_file(Path(onnx.__file__).parent / "backend/test/data/light/light_squeezenet.onnx")
    assert "images of 224 x 224 pixels with 3 channels" in told
    assert "1,235,496" in told
    assert told.endswith(
        "does not say its pixel_mean and pixel_std. Pass pixel_mean and pixel_std, for pixels from 0 to 255."
    )


def test_no_control_characters_of_a_file_are_told(tmp_path):
    path = tmp_path / "other.safetensors"
    path.write_bytes(write_safetensors({"x\x1b[2J\x07\n": np.zeros(3)}, {"author": "\x9b2J"}))
    told = inspect_file(path)
    assert "its arrays (x [2J" in told
    assert all(line.isprintable() for line in told.split("\n"))
    path.write_bytes(path.read_bytes().replace(b"F32", b"F8_E4M3").replace(b"3]", b"12]"))
    with pytest.raises(ValueError, match="cannot be loaded") as error:
        inspect_file(path)
    assert all(line.isprintable() for line in str(error.value).split("\n"))


@pytest.mark.parametrize("content", [b"", b"GIF89a"])
def test_other_files_are_refused(tmp_path, content):
    (tmp_path / "file").write_bytes(content)
    with refused("neither a file of safetensors nor one of torch.save"):
        inspect_file(tmp_path / "file")
