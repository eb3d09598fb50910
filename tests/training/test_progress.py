"""What `verbose` shows of a fit: on a terminal, where no bar can be, and in a pipe."""

import importlib
import io
import logging
import os
import re
import subprocess
import sys

import numpy as np
import pytest

from skconvnet import ConvNetClassifier
from skconvnet.training import History, progress

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


def test_verbose_says_why_training_stopped_early(capsys):
    X, y = np.random.default_rng(0).random((40, 64)), np.arange(40) % 2
    stops = QUICK | {"max_iter": 9, "tol": 1e3, "n_iter_no_change": 1, "verbose": 1}
    ConvNetClassifier(**stops).fit(X, y)
    assert "stopped after epoch 3: the training loss has not improved by tol=1000.0 in" in capsys.readouterr().out
    ConvNetClassifier(**stops, early_stopping=True).fit(X, y)
    assert "the validation score has not improved" in capsys.readouterr().out
    ConvNetClassifier(**QUICK, verbose=1).fit(X, y)
    assert "stopped" not in capsys.readouterr().out


@pytest.fixture
def untold():
    progress._has_told.clear()
    yield
    progress._has_told.clear()


@pytest.mark.usefixtures("untold")
def test_a_fit_that_takes_more_than_a_minute_says_so_once(caplog):
    report = progress.report_if_long(max_iter=10, n_images=60_000, n_epochs=0)
    report(History(n_epochs=1), 2000)
    (record,) = caplog.records
    assert record.levelno == logging.WARNING
    assert record.getMessage() == (
        "This fit takes up to 4 minutes more: 9 epochs of 30 s. verbose=1 shows the progress."
    )
    report(History(n_epochs=2), 1000)
    progress.report_if_long(max_iter=10, n_images=60_000, n_epochs=4)(History(n_epochs=5), 2000)
    assert len(caplog.records) == 1


@pytest.mark.usefixtures("untold")
def test_a_fit_of_less_than_a_minute_is_silent(caplog, capsys):
    report = progress.report_if_long(max_iter=10, n_images=60_000, n_epochs=0)
    report(History(n_epochs=1), 9001)
    report(History(n_epochs=2), 10)  # a slower epoch later changes nothing
    X, y = np.random.default_rng(0).random((40, 64)), np.arange(40) % 2
    ConvNetClassifier(**QUICK).fit(X, y)
    assert (caplog.records, capsys.readouterr()) == ([], ("", ""))
