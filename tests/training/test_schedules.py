"""The learning rates against numbers worked out by hand, and against PyTorch's one-cycle."""

from dataclasses import FrozenInstanceError

import numpy as np
import pytest
from sklearn.neural_network._stochastic_optimizers import SGDOptimizer

from skconvnet.training.schedules import Adaptive, Constant, InvScaling, OneCycle, make_schedule


def test_constant_never_changes_and_stops_at_a_plateau():
    schedule = Constant(0.01)
    assert [schedule.at(step) for step in (0, 1, 10**9)] == [0.01] * 3
    assert schedule.after_plateau() is None


def test_adaptive_divides_by_five_down_to_a_millionth():
    schedule, rates = Adaptive(1e-4), []
    while schedule is not None:
        rates.append(schedule.at(17))
        schedule = schedule.after_plateau()
    # As MLPClassifier: the rate that is 1e-6 or less is the last.
    np.testing.assert_allclose(rates, [1e-4, 2e-5, 4e-6, 8e-7])


def test_one_cycle_of_four_steps_by_hand():
    # The middles of four steps: 1/8 is 5/12 of the warm-up; 3/8, 5/8, 7/8 are 3/28, 13/28, 23/28 of the way down.
    rise = 0.04 + 0.96 * (1 - np.cos(np.pi * 5 / 12)) / 2
    fall = [(1 + np.cos(np.pi * part / 28)) / 2 for part in (3, 13, 23)]
    cycle = OneCycle(peak=2.0, n_steps=4)
    np.testing.assert_allclose([cycle.at(step) for step in range(4)], 2 * np.array([rise, *fall]))


@pytest.mark.parametrize("power", [0, 0.25, 0.5, 1.5])
def test_invscaling_is_that_of_scikit_learn(power):
    optimizer = SGDOptimizer([], 0.3, "invscaling", power_t=power)
    schedule = InvScaling(0.3, power, n_seen=0, n_images=50, n_steps=4)
    for epoch in range(5):
        rates = [schedule.at(step) for step in range(4 * epoch, 4 * epoch + 4)]
        np.testing.assert_allclose(rates, optimizer.learning_rate)
        optimizer.iteration_ends(50 * (epoch + 1))  # the images seen
    assert InvScaling(0.3, power, 100, 50, 4).at(0) == schedule.at(8)  # of another fit, which resumes
    assert schedule.after_plateau() is None


@pytest.mark.parametrize("n_steps", [1, 2, 3, 10, 997])
def test_one_cycle_rises_then_falls_within_its_peak(n_steps):
    rates = np.array([OneCycle(0.003, n_steps).at(step) for step in range(n_steps)])
    assert (rates > 0).all()
    assert (rates <= 0.003).all()
    top = rates.argmax()
    assert (np.diff(rates[: top + 1]) > 0).all()
    assert (np.diff(rates[top:]) < 0).all()
    assert abs((top + 0.5) / n_steps - 0.3) <= 1 / n_steps


def test_the_only_step_of_a_cycle_moves_the_weights():
    assert OneCycle(1.0, 1).at(0) > 0.5


def test_one_cycle_is_that_of_pytorch_up_to_half_a_step():
    n_steps = 10_000
    done = np.arange(n_steps) / n_steps
    # torch.optim.lr_scheduler.OneCycleLR(max_lr=1, total_steps=10_000), its two cosines written out
    rise = 1 / 25 + (1 - 1 / 25) * (1 - np.cos(np.pi * done / 0.3)) / 2
    fall = (1 + np.cos(np.pi * (done - 0.3) / 0.7)) / 2
    ours = [OneCycle(1.0, n_steps).at(step) for step in range(n_steps)]
    np.testing.assert_allclose(ours, np.where(done < 0.3, rise, fall), atol=5e-4)


def test_after_its_last_step_one_cycle_stays_low():
    cycle = OneCycle(1.0, 10)
    assert cycle.at(10) == cycle.at(1000) == cycle.at(9)


@pytest.mark.parametrize(
    ("name", "schedule"),
    [("constant", Constant(0.1)), ("adaptive", Adaptive(0.1)), ("one-cycle", OneCycle(0.1, 50))],
)
def test_schedules_by_name(name, schedule):
    assert make_schedule(name, 0.1, 50) == schedule


def test_an_unknown_name_is_refused():
    with pytest.raises(ValueError, match="'falling' must be"):
        make_schedule("falling", 0.1, 50)


def test_schedules_are_values():
    with pytest.raises(FrozenInstanceError):
        Constant(0.1).rate = 0.2


def test_a_large_power_of_invscaling_makes_the_rate_zero():
    assert InvScaling(0.1, 200.5, 0, 50, 4).at(4) == 0
