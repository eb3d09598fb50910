"""The layers on known inputs: the output of each, and its cost. A new layer is added to `LAYERS` of its family."""

from skconvnet.architecture.layers import activations, branches, convolution, normalisation, pooling

LAYERS = (*convolution.LAYERS, *activations.LAYERS, *pooling.LAYERS, *normalisation.LAYERS, *branches.LAYERS)
