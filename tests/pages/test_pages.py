"""The examples in the pages of docs/ run."""

import re
from pathlib import Path

import sklearn

DOCS = Path(__file__).parents[2] / "docs"


def run(page):
    """Run the Python blocks of a page, one after another. Return their variables."""
    namespace = {}
    with sklearn.config_context():  # restore scikit-learn's settings after the page
        for block in re.findall(r"```python\n(.*?)```", (DOCS / page).read_text(encoding="utf-8"), re.DOTALL):
            exec(block, namespace)
    return namespace


def test_searching():
    assert set(run("search.md")["search"].best_params_) == {"F", "K", "alpha", "learning_rate_init"}


def test_fitting():
    named = run("fitting.md")
    network, X_val, y_val = (named[name] for name in ("network", "X_val", "y_val"))
    scores = named["pipeline"]["network"].validation_scores_
    assert max(scores) == named["pipeline"].score(X_val, y_val) > 0.9  # the pipeline scales X_val too
    assert network.score(X_val, y_val) > 0.95
    assert network.t_ > 5 * 1000


def test_use_of_a_gpu():
    assert run("gpu.md")["classifier"].n_iter_ == 2
