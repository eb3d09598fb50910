"""The networks that are timed, and their floating-point operations."""

from dataclasses import dataclass

import numpy as np

from skconvnet.architecture import CASE_STUDIES, find_architecture, walk


@dataclass(frozen=True)
class Problem:
    """A network, by name or as a text, and the shape of its images."""

    image_shape: tuple[int, int, int]
    architecture: str
    n_classes: int = 10

    def bind(self):
        """Return the bound architecture."""
        return find_architecture(self.architecture, self.image_shape).bind(self.image_shape, self.n_classes)

    def examples(self, n_images):
        """Return random images, float32 (n, height, width, channels), and random classes, int64 (n,).

        Speed does not depend on their values.
        """
        rng = np.random.default_rng(0)
        X = rng.normal(size=(n_images, *self.image_shape)).astype(np.float32)
        return X, rng.integers(0, self.n_classes, n_images)


NETWORKS = {
    "digits": Problem((8, 8, 1), "INPUT -> CONV(K=16) -> RELU -> POOL -> CONV(K=32) -> RELU -> POOL -> FC"),
    "LeNet-5": Problem(
        (28, 28, 1),
        "INPUT -> CONV(K=6, F=5, P=2) -> RELU -> POOL -> CONV(K=16, F=5, P=0) -> RELU -> POOL"
        " -> FC(120) -> RELU -> FC(84) -> RELU -> FC",
    ),
    "mnist32": Problem(
        (28, 28, 1),
        "INPUT -> CONV(K=32) -> RELU -> POOL -> CONV(K=64) -> RELU -> POOL -> FC(128) -> RELU -> FC",
    ),
    "cs231n": Problem((32, 32, 3), "INPUT -> CONV(K=12) -> RELU -> POOL -> FC"),
    "vgg": Problem(
        (32, 32, 3),
        "INPUT -> [CONV(K=64) -> RELU]*2 -> POOL -> [CONV(K=128) -> RELU]*2 -> POOL"
        " -> [CONV(K=256) -> RELU]*2 -> POOL -> FC(256) -> RELU -> FC",
    ),
    "resnet20": Problem((32, 32, 3), "resnet20"),
}
LARGE = {
    name: Problem(CASE_STUDIES[name].image_shape, name, CASE_STUDIES[name].n_classes)
    for name in ("alexnet", "vgg16", "resnet18")
}


def training_flops(bound):
    """Count the floating-point operations of CONV and FC in a training step for one image, two per multiply-add.

    The forward sum, the weight gradient and the input gradient have the same number each; the first layer needs no
    input gradient.
    """
    multiply_adds = [layer.n_flops for layer in walk(bound.layers) if layer.kind in ("CONV", "FC")]
    return 2 * (3 * sum(multiply_adds) - multiply_adds[0])
