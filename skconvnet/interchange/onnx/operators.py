"""Operators of ONNX as steps: each method of `Operators` reads the nodes of one operator."""

from dataclasses import replace

import numpy as np

from skconvnet.architecture import ArchitectureError, Volume
from skconvnet.architecture.layers import LAYERS
from skconvnet.architecture.layers.arithmetic import Axis, output_extent
from skconvnet.architecture.notation.table import MAX_LAYERS, NOTATION, collapse, options_of, spell_number
from skconvnet.interchange.onnx.constants import (
    WRONG_VALUES,
    axes_of,
    compute_constant,
    new_shape,
    squeezed,
    unsqueezed,
    whole_numbers,
)
from skconvnet.interchange.onnx.graph import MAX_NUMBERS
from skconvnet.interchange.onnx.steps import Signal, Step

__all__ = ["Operators"]

_BOUND = {layer.kind: layer for layer in LAYERS}
_FLOATS = (1, 10, 11, 16)  # the numbers of float32, float16, float64 and bfloat16
_MOST_CHANNELS = 2**20
_TO_NCHW, _TO_NHWC = (0, 3, 1, 2), (0, 2, 3, 1)
_UNARY = {"Relu": "RELU", "Tanh": "TANH", "Sigmoid": "SIGMOID", "HardSwish": "HSWISH", "Erf": "ERF"}
_OF_QUANTISED = ("Quantize", "QLinear", "ConvInteger", "MatMulInteger")


class Operators:
    """Reads nodes in the order of computation.

    Parameters
    ----------
    graph : Graph
        The graph.
    signals : dict of str to Signal
        The input of the graph by name. Every other value is added to it.
    n : int
        The number of images for which shapes are computed.
    """

    def __init__(self, graph, signals, n):
        self.opset = graph.opset
        self.constants = dict(graph.constants)
        self.signals = signals
        self.n = n
        self._stacks = {}  # step by step the steps that were stacked; None leads to their stack
        self._n_numbers = 0

    def read(self, node):
        """Read a node, whose inputs have been read.

        Parameters
        ----------
        node : Node
            The node.

        Raises
        ------
        ValueError
            If it has no counterpart in the notation. The error names the node, its operator and the reason.
        """
        if any(part in node.op for part in _OF_QUANTISED):
            raise node.refused("quantised networks are not read. Export the network in float32")
        unknown = [name for name in node.inputs if name and name not in self.signals and name not in self.constants]
        if unknown:
            raise node.refused(f"its input {unknown[0]!r} is not computed before it. The file is damaged")
        signals = [self.signals[name] for name in node.inputs if name in self.signals]
        output = next(iter(node.outputs), "")
        if not signals or node.op == "Shape":
            self.constants[output] = np.array(signals[0].dimensions(self.n)) if signals else self._computed(node)
            return
        if node.op not in _METHODS and node.op not in _UNARY:
            raise node.refused("the notation has no layer that computes it")
        method = _METHODS.get(node.op, Operators._unary)
        if any(signal.is_probability for signal in signals) and node.op not in _KEEP_PROBABILITIES:
            raise node.refused("it comes after a softmax, which is only read as the end of a network")
        if node.op not in _TAKE_ZEROS and any(any(signal.zeros) for signal in signals):
            raise node.refused("it comes after a Pad, which is only read as the padding of a Conv or AveragePool")
        try:
            self.signals[output] = method(self, node, *signals)
        except ArchitectureError as error:
            raise node.refused(str(error)) from error
        except _Refusal as error:
            raise node.refused(str(error)) from error.__cause__
        except WRONG_VALUES as error:
            raise node.refused(f"its inputs or attributes do not fit it ({error})") from error

    def _computed(self, node):
        """Return the constant that a node computes. Those that are no views of others take memory."""
        inputs = [self.constants.get(name) for name in node.inputs]
        result = compute_constant(node, inputs)
        if not any(array is not None and np.may_share_memory(array, result) for array in inputs):
            self._take_memory(node, result.size if any(result.strides) else 1)
        return result

    def _take_memory(self, node, n_numbers):
        self._n_numbers += n_numbers
        if self._n_numbers > MAX_NUMBERS:
            raise node.refused(f"with it there are more than {MAX_NUMBERS} learned and computed numbers")

    def constant(self, node, index, name, dtype=None):
        """Return the constant that is an input of a node; None if it is left out.

        Parameters
        ----------
        node : Node
        index : int
            The place of the input.
        name : str
            What it is, for errors.
        dtype : type, optional
            float32: the numbers have to be finite.
        """
        if index >= len(node.inputs) or not node.inputs[index]:
            return None
        if node.inputs[index] not in self.constants:
            raise _Refusal(f"its {name} are computed from the images, and not constant")
        array = self.constants[node.inputs[index]]
        if dtype is np.float32:
            if array.dtype != np.float32:
                raise _Refusal(f"its {name} have the type {array.dtype}, and not floating-point numbers")
            if not np.isfinite(array).all():
                raise _Refusal(f"its {name} have NaN or infinity in float32")
        return array

    def numbers(self, node, index, name):
        """Return the floating-point constant that is an input of a node; an error if it is left out."""
        array = self.constant(node, index, name, np.float32)
        if array is None:
            raise _Refusal(f"its {name} are missing")
        return array

    def layer(self, node, signal, kind, learned=(), form=None, **options):
        """Return the value of a layer, which is bound to find its volume and to check it."""
        if kind not in NOTATION:
            raise _Refusal(f"the notation has no {kind}")
        for name, value in options.items():
            option = options_of(kind, options.get("mode")).get(name)
            if value is not None and (option is None or option.read(spell_number(value)) is None):
                expected = "not in the notation" if option is None else f"and the notation has {option.expected}"
                raise _Refusal(f"as {kind} it has {name}={spell_number(value)}, {expected}")
        self._take_memory(node, sum(array.size for array in learned))
        options = {name: value for name, value in options.items() if value is not None}
        output = _BOUND[kind].bind(kind, signal.volume, options).output
        return Signal(Step(node, kind, (signal.step,), output, options, learned), form or signal.form)

    def _unary(self, node, x):
        kind = _UNARY[node.op]
        if kind == "ERF":
            return Signal(Step(node, kind, (x.step,), x.volume), x.form)
        return self.layer(node, x, kind)

    def affine(self, node, x, mean, scale):
        """Return the value of (x - mean) * scale."""
        if x.volume.depth > _MOST_CHANNELS:
            raise _Refusal(f"its input has {x.volume.depth} channels, and at most {_MOST_CHANNELS} are read")
        self._take_memory(node, 4 * x.volume.depth)
        mean, scale = (
            np.broadcast_to(np.asarray(number, np.float64), x.volume.depth).copy() for number in (mean, scale)
        )
        if not (np.isfinite(mean).all() and np.isfinite(scale).all() and scale.all()):
            raise _Refusal("a constant is infinite or NaN, or it is a factor of zero")
        return Signal(Step(node, "AFFINE", (x.step,), x.volume, {}, (mean, scale)), x.form)

    def with_constant(self, node):
        """Return the constant among the two inputs of a node, one number or one for each channel, and its place."""
        if len(node.inputs) != 2:
            raise _Refusal(f"it has {len(node.inputs)} inputs, and needs 2")
        place = int(node.inputs[1] in self.constants)
        x = self.signals[node.inputs[1 - place]]
        constant = self.numbers(node, place, "constants")
        if self.opset < 7 and node.attributes.get("broadcast") and constant.ndim == 1:
            axis = node.attributes.get("axis", len(x.dimensions(self.n)) - 1)
            constant = constant.reshape(-1, *[1] * (len(x.dimensions(self.n)) - 1 - axis))
        try:
            return x.per_channel(constant, self.n), place
        except ValueError as error:
            raise _Refusal(str(error)) from error

    def meeting(self, node, operator, signals, output=None):
        """Return the value of branches that meet."""
        form = signals[0].form
        if len(signals) > MAX_LAYERS:
            raise _Refusal(f"{len(signals)} branches meet in it, and at most {MAX_LAYERS} are read")
        if any(signal.form != form for signal in signals):
            raise _Refusal("its inputs have different orders of dimensions")
        steps = tuple(signal.step for signal in signals)
        return Signal(Step(node, operator, steps, output or signals[0].volume), form)

    def equal_volumes(self, node, operator, signals):
        """Return the value of branches that meet, and whose volumes are equal."""
        if len({signal.volume for signal in signals}) > 1:
            volumes = ", ".join(str(signal.volume) for signal in signals)
            raise _Refusal(f"its inputs have different volumes, {volumes}")
        return self.meeting(node, operator, signals)

    # Layers with weights

    def _Conv(self, node, x, *computed):
        filters = self.numbers(node, 1, "filters")
        if filters.ndim != 4:
            raise _Refusal(f"its filters have the shape {filters.shape}, and only those of images are read")
        biases = self.constant(node, 2, "biases", np.float32)
        K, depth, *F = filters.shape
        groups = node.attributes.get("group", 1)
        if x.form != "NCHW" or groups < 1 or depth * groups != x.volume.depth:
            raise _Refusal(f"its filters have the depth {depth} in {groups} groups, and its input is {x.volume}")
        if biases is not None and biases.shape != (K,):
            raise _Refusal(f"it has {K} filters, and biases of the shape {biases.shape}")
        learned = filters.transpose(2, 3, 1, 0), np.zeros(0, np.float32) if biases is None else biases
        options = {"K": K, "groups": groups, "bias": "yes" if biases is not None else "no"}
        return self.layer(node, x, "CONV", learned, **options, **self.window(node, x, F))

    def _Gemm(self, node, x, *computed):
        attributes = node.attributes
        if computed or node.inputs[0] not in self.signals or attributes.get("transA"):
            raise _Refusal("it multiplies by something else than constant weights from the right")
        weights = self.numbers(node, 1, "weights")
        weights = weights.T if attributes.get("transB") else weights
        if attributes.get("alpha", 1.0) != 1.0:
            weights = weights * np.float32(attributes["alpha"])
        biases = self.constant(node, 2, "biases", np.float32)
        biases = np.zeros(1, np.float32) if biases is None else biases * np.float32(attributes.get("beta", 1.0))
        return self.connected(node, x, weights, biases)

    def _MatMul(self, node, x, *computed):
        if computed or node.inputs[0] not in self.signals:
            raise _Refusal("it multiplies by something else than constant weights from the right")
        return self.connected(node, x, self.numbers(node, 1, "weights"), np.zeros(1, np.float32))

    def connected(self, node, x, weights, biases):
        """Return the value of an FC, whose inputs are put into the order of row, column, depth."""
        volume = x.volume
        if not x.is_row or weights.ndim != 2 or weights.shape[0] != volume.size:
            raise _Refusal(f"its weights have the shape {weights.shape}, and its input {x.dimensions(self.n)}")
        units = weights.shape[1]
        if biases.size not in (1, units) or biases.shape[-1:] not in ((), (biases.size,)):
            raise _Refusal(f"it has {units} units, and biases of the shape {biases.shape}")
        if x.form == "CHW":
            weights = weights.reshape(volume.depth, volume.height, volume.width, units).transpose(1, 2, 0, 3)
        learned = weights.reshape(volume.size, units), np.broadcast_to(biases.ravel(), units)
        return self.layer(node, x, "FC", learned, units=units)

    def _BatchNormalization(self, node, x, *computed):
        if node.attributes.get("training_mode") or node.attributes.get("spatial", 1) != 1:
            raise _Refusal("it normalises in training, or each pixel by itself")
        names = ("scales", "shifts", "means", "variances")
        learned = tuple(self.numbers(node, index, name) for index, name in enumerate(names, 1))
        if x.channel_axis != 1 or any(array.shape != (x.volume.depth,) for array in learned):
            raise _Refusal(f"its constants are not one for each channel of {x.dimensions(self.n)}")
        if (learned[3] < 0).any():
            raise _Refusal("a variance is negative")
        momentum = float(f"{1.0 - node.attributes.get('momentum', 0.9):.6g}")  # ONNX weighs the old statistics
        options = {"eps": node.attributes.get("epsilon", 1e-5), "momentum": momentum if 0 <= momentum <= 1 else None}
        return self.layer(node, x, "NORM", learned, mode="batch", **options)

    def _InstanceNormalization(self, node, x, *computed):
        """Read the normalisation of the whole volume; that of each channel has no counterpart."""
        scale, shift = self.numbers(node, 1, "scales"), self.numbers(node, 2, "shifts")
        if x.form != "NORM" or scale.shape != (1,) or shift.shape != (1,):
            raise _Refusal("it normalises each channel of an image by itself, and NORM(layer) the whole volume")
        learned = tuple(np.broadcast_to(number, x.volume.depth) for number in (scale, shift))
        return self.layer(node, x, "NORM", learned, mode="layer", eps=node.attributes.get("epsilon", 1e-5))

    def _GroupNormalization(self, node, x, *computed):
        if node.attributes.get("num_groups") != 1 or x.form != "NCHW":
            raise _Refusal("it normalises groups of channels by themselves, and NORM(layer) the whole volume")
        learned = self.numbers(node, 1, "scales"), self.numbers(node, 2, "shifts")
        if any(array.shape not in ((1,), (x.volume.depth,)) for array in learned):
            raise _Refusal(f"its constants are not one for each channel of {x.volume}")
        learned = tuple(np.broadcast_to(array, x.volume.depth) for array in learned)
        return self.layer(node, x, "NORM", learned, mode="layer", eps=node.attributes.get("epsilon", 1e-5))

    def _PRelu(self, node, x, *computed):
        if computed:
            raise _Refusal("its slopes are computed from the images, and not constant")
        slopes = self.constants[node.inputs[1]]
        axes = slopes.ndim == 1 and x.form == "NCHW" and self.opset < 9  # older versions broadcast along channels
        return self.slopes(node, x, slopes.reshape(-1, 1, 1) if axes else slopes)

    def _LeakyRelu(self, node, x):
        return self.slopes(node, x, np.float32(node.attributes.get("alpha", 0.01)))

    def slopes(self, node, x, slopes):
        """Return the value of a PRELU."""
        try:
            slopes = np.broadcast_to(x.per_channel(slopes.astype(np.float32), self.n), x.volume.depth)
        except ValueError as error:
            raise _Refusal(str(error)) from error
        if not np.isfinite(slopes).all():
            raise _Refusal("its slopes have NaN or infinity")
        return self.layer(node, x, "PRELU", (slopes, np.zeros(0, np.float32)))

    # Layers without weights

    def _Clip(self, node, x, *computed):
        limits = [node.attributes.get("min"), node.attributes.get("max")]
        for index in (1, 2):
            array = self.constant(node, index, "limits", np.float32)
            if array is not None:
                limits[index - 1] = float(array.reshape(-1)[0]) if array.size == 1 else np.nan
        kind = {(0, 6): "RELU6", (0, None): "RELU"}.get(tuple(limits))
        if kind is None:
            raise _Refusal(f"it clips to {limits[0]} and {limits[1]}. What can be read: 0 and 6, and 0 alone")
        return self.layer(node, x, kind)

    def _HardSigmoid(self, node, x):
        alpha, beta = node.attributes.get("alpha", 0.2), node.attributes.get("beta", 0.5)
        if beta != 0.5 or abs(alpha - 1 / 6) > 1e-7:
            raise _Refusal(f"it has alpha={alpha} and beta={beta}, and HSIGMOID has 1/6 and 0.5")
        return self.layer(node, x, "HSIGMOID")

    def _Gelu(self, node, x):
        if node.attributes.get("approximate", "none") != "none":
            raise _Refusal("it is the approximation by tanh, and GELU is exact")
        return self.layer(node, x, "GELU")

    def _LRN(self, node, x):
        attributes = node.attributes
        size = attributes.get("size", 0)
        if size % 2 == 0 or x.form != "NCHW":
            raise _Refusal(f"its size is {size}. Windows of odd sizes are read; NORM(lrn) centres others elsewhere")
        alpha = float(f"{attributes.get('alpha', 1e-4) / size:.9g}")  # the paper does not divide by the size
        options = {"beta": attributes.get("beta", 0.75), "k": attributes.get("bias", 1.0)}
        return self.layer(node, x, "NORM", mode="lrn", size=size, alpha=alpha, **options)

    def _MaxPool(self, node, x):
        return self.pool(node, x, "max")

    def _AveragePool(self, node, x):
        return self.pool(node, x, "average")

    def pool(self, node, x, mode):
        """Return the value of a POOL over windows."""
        F = node.attributes.get("kernel_shape", ())
        if len(F) != 2 or x.form != "NCHW":
            raise _Refusal(f"its window has the shape {tuple(F)}, and only those of images are read")
        begins, ends, outs = self.geometry(node, x, F)
        counts_padding = mode == "average" and node.attributes.get("count_include_pad") and any((*begins, *ends))
        extents = x.volume.height, x.volume.width
        if any(x.zeros) or counts_padding:
            options = self.window(node, x, F)
            S = node.attributes.get("strides", (1, 1))
            if any(x.zeros) and not counts_padding:  # those of the Pad alone
                if x.zeros[:2] != tuple(begins):
                    raise _Refusal("its average counts the zeros of a Pad, and not those of its own")
                ends = x.zeros[2:]
            for numbers in zip(extents, F, S, begins, ends, outs, strict=True):
                _check_counted(*numbers)
            return self.layer(node, x, "POOL", mode=mode, padding="counted", **options)
        if all(
            out == 1 and f - begin >= extent for out, f, begin, extent in zip(outs, F, begins, extents, strict=True)
        ):
            return self.layer(node, x, "POOL", mode=mode, F="all")
        return self.layer(node, x, "POOL", mode=mode, **self.window(node, x, F))

    def _GlobalAveragePool(self, node, x):
        return self.over_all(node, x, "average")

    def _GlobalMaxPool(self, node, x):
        return self.over_all(node, x, "max")

    def over_all(self, node, x, mode):
        """Return the value of a POOL over all pixels."""
        if x.form != "NCHW":
            raise _Refusal(f"its input has the axes {x.form}, and the channels have to come first")
        return self.layer(node, x, "POOL", mode=mode, F="all")

    def _ReduceMean(self, node, x, *computed):
        return self.reduced(node, x, "average")

    def _ReduceMax(self, node, x, *computed):
        return self.reduced(node, x, "max")

    def reduced(self, node, x, mode):
        """Return the value of a mean or maximum over the two axes of pixels."""
        axes = axes_of(node, self.constant(node, 1, "axes"))
        pixels = {"NCHW": {2, 3}, "NHWC": {1, 2}}.get(x.form)
        if pixels is None or axes is None or {axis % 4 for axis in axes} != pixels:
            raise _Refusal(f"it reduces the axes {axes}, and POOL those of height and width")
        form = x.form if node.attributes.get("keepdims", 1) else "CHW"
        return self.layer(node, x, "POOL", form=form, mode=mode, F="all")

    def _Dropout(self, node, x, *computed):
        rate, training = self.constant(node, 1, "rate"), self.constant(node, 2, "mode")
        rate = node.attributes.get("ratio", 0.5) if rate is None else float(str(np.float32(rate.reshape(-1)[0])))
        if training is not None and training.any():
            raise _Refusal("it drops activations in prediction")
        return self.layer(node, x, "DROPOUT", rate=rate) if 0 <= rate < 1 else x

    def _Identity(self, node, x):
        return x

    def _Cast(self, node, x):
        if node.attributes.get("to") not in _FLOATS:
            raise _Refusal("it rounds activations to whole numbers")
        return x

    def _Softmax(self, node, x):
        axis = node.attributes.get("axis", 1 if self.opset < 13 else -1)
        is_flat = x.volume.height == x.volume.width == 1
        flattens = self.opset < 13 and axis in (1, -len(x.dimensions(1)) + 1)
        if not (is_flat and (flattens or axis % len(x.dimensions(1)) == x.channel_axis)):
            raise _Refusal("it is not over the channels of volumes of one pixel")
        return replace(x, is_probability=True)

    _LogSoftmax = _Softmax

    def _ImageScaler(self, node, x):
        scale, bias = node.attributes.get("scale", 1.0), np.asarray(node.attributes.get("bias", 0.0))
        return self.affine(node, x, -bias / scale if scale else np.nan, scale)

    # Branches, and arithmetic with constants

    def _Add(self, node, *signals):
        if len(signals) > 1:
            return self.equal_volumes(node, "+", signals)
        constant, _ = self.with_constant(node)
        return self.affine(node, signals[0], -constant.astype(np.float64), 1.0)

    def _Sub(self, node, *signals):
        if len(signals) > 1:
            raise _Refusal("the notation has no difference of branches")
        constant, place = self.with_constant(node)
        return self.affine(node, signals[0], constant, 1.0 if place else -1.0)

    def _Mul(self, node, *signals):
        if len(signals) == 1:
            return self.affine(node, signals[0], 0.0, self.with_constant(node)[0])
        if len(signals) != 2:
            raise _Refusal(f"it has {len(signals)} inputs, and needs 2")
        large, small = sorted((signal.volume for signal in signals), key=lambda volume: -volume.size)
        if small not in (large, Volume(1, 1, large.depth)):
            raise _Refusal(f"its inputs have different volumes, {large} and {small}")
        return self.meeting(node, "*", signals, large)

    def _Div(self, node, *signals):
        if len(signals) > 1 or node.inputs[0] in self.constants:
            raise _Refusal("the notation has no quotient of branches")
        with np.errstate(divide="ignore"):
            return self.affine(node, signals[0], 0.0, 1.0 / self.with_constant(node)[0].astype(np.float64))

    def _Sum(self, node, *signals):
        if len(signals) < len(node.inputs):
            raise _Refusal("it adds a constant")
        return self.equal_volumes(node, "+", signals) if len(signals) > 1 else signals[0]

    def _Concat(self, node, *signals):
        x = signals[0]
        if len(signals) < len(node.inputs):
            raise _Refusal("it stacks a constant")
        axis, rank = node.attributes.get("axis", 1), len(x.dimensions(1))
        if x.channel_axis is None or not -rank <= axis < rank or axis % rank != x.channel_axis:
            raise _Refusal(f"it joins along axis {axis}, and a stack along the depth")
        volumes = [signal.volume for signal in signals]
        if len({(volume.height, volume.width) for volume in volumes}) > 1:
            raise _Refusal(f"its inputs have different extents, {', '.join(map(str, volumes))}")
        if len(signals) == 1:
            return x
        output = replace(x.volume, depth=sum(volume.depth for volume in volumes))
        # What begins as an earlier stack is that stack and the rest: branches of DenseNets are nested so.
        stacks, earlier, n_earlier = self._stacks, [], 0
        for n, signal in enumerate(signals, 1):
            stacks = stacks.setdefault(signal.step, {})
            if None in stacks and n < len(signals):
                earlier, n_earlier = [Signal(stacks[None], x.form)], n
        signal = self.meeting(node, "|", [*earlier, *signals[n_earlier:]], output)
        stacks[None] = signal.step
        return signal

    # Changes of layout

    def _Flatten(self, node, x):
        if node.attributes.get("axis", 1) % len(x.dimensions(1)) != 1:
            raise _Refusal("it does not flatten each image")
        return self.reshaped(x, (self.n, x.volume.size))

    def _Reshape(self, node, x, *computed):
        shape = self.constant(node, 1, "shape")
        shape = node.attributes.get("shape") if shape is None else shape
        try:
            wanted = new_shape(x.dimensions(self.n), shape, node.attributes.get("allowzero"))
        except WRONG_VALUES as error:
            raise _Refusal(str(error)) from error
        return self.reshaped(x, wanted)

    def _Squeeze(self, node, x, *computed):
        return self._changed_axes(node, x, squeezed)

    def _Unsqueeze(self, node, x, *computed):
        return self._changed_axes(node, x, unsqueezed)

    def _changed_axes(self, node, x, change):
        try:
            wanted = change(x.dimensions(self.n), axes_of(node, self.constant(node, 1, "axes")))
        except WRONG_VALUES as error:
            raise _Refusal(str(error)) from error
        return self.reshaped(x, wanted)

    def reshaped(self, x, wanted):
        """Return the same numbers in other dimensions, if the order of the notation's volumes can be kept."""
        volume = x.volume
        forms = ("NCHW", "CHW", "NORM") if x.form in ("NCHW", "CHW", "NORM") else ("NHWC", "HWC")
        if volume.height == volume.width == 1:
            forms = ("NCHW", "CHW", "NHWC", "NORM")  # the order of the axes is the same in all
        for form in forms:
            if replace(x, form=form).dimensions(self.n) == wanted:
                return replace(x, form=form)
        raise _Refusal(f"it changes {x.dimensions(self.n)} to {wanted}, which is neither volumes nor rows of them")

    def _Transpose(self, node, x):
        rank = len(x.dimensions(1))
        order = tuple(node.attributes.get("perm", range(rank)[::-1]))
        forms = {("NHWC", _TO_NCHW): "NCHW", ("NCHW", _TO_NHWC): "NHWC", (x.form, tuple(range(rank))): x.form}
        if (x.form, order) in forms:
            return replace(x, form=forms[x.form, order])
        raise _Refusal(f"it puts the axes {x.form} into the order {order}, which is no change of layout")

    def _Pad(self, node, x, *computed):
        pads, value = self.constant(node, 1, "pads"), self.constant(node, 2, "value")
        pads = node.attributes.get("pads") if pads is None else whole_numbers(pads)
        value = node.attributes.get("value", 0) if value is None else value
        mode, axes = node.attributes.get("mode", "constant"), self.constant(node, 3, "axes")
        if x.form != "NCHW" or mode != "constant" or np.any(value) or axes is not None or len(pads or ()) != 8:
            raise _Refusal("it is no padding by zeros of height and width")
        if min(pads) < 0 or any((*pads[:2], *pads[4:6])):
            raise _Refusal(f"it pads by {tuple(pads)}, and only height and width can be padded")
        return replace(x, zeros=(*pads[2:4], *pads[6:]))

    # Windows

    def geometry(self, node, x, F):
        """Return the padding before and after both axes, and the number of windows along them."""
        attributes, axes = node.attributes, range(2)
        S, dilations = (attributes.get(name, (1, 1)) for name in ("strides", "dilations"))
        pads = attributes.get("pads", (0, 0, 0, 0))
        if len(S) != 2 or len(dilations) != 2 or len(pads) != 4 or min(*S, *dilations, *F) < 1 or min(pads) < 0:
            raise _Refusal(f"its window is invalid: {attributes}")
        extents = [extent + x.zeros[i] + x.zeros[i + 2] for i, extent in enumerate((x.volume.height, x.volume.width))]
        reach = [Axis(F[i], S[i], 0, dilations[i]).reach for i in axes]
        kind = attributes.get("auto_pad", "NOTSET")
        begins, ends = list(pads[:2]), list(pads[2:])
        if kind in ("SAME_UPPER", "SAME_LOWER"):
            total = [max((-(-extents[i] // S[i]) - 1) * S[i] + reach[i] - extents[i], 0) for i in axes]
            halves, others = [t // 2 for t in total], [t - t // 2 for t in total]
            begins, ends = (halves, others) if kind == "SAME_UPPER" else (others, halves)
        elif kind == "VALID":
            begins, ends = [0, 0], [0, 0]
        elif kind != "NOTSET":
            raise _Refusal(f"its auto_pad is {kind!r}")
        outs = []
        for i in axes:
            span = extents[i] + begins[i] + ends[i] - reach[i]
            if span < 0:
                raise _Refusal(f"its window of {reach[i]} is larger than its padded input")
            overhangs = attributes.get("ceil_mode") and span % S[i]
            begins_inside = (span // S[i] + 1) * S[i] < extents[i] + begins[i]
            outs.append(span // S[i] + 1 + bool(overhangs and begins_inside))
        return [begins[i] + x.zeros[i] for i in axes], [ends[i] + x.zeros[i + 2] for i in axes], outs

    def window(self, node, x, F):
        """Return the options of a window in the notation, with as many positions along both axes."""
        if "kernel_shape" in node.attributes and tuple(node.attributes["kernel_shape"]) != tuple(F):
            raise _Refusal(f"its filters have the extent {tuple(F)}, and kernel_shape says otherwise")
        begins, _, outs = self.geometry(node, x, F)
        S, dilations = (tuple(node.attributes.get(name, (1, 1))) for name in ("strides", "dilations"))
        axes = [Axis(*numbers) for numbers in zip(F, S, begins, dilations, strict=True)]
        for rounding in (None, "floor", "ceil"):
            if _fits(x.volume, axes, outs, rounding):
                options = {"F": collapse(F), "S": collapse(S), "P": collapse(begins), "round": rounding}
                return options if dilations == (1, 1) else options | {"dilation": collapse(dilations)}
        raise _Refusal(
            f"it is padded by {begins} before and by another number after its input, for {outs} windows, which is "
            "neither round=floor nor round=ceil"
        )


def _check_counted(extent, f, S, begin, end, out):
    """Refuse an average whose last window counts other zeros than those before the input, repeated behind it."""
    last = (out - 1) * S - begin + f
    if min(last, extent + end) != min(last, extent + begin):
        raise _Refusal(
            f"its average counts {end} zeros behind its input, and only as many as before it, {begin}, can be"
        )


def _fits(volume, axes, outs, rounding):
    """Return whether this rounding gives this number of windows along both axes."""
    try:
        extents = zip(axes, (volume.height, volume.width), strict=True)
        return outs == [output_extent(W, a.F, a.S, a.P, rounding, "", a.dilation) for a, W in extents]
    except ArchitectureError:
        return False


# Operators by name; a file may have any name. Methods of operators begin with a capital letter.
_METHODS = {name[1:]: method for name, method in vars(Operators).items() if name[1:2].isupper()}


class _Refusal(ValueError):
    """Why a node cannot be read, before its name is added."""


_TAKE_ZEROS = ("Conv", "AveragePool")
_KEEP_PROBABILITIES = ("Identity", "Flatten", "Reshape", "Squeeze", "Cast")
