"""The CUDA machine: it runs any plan for a GPU with kernels that Numba compiles to PTX.

Nothing imports it before a GPU is asked for. It needs the packages of the extra ``cuda``.
"""
