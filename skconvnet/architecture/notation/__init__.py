"""The notation: a text to a tree of layers, and the tree back to its canonical text."""
