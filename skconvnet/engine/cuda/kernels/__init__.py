"""The kernels of the CUDA machine: one module for each family of instructions, as in `engine.cpu.kernels`."""
