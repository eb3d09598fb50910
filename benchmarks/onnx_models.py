"""A fitted network as an ONNX model, for ONNX Runtime and OpenVINO."""

from onnx import TensorProto, checker, helper

from skconvnet.interchange.onnx.writer import OPSET, GraphWriter


def onnx_model(bound, learned, batch_size):
    """Return the model as bytes. Its input is standardised images of shape (batch_size, channels, height, width).

    Batch normalisation is not folded here: both runtimes fold it into the convolution when they load a model. All sizes
    are fixed, which is fastest in both.

    Parameters
    ----------
    bound : BoundArchitecture
    learned : Learned
        Its learned arrays.
    batch_size : int

    Returns
    -------
    bytes
    """
    height, width, depth = bound.image_shape
    writer = GraphWriter(learned)
    scores = writer.as_rows(writer.chain(bound.layers, "images"), "scores")
    graph = helper.make_graph(
        writer.nodes,
        "network",
        [helper.make_tensor_value_info("images", TensorProto.FLOAT, (batch_size, depth, height, width))],
        [helper.make_tensor_value_info(scores, TensorProto.FLOAT, (batch_size, bound.layers[-1].output.size))],
        writer.constants,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=9)
    checker.check_model(model)
    return model.SerializeToString()
