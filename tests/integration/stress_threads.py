"""Fit and predict in eight Python threads at once, from the first import on; compare with the bits of one thread.

    python -m tests.integration.stress_threads --rounds 20
    python -m tests.integration.stress_threads --rounds 6 --switch

This takes too long for a test. Run it with a new Numba, or a Python without the global interpreter lock. The kernel
cache is empty, so all threads need the kernels compiled at once. With ``--switch``, threads also yield at random
between any two bytecodes of the package. The exit status is 1 if a bit was wrong or a thread failed.
"""

import argparse
import hashlib
import json
import os
import platform
import random
import subprocess
import sys
import tempfile
import threading
import time
import traceback
from pathlib import Path

N_THREADS = 8
TEXTS = [
    "INPUT -> [CONV -> RELU -> POOL]*2 -> FC",
    "INPUT -> CONV -> NORM -> RELU -> POOL -> FC(16) -> RELU -> FC",
    "INPUT -> CONV -> TANH -> POOL(average) -> FC",
    "INPUT -> CONV(F=5) -> RELU -> DROPOUT -> FC",
]
SWITCH_PROBABILITY = 0.05  # after each bytecode, with --switch


def digits():
    from sklearn.datasets import load_digits

    X, y = load_digits(return_X_y=True)
    return X[:300].astype("uint8"), y[:300]


def fitted(i, n_jobs):
    from skconvnet import ConvNetClassifier

    text = TEXTS[i % len(TEXTS)]
    return ConvNetClassifier(text, K=8, max_iter=2, batch_size=50, n_jobs=n_jobs, random_state=i).fit(*digits())


def fingerprint(classifier):
    """A digest of the learned arrays, and of predictions for many images and for few."""
    X, _ = digits()
    arrays = [*classifier.coefs_, *classifier.intercepts_, classifier.predict_proba(X), classifier.predict_proba(X[:7])]
    return hashlib.sha256(b"".join(array.tobytes() for array in arrays)).hexdigest()


def trace(frame, event, argument):
    """A trace function that yields to other threads, at random, after bytecodes of the package."""
    if "skconvnet" not in frame.f_code.co_filename:
        return None
    frame.f_trace_opcodes = True
    if event == "opcode" and random.random() < SWITCH_PROBABILITY:
        time.sleep(0)
    return trace


def errors_in_threads(expected, rounds):
    """Descriptions of errors. In each round all threads fit, then all predict with one shared estimator."""
    errors, shared, barrier = [], [], threading.Barrier(N_THREADS)

    def fit_and_predict(thread):
        for turn in range(rounds):
            barrier.wait()
            i = (thread + turn) % N_THREADS
            classifier = fitted(i, n_jobs=1 + thread % 2)
            if fingerprint(classifier) != expected[i]:
                errors.append(f"thread {thread}, round {turn}: other bits of fit {i}")
            if i == 0:
                shared.append(classifier)
            barrier.wait()
            if {fingerprint(shared[turn]) for _ in range(10)} != {expected[0]}:
                errors.append(f"thread {thread}, round {turn}: other bits of the shared estimator")

    def target(thread):
        try:
            fit_and_predict(thread)
        except BaseException:
            errors.append(traceback.format_exc())
            barrier.abort()

    threads = [threading.Thread(target=target, args=(thread,)) for thread in range(N_THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return errors


def serial_fingerprints():
    """The fingerprints of fits in one thread, in another process: in this one, the threads import the package first."""
    program = "import json; from tests.integration import stress_threads as s; "
    program += f"print(json.dumps([s.fingerprint(s.fitted(i, n_jobs=1)) for i in range({N_THREADS})]))"
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=Path(__file__).parents[2], capture_output=True, text=True, check=True
    )
    return json.loads(done.stdout)


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=20, help="fits of each thread (20)")
    parser.add_argument("--switch", action="store_true", help="yield at random between bytecodes")
    arguments = parser.parse_args()
    expected = serial_fingerprints()
    sys.setswitchinterval(1e-5)
    if arguments.switch:
        threading.settrace(trace)
    start = time.perf_counter()
    with tempfile.TemporaryDirectory() as empty:
        os.environ["NUMBA_CACHE_DIR"] = empty
        errors = errors_in_threads(expected, arguments.rounds)
    seconds = time.perf_counter() - start
    from numba import threading_layer

    has_gil = getattr(sys, "_is_gil_enabled", lambda: True)()
    where = f"Python {platform.python_version()}, {'with' if has_gil else 'without'} the GIL, {threading_layer()}"
    print(f"{where}: {N_THREADS} threads, {arguments.rounds} rounds, {seconds:.1f} s, {len(errors)} errors")
    for error in errors[:3]:
        print(error)
    return bool(errors)


if __name__ == "__main__":
    sys.exit(main())
