"""A network from an ONNX file: its graph is read as text, learned arrays, pixel statistics and labels."""

import numpy as np

from skconvnet.architecture import Architecture, Hyperparameters, Volume
from skconvnet.architecture.notation.tree import Layer, spell_chain
from skconvnet.engine import Learned
from skconvnet.engine.program.target import CPU
from skconvnet.engine.weights.layout import lay_out_parameters
from skconvnet.interchange.onnx.branches import Fork, chain_of, parts_of
from skconvnet.interchange.onnx.graph import read_graph
from skconvnet.interchange.onnx.operators import Operators
from skconvnet.interchange.onnx.rewriting import complete, rewrite, take_pixel_statistics
from skconvnet.interchange.onnx.steps import Signal, Step
from skconvnet.interchange.onnx.writer import ROUNDING

__all__ = ["read_onnx"]

_PASSED = ("Cast", "Identity", "Sub", "Add", "Mul", "Div", "ImageScaler")  # in front of a change of layout


def read_onnx(path, image_shape=None):
    """Read a network from an ONNX file. Nothing in the file is executed.

    The graph has to be made of operators that the notation has layers for, in chains and branches. A standardisation at
    its beginning becomes the pixel statistics, and a softmax at its end is left out, as the scores are before it.

    Parameters
    ----------
    path : str or os.PathLike
        The file. External data must be in its folder.
    image_shape : tuple of int, default=None
        (height, width, channels). Needed if the file leaves the size of the images open.

    Returns
    -------
    architecture : BoundArchitecture
    learned : Learned
    classes : ndarray of shape (n_classes,) or None
        The labels, as in a file of `ConvNetClassifier.to_onnx`. None: the file has none.
    mean, scale : ndarray of float32, shape (channels,), or None
        Pixels are standardised as (pixel - mean) * scale. None: the file does not begin with a standardisation.

    Raises
    ------
    ImportError
        If onnx is not installed.
    ValueError
        If the file is damaged, the notation cannot express the network, or its outputs are no classes, as those of
        `ConvNetRegressor.to_onnx`. The error names the node.
    """
    graph = read_graph(path)
    name, output = _single(graph.inputs, "inputs"), _single(graph.outputs, "outputs of floating-point numbers")
    _check_classes(graph, output)
    n = graph.inputs[name][0] if graph.inputs[name] else None
    images = _images(graph, name, image_shape)
    operators = Operators(graph, {name: images}, n or 1)
    nodes = _needed(graph, output)
    for node in nodes:
        operators.read(node)
    if output not in operators.signals:
        raise ValueError(f"its output {output!r} does not depend on its input {name!r}.")
    end = operators.signals[output].step
    steps = dict.fromkeys(signal.step for signal in operators.signals.values())
    chain = rewrite(chain_of(end, [step for step in steps if step.inputs]))
    statistics = take_pixel_statistics(chain)
    complete(chain)
    n_classes = end.output.depth
    if end.output != Volume(1, 1, n_classes) or n_classes < 2:
        raise ValueError(f"its output {output!r} is {end.output} for each image, and scores are [1x1x2] or deeper.")
    rounding = Hyperparameters(rounding=graph.metadata.get(ROUNDING, "floor"))  # as ONNX rounds
    return *_bind(chain, images.volume, n_classes, rounding), _labels(graph, n_classes), *statistics


def _single(values, what):
    """Return the only name among the inputs or outputs of a graph."""
    if len(values) != 1:
        raise ValueError(f"it has the {what} {', '.join(map(repr, values)) or 'none'}, and one is needed.")
    return next(iter(values))


def _check_classes(graph, output):
    """Raise a ValueError if the outputs of a graph are numbers or several labels, in the form that `GraphWriter` has.

    Their network would be read, with the last step as a layer, and its outputs taken for scores of classes.
    """
    last = graph.producers.get(output)
    has_labels = last is not None and last.op == "Sigmoid"
    has_labels = has_labels and any(node.op == "Greater" and node.inputs[0] == last.inputs[0] for node in graph.nodes)
    if has_labels or output == "variable":
        raise ValueError(
            f"its output {output!r} has {'several labels' if has_labels else 'the numbers of a regressor'}, and ONNX "
            "files are read as classifiers with one label for each image. save_network writes files that are read."
        )


def _needed(graph, output):
    """Return the nodes that the output depends on, in the order of computation."""
    needed, names = set(), [output]
    while names:
        node = graph.producers.get(names.pop())
        if node is not None and node not in needed:
            needed.add(node)
            names += node.inputs
    return [node for node in graph.nodes if node in needed]


def _images(graph, name, image_shape):
    """Return the input of a graph: images in one of the two layouts, or rows of them."""
    dimensions = graph.inputs[name]
    layout, shape = _layout(graph, name)
    if len(dimensions) == 2 and shape is not None:  # rows that become images
        found = shape[1:]
    elif len(dimensions) == 2:  # rows of no images
        layout, found = "NHWC", image_shape or (1, dimensions[1], 1)
    else:
        found = dimensions[1:]
    if len(dimensions) not in (2, 4) or len(found) != 3:
        raise ValueError(f"its input {name!r} has the dimensions {dimensions}, and images have four.")
    height, width, depth = (found[1], found[2], found[0]) if layout == "NCHW" else found
    if image_shape is not None:
        if depth not in (None, image_shape[2]):
            raise ValueError(f"its images have {depth} channels, and image_shape={tuple(image_shape)} has others.")
        height, width, depth = image_shape
    if None in (height, width, depth):
        raise ValueError("it leaves the size of its images open. Pass image_shape=(height, width, channels).")
    volume = Volume(int(height), int(width), int(depth))
    form = layout if len(dimensions) == 4 else layout[1:]
    return Signal(Step(None, "INPUT", (), volume), form)


def _layout(graph, name):
    """Return the order of the dimensions of the input, and the shape that rows are brought to, if they are.

    Images have their channels last if a Transpose puts them first before any layer.
    """
    names, shape = {name}, None
    for node in graph.nodes:
        if not names.intersection(node.inputs):
            continue
        if node.op == "Transpose" and node.attributes.get("perm") == (0, 3, 1, 2):
            return "NHWC", shape
        if node.op == "Reshape" and shape is None and len(node.inputs) == 2:
            wanted = graph.constants.get(node.inputs[1], np.zeros(0))
            shape = tuple(wanted.tolist()) if wanted.shape == (4,) else None
        elif node.op not in _PASSED:
            break
        names.update(node.outputs)
    return "NCHW", shape


def _labels(graph, n_classes):
    """Return the labels that an output gathers by the highest score; None if there is no such output."""
    for node in graph.nodes:
        indices = graph.producers.get(node.inputs[1]) if len(node.inputs) > 1 else None
        if node.op == "Gather" and indices is not None and indices.op == "ArgMax":
            labels = graph.constants.get(node.inputs[0], np.zeros(0))
            if labels.shape == (n_classes,):
                return labels.astype(str) if labels.dtype.kind == "O" else labels
    return None


def _spelled(chain):
    """Return a chain as the notation's tree."""
    return [
        Fork(item.operator, [_spelled(branch) for branch in item.branches], None)
        if isinstance(item, Fork)
        else Layer(item.kind, item.options)
        for item in chain
    ]


def _bind(chain, volume, n_classes, rounding):
    """Return the network of a chain, bound from its text, and its learned arrays, whose shapes are compared with it."""
    text = f"INPUT -> {spell_chain(_spelled(chain))}"
    bound = Architecture.parse(text).bind((volume.height, volume.width, volume.depth), n_classes, rounding)
    learned = Learned.empty()
    for part in parts_of(chain):
        for group, array in zip(learned, part.learned, strict=False):
            group.append(np.ascontiguousarray(array, np.float32))
    shapes = lay_out_parameters(bound, CPU).shapes
    if [[array.shape for array in group] for group in learned] != [[*map(tuple, group)] for group in shapes]:
        raise ValueError("its arrays are not those of the network that was read from it.")
    return bound, learned
