"""Numba's threads: a limit that is restored, and threads that wait asleep."""

import os
import subprocess
import sys

import pytest
from numba import get_num_threads

from skconvnet.engine.cpu import threads


def test_the_limit_is_restored():
    before = get_num_threads()
    with threads.threads(1):
        assert get_num_threads() == threads.most_threads() == 1
    assert get_num_threads() == before
    with pytest.raises(ZeroDivisionError), threads.threads(1):
        raise ZeroDivisionError
    assert get_num_threads() == before


def test_a_lower_limit_stays():
    """A plan for more workers than there are threads runs all the same."""
    most = get_num_threads()
    with threads.threads(most + 1):
        assert get_num_threads() == most
    with threads.threads(1), threads.threads(most):
        assert get_num_threads() == 1


@pytest.mark.parametrize(
    ("setting", "seen"),
    [
        ({}, {"GOMP_SPINCOUNT": "2000"}),
        ({"GOMP_SPINCOUNT": "7"}, {"GOMP_SPINCOUNT": "7"}),
        ({"OMP_WAIT_POLICY": "active"}, {"OMP_WAIT_POLICY": "active"}),
    ],
    ids=str,
)
def test_threads_wait_asleep_unless_the_user_says_otherwise(monkeypatch, setting, seen):
    """What the runtime reads when it starts; the environment is afterwards as it was."""
    for name in ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY"):
        monkeypatch.delenv(name, raising=False)
    for name, value in setting.items():
        monkeypatch.setenv(name, value)
    at_start = []
    monkeypatch.setattr(threads, "get_num_threads", lambda: at_start.append(dict(os.environ)))
    before = dict(os.environ)
    threads._start()
    assert {name: value for name, value in at_start[0].items() if name in ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY")} == seen
    assert dict(os.environ) == before


def in_process(source, **environment):
    """What a Python process of its own prints."""
    done = subprocess.run(
        [sys.executable, "-c", source], env=os.environ | environment, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


NETWORK = """
import numpy as np
from skconvnet.architecture import Architecture
from dataclasses import replace
from skconvnet.engine import Adam, Images, Network, Scorer, SoftmaxCrossEntropy, Trainer
from skconvnet.engine.device import CpuDevice
from skconvnet.engine.program.target import CPU

device = CpuDevice(replace(CPU, worker_flops=1))  # workers are woken for few images, too
X = np.random.default_rng(0).standard_normal((40, 64), dtype=np.float32)
images = Images(X, (8, 8, 1))
network = Network(Architecture.parse("INPUT -> CONV(K=8) -> RELU -> POOL -> FC").bind((8, 8, 1), 3), [0], [1], device)
network.initialise(np.random.default_rng(0))

def trained():
    options = dict(optimizer=Adam(), alpha=0, loss=SoftmaxCrossEntropy(), batch_size=40, n_threads=2)
    Trainer(network, images, np.arange(40) % 3, np.ones(40), **options).step(np.arange(40), 0.01)
    return Scorer(network).scores(images, 2).tobytes()
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
def test_a_forked_child_trains_as_its_parent_does():
    forking = """
Scorer(network).scores(images, 2)
child = os.fork()
answer = hashlib.sha256(trained()).hexdigest()
if child == 0:
    print(answer, flush=True)
    os._exit(0)
assert os.waitpid(child, 0)[1] == 0, "the child died"
print(answer)
"""
    answers = in_process("import hashlib, os\n" + NETWORK + forking)
    assert len(answers) == 2
    assert answers[0] == answers[1]


@pytest.mark.parametrize("layer", ["omp", "workqueue"])
def test_many_python_threads_score_at_once(layer):
    scoring = """
from concurrent.futures import ThreadPoolExecutor
from numba import threading_layer

expected = Scorer(network).scores(images, 2).tobytes()
with ThreadPoolExecutor(8) as pool:
    answers = list(pool.map(lambda _: Scorer(network).scores(images, 2).tobytes(), range(200)))
print(threading_layer(), all(answer == expected for answer in answers))
"""
    try:
        assert in_process(NETWORK + scoring, NUMBA_THREADING_LAYER=layer) == [layer, "True"]
    except AssertionError as error:
        if "No threading layer could be loaded" in str(error):
            pytest.skip(f"Numba has no {layer} here")
        raise
