"""Accuracy and speed of skconvnet and its peers, side by side in one run.

`make bench` runs all; each module runs alone, as in `python -m benchmarks.train --threads 2`.
"""
