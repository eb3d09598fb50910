"""The driver of NVIDIA's GPUs: what can be told without one."""

import inspect
import os
import re
import shutil
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

pytest.importorskip("numba_cuda", reason="needs the extra skconvnet[cuda] (`make cuda` installs it)")
pytest.importorskip("cuda.core", reason="needs the extra skconvnet[cuda] (`make cuda` installs it)")

from skconvnet.engine import device
from skconvnet.engine.cuda import compiler, driver
from skconvnet.engine.cuda.compiler import cached, ptx
from skconvnet.engine.cuda.kernels.activations import relu
from tests.engine.cuda.executor import PtxDriver


def public(kind):
    return {name: value for name, value in inspect.getmembers(kind) if not name.startswith("_")}


def test_the_imitated_driver_has_the_same_methods():
    methods = {name for name in public(driver.Driver) if name != "name"}
    imitated = PtxDriver()
    assert methods <= public(imitated).keys() | {"load"}
    for name in methods - {"load"}:
        ours = [p.name for p in inspect.signature(getattr(driver.Driver, name)).parameters.values()][1:]
        assert ours == [p.name for p in inspect.signature(getattr(imitated, name)).parameters.values()], name


def test_devices_are_counted_also_where_there_is_no_driver():
    n_devices, version = driver.count_devices(), driver.driver_version()
    assert n_devices >= 0
    assert version == (0, 0) or n_devices >= 0
    assert len(version) == 2


def test_the_newest_gpu_is_the_last_that_the_compiler_knows():
    newest = "sm_{}{}".format(*device._NEWEST_GPU)
    for asked in (device._NEWEST_GPU, (99, 0)):
        assert f".target {newest}\n" in ptx(relu, asked).replace(",", "\n")
    assert driver._assemble(ptx(relu, device._NEWEST_GPU), newest)[:4] == b"\x7fELF"


@pytest.fixture
def assembled(tmp_path, monkeypatch):
    """What has been assembled, with a cache of its own, which forgets at the end."""
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path))
    cached.cache_clear()
    program, texts = driver.Program, []
    monkeypatch.setattr(driver, "Program", lambda text, *options: texts.append(text) or program(text, *options))
    yield texts
    cached.cache_clear()


@pytest.mark.parametrize("cc", [(7, 5), (9, 0), (12, 0)])
def test_ptx_is_assembled_for_an_architecture_once(assembled, cc):
    text = ptx(relu, cc)
    for _ in range(2):
        assert driver._machine_code(text, "sm_{}{}".format(*cc))[:4] == b"\x7fELF"
    assert assembled == [text]


@pytest.mark.parametrize("package", ["nvidia-nvjitlink", "cuda-core"])
def test_another_version_of_an_assembler_assembles_again(assembled, monkeypatch, package):
    text = ptx(relu, (9, 0))
    driver._machine_code(text, "sm_90")
    monkeypatch.setattr(compiler, "version", lambda name: "0.1" if name == package else version(name))
    driver._machine_code(text, "sm_90")
    assert assembled == [text, text]


# -- On a library that imitates NVIDIA's -------------------------------------------------------------------------------

ON_LIBRARY = """
import numpy as np
from skconvnet.engine.cuda import driver
from skconvnet.engine.cuda.kernels.activations import dropout
from skconvnet.engine.cuda.kernels.optimizer import count_step
from skconvnet.engine.cuda.lowering import Launch

assert (driver.count_devices(), driver.driver_version()) == (1, (13, 0))
gpu = driver.Driver()
assert (gpu.name, gpu.compute_capability, gpu.memory()) == ("Imitated GPU", (9, 0), (1 << 33, 1 << 34))
address, sent, received = gpu.allocate(1000), np.arange(250, dtype=np.float32), np.zeros(250, np.float32)
gpu.upload(address, sent)
gpu.download(address, received)
assert address % 256 == 0 and np.array_equal(sent, received)
gpu.clear(address, 100)
gpu.download(address, received)
assert not received[:25].any() and received[25] == 25
try:
    gpu.allocate(1 << 40)
except MemoryError:
    gpu.free(address)
numbers = {name: 7 - 2 * number for number, name in enumerate(dropout.parameters)} | {"limit": 2**40, "factor": 1.25}
graph = gpu.record([Launch(dropout, (3, 2, 1), tuple(numbers.values())), Launch(count_step, (1, 1, 1), (2**35,))])
graph.replay()
graph.replay()
gpu.synchronize()
print(*numbers.values())
"""

IN_A_THREAD_OF_OTHERS = """
import numpy as np
from cuda.bindings import driver as api
from skconvnet.engine.cuda import driver
from skconvnet.engine.cuda.kernels.optimizer import count_step
from skconvnet.engine.cuda.lowering import Launch

gpu, numbers = driver.Driver(), np.zeros(4)
address = gpu.allocate(1000)
graph = gpu.record([Launch(count_step, (1, 1, 1), (address,))])
(_, ours) = api.cuCtxGetCurrent()
calls = [gpu.memory, gpu.synchronize, graph.replay, lambda: gpu.upload(address, numbers), lambda: gpu.allocate(8)]
calls += [lambda: gpu.download(address, numbers), lambda: gpu.clear(address, 8), lambda: gpu.free(address)]
for call in calls:
    api.cuCtxSetCurrent(0x50)  # another library takes another device
    assert int(api.cuCtxGetCurrent()[1]) == 0x50 != int(ours)
    call()
    print(int(api.cuCtxGetCurrent()[1]) == int(ours))
"""

FIT = """
from sklearn.datasets import load_digits
from skconvnet import ConvNetClassifier

X, y = load_digits(return_X_y=True)
classifier = ConvNetClassifier(K=8, device="cuda", max_iter=3, batch_size=30, random_state=0).fit(X[:100], y[:100])
print(len(classifier.loss_curve_), classifier.predict(X).shape[0], classifier.compile_time_ > 0)
"""


@pytest.fixture(scope="module")
def library(tmp_path_factory):
    """A function that runs a script on the library; it returns what the script prints, and the lines of the log."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None or sys.platform != "linux" or driver.count_devices() > 0:
        pytest.skip("needs Linux, a C compiler and no NVIDIA driver")
    folder = tmp_path_factory.mktemp("libcuda")
    source, log = Path(__file__).with_name("libcuda.c"), folder / "log"
    subprocess.run([compiler, "-shared", "-fPIC", "-w", "-o", folder / "libcuda.so.1", source], check=True)
    environment = os.environ | {"LD_LIBRARY_PATH": str(folder), "LIBCUDA_LOG": str(log)}

    def run(script):
        done = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        assert done.stderr == ""
        return done.stdout.split(), log.read_text().splitlines()

    return run


def test_a_graph_has_the_launches_with_their_arguments(library):
    numbers, lines = library(ON_LIBRARY)
    node = re.compile(r"node of (\S+) after (\S+): (.*?); is (\S+), \S*?(dropout|count_step)")
    first, second = (node.match(line).groups() for line in lines[:2])
    assert first[1] == "(nil)"
    assert first[2] == f"3 2 1, 256: {' '.join(numbers)}"
    assert second[1] == first[3]  # in their order
    assert second[2:] == (f"1 1 1, 1: {2**35}", second[3], "count_step")
    assert lines[2:] == [f"launch of {first[0]}"] * 2


def test_every_call_is_for_our_gpu_also_after_another_library_took_another_one(library):
    printed, _ = library(IN_A_THREAD_OF_OTHERS)
    assert printed == 8 * ["True"]


def test_a_fit_goes_through_the_driver(library):
    """Nothing is computed, so that losses are 0; but every call of NVIDIA's packages is made."""
    printed, lines = library(FIT)
    assert printed == ["3", "1797", "True"]
    graphs = [line.split()[2] for line in lines if line.startswith("launch")]
    # The transposed weights, three epochs of three minibatches of 30 and one of 10, the scores of 1,797 images.
    assert len(graphs) == 1 + 3 * 4 + 1
    assert len(set(graphs[2:-1])) == 2


SEARCH = """
from sklearn.datasets import load_digits
from sklearn.model_selection import GridSearchCV
from skconvnet import ConvNetClassifier

if __name__ == "__main__":
    X, y = load_digits(return_X_y=True)
    classifier = ConvNetClassifier(K=8, device="cuda", max_iter=1, random_state=0)
    search = GridSearchCV(classifier, {"F": [3, 5]}, cv=2, n_jobs=2, error_score="raise").fit(X[:100], y[:100])
    print(len(search.cv_results_["mean_test_score"]))
"""


def test_the_processes_of_a_search_share_a_gpu(library):
    printed, _ = library(SEARCH)
    assert printed == ["2"]
