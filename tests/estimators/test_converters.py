import numpy as np
import pytest
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import MaxAbsScaler, MinMaxScaler

from skconvnet import ConvNetFeatures, register_skl2onnx
from skconvnet.estimators.exchange import estimator_of
from tests.estimators.quick import quick
from tests.interchange.onnx.cases import drawn, drawn_labels, drawn_numbers, pixels, run

skl2onnx = pytest.importorskip("skl2onnx")
pytest.importorskip("onnxruntime")

TEXT = "INPUT -> CONV(K=4) -> NORM -> RELU -> POOL -> FC"
WITHOUT_ZIPMAP = {"zipmap": False}


@pytest.fixture(scope="module", autouse=True)
def registered():
    register_skl2onnx()


def same_as(pipeline, outputs, X):
    assert np.array_equal(outputs["label"], pipeline.predict(X))
    assert np.abs(outputs["probabilities"] - pipeline.predict_proba(X)).max() < 1e-5


@pytest.mark.parametrize("classes", [["ant", "bee"], [3, 5], [False, True]], ids=["text", "int", "bool"])
def test_a_scaler_and_a_classifier_are_one_graph(classes):
    rng = np.random.default_rng(0)
    X, y = rng.uniform(0, 50, (32, 48)).astype(np.float32), np.array(classes)[np.arange(32) % 2]
    classifier = quick(architecture=TEXT, image_shape=(4, 6, 2), max_iter=1)
    pipeline = make_pipeline(MinMaxScaler(), classifier).fit(X, y)
    model = skl2onnx.to_onnx(pipeline, X[:1], options=WITHOUT_ZIPMAP)
    same_as(pipeline, run(model, X), X)


def test_features_and_another_classifier_are_one_graph():
    stored = drawn(TEXT, (4, 6, 2))
    X, y = pixels(stored, 20), np.arange(20) % 3
    for layer in ("POOL 1", "CONV 1", "FC 1"):
        features = ConvNetFeatures(FrozenEstimator(estimator_of(stored)), layer=layer)
        pipeline = make_pipeline(features, LogisticRegression(max_iter=5, tol=10)).fit(X, y)
        model = skl2onnx.to_onnx(pipeline, X[:1], options=WITHOUT_ZIPMAP)
        same_as(pipeline, run(model, X), X)


def test_probabilities_may_be_dictionaries_as_those_of_other_classifiers():
    stored = drawn(TEXT, (4, 6, 2), classes=["ant", "bee", "cat"])
    X = pixels(stored).reshape(6, -1).astype(np.float32)
    outputs = run(skl2onnx.to_onnx(estimator_of(stored), X[:1]), X)
    assert [row["bee"] for row in outputs["output_probability"]] == pytest.approx(
        estimator_of(stored).predict_proba(X)[:, 1], abs=1e-5
    )


def test_two_classifiers_in_one_graph_and_images():
    """Names are unique in the graph, and images of four dimensions and grey ones of three are taken as they are."""
    stored = drawn("INPUT -> CONV(K=4) -> RELU -> FC", (4, 4, 1))
    classifier, X = estimator_of(stored), pixels(stored)
    for images in (X, X[..., 0]):
        same_as(classifier, run(skl2onnx.to_onnx(classifier, images[:1], options=WITHOUT_ZIPMAP), images), images)
    inner = ConvNetFeatures(FrozenEstimator(classifier), layer="CONV 1")
    outer = quick(architecture=TEXT, image_shape=(4, 4, 4), max_iter=1, batch_size=6)
    pipeline = make_pipeline(inner, outer).fit(X, np.arange(6) % 3)
    same_as(pipeline, run(skl2onnx.to_onnx(pipeline, X[:1], options=WITHOUT_ZIPMAP), X), X)


@pytest.mark.parametrize("target", [19, {"": 19, "ai.onnx.ml": 3}])
def test_operators_that_an_older_version_has_not_are_refused(target):
    stored = drawn("INPUT -> CONV(K=4) -> GELU -> FC", (4, 5, 1))
    with pytest.raises(ValueError, match=r"^GELU 1 needs the operator Gelu, .* Pass target_opset=20 to skl2onnx"):
        skl2onnx.to_onnx(estimator_of(stored), pixels(stored)[:1], options=WITHOUT_ZIPMAP, target_opset=target)


def test_labels_that_skl2onnx_has_not_are_refused():
    stored = drawn("INPUT -> FC", (4, 5, 1), classes=[0.5, 1, 2])
    with pytest.raises(ValueError, match="skl2onnx has only whole numbers and texts"):
        skl2onnx.to_onnx(estimator_of(stored), pixels(stored)[:1], options=WITHOUT_ZIPMAP)


def test_a_scaler_and_a_regressor_are_one_graph():
    stored = drawn_numbers("INPUT -> CONV(K=4) -> RELU -> FC", (4, 4, 1), 2)
    X = pixels(stored).reshape(6, -1).astype(np.float32)
    pipeline = Pipeline([("scale", MaxAbsScaler().fit(X)), ("network", estimator_of(stored))])
    outputs = run(skl2onnx.to_onnx(pipeline, X[:1]), X)
    assert list(outputs) == ["variable"]
    assert outputs["variable"] == pytest.approx(pipeline.predict(X), rel=1e-5)


def test_several_labels_are_an_indicator_matrix():
    stored = drawn_labels(TEXT, (4, 6, 2), 3)
    X = pixels(stored)
    same_as(estimator_of(stored), run(skl2onnx.to_onnx(estimator_of(stored), X[:1], options=WITHOUT_ZIPMAP), X), X)


def test_an_average_with_the_mirror_image_is_refused():
    stored = drawn(TEXT, (4, 6, 2))
    classifier = estimator_of(stored).set_params(average_mirrored=True)
    with pytest.raises(ValueError, match="an ONNX graph does not"):
        skl2onnx.to_onnx(classifier, pixels(stored)[:1])
