"""Fits that begin with a pretrained network."""

import copy
import pickle
import warnings
from dataclasses import replace

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV

from skconvnet import Architecture, ConvNetClassifier, ConvNetFeatures, save_network, valid_param_grid
from skconvnet.estimators.fitted import stored_network
from skconvnet.estimators.pretrained import begin_with, bind_pretrained, head_of, pretrained_network
from skconvnet.estimators.targets import Classes, Values
from skconvnet.interchange.safetensors import write_safetensors
from tests.estimators.quick import refused, same_network

TEXT = "INPUT -> CONV(K=8) -> RELU -> POOL -> CONV(K=8) -> NORM -> RELU -> DROPOUT(0.2) -> FC(16) -> RELU -> FC"


def tuned(source, **parameters):
    """A classifier that begins with another's network."""
    settings = {"max_iter": 2, "batch_size": 16, "n_jobs": 1, "random_state": 0}
    return ConvNetClassifier(pretrained=FrozenEstimator(source), **settings | parameters)


@pytest.fixture(scope="module")
def source(digits):
    """A network for the digits 0 to 4."""
    X, y = digits
    return ConvNetClassifier(TEXT, max_iter=2, batch_size=16, n_jobs=1, random_state=1).fit(X[y < 5], y[y < 5])


def test_the_architecture_is_that_of_the_network_with_other_classes(source, digits):
    classifier = tuned(source, max_iter=1).fit(*digits)
    assert str(classifier.architecture_) == str(source.architecture_).replace("FC(5)", "FC(10)")
    np.testing.assert_array_equal(classifier.pixel_mean_, source.pixel_mean_)
    np.testing.assert_array_equal(classifier.pixel_scale_, source.pixel_scale_)


def test_a_file_is_as_good_as_the_classifier_that_it_was_saved_from(source, digits, tmp_path):
    save_network(source, tmp_path / "source.safetensors")
    X, y = digits
    loaded = tuned(source, max_iter=1).set_params(pretrained=str(tmp_path / "source.safetensors"))
    assert same_network(clone(loaded).fit(X[:64], y[:64]), tuned(source, max_iter=1).fit(X[:64], y[:64]))
    with refused("'nowhere' cannot be loaded: there is no such file"):
        loaded.set_params(pretrained="nowhere").fit(X, y)


def test_a_file_that_needs_arguments_is_told_to_be_loaded_before(tmp_path):
    (tmp_path / "bare.safetensors").write_bytes(write_safetensors({"coefs.00": np.zeros((4, 2))}, {}))
    with refused("pass pretrained=FrozenEstimator(load_network(path, pixel_mean=..., pixel_std=...))"):
        pretrained_network(tmp_path / "bare.safetensors")


def test_the_body_begins_with_the_weights_and_only_the_head_is_new(source):
    stored = stored_network(source)
    bound = bind_pretrained(stored, (8, 8, 1), 10)
    network, has_new_head = begin_with(stored, bound, Classes(np.arange(10)), None, np.random.default_rng(0))
    learned = network.learned
    assert has_new_head
    assert learned.coefs[-1].shape == (16, 10)
    for new, old in zip(learned, stored.learned, strict=True):
        for ours, theirs in zip(new[:4], old[:4], strict=True):
            np.testing.assert_array_equal(ours, theirs)


def test_a_new_head_has_the_gain_of_what_it_computes(source):
    stored, heads = stored_network(source), []
    for kind in Classes(np.arange(2)), Values(np.zeros(2), np.ones(2)):
        bound = bind_pretrained(stored, (8, 8, 1), 2)
        heads.append(begin_with(stored, bound, kind, None, np.random.default_rng(0))[0].learned.coefs[-1])
    np.testing.assert_allclose(heads[1], heads[0] * np.sqrt(1 / 6), rtol=1e-6)


@pytest.mark.parametrize(("labels", "has_classifier", "keeps"), [("abcde", 1, 1), ("abcdf", 1, 0), ("abcde", 0, 0)])
def test_a_head_for_the_same_labels_is_kept_if_the_file_has_one(source, labels, has_classifier, keeps):
    stored = replace(stored_network(source), classes=np.array([*labels]), has_classifier=bool(has_classifier))
    bound = bind_pretrained(stored, (8, 8, 1), 5)
    network, has_new_head = begin_with(stored, bound, Classes(np.array([*"abcde"])), None, np.random.default_rng(0))
    assert has_new_head is not bool(keeps)
    assert np.array_equal(network.learned.coefs[-1], source.coefs_[-1]) is bool(keeps)


def test_images_of_another_size_fit_where_the_layers_do(source, digits):
    bound = Architecture.parse("INPUT -> CONV(K=8) -> RELU -> POOL(average, F=all) -> FC").bind((8, 8, 1), 5)
    stored = stored_network(source)
    object.__setattr__(stored, "architecture", bound)
    assert bind_pretrained(stored, (12, 9, 1), 3).layers[-2].output.size == 8
    with refused(
        "Images of shape (12, 12, 1) do not fit the pretrained network: here is FC 1, FC(16) with weights of shape"
    ):
        tuned(source, image_shape=(12, 12)).fit(np.zeros((20, 144)), np.arange(20) % 2)


@pytest.mark.parametrize(
    ("size", "message"),
    [
        (1, "The pretrained network needs larger images than those of shape (1, 1, 1). POOL 1 over the height of"),
        (11, "Images of shape (11, 11, 1) do not fit the pretrained network: here is FC 1"),
    ],
)
def test_images_whose_size_no_layer_can_have_are_refused(source, size, message):
    with refused(message) as caught:
        tuned(source, image_shape=(size, size)).fit(np.zeros((20, size**2)), np.arange(20) % 2)
    assert str(caught.value).lower().endswith("use images of shape (8, 8, 1).")
    assert "What fits" not in str(caught.value)


def test_a_classifier_that_is_not_frozen_is_refused_with_advice(source, digits):
    with refused("Wrap the fitted classifier: pretrained=FrozenEstimator(classifier)"):
        ConvNetClassifier(pretrained=source).fit(*digits)


def test_rows_are_images_of_the_shape_of_the_network_if_they_have_its_size(digits):
    X, y = digits
    strips = X.reshape(-1, 4, 16, 1)
    source = ConvNetClassifier(
        "INPUT -> CONV(K=8, P=0) -> FC(16) -> RELU -> FC", max_iter=1, n_jobs=1, random_state=0
    ).fit(strips, y)
    fits = [tuned(source, max_iter=1).fit(pixels, y) for pixels in (X, X.tolist(), strips)]
    for classifier in fits:
        assert classifier.image_shape_ == (4, 16, 1)
        assert same_network(classifier, fits[0])
    features = ConvNetFeatures(tuned(source, max_iter=1)).fit(X, y)
    assert features.estimator_.image_shape_ == (4, 16, 1)


def test_floats_up_to_one_for_a_network_of_bytes_are_warned_of(digits):
    X, y = digits
    bytes_ = (X * 15).astype(np.uint8)
    source = ConvNetClassifier("INPUT -> CONV(K=8) -> POOL -> FC", max_iter=1, n_jobs=1, random_state=0).fit(bytes_, y)
    with pytest.warns(UserWarning, match="X has floats up to 1, and the network was trained on pixels from 0 to 255"):
        tuned(source, max_iter=1, freeze="body").fit(X / 16, y)
    stream = tuned(source, max_iter=1, warm_start=True).partial_fit(bytes_, y, classes=range(10))
    for fit in (stream.partial_fit, stream.fit):
        with pytest.warns(UserWarning, match="X has floats up to 1") as caught:
            fit(X / 16, y)
        assert caught[0].filename == __file__
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        tuned(source, max_iter=1, freeze="body").fit(X * 15.0, y)


def test_a_fit_that_is_continued_does_not_read_the_file_again(source, digits, tmp_path):
    X, y = digits[0][:64], digits[1][:64]
    path = tmp_path / "source.safetensors"
    save_network(source, path)
    expected = tuned(source, architecture=TEXT, max_iter=1, warm_start=True)
    classifier = clone(expected).set_params(pretrained=path).fit(X, y)
    path.unlink()
    expected.fit(X, y)
    assert same_network(classifier.fit(X, y), expected.fit(X, y))
    assert same_network(classifier.partial_fit(X, y), expected.partial_fit(X, y))


def test_a_checkpoint_knows_the_labels_of_the_network(source, digits, tmp_path):
    X, y = digits[0][:64], digits[1][:64] % 5
    relabelled = copy.copy(source)
    relabelled.classes_ = source.classes_ + 100
    tuned(source, max_iter=1, checkpoint=tmp_path / "checkpoint").fit(X, y)
    with refused("the weights or labels of the pretrained network differ"):
        tuned(relabelled, max_iter=1, checkpoint=tmp_path / "checkpoint").fit(X, y)


def test_combinations_that_fit_refuses_are_dropped_from_a_grid(source):
    grid = {"freeze": [None, "body", "CONV 1", "CONV 7"], "image_shape": [(8, 8)]}
    valid = valid_param_grid(tuned(source), grid, image_shape=(8, 8), n_classes=10)
    assert [params["freeze"] for params in valid] == [[None], ["body"], ["CONV 1"]]
    assert "freeze='CONV 7' is no layer before the head" in valid.dropped[0][1]
    other = valid_param_grid(tuned(source), {"architecture": ["auto", "INPUT -> CONV -> FC"]}, image_shape=(8, 8))
    assert "architecture must be that of the pretrained network" in other.dropped[0][1]


def test_a_notebook_shows_both_networks(source):
    assert "FrozenEstimator" in tuned(source)._repr_html_()


def test_channels_must_be_those_of_the_network(source):
    with refused("for images with 1 channel, and X has images of shape (8, 8, 3)"):
        tuned(source).fit(np.zeros((20, 8, 8, 3)), np.arange(20) % 2)
    stored = stored_network(source)
    object.__setattr__(stored, "architecture", Architecture.parse("INPUT -> CONV(K=8) -> FC").bind((8, 8, 3), 5))
    with refused("load_image_folder(path, channels=3)"):
        bind_pretrained(stored, (8, 8, 1), 2)


def test_an_architecture_that_differs_is_refused_at_the_first_layer(source, digits):
    with refused("The first layer that differs is CONV 2, CONV(K=9, F=3, S=1, P=1) with weights of shape (3, 3, 8, 9)"):
        tuned(source, architecture=TEXT.replace("POOL -> CONV(K=8)", "POOL -> CONV(K=9)")).fit(*digits)
    other_head = tuned(source, architecture=TEXT.replace("RELU -> FC", "RELU -> FC -> RELU"), max_iter=1)
    assert str(other_head.fit(*digits).architecture_).endswith("FC(16) -> RELU -> FC(10) -> RELU")


def test_what_is_no_fitted_classifier_is_refused(digits):
    with refused("the FrozenEstimator has LogisticRegression()"):
        tuned(LogisticRegression().fit(*digits)).fit(*digits)
    with pytest.raises(NotFittedError):
        tuned(ConvNetClassifier()).fit(*digits)


def test_the_head_is_the_last_layer_with_weights():
    bound = Architecture.parse("INPUT -> CONV(K=4) -> (CONV(K=4) + SKIP) -> RELU -> POOL(F=all)").bind((8, 8, 1), 4)
    assert head_of(bound) == 1


def test_clones_pickles_and_searches_begin_with_the_same_network(source, digits):
    X, y = digits
    classifier = tuned(source, freeze="body")
    expected = clone(classifier).fit(X, y)
    assert same_network(pickle.loads(pickle.dumps(classifier)).fit(X, y), expected)
    search = GridSearchCV(classifier, {"freeze": ["body", "CONV 1"]}, cv=2, refit=False).fit(X[:100], y[:100])
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()


def test_a_search_begins_with_a_file(source, digits, tmp_path):
    X, y = digits[0][:100], digits[1][:100]
    path = str(tmp_path / "source.safetensors")
    save_network(source, path)
    grid = {"pretrained": [path, FrozenEstimator(source)]}
    classifier = tuned(source, freeze="body", max_iter=1)
    search = GridSearchCV(classifier, grid, cv=2, n_jobs=1).fit(X, y)
    one, other = search.cv_results_["mean_test_score"]
    assert one == other
    assert same_network(search.best_estimator_, classifier.fit(X, y))
