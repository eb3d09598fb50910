"""Small networks for files."""

import numpy as np

from skconvnet.architecture import Architecture
from skconvnet.engine import Network
from skconvnet.interchange import StoredNetwork

TEXT = "INPUT -> CONV(K=4) -> NORM -> RELU -> (CONV(F=1, K=6, bias=no) | SKIP) -> POOL -> FC"


def random_network(text=TEXT, image_shape=(6, 4, 3), classes=("a", "b", "c")):
    """A stored network with random weights, biases, scales and statistics."""
    rng = np.random.default_rng(0)
    bound = Architecture.parse(text).bind(image_shape, len(classes))
    network = Network(bound, rng.uniform(0, 255, image_shape[2]), rng.uniform(0.01, 1, image_shape[2]))
    network.parameters = rng.uniform(0.1, 1, network.parameter_layout.size).astype(np.float32)
    return StoredNetwork(bound, network.learned, np.array(classes), network.mean, network.scale)
