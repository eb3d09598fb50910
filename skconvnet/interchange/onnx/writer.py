"""A network as an ONNX model: standardised pixels, every layer, and what a user gets of the outputs."""

from numbers import Integral

import numpy as np

from skconvnet._version import __version__
from skconvnet.interchange.onnx.package import import_onnx

__all__ = ["ROUNDING", "GraphWriter", "write_onnx"]

ROUNDING = "skconvnet.rounding"  # how windows round on larger images, among the metadata of a model

OPSET = 20  # the first with Gelu; ONNX Runtime reads it since version 1.17
_IR_VERSION = 9  # that of opset 20
_LARGEST_FILE = 2**31 - 2**20  # protobuf writes no message above 2 GiB; some room is for the graph


def write_onnx(stored, *, input="images", dtype="uint8", batch_size=None):
    """Return a network as an ONNX model that computes labels and probabilities, or numbers, from pixels.

    Batch normalisation is not folded into the CONV before it: runtimes do that when they load a model.

    Parameters
    ----------
    stored : StoredNetwork
        The network.
    input : {"images", "rows"}, default="images"
        Whether the input X has shape (n, height, width, channels) or (n, height * width * channels).
    dtype : {"uint8", "float32"}, default="uint8"
        The dtype of X.
    batch_size : int, default=None
        The number of images in each X. None: any number.

    Returns
    -------
    onnx.ModelProto
        Its outputs are "label", of shape (n,), and "probabilities", float32 of shape (n, n_classes). Of several labels,
        "label" is an indicator matrix, int64 of shape (n, n_outputs). Of numbers, the only output is "variable",
        float32 of shape (n, n_outputs).

    Raises
    ------
    ImportError
        If onnx is not installed.
    ValueError
        If an argument has another value, if the labels have a type that ONNX has not, if a NORM(lrn) has an even size,
        or if the model would be larger than the 2 GiB of a protobuf message.
    """
    _check_arguments(input, dtype, batch_size)
    onnx = import_onnx()
    classes = None if stored.classes is None else _classes(stored.classes)
    n_bytes = sum(array.nbytes for arrays in stored.learned for array in arrays)
    if n_bytes > _LARGEST_FILE:
        raise ValueError(
            f"The network has {n_bytes:,} bytes of learned numbers, and an ONNX file holds less than 2 GiB. Use "
            "save_network, whose files can be larger."
        )
    float32, shape = onnx.TensorProto.FLOAT, stored.architecture.image_shape
    writer = GraphWriter(stored.learned)
    scores = writer.scores(stored, "X", is_row=input == "rows")
    names = writer.outputs(stored, scores, classes, *OUTPUTS[stored.outputs])
    n = "n" if batch_size is None else int(batch_size)
    x_shape = (n, int(np.prod(shape))) if input == "rows" else (n, *shape)
    x_type = {"uint8": onnx.TensorProto.UINT8, "float32": float32}[dtype]
    value = onnx.helper.make_tensor_value_info
    label_dtype = np.dtype(np.int64) if classes is None else classes.dtype
    types = {"label": onnx.helper.np_dtype_to_tensor_dtype(label_dtype)}
    several = (n, stored.architecture.n_classes)
    shapes = {} if classes is None else {"label": (n,)}
    outputs = [value(name, types.get(name, float32), shapes.get(name, several)) for name in names]
    graph = onnx.helper.make_graph(
        writer.nodes, "network", [value("X", x_type, x_shape)], outputs, writer.constants, str(stored.architecture)
    )
    opset = [onnx.helper.make_opsetid("", OPSET)]
    model = onnx.helper.make_model(graph, opset_imports=opset, ir_version=_IR_VERSION)
    model.producer_name, model.producer_version = "skconvnet", __version__
    onnx.helper.set_model_props(model, {ROUNDING: stored.architecture.rounding})
    return model


# The names of the outputs, as skl2onnx has them for MLPClassifier and MLPRegressor.
OUTPUTS = {"classes": ("label", "probabilities"), "labels": ("label", "probabilities"), "numbers": ("variable",)}


def _check_arguments(input, dtype, batch_size):
    for name, value, allowed in (("input", input, ("images", "rows")), ("dtype", dtype, ("uint8", "float32"))):
        if value not in allowed:
            raise ValueError(f"{name}={value!r} is invalid. Use {allowed[0]!r} or {allowed[1]!r}.")
    is_whole = isinstance(batch_size, Integral) and not isinstance(batch_size, bool) and batch_size >= 1
    if batch_size is not None and not is_whole:
        raise ValueError(f"batch_size={batch_size!r} is invalid. Use a whole number from 1, or None for any number.")


def _classes(classes):
    """Return the labels in a dtype that ONNX has."""
    if classes.dtype.kind in "biuf":
        return classes.astype(classes.dtype.newbyteorder("="))
    if classes.dtype.kind in "OU" and all(isinstance(label, str) for label in classes.tolist()):
        return classes.astype(object)
    raise ValueError(
        f"The labels have dtype {classes.dtype}, such as {classes[0]!r}, and ONNX has only numbers, booleans and "
        "texts. Fit with labels of one of these types."
    )


class GraphWriter:
    """Writes the nodes of a graph layer by layer, and takes the learned arrays in the same order.

    Each method with the name of a layer takes the layer and the name of its input, and returns the name of its output.
    A value has shape (n, depth, height, width), or (n, depth) if its name is in `rows`. It has the name of its layer.

    Parameters
    ----------
    learned : Learned
        The learned arrays of the network.
    prefix : str, default=""
        The beginning of the names of all values, which makes them unique in a larger graph.

    Attributes
    ----------
    nodes : list of onnx.NodeProto
    constants : list of onnx.TensorProto
    """

    def __init__(self, learned, prefix=""):
        self._onnx = import_onnx()
        self._pairs = iter(zip(learned.coefs, learned.intercepts, strict=True))
        self._statistics = iter(zip(learned.means, learned.variances, strict=True))
        self.prefix = prefix
        self.nodes, self.constants, self.rows = [], [], set()

    def network(self, stored, x, is_row):
        """Write a network from pixels to the output of its last layer.

        Parameters
        ----------
        stored : StoredNetwork
            The network; its learned arrays are those that the writer was given.
        x : str
            The name of the pixels, of any dtype: (n, height, width, channels), or rows of them.
        is_row : bool
            Whether they have to be brought to the shape of images.

        Returns
        -------
        str
            The name of the output: rows if it is in `rows`, else (n, depth, height, width).
        """
        if is_row:
            x = self.node("Reshape", x, self.integers("shape of images", -1, *stored.architecture.image_shape))
        x = self.node("Cast", x, to=self._onnx.TensorProto.FLOAT)
        x = self.node("Sub", x, self.reals("pixel mean", stored.pixel_mean))
        x = self.node("Mul", x, self.reals("pixel scale", stored.pixel_scale))
        return self.chain(stored.architecture.layers, self.node("Transpose", x, perm=(0, 3, 1, 2)))

    def scores(self, stored, x, is_row):
        """Write a network from pixels to scores, (n, n_classes), as `network` does; return their name."""
        return self.as_rows(self.network(stored, x, is_row), "scores")

    def outputs(self, stored, scores, classes, *names):
        """Write what a user gets of the scores.

        Parameters
        ----------
        stored : StoredNetwork
            The network.
        scores : str
            The name of its outputs, of shape (n, n_outputs).
        classes : ndarray or None
            The labels in the dtype that they have in the graph; None if the outputs are not classes.
        *names : str
            The names to write: of labels and probabilities, or of numbers.

        Returns
        -------
        tuple of str
            The names.
        """
        if stored.outputs == "numbers":
            scaled = self.node("Mul", scores, self._target("scale", stored.target_scale))
            self.node("Add", scaled, self._target("mean", stored.target_mean), output=names[0])
        elif stored.outputs == "labels":
            has_label = self.node("Greater", scores, self.reals("score of 1/2", 0.0))
            self.node("Cast", has_label, output=names[0], to=self._onnx.TensorProto.INT64)
            self.node("Sigmoid", scores, output=names[1])
        else:  # of equal scores the first is the highest, as for NumPy's argmax
            highest = self.node("ArgMax", scores, axis=1, keepdims=0)
            self.node("Gather", self.constant("classes", classes), highest, output=names[0])
            self.node("Softmax", scores, output=names[1], axis=1)
        return names

    def _target(self, name, numbers):
        """Add the mean or the scale of targets as float32."""
        with np.errstate(over="ignore", under="ignore"):
            array = numbers.astype(np.float32)
        if not np.isfinite(array).all() or (array[numbers != 0] == 0).any():
            raise ValueError(
                f"target_{name}_ has numbers that are infinite or zero in float32, the type of numbers in ONNX files: "
                f"{numbers.tolist()!r:.80}. Fit with y in other units."
            )
        return self.constant(f"target {name}", array)

    def chain(self, layers, x):
        """Write a chain of layers; return the name of its output."""
        for layer in layers:
            x = getattr(self, layer.kind.lower())(layer, x)
        return x

    def node(self, op, *inputs, output=None, **attributes):
        """Add a node with one output, which has a name of its own or is named by number; return the name."""
        output = output or f"{self.prefix}{op} {len(self.nodes)}"
        self.nodes.append(self._onnx.helper.make_node(op, inputs, [output], name=output, **attributes))
        return output

    def constant(self, name, array):
        """Add an array; return its name."""
        name = self.prefix + name
        self.constants.append(self._onnx.numpy_helper.from_array(np.asarray(array, order="C"), name))
        return name

    def reals(self, name, array):
        """Add an array as float32; return its name."""
        return self.constant(name, np.asarray(array, np.float32))

    def integers(self, name, *numbers):
        """Add a vector of whole numbers, such as a shape; return its name."""
        return self.constant(name, np.array(numbers, np.int64))

    def as_rows(self, x, name):
        """Return a value as rows; the order in a row is depth, height, width."""
        if x in self.rows:
            return x
        x = self.node("Flatten", x, output=self.prefix + name)
        self.rows.add(x)
        return x

    def as_volume(self, x, depth, name):
        """Return a value as (n, depth, height, width); rows become volumes of one pixel."""
        if x not in self.rows:
            return x
        shape = self.integers(f"{name}: shape", -1, depth, 1, 1)
        return self.node("Reshape", x, shape, output=f"{self.prefix}{name}: volume")

    def on_volume(self, layer, x, op, *constants, **attributes):
        """Add the node of a layer that needs four dimensions."""
        x = self.as_volume(x, layer.input.depth, layer.name)
        return self.node(op, x, *constants, output=self.prefix + layer.name, **attributes)

    def elementwise(self, layer, x, op, *constants, **attributes):
        """Add the node of a layer that takes rows and volumes alike."""
        output = self.node(op, x, *constants, output=self.prefix + layer.name, **attributes)
        if x in self.rows:
            self.rows.add(output)
        return output

    def conv(self, layer, x):
        """Write the filters as (K, depth, rows, columns)."""
        filters, biases = next(self._pairs)
        constants = [self.reals(f"{layer.name}: filters", filters.transpose(3, 2, 0, 1))]
        if layer.bias:
            constants.append(self.reals(f"{layer.name}: biases", biases))
        attributes = {"group": layer.groups, **_window(layer)}
        return self.on_volume(layer, x, "Conv", *constants, **attributes)

    def fc(self, layer, x):
        """Reorder the rows of the weights to (depth, row, column), the order in which Flatten reads the volume."""
        weights, biases = next(self._pairs)
        volume = layer.input
        weights = weights.reshape(volume.height, volume.width, volume.depth, -1).transpose(2, 0, 1, 3)
        constants = {"weights": weights.reshape(volume.size, -1), "biases": biases}
        names = [self.reals(f"{layer.name}: {name}", array) for name, array in constants.items()]
        x = self.node("Gemm", self.as_rows(x, f"{layer.name}: rows"), *names, output=self.prefix + layer.name)
        self.rows.add(x)
        return x

    def pool(self, layer, x):
        """Leave padding out of an average, as ONNX does by default, unless the layer counts it."""
        op = {"max": "MaxPool", "average": "AveragePool"}[layer.mode]
        rows, columns = layer.axes
        if (rows.F, columns.F, rows.P, columns.P) == (layer.input.height, layer.input.width, 0, 0):
            return self.on_volume(layer, x, f"Global{op}")
        window = _window(layer)
        if any(layer.counted):
            return self._average_of_padded(layer, x, window)
        return self.on_volume(layer, x, op, **window)

    def _average_of_padded(self, layer, x, window):
        """Write an average that counts its padding, but not what hangs over it, where ONNX has pads for both."""
        ends, P = window["pads"][2:], layer.counted
        if all(end <= zeros for end, zeros in zip(ends, P, strict=True)):
            return self.on_volume(layer, x, "AveragePool", **window, count_include_pad=1)
        x = self.as_volume(x, layer.input.depth, layer.name)
        x = self.node("Pad", x, self.integers(f"{layer.name}: padding", 0, 0, *P, 0, 0, *P))
        over = [max(0, end - zeros) for end, zeros in zip(ends, P, strict=True)]
        return self.on_volume(layer, x, "AveragePool", **window | {"pads": (0, 0, *over)})

    def norm(self, layer, x):
        """Write the three modes of NORM."""
        return {"batch": self._batch_norm, "layer": self._layer_norm, "lrn": self._local_norm}[layer.mode](layer, x)

    def _batch_norm(self, layer, x):
        arrays = (*next(self._pairs), *next(self._statistics))
        names = ("scales", "shifts", "means", "variances")
        constants = [self.reals(f"{layer.name}: {name}", array) for name, array in zip(names, arrays, strict=True)]
        attributes = {"epsilon": layer.eps, "momentum": 1.0 - layer.momentum}  # ONNX weighs the old statistics
        return self.elementwise(layer, x, "BatchNormalization", *constants, **attributes)

    def _layer_norm(self, layer, x):
        """Normalise the volume as one channel, since ONNX normalises each channel alone; then scale each slice."""
        scales, shifts = (array.reshape(-1, 1, 1) for array in next(self._pairs))
        name, volume = layer.name, layer.input
        x = self.as_volume(x, volume.depth, name)
        x = self.node("Reshape", x, self.integers(f"{name}: one channel", 0, 1, -1))
        one, zero = (self.reals(f"{name}: {number:g}", [number]) for number in (1, 0))
        x = self.node("InstanceNormalization", x, one, zero, epsilon=layer.eps)
        shape = self.integers(f"{name}: all channels", -1, volume.depth, volume.height, volume.width)
        x = self.node("Mul", self.node("Reshape", x, shape), self.reals(f"{name}: scales", scales))
        return self.node("Add", x, self.reals(f"{name}: shifts", shifts), output=self.prefix + name)

    def _local_norm(self, layer, x):
        """Multiply alpha by the size, by which ONNX divides it and the paper does not.

        Windows of even size reach one slice further down here, and one further up in ONNX.
        """
        if layer.size % 2 == 0:
            raise ValueError(f"{layer.name}: size={layer.size} is even, and ONNX centres these windows elsewhere.")
        alpha = layer.alpha * layer.size
        attributes = {"size": layer.size, "alpha": alpha, "beta": layer.beta, "bias": float(layer.k)}
        return self.on_volume(layer, x, "LRN", **attributes)

    def relu(self, layer, x):
        """Write max(0, x)."""
        return self.elementwise(layer, x, "Relu")

    def tanh(self, layer, x):
        """Write tanh(x)."""
        return self.elementwise(layer, x, "Tanh")

    def sigmoid(self, layer, x):
        """Write 1/(1 + exp(-x))."""
        return self.elementwise(layer, x, "Sigmoid")

    def relu6(self, layer, x):
        """Write min(max(0, x), 6)."""
        limits = [self.reals(f"{layer.name}: {limit}", limit) for limit in (0, 6)]
        return self.elementwise(layer, x, "Clip", *limits)

    def prelu(self, layer, x):
        """Write max(0, x) + slope * min(0, x), with one slope per channel."""
        slopes = next(self._pairs)[0]
        slopes = self.reals(f"{layer.name}: slopes", slopes if x in self.rows else slopes.reshape(-1, 1, 1))
        return self.elementwise(layer, x, "PRelu", slopes)

    def hsigmoid(self, layer, x):
        """Write RELU6(x + 3) / 6."""
        return self.elementwise(layer, x, "HardSigmoid", alpha=1 / 6, beta=0.5)

    def hswish(self, layer, x):
        """Write x * RELU6(x + 3) / 6."""
        return self.elementwise(layer, x, "HardSwish")

    def gelu(self, layer, x):
        """Write x * (1 + erf(x / sqrt(2))) / 2."""
        return self.elementwise(layer, x, "Gelu")

    def dropout(self, layer, x):
        """Write the rate for those who train the model further; in prediction the node does nothing."""
        return self.elementwise(layer, x, "Dropout", self.reals(f"{layer.name}: rate", layer.rate))

    def skip(self, layer, x):
        """Return the input."""
        return x

    def sum(self, layer, x):
        """Add the outputs of the branches, one after another as the package does."""
        first, *others = self._branches(layer, x)
        for number, other in enumerate(others, 1):
            is_last = number == len(others)
            first = self.node("Add", first, other, output=self.prefix + layer.name if is_last else None)
        return first

    def gate(self, layer, x):
        """Multiply the outputs of two branches; a pixel is broadcast."""
        return self.node("Mul", *self._branches(layer, x), output=self.prefix + layer.name)

    def stack(self, layer, x):
        """Write the outputs of the branches one after another along depth."""
        return self.node("Concat", *self._branches(layer, x), axis=1, output=self.prefix + layer.name)

    def _branches(self, layer, x):
        """Write the branches; return the names of their outputs, all of four dimensions."""
        return [
            self.as_volume(self.chain(branch, x), volume.depth, f"{layer.name}, branch {number}")
            for number, (branch, volume) in enumerate(zip(layer.branches, layer.outputs, strict=True), 1)
        ]


def _window(layer):
    """Return the attributes of a sliding window; padding at the end makes the division by the stride exact."""
    rows, columns = layer.axes
    ends = [
        max(0, (out - 1) * axis.S + axis.reach - extent - axis.P)
        for axis, extent, out in (
            (rows, layer.input.height, layer.output.height),
            (columns, layer.input.width, layer.output.width),
        )
    ]
    attributes = {"kernel_shape": (rows.F, columns.F), "strides": (rows.S, columns.S)}
    if (rows.dilation, columns.dilation) != (1, 1):
        attributes["dilations"] = (rows.dilation, columns.dilation)
    return attributes | {"pads": (rows.P, columns.P, *ends)}
