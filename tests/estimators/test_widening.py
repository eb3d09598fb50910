"""Classes that come later: `partial_fit` with widen_classes=True gives the network outputs for them."""

import pickle

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.datasets import load_digits
from sklearn.frozen import FrozenEstimator

from skconvnet import ConvNetClassifier
from skconvnet.engine.program.target import CPU
from skconvnet.engine.weights.layout import lay_out_parameters
from skconvnet.estimators.widening import widened
from tests.estimators.quick import refused, same_network
from tests.training.steps import interrupt_at

X, Y = load_digits(return_X_y=True)
FEW = np.isin(Y, [1, 3, 7])
TEXT = "INPUT -> CONV(K=4) -> NORM -> RELU -> POOL -> FC"


def stream(text=TEXT, labels=Y, **parameters):
    """A classifier after two calls with images of the digits 1, 3 and 7."""
    parameters = {"n_jobs": 1, "random_state": 0, "learning_rate_init": 0.01, "widen_classes": True} | parameters
    classifier = ConvNetClassifier(text, **parameters)
    for _ in range(2):
        classifier.partial_fit(X[FEW], labels[FEW])
    return classifier


@pytest.mark.parametrize("solver", ["adam", "sgd"])
def test_known_classes_keep_their_numbers_and_new_ones_begin_as_their_mean(solver):
    narrow = stream(solver=solver)
    wide = widened(narrow, np.arange(10))
    assert_array_equal(narrow.classes_, [1, 3, 7])
    assert_array_equal(wide.predict(X), narrow.predict(X))
    assert_allclose(wide.decision_function(X)[:, [1, 3, 7]], narrow.decision_function(X), rtol=1e-5, atol=1e-5)
    for own, before in zip(wide.coefs_[:-1] + wide.norm_means_, narrow.coefs_[:-1] + narrow.norm_means_, strict=True):
        assert_array_equal(own, before)
    for own, before in zip(head(wide), head(narrow), strict=True):
        assert_array_equal(own[..., [1, 3, 7]], before)
        assert_allclose(own[..., [0, 9]], before.mean(axis=-1, keepdims=True).repeat(2, axis=-1), atol=1e-6)
    for own, before in zip(head_moments(wide), head_moments(narrow), strict=True):
        assert_array_equal(own[..., [1, 3, 7]], before)
        assert not own[..., [0, 2, 4, 5, 6, 8, 9]].any()
    assert wide._training_state.optimizer.n_steps == narrow._training_state.optimizer.n_steps > 0


def head(classifier):
    """The weights and biases of the last layer."""
    return classifier.coefs_[-1], classifier.intercepts_[-1]


def head_moments(classifier):
    """The moments of the weights of the head, and of its biases."""
    layout = lay_out_parameters(classifier.architecture_, CPU)
    learned = [layout.unpack(moment) for moment in classifier._training_state.optimizer.moments]
    return [array for one in learned for array in (one.coefs[-1], one.intercepts[-1])]


def test_a_stream_learns_the_classes_that_come():
    one, forgetful, threads = stream(), pickle.loads(pickle.dumps(stream())), stream(n_jobs=2)
    for estimator in (one, forgetful, threads):
        for first in range(0, 1500, 500):
            estimator.partial_fit(X[first : first + 500], Y[first : first + 500])
    assert_array_equal(one.classes_, np.arange(10))
    assert one.score(X[1500:], Y[1500:]) > 0.7
    assert one.t_ == 2 * FEW.sum() + 1500
    assert same_network(one, forgetful)
    assert same_network(one, threads)


def test_labels_come_from_classes_and_from_y():
    names = np.array(["", "one", "", "three", "", "", "", "seven"] + [""] * 2)[Y]
    classifier = stream("INPUT -> FC", names)
    assert_array_equal(classifier.classes_, ["one", "seven", "three"])
    classifier.partial_fit(X[FEW], names[FEW], classes=["four", "one"])
    assert_array_equal(classifier.classes_, ["four", "one", "seven", "three"])
    probabilities = classifier.predict_proba(X[FEW])
    assert probabilities.shape == (FEW.sum(), 4)
    assert set(classifier.predict(X[FEW])) == {"one", "seven", "three"}
    same = classifier.classes_
    assert classifier.partial_fit(X[FEW], names[FEW]).classes_ is same
    with refused("y has labels of dtype int64, and the classes ['four', 'one', 'seven', 'three'] have dtype <U5"):
        classifier.partial_fit(X[FEW], Y[FEW])


def test_all_that_has_a_number_for_each_class_is_widened():
    text = "INPUT -> CONV(K=classes) -> NORM -> PRELU -> POOL(average, F=all)"
    narrow = stream(text)
    wide = widened(narrow, np.arange(10))
    assert [array.shape for array in wide.coefs_] == [(3, 3, 1, 10), (10,), (10,)]
    assert [array.shape for array in wide.norm_means_ + wide.norm_variances_] == [(10,), (10,)]
    assert_allclose(wide.decision_function(X)[:, [1, 3, 7]], narrow.decision_function(X), rtol=1e-5, atol=1e-5)
    assert narrow.partial_fit(X, Y).predict_proba(X).shape == (len(X), 10)


def test_a_pretrained_network_is_widened():
    body = ConvNetClassifier(TEXT, max_iter=1, random_state=0, n_jobs=1).fit(X, Y)
    narrow = stream("auto", pretrained=FrozenEstimator(body), freeze="body")
    kept = narrow.coefs_[0]
    narrow.partial_fit(X, Y)
    assert_array_equal(narrow.classes_, np.arange(10))
    assert_array_equal(narrow.coefs_[0], kept)


def test_an_interrupt_leaves_the_classifier_as_it_was(monkeypatch):
    classifier = stream()
    before = vars(pickle.loads(pickle.dumps(classifier)))
    interrupt_at(classifier._training_state.optimizer.n_steps + 1, monkeypatch)
    with pytest.raises(KeyboardInterrupt):
        classifier.partial_fit(X, Y)
    assert_array_equal(classifier.classes_, [1, 3, 7])
    for own, other in zip(classifier.coefs_, before["coefs_"], strict=True):
        assert_array_equal(own, other)


def test_without_it_new_classes_are_refused_with_what_to_do():
    classifier = stream().set_params(widen_classes=False)
    with refused("y contains 0, which is not among the classes [1, 3, 7]. Leave such images out, or fit with"):
        classifier.partial_fit(X, Y)
    with refused("not the same as on last call to partial_fit, was: array([1, 3, 7]). Leave out classes, or add"):
        classifier.partial_fit(X[FEW], Y[FEW], classes=[1, 3, 7, 8])
    with refused("y has 1 class (3); a classifier needs 2 classes or more"):
        ConvNetClassifier("INPUT -> FC", widen_classes=True).partial_fit(X[Y == 3], Y[Y == 3])


def test_several_labels_are_refused():
    indicators = (Y[:, None] == [1, 3, 7]).astype(int)
    message = "widen_classes=True adds classes of which each image has one, and here an image has several labels."
    for classifier in (ConvNetClassifier("INPUT -> FC", widen_classes=True), stream("INPUT -> FC")):
        with refused(message):
            classifier.partial_fit(X, indicators)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("INPUT -> (FC(3) + FC(3))", "only a CONV or FC outside branches can be replaced"),
        ("INPUT -> CONV(F=3, K=3) -> CONV(F=8, P=valid, K=3, groups=3)", "are in 3 groups, which would change"),
    ],
    ids=["in branches", "in groups"],
)
def test_heads_that_cannot_be_widened_are_named(text, reason):
    classifier = stream(text)
    with pytest.raises(ValueError, match=f"cannot be widened to 10 classes.*{reason}.*Fit a new network"):
        classifier.partial_fit(X, Y)
    assert_array_equal(classifier.classes_, [1, 3, 7])


def test_a_text_with_a_number_of_classes_is_refused():
    with pytest.raises(ValueError, match="10 classes"):
        stream("INPUT -> CONV(K=3) -> POOL(average, F=all)").partial_fit(X, Y)
