"""Executions: what they compute once, and what for every batch."""

import numpy as np

from skconvnet.engine import Images
from skconvnet.engine.cpu.execution import Execution
from skconvnet.engine.plan.plan import plan_inference
from skconvnet.engine.program.target import CPU
from tests.engine.networks import Problem

TEXT, SHAPE = "INPUT -> CONV(K=4) -> NORM -> RELU -> FC", (5, 5, 1)


def test_what_depends_on_the_parameters_alone_is_computed_once():
    network = Problem(TEXT, SHAPE).network()
    plan = plan_inference(network.architecture, network.parameter_layout, 4, CPU)
    assert (plan.n_preparing, len(plan.segments)) == (1, 2)
    execution = Execution(plan, network, 1)
    images = Images(np.random.default_rng(0).integers(0, 9, (6, 25), np.uint8), SHAPE)

    def scores():
        found = np.empty((6, network.architecture.layers[-1].output.size), np.float32)
        execution.score(images, found)
        return found

    before = scores()
    learned = network.learned
    learned.variances[0][:] *= 4
    network.parameters[:] = network.parameter_layout.pack(learned)
    assert np.array_equal(scores(), before)
    execution.refresh()
    after = scores()
    assert not np.allclose(after, before)
    expected = np.empty_like(after)
    Execution(plan, network, 1).score(images, expected)
    assert np.array_equal(after, expected)
