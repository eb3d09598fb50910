import re
from dataclasses import replace

import numpy as np
import pytest

from skconvnet import ARCHITECTURES, Architecture
from skconvnet.engine import Images, Network, Scorer
from skconvnet.interchange import read_network
from skconvnet.interchange.description import Description, describe
from skconvnet.interchange.layouts import LAYOUTS, wanted_of_torch
from skconvnet.interchange.matching import find_match, read_torch
from skconvnet.interchange.safetensors import write_safetensors
from tests.estimators.quick import refused
from tests.interchange import torch_networks

WIDTH = 16
INPUTS = {"alexnet_torchvision": 4, "vgg11": 4, "vgg11_bn": 4}  # of the first FC, 2x2 instead of the sizes for 224x224


def thin(name):
    """The text of an architecture with a part of the filters and units."""

    def fewer(match):
        return f"{match[1]}{max(1, int(match[2]) // WIDTH)}"

    return re.sub(r"(K=|FC\(|groups=)(\d+)", fewer, str(ARCHITECTURES[name]))


def scores(stored, pixels):
    network = Network(stored.architecture, stored.pixel_mean, stored.pixel_scale)
    network.learned = stored.learned
    return Scorer(network).scores(Images(pixels, pixels.shape[1:]), 1)


def arrays_of(name, text=None, image_shape=(64, 64, 3), layout="torchvision"):
    """Random arrays for an architecture with few filters, by the names of a library."""
    rng = np.random.default_rng(0)
    bound = Architecture.parse(text or thin(name)).bind(image_shape, 5)
    wanted = wanted_of_torch(bound, LAYOUTS[layout][name][0](bound))
    arrays = [one for group in wanted for one in group if one is not None]
    return {one.key: rng.uniform(0.5, 1, one.shapes[-1]).astype(np.float32) for one in arrays}


@pytest.fixture(scope="module")
def resnet():
    return arrays_of("resnet18")


RESNET = describe(architecture=thin("resnet18"), image_shape=(64, 64, 3))


@pytest.mark.parametrize("name", torch_networks.NETWORKS)
def test_networks_of_torchvision_are_recognised_by_the_names_of_their_arrays(in_torch, name):
    shapes = in_torch(torch_networks.shapes, name)
    arrays = {key: np.broadcast_to(np.float32(0), shape) for key, shape in sorted(shapes.items())}
    match = find_match(arrays, Description())
    assert match.name == name
    assert match.bound == ARCHITECTURES[name].bind((224, 224, 3), torch_networks.N_CLASSES)
    assert match.differences == []


def test_a_classifier_that_is_not_there_has_zeros(resnet):
    body = {key: array for key, array in resnet.items() if not key.startswith("fc.")}
    match, learned = read_torch(body, RESNET)
    assert not match.has_classifier
    assert match.bound.n_classes == len(match.classes) == 2
    assert not learned.coefs[-1].any()
    assert learned.coefs[0].any()


def test_a_small_file_does_not_need_a_large_classifier(resnet):
    body = {key: array for key, array in resnet.items() if not key.startswith("fc.")}
    with refused("it has no classifier, and one for 1,000,000 classes is not made"):
        read_torch(body, replace(RESNET, classes=np.arange(1_000_000)))
    with refused("fc.weight has the shape (1099511627776, 0)"):
        read_torch(body | {"fc.weight": np.zeros((2**40, 0), np.float32)}, RESNET)


@pytest.mark.parametrize(
    "rename",
    [
        lambda arrays: {f"module.{key}": array for key, array in arrays.items()},
        lambda arrays: arrays | {"bn1.num_batches_tracked": np.array(3)},
        lambda arrays: dict(reversed(arrays.items())),
    ],
)
def test_other_names_and_orders_of_the_same_arrays(resnet, rename):
    learned = read_torch(rename(resnet), RESNET)[1]
    assert np.array_equal(learned.coefs[-1].T, resnet["fc.weight"])
    assert np.array_equal(learned.means[1], resnet["layer1.0.bn1.running_mean"])


def test_old_names_of_densenet():
    arrays = arrays_of("densenet121")
    old = {re.sub(r"(denselayer\d+\.(?:norm|conv))(\d)", r"\1.\2", key): array for key, array in arrays.items()}
    assert old.keys() != arrays.keys()
    description = describe(architecture=thin("densenet121"), image_shape=(64, 64, 3))
    assert find_match(old, description).differences == []


def test_timm_names_vgg_in_its_own_way():
    arrays = arrays_of("vgg11", layout="timm")
    assert {"pre_logits.fc1.weight", "head.fc.weight"} <= arrays.keys()
    convs = {"pre_logits.fc1.weight": (256, 32, 2, 2), "pre_logits.fc2.weight": (256, 256, 1, 1)}
    arrays |= {key: arrays[key].reshape(shape) for key, shape in convs.items()}
    match = find_match(arrays, describe(architecture=thin("vgg11"), image_shape=(64, 64, 3)))
    assert match.differences == []


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"architecture": "resnet50"}, "pass architecture='resnet50_torchvision'"),
        ({"architecture": "lenet5", "image_shape": (64, 64, 3)}, "no library names the layers of 'lenet5'"),
        ({"architecture": "resnet17"}, "did you mean resnet18?"),
        ({"architecture": "vgg11"}, "CONV 1: features.0.weight of shape (64, 3, 3, 3) is missing"),
        (
            {"architecture": "vgg11", "image_shape": (227, 227, 3)},
            "features.0.weight of shape (64, 3, 3, 3) is missing",
        ),
        ({"architecture": "INPUT -> FC", "image_shape": (8, 8, 3)}, "write it with torch.onnx.export, and load the"),
        ({}, "are those of no known network. The nearest network is 'resnet18'"),
        ({}, "write it with torch.onnx.export, and load the .onnx file"),
        ({"architecture": "resnet18"}, "CONV 1: conv1.weight has the shape (4, 3, 7, 7), and needs (64, 3, 7, 7)"),
        (vars(RESNET) | {"classes": np.arange(3)}, "classes has 3 labels, and the network has 5 scores"),
    ],
)
def test_arrays_of_another_network_are_refused(resnet, given, message):
    with refused(message):
        read_torch(resnet, Description(**given))


@pytest.mark.parametrize("architecture", [None, "efficientnet_lite0"])
def test_images_that_are_too_small_for_the_network_of_the_arrays(architecture):
    arrays = arrays_of("efficientnet_lite0", str(ARCHITECTURES["efficientnet_lite0"]), layout="efficientnet_pytorch")
    with refused("the window F=3 is larger than the padded input"):
        read_torch(arrays, Description(architecture, (5, 5, 3)))


def test_the_size_of_the_images_is_that_of_the_first_fc():
    arrays = arrays_of("vgg11")
    with refused("FC 1: classifier.0.weight has the shape (256, 128), and needs (256, 32, 3, 3) or (256, 288)"):
        read_torch(arrays, describe(architecture=thin("vgg11"), image_shape=(96, 96, 3)))


def test_a_network_for_bgr_has_no_usual_pixels(tmp_path, resnet):
    path, given = tmp_path / "network.safetensors", {"architecture": thin("resnet18"), "image_shape": (64, 64, 3)}
    path.write_bytes(write_safetensors(resnet, {}))
    rgb = read_network(path, **given)
    np.testing.assert_allclose(rgb.pixel_mean, [123.675, 116.28, 103.53])
    with refused(
        "it does not say its pixel_mean and pixel_std. Pass pixel_mean and pixel_std, for pixels from 0 to 255"
    ):
        read_network(path, channel_order="bgr", **given)
    bgr = read_network(path, channel_order="bgr", pixel_mean=[104, 117, 123], pixel_std=1, **given)
    assert bgr.pixel_mean.tolist() == [123, 117, 104]
    assert np.array_equal(bgr.learned.coefs[0], rgb.learned.coefs[0][:, :, ::-1])


@pytest.mark.parametrize("name", ["alexnet_torchvision", "vgg11", "resnet18", "squeezenet1_1"])
def test_logits_are_those_of_pytorch(in_torch, name, tmp_path):
    path, side = tmp_path / f"network.{'pth' if 'resnet' in name else 'safetensors'}", 95 if "alex" in name else 64
    pixels = np.random.default_rng(0).normal(size=(2, side, side, 3)).astype(np.float32)
    more = {"inputs": INPUTS[name]} if name in INPUTS else {}
    expected = in_torch(torch_networks.save_random, name, WIDTH, pixels, path, more)
    stored = read_network(path, architecture=thin(name), image_shape=(side, side, 3), pixel_mean=0, pixel_std=1)
    np.testing.assert_allclose(scores(stored, pixels), expected, rtol=1e-4, atol=1e-5 * abs(expected).max())
