"""Seconds of a map of 4 x 4 scores, and of scoring the same 16 crops as one batch.

The speed does not depend on the weights, so the networks are hardly trained.
"""

from time import perf_counter

import numpy as np

from benchmarks.machine import description, n_threads
from skconvnet import ConvNetClassifier

# name: (text, side of the images in fit, stride of the network)
NETWORKS = {
    "digits, 8x8x1": ("INPUT -> CONV(K=32) -> RELU -> CONV(K=32) -> RELU -> POOL -> FC(128) -> RELU -> FC", 8, 2),
    "LeNet-5, 32x32x1": ("lenet5", 32, 4),
    "64x64x1": ("INPUT -> [[CONV -> RELU]*2 -> POOL]*3 -> FC(128) -> RELU -> FC", 64, 8),
    "128x128x1": ("INPUT -> [[CONV -> RELU]*2 -> POOL]*4 -> FC(128) -> RELU -> FC", 128, 16),
}
N_IMAGES = (1, 16)
ROUNDS = 7


def main():
    threads = n_threads(__doc__)
    print(f"{__doc__}\n{description(threads)}\n")
    print("| network | images | map, s | crops, s | ratio |\n|---|---|---|---|---|")
    for name, (text, side, stride) in NETWORKS.items():
        classifier = fitted(text, side, threads)
        for n in N_IMAGES:
            whole, crops = seconds(classifier, n, side, stride)
            print(f"| {name} | {n} | {whole:.4f} | {crops:.4f} | {whole / crops:.2f} |", flush=True)


def fitted(text, side, threads):
    X = np.random.default_rng(0).integers(0, 256, (10, side, side)).astype(np.uint8)
    return ConvNetClassifier(text, max_iter=1, random_state=0, n_jobs=threads).fit(X, np.arange(10))


def seconds(classifier, n, side, stride):
    """Return the median seconds of the map of n images and of all their crops, measured in turn."""
    large = np.random.default_rng(1).integers(0, 256, (n, side + 3 * stride, side + 3 * stride)).astype(np.uint8)
    corners = [(i * stride, j * stride) for i in range(4) for j in range(4)]
    crops = np.concatenate([large[:, i : i + side, j : j + side] for i, j in corners])
    assert classifier.score_map(large).shape[1:3] == (4, 4)
    rounds = [(timed(classifier.score_map, large), timed(classifier.decision_function, crops)) for _ in range(ROUNDS)]
    return np.median(rounds, axis=0)


def timed(function, images):
    started = perf_counter()
    function(images)
    return perf_counter() - started


if __name__ == "__main__":
    main()
