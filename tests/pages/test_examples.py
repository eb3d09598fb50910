"""The examples run, with few images and epochs."""

import importlib
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from examples import finetune_images, search_images
from skconvnet import load_network


def search_lines(out):
    """The lines of candidates: accuracy, parameters, "*" or "", seconds, "*" or "", and the network."""
    return re.findall(r"^ *\d+ +(0\.\d{4}|1\.0000) +([\d,]+)(\*?) +([\d.]+)(\*?) +(F=.*)$", out, re.MULTILINE)


def test_search_images(capsys):
    search_images.main(["--images", "100", "--epochs", "1", "--cv", "2", "--max-params", "3000"])
    out = capsys.readouterr().out
    lines = search_lines(out)
    to_search, left_out = map(int, re.match(r"(\d+) networks to search, and (\d+) left out", out).groups())
    assert len(lines) == to_search
    assert to_search + left_out == 2 * 4 * 2 * 3
    assert "parameters > max_params=3,000" in out
    assert max(int(n_params.replace(",", "")) for _, n_params, *_ in lines) <= 3000
    assert any(by_params for _, _, by_params, *_ in lines)
    assert any(by_time for *_, by_time, _ in lines)
    accuracies = [float(accuracy) for accuracy, *_ in lines]
    assert accuracies == sorted(accuracies, reverse=True)


def test_search_images_draws(tmp_path, capsys):
    pytest.importorskip("matplotlib", reason="matplotlib is not installed (`make peers` installs it)")
    file = tmp_path / "search.png"
    options = ["--images", "60", "--epochs", "1", "--cv", "2", "--max-params", "1500", "--plot", str(file)]
    search_images.main(options)
    assert file.read_bytes().startswith(b"\x89PNG")


def test_finetune_images(capsys, tmp_path):
    finetune_images.main(["--images", "8", "--epochs", "2", "--save", str(tmp_path / "tuned.safetensors")])
    *_, new, features, head, tuned, right, _, _, _, _, last = capsys.readouterr().out.splitlines()
    scores = [float(line.split()[-1]) for line in (new, features, head, tuned)]
    assert min(scores[1:]) > 0.7
    n_right, n_images = map(int, re.search(r"tuned\.safetensors is right about (\d+) of (\d+) test", right).groups())
    assert scores[-1] == n_right / n_images
    assert re.fullmatch(r" +digit \d/\d\.png: digit \d( \(wrong\))?", last)
    assert load_network(tmp_path / "tuned.safetensors").classes_.tolist() == [f"digit {n}" for n in range(5, 10)]


def test_search_images_of_fashion_mnist(monkeypatch, capsys):
    rng = np.random.default_rng(0)
    X, y = rng.integers(0, 256, (40, 784)).astype(np.uint8), np.arange(40) % 10
    monkeypatch.setattr(search_images, "fashion_mnist", lambda: (X, y))
    options = ["--data", "fashion-mnist", "--images", "40", "--epochs", "1", "--cv", "2", "--max-params", "8000"]
    search_images.main(options)
    lines = search_lines(capsys.readouterr().out)
    assert "F=3, K=8, P=0, S=2" in {network for *_, network in lines}


def run_from(folder, example, *options):
    """Run an example by its path. Return the exit status and the standard error."""
    root = Path(__file__).parents[2]
    environment = os.environ | {"PYTHONPATH": str(root)}
    process = subprocess.run(
        [sys.executable, root / "examples" / f"{example}.py", *options],
        capture_output=True, text=True, cwd=folder, env=environment,
    )  # fmt: skip
    return process.returncode, process.stderr


def test_examples_run_from_anywhere(tmp_path):
    options = ["--images", "60", "--epochs", "1", "--cv", "2", "--max-params", "800"]
    assert run_from(tmp_path, "search_images", *options) == (0, "")


def example_named(name):
    if name == "search_optuna":
        pytest.importorskip("optuna", reason="Optuna is not installed (`make peers` installs it)")
        pytest.importorskip("sklearn.callback", reason="this scikit-learn has no callbacks")
    return importlib.import_module(f"examples.{name}")


@pytest.mark.parametrize(
    ("name", "option", "value", "message"),
    [
        ("search_images", "--images", "5000", "--images 5000: there are 1,797 images to take from"),
        ("search_images", "--images", "0", "--images 0: there are 1,797"),
        ("search_images", "--epochs", "0", "None of the 48 combinations"),
        ("search_images", "--cv", "1", "cross-validation|n_splits"),
        ("search_optuna", "--trials", "0", "No trials are completed"),
        ("search_optuna", "--epochs", "0", "max_iter"),
        ("search_optuna", "--images", "5", "only 1 member"),
    ],
)
def test_bad_options_are_rejected(name, option, value, message):
    with pytest.raises(ValueError, match=message):
        example_named(name).main([option, value])


@pytest.mark.parametrize(
    ("name", "option", "message"),
    [
        ("search_images", "--images", "error: --images 0"),
        ("finetune_images", "--images", "error: "),
        ("search_optuna", "--trials", "error: No trials are completed"),
    ],
)
def test_a_bad_option_gives_a_message_without_traceback(tmp_path, name, option, message):
    example_named(name)
    status, errors = run_from(tmp_path, name, option, "0")
    assert status == 1
    assert message in errors
    assert "Traceback" not in errors


def test_search_optuna(capsys, tmp_path):
    pytest.importorskip("optuna", reason="Optuna is not installed (`make peers` installs it)")
    pytest.importorskip("sklearn.callback", reason="this scikit-learn has no callbacks")
    from examples import search_optuna

    file = tmp_path / "trials.png"
    study = search_optuna.main(["--trials", "12", "--epochs", "3", "--images", "200", "--plot", str(file)])
    out = capsys.readouterr().out
    assert len(study.trials) == 12
    states = {trial.state.name for trial in study.trials}
    assert states == {"COMPLETE", "PRUNED"}
    refused = [trial for trial in study.trials if "refused" in trial.user_attrs]
    assert refused
    assert all(trial.state.name == "PRUNED" and not trial.intermediate_values for trial in refused)
    assert f"the best: {study.best_value:.4f} with" in out
    assert file.read_bytes().startswith(b"\x89PNG")


def test_optuna_prunes_trials_with_low_scores():
    optuna = pytest.importorskip("optuna", reason="Optuna is not installed (`make peers` installs it)")
    pytest.importorskip("sklearn.callback", reason="this scikit-learn has no callbacks")
    from examples import search_optuna

    parts = tuple(
        values[:20] for values in (*[np.random.default_rng(0).random((20, 64))] * 2, *[np.arange(20) % 2] * 2)
    )
    params = {"F": 3, "S": 1, "P": "same", "K": 8, "N": 1, "M": 1, "alpha": 0.01, "learning_rate_init": 0.001}
    study = optuna.create_study(direction="maximize", pruner=optuna.pruners.ThresholdPruner(lower=1.1))
    study.enqueue_trial(params)
    study.optimize(lambda trial: search_optuna.objective(trial, parts, 3), n_trials=1)
    assert study.trials[0].state.name == "PRUNED"
    assert len(study.trials[0].intermediate_values) == 1


def test_search_gpus(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("HOME", str(tmp_path))
    pytest.importorskip("fcntl", reason="Windows does not have fcntl")
    from examples import search_gpus

    options = ["--device", "cpu", "--gpus", "5", "6", "--epochs", "1", "--images", "60"]
    search = search_gpus.main(options)
    assert len(search.cv_results_["params"]) == 8
    assert f"the best: {search.best_score_:.4f} with " in capsys.readouterr().out
    taken = {file.name for file in tmp_path.rglob("*.0")}
    assert set() < taken <= {"5.0", "6.0"}  # by processes of joblib


@pytest.mark.parametrize(
    ("option", "value", "says"),
    [
        ("--gpus", "0,1", "'0,1' is not a number or UUID of nvidia-smi; separate several by spaces"),
        ("--gpus", "a/b", "'a/b' is not a number or UUID"),
        ("--gpus", "GPU-1/2", "'GPU-1/2' is not a number or UUID"),
        ("--jobs", "0", "'0' is not a whole number from 1 on"),
        ("--jobs", "-1", "'-1' is not a whole number from 1 on"),
    ],
)
def test_search_gpus_refuses_what_it_cannot_read(capsys, option, value, says):
    pytest.importorskip("fcntl", reason="Windows does not have fcntl")
    from examples import search_gpus

    with pytest.raises(SystemExit):
        search_gpus.parse([f"{option}={value}"])
    assert f"error: argument {option}: {says}" in capsys.readouterr().err


def test_search_gpus_takes_numbers_and_uuids():
    pytest.importorskip("fcntl", reason="Windows does not have fcntl")
    from examples import search_gpus

    gpus = ["0", "12", "GPU-8932f937-d72c-4106-c12f-20bd9faed9f6", "MIG-8932f937-d72c"]
    assert search_gpus.parse(["--gpus", *gpus, "--jobs", "2"]).gpus == gpus


def take_gpu_in_a_process(folder):
    """Start a process that takes one of two GPUs and waits. Return it and what it has set."""
    code = (
        "import os, sys; from examples.search_gpus import take_gpu; taken = take_gpu(['3', '7'], sys.argv[1]);"
        "assert taken == os.environ['CUDA_VISIBLE_DEVICES']; print(taken, flush=True); sys.stdin.read()"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code, folder],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[2],
    )  # fmt: skip
    return process, process.stdout.readline().strip()


def test_processes_take_turns_at_gpus(tmp_path):
    pytest.importorskip("fcntl", reason="Windows does not have fcntl")
    (first, *taken), (second, *others) = take_gpu_in_a_process(tmp_path), take_gpu_in_a_process(tmp_path)
    try:
        assert taken + others == ["3", "7"]
        second.kill()  # the GPU of a killed process is free
        second.communicate()
        third, *others = take_gpu_in_a_process(tmp_path)
        fourth, *more = take_gpu_in_a_process(tmp_path)
        assert others + more == ["7", "3"]  # and if there are more processes than GPUs, they share them
        for process in (third, fourth):
            process.communicate("")
    finally:
        first.communicate("")
