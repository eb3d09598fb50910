"""Networks in files: what a file holds becomes a `StoredNetwork`, and a `StoredNetwork` becomes a file.

Nothing in a file is executed.
"""

from skconvnet.interchange.inspecting import inspect_file
from skconvnet.interchange.onnx.writer import write_onnx
from skconvnet.interchange.own import write_network
from skconvnet.interchange.reading import read_network
from skconvnet.interchange.stored import StoredNetwork
from skconvnet.interchange.texts import general_text

__all__ = ["StoredNetwork", "general_text", "inspect_file", "read_network", "write_network", "write_onnx"]
