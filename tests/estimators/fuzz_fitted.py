"""Give fitted estimators wrong attributes, and score with them: a result or a documented error, and never a crash.

Run in a process of its own: ``python -m tests.estimators.fuzz_fitted SEED COUNT``. Prints how often which method gave a
result or an error.
"""

import copy
import pickle
import sys
import warnings
from collections import Counter

import numpy as np

from skconvnet import ConvNetClassifier, ConvNetFeatures
from skconvnet.architecture import walk

NETWORKS = {
    (8, 8, 1): "INPUT -> CONV(K=6) -> NORM -> RELU -> POOL -> (CONV(K=6) -> NORM + SKIP) -> FC(7) -> RELU -> FC",
    (9, 6, 3): "INPUT -> CONV(K=4, F=2, P=0) -> (CONV(K=8, groups=4) | POOL(F=3, S=1, P=1)) -> NORM(lrn) -> FC",
    (5, 5, 2): "INPUT -> CONV(K=8, bias=no) -> NORM(layer) -> POOL(average, F=all) -> DROPOUT -> FC",
    (1, 12, 1): "INPUT -> FC",
}
VALUES = (None, True, -1, 0, 1, 3, 2**31, 2**62, 2**70, 0.5, np.nan, "", "FC 1", "INPUT -> FC", (), (8, 8), [], {})


def fitted(shape, text, n_classes):
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(24, *shape)).astype(np.float32), np.arange(24) % n_classes
    return ConvNetClassifier(text, max_iter=1, n_jobs=1, warm_start=True, random_state=0).fit(X, y)


def mutated_array(rng, array):
    shape = list(array.shape)
    if shape:
        shape[rng.integers(len(shape))] = int(rng.choice([0, 1, 2, 5, 100]))
    return rng.choice(
        [
            lambda: np.ones(shape, np.float32),
            lambda: array.T,
            lambda: array.ravel(),
            lambda: array[None],
            lambda: array[..., :-1] if array.ndim else array,
            lambda: array.astype(rng.choice(["f8", ">f4", "f2", "i8", "c8", "O", "U9", "?"])),
            lambda: np.full_like(array, rng.choice([np.nan, np.inf, -1, 3e38]), np.float32),
            lambda: np.broadcast_to(np.float32(1), array.shape),
            lambda: array.tolist(),
        ]
    )()


def mutate(rng, value, others):
    """Return another value in place of an attribute, or of something inside it."""
    kind = rng.integers(4)
    if kind == 0:
        return copy.deepcopy(VALUES[rng.integers(len(VALUES))])
    if kind == 1:
        return copy.deepcopy(others[rng.integers(len(others))])
    if isinstance(value, np.ndarray):
        return mutated_array(rng, value)
    if isinstance(value, (list, tuple)) and value:
        items, place = list(value), rng.integers(len(value))
        if kind == 2:
            items[place] = mutate(rng, items[place], others)
        else:
            items.insert(place, items.pop()) if rng.integers(2) else items.pop(place)
        return type(value)(items)
    if hasattr(value, "layers") or hasattr(value, "history"):
        value = copy.deepcopy(value)
        if hasattr(value, "layers"):
            parts = [value, *walk(value.layers)]
        else:
            parts = [value, value.history, value.history.plateau, value.optimizer]
        target = parts[rng.integers(len(parts))]
        if hasattr(target, "input") and rng.integers(2):
            target = target.input
        name = rng.choice(sorted(vars(target)))
        object.__setattr__(target, name, mutate(rng, getattr(target, name), others))
        return value
    return int(rng.integers(-3, 2000)) if isinstance(value, int) else value


def examples(shape, n_classes):
    """Images and labels for one call."""
    return np.zeros((10, *shape), np.float32), np.arange(10) % n_classes


def labelled(estimator, X):
    """The images and the last label that the estimator may have; rows if it wants images of another shape."""
    classes = estimator.classes_
    last = classes[-1] if isinstance(classes, np.ndarray) and classes.ndim == 1 and len(classes) else 0
    return X.reshape(len(X), -1), np.full(len(X), last)


def calls(estimator, shape, n_classes):
    """The methods to try, by name."""
    X, y = examples(shape, n_classes)
    larger = np.zeros((2, shape[0] + 2, shape[1] + 4, shape[2]), np.float32)
    if "_kept_trainer" in vars(estimator):
        yield "stream", lambda: estimator.partial_fit(*labelled(estimator, X))
    yield "predict", lambda: estimator.predict(X)
    yield "predict one", lambda: estimator.predict_proba(X[:1].reshape(1, -1))
    yield "score_map", lambda: estimator.score_map(larger)
    yield "fit", lambda: copy.deepcopy(estimator).fit(X, y)
    yield "partial_fit", lambda: copy.deepcopy(estimator).partial_fit(X, y)
    yield "features", lambda: ConvNetFeatures(estimator, -1).fit(X).transform(X)


def main(seed, count):
    warnings.simplefilter("ignore")
    rng, seen = np.random.default_rng(seed), Counter()
    files = [pickle.dumps(fitted(shape, text, 2 + n)) for n, (shape, text) in enumerate(NETWORKS.items())]
    for _ in range(count):
        numbers = rng.permutation(len(files))[:2]
        estimator, other = (pickle.loads(files[number]) for number in numbers)
        shape, n_classes = estimator.image_shape_, len(estimator.classes_)
        if rng.integers(2):
            estimator.partial_fit(*examples(shape, n_classes))
        names = sorted(name for name in vars(estimator) if name.endswith("_") or name == "_training_state")
        for _ in range(rng.integers(1, 4)):
            name = str(rng.choice(names))
            value = mutate(rng, getattr(estimator, name), [getattr(other, one) for one in (name, *names)])
            setattr(estimator, name, value)
        if rng.integers(4) == 0:  # then the training state may have them
            vars(estimator).pop("coefs_", None)
        for method, call in calls(estimator, shape, n_classes):
            try:
                call()
                seen[method, "result"] += 1
            except (ValueError, FloatingPointError):  # the latter where huge weights make the loss infinite
                seen[method, "error"] += 1
            except Exception as error:
                raise AssertionError(f"{method} with {name}={value!r:.200}") from error
    for (method, what), number in sorted(seen.items()):
        print(f"{method}: {number} x {what}")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
