"""Grid search on a Dask cluster, through joblib's Dask backend, and predictions over the chunks of a Dask array."""

import os

import joblib
import numpy as np
import pytest
from sklearn.datasets import load_digits
from sklearn.frozen import FrozenEstimator
from sklearn.model_selection import GridSearchCV
from sklearn.utils import shuffle

from skconvnet import ConvNetClassifier, ConvNetFeatures, valid_param_grid, warmup
from skconvnet.engine import thread_count

distributed = pytest.importorskip("distributed", reason="Dask is not installed (`make peers` installs it)")


@pytest.fixture(scope="module")
def digits():
    X, y = shuffle(*load_digits(return_X_y=True), random_state=0)
    return X[:300].astype(np.uint8), y[:300]


@pytest.fixture(scope="module")
def cluster():
    """Two worker processes on this machine, without a dashboard."""
    options = {"n_workers": 2, "threads_per_worker": 1, "processes": True, "dashboard_address": None}
    with distributed.LocalCluster(**options) as cluster, distributed.Client(cluster) as client:
        client.wait_for_workers(2, timeout=60)
        client.run(warmup)
        yield client


def search():
    estimator = ConvNetClassifier(K=8, N=1, hidden_layer_sizes=16, max_iter=2, random_state=0)
    texts = ["auto", "INPUT -> CONV(F=4, S=2, P=1) -> RELU -> FC", "INPUT -> CONV(F=4) -> FC"]
    grid = valid_param_grid(estimator, {"architecture": texts, "alpha": [0.01, 0.1]}, (8, 8), n_classes=10)
    return GridSearchCV(estimator, grid, cv=3)


def test_the_search_gives_the_bits_of_one_process(cluster, digits):
    alone = search().fit(*digits)
    with joblib.parallel_config(backend="dask", scatter=list(digits)):
        together = search().fit(*digits)
    assert together.best_params_ == alone.best_params_
    for name in ("mean_test_score", "std_test_score", *(f"split{i}_test_score" for i in range(3))):
        assert np.array_equal(together.cv_results_[name], alone.cv_results_[name])
    ours, theirs = ([*one.best_estimator_.coefs_, *one.best_estimator_.intercepts_] for one in (alone, together))
    assert all(map(np.array_equal, ours, theirs))


def process_and_threads(n_jobs):
    """The id of the process, and the number of threads of a fit in it."""
    return os.getpid(), thread_count(n_jobs)


@pytest.mark.parametrize("n_jobs", [None, 1])
def test_a_fit_in_a_worker_uses_one_thread(cluster, n_jobs):
    with joblib.parallel_config(backend="dask"):
        task = joblib.delayed(process_and_threads)
        found = joblib.Parallel(batch_size=1)(task(n_jobs) for _ in range(20))
        assert thread_count(1) == 1
    assert {n_threads for _, n_threads in found} == {1}
    processes = {process for process, _ in found}
    assert os.getpid() not in processes
    assert len(processes) == 2


def test_the_backend_does_not_change_the_number_of_threads_outside_a_task(cluster):
    before = thread_count(None)
    with joblib.parallel_config(backend="dask"):
        assert thread_count(None) == before


def test_every_worker_takes_a_gpu_of_its_own(cluster, tmp_path):
    """The recipe of docs/gpu.md; no GPU is used."""
    pytest.importorskip("fcntl", reason="Windows does not have fcntl")
    from examples.search_gpus import take_gpu

    class TakeGpu(distributed.WorkerPlugin):
        def setup(self, worker):
            take_gpu(["3", "7"], tmp_path)

    cluster.register_plugin(TakeGpu(), name="gpus")
    try:
        assert sorted(cluster.run(os.getenv, "CUDA_VISIBLE_DEVICES").values()) == ["3", "7"]
    finally:
        cluster.unregister_worker_plugin("gpus")
        cluster.run(lambda: os.environ.pop("CUDA_VISIBLE_DEVICES", None))


# Predictions over the chunks of a Dask array


@pytest.mark.parametrize("name", ["predict", "predict_proba", "decision_function", "transform"])
def test_chunks_have_the_predictions_of_the_whole(digits, name):
    da = pytest.importorskip("dask.array", reason="Dask is not installed (`make peers` installs it)")
    images = digits[0].reshape(-1, 8, 8)
    classifier = ConvNetClassifier(K=8, N=1, hidden_layer_sizes=16, max_iter=1, random_state=0).fit(images, digits[1])
    estimator = ConvNetFeatures(FrozenEstimator(classifier), "FC 1").fit(images) if name == "transform" else classifier
    method = getattr(estimator, name)
    expected, chunks = method(images), da.from_array(images, chunks=(128, 8, 8))
    axes = {"drop_axis": [1, 2]}
    if expected.ndim == 2:
        axes = {"drop_axis": 2, "chunks": (chunks.chunks[0], expected.shape[1])}
    found = chunks.map_blocks(method, dtype=expected.dtype, **axes)
    assert found.shape == expected.shape
    for scheduler in ("threads", "synchronous"):
        assert np.array_equal(found.compute(scheduler=scheduler), expected)


def test_the_workers_of_a_cluster_predict(cluster, digits):
    da = pytest.importorskip("dask.array", reason="Dask is not installed (`make peers` installs it)")
    classifier = ConvNetClassifier(K=8, N=1, hidden_layer_sizes=16, max_iter=1, random_state=0).fit(*digits)
    chunks = da.from_array(digits[0], chunks=(100, 64))
    found = chunks.map_blocks(classifier.predict_proba, dtype=np.float64, chunks=(chunks.chunks[0], 10))
    assert np.array_equal(found.compute(), classifier.predict_proba(digits[0]))
