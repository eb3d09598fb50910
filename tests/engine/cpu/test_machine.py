"""The machine: compiled once for all networks, with the same answers on every processor."""

import os
import platform
import signal
import subprocess
import sys
from pathlib import Path
from threading import Timer

import numpy as np
import pytest
from numba import get_num_threads, njit, types
from numba.core import event
from numba.core.registry import cpu_target

import skconvnet.engine
from skconvnet.engine import Adam, SoftmaxCrossEntropy, compile_time
from skconvnet.engine.cpu.execution import Execution
from skconvnet.engine.cpu.llvm import tile
from skconvnet.engine.plan.plan import plan_inference, plan_training
from skconvnet.engine.program.instructions import Op
from skconvnet.engine.program.target import CPU
from tests.engine.networks import EVERY_INSTRUCTION, VARIED, VARIED_SHAPE, Problem, mismatches

ENGINE = Path(skconvnet.engine.__file__).parent

# -- Compiled once -----------------------------------------------------------------------------------------------------


@pytest.fixture
def compilations():
    """What Numba compiles from here on."""
    listener = event.RecordingListener()
    with event.install_listener("numba:run_pass", listener):
        yield listener.buffer


def test_another_network_compiles_nothing(compilations):
    Problem(VARIED, VARIED_SHAPE, n=7).answers()
    compilations.clear()
    for problem in (Problem("INPUT -> FC", (3, 4, 1)), Problem(VARIED, VARIED_SHAPE, n=20)):
        problem.answers(n_threads=get_num_threads())
        problem.answers(optimizer=Adam(), alpha=0.1)
    assert compilations == []
    njit(types.int64(types.int64))(lambda x: x + 1)  # the list is not empty because nothing is recorded
    assert compilations


def test_compile_time_is_that_of_the_first_import():
    Problem("INPUT -> FC", (2, 2, 1)).answers()
    first = compile_time()
    Problem("INPUT -> CONV -> FC", (2, 2, 1)).answers()
    assert 0 <= compile_time() - first < 0.1


# -- Runs in turns -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("n_threads", [1, 2, 3])
@pytest.mark.parametrize("network", EVERY_INSTRUCTION)
def test_a_run_in_turns_gives_the_same_bits(network, n_threads):
    problem = EVERY_INSTRUCTION[network]
    found = []
    for in_turns in (False, True):
        net = problem.network()
        trainer = problem.trainer(net, n_threads=n_threads)
        trainer._execution.in_turns = in_turns
        losses = [trainer.step(np.arange(problem.n), 0.01).loss for _ in range(2)]
        found.append((losses, net.parameters.tobytes()))
    assert found[0] == found[1]


@pytest.fixture
def ctrl_c():
    """Python's own handler of SIGINT, which a shell ignores for the commands that it runs in the background."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("ctrl_c")
def test_a_long_step_is_interrupted_before_its_update():
    """Ctrl-C during a step ends it after a turn; the parameters and the optimizer are those of the step before."""
    problem = Problem("INPUT -> [CONV(K=64) -> RELU]*2 -> FC", (48, 48, 3), n=192)
    network = problem.network()
    trainer = problem.trainer(network)
    assert trainer._execution.in_turns
    before = network.parameters.copy()
    Timer(0.2, signal.raise_signal, [signal.SIGINT]).start()
    with pytest.raises(KeyboardInterrupt):
        trainer.step(np.arange(problem.n), 0.01)
    assert (trainer.state.n_steps, trainer.n_drawn) == (0, 0)
    assert np.array_equal(network.parameters, before)


@pytest.mark.parametrize(
    "layers", ["CONV(K=1, F=1, P=20000, S=10, round=floor)", "POOL(F=2000, S=1, P=1999) -> POOL(F=all)"]
)
def test_a_run_that_multiplies_little_may_be_long(layers):
    """The zeros of a wide border, and the windows of POOL, are work too. Nothing is run: it would need GBs."""
    network = Problem(f"INPUT -> {layers} -> RELU -> POOL(F=all) -> FC", (8, 8, 1)).network()
    plan = plan_inference(network.architecture, network.parameter_layout, 8, CPU)
    assert Execution(plan, network, 1, memory=np.zeros(0, np.float32)).in_turns


# -- Other machines ----------------------------------------------------------------------------------------------------

OTHERS = {
    "AVX2": ("haswell", "+sse,+sse2,+sse3,+ssse3,+sse4.1,+sse4.2,+popcnt,+avx,+avx2,+fma,+bmi,+bmi2,+f16c,+movbe"),
    "SSE2": ("x86-64", "+sse,+sse2"),
}


@pytest.fixture(scope="module")
def answers_of_others(tmp_path_factory):
    """For each process that compiled for another processor, the folder of its answers, or its errors."""
    if platform.machine().lower() not in ("x86_64", "amd64"):
        pytest.skip("these machines are kinds of x86-64, and this one is not")
    features = cpu_target.target_context.codegen().magic_tuple()[2].split(",")
    path = tmp_path_factory.mktemp("machines")
    processes = {}
    for name, (cpu, wanted) in OTHERS.items():
        if not set(wanted.split(",")) <= set(features):
            continue
        path.joinpath(name).mkdir()
        environment = os.environ | {
            "NUMBA_CPU_NAME": cpu,
            "NUMBA_CPU_FEATURES": wanted,
            "NUMBA_CACHE_DIR": str(path / f"cache {name}"),
            "NUMBA_NUM_THREADS": "1",
            "PYTHONPATH": str(ENGINE.parents[1]),
        }
        command = [sys.executable, "-m", "tests.engine.networks", str(path / name)]
        processes[name] = subprocess.Popen(
            command, env=environment, cwd=ENGINE.parents[1], stderr=subprocess.PIPE, text=True
        )
    errors = {name: process.communicate()[1] for name, process in processes.items()}
    return {name: path / name if process.returncode == 0 else errors[name] for name, process in processes.items()}


@pytest.mark.parametrize("network", EVERY_INSTRUCTION)
@pytest.mark.parametrize("other", OTHERS)
def test_another_machine_gives_the_same_answers(answers_of_others, other, network):
    if other not in answers_of_others:
        pytest.skip(f"this machine cannot do what {other} does")
    written = answers_of_others[other]
    assert not isinstance(written, str), written
    panels = tuple(tuple(panel) for panel in np.load(written / "panels.npy").tolist())
    assert panels == tile.panels_of(OTHERS[other][1])
    found = dict(np.load(written / f"{network}.npz"))
    assert mismatches(found, EVERY_INSTRUCTION[network].answers()) == {}


def test_the_networks_that_other_machines_answer_have_every_instruction():
    found = set()
    for problem in EVERY_INSTRUCTION.values():
        network = problem.network()
        layout = network.parameter_layout
        loss = problem.loss or SoftmaxCrossEntropy()
        found |= plan_training(network.architecture, layout, loss, problem.n, CPU).ops
        found |= plan_inference(network.architecture, layout, problem.n, CPU).ops
    assert found == set(Op)
