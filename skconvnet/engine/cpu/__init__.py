"""The CPU machine and its kernels, compiled by Numba."""

from skconvnet.engine.cpu import threads  # noqa: F401 - first: compiling a parallel function would start them otherwise
