"""Print a digest of what each of twenty-five small fits has learned, to compare two commits to the bit.

Run it before and after a change that must not alter results, on the same machine, and compare the outputs:
``python -m benchmarks.digests > before.txt``. The digests differ between processors with other vector widths.
"""

import hashlib
import tempfile
from contextlib import suppress
from itertools import chain
from pathlib import Path

import numpy as np
from sklearn.datasets import load_digits

from benchmarks.machine import bare_parser
from skconvnet import ConvNetClassifier, ConvNetFeatures

N_IMAGES = 300

NETWORKS = {
    "auto": "auto",
    "linear": "linear",
    "lenet": "INPUT -> CONV(K=6, F=5) -> TANH -> POOL(average) -> CONV -> SIGMOID -> POOL -> FC(20) -> RELU -> FC",
    "strides": "INPUT -> CONV(K=12, F=4, S=2, P=1) -> RELU -> CONV(K=20, F=3, S=2, P=1, round=floor) -> RELU -> FC",
    "groups": "INPUT -> CONV(K=12) -> RELU -> CONV(K=12, groups=3) -> RELU -> CONV(K=24, groups=12) -> RELU -> FC",
    "overlapping-pools": "INPUT -> CONV(K=9) -> POOL(F=3, S=1, P=1) -> POOL(average, F=3, S=2, P=1, round=ceil) -> FC",
    "batch-norm": "INPUT -> CONV(K=10, bias=no) -> NORM -> RELU -> POOL -> FC(16) -> NORM -> RELU -> FC",
    "layer-norm": "INPUT -> CONV(K=10) -> NORM(layer) -> RELU -> POOL -> FC",
    "lrn": "INPUT -> CONV(K=11) -> RELU -> NORM(lrn) -> POOL -> FC",
    "dropout": "INPUT -> CONV(K=8) -> RELU -> POOL -> DROPOUT(0.3) -> FC(32) -> RELU -> DROPOUT -> FC",
    "residual": (
        "INPUT -> CONV(K=8) -> NORM -> RELU -> (CONV(K=8) -> NORM -> RELU -> CONV(K=8) -> NORM + SKIP) -> RELU "
        "-> (CONV(K=16, S=2, round=floor) -> RELU -> CONV(K=16) + CONV(K=16, F=1, S=2, P=0, round=floor)) -> RELU "
        "-> POOL(average, F=all) -> FC"
    ),
    "inception": (
        "INPUT -> (CONV(K=5, F=1) -> RELU | CONV(K=7) -> RELU | POOL(F=3, S=1, P=1)) -> CONV(K=8) -> POOL -> FC"
    ),
    "heavy-fc": "INPUT -> CONV(K=16) -> RELU -> FC(512) -> RELU -> FC(512) -> RELU -> FC",
    "conv-head": "INPUT -> CONV(K=8) -> RELU -> POOL(F=all) -> CONV(K=10, F=1, P=0)",
}


def fits(X, y, directory):
    """Yield a name and a fitted classifier, or the features of one, for each fit."""
    common = {"max_iter": 2, "random_state": 0}
    for name, text in NETWORKS.items():
        yield name, ConvNetClassifier(text, **common).fit(X, y)
    residual = NETWORKS["residual"]
    yield "sgd", ConvNetClassifier(NETWORKS["lenet"], solver="sgd", learning_rate_init=0.05, **common).fit(X, y)
    plain_momentum = {"solver": "sgd", "nesterovs_momentum": False, "learning_rate": "adaptive"}
    yield "sgd-adaptive", ConvNetClassifier(residual, learning_rate_init=0.05, **plain_momentum, **common).fit(X, y)
    yield "augment", ConvNetClassifier(residual, augment=["flip", "crop", "cutout"], **common).fit(X, y)
    weights = np.random.default_rng(0).random(len(X))
    yield "weights", ConvNetClassifier(class_weight="balanced", **common).fit(X, y, sample_weight=weights)
    stopped = ConvNetClassifier(residual, early_stopping=True, validation_fraction=0.2, **common)
    yield "early-stopping", stopped.fit(X, y)

    warm = ConvNetClassifier(NETWORKS["dropout"], warm_start=True, learning_rate="constant", **common).fit(X, y)
    yield "warm-start", warm.fit(X, y)
    partial = ConvNetClassifier(residual, **common)
    for first in range(0, len(X), 100):
        partial.partial_fit(X[first : first + 100], y[first : first + 100], classes=np.arange(10))
    yield "partial-fit", partial
    yield "fit-then-partial-fit", warm.partial_fit(X, y)

    path = Path(directory, "digests.npz")
    yield "checkpoint", ConvNetClassifier(residual, checkpoint=path, **common).fit(X, y)
    resumed = ConvNetClassifier(residual, checkpoint=_after_first_epoch(X, y, path), **common)
    yield "checkpoint-resumed", resumed.fit(X, y)
    yield "features", ConvNetFeatures(warm, layer="FC 1").fit(X)


class _Killed(BaseException):
    pass


class _KillAfterEpoch:
    """A callback of scikit-learn 1.9 that ends the fit as a signal would."""

    def setup(self, estimator, context):
        pass

    def teardown(self, estimator, context):
        pass

    def on_fit_task_begin(self, estimator, context):
        pass

    def on_fit_task_end(self, estimator, context):
        raise _Killed


def _after_first_epoch(X, y, path):
    """Return the path of a checkpoint that a fit of two epochs left when it was killed after the first."""
    path = path.with_name("killed.npz")
    classifier = ConvNetClassifier(NETWORKS["residual"], max_iter=2, random_state=0, checkpoint=path)
    with suppress(_Killed):
        classifier.set_callbacks(_KillAfterEpoch()).fit(X, y)
    return path


def digest(arrays):
    """Return a digest of arrays to the bit."""
    total = hashlib.blake2b(digest_size=12)
    for array in arrays:
        total.update(np.ascontiguousarray(array).tobytes())
    return total.hexdigest()


def main():
    """Fit, and print a line for each fit: name, digest of the learned numbers, digest of scores."""
    bare_parser(__doc__).parse_args()
    X, y = load_digits(return_X_y=True)
    X, y = X[:N_IMAGES], y[:N_IMAGES]
    with tempfile.TemporaryDirectory() as directory:
        for name, fitted in fits(X, y, directory):
            if isinstance(fitted, ConvNetFeatures):
                print(f"{name:22} {digest([fitted.transform(X)])}")
                continue
            learned = chain(fitted.coefs_, fitted.intercepts_, fitted.norm_means_, fitted.norm_variances_)
            print(f"{name:22} {digest(learned)} {digest([fitted.decision_function(X), fitted.loss_curve_])}")


if __name__ == "__main__":
    main()
