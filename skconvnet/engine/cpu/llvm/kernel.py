"""How every kernel is compiled."""

from numba import njit

__all__ = ["kernel"]

# Kernels are called by kernels: the wrappers by which Python and C would call them are a tenth of the time to compile.
kernel = njit(nogil=True, error_model="numpy", no_cpython_wrapper=True, no_cfunc_wrapper=True)
