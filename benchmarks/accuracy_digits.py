"""Accuracy and seconds of fit on scikit-learn's digits: 5-fold cross-validation, shuffled and stratified."""

import numpy as np
from sklearn.model_selection import StratifiedKFold
from sklearn.neural_network import MLPClassifier
from sklearn.svm import SVC

from benchmarks.datasets import digits
from benchmarks.machine import Side, description, fit_and_score, parser
from benchmarks.peers import TorchClassifier, require
from skconvnet import ConvNetClassifier

RECIPE = "INPUT -> [CONV(K=32, F=3, P=1) -> RELU]*2 -> POOL(F=2, S=2) -> FC(128) -> RELU -> FC"


def main():
    command_line = parser(__doc__)
    threads = command_line.parse_args().threads
    require(command_line, "torch")
    scikit_learn, pytorch = Side(threads), Side(threads)
    contestants = {
        "SVC()": (scikit_learn, SVC()),
        "MLPClassifier()": (scikit_learn, MLPClassifier(random_state=0)),
        "PyTorch, CONV32-CONV32-POOL-FC128": (pytorch, TorchClassifier(RECIPE, image_shape=(8, 8, 1))),
        "ConvNetClassifier()": (scikit_learn, ConvNetClassifier(random_state=0)),
    }
    print(f"{__doc__}\n{description(threads)}\n")

    X, y = digits()
    few = slice(200)  # images for a first fit, which compiles kernels and imports PyTorch
    compiling = {
        name: side.run(fit_and_score, classifier, X[few], X[few], y[few], y[few])[2]
        for name, (side, classifier) in contestants.items()
    }
    results = {name: [] for name in contestants}
    for train, test in StratifiedKFold(5, shuffle=True, random_state=0).split(X, y):
        for name, (side, classifier) in contestants.items():
            results[name].append(side.run(fit_and_score, classifier, X[train], X[test], y[train], y[test]))

    print(f"{'':34} {'accuracy':>9} {'fit, s':>8} {'compiling, s':>13}")
    for name, folds in results.items():
        accuracy, seconds, _ = np.mean(folds, axis=0)
        print(f"{name:34} {accuracy:9.4f} {seconds:8.2f} {compiling[name]:13.2f}")


if __name__ == "__main__":
    main()
