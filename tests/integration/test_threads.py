"""The estimator in Python threads, forked children and joblib workers, on each of Numba's threading layers.

Numba keeps one threading layer for the life of a process, so each scenario runs in a process of its own.
"""

import hashlib
import importlib.metadata
import json
import os
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import joblib
import numpy as np
import pytest
from joblib.externals.loky import get_reusable_executor
from sklearn.datasets import load_digits

from skconvnet import ConvNetClassifier

ROOT = Path(__file__).parents[2]
LAYERS = "omp", "tbb", "workqueue"
N_PYTHON_THREADS = 8
N_NUMBA_THREADS = 3  # one more than the estimator uses, so that a test sees if the setting is not restored


# -- The scenarios -----------------------------------------------------------------------------------------------------


def digits():
    X, y = load_digits(return_X_y=True)
    return X[:200], y[:200]


def fitted():
    return ConvNetClassifier(K=8, max_iter=2, batch_size=50, n_jobs=2, random_state=0).fit(*digits())


def digest(array):
    return hashlib.sha256(np.ascontiguousarray(array).tobytes()).hexdigest()


def fingerprint(classifier):
    """A digest of the weights and of class scores."""
    scores = classifier.decision_function(digits()[0])
    return digest(np.concatenate([*map(np.ravel, classifier.coefs_), scores.ravel()]))


def fit_fingerprint():
    return fingerprint(fitted())


def n_numba_threads():
    """The number of threads of Numba's next parallel region in this Python thread."""
    from numba import get_num_threads

    return get_num_threads()


def joblib_task(_):
    """The fingerprint of a fit in a joblib worker, and whether the worker's number of threads is unchanged."""
    before = n_numba_threads()
    return fit_fingerprint(), n_numba_threads() == before


def in_python_threads(function):
    """Call function(i) in 8 Python threads at the same moment.

    Returns the distinct results, and the distinct numbers of Numba threads before and after.
    """
    barrier = threading.Barrier(N_PYTHON_THREADS)

    def task(i):
        before = n_numba_threads()
        barrier.wait()
        result = function(i)
        return result, before, n_numba_threads()

    with ThreadPoolExecutor(N_PYTHON_THREADS) as pool:
        results, before, after = zip(*pool.map(task, range(N_PYTHON_THREADS)), strict=True)
    return sorted(set(results)), sorted({*before, *after})


def predict_in_threads():
    X, _ = digits()
    classifier = fitted()
    expected = digest(classifier.predict_proba(X))
    found, counts = in_python_threads(lambda i: digest([digest(classifier.predict_proba(X)) for _ in range(20)]))
    return {"right": found == [digest([expected] * 20)], "counts": counts}


def fit_and_predict_in_threads():
    """Odd threads fit. Even threads predict with a fitted estimator."""
    classifier = fitted()
    expected = fingerprint(classifier)
    found, counts = in_python_threads(lambda i: fit_fingerprint() if i % 2 else fingerprint(classifier))
    return {"right": found == [expected], "counts": counts}


def fork_after_fit():
    """The parent fits, a forked child predicts and fits, and the parent fits again."""
    before = n_numba_threads()
    classifier = fitted()
    expected = fingerprint(classifier)
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        right = [fingerprint(classifier), fit_fingerprint()] == [expected, expected]
        os.write(writer, b"right" if right else b"wrong")
        os._exit(0)
    os.close(writer)
    status = os.waitpid(child, 0)[1]
    right = status == 0 and os.read(reader, 5) == b"right" and fit_fingerprint() == expected
    return {"right": right, "counts": sorted({before, n_numba_threads()})}


def fit_in_joblib_workers():
    """Fits in the workers of each joblib backend, after a fit in this process."""
    before = n_numba_threads()
    expected = fit_fingerprint()
    found = {}
    for backend in ("loky", "threading", "multiprocessing"):
        workers = joblib.Parallel(n_jobs=2, backend=backend)
        found[backend] = set(workers(joblib.delayed(joblib_task)(i) for i in range(3)))
    wrong = [backend for backend, results in found.items() if results != {(expected, True)}]
    return {"right": wrong == [], "counts": sorted({before, n_numba_threads()}), "wrong": wrong}


SCENARIOS = {
    scenario.__name__: scenario
    for scenario in (predict_in_threads, fit_and_predict_in_threads, fork_after_fit, fit_in_joblib_workers)
}


def run_scenario(name):
    """Print the scenario's result, this process's threading layer, and the fingerprint of a last fit, as JSON."""
    from numba import threading_layer

    found = SCENARIOS[name]() | {"layer": threading_layer(), "fingerprint": fit_fingerprint()}
    print(json.dumps(found), flush=True)
    if found["layer"] == "tbb" and joblib.cpu_count() == 1:
        # On one processor, a process that has forked would wait forever when Numba unloads this layer.
        get_reusable_executor().shutdown()
        os._exit(0)


# -- The tests ---------------------------------------------------------------------------------------------------------


def tbb_directory():
    """The directory of the library of the package tbb, or "". Numba does not look for it there."""
    try:
        files = importlib.metadata.files("tbb") or []
    except importlib.metadata.PackageNotFoundError:
        return ""
    return next((str(file.locate().resolve().parent) for file in files if file.name.startswith("libtbb.so")), "")


def run_on_layer(layer, scenario):
    """What `run_scenario` prints in a new process, which must not crash."""
    environment = os.environ | {"NUMBA_THREADING_LAYER": layer, "PYTHONPATH": str(ROOT)}
    environment["NUMBA_NUM_THREADS"] = str(N_NUMBA_THREADS)
    if layer == "tbb":
        environment["LD_LIBRARY_PATH"] = os.pathsep.join(filter(None, (tbb_directory(), os.getenv("LD_LIBRARY_PATH"))))
    program = f"from tests.integration.test_threads import run_scenario; run_scenario({scenario!r})"
    done = subprocess.run(
        [sys.executable, "-c", program], env=environment, cwd=ROOT, capture_output=True, text=True, timeout=300
    )
    if "No threading layer could be loaded" in done.stderr:
        pytest.skip(f"Numba has no {layer} here")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def expected():
    return fit_fingerprint()


@pytest.mark.parametrize("layer", LAYERS)
@pytest.mark.parametrize("scenario", SCENARIOS)
def test_the_results_are_the_same_bits_and_the_number_of_threads_is_restored(layer, scenario, expected):
    if scenario == "fork_after_fit" and not hasattr(os, "fork"):
        pytest.skip("this system has no fork")
    found = run_on_layer(layer, scenario)
    wrong = {"wrong": []} if scenario == "fit_in_joblib_workers" else {}
    assert found == {"right": True, "counts": [N_NUMBA_THREADS], "layer": layer, "fingerprint": expected} | wrong
