"""The command line, as a user calls it."""

import re
import subprocess
import sys

import pytest

from skconvnet import ARCHITECTURES
from skconvnet import __main__ as command_line


def test_demo_reports_the_table_the_accuracy_and_the_times(capsys):
    command_line.main(["demo"])
    out = capsys.readouterr().out
    assert "[8x8x1]" in out
    assert float(re.search(r"held-out images +(\S+)", out).group(1)) > 0.98
    for what in ("compiling the kernels", "fitting", "predicting"):
        assert float(re.search(rf"^{what} +(\S+) s", out, re.MULTILINE).group(1)) >= 0


def test_summary_reads_width_then_height(capsys):
    command_line.main(["summary", "INPUT -> CONV(K=12, F=3, S=1, P=1) -> RELU -> POOL -> FC", "--input", "32x16x3"])
    out = capsys.readouterr().out
    for volume in ("[32x16x3]", "[32x16x12]", "[16x8x12]", "[1x1x10]"):
        assert volume in out


@pytest.mark.parametrize("name", ["auto", *ARCHITECTURES])
def test_summary_knows_the_names(capsys, name):
    options = ["--input", "32x32x1", "--classes", "7", "--hidden-layer-sizes", "64", "48"]
    command_line.main(["summary", name, *options])
    assert "[1x1x7]" in capsys.readouterr().out


def test_summary_shows_an_architecture_error_and_no_traceback():
    command = [sys.executable, "-m", "skconvnet", "summary", "INPUT -> CONV -> -> FC"]
    process = subprocess.run(command, capture_output=True, text=True)
    assert process.returncode == 1
    assert "^" in process.stderr
    assert "Traceback" not in process.stderr


def test_summary_refuses_what_is_no_volume(capsys):
    with pytest.raises(SystemExit):
        command_line.main(["summary", "INPUT -> FC", "--input", "32x32"])
    assert "give width, height and depth" in capsys.readouterr().err
