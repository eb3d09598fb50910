"""Batch normalisation folded into the layer before it, for scoring."""

from dataclasses import replace

import numpy as np

from skconvnet.architecture import BoundArchitecture
from skconvnet.architecture.layers.branches import BoundBranches
from skconvnet.engine.weights.layout import Learned

__all__ = ["fold_batch_norms"]


def fold_batch_norms(architecture, learned):
    """Fold every NORM(batch) that follows a CONV or FC into its weights and biases.

    With running mean m and variance v, scale (w x + b - m) / sqrt(v + eps) + shift is a sum with the weights
    w scale / sqrt(v + eps) and another bias. Other NORM layers stay.

    Source: S. Ioffe and C. Szegedy, "Batch Normalization" (2015), algorithm 2, lines 10 and 11.

    Parameters
    ----------
    architecture : BoundArchitecture
    learned : Learned

    Returns
    -------
    architecture : BoundArchitecture
        The network without the layers that were folded.
    learned : Learned
        Its learned numbers.
    """
    folding = _Folding(learned)
    layers = folding.chain(architecture.layers)
    return BoundArchitecture(architecture.image_shape, architecture.n_classes, layers), folding.learned


class _Folding:
    """Reads the learned numbers layer by layer, and collects those of the new layers."""

    def __init__(self, learned):
        self.pairs = iter(zip(learned.coefs, learned.intercepts, strict=True))
        self.statistics = iter(zip(learned.means, learned.variances, strict=True))
        self.learned = Learned.empty()

    def chain(self, layers):
        folded = []
        for layer in layers:
            if isinstance(layer, BoundBranches):
                folded.append(replace(layer, branches=tuple(map(self.chain, layer.branches))))
            elif layer.kind == "NORM" and layer.mode == "batch" and folded and folded[-1].kind in ("CONV", "FC"):
                folded[-1] = self.fold(folded[-1], layer)
            else:
                folded.append(layer)
                self.take(layer)
        return tuple(folded)

    def take(self, layer):
        """Keep a layer's numbers unchanged."""
        if layer.n_weights:
            self.keep(*next(self.pairs))
        if layer.kind == "NORM" and layer.mode == "batch":
            mean, variance = next(self.statistics)
            self.learned.means.append(mean)
            self.learned.variances.append(variance)

    def fold(self, layer, norm):
        """Return the layer with the norm folded into it; its numbers are the last that were kept."""
        (scale, shift), (mean, variance) = next(self.pairs), next(self.statistics)
        coef, intercept = self.learned.coefs.pop(), self.learned.intercepts.pop()
        factor = scale / np.sqrt(variance.astype(np.float64) + norm.eps)
        bias = intercept if intercept.size else np.zeros(len(factor))
        self.keep((coef * factor).astype(np.float32), ((bias - mean) * factor + shift).astype(np.float32))
        return replace(layer, bias=True) if layer.kind == "CONV" else layer

    def keep(self, coef, intercept):
        self.learned.coefs.append(coef)
        self.learned.intercepts.append(intercept)
