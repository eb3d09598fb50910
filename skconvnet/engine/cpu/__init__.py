"""The CPU machine and its kernels, compiled by Numba.

`execution` imports Numba when it first runs a plan. `machine`, the one module with a parallel function, imports
`threads` before it compiles that function: compiling it would start Numba's threads with other settings.
"""
