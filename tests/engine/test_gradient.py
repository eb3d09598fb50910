"""Gradients of scores by images, compared with the oracles, which finite differences and PyTorch check."""

from dataclasses import replace

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from skconvnet.engine import ImageGradient
from skconvnet.engine.device import CpuDevice
from skconvnet.engine.plan.plan import plan_gradient
from skconvnet.engine.program.target import CPU, GPU
from skconvnet.engine.weights.layout import lay_out_parameters
from tests import oracles
from tests.engine.networks import (
    BRANCHED,
    BRANCHED_SHAPE,
    FILTERED,
    FILTERED_SHAPE,
    NEW_TRAPS,
    VARIED,
    VARIED_SHAPE,
    WINOGRAD,
    Problem,
)
from tests.engine.walker import Walk
from tests.oracles.branches import output_of, run_back
from tests.oracles.networks import in_inference, per_layer

TOO = ("PRELU first, of padded depth, behind NORM, beside SKIP, and behind FC", "filters that are not square")
# Every third network takes time enough.
TRAPS = {name: trap for n, (name, trap) in enumerate(NEW_TRAPS.items()) if n % 3 == 0 or name in TOO}
TRAPS |= {"varied": (VARIED, VARIED_SHAPE), "filtered": (FILTERED, FILTERED_SHAPE)}
TRAPS |= {"branched": (BRANCHED, BRANCHED_SHAPE)}


def sum_weights_of(problem):
    return np.random.default_rng(1).integers(-1, 3, (problem.n, problem.n_classes)).astype(float)


def expected(problem, sum_weights):
    """The gradient of the sums in float64."""
    layers = in_inference(oracles.layers_of(problem.bound.layers), problem.running)
    nested, x = per_layer(layers, iter(problem.parameters)), problem.x.astype(float)
    return run_back(layers, nested, x, sum_weights.reshape(output_of(layers, nested, x).shape))[0]


@pytest.mark.parametrize("trap", TRAPS)
def test_gradients_are_those_of_the_oracles(trap):
    problem = Problem(*TRAPS[trap], n=2)
    sum_weights = sum_weights_of(problem)
    wanted = expected(problem, sum_weights)
    found = ImageGradient(problem.network()).of(problem.images, sum_weights, n_threads=1)
    assert np.abs(found - wanted).max() <= 2e-5 * np.abs(wanted).max() + 1e-12
    assert np.abs(wanted).max() > 0


def test_minimal_filtering_in_bands_and_a_plan_for_one_image(monkeypatch):
    problem = Problem(FILTERED, FILTERED_SHAPE)
    sum_weights = sum_weights_of(problem)
    wanted = expected(problem, sum_weights)
    monkeypatch.setattr("skconvnet.engine.gradient._MOST_MEMORY", 1)
    found = ImageGradient(problem.network(CpuDevice(WINOGRAD))).of(problem.images, sum_weights, n_threads=2)
    assert np.abs(found - wanted).max() <= 2e-5 * np.abs(wanted).max()


def test_bits_do_not_depend_on_threads_and_on_the_other_images():
    problem = Problem(*NEW_TRAPS["an inception module"], n=20)
    sum_weights = sum_weights_of(problem)
    gradient = ImageGradient(problem.network())
    found = gradient.of(problem.images, sum_weights, n_threads=1)
    assert_array_equal(gradient.of(problem.images, sum_weights, n_threads=3), found)
    some = np.array([7, 2, 19])
    assert_array_equal(gradient.of(problem.images.take(some), sum_weights[some], n_threads=1), found[some])


@pytest.mark.parametrize("target", [CPU, GPU, WINOGRAD])
@pytest.mark.parametrize("trap", ["varied", "filtered", "branched"])
def test_no_address_of_a_plan_leaves_its_space(trap, target):
    problem = Problem(*TRAPS[trap], n=3)
    bound = ImageGradient(problem.network())._network.architecture
    layout = lay_out_parameters(bound, target)
    plan = plan_gradient(bound, layout, problem.n, replace(target, max_micro_batch=2) if target is CPU else target)
    assert plan.slot == 0
    Walk(plan, layout.size + target.pad(problem.n_classes), problem.n)
