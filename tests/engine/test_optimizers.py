"""Settings of optimizers, as the numbers of the plan. Steps are tested in cpu/kernels/test_optimizer.py."""

import pickle

import numpy as np
import pytest

from skconvnet.engine import SGD, Adam, OptimizerState
from skconvnet.engine.program.instructions import Rule


def rule(optimizer, *arguments):
    return dict(zip((column.name for column in Rule), optimizer.rule(*arguments).tolist(), strict=True))


def test_adam():
    found = rule(Adam(0.5, 0.75, 1e-3, body_rate=0.25), 0.1, 0.2, 2, 7)
    assert found == pytest.approx(
        {
            "ADAM": 1,
            "RATE": 0.1 / (1 - 0.25),
            "DECAY": 0.1 * 0.2,
            "BETA_1": 0.5,
            "BETA_2": 0.75,
            "EPSILON": 1e-3,
            "DEBIAS": 1 / np.sqrt(1 - 0.75**2),
            "NESTEROV": 0,
            "BODY_RATE": 0.25 * 0.1 / (1 - 0.25),
            "BODY_DECAY": 0.25 * 0.1 * 0.2,
        }
    )
    assert found == rule(Adam(0.5, 0.75, 1e-3, body_rate=0.25), 0.1, 0.2, 2, 1000)


@pytest.mark.parametrize("nesterov", [True, False])
def test_sgd(nesterov):
    found = rule(SGD(0.8, nesterov, body_rate=0.25), 0.1, 0.2, 5, 4)
    expected = dict.fromkeys((column.name for column in Rule), 0) | {"RATE": 0.1, "BODY_RATE": 0.25 * 0.1}
    # The penalty is a part of the gradient, so the rate of the body applies to it too.
    assert found == expected | {"DECAY": 0.05, "BODY_DECAY": 0.05, "BETA_1": 0.8, "NESTEROV": nesterov}
    assert found == rule(SGD(0.8, nesterov, body_rate=0.25), 0.1, 0.2, 6, 4)


def test_a_state_can_be_pickled():
    state = OptimizerState(np.arange(6, dtype=np.float32).reshape(2, 3), n_steps=4)
    again = pickle.loads(pickle.dumps(state))
    assert again.n_steps == 4
    np.testing.assert_array_equal(again.moments, state.moments)
