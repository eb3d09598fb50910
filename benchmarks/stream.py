"""Milliseconds of a call of partial_fit with one minibatch, and of the training step in it.

Both are measured in turn, as CPU time of the calling thread in one thread of the engine, so that other processes
disturb them little. The least and the median of the rounds are shown.
"""

from time import thread_time

import numpy as np

from benchmarks.machine import bare_parser, description
from skconvnet import ConvNetClassifier
from skconvnet.architecture import Architecture
from skconvnet.engine import Adam, Images, Network, SoftmaxCrossEntropy, Trainer

# name: (text, side of the images, channels)
NETWORKS = {
    "digits, 8x8x1": ("INPUT -> CONV(K=32) -> RELU -> CONV(K=32) -> RELU -> POOL -> FC(128) -> RELU -> FC", 8, 1),
    "LeNet-5, 32x32x1": ("lenet5", 32, 1),
    "32x32x3": ("INPUT -> [[CONV(K=32) -> RELU]*2 -> POOL]*2 -> FC(128) -> RELU -> FC", 32, 3),
}
N_IMAGES = 32
ROUNDS = 300


def main():
    bare_parser(__doc__).parse_args()
    print(f"{__doc__}\n{description(1)}\n")
    print("| network | step, ms | call, ms | ratio | median step, ms | median call, ms | ratio |")
    print("|---|---|---|---|---|---|---|")
    for name, (text, side, channels) in NETWORKS.items():
        steps, calls = seconds(text, (side, side, channels))
        found = [(1e3 * measure(steps), 1e3 * measure(calls)) for measure in (np.min, np.median)]
        print(f"| {name} |", *(f"{a:.3f} | {b:.3f} | {b / a:.2f} |" for a, b in found), flush=True)


def seconds(text, shape):
    """Return the seconds of each step, and of each call."""
    X = np.random.default_rng(0).integers(0, 256, (N_IMAGES, *shape)).astype(np.uint8)
    y = np.arange(N_IMAGES) % 10
    classifier = ConvNetClassifier(text, random_state=0, n_jobs=1).partial_fit(X, y, classes=np.arange(10))
    trainer = bare_trainer(classifier, X, y)
    rounds = min(ROUNDS, max(20, int(5 / timed(trainer.step, np.arange(N_IMAGES), 1e-3))))
    pairs = [
        (timed(trainer.step, np.arange(N_IMAGES), 1e-3), timed(classifier.partial_fit, X, y)) for _ in range(rounds)
    ]
    return np.transpose(pairs)


def bare_trainer(classifier, X, y):
    """Return a trainer as that of the classifier."""
    bound = Architecture.parse(str(classifier.architecture_)).bind(classifier.image_shape_, 10)
    network = Network(bound, classifier.pixel_mean_, classifier.pixel_scale_)
    network.initialise(np.random.default_rng(0))
    settings = {"optimizer": Adam(), "alpha": classifier.alpha, "loss": SoftmaxCrossEntropy(classifier.label_smoothing)}
    images = Images(X, classifier.image_shape_)
    return Trainer(network, images, y, np.ones(len(y)), batch_size=len(y), n_threads=1, **settings)


def timed(function, *arguments):
    started = thread_time()
    function(*arguments)
    return thread_time() - started


if __name__ == "__main__":
    main()
