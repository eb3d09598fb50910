"""Executions: what they compute once, and what for every batch."""

import numpy as np
import pytest

from skconvnet.engine import Images
from skconvnet.engine.cpu.execution import Execution, OneImage
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


def test_an_image_after_another_gives_the_bits_of_a_batch():
    network = Problem(TEXT, SHAPE).network()
    images = np.random.default_rng(0).normal(size=(5, 25))
    plans = [plan_inference(network.architecture, network.parameter_layout, n, CPU) for n in (8, 1)]
    expected = np.empty((5, network.architecture.layers[-1].output.size), np.float32)
    Execution(plans[0], network, 1).score(Images(images, SHAPE), expected)
    one_image = OneImage(plans[1], network, 1)
    found = [one_image.scores(image) for image in images]
    assert {scores.dtype for scores in found} == {np.dtype(np.float64)}
    assert np.array_equal(np.concatenate(found), expected)  # also the first: a result is not overwritten


def test_a_run_in_turns_can_be_repeated():
    network = Problem(TEXT, SHAPE).network()
    plan = plan_inference(network.architecture, network.parameter_layout, 4, CPU)
    scores = np.empty((4, network.architecture.layers[-1].output.size), np.float32)
    execution = Execution(plan, network, 1)
    execution.in_turns = True
    execution.run(Images(np.ones((4, 25), np.uint8), SHAPE).source(np.arange(4)), scores=scores)
    expected = scores.copy()
    scores[:] = 0
    execution.repeat()
    assert np.array_equal(scores, expected)


def test_an_array_of_the_wrong_dtype_has_no_address():
    network = Problem(TEXT, SHAPE).network()
    plan = plan_inference(network.architecture, network.parameter_layout, 4, CPU)
    execution = Execution(plan, network, 1)
    with pytest.raises(TypeError, match="float32"):
        execution.run((np.zeros((4, 25)), np.arange(4)), scores=np.zeros((4, 3), np.float32))
