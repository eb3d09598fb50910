"""Small networks with drawn weights, and ONNX Runtime beside them."""

import numpy as np

from skconvnet.architecture import Architecture
from skconvnet.engine import Learned
from skconvnet.engine.program.target import CPU
from skconvnet.engine.weights.layout import lay_out_parameters
from skconvnet.interchange import StoredNetwork


def drawn(text, image_shape, n_classes=3, classes=None):
    """A stored network of this text. Pixels are from 0 to 255, and no array has a value that hides a missing one."""
    rng = np.random.default_rng(0)
    bound = Architecture.parse(text).bind(image_shape, n_classes)
    shapes = lay_out_parameters(bound, CPU).shapes

    def arrays(shapes, low, high):
        return [rng.uniform(low, high, shape).astype(np.float32) for shape in shapes]

    coefs = [array * np.float32(3 / np.sqrt(array[..., 0].size)) for array in arrays(shapes.coefs, -1, 1)]
    others = arrays(shapes.intercepts, -1, 1), arrays(shapes.means, -1, 1), arrays(shapes.variances, 0.5, 2)
    mean, scale = arrays([image_shape[2:]], 100, 150)[0], arrays([image_shape[2:]], 0.01, 0.02)[0]
    classes = np.arange(n_classes) if classes is None else np.asarray(classes)
    return StoredNetwork(bound, Learned(coefs, *others), classes, mean, scale)


def pixels(stored, n=6):
    """Images of uint8 for a stored network."""
    return np.random.default_rng(1).integers(0, 256, (n, *stored.architecture.image_shape), np.uint8)


def run(model, X):
    """The outputs of an ONNX model in ONNX Runtime, by name."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    outputs = [output.name for output in session.get_outputs()]
    return dict(zip(outputs, session.run(None, {session.get_inputs()[0].name: X}), strict=True))
