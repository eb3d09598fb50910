"""The plan: layers as a program of instructions, and the memory that the program needs."""
