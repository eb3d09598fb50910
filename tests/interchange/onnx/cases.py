"""Small networks with drawn weights, and ONNX Runtime beside them."""

from dataclasses import replace

import numpy as np

from skconvnet.architecture import Architecture
from skconvnet.engine import Learned
from skconvnet.engine.program.target import CPU
from skconvnet.engine.weights.layout import lay_out_parameters
from skconvnet.interchange import StoredNetwork

# Each kind of layer, with borders and overhanging windows that differ along both axes, on volumes and on rows.
NETWORKS = {
    "CONV": ("INPUT -> CONV(K=4) -> CONV(K=6, F=3, S=2, groups=2, bias=no, round=floor) -> FC", (6, 5, 2)),
    "dilation": (
        "INPUT -> CONV(K=4, dilation=2, P=1) -> CONV(K=3, F=2, S=2, P=1, dilation=3, round=ceil) -> FC",
        (9, 8, 2),
    ),
    "windows that overhang": (
        "INPUT -> CONV(K=4, S=2, round=ceil) -> POOL(F=3, S=2, P=1, round=ceil)"
        " -> POOL(average, F=2, S=2, P=1, round=ceil) -> FC",
        (12, 9, 1),
    ),
    "POOL": (
        "INPUT -> CONV(K=4) -> (POOL(F=3, S=1, P=1) | POOL(average, F=3, S=1, P=1)) -> POOL(F=all) -> FC",
        (5, 6, 3),
    ),
    "averages that count their padding": (
        "INPUT -> CONV(K=3) -> POOL(average, F=3x2, S=1, P=1, padding=counted)"
        " -> POOL(average, F=3, S=2, P=1, round=floor, padding=counted) -> FC",
        (6, 7, 1),
    ),
    "average of all pixels": ("INPUT -> CONV(K=3, bias=no) -> POOL(average, F=all)", (5, 6, 3)),
    "NORM(batch)": ("INPUT -> NORM -> CONV(K=4) -> NORM(eps=0.1) -> RELU -> FC(5) -> NORM -> FC", (4, 5, 2)),
    "NORM(layer)": ("INPUT -> CONV(K=4) -> NORM(layer, eps=0.1) -> RELU -> FC(5) -> NORM(layer) -> FC", (4, 5, 2)),
    "NORM(lrn)": ("INPUT -> CONV(K=9) -> NORM(lrn, size=3, alpha=0.5, k=1) -> FC(7) -> NORM(lrn) -> FC", (4, 5, 2)),
    "activations": ("INPUT -> CONV(K=4) -> TANH -> DROPOUT -> CONV(K=4) -> SIGMOID -> FC(4) -> RELU -> FC", (4, 5, 2)),
    "CONV behind FC": (
        "INPUT -> FC(3) -> TANH -> CONV(K=4, F=1) -> POOL(F=1, S=1) -> CONV(K=3, F=1) -> RELU",
        (4, 5, 2),
    ),
    "branches": (
        "INPUT -> CONV(K=4) -> (CONV(K=4) -> RELU + SKIP + NORM)"
        " -> (SKIP | (CONV(K=2) + CONV(K=2, F=1)) -> RELU) -> FC",
        (4, 5, 2),
    ),
    "more activations": (
        "INPUT -> CONV(K=4) -> RELU6 -> CONV(K=4) -> HSIGMOID -> CONV(K=4) -> HSWISH -> CONV(K=4) -> GELU"
        " -> CONV(K=4) -> PRELU -> FC(5) -> PRELU -> FC",
        (4, 5, 2),
    ),
    "windows of width and height": (
        "INPUT -> CONV(K=4, F=3x1) -> CONV(K=4, F=2x3, S=2x1, P=0x1, dilation=1x2, round=floor)"
        " -> POOL(F=1x2, S=1x2, P=0x1, round=ceil) -> POOL(average, F=3x2, S=1x2, P=1x0, round=ceil) -> FC",
        (9, 8, 2),
    ),
    "gates": (
        "INPUT -> CONV(K=4) -> (SKIP * POOL(average, F=all) -> CONV(K=2, F=1) -> RELU -> CONV(K=4, F=1) -> SIGMOID)"
        " -> (TANH * CONV(K=4)) -> (FC(4) * SKIP) -> FC",
        (4, 5, 2),
    ),
    "branches of rows and volumes": (
        "INPUT -> CONV(K=4) -> (FC(3) -> RELU | POOL(F=all)) -> (FC(7) + SKIP + CONV(K=7, F=1)) -> RELU -> FC",
        (4, 5, 2),
    ),
}


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


def drawn_numbers(text, image_shape, n_outputs):
    """A stored network of numbers in units that differ."""
    mean, scale = np.linspace(-3, 1000, n_outputs), np.linspace(0.1, 30, n_outputs)
    return replace(drawn(text, image_shape, n_outputs), classes=None, target_mean=mean, target_scale=scale)


def drawn_labels(text, image_shape, n_outputs):
    """A stored network of several labels."""
    return replace(drawn(text, image_shape, n_outputs), classes=None)


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


def model_of(nodes, constants, shape=("n", 3, 6, 5), opset=20, outputs=("y",)):
    """An ONNX model with the input x. A node is (operator, inputs, output, attributes)."""
    from onnx import TensorProto, helper, numpy_helper

    made = [helper.make_node(op, inputs.split(), [output], **attributes) for op, inputs, output, attributes in nodes]
    tensors = [numpy_helper.from_array(np.asarray(array), name) for name, array in constants.items()]
    value = helper.make_tensor_value_info
    floats = [value(name, TensorProto.FLOAT, None) for name in outputs]
    graph = helper.make_graph(made, "test", [value("x", TensorProto.FLOAT, shape)], floats, tensors)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)


def written(model, folder):
    """The path of a model's file."""
    path = folder / "network.onnx"
    path.write_bytes(model.SerializeToString())
    return path
