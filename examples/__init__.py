"""What one can do with the package, each a program: ``python -m examples.search_images``."""
