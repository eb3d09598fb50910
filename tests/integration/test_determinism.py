"""The same bits for every number of threads and processes, every form of the data, and every batch of predictions."""

import hashlib
import subprocess
import sys

import numpy as np
import pytest
from joblib import Parallel, delayed
from sklearn.datasets import load_digits
from sklearn.model_selection import GridSearchCV

from skconvnet import ConvNetClassifier


def digits():
    """300 digits as rows of uint8."""
    X, y = load_digits(return_X_y=True)
    return X[:300].astype(np.uint8), y[:300]


def estimator(**parameters):
    """A classifier with two CONV layers. Its last minibatch is smaller than the others."""
    return ConvNetClassifier(**{"K": 12, "max_iter": 3, "batch_size": 64, "random_state": 0} | parameters)


CASES = {
    "plain": {},
    "norm, dropout, augment": {
        "architecture": "INPUT -> [CONV -> NORM -> RELU -> POOL]*2 -> FC(32) -> NORM(layer) -> RELU -> DROPOUT -> FC",
        "augment": ["flip", "crop", "cutout"],
    },
}


def fingerprint(fitted):
    """A digest of all learned arrays and of class scores."""
    X, _ = digits()
    arrays = [*fitted.coefs_, *fitted.intercepts_, *fitted.norm_means_, *fitted.norm_variances_]
    arrays += [fitted.pixel_mean_, fitted.pixel_scale_, fitted.decision_function(X)]
    digest = hashlib.sha256(repr(fitted.loss_curve_).encode())
    for array in arrays:
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()


@pytest.fixture(scope="module", params=CASES.values(), ids=CASES)
def case(request):
    """Parameters of the estimator. Tests that use `case` or `expected` run with each of `CASES`."""
    return request.param


@pytest.fixture(scope="module")
def expected(case):
    return fingerprint(estimator(**case, n_jobs=1).fit(*digits()))


@pytest.mark.parametrize("n_jobs", [2, -1, None])
def test_any_number_of_threads(case, expected, n_jobs):
    assert fingerprint(estimator(**case, n_jobs=n_jobs).fit(*digits())) == expected


def test_another_seed_gives_another_network(case, expected):
    assert fingerprint(estimator(**case, random_state=1).fit(*digits())) != expected


def as_memory_map(X, path):
    """X in a file, mapped read-only."""
    np.save(path / "X.npy", X)
    return np.load(path / "X.npy", mmap_mode="r")


def as_read_only(X):
    X = X.copy()
    X.flags.writeable = False
    return X


FORMS = {
    "float64": lambda X, path: X.astype(np.float64),
    "float32": lambda X, path: X.astype(np.float32),
    "float16": lambda X, path: X.astype(np.float16),
    "int64": lambda X, path: X.astype(np.int64),
    "big-endian": lambda X, path: X.astype(">i4"),
    "images": lambda X, path: X.reshape(-1, 8, 8),
    "images with a channel": lambda X, path: X.reshape(-1, 8, 8, 1),
    "float images": lambda X, path: X.reshape(-1, 8, 8).astype(np.float32),
    "Fortran order": lambda X, path: np.asfortranarray(X),
    "Fortran order, images": lambda X, path: np.asfortranarray(X.reshape(-1, 8, 8)),
    "Fortran order, float32": lambda X, path: np.asfortranarray(X.astype(np.float32)),
    "every other column": lambda X, path: np.repeat(X, 2, axis=1)[:, ::2],
    "backwards": lambda X, path: X[::-1].copy()[::-1],
    "memory map": as_memory_map,
    "memory map of float64": lambda X, path: as_memory_map(X.astype(np.float64), path),
    "read only": lambda X, path: as_read_only(X),
    "list": lambda X, path: X.tolist(),
}


@pytest.mark.parametrize("form", FORMS)
def test_any_form_of_the_same_values(case, expected, form, tmp_path):
    X, y = digits()
    assert fingerprint(estimator(**case).fit(FORMS[form](X, tmp_path), y)) == expected


def test_fit_and_predict_do_not_change_the_data():
    X, y = digits()
    before = X.copy(), y.copy()
    estimator(max_iter=1).fit(X, y).predict(X)
    assert np.array_equal(X, before[0])
    assert np.array_equal(y, before[1])


def test_earlier_fits_and_global_random_state_do_not_matter(case, expected):
    np.random.default_rng().random(5)
    np.random.seed(7)  # noqa: NPY002 - the global state must not matter
    other = estimator(**case, random_state=5).fit(*digits())
    assert fingerprint(other.set_params(random_state=0).fit(*digits())) == expected


def test_a_random_state_instance_gives_another_network_at_every_fit(case, expected):
    random_state = np.random.RandomState(0)
    first, second = (fingerprint(estimator(**case, random_state=random_state).fit(*digits())) for _ in range(2))
    assert first == expected
    assert second != expected


def test_a_fit_in_another_process(case, expected):
    program = f"""
import sys
sys.path[:0] = {sys.path!r}
from importlib.util import module_from_spec, spec_from_file_location
spec = spec_from_file_location("determinism", {__file__!r})
here = module_from_spec(spec)
spec.loader.exec_module(here)
print(here.fingerprint(here.estimator(**{case!r}).fit(*here.digits())))
"""
    command = [sys.executable, "-c", program]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip() == expected


def test_joblib_threads(case, expected):
    fitted = Parallel(n_jobs=2, backend="threading")(delayed(estimator(**case).fit)(*digits()) for _ in range(4))
    assert {fingerprint(one) for one in fitted} == {expected}


def test_prediction_from_many_threads_at_once(case):
    X, y = digits()
    fitted = estimator(**case).fit(X, y)
    scores = Parallel(n_jobs=4, backend="threading")(delayed(fitted.decision_function)(X) for _ in range(12))
    assert all(np.array_equal(one, scores[0]) for one in scores)


def test_grid_search_in_processes():
    X, y = digits()
    grid = {"F": [1, 3], "K": [8, 12]}
    alone, together = (GridSearchCV(estimator(), grid, cv=2, n_jobs=n_jobs).fit(X, y) for n_jobs in (1, 2))
    for name in ("mean_test_score", "split0_test_score", "split1_test_score"):
        assert np.array_equal(alone.cv_results_[name], together.cv_results_[name])
    assert alone.best_params_ == together.best_params_
    assert fingerprint(alone.best_estimator_) == fingerprint(together.best_estimator_)


def test_scores_of_an_image_do_not_depend_on_the_other_images(case):
    X, y = digits()
    fitted = estimator(**case).fit(X, y)
    scores = fitted.decision_function(X)
    assert np.array_equal(fitted.decision_function(X[::-1]), scores[::-1])
    assert np.array_equal(np.vstack([fitted.decision_function(X[i : i + 7]) for i in range(0, 300, 7)]), scores)
