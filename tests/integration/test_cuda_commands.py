"""What the commands about GPU kernels refuse, with a line of argparse, and without the extra `skconvnet[cuda]`."""

import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks import cuda, cuda_model

COMMANDS = {
    "benchmarks.cuda": ["--compile"],
    "benchmarks.cuda_model": ["digits"],
    "tests.engine.cuda.run": ["INPUT -> FC", "--input", "8x8"],
}
WITHOUT_EXTRA = """
import runpy, sys

sys.modules["numba_cuda"] = None  # as if it were not installed
runpy.run_module(sys.argv.pop(1), run_name="__main__", alter_sys=True)
"""


@pytest.mark.parametrize("module", COMMANDS)
def test_without_the_extra_a_command_says_how_to_install_it(module):
    command = [sys.executable, "-c", WITHOUT_EXTRA, module, *COMMANDS[module]]
    process = subprocess.run(command, capture_output=True, text=True, cwd=Path(__file__).parents[2])
    assert process.returncode == 2
    assert "Traceback" not in process.stderr
    last = process.stderr.splitlines()[-1]
    assert "error: it needs the extra skconvnet[cuda]" in last
    assert "`make cuda` installs it" in last


@pytest.mark.parametrize(
    ("main", "options", "says"),
    [
        (cuda.main, ["--compile", "--architecture", "x"], "--architecture: invalid choice: 'x'"),
        (cuda.main, ["--compile", "--architecture", "7.0"], "--architecture: invalid choice: '7.0'"),
        (cuda.main, ["--batches", "0"], "--batches: a whole number from 1 on is needed, not '0'"),
        (cuda_model.main, ["digits", "--input", "8"], "--input: '8' is not HxW or HxWxC"),
        (cuda_model.main, ["digits", "--batch", "0"], "--batch: a whole number from 1 on is needed, not '0'"),
    ],
)
def test_an_option_that_cannot_be_read_is_refused(capsys, main, options, says):
    with pytest.raises(SystemExit):
        main(options)
    assert says in capsys.readouterr().err


@pytest.mark.parametrize("text", ["CONV", "INPUT -> CONV(F=20) -> FC", "no such network"])
def test_the_model_refuses_what_is_no_network(monkeypatch, capsys, text):
    monkeypatch.setattr(cuda_model, "find_spec", lambda name: "found")
    with pytest.raises(SystemExit):
        cuda_model.main([text, "--input", "8x8"])
    assert "error:" in capsys.readouterr().err


def test_the_model_needs_the_shape_of_a_text(monkeypatch, capsys):
    monkeypatch.setattr(cuda_model, "find_spec", lambda name: "found")
    with pytest.raises(SystemExit):
        cuda_model.main(["INPUT -> FC"])
    assert "needs --input HxWxC" in capsys.readouterr().err
