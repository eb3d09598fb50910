"""The networks that are timed, and what they cost."""

import numpy as np

from skconvnet.architecture import CASE_STUDIES, find_architecture, walk

NETWORKS = {
    "digits": ((8, 8, 1), "INPUT -> CONV(K=16) -> RELU -> POOL -> CONV(K=32) -> RELU -> POOL -> FC"),
    "LeNet-5": (
        (28, 28, 1),
        "INPUT -> CONV(K=6, F=5, P=2) -> RELU -> POOL -> CONV(K=16, F=5, P=0) -> RELU -> POOL"
        " -> FC(120) -> RELU -> FC(84) -> RELU -> FC",
    ),
    "mnist32": (
        (28, 28, 1),
        "INPUT -> CONV(K=32) -> RELU -> POOL -> CONV(K=64) -> RELU -> POOL -> FC(128) -> RELU -> FC",
    ),
    "cs231n": ((32, 32, 3), "INPUT -> CONV(K=12) -> RELU -> POOL -> FC"),
    "vgg": (
        (32, 32, 3),
        "INPUT -> [CONV(K=64) -> RELU]*2 -> POOL -> [CONV(K=128) -> RELU]*2 -> POOL"
        " -> [CONV(K=256) -> RELU]*2 -> POOL -> FC(256) -> RELU -> FC",
    ),
    "resnet20": ((32, 32, 3), "resnet20"),
}
LARGE = {name: (CASE_STUDIES[name].image_shape, name) for name in ("alexnet", "vgg16", "resnet18")}


def n_classes_of(name):
    """As many as the network's paper has; 10 where there is none."""
    return CASE_STUDIES[name].n_classes if name in LARGE else 10


def bind(name):
    """The network of that name, bound."""
    image_shape, text = (NETWORKS | LARGE)[name]
    return find_architecture(text, image_shape).bind(image_shape, n_classes_of(name))


def noise(name, n_images):
    """Images for the network and classes for them: float32 (n, height, width, channels) and int64 (n,).

    Speed does not depend on what they show.
    """
    image_shape, _ = (NETWORKS | LARGE)[name]
    rng = np.random.default_rng(0)
    X = rng.normal(size=(n_images, *image_shape)).astype(np.float32)
    return X, rng.integers(0, n_classes_of(name), n_images)


def training_flops(bound):
    """Floating-point operations of a training step for one image: those of CONV and FC, two a multiply-add.

    Forward, the gradient of the weights, the gradient of the input: three times the same sum, but the first layer's
    input needs no gradient.
    """
    multiply_adds = [layer.n_flops for layer in walk(bound.layers) if layer.kind in ("CONV", "FC")]
    return 2 * (3 * sum(multiply_adds) - multiply_adds[0])
