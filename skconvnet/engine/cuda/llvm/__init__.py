"""Intrinsics that kernels are written with: memory, registers and the tile of a contraction."""
