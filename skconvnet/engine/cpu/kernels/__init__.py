"""The kernels of the CPU, one file for each family of layers."""
