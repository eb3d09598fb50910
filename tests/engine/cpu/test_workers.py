"""Workers: whoever comes takes the turns, and the result is the same."""

from ctypes import CFUNCTYPE, c_int64

import numpy as np
import pytest

from skconvnet.engine.cpu import machine
from skconvnet.engine.cpu.compile import entry
from skconvnet.engine.cpu.task import Task
from skconvnet.engine.cpu.workers import work
from tests.engine.networks import BRANCHED, BRANCHED_SHAPE, VARIED, VARIED_SHAPE, Problem

NETWORKS = {"varied": Problem(VARIED, VARIED_SHAPE, n=37), "branched": Problem(BRANCHED, BRANCHED_SHAPE, n=21)}


def parameters_after_steps(problem, n_threads):
    network = problem.network()
    trainer = problem.trainer(network, n_threads=n_threads)
    for _ in range(2):
        trainer.step(np.arange(problem.n), 0.01)
    return network.parameters.tobytes()


@pytest.mark.parametrize("first", range(3))
@pytest.mark.parametrize("network", NETWORKS)
def test_the_first_worker_takes_the_turns_of_those_that_are_late(monkeypatch, network, first):
    """One of three workers comes alone, and the others when all is done: each order of them ends in the same bits."""
    work_of = CFUNCTYPE(None, c_int64, c_int64)(entry(work).address)
    problem = NETWORKS[network]
    expected = parameters_after_steps(problem, 1)

    def run(task, task_at, layout, segments, in_turns=False):
        counters = task[Task.TAKEN : Task.TAKEN + 1].view(np.uint64)
        taken = (c_int64 * (len(segments) * 4)).from_address(int(counters[0]))
        taken[:] = [0] * len(taken)
        for worker in range(first, first + 3):
            work_of(worker % 3, task_at)
        done = np.array(taken).reshape(-1, 4)
        assert (done[:, 3] > 0).all()

    monkeypatch.setattr(machine, "run", run)
    assert parameters_after_steps(problem, 3) == expected
