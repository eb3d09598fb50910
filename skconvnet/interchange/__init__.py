"""Networks in files: what a file holds becomes a `StoredNetwork`, and a `StoredNetwork` becomes a file.

Nothing in a file is executed.
"""

from skconvnet.interchange.stored import StoredNetwork

__all__ = ["StoredNetwork"]
