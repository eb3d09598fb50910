"""The CPU machine and its kernels, compiled by Numba."""
