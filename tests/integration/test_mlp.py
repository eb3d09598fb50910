"""Our estimators in place of scikit-learn's MLPClassifier and MLPRegressor: the same weights, and scikit-learn's tests.

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
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.utils.fixes import parse_version

from skconvnet import ConvNetClassifier, ConvNetRegressor
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


# scikit-learn's own tests of MLPClassifier and MLPRegressor

PRIVATE = "private attributes"
LBFGS = "about lbfgs"
CLOSENESS = "Adam fits less closely in as many epochs"
DTYPE = "weights are float32, predictions float64"
TEXT = "another text"
ONE_CYCLE = "the end of one-cycle is no lack of convergence"
RATES = "fit is one-cycle, partial_fit constant"
DIFFERENT = {
    "test_fit": PRIVATE,
    "test_gradient": PRIVATE,
    "test_learning_rate_warmstart": PRIVATE,
    "test_adaptive_learning_rate": PRIVATE,
    "test_n_iter_no_change": PRIVATE,
    "test_lbfgs_classification_maxfun[X0-y0]": LBFGS,
    "test_lbfgs_classification_maxfun[X1-y1]": LBFGS,
    "test_partial_fit_errors": LBFGS,
    "test_verbose_sgd": TEXT,
    "test_warm_start": TEXT,
    "test_early_stopping_stratified": TEXT,
    "test_nonfinite_params": TEXT,
    "test_lbfgs_regression[X0-y0]": CLOSENESS,
    "test_lbfgs_regression_maxfun[X0-y0]": LBFGS,
    "test_predict_proba_multilabel": "the default is 20 epochs, and not 200",
    "test_partial_fit_regression": RATES,
    "test_mlp_param_dtypes[MLPClassifier-float64]": DTYPE,
    "test_mlp_param_dtypes[MLPRegressor-float32]": DTYPE,
    "test_mlp_param_dtypes[MLPRegressor-float64]": DTYPE,
    "test_mlp_loading_from_joblib_partial_fit": "a single image is standardised to zeros",
    "test_preserve_feature_names[MLPClassifier]": "y has one class",
    **{
        f"test_mlp_warm_start_no_convergence[{solver}-{estimator}]": ONE_CYCLE
        for solver in ("sgd", "adam", "lbfgs")
        for estimator in ("MLPClassifier", "MLPRegressor")
    },
    "test_mlp_diverging_loss": "a loss that is not finite is an error",
    "test_mlp_vs_poisson_glm_equivalent": "there is no loss='poisson'",
}
SLOW = {"test_n_iter_no_change_inf"}  # 3000 epochs, and private attributes at their end


def in_place_of(theirs, ours):
    """Return what makes one of our estimators of the parameters of one of scikit-learn's.

    It has the network of that estimator, with what the page says to write instead of `activation` and "lbfgs".
    """

    def small(activation="relu", solver="adam", **parameters):
        layer = {"relu": " -> RELU", "tanh": " -> TANH", "logistic": " -> SIGMOID", "identity": ""}[activation]
        solver = "adam" if solver == "lbfgs" else solver
        return ours(f"INPUT -> [FC{layer}]*K -> FC", solver=solver, n_jobs=1, **parameters)

    small.__name__ = theirs.__name__  # in the names of the tests
    return small


def load_tests():
    """The module of scikit-learn's tests, with our estimators in the place of its own."""
    path = Path(neural_network.__file__).parent / "tests" / "test_mlp.py"
    spec = importlib.util.spec_from_file_location("tests_of_mlp", path)
    module = importlib.util.module_from_spec(spec)
    pairs = (MLPClassifier, ConvNetClassifier), (MLPRegressor, ConvNetRegressor)
    with mock.patch.multiple(neural_network, **{theirs.__name__: in_place_of(theirs, ours) for theirs, ours in pairs}):
        spec.loader.exec_module(module)
    return {name: test for name, test in vars(module).items() if name.startswith("test_") and name not in SLOW}


if parse_version(sklearn.__version__).base_version == "1.9.1":  # for which the differences are listed
    globals().update(load_tests())
else:

    def test_mlp_of_scikit_learn():
        pytest.skip(f"the differences are listed for scikit-learn 1.9.1, and this is {sklearn.__version__}")


@pytest.fixture
def global_random_seed():
    """What scikit-learn's own configuration of pytest gives to its tests."""
    return 42


@pytest.fixture(autouse=True)
def expect_differences(request):
    """Expect the tests of `DIFFERENT` to fail."""
    reason = DIFFERENT.get(request.node.name)
    if reason is not None:
        request.node.add_marker(pytest.mark.xfail(reason=reason, strict=True))


def test_the_page_lists_what_differs():
    page = (Path(__file__).parents[2] / "docs" / "coming-from-mlp.md").read_text()
    assert set(re.findall(r"`(test_\w+)`", page)) == {name.partition("[")[0] for name in DIFFERENT} | SLOW
