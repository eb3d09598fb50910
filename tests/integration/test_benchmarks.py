"""What benchmarks do before they measure: the command line, the random networks, and the medians of rounds."""

import importlib
import os
import sys
from inspect import signature

import pytest

from benchmarks import infer, scale
from benchmarks.choice import add_networks, chosen_networks, summary
from benchmarks.drawn import MOST_ACTIVATIONS, MOST_MULTIPLY_ADDS, MOST_WEIGHTS, draw
from benchmarks.machine import description, fastest, parser, ratio, warn_if_busy
from benchmarks.networks import Problem
from skconvnet.architecture import walk

DRAWN = [draw(number, seed=0) for number in range(100)]


def layers_of(problem):
    return list(walk(problem.bind().layers))


def values(name, kind="CONV"):
    return {getattr(layer, name) for problem in DRAWN for layer in layers_of(problem) if layer.kind == kind}


@pytest.mark.parametrize("module", ["train", "infer"])
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--architecture", "INPUT -> FC"], "give --architecture and --input together"),
        (["--input", "8x8x1"], "give --architecture and --input together"),
        (["--architecture", "INPUT -> FC", "--input", "8"], "'8' is not HxW or HxWxC, such as 8x8"),
        (["--architecture", "INPUT -> FC", "--input", "8x0x1"], "'8x0x1' is not HxW or HxWxC"),
        (["--architecture", "INPUT -> CONV(F=9, P=0) -> FC", "--input", "4x4x1"], "argument --architecture: CONV 1"),
        (["--architecture", "INPUT -> CNOV -> FC", "--input", "4x4x1"], "argument --architecture: "),
        (["--architecture", "rsnet20", "--input", "4x4x1"], "no architecture is named 'rsnet20'"),
        (["--architecture", "INPUT -> FC", "--input", "4x4x1", "--random", "2"], "not allowed with argument"),
        (["--random", "0"], "a whole number from 1 on is needed, not '0'"),
        (["--random", "2", "--seed", "-1"], "a whole number from 0 on is needed, not '-1'"),
        (["--seed", "1"], "--seed is of --random"),
        (["--architecture", "INPUT -> FC", "--input", "4x4x1", "--seed", "0"], "--seed is of --random"),
        (["--classes", "10"], "--classes is of --architecture"),
        (["--random", "2", "--classes", "3"], "--classes is of --architecture"),
        (["--networks", "resnet21"], "invalid choice: 'resnet21'"),
        (["--batches", "0"], "a whole number from 1 on is needed, not '0'"),
        (["--threads", "two"], "a whole number from 1 on is needed, not 'two'"),
        (["--seconds", "0"], "a positive number of seconds is needed, not '0'"),
        (["--seconds", "nan"], "a positive number of seconds is needed, not 'nan'"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_wrong_arguments_are_refused_before_anything_is_measured(module, arguments, message, capsys, monkeypatch):
    benchmark = importlib.import_module(f"benchmarks.{module}")
    monkeypatch.setattr(benchmark, "Side", None)
    with pytest.raises(SystemExit) as ended:
        benchmark.main(arguments)
    assert ended.value.code == 2
    assert message in capsys.readouterr().err


PEERS = {
    "accuracy_digits": ["torch"],
    "accuracy_fashion": ["torch"],
    "case_studies": ["torch"],
    "cold": ["torch", "skorch"],
    "finetune folder": ["torch"],
    "infer": ["onnx", "onnxruntime", "openvino", "MNN"],
    "memory": ["torch", "skorch"],
    "regression": ["torch"],
    "resnet20_cifar --peer folder": ["torch"],
    "scale --plot folder": ["torch", "matplotlib"],
    "search": ["torch", "skorch"],
    "train": ["torch"],
}


@pytest.mark.parametrize(
    ("command", "hidden"), [(command, package) for command, packages in PEERS.items() for package in packages]
)
def test_without_a_peer_a_benchmark_says_how_to_install_it_before_any_work(command, hidden, capsys, monkeypatch):
    module, *arguments = command.split()
    benchmark = importlib.import_module(f"benchmarks.{module}")
    monkeypatch.setattr(benchmark, "description", None)  # every benchmark calls it before it measures
    monkeypatch.setattr(benchmark, "Side", None, raising=False)
    monkeypatch.setitem(sys.modules, hidden, None)  # as if it were not installed
    monkeypatch.setattr(sys, "argv", [module, *arguments])
    with pytest.raises(SystemExit) as ended:
        benchmark.main()
    assert ended.value.code == 2
    last = capsys.readouterr().err.splitlines()[-1]
    assert hidden in last.partition("error: not installed: ")[2].partition(";")[0].split(", ")
    assert "`make peers` installs" in last


@pytest.mark.parametrize("chosen", [["--random", "2"], ["--architecture", "lenet5", "--input", "32x32x1"]])
def test_large_networks_are_not_chosen_together_with_others(chosen, capsys, monkeypatch):
    monkeypatch.setattr(infer, "Side", None)
    with pytest.raises(SystemExit):
        infer.main(["--large", *chosen])
    assert "give it without --random and --architecture" in capsys.readouterr().err


def test_a_text_has_ten_classes_and_drawn_networks_have_the_seed_0_by_default():
    command_line = parser("")
    add_networks(command_line, [])

    def chosen(*arguments):
        return chosen_networks(command_line, command_line.parse_args(arguments), [])

    text = "--architecture", "INPUT -> FC", "--input", "4x4"
    assert chosen(*text) == {"text": Problem((4, 4, 1), "INPUT -> FC", 10)}
    assert chosen(*text, "--classes", "3")["text"].n_classes == 3
    assert chosen("--random", "2") == {"0/0": DRAWN[0], "0/1": DRAWN[1]}
    assert list(chosen("--random", "1", "--seed", "7")) == ["7/0"]


@pytest.mark.parametrize("module", ["accuracy_digits", "defaults", "digests", "score_map", "stream"])
@pytest.mark.parametrize(
    ("argument", "status", "shows"), [("--help", 0, "show this help"), ("--fast", 2, "unrecognized arguments: --fast")]
)
def test_help_and_unknown_arguments_end_a_benchmark_at_once(module, argument, status, shows, capsys, monkeypatch):
    benchmark = importlib.import_module(f"benchmarks.{module}")
    monkeypatch.setattr(benchmark, "ConvNetClassifier", None)
    monkeypatch.setattr(sys, "argv", [module, argument])
    with pytest.raises(SystemExit) as ended:
        benchmark.main()
    assert ended.value.code == status
    assert shows in "".join(capsys.readouterr())


def test_drawn_networks_are_within_the_limits():
    for problem in DRAWN:
        bound = problem.bind()
        assert sum(layer.n_flops for layer in bound.layers) <= MOST_MULTIPLY_ADDS
        assert sum(layer.n_weights for layer in bound.layers) <= MOST_WEIGHTS
        assert sum(layer.output.size for layer in walk(bound.layers)) <= MOST_ACTIVATIONS


def test_drawn_networks_cover_what_users_write():
    assert values("F") == set(range(1, 8))
    assert values("S") == {1, 2}
    assert values("K") >= {8, 256}
    assert len(values("groups")) > 3
    assert values("mode", "POOL") == {"max", "average"}
    kinds = {layer.kind for problem in DRAWN for layer in layers_of(problem)}
    assert kinds == {"CONV", "RELU", "POOL", "NORM", "FC", "SKIP", "SUM", "STACK"}
    extents = [problem.image_shape[0] for problem in DRAWN]
    assert min(extents) < 12
    assert max(extents) > 48


def test_a_network_depends_on_its_number_and_the_seed_alone():
    assert [draw(number, seed=0) for number in (7, 3)] == [DRAWN[7], DRAWN[3]]
    assert draw(3, seed=1) != DRAWN[3]


def test_a_ratio_is_the_median_round_by_round():
    """The medians of the two sides would give 2, which is no round's ratio."""
    found = ratio([2, 4, 9], [2, 1, 3])
    assert (found.median, found.least, found.greatest) == (3, 1, 4)
    assert str(found).strip() == "3.00 (1.00 to 4.00)"


def test_the_fastest_peer_is_that_of_the_greatest_median():
    assert fastest([[1, 9, 1], [2, 3, 2]]) == [2, 3, 2]


def test_the_summary_names_the_worst():
    assert summary({"a": 4.0, "b": 1.0}) == "geometric mean 2.00, worst 1.00 (b)"


def test_the_description_says_which_machine_and_versions():
    found = description(3, ("numpy", "no-such-package"))
    for part in ("3 threads of", "numpy 2", "no-such-package missing", "load "):
        assert part in found


@pytest.mark.parametrize(
    ("load", "n_threads", "printed"),
    [
        (8.1, 16, "other programs use the processors (load 8.1): ratios mean little; use --threads 1 or wait\n\n"),
        (8.1, 1, "other programs use the processors (load 8.1): ratios mean little; wait\n\n"),
        (8.0, 16, ""),
    ],
)
def test_more_load_than_half_of_the_threads_is_warned_of(load, n_threads, printed, capsys, monkeypatch):
    monkeypatch.setattr(os, "getloadavg", lambda: (load, 0.0, 0.0), raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: 16)
    warn_if_busy(n_threads)
    assert capsys.readouterr().out == printed


def test_steps_of_growing_networks_are_called_with_what_they_take():
    class Caller:
        def run(self, function, *arguments):
            signature(function).bind(*arguments)
            return scale.BATCH_SIZE

    assert [turn() for turn in scale.step_turns(Caller(), Caller(), DRAWN[0], 0.1, 1)] == [1, 1]
