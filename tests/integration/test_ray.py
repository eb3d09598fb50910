"""Grid search in Ray workers, through Ray's joblib backend."""

import os

import joblib
import numpy as np
import pytest
from sklearn.datasets import load_digits
from sklearn.model_selection import GridSearchCV
from sklearn.utils import shuffle

from skconvnet import ConvNetClassifier, valid_param_grid, warmup
from skconvnet.engine import thread_count

pytest.importorskip("ray", reason="Ray is not installed (`pip install ray` installs it)")


@pytest.fixture(scope="module")
def digits():
    X, y = shuffle(*load_digits(return_X_y=True), random_state=0)
    return X[:300].astype(np.uint8), y[:300]


@pytest.fixture(scope="module", autouse=True)
def two_workers():
    """Ray on this machine with two processors, without usage statistics."""
    warmup()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        import ray
        from ray.util.joblib import register_ray

        ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False)
        register_ray()
        yield
        ray.shutdown()


def search():
    estimator = ConvNetClassifier(K=8, N=1, hidden_layer_sizes=16, max_iter=2, random_state=0)
    texts = ["auto", "INPUT -> CONV(F=4, S=2, P=1) -> RELU -> FC", "INPUT -> CONV(F=4) -> FC"]
    grid = valid_param_grid(estimator, {"architecture": texts, "alpha": [0.01, 0.1]}, (8, 8), n_classes=10)
    return GridSearchCV(estimator, grid, cv=3)


def test_the_search_gives_the_bits_of_one_process(digits):
    alone = search().fit(*digits)
    with joblib.parallel_config(backend="ray", n_jobs=-1):
        together = search().fit(*digits)
    assert together.best_params_ == alone.best_params_
    for name in ("mean_test_score", "std_test_score", *(f"split{i}_test_score" for i in range(3))):
        assert np.array_equal(together.cv_results_[name], alone.cv_results_[name])
    ours, theirs = ([*one.best_estimator_.coefs_, *one.best_estimator_.intercepts_] for one in (alone, together))
    assert all(map(np.array_equal, ours, theirs))


@pytest.mark.parametrize("n_jobs", [None, 1])
def test_a_fit_in_a_worker_uses_one_thread(n_jobs):
    def process_and_threads(n_jobs):  # a nested function is pickled by value: workers cannot import the tests
        return os.getpid(), thread_count(n_jobs)

    with joblib.parallel_config(backend="ray", n_jobs=-1):
        task = joblib.delayed(process_and_threads)
        found = joblib.Parallel(batch_size=1)(task(n_jobs) for _ in range(20))
    assert {n_threads for _, n_threads in found} == {1}
    processes = {process for process, _ in found}
    assert os.getpid() not in processes
    assert len(processes) == 2


def test_the_backend_does_not_change_the_number_of_threads_outside_a_worker():
    before = thread_count(None)
    with joblib.parallel_config(backend="ray", n_jobs=-1):
        assert thread_count(None) == before
