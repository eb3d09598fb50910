"""Example programs: ``python -m examples.search_images``."""
