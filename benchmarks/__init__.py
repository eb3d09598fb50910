"""Accuracy, speed and memory of skconvnet and its peers, measured side by side in one run.

`make bench` runs all benchmarks; `python -m benchmarks.train --threads 2` runs one.
"""
