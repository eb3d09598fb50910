"""The package's case studies and published networks, with the weights that `torch_case_studies` draws."""

import re
from math import prod

import numpy as np

from skconvnet.architecture import CASE_STUDIES, PUBLISHED, Architecture, walk
from skconvnet.engine import SGD, Images, Learned, Network, Scorer, SoftmaxCrossEntropy, Trainer
from tests.integration import torch_case_studies

STUDIES = CASE_STUDIES | PUBLISHED


def bound(name, dropout=True):
    """The network, bound to images of its paper. Without DROPOUT, its gradients are deterministic."""
    study = STUDIES[name]
    text = study.text if dropout else re.sub(r" -> DROPOUT\([^)]*\)|DROPOUT\([^)]*\) -> ", "", study.text)
    return Architecture.parse(text).bind(study.image_shape, study.n_classes)


def shapes(name):
    """What `torch_case_studies.shapes` returns."""
    learning = [layer for layer in walk(bound(name).layers) if layer.kind in ("CONV", "FC", "NORM") and layer.n_weights]
    norms = [layer for layer in learning if layer.kind == "NORM"]
    return (
        [shape(layer) for layer in learning],
        [(layer.n_biases,) for layer in learning],
        [layer.input.depth for layer in norms],
    )


def shape(layer):
    """The shape of a layer's weights."""
    if layer.kind == "CONV":
        return (layer.F, layer.F, layer.input.depth // layer.groups, layer.K)
    return (prod(layer.window) * layer.input.depth, layer.units) if layer.kind == "FC" else (layer.input.depth,)


def batch(name, n=2):
    """Images (n, height, width, channels) and targets."""
    study, rng = STUDIES[name], np.random.default_rng(1)
    x = rng.standard_normal((n, *study.image_shape), np.float32)
    return x, rng.integers(0, study.n_classes, n)


def network(name, seed=0, dropout=True):
    """The engine's network, with random weights."""
    architecture = bound(name, dropout)
    channels = architecture.image_shape[2]
    made = Network(architecture, np.zeros(channels), np.ones(channels))
    made.learned = Learned(*torch_case_studies.drawn(*shapes(name), seed))
    return made


def logits(name, x, n_threads, seed=0):
    """Class scores in inference, (n, classes)."""
    return Scorer(network(name, seed)).scores(Images(x, x.shape[1:]), n_threads)


def training_answers(name, x, targets, n_threads, seed=0):
    """What `torch_case_studies.save_training_answers` writes, as a dict."""
    trained = network(name, seed, dropout=False)
    trainer = Trainer(
        trained,
        Images(x, x.shape[1:]),
        targets,
        np.ones(len(x)),
        optimizer=SGD(momentum=0.0, nesterov=False),  # after one step at rate 1, its velocity is minus the gradient
        alpha=0.0,
        loss=SoftmaxCrossEntropy(),
        batch_size=len(x),
        n_threads=n_threads,
    )
    found = {"loss": trainer.step(np.arange(len(x)), 1.0).loss}
    gradients, after = trained.parameter_layout.unpack(-trainer.state.moments[0]), trained.learned
    for number, (d_weights, d_biases) in enumerate(zip(gradients.coefs, gradients.intercepts, strict=True), 1):
        found |= {f"d_weights {number}": d_weights, f"d_biases {number}": d_biases}
    for number, (mean, variance) in enumerate(zip(after.means, after.variances, strict=True), 1):
        found |= {f"mean {number}": mean, f"variance {number}": variance}
    return found


def worst(found, expected, kind):
    """The largest relative difference, in the Euclidean norm, of arrays whose names begin with `kind`; and the name."""
    return max(
        (relative_difference(found[name], expected[name]), name)
        for name in expected
        if name.startswith(kind) and np.size(expected[name])
    )


def relative_difference(found, expected):
    found, expected = np.asarray(found, dtype=float), np.asarray(expected, dtype=float)
    return float(np.linalg.norm((found - expected).ravel()) / np.linalg.norm(expected.ravel()))
