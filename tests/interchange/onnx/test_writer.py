import builtins
from dataclasses import replace

import numpy as np
import pytest

from skconvnet.architecture import walk
from skconvnet.architecture.layers import LAYERS
from skconvnet.estimators.exchange import estimator_of
from skconvnet.interchange import write_onnx
from skconvnet.interchange.onnx.reader import read_onnx
from tests.interchange.onnx.cases import NETWORKS, drawn, drawn_labels, drawn_numbers, pixels, run, written

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")


def same_as(classifier, outputs, X):
    assert np.array_equal(outputs["label"], classifier.predict(X))
    assert np.abs(outputs["probabilities"] - classifier.predict_proba(X)).max() < 1e-5


def test_each_kind_of_layer_is_written_by_a_network_here():
    layers = [layer for text, *rest in NETWORKS.values() for layer in walk(drawn(text, *rest).architecture.layers)]
    assert {layer.kind for layer in layers} == {layer.kind for layer in LAYERS}


@pytest.mark.parametrize("name", NETWORKS)
def test_onnx_runtime_computes_the_same(name):
    stored = drawn(*NETWORKS[name])
    X = pixels(stored)
    model = write_onnx(stored)
    onnx.checker.check_model(model, full_check=True)
    classifier = estimator_of(stored)
    probabilities = classifier.predict_proba(X)
    assert np.ptp(probabilities, axis=0).max() > 1e-3  # the pixels matter
    same_as(classifier, run(model, X), X)


def test_an_average_that_counts_its_padding_does_not_count_what_hangs_over_it(tmp_path):
    text = "INPUT -> CONV(K=2) -> POOL(average, F=3x2, S=3, P=1, round=ceil, padding=counted) -> FC"
    stored = drawn(text, (6, 6, 1))
    X, model = pixels(stored), write_onnx(stored)
    same_as(estimator_of(stored), run(model, X), X)
    assert read_onnx(written(model, tmp_path))[0] == stored.architecture


@pytest.mark.parametrize("n_outputs", [1, 3])
def test_numbers_have_the_units_of_y(n_outputs):
    stored = drawn_numbers("INPUT -> CONV(K=4) -> RELU -> FC", (4, 5, 2), n_outputs)
    X, regressor = pixels(stored), estimator_of(stored)
    model = regressor.to_onnx()
    onnx.checker.check_model(model, full_check=True)
    numbers = run(model, X)
    assert list(numbers) == ["variable"]
    expected = regressor.predict(X).reshape(-1, n_outputs)
    assert numbers["variable"].shape == expected.shape
    assert (np.abs(numbers["variable"] - expected) / stored.target_scale).max() < 1e-5 * np.ptp(expected)


def test_several_labels_have_probabilities_of_their_own():
    stored = drawn_labels("INPUT -> CONV(K=4) -> RELU -> FC", (4, 5, 2), 3)
    X, model = pixels(stored, 20), write_onnx(stored)
    onnx.checker.check_model(model, full_check=True)
    outputs = run(model, X)
    assert outputs["label"].dtype == np.int64
    assert outputs["label"].sum(axis=1).max() > 1
    same_as(estimator_of(stored), outputs, X)


def test_numbers_that_float32_has_not_are_refused():
    stored = drawn_numbers("INPUT -> FC", (2, 2, 1), 1)
    for scale in (1e39, 1e-60):
        with pytest.raises(ValueError, match="target_scale_ has numbers that are infinite or zero in float32"):
            write_onnx(replace(stored, target_scale=np.array([scale])))


@pytest.fixture(scope="module")
def small():
    return drawn("INPUT -> CONV(K=4) -> RELU -> FC", (4, 5, 2))


def test_rows_floats_and_a_fixed_batch(small):
    X, classifier = pixels(small, 5), estimator_of(small)
    rows = X.reshape(5, -1)
    same_as(classifier, run(classifier.to_onnx(input="rows"), rows), X)
    floats = rows / np.float32(3)
    model = classifier.to_onnx(input="rows", dtype="float32", batch_size=5)
    same_as(classifier, run(model, floats), floats)
    assert model.graph.input[0].type.tensor_type.shape.dim[0].dim_value == 5


@pytest.mark.parametrize(
    "classes",
    [
        ["ant", "bee", "cat"],
        [False, True],
        [0.5, 1.5, -2],
        np.array([3, 1, 2], np.uint8),
        np.array(list("abc"), object),
    ],
    ids=["text", "bool", "float", "uint8", "object"],
)
def test_labels_keep_their_type(classes):
    stored = drawn("INPUT -> CONV(K=4) -> RELU -> FC", (4, 5, 2), len(classes), classes)
    X = pixels(stored, 20)
    labels = run(write_onnx(stored), X)["label"]
    assert labels.tolist() == estimator_of(stored).predict(X).tolist()
    assert len(set(labels.tolist())) > 1


def test_the_file_is_the_model(small, tmp_path):
    path = tmp_path / "network.onnx"
    path.write_bytes(b"older")
    model = estimator_of(small).to_onnx(path)
    assert onnx.load(path) == model
    with pytest.raises(ValueError, match=r"the name 'network\.jpg' does not end in \.onnx"):
        estimator_of(small).to_onnx(tmp_path / "network.jpg")
    assert [file.name for file in tmp_path.iterdir()] == ["network.onnx"]
    assert (model.producer_name, model.graph.doc_string) == ("skconvnet", str(small.architecture))


@pytest.mark.parametrize(
    ("argument", "message"),
    [
        ({"input": "X"}, "input='X' is invalid. Use 'images' or 'rows'"),
        ({"dtype": "int8"}, "dtype='int8' is invalid. Use 'uint8' or 'float32'"),
        ({"batch_size": 0}, "batch_size=0 is invalid"),
        ({"batch_size": True}, "batch_size=True is invalid"),
    ],
)
def test_wrong_arguments_are_refused(small, argument, message):
    with pytest.raises(ValueError, match=message):
        write_onnx(small, **argument)


def test_labels_that_onnx_has_not_are_refused():
    stored = drawn("INPUT -> FC", (2, 2, 1), classes=np.array(["2020-01-01", "2020-01-02", "2020-01-03"], "M8[D]"))
    with pytest.raises(ValueError, match="The labels have dtype datetime64"):
        write_onnx(stored)


def test_local_normalisation_of_even_size_is_refused():
    with pytest.raises(ValueError, match="NORM 1: size=4 is even"):
        write_onnx(drawn("INPUT -> CONV(K=4) -> NORM(lrn, size=4) -> FC", (4, 5, 2)))


def test_without_onnx_the_error_says_how_to_install_it(small, monkeypatch):
    real = builtins.__import__

    def without_onnx(name, *args, **kwargs):
        if name == "onnx":
            raise ImportError(name)
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without_onnx)
    with pytest.raises(ImportError, match=r"not installed: pip install onnx$"):
        write_onnx(small)
