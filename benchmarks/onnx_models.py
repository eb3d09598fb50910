"""A fitted network as an ONNX model, for ONNX Runtime and OpenVINO."""

import onnx
from onnx import TensorProto, helper, numpy_helper

_OPSET = 21


def onnx_model(bound, learned, batch_size):
    """Return the model as bytes. Its input is standardised images of shape (batch_size, channels, height, width).

    Batch normalisation is not folded here: both runtimes fold it into the convolution when they load a model. All sizes
    are fixed, which is fastest in both.

    Parameters
    ----------
    bound : BoundArchitecture
        Without NORM(layer).
    learned : Learned
        Its learned arrays.
    batch_size : int

    Returns
    -------
    bytes
    """
    height, width, depth = bound.image_shape
    exporter = Exporter(learned)
    last = exporter.node("Flatten", exporter.chain(bound.layers, "images"))
    outputs = bound.layers[-1].output.size
    graph = helper.make_graph(
        exporter.nodes,
        "network",
        [helper.make_tensor_value_info("images", TensorProto.FLOAT, (batch_size, depth, height, width))],
        [helper.make_tensor_value_info(last, TensorProto.FLOAT, (batch_size, outputs))],
        exporter.numbers,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", _OPSET)], ir_version=10)
    onnx.checker.check_model(model)
    return model.SerializeToString()


class Exporter:
    """Writes the nodes of a graph layer by layer and takes the learned arrays in the same order.

    Each method with the name of a layer takes the layer and the name of its input, and returns the name of its output.
    """

    def __init__(self, learned):
        self.pairs = iter(zip(learned.coefs, learned.intercepts, strict=True))
        self.statistics = iter(zip(learned.means, learned.variances, strict=True))
        self.nodes, self.numbers = [], []

    def chain(self, layers, x):
        for layer in layers:
            x = getattr(self, layer.kind.lower())(layer, x)
        return x

    def node(self, op, *inputs, **attributes):
        """Add a node with one output; return the name of the output."""
        output = f"{op} {len(self.nodes)}"
        self.nodes.append(helper.make_node(op, inputs, [output], **attributes))
        return output

    def number(self, array):
        """Add a learned array; return its name."""
        name = f"learned {len(self.numbers)}"
        self.numbers.append(numpy_helper.from_array(array.copy(), name))
        return name

    def conv(self, layer, x):
        filters, biases = next(self.pairs)
        numbers = [filters.transpose(3, 2, 0, 1), *([biases] if layer.bias else [])]
        F = (layer.F, layer.F)
        return self.node("Conv", x, *map(self.number, numbers), group=layer.groups, **window(layer, F))

    def fc(self, layer, x):
        """Reorder the rows of the weights to (depth, row, column), the order in which Flatten reads the volume."""
        weights, biases = next(self.pairs)
        volume = layer.input
        weights = weights.reshape(volume.height, volume.width, volume.depth, -1).transpose(2, 0, 1, 3)
        weights = weights.reshape(volume.size, -1)
        return self.node("Gemm", self.node("Flatten", x), self.number(weights), self.number(biases))

    def pool(self, layer, x):
        name = {"max": "MaxPool", "average": "AveragePool"}[layer.mode]
        if layer.F == (layer.input.height, layer.input.width):
            return self.node(f"Global{name}", x)
        return self.node(name, x, **window(layer, layer.F))  # ONNX, too, leaves padding out of an average

    def norm(self, layer, x):
        """Multiply the alpha of a local response norm by its size, by which ONNX divides and the paper does not."""
        if layer.mode == "lrn":
            alpha = layer.alpha * layer.size
            return self.node("LRN", x, size=layer.size, alpha=alpha, beta=layer.beta, bias=float(layer.k))
        numbers = map(self.number, (*next(self.pairs), *next(self.statistics)))
        return self.node("BatchNormalization", x, *numbers, epsilon=layer.eps)

    def relu(self, layer, x):
        return self.node("Relu", x)

    def tanh(self, layer, x):
        return self.node("Tanh", x)

    def sigmoid(self, layer, x):
        return self.node("Sigmoid", x)

    def dropout(self, layer, x):
        return x

    def skip(self, layer, x):
        return x

    def sum(self, layer, x):
        first, *others = (self.chain(branch, x) for branch in layer.branches)
        for other in others:
            first = self.node("Add", first, other)
        return first

    def stack(self, layer, x):
        return self.node("Concat", *(self.chain(branch, x) for branch in layer.branches), axis=1)


def window(layer, F):
    """Return the attributes of a sliding window; padding at the end makes the division by the stride exact."""

    def padding_at_end(extent, out, f):
        return max(0, (out - 1) * layer.S + f - extent - layer.P)

    rows = padding_at_end(layer.input.height, layer.output.height, F[0])
    columns = padding_at_end(layer.input.width, layer.output.width, F[1])
    return {"kernel_shape": F, "strides": (layer.S, layer.S), "pads": (layer.P, layer.P, rows, columns)}
