"""The estimator in company: Python threads, forked children and joblib's workers, on every threading layer there is.

Numba takes one layer for the life of a process, so each scene here is played in one of its own.
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

import numpy as np
import pytest
from joblib import Parallel, delayed
from sklearn.datasets import load_digits

from skconvnet import ConvNetClassifier

ROOT = Path(__file__).parents[2]
LAYERS = "omp", "tbb", "workqueue"
N_PYTHON_THREADS = 8
NUMBAS_THREADS = 3  # one more than the estimator asks for, and so to be seen if it is not what it was


# -- What happens in a process -----------------------------------------------------------------------------------------


def digits():
    X, y = load_digits(return_X_y=True)
    return X[:200], y[:200]


def fitted():
    return ConvNetClassifier(K=8, max_iter=2, batch_size=50, n_jobs=2, random_state=0).fit(*digits())


def bits(array):
    return hashlib.sha256(np.ascontiguousarray(array).tobytes()).hexdigest()


def fingerprint(classifier):
    """A digest of what was learnt, and of scores."""
    return bits(np.concatenate([*map(np.ravel, classifier.coefs_), classifier.decision_function(digits()[0]).ravel()]))


def fingerprint_of_fit():
    return fingerprint(fitted())


def numbas_threads():
    """How many threads Numba's next parallel region of this Python thread would have."""
    from numba import get_num_threads

    return get_num_threads()


def worker(_):
    """What a worker of joblib's finds: the digest, and whether its thread count is what it was."""
    before = numbas_threads()
    return fingerprint_of_fit(), numbas_threads() == before


def in_python_threads(work):
    """The results of 8 Python threads that begin `work` at the same moment, and the thread counts before and after."""
    everybody = threading.Barrier(N_PYTHON_THREADS)

    def one(i):
        before = numbas_threads()
        everybody.wait()
        result = work(i)
        return result, before, numbas_threads()

    with ThreadPoolExecutor(N_PYTHON_THREADS) as pool:
        results, before, after = zip(*pool.map(one, range(N_PYTHON_THREADS)), strict=True)
    return sorted(set(results)), sorted({*before, *after})


def predicting_at_once():
    X, _ = digits()
    classifier = fitted()
    expected = bits(classifier.predict_proba(X))
    found, counts = in_python_threads(lambda i: bits([bits(classifier.predict_proba(X)) for _ in range(20)]))
    return {"right": found == [bits([expected] * 20)], "counts": counts}


def fitting_and_predicting_at_once():
    """Odd threads fit, even ones predict with an estimator that is fitted already."""
    classifier = fitted()
    expected = fingerprint(classifier)
    found, counts = in_python_threads(lambda i: fingerprint_of_fit() if i % 2 else fingerprint(classifier))
    return {"right": found == [expected], "counts": counts}


def forking():
    """A fit and a prediction in a child, after a fit in the parent; and again in the parent, which has lost nothing."""
    before = numbas_threads()
    classifier = fitted()
    expected = fingerprint(classifier)
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        right = [fingerprint(classifier), fingerprint_of_fit()] == [expected, expected]
        os.write(writer, b"right" if right else b"wrong")
        os._exit(0)
    os.close(writer)
    status = os.waitpid(child, 0)[1]
    right = status == 0 and os.read(reader, 5) == b"right" and fingerprint_of_fit() == expected
    return {"right": right, "counts": sorted({before, numbas_threads()})}


def joblibs_workers():
    """Fits under each of joblib's backends, after a fit in this process: right bits, and no thread count altered."""
    before = numbas_threads()
    expected = fingerprint_of_fit()
    found = {
        backend: sorted(set(Parallel(n_jobs=2, backend=backend)(delayed(worker)(i) for i in range(3))))
        for backend in ("loky", "threading", "multiprocessing")
    }
    wrong = [backend for backend, results in found.items() if results != [(expected, True)]]
    return {"right": wrong == [], "counts": sorted({before, numbas_threads()}), "wrong": wrong}


SCENES = predicting_at_once, fitting_and_predicting_at_once, forking, joblibs_workers


def play(scene):
    """What a scene finds, on this process's threading layer."""
    from numba import threading_layer

    found = next(one for one in SCENES if one.__name__ == scene)()
    return found | {"layer": threading_layer(), "fingerprint": fingerprint_of_fit()}


# -- The tests ---------------------------------------------------------------------------------------------------------


def place_of_tbb():
    """The directory of the library of the package tbb, where it is installed: Numba leaves it to the system to find."""
    try:
        files = importlib.metadata.files("tbb") or []
    except importlib.metadata.PackageNotFoundError:
        return ""
    return next((str(file.locate().resolve().parent) for file in files if file.name.startswith("libtbb.so")), "")


def on_layer(layer, scene):
    """What a scene finds in a process of its own, which must not crash."""
    environment = os.environ | {"NUMBA_THREADING_LAYER": layer, "PYTHONPATH": str(ROOT)}
    environment["NUMBA_NUM_THREADS"] = str(NUMBAS_THREADS)
    if layer == "tbb":
        environment["LD_LIBRARY_PATH"] = os.pathsep.join(filter(None, (place_of_tbb(), os.getenv("LD_LIBRARY_PATH"))))
    program = f"import json; from tests.integration.test_threads import play; print(json.dumps(play({scene!r})))"
    done = subprocess.run(
        [sys.executable, "-c", program], env=environment, cwd=ROOT, capture_output=True, text=True, timeout=300
    )
    if "No threading layer could be loaded" in done.stderr:
        pytest.skip(f"Numba has no {layer} here")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def expected():
    return fingerprint_of_fit()


@pytest.mark.parametrize("layer", LAYERS)
@pytest.mark.parametrize("scene", [scene.__name__ for scene in SCENES])
def test_the_bits_are_right_and_the_threads_are_given_back(layer, scene, expected):
    if scene == "forking" and not hasattr(os, "fork"):
        pytest.skip("there is no fork here")
    found = on_layer(layer, scene)
    assert found == {"right": True, "counts": [NUMBAS_THREADS], "layer": layer, "fingerprint": expected} | (
        {"wrong": []} if scene == "joblibs_workers" else {}
    )
