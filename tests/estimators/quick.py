"""A classifier that fits in a moment, and comparisons of networks."""

import re

import numpy as np
import pytest

from skconvnet import ConvNetClassifier

QUICK = {"K": 8, "N": 1, "hidden_layer_sizes": (32,), "learning_rate_init": 0.01, "batch_size": 16}
QUICK |= {"max_iter": 3, "n_jobs": 1, "random_state": 0}

# Whether a text reads these parameters; others have no effect, of which `fit` warns.
_READ_BY = {
    "K": lambda text: text == "auto" or re.search(r"CONV(?!\(K)", text),
    "N": lambda text: text == "auto" or "*N" in text,
    "hidden_layer_sizes": lambda text: text == "auto" or "]*K" in text or re.search(r"\bFC\b(?!\().*->.*\bFC\b", text),
}


def quick(**parameters):
    """A classifier that fits in a moment."""
    text = parameters.get("architecture", "auto")
    base = {name: value for name, value in QUICK.items() if name not in _READ_BY or _READ_BY[name](str(text))}
    return ConvNetClassifier(**base | parameters)


def same_network(one, other):
    """Whether two estimators have bitwise the same parameters and running statistics."""
    ours, theirs = (
        estimator.coefs_ + estimator.intercepts_ + estimator.norm_means_ + estimator.norm_variances_
        for estimator in (one, other)
    )
    return len(ours) == len(theirs) and all(np.array_equal(a, b) for a, b in zip(ours, theirs, strict=True))


def refused(message):
    return pytest.raises(ValueError, match=re.escape(message))
