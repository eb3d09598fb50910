"""Accuracy and processor seconds of fit by the number of epochs: what max_iter="auto" was chosen by.

Images are drawn, stratified, from those of the data set; at most 5,000 others are the test. Each seed draws both anew
and is the random_state of its fit. "processor" are the seconds that all threads of fit computed, which depend less on
what else runs on the machine.
"""

from time import process_time

import numpy as np
from sklearn.model_selection import train_test_split

from benchmarks.arguments import whole_number
from benchmarks.datasets import cifar10, digits, fashion_mnist
from benchmarks.machine import Side, description, parser
from skconvnet import ConvNetClassifier

MOST_TEST = 5_000
SMALL = {"K": 8, "N": 1}  # a thirtieth of the cost of the default network
FEW = 200  # images of a first fit, which compiles kernels


def main(arguments=None):
    command_line = parser(__doc__)
    command_line.add_argument("data", choices=["digits", "fashion-mnist", "cifar10"])
    command_line.add_argument("--path", help="of cifar10: image folder or zip archive of its training images")
    command_line.add_argument("--cache", help="of cifar10: .npz file for the decoded images")
    command_line.add_argument("--images", type=whole_number(FEW), default=500, help="to train on (default: 500)")
    command_line.add_argument("--epochs", type=whole_number(1), nargs="+", default=[10, 20, 40])
    command_line.add_argument("--seeds", type=whole_number(1), default=3, help="(default: 3)")
    command_line.add_argument("--small", action="store_true", help="K=8 and N=1")
    command_line.add_argument("--augment", nargs="+", help="such as: flip crop")
    options = command_line.parse_args(arguments)
    if options.data == "cifar10" and options.path is None and options.cache is None:
        command_line.error("cifar10 needs --path, the image folder or zip archive of its training images")
    X, y = load(options)
    n_test = min(MOST_TEST, len(X) - options.images)
    if n_test < FEW:
        command_line.error(
            f"--images {options.images} leaves {n_test} of {len(X)} images for the test; {FEW} are needed"
        )
    print(f"{__doc__}\n{description(options.threads)}\n", flush=True)

    side = Side(options.threads)
    parameters = {"augment": options.augment, "n_jobs": options.threads} | (SMALL if options.small else {})
    side.run(accuracy_and_seconds, parameters | {"max_iter": 1}, X[:FEW], X[:FEW], y[:FEW], y[:FEW])
    print(f"{'epochs':>6} {'accuracy':>9} {'+-':>7} {'processor, s':>13}   of {options.seeds} seeds")
    for n_epochs in options.epochs:
        results = [
            side.run(
                accuracy_and_seconds,
                parameters | {"max_iter": n_epochs, "random_state": seed},
                *train_test_split(X, y, train_size=options.images, test_size=n_test, stratify=y, random_state=seed),
            )
            for seed in range(options.seeds)
        ]
        accuracies, seconds = np.transpose(results)
        print(f"{n_epochs:6} {accuracies.mean():9.4f} {accuracies.std():7.4f} {seconds.mean():13.1f}", flush=True)


def load(options):
    """Return all images of the data set, and their labels."""
    if options.data == "digits":
        return digits()
    data = fashion_mnist() if options.data == "fashion-mnist" else cifar10(options.path, options.cache)
    X, X_more, y, y_more = data
    return np.concatenate([X, X_more]), np.concatenate([y, y_more])


def accuracy_and_seconds(parameters, X, X_test, y, y_test):
    """Return the accuracy, and the seconds that all threads of fit computed."""
    classifier, started = ConvNetClassifier(**parameters), process_time()
    classifier.fit(X, y)
    return classifier.score(X_test, y_test), process_time() - started


if __name__ == "__main__":
    main()
