"""Accuracy and processor seconds of fit by the size and the number of images: the figures of docs/which-network.md.

The contestants:

    SVC           SVC() on rows of pixels
    linear        ConvNetClassifier("linear")
    simple        ConvNetClassifier("simple")
    small         ConvNetClassifier(K=8, N=1), the default network with fewer and fewer-channelled CONV
    auto          ConvNetClassifier()
    augmented     ConvNetClassifier(augment=["flip", "crop"])
    features      a LogisticRegression on the mean of each channel of a pretrained network
    fine-tuned    all layers of the pretrained network learn, 4 epochs with minibatches of 32

Images are drawn, stratified, from those of the data set; others are the test. Each seed draws both anew and is the
random_state of its fit. With --side, images are scaled to that height and width. Features and fine-tuning need RGB
images, and --pretrained. Seconds are those that all threads of fit computed, which depend less on what else runs on the
machine.
"""

from time import process_time

import numpy as np
from sklearn.frozen import FrozenEstimator
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer
from sklearn.svm import SVC

from benchmarks.arguments import whole_number
from benchmarks.epochs import load
from benchmarks.finetune import BATCH_SIZE, enlarged, regression
from benchmarks.machine import Side, description, parser
from skconvnet import ConvNetClassifier, ConvNetFeatures, load_network

NETWORKS = {
    "linear": {"architecture": "linear"},
    "simple": {"architecture": "simple"},
    "small": {"K": 8, "N": 1},
    "auto": {},
    "augmented": {"augment": ("flip", "crop")},
}
PRETRAINED = ("features", "fine-tuned")
FEW = 100  # images of a first fit, which compiles kernels


def main(arguments=None):
    command_line = parser(__doc__)
    add = command_line.add_argument
    add("data", choices=["digits", "fashion-mnist", "cifar10"])
    add("--path", help="of cifar10: image folder or zip archive of its training images")
    add("--cache", help="of cifar10: .npz file for the decoded images")
    add("--images", type=whole_number(FEW), default=500, help="to train on (default: 500)")
    add("--test", type=whole_number(FEW), default=1000, help="images of the test (default: 1000)")
    add("--side", type=whole_number(8), help="height and width of the images (default: as they are)")
    add("--seeds", type=whole_number(1), default=1, help="(default: 1)")
    add("--pretrained", help="file or name that load_network reads")
    add("--networks", nargs="+", choices=["SVC", *NETWORKS, *PRETRAINED], default=["SVC", *list(NETWORKS)[:4]])
    options = command_line.parse_args(arguments)
    refuse_what_does_not_fit(command_line, options)
    X, y = load(options)
    if options.images + options.test > len(X):
        command_line.error(f"--images {options.images} and --test {options.test}, of {len(X)} images in all")
    print(f"{__doc__}\n{description(options.threads)}\n", flush=True)

    print(f"{options.images} images of {options.data}, {options.seeds} seeds")
    print(f"{'network':12} {'accuracy':>9} {'+-':>7} {'processor, s':>13}")
    side = Side(options.threads)
    for network in options.networks:
        results = fits_of(network, options, side, X, y)
        accuracies, seconds = np.transpose(results)
        print(f"{network:12} {accuracies.mean():9.4f} {accuracies.std():7.4f} {seconds.mean():13.2f}", flush=True)


def refuse_what_does_not_fit(command_line, options):
    """End with a message if an option is missing, or does not go with the data."""
    if options.data == "cifar10" and options.path is None and options.cache is None:
        command_line.error("cifar10 needs --path, the image folder or zip archive of its training images")
    if options.data != "cifar10" and options.side is not None:
        command_line.error("--side is of cifar10, whose images are RGB")
    wanted = [network for network in options.networks if network in PRETRAINED]
    if wanted and (options.data != "cifar10" or options.pretrained is None):
        command_line.error(f"{' and '.join(wanted)} need cifar10, and --pretrained with a file or a name")


def fits_of(network, options, side, X, y):
    """Return (accuracy, seconds) of each seed. A fit to few images comes before, and is not counted."""
    results = []
    for seed in range(options.seeds):
        data = train_test_split(X, y, train_size=options.images, test_size=options.test, stratify=y, random_state=seed)
        if options.side is not None:
            data[:2] = (enlarged(images, options.side) for images in data[:2])
        arguments = network, options.pretrained, seed, options.threads
        if seed == 0:
            side.run(accuracy_and_seconds, *arguments, *(part[:FEW] for part in data))
        results.append(side.run(accuracy_and_seconds, *arguments, *data))
    return results


def accuracy_and_seconds(network, pretrained, seed, n_threads, X, X_test, y, y_test):
    """Return the accuracy, and the seconds that all threads of fit computed."""
    estimator, started = contestant(network, pretrained, seed, n_threads, X.shape[1:]), process_time()
    estimator.fit(X, y)
    seconds = process_time() - started
    return estimator.score(X_test, y_test), seconds


def contestant(network, pretrained, seed, n_threads, image_shape):
    """Return the estimator of that name."""
    if network == "SVC":
        return make_pipeline(FunctionTransformer(lambda X: X.reshape(len(X), -1)), SVC())
    if network in NETWORKS:
        return ConvNetClassifier(**NETWORKS[network], random_state=seed, n_jobs=n_threads)
    stored = FrozenEstimator(load_network(pretrained, image_shape=image_shape).set_params(n_jobs=n_threads))
    if network == "features":
        return make_pipeline(ConvNetFeatures(stored), regression())
    return ConvNetClassifier(pretrained=stored, max_iter=4, batch_size=BATCH_SIZE, random_state=seed, n_jobs=n_threads)


if __name__ == "__main__":
    main()
