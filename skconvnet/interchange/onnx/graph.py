"""The content of an ONNX file as plain objects: nodes, constants, input and outputs. All sizes are checked."""

import os
from dataclasses import dataclass, field
from math import prod
from pathlib import Path

import numpy as np

from skconvnet.interchange.onnx.package import import_onnx

__all__ = ["MAX_NUMBERS", "Graph", "Node", "read_graph"]

MAX_NUMBERS = 2**29  # of one constant, and of all learned arrays; 2 GiB as float32
_MAX_NODES = 100_000
_MAX_CHARACTERS = 2**24  # of all texts of an array, which NumPy makes as long as the longest
_MAX_REASON = 500  # characters, as a shape in a message may have any length
_MOST_BYTES = 2**31  # of a message of protobuf
_DOMAINS = ("", "ai.onnx")
_FLOATS = ("FLOAT", "FLOAT16", "BFLOAT16", "DOUBLE")


@dataclass(frozen=True, eq=False)
class Node:
    """A node of the graph.

    Parameters
    ----------
    op : str
        The operator, with its domain if it is not one of ONNX.
    name : str
        Its own name, or that of its first output.
    inputs, outputs : tuple of str
        The names of the values. An optional one that is left out is "".
    attributes : dict
        Numbers, texts, arrays, or tuples of numbers. Numbers are the shortest that are the same in float32.
    """

    op: str
    name: str
    inputs: tuple
    outputs: tuple
    attributes: dict

    def refused(self, reason):
        """Return the ValueError that says why this node cannot be read."""
        reason = reason if len(reason) <= _MAX_REASON else f"{reason[:_MAX_REASON]}..."
        return ValueError(f"its node {self.name!r:.80} of the operator {self.op:.80} cannot be read: {reason}")


@dataclass(eq=False)
class Graph:
    """What an ONNX file has.

    Parameters
    ----------
    opset : int
        The version of ONNX's operators.
    nodes : list of Node
        In the order of computation.
    constants : dict of str to ndarray
        The initialisers by name.
    inputs, outputs : dict of str to tuple
        The dimensions by name. A dimension that the file leaves open is None. Outputs are those of floats.
    metadata : dict of str to str
        What the model says about itself.
    """

    opset: int
    nodes: list
    constants: dict
    inputs: dict
    outputs: dict
    metadata: dict
    producers: dict = field(init=False)

    def __post_init__(self):
        self.producers = {output: node for node in self.nodes for output in node.outputs if output}


def read_graph(path):
    """Read an ONNX file, and the files of external data beside it.

    Parameters
    ----------
    path : str or os.PathLike
        The file.

    Returns
    -------
    Graph

    Raises
    ------
    ImportError
        If onnx is not installed.
    ValueError
        If the file is damaged, or refers to data outside of its folder.
    """
    onnx = import_onnx()
    path = Path(path)
    if path.stat().st_size > _MOST_BYTES:
        raise ValueError(f"it has {path.stat().st_size:,} bytes, and an ONNX file has less than {_MOST_BYTES:,}.")
    try:
        model = onnx.load_model_from_string(path.read_bytes())
    except OSError as error:
        raise ValueError(f"it cannot be read ({error.strerror or error}).") from error
    except Exception as error:  # of protobuf, whose classes differ between its versions
        raise ValueError(f"it is damaged, or no file of ONNX ({error}).") from error
    opset = max((entry.version for entry in model.opset_import if entry.domain in _DOMAINS), default=1)
    graph = model.graph
    if not graph.node:
        raise ValueError("it is damaged, or no file of ONNX: it has no nodes.")
    if len(graph.node) > _MAX_NODES:
        raise ValueError(f"it has {len(graph.node)} nodes, and at most {_MAX_NODES} are read.")
    if graph.sparse_initializer:
        raise ValueError("it has sparse initialisers, which are not read. Save the model with dense ones.")
    reader = _TensorReader(onnx, path.parent)
    constants = {_text(tensor.name): reader.array(tensor) for tensor in graph.initializer}
    nodes = [reader.node(node) for node in graph.node]
    inputs = {_text(value.name): _dimensions(value) for value in graph.input if _text(value.name) not in constants}
    floats = [onnx.TensorProto.DataType.Value(name) for name in _FLOATS]
    outputs = {
        _text(value.name): _dimensions(value)
        for value in graph.output
        if not value.type.HasField("tensor_type") or value.type.tensor_type.elem_type in (0, *floats)
    }
    metadata = {_text(entry.key): _text(entry.value) for entry in model.metadata_props}
    return Graph(opset, nodes, constants, inputs, outputs, metadata)


def _text(value):
    """Return a text of protobuf, which is bytes if it is damaged."""
    return value if isinstance(value, str) else value.decode(errors="replace")


def _dimensions(value):
    """Return the dimensions of an input or output; None in place of an unknown one."""
    dimensions = value.type.tensor_type.shape.dim
    return tuple(d.dim_value if d.HasField("dim_value") and d.dim_value > 0 else None for d in dimensions)


class _TensorReader:
    """Reads tensors and nodes; `folder` is where external data may be."""

    def __init__(self, onnx, folder):
        self.onnx = onnx
        self.folder = folder
        self.files, self.n_external = {}, 0

    def node(self, node):
        attributes = {_text(attribute.name): self.attribute(attribute) for attribute in node.attribute}
        attributes = {name: value for name, value in attributes.items() if value is not None}
        op = _text(node.op_type) if node.domain in _DOMAINS else f"{_text(node.domain)}.{_text(node.op_type)}"
        inputs, outputs = (tuple(map(_text, names)) for names in (node.input, node.output))
        return Node(op, _text(node.name) or next(iter(outputs), ""), inputs, outputs, attributes)

    def attribute(self, attribute):
        """Return the value of an attribute; None if it is a graph or of another kind that no operator here has."""
        kinds = self.onnx.AttributeProto
        if attribute.type == kinds.FLOAT:
            return shortest(attribute.f)
        if attribute.type == kinds.FLOATS:
            return tuple(map(shortest, attribute.floats))
        if attribute.type == kinds.INT:
            return attribute.i
        if attribute.type == kinds.INTS:
            return tuple(attribute.ints)
        if attribute.type == kinds.STRING:
            return _text(attribute.s)
        if attribute.type == kinds.TENSOR:
            return self.array(attribute.t)
        return None

    def array(self, tensor):
        """Return a tensor as an array; floating-point numbers as float32."""
        shape = tuple(tensor.dims)
        if any(extent < 0 for extent in shape) or prod(shape) > MAX_NUMBERS:
            raise ValueError(
                f"its tensor {tensor.name!r} has the shape {shape}, and at most {MAX_NUMBERS} numbers are read."
            )
        try:
            dtype = self.onnx.helper.tensor_dtype_to_np_dtype(tensor.data_type)
        except (KeyError, ValueError):
            raise ValueError(
                f"its tensor {tensor.name!r} has numbers of the unknown type {tensor.data_type}."
            ) from None
        if tensor.data_location == self.onnx.TensorProto.EXTERNAL:
            return self.external(tensor, prod(shape), dtype).reshape(shape)
        _check_texts(tensor)
        try:
            return _as_float32(self.onnx.numpy_helper.to_array(tensor))
        except Exception as error:  # the data may be anything
            raise ValueError(f"its tensor {tensor.name!r} of shape {shape} is damaged ({error}).") from error

    def external(self, tensor, n_numbers, dtype):
        """Return the numbers of a tensor in another file, which must be in the folder of the model.

        Tensors with the same place in the same file share one array.
        """
        said = {_text(entry.key): _text(entry.value) for entry in tensor.external_data}
        name, location, size = tensor.name, said.get("location", ""), n_numbers * dtype.itemsize
        folder = os.path.realpath(self.folder)
        file = os.path.realpath(os.path.join(folder, location))
        if os.path.isabs(location) or os.path.commonpath([folder, file]) != folder:
            raise ValueError(
                f"the data of its tensor {name!r} are in {location!r}, outside the folder of the file. They are not "
                "read: put both files into one folder, and save the model again from there."
            )
        if not os.path.isfile(file):
            raise ValueError(f"the data of its tensor {name!r} are missing: there is no file {location!r} beside it.")
        offset, length = (_whole(said.get(key, default), name) for key, default in (("offset", 0), ("length", size)))
        if length != size or offset + length > os.path.getsize(file):
            raise ValueError(
                f"the data of its tensor {name!r} are {length} bytes from {offset} of {location!r}. It needs {size} "
                f"bytes, and the file has {os.path.getsize(file)}."
            )
        place = file, offset, length, dtype
        if place not in self.files:
            self.n_external += n_numbers
            if self.n_external > MAX_NUMBERS:
                raise ValueError(f"its tensors in other files have more than {MAX_NUMBERS} numbers together.")
            try:
                with open(file, "rb") as opened:
                    opened.seek(offset)
                    data = opened.read(length)
            except OSError as error:
                reason = error.strerror or error
                raise ValueError(f"the data of its tensor {name!r} cannot be read ({reason}).") from error
            self.files[place] = _as_float32(np.frombuffer(data, dtype.newbyteorder("<")))
        return self.files[place]


def _check_texts(tensor):
    """Raise a ValueError if texts would take too much memory as an array, in which all are as long as the longest."""
    n, longest = len(tensor.string_data), max(map(len, tensor.string_data), default=0)
    if n * longest > _MAX_CHARACTERS:
        raise ValueError(
            f"its tensor {tensor.name!r} has {n} texts of up to {longest} bytes. All of the same length, they would "
            f"have more than {_MAX_CHARACTERS}, which is the most that is read. Shorten the labels."
        )


def _whole(text, name):
    try:
        number = int(text)
    except ValueError:
        number = -1
    if not 0 <= number < 2**62:
        raise ValueError(f"the data of its tensor {name!r} begin or end at {text!r:.40}, which is no place in a file.")
    return number


def _as_float32(array):
    """Return floating-point numbers as float32, others unchanged."""
    if array.dtype.kind == "f" or array.dtype.name == "bfloat16":
        with np.errstate(over="ignore"):  # infinity is refused where the array is used
            return array.astype(np.float32)
    return array


def shortest(number):
    """Return the shortest decimal number that is the same in float32.

    Examples
    --------
    >>> shortest(float(np.float32(1e-5)))
    1e-05
    """
    return float(str(np.float32(number)))
