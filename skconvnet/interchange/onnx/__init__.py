"""Files of ONNX: a network as a graph of operators."""
