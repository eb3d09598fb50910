"""ConvNetClassifier in place of scikit-learn's MLPClassifier."""

import pytest
from numpy.testing import assert_allclose
from sklearn.datasets import load_iris
from sklearn.exceptions import ConvergenceWarning
from sklearn.neural_network import MLPClassifier

from skconvnet import ConvNetClassifier
from tests.estimators.quick import same_network

SAME = {"hidden_layer_sizes": (8,), "batch_size": 50, "shuffle": False, "random_state": 0}


@pytest.mark.parametrize(
    "parameters",
    [
        {"solver": "sgd", "learning_rate": "constant", "learning_rate_init": 0.1, "alpha": 0.5},
        {"solver": "sgd", "learning_rate": "invscaling", "learning_rate_init": 0.5, "power_t": 0.3, "alpha": 0.5},
        {"solver": "sgd", "learning_rate": "constant", "momentum": 0.5, "nesterovs_momentum": False, "alpha": 0.5},
        {"solver": "adam", "learning_rate": "constant", "beta_1": 0.7, "beta_2": 0.99, "alpha": 0.0},
    ],
    ids=repr,
)
@pytest.mark.filterwarnings("ignore:The fit before has not kept the state of Adam")
def test_the_weights_are_those_of_mlpclassifier(parameters):
    X, y = load_iris(return_X_y=True)
    X = (X - X.mean()) / X.std()
    mlp = MLPClassifier(**SAME | parameters).partial_fit(X, y, classes=[0, 1, 2])
    ours = ConvNetClassifier("INPUT -> FC -> RELU -> FC", **SAME, label_smoothing=0, n_jobs=1)
    ours.set_params(solver="sgd", learning_rate="constant", learning_rate_init=1e-30)  # keeps the initial weights
    ours.partial_fit(X, y, classes=[0, 1, 2]).set_params(**{"learning_rate_init": 0.001} | parameters)
    for theirs, own in zip(mlp.coefs_ + mlp.intercepts_, ours.coefs_ + ours.intercepts_, strict=True):
        theirs[...] = own
    mlp._optimizer.__dict__.update(t=0)
    for name in ("velocities", "ms", "vs"):
        for moment in getattr(mlp._optimizer, name, ()):
            moment[...] = 0
    for _ in range(4):
        mlp.partial_fit(X, y)
        ours.partial_fit(X, y)
    for theirs, own in zip(mlp.coefs_ + mlp.intercepts_, ours.coefs_ + ours.intercepts_, strict=True):
        assert_allclose(own, theirs, rtol=1e-3, atol=1e-5)
    assert_allclose(ours.predict_proba(X), mlp.predict_proba(X), atol=1e-4)


def test_invscaling_goes_on_where_it_was():
    X, y = load_iris(return_X_y=True)
    parameters = {"learning_rate": "invscaling", "power_t": 0.2, "n_jobs": 1, "random_state": 0, "warm_start": True}
    whole, twice, stream = (ConvNetClassifier("INPUT -> FC", max_iter=n, **parameters) for n in (4, 2, 1))
    for estimator in (whole, twice, twice):
        with pytest.warns(ConvergenceWarning):
            estimator.fit(X, y)
    for _ in range(4):
        stream.partial_fit(X, y, classes=[0, 1, 2])
    assert same_network(whole, twice)
    assert same_network(whole, stream)
