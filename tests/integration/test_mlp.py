"""ConvNetClassifier in place of scikit-learn's MLPClassifier: the same weights, and scikit-learn's own tests.

The tests are those of the installed scikit-learn. `DIFFERENT` lists those that fail and why, as
docs/coming-from-mlp.md tells it. A listed test that passes is a failure, and so is another one that fails.
"""

import importlib.util
import re
from pathlib import Path
from unittest import mock

import pytest
import sklearn
from numpy.testing import assert_allclose
from sklearn import neural_network
from sklearn.datasets import load_iris
from sklearn.exceptions import ConvergenceWarning
from sklearn.neural_network import MLPClassifier
from sklearn.utils.fixes import parse_version

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


# scikit-learn's own tests of MLPClassifier

PRIVATE = "private attributes"
LBFGS = "about lbfgs"
LABELS = "several labels for an image"
TEXT = "another text"
ONE_CYCLE = "the end of one-cycle is no lack of convergence"
DIFFERENT = {
    "test_fit": PRIVATE,
    "test_gradient": PRIVATE,
    "test_learning_rate_warmstart": PRIVATE,
    "test_adaptive_learning_rate": PRIVATE,
    "test_n_iter_no_change": PRIVATE,
    "test_lbfgs_classification_maxfun[X0-y0]": LBFGS,
    "test_lbfgs_classification_maxfun[X1-y1]": LBFGS,
    "test_partial_fit_errors": LBFGS,
    "test_multilabel_classification": LABELS,
    "test_predict_proba_multilabel": LABELS,
    "test_verbose_sgd": TEXT,
    "test_warm_start": TEXT,
    "test_early_stopping_stratified": TEXT,
    "test_mlp_param_dtypes[MLPClassifier-float64]": "weights are float32",
    "test_preserve_feature_names[MLPClassifier]": "y has one class",
    "test_mlp_warm_start_no_convergence[sgd-MLPClassifier]": ONE_CYCLE,
    "test_mlp_warm_start_no_convergence[adam-MLPClassifier]": ONE_CYCLE,
    "test_mlp_warm_start_no_convergence[lbfgs-MLPClassifier]": ONE_CYCLE,
}
SLOW = {"test_n_iter_no_change_inf"}  # 3000 epochs, and private attributes at their end


def small(activation="relu", solver="adam", **parameters):
    """The network of MLPClassifier, with what the page says to write instead of `activation` and "lbfgs"."""
    layer = {"relu": " -> RELU", "tanh": " -> TANH", "logistic": " -> SIGMOID", "identity": ""}[activation]
    solver = "adam" if solver == "lbfgs" else solver
    return ConvNetClassifier(f"INPUT -> [FC{layer}]*K -> FC", solver=solver, n_jobs=1, **parameters)


small.__name__ = "MLPClassifier"  # in the names of the tests


def load_tests():
    """The module of scikit-learn's tests, with our classifier in the place of its own."""
    path = Path(neural_network.__file__).parent / "tests" / "test_mlp.py"
    spec = importlib.util.spec_from_file_location("tests_of_mlp", path)
    module = importlib.util.module_from_spec(spec)
    with mock.patch.object(neural_network, "MLPClassifier", small):
        spec.loader.exec_module(module)
    return module


def of_classifiers(module):
    """The tests of a module, without those of regressors."""
    for name, function in vars(module).items():
        if not name.startswith("test_") or name in SLOW:
            continue
        marks, is_both = [], False
        for mark in getattr(function, "pytestmark", ()):
            if mark.name == "parametrize" and module.MLPRegressor in mark.args[1]:
                is_both = True
                mark = pytest.mark.parametrize(mark.args[0], [small]).mark
            marks.append(mark)
        if is_both or "MLPRegressor" not in function.__code__.co_names:
            function.pytestmark = marks
            yield name, function


if parse_version(sklearn.__version__).base_version == "1.9.1":  # for which the differences are listed
    globals().update(of_classifiers(load_tests()))


@pytest.fixture(autouse=True)
def expect_differences(request):
    """Expect the tests of `DIFFERENT` to fail."""
    reason = DIFFERENT.get(request.node.name)
    if reason is not None:
        request.node.add_marker(pytest.mark.xfail(reason=reason, strict=reason is not LABELS))


def test_the_page_lists_what_differs():
    page = (Path(__file__).parents[2] / "docs" / "coming-from-mlp.md").read_text()
    assert set(re.findall(r"`(test_\w+)`", page)) == {name.partition("[")[0] for name in DIFFERENT} | SLOW
