"""What `verbose` shows of a fit: on a terminal, where no bar can be, and in a pipe."""

import importlib
import io
import os
import re
import subprocess
import sys

import pytest

QUICK = {"K": 8, "N": 1, "hidden_layer_sizes": (32,), "batch_size": 16, "max_iter": 3, "n_jobs": 1, "random_state": 0}
LINE = r"epoch {}/3   loss \d+\.\d{{4}}   accuracy [01]\.\d{{4}}   [\d,]+ images/s"


def on_a_terminal(code, **environment):
    """Run code in a process whose standard output is a terminal; return what arrived there."""
    pty = importlib.import_module("pty") if sys.platform != "win32" else pytest.skip("needs a pseudo-terminal")
    ours, theirs = pty.openpty()
    environment = os.environ | {"TERM": "xterm", "COLUMNS": "80"} | environment
    process = subprocess.Popen([sys.executable, "-c", code], stdout=theirs, stderr=subprocess.PIPE, env=environment)
    os.close(theirs)
    shown = io.BytesIO()
    try:
        while chunk := os.read(ours, 4096):
            shown.write(chunk)
    except OSError:  # how Linux says that the other end is closed
        pass
    os.close(ours)
    _, errors = process.communicate()
    assert process.returncode == 0, errors.decode()
    return re.sub(r"\x1b\[[\d;?]*[a-zA-Z]", "", shown.getvalue().decode())


def fit_code(before=""):
    """Return code that fits a classifier with verbose=1, after some other code."""
    return f"""
import sys
{before}
from sklearn.datasets import load_digits
from skconvnet import ConvNetClassifier
X, y = load_digits(return_X_y=True)
X, y = X[:200].astype("uint8"), y[:200]
estimator = ConvNetClassifier(**{QUICK}, verbose=1).fit(X, y)
"""


def lines_of(shown):
    return [line for line in shown.splitlines() if line.startswith("epoch")]


def plain(shown):
    lines = lines_of(shown)
    return len(lines) == 3 and all(re.fullmatch(LINE.format(n), line) for n, line in enumerate(lines, 1))


def test_verbose_shows_a_bar_on_a_terminal():
    pytest.importorskip("rich")
    shown = on_a_terminal(fit_code())
    assert not lines_of(shown)
    for epoch in (1, 2, 3):
        assert re.search("━ " + LINE.format(epoch), shown)
    assert "kernels ready in" in shown


@pytest.mark.parametrize(("code", "terminal"), [('sys.modules["rich"] = None', "xterm"), ("", "dumb")])
def test_verbose_prints_lines_on_a_terminal_where_no_bar_can_be(code, terminal):
    assert plain(on_a_terminal(fit_code(code), TERM=terminal))


def test_verbose_prints_plain_lines_in_a_pipe():
    done = subprocess.run([sys.executable, "-c", fit_code()], capture_output=True, text=True, check=True)
    assert plain(done.stdout)
    assert "━" not in done.stdout
    assert "\x1b" not in done.stdout
