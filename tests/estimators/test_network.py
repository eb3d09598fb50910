"""Binding a network from a classifier's parameters."""

import warnings

import numpy as np
import pytest
from sklearn.frozen import FrozenEstimator

from skconvnet import ArchitectureError, ConvNetClassifier
from skconvnet.estimators.network import HYPERPARAMETERS, bind_network, parameters_without_effect


def test_hyperparameters_are_parameters_of_the_classifier():
    assert set(HYPERPARAMETERS) <= ConvNetClassifier().get_params().keys()
    assert "K" in HYPERPARAMETERS


def test_the_parameters_are_in_the_network():
    classifier = ConvNetClassifier("INPUT -> CONV -> POOL? -> [FC -> RELU]*K -> FC", K=4, F=5, pool_F=4, pool_S=4)
    classifier.set_params(hidden_layer_sizes=(7,))
    bound = bind_network(classifier, (8, 8, 2), 3)
    assert str(bound) == "INPUT -> CONV(K=4, F=5, S=1, P=2) -> POOL(max, F=4, S=4, P=0) -> FC(7) -> RELU -> FC(3)"
    assert (bound.image_shape, bound.n_classes) == ((8, 8, 2), 3)


def test_without_a_number_of_classes_the_text_decides():
    assert bind_network(ConvNetClassifier("INPUT -> FC(4)"), (2, 2, 1), None).n_classes == 4
    assert bind_network(ConvNetClassifier("INPUT -> FC"), (2, 2, 1), None).n_classes == 10


def test_a_wrong_hyperparameter_is_refused():
    with pytest.raises(ArchitectureError, match="K must be"):
        bind_network(ConvNetClassifier(K=0), (2, 2, 1), 3)
    with pytest.raises(ArchitectureError, match=r"are written in the text: CONV\(F=3x3\)"):
        bind_network(ConvNetClassifier(F="3x3"), (8, 8, 1), 3)
    with pytest.raises(ArchitectureError, match=r"For filters of 3x3 give one number, F=3$"):
        bind_network(ConvNetClassifier("INPUT -> [CONV]*3 -> FC", F=(3, 3)), (8, 8, 1), 3)


def test_what_has_no_effect_is_warned_of_once_and_together():
    X, y = np.arange(8 * 16).reshape(8, 4, 4) % 7, [0, 1] * 4
    classifier = ConvNetClassifier("INPUT -> CONV(K=2, F=3) -> FC", F=7, K=9, N=3, body_rate=0.5, P=0, max_iter=1)
    with pytest.warns(UserWarning, match="no effect") as told:
        classifier.fit(X, y)
    (message,) = (str(one.message) for one in told)
    assert message.startswith(
        "K=9 and F=7 (each CONV spells its own), N=3 (nothing is repeated *N), body_rate=0.5 (pretrained is None) "
        "have no effect on the network of architecture='INPUT -> CONV(K=2, F=3) -> FC'."
    )
    assert told[0].filename == __file__
    classifier = ConvNetClassifier("INPUT -> FC", F=7)
    with pytest.warns(UserWarning, match="no effect"):
        classifier.partial_fit(X, y, classes=[0, 1])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        classifier.partial_fit(X, y)


def test_sizes_that_no_layer_takes_are_warned_of():
    X, y = np.arange(8 * 16).reshape(8, 4, 4) % 7, [0, 1] * 4
    classifier = ConvNetClassifier("INPUT -> FC -> RELU -> FC", hidden_layer_sizes=(3, 2), max_iter=1)
    with pytest.warns(UserWarning, match=r"^hidden_layer_sizes\[1:\] \(FC layers take 1 of its 2 values\) has no"):
        classifier.fit(X, y)


def test_a_pretrained_network_has_its_own_numbers():
    X, y = np.arange(8 * 16).reshape(8, 4, 4) % 7, [0, 1] * 4
    source = FrozenEstimator(ConvNetClassifier("INPUT -> CONV(K=2) -> FC", max_iter=1).fit(X, y))
    tuned = ConvNetClassifier(pretrained=source, K=7, body_rate=0.5)
    assert parameters_without_effect(tuned, (4, 4, 1)) == {"K": "the pretrained network has its own"}
    assert parameters_without_effect(tuned.set_params(architecture="INPUT -> CONV(K=2) -> FC"), (4, 4, 1)) == {
        "K": "each CONV spells its own"
    }


def test_spaces_around_auto_are_ignored():
    X, y = np.arange(8 * 16).reshape(8, 4, 4) % 7, [0, 1] * 4
    source = FrozenEstimator(ConvNetClassifier("INPUT -> CONV(K=2) -> FC", max_iter=1).fit(X, y))
    tuned = ConvNetClassifier(" auto ", pretrained=source, K=7)
    assert parameters_without_effect(tuned, (4, 4, 1)) == {"K": "the pretrained network has its own"}
    assert str(bind_network(tuned, (4, 4, 1), None)) == str(source.architecture_)
    assert parameters_without_effect(ConvNetClassifier(" auto ", N=3), (32, 32, 3)) == {}


def test_filters_larger_than_what_they_see_are_warned_of():
    with pytest.warns(UserWarning, match=r"CONV 1 has filters of F=99, and its input is \[4x4x1\].*Use a smaller F"):
        ConvNetClassifier("INPUT -> CONV(K=2) -> FC", F=99, max_iter=1).fit(np.eye(16).reshape(16, 4, 4), [0, 1] * 8)
