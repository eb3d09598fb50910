"""Activations of a fitted network as features for other estimators."""

import pickle
import re

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn import config_context
from sklearn.base import clone
from sklearn.datasets import load_digits
from sklearn.exceptions import NotFittedError, UnsetMetadataPassedError
from sklearn.frozen import FrozenEstimator
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.svm import SVC
from sklearn.utils import shuffle
from sklearn.utils.estimator_checks import check_estimator

from skconvnet import ConvNetClassifier, ConvNetFeatures
from skconvnet.estimators.features import layer_name
from tests import oracles

# Every kind of layer, depths that are not multiples of the vector width, nested sums and stacks.
TEXT = (
    "INPUT -> CONV(K=5) -> NORM -> RELU -> POOL -> (CONV(K=5) -> NORM -> RELU -> CONV(K=5, groups=5) + SKIP) -> RELU"
    " -> (CONV(K=3, F=1) -> RELU | POOL(average, F=3, S=1, P=1) | CONV(K=4, bias=no) -> SIGMOID) -> NORM(lrn)"
    " -> NORM(layer) -> DROPOUT -> FC(13) -> NORM -> RELU -> FC(7) -> TANH -> FC"
)
LAYERS = (
    "CONV 1, NORM 1, RELU 1, POOL 1, CONV 2, NORM 2, RELU 2, CONV 3, SKIP 1, SUM 1, RELU 3, CONV 4, RELU 4, POOL 2, "
    "CONV 5, SIGMOID 1, STACK 1, NORM 3, NORM 4, DROPOUT 1, FC 1, NORM 5, RELU 5, FC 2, TANH 1, FC 3"
).split(", ")


@pytest.fixture(scope="module")
def digits():
    X, y = shuffle(*load_digits(return_X_y=True), random_state=0)
    return X[:600].astype(np.uint8), y[:600]


@pytest.fixture(scope="module")
def classifier(digits):
    X, y = digits
    return ConvNetClassifier(TEXT, max_iter=3, random_state=0, n_jobs=1).fit(X[:400], y[:400])


@pytest.fixture(scope="module")
def plain(digits):
    """A fitted network without branches that is better than chance."""
    X, y = digits
    text = "INPUT -> CONV(K=8) -> RELU -> POOL -> FC(32) -> RELU -> FC"
    quick = {"learning_rate_init": 0.01, "batch_size": 16, "max_iter": 3}
    return ConvNetClassifier(text, **quick, random_state=0, n_jobs=1).fit(X[:400], y[:400])


def features(classifier, X, layer):
    return ConvNetFeatures(classifier, layer).fit(X).transform(X)


def test_every_layer_agrees_with_the_oracles(digits, classifier):
    X = digits[0][:5]
    bound = classifier.architecture_
    assert [record["layer"] for record in bound.summary().records[1:]] == LAYERS
    running = list(zip(classifier.norm_means_, classifier.norm_variances_, strict=True))
    layers = oracles.in_inference(oracles.layers_of(bound.layers, lambda number, shape: np.ones(shape)), running)
    pairs = zip(classifier.coefs_, classifier.intercepts_, strict=True)
    images = (X.reshape(-1, 8, 8, 1) - classifier.pixel_mean_) * classifier.pixel_scale_
    volumes = oracles.run_everywhere(layers, oracles.per_layer(layers, pairs), images.astype(float))
    for place, (name, expected) in enumerate(zip(LAYERS, volumes, strict=True), 1):
        found = features(classifier, X, name)
        assert found.dtype == np.float32
        assert_allclose(found, expected.reshape(5, -1), rtol=1e-4, atol=2e-5, err_msg=name)
        assert_array_equal(features(classifier, X, place), found)
        assert_array_equal(features(classifier, X, place - 27), found)


def test_the_last_layer_gives_the_scores(digits, classifier):
    assert_array_equal(features(classifier, digits[0], -1), classifier.decision_function(digits[0]))


def test_the_last_layer_gives_both_scores_of_two_classes(digits):
    X, y = digits
    classifier = ConvNetClassifier("INPUT -> FC", max_iter=1, random_state=0).fit(X, y > 4)
    scores = features(classifier, X, -1).astype(float)
    assert_array_equal(scores[:, 1] - scores[:, 0], classifier.decision_function(X))


@pytest.mark.parametrize("first", ["(CONV(K=4) -> RELU + CONV(K=4, F=1))", "(POOL(F=3, S=1, P=1) | CONV(K=3)) -> RELU"])
def test_a_branch_first(digits, first):
    X, y = digits
    classifier = ConvNetClassifier(f"INPUT -> {first} -> FC", max_iter=1, random_state=0).fit(X, y)
    conv = features(classifier, X[:50], "CONV 1").reshape(50, 8, 8, -1)
    images = (X[:50].reshape(-1, 8, 8, 1) - classifier.pixel_mean_) * classifier.pixel_scale_
    filters, biases = classifier.coefs_[0].astype(float), classifier.intercepts_[0].astype(float)
    assert_allclose(conv, oracles.conv2d(images, filters, biases, 1, 1, (8, 8)), rtol=1e-4, atol=1e-5)


def test_fitted_attributes(digits, classifier):
    X = digits[0]
    transformer = ConvNetFeatures(classifier, "STACK 1").fit(X)
    assert transformer.estimator_.architecture_ is classifier.architecture_
    assert transformer.layer_ == "STACK 1"
    assert str(transformer.volume_) == "[4x4x12]"
    assert transformer.n_features_in_ == 64
    assert transformer.get_feature_names_out().tolist() == [f"convnetfeatures{i}" for i in range(192)]
    assert ConvNetFeatures(classifier).fit(X).layer_ == "TANH 1"


@pytest.mark.parametrize(
    ("layer", "message"),
    [
        (
            27,
            "layer=27, but this network has no such layer. Choose one of\n    1 or  -26: CONV 1 [8x8x5]\n    2 or",
        ),
        (-28, "layer=-28, but this network has no such layer"),
        ("CONV 6", "layer='CONV 6', but this network has no such layer. Choose one of"),
        ("cnov1", "layer='cnov1', but this network has no such layer: did you mean 'CONV 1'? Choose one of"),
        (0, "layer=0, but INPUT comes before the first CONV or FC"),
        ("INPUT", "layer='INPUT', but INPUT comes before the first CONV or FC"),
        (1.0, "The 'layer' parameter of ConvNetFeatures must be"),
        (True, "The 'layer' parameter of ConvNetFeatures must be"),
    ],
)
def test_a_wrong_layer_is_refused_with_a_list_of_layers(digits, classifier, layer, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        ConvNetFeatures(classifier, layer).fit(digits[0])


def test_true_is_no_row_of_a_display(classifier):
    for wrong in (True, False):
        with pytest.raises(ValueError, match=f"layer={wrong}, but this network has no such layer"):
            layer_name(classifier.architecture_, wrong)


@pytest.mark.parametrize("name", ["CONV 6", "INPUT", None, []])
def test_a_wrong_fitted_layer_is_refused(digits, classifier, name):
    transformer = ConvNetFeatures(classifier).fit(digits[0])
    transformer.layer_ = name
    with pytest.raises(ValueError, match=r"layer=.*, but"):
        transformer.transform(digits[0])


def test_layers_before_the_first_weights_are_refused(digits):
    X, y = digits
    classifier = ConvNetClassifier("INPUT -> POOL -> (SKIP | CONV(K=2)) -> FC", max_iter=1).fit(X, y)
    for layer in ("POOL 1", "SKIP 1"):
        with pytest.raises(ValueError, match=f"{layer} comes before the first CONV or FC") as caught:
            features(classifier, X, layer)
        names = re.findall("[A-Z]+ [0-9]", str(caught.value).split("Choose")[1])
        assert names == ["CONV 1", "STACK 1", "FC 1"]


@pytest.mark.parametrize("other", [SVC(), FrozenEstimator(SVC()), None, "resnet20"])
def test_another_estimator_is_refused(digits, other):
    with pytest.raises(ValueError, match="ConvNetClassifier"):
        ConvNetFeatures(other).fit(*digits)


def test_a_frozen_estimator_must_be_fitted(digits):
    with pytest.raises(NotFittedError):
        ConvNetFeatures(FrozenEstimator(ConvNetClassifier())).fit(*digits)


def test_images_of_another_size_are_refused(digits, classifier):
    X = digits[0]
    transformer = ConvNetFeatures(classifier)
    with pytest.raises(NotFittedError):
        transformer.transform(X)
    with pytest.raises(ValueError, match="ConvNetClassifier is expecting 64 features"):
        transformer.fit(X[:, :60])
    with pytest.raises(ValueError, match="ConvNetFeatures is expecting 64 features"):
        transformer.fit(X).transform(X[:, :60])


def test_a_classifier_on_features_of_a_fitted_network(digits, plain):
    X, y = digits
    weights = [coef.copy() for coef in plain.coefs_]
    for network in (plain, FrozenEstimator(plain)):
        pipeline = make_pipeline(ConvNetFeatures(network, "RELU 2"), SVC()).fit(X[:400], y[:400])
        assert pipeline.score(X[400:], y[400:]) > 0.8
    assert all(np.array_equal(*pair) for pair in zip(weights, plain.coefs_, strict=True))


def test_fit_fits_a_clone_of_an_unfitted_classifier(digits):
    X, y = digits
    network = ConvNetClassifier("INPUT -> CONV(K=6) -> RELU -> POOL -> FC", max_iter=3, random_state=0)
    transformer = ConvNetFeatures(network, "POOL 1").fit(X, y)
    assert not network.__sklearn_is_fitted__()
    assert_array_equal(transformer.transform(X), features(clone(network).fit(X, y), X, "POOL 1"))


def test_cross_validation_fits_a_network_for_each_split_unless_it_is_frozen(digits, plain, monkeypatch):
    X, y = digits
    fits = []
    fit = ConvNetClassifier.fit
    monkeypatch.setattr(ConvNetClassifier, "fit", lambda self, *data, **params: fits.append(self) or fit(self, *data))
    learner = SVC()
    frozen = make_pipeline(ConvNetFeatures(FrozenEstimator(plain), "FC 1"), learner)
    assert cross_val_score(frozen, X, y, cv=2).min() > 0.8
    assert fits == []
    network = ConvNetClassifier("INPUT -> CONV(K=8) -> RELU -> POOL -> FC", max_iter=1, random_state=0)
    search = GridSearchCV(make_pipeline(ConvNetFeatures(network), learner), {"convnetfeatures__layer": [1, 3]}, cv=2)
    assert search.fit(X, y).best_score_ > 0.8
    assert len(fits) == 2 * 2 + 1


def test_later_changes_of_the_classifier_have_no_effect(digits, plain):
    X, y = digits
    classifier = clone_with(plain)
    transformer = ConvNetFeatures(classifier, "FC 1").fit(X)
    expected = transformer.transform(X)
    classifier.coefs_[0] = 2 * classifier.coefs_[0]
    assert_array_equal(transformer.transform(X), expected)
    with pytest.warns(UserWarning, match="not kept the state of Adam"):
        classifier.partial_fit(X, y)
    assert_array_equal(transformer.transform(X), expected)
    classifier.set_params(architecture="INPUT -> FC").fit(X, y)
    assert_array_equal(transformer.transform(X), expected)
    assert_array_equal(pickle.loads(pickle.dumps(transformer)).transform(X), expected)
    with pytest.raises(ValueError, match="layer='RELU 2', but this network has no such layer"):
        transformer.set_params(layer="RELU 2").fit(X)


def test_no_state_of_the_optimizer_is_kept(digits, plain):
    classifier = clone_with(plain, solver="sgd").partial_fit(*digits)
    size = len(pickle.dumps(ConvNetFeatures(FrozenEstimator(classifier)).fit(digits[0]).estimator_))
    assert size < len(pickle.dumps(classifier)) / 2


def test_a_wrong_layer_is_refused_before_the_network_is_fitted(digits, monkeypatch):
    monkeypatch.setattr(ConvNetClassifier, "fit", lambda *data, **params: pytest.fail("was fitted"))
    with pytest.raises(ValueError, match="layer='FC 3', but this network has no such layer"):
        ConvNetFeatures(ConvNetClassifier("INPUT -> FC(5) -> FC"), "FC 3").fit(*digits)


def test_weights_and_validation_data_are_passed_to_the_classifier(digits):
    X, y = digits
    network = ConvNetClassifier("INPUT -> FC(9) -> FC", max_iter=2, random_state=0)
    params = {"sample_weight": np.linspace(0, 1, 600), "X_val": X[:50], "y_val": y[:50]}
    alone = clone(network).fit(X, y, **params)
    expected = features(alone, X, "FC 1")
    transformer = ConvNetFeatures(network, "FC 1")
    assert_array_equal(clone(transformer).fit(X, y, **params).transform(X), expected)
    pipeline = make_pipeline(clone(transformer), SVC())
    pipeline.fit(X, y, **{f"convnetfeatures__{name}": value for name, value in params.items()})
    assert pipeline[0].estimator_.validation_scores_ == alone.validation_scores_
    with config_context(enable_metadata_routing=True):
        transformer.estimator.set_fit_request(sample_weight=True, X_val=True, y_val=True)
        fitted = make_pipeline(transformer, SVC().set_fit_request(sample_weight=False)).fit(X, y, **params)
        assert_array_equal(fitted[0].transform(X), expected)
        transformer.estimator.set_fit_request(sample_weight=None)
        with pytest.raises(UnsetMetadataPassedError, match="sample_weight"):
            make_pipeline(transformer, SVC().set_fit_request(sample_weight=False)).fit(X, y, **params)


def test_pandas_in_and_out(digits, classifier):
    pd = pytest.importorskip("pandas")
    X = pd.DataFrame(digits[0], index=range(1000, 1600)).add_prefix("pixel")
    network = ConvNetClassifier("INPUT -> FC(3) -> FC", max_iter=1, random_state=0).fit(X, digits[1])
    transformer = ConvNetFeatures(network, "FC 1").set_output(transform="pandas").fit(X)
    frame = transformer.transform(X)
    assert frame.columns.tolist() == ["convnetfeatures0", "convnetfeatures1", "convnetfeatures2"]
    assert frame.index.equals(X.index)
    assert transformer.feature_names_in_.tolist() == list(X.columns)
    assert_array_equal(frame.to_numpy(), transformer.set_output(transform="default").transform(X))
    with pytest.raises(ValueError, match="feature names"):
        transformer.transform(X.iloc[:, ::-1])
    assert not hasattr(transformer.set_params(estimator=classifier).fit(digits[0]), "feature_names_in_")


def test_more_memory_than_the_machine_has_is_refused(digits, classifier, monkeypatch):
    transformer = ConvNetFeatures(classifier, "CONV 1").fit(digits[0])
    monkeypatch.setattr("skconvnet.engine.device.machine_memory", lambda: 2**28)
    with pytest.raises(ValueError, match=r"Scoring images of shape .* needs 3\d\d\.\d MB of memory"):
        transformer.transform(np.zeros((250_000, 64), np.uint8))


def test_clone_and_pickle(digits, classifier):
    X = digits[0]
    transformer = ConvNetFeatures(FrozenEstimator(classifier), "FC 2").fit(X)
    expected = transformer.transform(X)
    assert_array_equal(clone(transformer).fit(X).transform(X), expected)
    assert_array_equal(pickle.loads(pickle.dumps(transformer)).transform(X), expected)
    assert not clone(ConvNetFeatures(classifier)).estimator.__sklearn_is_fitted__()


def clone_with(classifier, **parameters):
    return pickle.loads(pickle.dumps(classifier)).set_params(**parameters)


def test_threads_change_no_bit(digits, classifier):
    one = features(classifier, digits[0], "STACK 1")
    assert_array_equal(features(clone_with(classifier, n_jobs=2), digits[0], "STACK 1"), one)


def test_scikit_learns_checks():
    network = ConvNetClassifier(K=4, N=1, M=1, max_iter=1, n_jobs=1, random_state=0)
    results = check_estimator(ConvNetFeatures(network), on_skip=None, on_fail=None)
    failed = {result["check_name"]: result["exception"] for result in results if result["status"] == "failed"}
    assert failed == {}
