from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from skconvnet.architecture import ARCHITECTURES, walk
from skconvnet.estimators.exchange import estimator_of, load_network
from skconvnet.interchange import write_onnx
from skconvnet.interchange.onnx.reader import read_onnx
from tests.interchange.onnx.cases import NETWORKS, drawn, drawn_labels, drawn_numbers, pixels, written

onnx = pytest.importorskip("onnx")

LIGHT = Path(onnx.__file__).parent / "backend" / "test" / "data" / "light"  # graphs of real networks, equal weights


def same_arrays(one, other):
    return all(len(a) == len(b) and all(map(np.array_equal, a, b)) for a, b in zip(one, other, strict=True))


@pytest.mark.parametrize("name", NETWORKS)
def test_what_was_written_is_read_to_the_bit(name, tmp_path):
    stored = drawn(*NETWORKS[name])
    architecture, learned, classes, *statistics = read_onnx(written(write_onnx(stored), tmp_path))
    assert same_arrays(learned, stored.learned)
    assert same_arrays([statistics], [[stored.pixel_mean, stored.pixel_scale]])
    assert np.array_equal(classes, stored.classes)
    assert architecture.image_shape == stored.architecture.image_shape
    assert architecture.summary().n_flops == stored.architecture.summary().n_flops
    kinds = [layer.kind for layer in walk(architecture.layers)]
    assert kinds == [layer.kind for layer in walk(stored.architecture.layers)]


@pytest.mark.parametrize("name", ["windows that overhang", "NORM(layer)", "NORM(lrn)", "branches of rows and volumes"])
def test_a_network_that_was_read_computes_the_same_bits(name, tmp_path):
    stored = drawn(*NETWORKS[name])
    X = pixels(stored)
    loaded = load_network(written(write_onnx(stored), tmp_path))
    assert np.array_equal(loaded.predict_proba(X), estimator_of(stored).predict_proba(X))
    assert np.array_equal(loaded.predict(X), estimator_of(stored).predict(X))


def test_what_only_training_needs_is_read(tmp_path):
    text = "INPUT -> CONV(K=4) -> NORM(momentum=0.01, eps=0.001) -> DROPOUT(0.3) -> FC"
    stored = drawn(text, (4, 5, 2))
    assert read_onnx(written(write_onnx(stored), tmp_path))[0] == stored.architecture


@pytest.mark.parametrize("classes", [["ant", "bee", "cat"], [False, True], [3, 5]], ids=["text", "bool", "int"])
def test_labels_and_rows_are_read(classes, tmp_path):
    stored = drawn("INPUT -> CONV(K=4) -> RELU -> FC", (4, 5, 2), len(classes), classes)
    loaded = load_network(written(write_onnx(stored, input="rows", dtype="float32", batch_size=4), tmp_path))
    assert (loaded.image_shape_, loaded.classes_.tolist()) == ((4, 5, 2), classes)
    assert loaded.classes_.dtype.kind == stored.classes.dtype.kind
    assert same_arrays([loaded.coefs_], [stored.learned.coefs])


def test_arguments_come_before_the_file(tmp_path):
    stored = drawn("INPUT -> CONV(K=4) -> RELU -> FC", (4, 5, 2))
    path = written(write_onnx(stored), tmp_path)
    loaded = load_network(path, classes=["c", "b", "a"], pixel_mean=3, pixel_std=[2, 4])
    assert loaded.classes_.tolist() == ["a", "b", "c"]
    assert (loaded.pixel_mean_.tolist(), loaded.pixel_scale_.tolist()) == ([3, 3], [0.5, 0.25])
    assert np.array_equal(loaded.coefs_[-1], stored.learned.coefs[-1][:, ::-1])
    with pytest.raises(ValueError, match="classes has 2 labels, and the network has 3 scores"):
        load_network(path, classes=["a", "b"])
    with pytest.raises(ValueError, match="has its own architecture"):
        load_network(path, architecture="lenet5")


@pytest.mark.parametrize(
    ("name", "n_params", "equal"),
    [
        ("squeezenet", 1_235_496, None),
        ("inception_v1", 6_998_552, None),
        ("inception_v2", 11_194_984, None),
        ("resnet50", 25_557_032, "resnet50_torchvision"),
        ("densenet121", 7_978_856, "densenet121"),
    ],
)
def test_graphs_of_real_networks_are_read(name, n_params, equal):
    """The number of parameters is exact. Those that ARCHITECTURES has as well have as many multiply-adds."""
    architecture, learned, classes, *statistics = read_onnx(LIGHT / f"light_{name}.onnx")
    table = architecture.summary()
    assert (table.n_params, classes, statistics) == (n_params, None, [None, None])
    assert sum(array.size for arrays in learned[:2] for array in arrays) == n_params
    if equal:
        assert table.n_flops == ARCHITECTURES[equal].summary((224, 224, 3), 1000).n_flops


def test_pixel_statistics_that_a_file_lacks_are_asked_for():
    with pytest.raises(ValueError, match=r"does not say its pixel_mean and pixel_std\. Pass pixel_mean"):
        load_network(LIGHT / "light_squeezenet.onnx")


def test_statistics_of_pixels_from_0_to_1_are_told(tmp_path, recwarn):
    stored = drawn("INPUT -> CONV(K=4) -> RELU -> FC", (4, 5, 3))
    small = np.float32([0.5, 0.25, 0.125]), np.float32([2, 4, 5])
    path = written(write_onnx(replace(stored, pixel_mean=small[0], pixel_scale=small[1])), tmp_path)
    load_network(path, pixel_mean=[127.5, 63.75, 31.875], pixel_std=[127.5, 63.75, 51])
    assert not recwarn.list
    message = r"pixel_mean=\[127.5, 63.75, 31.875\] and pixel_std=\[127.5, 63.75, 51\]"
    with pytest.warns(UserWarning, match=message) as caught:
        load_network(path)
    assert caught[0].filename == __file__
    load_network(written(write_onnx(stored), tmp_path))
    unchanged = np.zeros(3, np.float32), np.ones(3, np.float32)
    load_network(written(write_onnx(replace(stored, pixel_mean=unchanged[0], pixel_scale=unchanged[1])), tmp_path))
    assert not recwarn.list


def test_a_node_that_cannot_be_expressed_is_named():
    with pytest.raises(ValueError, match=r"node 'n7' of the operator Reshape cannot be read: it changes \(1, 112,"):
        read_onnx(LIGHT / "light_shufflenet.onnx")


@pytest.mark.parametrize(
    ("make", "what"),
    [(drawn_labels, "several labels"), (drawn_numbers, "the numbers of a regressor")],
    ids=["several labels", "numbers"],
)
def test_what_is_no_classes_is_not_taken_for_classes(make, what, tmp_path):
    path = written(write_onnx(make("INPUT -> CONV(K=4) -> RELU -> FC", (4, 5, 2), 3)), tmp_path)
    with pytest.raises(ValueError, match=f"has {what}, and ONNX files are read as classifiers"):
        load_network(path)
