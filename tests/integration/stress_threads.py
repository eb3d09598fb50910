"""Eight Python threads fit and predict at once, from the first import on, and come to the bits of one thread.

    python -m tests.integration.stress_threads --rounds 20
    python -m tests.integration.stress_threads --rounds 6 --switch

runs for longer than a test may: a tool for a Python without the global interpreter lock, and for a new Numba. The
kernels are compiled in a cache that is empty, so that the threads want them all at once. With ``--switch`` a thread
gives way at random between any two bytecodes of the package, where otherwise only the interpreter decides. The exit
status is 1 where a bit was wrong or a thread failed.
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
GIVES_WAY = 0.05  # the share of bytecodes after which a thread does, with --switch


def digits():
    from sklearn.datasets import load_digits

    X, y = load_digits(return_X_y=True)
    return X[:300].astype("uint8"), y[:300]


def fitted(i, n_jobs):
    from skconvnet import ConvNetClassifier

    text = TEXTS[i % len(TEXTS)]
    return ConvNetClassifier(text, K=8, max_iter=2, batch_size=50, n_jobs=n_jobs, random_state=i).fit(*digits())


def fingerprint(classifier):
    """A digest of what was learnt, and of predictions for many images and for few."""
    X, _ = digits()
    arrays = [*classifier.coefs_, *classifier.intercepts_, classifier.predict_proba(X), classifier.predict_proba(X[:7])]
    return hashlib.sha256(b"".join(array.tobytes() for array in arrays)).hexdigest()


def give_way(frame, event, argument):
    """A trace function: of the package's frames every bytecode, of others nothing."""
    if "skconvnet" not in frame.f_code.co_filename:
        return None
    frame.f_trace_opcodes = True
    if event == "opcode" and random.random() < GIVES_WAY:
        time.sleep(0)
    return give_way


def wrong_in_threads(expected, rounds):
    """What went wrong, in words, while all threads fitted, and then predicted with one estimator of theirs."""
    wrong, shared, everybody = [], [], threading.Barrier(N_THREADS)

    def one(thread):
        for turn in range(rounds):
            everybody.wait()
            i = (thread + turn) % N_THREADS
            classifier = fitted(i, n_jobs=1 + thread % 2)
            if fingerprint(classifier) != expected[i]:
                wrong.append(f"thread {thread}, round {turn}: other bits of fit {i}")
            if i == 0:
                shared.append(classifier)
            everybody.wait()
            if {fingerprint(shared[turn]) for _ in range(10)} != {expected[0]}:
                wrong.append(f"thread {thread}, round {turn}: other bits of the shared estimator")

    def one_that_tells(thread):
        try:
            one(thread)
        except BaseException:
            wrong.append(traceback.format_exc())
            everybody.abort()

    threads = [threading.Thread(target=one_that_tells, args=(thread,)) for thread in range(N_THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return wrong


def serial():
    """The digests that one thread comes to, in a process of its own: here the threads' imports are to be the first."""
    program = "import json; from tests.integration import stress_threads as s; "
    program += f"print(json.dumps([s.fingerprint(s.fitted(i, n_jobs=1)) for i in range({N_THREADS})]))"
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=Path(__file__).parents[2], capture_output=True, text=True, check=True
    )
    return json.loads(done.stdout)


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=20, help="fits of each thread (20)")
    parser.add_argument("--switch", action="store_true", help="give way between bytecodes, at random")
    arguments = parser.parse_args()
    expected = serial()
    sys.setswitchinterval(1e-5)
    if arguments.switch:
        threading.settrace(give_way)
    start = time.perf_counter()
    with tempfile.TemporaryDirectory() as empty:
        os.environ["NUMBA_CACHE_DIR"] = empty
        wrong = wrong_in_threads(expected, arguments.rounds)
    seconds = time.perf_counter() - start
    from numba import threading_layer

    has_gil = getattr(sys, "_is_gil_enabled", lambda: True)()
    where = f"Python {platform.python_version()}, {'with' if has_gil else 'without'} the GIL, {threading_layer()}"
    print(f"{where}: {N_THREADS} threads, {arguments.rounds} rounds, {seconds:.1f} s, {len(wrong)} wrong")
    for what in wrong[:3]:
        print(what)
    return bool(wrong)


if __name__ == "__main__":
    sys.exit(main())
