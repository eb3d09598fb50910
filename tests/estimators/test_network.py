"""Binding a network from a classifier's parameters."""

import pytest

from skconvnet import ArchitectureError, ConvNetClassifier
from skconvnet.estimators.network import HYPERPARAMETERS, bind_network


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
