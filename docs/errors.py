"""Run common mistakes and write docs/errors.md: the message of each.

    python -m docs.errors

The test of the page compares it with what the code says.
"""

import re
import warnings
from pathlib import Path

import numpy as np
from sklearn.datasets import load_digits
from sklearn.model_selection import GridSearchCV, KFold

import skconvnet

PAGE = Path(__file__).with_suffix(".md")
_HEAD = """# Errors and what to do

Each error is raised before any work, and says what came, what is needed and what to do. `fit` warns once. Predictions
warn of images of another scale only. The messages are those of the code: `python -m docs.errors` runs each mistake and
writes this page. X and y are 40 of scikit-learn's digits, rows of 64 pixels; `images` are these as (40, 8, 8).
"""

MISTAKES = {
    "The notation": [
        "Architecture.parse('INPUT -> CONV(32) -> FC')",
        "Architecture.parse('INPUT -> CONV(K=3x3) -> FC')",
        "Architecture.parse('INPUT -> CONV(filters=32) -> FC')",
        "Architecture.parse('INPUT -> CONV(K=8, activation=relu) -> FC')",
        "Architecture.parse('INPUT -> POOL(2) -> FC')",
        "Architecture.parse('INPUT -> POOL(avg) -> FC')",
        "Architecture.parse('INPUT -> DROPOUT(p=0.5) -> FC')",
        "Architecture.parse('input -> CONV -> FC')",
        "Architecture.parse('INPUT -> conv -> FC')",
        "Architecture.parse('INPUT => CONV -> FC')",
        "Architecture.parse('INPUT --> CONV -> FC')",
        "Architecture.parse('INPUT -> [CONV -> RELU]x2 -> FC')",
        "Architecture.parse('INPUT -> CONV -> FLATTEN -> FC')",
        "Architecture.parse('INPUT -> FC -> SOFTMAX')",
        "Architecture.parse('INPUT -> CONV -> LEAKYRELU -> FC')",
        "Architecture.parse('INPUT -> MaxPool2d -> FC')",
        "Architecture.parse('vgg16')",
        "ARCHITECTURES['lenet']",
        "ConvNetClassifier('vgg61').fit(X, y)",
    ],
    "Layers that do not fit": [
        "ConvNetClassifier('INPUT -> CONV -> FC', F=4).fit(X, y)",
        "ConvNetClassifier('INPUT -> CONV -> FC', S=2, rounding='exact').fit(X, y)",
        "ConvNetClassifier('INPUT -> CONV -> FC', F=11, P='valid').fit(X, y)",
        "ConvNetClassifier('INPUT -> [CONV -> POOL]*4 -> FC').fit(X, y)",
        "ConvNetClassifier('INPUT -> (CONV + POOL) -> FC').fit(X, y)",
        "ConvNetClassifier('INPUT -> CONV -> RELU').fit(X, y)",
        "ConvNetClassifier('INPUT -> FC(5)').fit(X, y)",
    ],
    "Parameters": [
        "ConvNetClassifier(F='3x3').fit(X, y)",
        "ConvNetClassifier('INPUT -> [CONV]*3 -> FC', F=(3, 3)).fit(X, y)",
        "ConvNetClassifier('INPUT -> CONV(K=4, F=3) -> FC', F=7, K=9, max_iter=1).fit(X, y)",
        "ConvNetClassifier('lenet5', F=7, K=9, image_shape=(28, 28), max_iter=1).fit(np.resize(X, (40, 784)), y)",
        "ConvNetClassifier('INPUT -> FC', N=3, pool=False, hidden_layer_sizes=64, max_iter=1).fit(X, y)",
        "ConvNetClassifier('INPUT -> FC', body_rate=0.5, max_iter=1).fit(X, y)",
        "ConvNetClassifier('INPUT -> CONV(K=4) -> FC', F=99, max_iter=1).fit(X, y)",
        "ConvNetClassifier('INPUT -> FC -> RELU -> FC', hidden_layer_sizes=(32, 16), max_iter=1).fit(X, y)",
        "ConvNetClassifier('INPUT -> CONV(K=8) -> RELU -> CONV -> FC', K=[4, 16], max_iter=1).fit(X, y)",
        "ConvNetClassifier((100,)).fit(X, y)",
        "ConvNetClassifier(epochs=5)",
        "ConvNetClassifier(filters=32)",
        "ConvNetClassifier(activation='tanh')",
        "ConvNetClassifier().fit(X, y, epochs=5)",
        "ConvNetClassifier().fit(X, y, validation_data=(X, y))",
        "ConvNetClassifier(solver='lbfgs').fit(X, y)",
        "ConvNetClassifier(learning_rate=0.01).fit(X, y)",
        "ConvNetClassifier(device='gpu').fit(X, y)",
        "ConvNetClassifier(augment='rotate(400)').fit(X, y)",
        "ConvNetClassifier(augment='flip, crop').fit(X, y)",
    ],
    "Searches": [
        "valid_param_grid(ConvNetClassifier(), {'F': [11, 12], 'P': [0]}, image_shape=(8, 8))",
        "valid_param_grid(ConvNetClassifier('INPUT -> CONV(F=3) -> FC'), {'F': [3, 5]}, image_shape=(8, 8))",
        "valid_param_grid(ConvNetClassifier(), {'F': [3]}, image_shape=images.shape)",
        "valid_param_grid(ConvNetClassifier(), {'filters': [8]}, image_shape=(8, 8))",
        "GridSearchCV(ConvNetClassifier(), {'F': [4, 6]}, cv=KFold(2)).fit(X, y)",
    ],
    "Images": [
        "ConvNetClassifier().fit(images[0], y)",
        "ConvNetClassifier('INPUT -> FC', max_iter=1).fit(X[:, :40], y)",
        "ConvNetClassifier('INPUT -> FC', max_iter=1).fit(X[:, :48], y)",
        "ConvNetClassifier('INPUT -> FC', max_iter=1).fit(np.column_stack([X, y]), y)",
        "ConvNetClassifier(image_shape=(8, 8)).fit(np.column_stack([X, y]), y)",
        "ConvNetClassifier('INPUT -> FC', max_iter=1).fit(np.resize(X, (40, 3, 16, 16)), y)",
        "ConvNetClassifier('INPUT -> FC', max_iter=1).fit(0 * X, y)",
        "ConvNetClassifier('INPUT -> FC', max_iter=1).fit(np.where(np.arange(2560).reshape(40, 64) == 99, 1e6, X), y)",
        "ConvNetClassifier(image_shape=(8, 9)).fit(X, y)",
        "ConvNetClassifier(image_shape=(40, 8, 8)).fit(images, y)",
        "ConvNetClassifier().fit(X[0], y)",
        "ConvNetClassifier().fit(X + np.nan, y)",
        "fitted.predict(images[:, :6])",
        "fitted.predict(np.resize(images, (40, 16, 16)))",
        "fitted.predict(np.stack([images] * 3, axis=-1))",
        "fitted.predict(np.stack([images] * 3, axis=1))",
        "fitted.predict(X / 255)",
        "fitted.predict(X[:1] / 16)",
        "fitted.predict(X[0])",
        "fitted.predict(np.zeros((20, 20, 3)))",
        "fitted.predict([images[0], images[1, :6]])",
        "fitted.predict({'data': images})",
        "fitted.score_map(np.zeros((20, 20)))",
    ],
    "Labels and weights": [
        "ConvNetClassifier().fit(X, y[:30])",
        "ConvNetClassifier().fit(X, y.reshape(1, -1))",
        "ConvNetClassifier().fit(X, [{label} for label in y])",
        "ConvNetClassifier().fit(X, y + 0.5)",
        "ConvNetClassifier().fit(X, 0 * y)",
        "ConvNetClassifier(class_weight={'0': 2}).fit(X, y)",
        "ConvNetClassifier().fit(X, y, sample_weight=[1, 2])",
        "ConvNetClassifier().fit(X, y, X_val=X, y_val=y + 1)",
        "ConvNetClassifier().fit(X, y, X_val=X)",
        "ConvNetClassifier('INPUT -> FC').partial_fit(X, y, classes=range(10)).partial_fit(X, y + 1)",
    ],
    "Before fit": [
        "ConvNetClassifier().predict(X)",
        "ConvNetClassifier().architecture_",
    ],
}


def page():
    """Return the text of docs/errors.md."""
    parts = [_HEAD]
    for title, mistakes in MISTAKES.items():
        parts.append(f"## {title}\n")
        parts += [f"```text\n>>> {mistake}\n{answer(mistake)}\n```\n" for mistake in mistakes]
    return "\n".join(parts)


def answer(mistake):
    """Run a mistake; return its error and its warnings."""
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        try:
            eval(mistake, _names())  # a line of this file
            error = []
        except Exception as raised:
            error = [_shown(raised)]
    return "\n".join(dict.fromkeys([*(_shown(warning.message) for warning in told), *error])) or "no message"


def _shown(message):
    """Return the kind of an error or warning and its text, without traceback."""
    lines = [line.rstrip() for line in str(message).strip().splitlines()]
    if "Traceback (most recent call last):" in lines:  # of scikit-learn's searches: the error of the last fit is enough
        lines = [lines[0], "...", *lines[-2:]]
    text = "\n".join([f"{type(message).__name__}: {lines[0]}", *lines[1:]])
    text = re.sub(r"(Valid parameters are: \[).*?\]", r"\1...]", text)
    return re.sub(r"\{('[\w-]+'(?:, '[\w-]+')+)\}", _sorted_words, text)  # scikit-learn prints sets in any order


def _sorted_words(match):
    return f"{{{', '.join(sorted(match[1].split(', ')))}}}"


def _names():
    X, y = (values[:40] for values in load_digits(return_X_y=True))
    if not _FITTED:
        _FITTED.append(skconvnet.ConvNetClassifier("INPUT -> FC", max_iter=1, random_state=0).fit(X, y))
    names = {
        name: getattr(skconvnet, name)
        for name in ("ARCHITECTURES", "Architecture", "ConvNetClassifier", "valid_param_grid")
    }
    return names | {
        "GridSearchCV": GridSearchCV,
        "KFold": KFold,
        "np": np,
        "X": X,
        "y": y,
        "images": X.reshape(-1, 8, 8),
        "fitted": _FITTED[0],
    }


_FITTED = []  # one small classifier, fitted when it is first needed


def main():
    """Write the page."""
    PAGE.write_text(page())


if __name__ == "__main__":
    main()
