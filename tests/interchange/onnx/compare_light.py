"""Compare the real graphs in the package onnx with ONNX Runtime: with their own weights, and with drawn ones.

Run in a process of its own: ``python -m tests.interchange.onnx.compare_light``. Takes some minutes. In the package all
weights of a graph are the same number, which hides wrong orders; so they are drawn here.
"""

import tempfile
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

from skconvnet import load_network

LIGHT = Path(onnx.__file__).parent / "backend" / "test" / "data" / "light"


def draw_weights(model):
    """Replace each weight that a ConstantOfShape computes by a drawn initialiser."""
    graph, rng = model.graph, np.random.default_rng(0)
    shapes = {tensor.name: tuple(numpy_helper.to_array(tensor)) for tensor in graph.initializer}
    constants = [node for node in graph.node if node.op_type == "ConstantOfShape"]
    users = {name: (node, place) for node in graph.node for place, name in enumerate(node.input)}
    for node in constants:
        name, shape = node.output[0], [int(extent) for extent in shapes[node.input[0]]]
        user, place = users[name]
        if user.op_type in ("Reshape", "Unsqueeze"):
            user, place = users[user.output[0]]
        if (user.op_type, place) in (("BatchNormalization", 1), ("BatchNormalization", 4), ("Mul", 1)):
            weights = rng.uniform(0.5, 1.5, shape)
        elif len(shape) > 1:
            weights = rng.standard_normal(shape, np.float32) * np.sqrt(2 / np.prod(shape[1:]))
        else:
            weights = rng.uniform(-0.1, 0.1, shape)
        graph.initializer.append(numpy_helper.from_array(weights.astype(np.float32), name))
        graph.node.remove(node)


def end_in_scores(model):
    """Leave out a softmax at the end, as the probabilities of drawn weights may be 0 and 1."""
    graph = model.graph
    if graph.node[-1].op_type == "Softmax":
        scores = graph.node.pop().input[0]
        graph.output[0].CopyFrom(helper.make_tensor_value_info(scores, TensorProto.FLOAT, None))


def differ(path, expected=None):
    """The largest difference between both, relative to the largest output."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(path, options)
    source = session.get_inputs()[0]
    images = np.random.default_rng(1).random(source.shape).astype(np.float32)
    answers = session.run(None, {source.name: images})[0].reshape(1, -1) if expected is None else expected
    classifier = load_network(path, pixel_mean=0, pixel_std=1)
    ends_in_softmax = onnx.load(path).graph.node[-1].op_type == "Softmax"
    scores = (classifier.predict_proba if ends_in_softmax else classifier.decision_function)(
        images.transpose(0, 2, 3, 1)
    )
    return np.abs(scores - answers).max() / np.abs(answers).max()


def expected_of(path):
    """The output that is stored beside a graph."""
    return numpy_helper.to_array(onnx.load_tensor(f"{path.with_suffix('')}_output_0.pb")).reshape(1, -1)


def with_drawn_weights(path, folder):
    """A file with the same graph up to the scores, and drawn weights."""
    model, drawn = onnx.load(path), Path(folder) / "network.onnx"
    draw_weights(model)
    end_in_scores(model)
    drawn.write_bytes(model.SerializeToString())
    return drawn


def main():
    for path in sorted(LIGHT.glob("*.onnx")):
        try:
            own = differ(path, expected_of(path))
        except ValueError as error:
            print(f"{path.stem:20} refused: {str(error).split('loaded: ')[-1]}")
            continue
        with tempfile.TemporaryDirectory() as folder:
            drawn = differ(with_drawn_weights(path, folder))
            print(f"{path.stem:20} expected output: {own:.1e}, drawn weights: {drawn:.1e}", flush=True)


if __name__ == "__main__":
    main()
