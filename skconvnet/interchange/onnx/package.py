"""The import of onnx, which is not needed without files of ONNX."""

__all__ = ["import_onnx"]


def import_onnx():
    """Import onnx.

    Returns
    -------
    module

    Raises
    ------
    ImportError
        If it is not installed; the error has the line that installs it.
    """
    try:
        import onnx
    except ImportError as error:
        raise ImportError("ONNX files need onnx, which is not installed: pip install onnx") from error
    return onnx
