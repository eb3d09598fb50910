"""The benchmark of minimal filtering: its layers, its sums of single layers, and what it prints."""

import re
from dataclasses import replace

import numpy as np
import pytest

from benchmarks import winograd
from benchmarks.networks import Problem
from benchmarks.winograd import SUMS, TARGETS, Layer

LAYER = Layer(height=7, width=8, channels=16, filters=24, F=3, padding=1)
PROBES = np.array([0, 5, 20, 41])
NETWORKS = {
    "one": Problem(
        (8, 8, 1), "INPUT -> CONV(K=16) -> [CONV(K=16) -> RELU]*2 -> CONV(K=8) -> CONV(K=16, S=2, round=floor) -> FC"
    ),
    "two": Problem(
        (12, 12, 16),
        "INPUT -> CONV(K=16, F=5, P=0) -> (CONV(K=16) + SKIP) -> CONV(K=16, F=7) -> POOL -> CONV(K=16) -> FC",
    ),
}


def test_layers_are_those_for_which_minimal_filtering_is_made():
    found = winograd.layers_of(NETWORKS, TARGETS["Winograd"])
    assert found == {Layer(8, 8, 16, 16, 3, 1): ["one", "two"], Layer(12, 12, 16, 16, 5, 0): ["two"]}
    assert winograd.layers_of(NETWORKS, TARGETS["direct"]) == {}


@pytest.mark.parametrize("side", TARGETS)
@pytest.mark.parametrize(("F", "padding"), [(3, 0), (3, 1), (5, 2)])
def test_sums_of_the_engine_are_those_of_the_layer(side, F, padding):
    """They differ by rounding alone, so every other number on the way is exact."""
    layer = Layer(9, 10, 16, 24, F, padding)
    numbers = winograd.draw(layer, seed=0)
    true = winograd.true_sums(layer, numbers)
    true["input"] = true["input"].reshape(-1, layer.channels)[PROBES]
    found = winograd.engine_sums(layer, numbers, PROBES, TARGETS[side])
    assert list(found) == list(SUMS)
    for name in SUMS:
        np.testing.assert_allclose(found[name], true[name], rtol=0, atol=1e-5 * np.abs(true[name]).max())


def test_the_sides_differ_and_each_has_errors():
    errors = winograd.errors_of(LAYER)
    for name in SUMS:
        direct, other = errors["direct", name], errors["Winograd", name]
        assert direct != other
        assert 0 < direct[1] < direct[0] < 1e-5
        assert 0 < other[1] < other[0] < 1e-5


@pytest.mark.parametrize(
    "layer", [Layer(14, 14, 16, 16, 3, 1), Layer(14, 14, 16, 48, 5, 2), Layer(24, 24, 16, 16, 5, 2)], ids=str
)
def test_errors_of_each_sum_are_bounded(layer):
    errors = winograd.errors_of(layer)
    for name in SUMS:
        assert errors["Winograd", name][0] <= winograd.LARGEST_RATIO * errors["direct", name][0], name


def test_errors_are_printed_for_each_layer(monkeypatch, capsys):
    monkeypatch.setattr(winograd, "all_networks", lambda: NETWORKS)
    winograd.main(["errors", "--networks", "one"])
    lines = capsys.readouterr().out.splitlines()
    assert re.match(r"8x8x16->16 F3 +\S+e-\d+ .* one$", lines[2])
    assert re.fullmatch(r"1 layers; (all|NOT all) ratios are at most 4", lines[-1])


@pytest.mark.parametrize("layer", [LAYER, replace(LAYER, F=5, padding=2)], ids=str)
def test_instructions_of_each_sum_are_apart(layer):
    """Every sum has some, and none has those of another; without a gradient, the functions can be called again."""
    timed = winograd.timed_sums(layer, 3, 1, TARGETS["Winograd"])
    spans = {name: timed[name].keywords["segments"] for name in SUMS}
    numbers = [number for rows in spans.values() for _, first, last in rows for number in range(first, last)]
    assert all(len(rows) for rows in spans.values())
    assert len(numbers) == len(set(numbers))
    for name in SUMS:
        timed[name]()


def test_runs_of_consecutive_instructions():
    assert winograd.runs([3, 4, 5, 9, 11, 12], 0) == [(0, 3, 6), (0, 9, 10), (0, 11, 13)]


def test_speed_is_printed_for_each_layer(monkeypatch, capsys):
    monkeypatch.setattr(winograd, "all_networks", lambda: NETWORKS)
    winograd.main(["speed", "--networks", *NETWORKS, "--rounds", "1", "--seconds", "0.001", "--threads", "1"])
    printed = capsys.readouterr().out
    assert re.findall(r"^(\S+ F\d) +32 ", printed, re.MULTILINE) == ["8x8x16->16 F3", "12x12x16->16 F5"]


def test_estimators_plan_for_the_target():
    from skconvnet.engine.device import CpuDevice

    with winograd.with_target(TARGETS["direct"]):
        assert CpuDevice().target is TARGETS["direct"]
    assert CpuDevice().target is not TARGETS["direct"]


def test_a_row_has_the_mean_difference_and_its_error():
    direct, other = np.array([[0.90, 2.0], [0.92, 4.0]]), np.array([[0.91, 1.0], [0.95, 2.0]])
    row = winograd.accuracy_row("digits", direct, other)
    assert row.split() == "digits 0.9100 0.9000 to 0.9200 0.9300 0.9100 to 0.9500 0.0200 0.0100 3.0, 1.5".split()


def test_accuracy_is_printed_for_each_data_set(monkeypatch, capsys):
    rng = np.random.default_rng(0)
    X, y = rng.random((60, 64)), np.arange(60) % 3
    monkeypatch.setattr(winograd, "data", lambda *which: (X, X[:30], y, y[:30]))
    winograd.main("accuracy --data digits --seeds 2 --epochs 1 --images 40 --threads 1".split())
    _, *rows = capsys.readouterr().out.splitlines()
    assert [re.match(r"digits, (\d) +\d\.\d{4}", row)[1] for row in rows] == ["1", "2"]


def test_fewer_images_have_all_classes():
    X, y = np.arange(40), np.arange(40) % 4
    few, classes = winograd.fewer(X, y, 8, seed=0)
    assert sorted(classes) == [0, 0, 1, 1, 2, 2, 3, 3]
    np.testing.assert_array_equal(few % 4, classes)
    assert winograd.fewer(X, y, None, seed=0)[0] is X


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["errors", "--networks", "nothing"], "invalid choice"),
        (["speed", "--rounds", "0"], "a whole number from 1 on is needed"),
        (["accuracy", "--data", "cifar10"], "--data cifar10 needs --path or --cache"),
        ([], "the following arguments are required: table"),
    ],
)
def test_what_cannot_be_read_is_refused(capsys, options, says):
    with pytest.raises(SystemExit):
        winograd.main(options)
    assert says in capsys.readouterr().err
