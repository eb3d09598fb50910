"""The program: the instruction set, the memory that instructions address, and the machine that they are for."""
