import json

import numpy as np
import pytest

from skconvnet.interchange.description import Description, describe, read_config, read_header
from tests.estimators.quick import refused

CONFIG = {
    "architecture": "resnet18.a1_in1k",
    "label_names": ["cat", "dog"],
    "pretrained_cfg": {"input_size": [3, 288, 256], "mean": [0.5, 0.4, 0.2], "std": [0.25, 0.5, 1]},
}


def test_what_is_said_first_counts():
    merged = describe(image_shape=(8, 8)).or_else(describe("linear", (9, 9, 1)))
    assert (merged.architecture, merged.image_shape) == ("linear", (8, 8, 1))


def test_labels_may_be_objects_as_long_as_they_are_strings():
    assert describe(classes=np.array(["cat", "dog"], object)).classes.dtype == np.dtype("U3")
    with refused("is not a list of strings, booleans or numbers"):
        describe(classes=np.array(["cat", None], object))


def test_the_config_of_timm_is_for_pixels_from_0_to_1(tmp_path):
    path = tmp_path / "config.json"
    path.write_text(json.dumps(CONFIG))
    said = read_config(path)
    assert (said.architecture, said.image_shape) == ("resnet18", (288, 256, 3))
    assert said.classes.tolist() == ["cat", "dog"]
    np.testing.assert_allclose(said.pixel_mean, [127.5, 102, 51])
    np.testing.assert_allclose(1 / said.pixel_scale, [63.75, 127.5, 255])


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ({"input_size": 5}, "input_size is 5, and not a list"),
        ({"input_size": {}}, "input_size is {}, and not a list"),
        ({"pretrained_cfg": 5}, "pretrained_cfg is 5, and not a dictionary"),
        ({"pretrained_cfg": [1]}, "pretrained_cfg is [1], and not a dictionary"),
        ({"pretrained_cfg": {"mean": 10**400}}, "is neither a finite number nor a list"),
        ({"pretrained_cfg": {"label_names": [["a"], ["b"]]}}, "and not a list of texts"),
        ({"label_names": ["a" * 5000] + ["b"] * 5000}, "with names of up to 5,000 characters"),
    ],
)
def test_a_wrong_config_of_timm_is_refused_by_name(tmp_path, entry, message):
    (tmp_path / "config.json").write_text(json.dumps({"architecture": "resnet18"} | entry))
    with refused(message) as error:
        read_config(tmp_path / "config.json")
    assert str(error.value).startswith("config.json")


def test_the_architecture_of_a_config_is_that_outside_of_its_weights(tmp_path):
    (tmp_path / "config.json").write_text(json.dumps(CONFIG | {"pretrained_cfg": {"architecture": 5}}))
    assert read_config(tmp_path / "config.json").architecture == "resnet18"


def test_a_network_of_timm_that_has_the_name_of_another_is_refused(tmp_path):
    (tmp_path / "config.json").write_text('{"architecture": "efficientnet_lite0.ra_in1k"}')
    with refused("Take the weights whose name begins with tf_"):
        read_config(tmp_path / "config.json")


@pytest.mark.parametrize("content", [None, "", "[]", '{"architectures": ["Bert"]}', '{"architecture": 3}'])
def test_another_config_says_nothing(tmp_path, content):
    if content is not None:
        (tmp_path / "config.json").write_text(content)
    assert read_config(tmp_path / "config.json") == Description()


def test_a_header_has_numbers_in_json_and_the_names_of_libraries():
    header = {"architecture": "resnet50 without its classifier", "image_shape": "[8, 9, 1]", "pixel_std": "4"}
    said = read_header(header | {"classes": "those of ImageNet"})
    assert (said.architecture, said.image_shape) == ("resnet50_torchvision", (8, 9, 1))
    assert said.pixel_scale == 0.25
    assert said.classes is None


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("image_shape", "8x8"),
        ("image_shape", "5"),
        ("pixel_mean", "[" * 100_000),
        ("pixel_mean", "[NaN]"),
        ("pixel_scale", '"a"'),
        ("pixel_scale", "1" + "0" * 400),
    ],
)
def test_a_wrong_header_is_refused_by_name(name, text):
    with refused(name):
        read_header({name: text})
