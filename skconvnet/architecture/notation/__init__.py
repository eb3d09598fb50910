"""The notation: its table of layers, the tree of a text, and the parser from text to tree."""
