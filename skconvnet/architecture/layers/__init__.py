"""The layers on known inputs: the output of each, and its cost. A new layer is added to `LAYERS`."""

from skconvnet.architecture.layers.activations import BoundDropout, BoundRelu, BoundSigmoid, BoundTanh
from skconvnet.architecture.layers.branches import BoundSkip, BoundStack, BoundSum
from skconvnet.architecture.layers.convolution import BoundConv, BoundFC
from skconvnet.architecture.layers.normalisation import BoundNorm
from skconvnet.architecture.layers.pooling import BoundPool

LAYERS = (
    BoundConv,
    BoundRelu,
    BoundTanh,
    BoundSigmoid,
    BoundPool,
    BoundNorm,
    BoundFC,
    BoundDropout,
    BoundSkip,
    BoundSum,
    BoundStack,
)
