import json
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from skconvnet import ARCHITECTURES
from skconvnet.interchange import read_network, write_network
from skconvnet.interchange.layouts import LAYOUTS, wanted_of_torch
from skconvnet.interchange.safetensors import write_safetensors
from tests.estimators.quick import refused
from tests.interchange.networks import random_network

ROOT = Path(__file__).parents[2]


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "network.safetensors"
    path.write_bytes(write_network(random_network()))
    return path


def test_what_is_written_is_read_to_the_bit(path):
    stored, expected = read_network(path), random_network()
    assert stored.digest == expected.digest
    assert stored.classes.tolist() == ["a", "b", "c"]


def test_arguments_come_before_the_file(path):
    stored = read_network(str(path), classes=["z", "y", "x"], pixel_mean=3, pixel_std=[1, 2, 4])
    assert stored.classes.tolist() == ["x", "y", "z"]
    assert np.array_equal(stored.learned.coefs[-1], random_network().learned.coefs[-1][:, ::-1])
    assert stored.pixel_mean.tolist() == [3, 3, 3]
    assert stored.pixel_scale.tolist() == [1, 0.5, 0.25]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"classes": [1, 2]}, "classes has 2 labels, and the network has 3 scores"),
        ({"classes": [1, 2, 1]}, "the class 1 occurs twice"),
        ({"classes": [[1], [2], [3]]}, "is not a list of strings, booleans or numbers"),
        ({"image_shape": (6, 4, 1)}, "CONV 1: coefs.00 has the shape (3, 3, 3, 4), and needs (3, 3, 1, 4)"),
        ({"image_shape": (8, 4, 3)}, "FC 1: coefs.03 has the shape (60, 3), and needs (80, 3)"),
        ({"architecture": "resnet81"}, "did you mean resnet18?"),
        ({"pixel_mean": [1, 2]}, "pixel_mean has 2 numbers. Pass one, or one for each of 3 channels"),
        ({"pixel_std": 0}, "pixel_std=0 is not positive"),
        ({"pixel_std": 1e-50}, "its pixel_scale is [inf, inf, inf] in float32, and cannot standardise pixels"),
        ({"pixel_std": "much"}, "pixel_std='much' is neither a finite number nor a list"),
    ],
)
def test_arguments_that_do_not_fit_the_file_are_refused(path, given, message):
    with refused(message):
        read_network(path, **given)


def test_pixels_that_are_all_the_same_are_refused(path):
    path.write_bytes(write_network(replace(random_network(), pixel_scale=np.zeros(3, np.float32))))
    with refused("its pixel_scale is [0.0, 0.0, 0.0]"):
        read_network(path)


def save_zeros(path, layout, name):
    """Save a network in the layout of a library, with all numbers zero."""
    bound = ARCHITECTURES[name].bind((224, 224, 3), 2)
    wanted = wanted_of_torch(bound, LAYOUTS[layout][name][0](bound))
    arrays = {one.key: np.zeros(one.shapes[0], np.float32) for group in wanted for one in group if one is not None}
    path.write_bytes(write_safetensors(arrays, {}))


def test_googlenet_of_torchvision_transforms_its_input(path):
    save_zeros(path, "torchvision", "googlenet_torchvision")
    stored = read_network(path)
    assert stored.pixel_mean.tolist() == [127.5] * 3
    assert np.allclose(1 / stored.pixel_scale, 127.5)


def test_two_networks_of_timm_with_the_same_arrays(path):
    save_zeros(path, "timm", "efficientnet_lite0")
    with refused("If this is tf_efficientnet_lite0, pass pixel_mean=127.5") as error:
        read_network(path)
    assert "efficientnet_lite0.ra_in1k" in str(error.value)
    assert read_network(path, pixel_mean=127.5, pixel_std=127.5).pixel_mean.tolist() == [127.5] * 3
    config = {"architecture": "tf_efficientnet_lite0", "pretrained_cfg": {"mean": [0.5] * 3, "std": [0.5] * 3}}
    path.with_name("config.json").write_text(json.dumps(config))
    assert read_network(path).pixel_mean.tolist() == [127.5] * 3


def test_a_very_large_file_is_refused_before_it_is_read(tmp_path):
    with (tmp_path / "network.pth").open("wb") as file:
        file.truncate(2**40)
    with refused("it has 1,099,511,627,776 bytes, and networks of up to 4,294,967,296 are read"):
        read_network(tmp_path / "network.pth")


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("other.safetensors", "there is no such file, and no package of weights has this name: the only name is"),
        ("efficientnet-lite0", "did you mean efficientnet_lite0? Give the path"),
        (".", "it is a directory. Give the path"),
        (None, "path=None is not the path of a file"),
    ],
)
def test_what_is_no_file_is_refused(path, message):
    with refused(message):
        read_network(path)


@pytest.mark.parametrize(
    ("mean", "std", "told"), [([0.5, 0.25, 0], 0.2, "[127.5, 63.75, 0] and pixel_std=[51]"), (0, 1, "")]
)
def test_arguments_for_pixels_from_0_to_1_are_told(path, recwarn, mean, std, told):
    read_network(path, pixel_mean=mean, pixel_std=std)
    messages = [str(warning.message) for warning in recwarn]
    assert len(messages) == bool(told)
    assert told in "".join(messages)


@pytest.mark.skipif(sys.platform != "linux", reason="limits memory as Linux does")
def test_damaged_files_are_refused_and_execute_nothing():
    command = [sys.executable, "-m", "tests.interchange.fuzz_files", "0", "100"]
    told = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    assert told.returncode == 0, told.stderr
    assert re.search(r"archive: \d+ x refused", told.stdout)
