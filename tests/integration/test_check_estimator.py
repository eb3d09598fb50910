"""scikit-learn's estimator checks, and their number."""

from collections import Counter

import pytest
import sklearn
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.utils.estimator_checks import check_estimator, estimator_checks_generator
from sklearn.utils.fixes import parse_version

from skconvnet import ConvNetClassifier, ConvNetRegressor

# SGDClassifier has the same excuse: repeating images gives other minibatches than weighting them.
EXPECTED_FAILURES = dict.fromkeys(
    ("check_sample_weight_equivalence_on_dense_data", "check_sample_weight_equivalence_on_sparse_data"),
    "sample_weight is not equivalent to removing/repeating samples.",
)
# Checks that ConvNetClassifier's class_weight adds. MLPClassifier does not have it.
CLASS_WEIGHT = {"check_class_weight_classifiers"}


@pytest.fixture(scope="module")
def results():
    """The outcome of every check."""
    return check_estimator(ConvNetClassifier(), expected_failed_checks=EXPECTED_FAILURES, on_skip=None, on_fail=None)


def names_of(estimator):
    """The number of times that each check runs on an estimator."""
    return Counter(
        getattr(check, "func", check).__name__ for _, check in estimator_checks_generator(estimator, mark=None)
    )


def test_check_estimator_passes(results):
    failed = {result["check_name"]: result["exception"] for result in results if result["status"] == "failed"}
    assert failed == {}


def test_only_the_checks_that_sgdclassifier_fails_may_fail(results):
    excused = {result["check_name"] for result in results if result["status"] == "xfail"}
    assert excused <= set(EXPECTED_FAILURES)


def test_no_check_is_skipped(results):
    skipped = {result["check_name"] for result in results if result["status"] == "skipped"}
    assert skipped <= {"check_array_api_input"}  # it needs SCIPY_ARRAY_API in the environment


def test_tags_remove_no_other_checks(results):
    ours, of_mlp = names_of(ConvNetClassifier()), names_of(MLPClassifier())
    assert not of_mlp - ours
    assert set(ours - of_mlp) >= CLASS_WEIGHT
    assert len(results) == ours.total()


@pytest.mark.skipif(parse_version(sklearn.__version__).base_version != "1.9.1", reason="counted in scikit-learn 1.9.1")
def test_the_number_of_checks(results):
    # The 67 of MLPClassifier, and one of class_weight.
    assert len(results) == 67 + 1
    assert Counter(result["status"] for result in results) == {"passed": 65, "xfail": 2, "skipped": 1}


def test_a_regressor_passes_the_checks_of_mlpregressor():
    excused = {"expected_failed_checks": EXPECTED_FAILURES, "on_skip": None, "on_fail": None}
    results = check_estimator(ConvNetRegressor(K=2, N=1, M=1, max_iter=20), **excused)
    failed = {result["check_name"]: result["exception"] for result in results if result["status"] == "failed"}
    assert failed == {}
    assert not names_of(MLPRegressor()) - names_of(ConvNetRegressor())
