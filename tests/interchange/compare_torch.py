"""Load whole networks of torchvision, with random weights that PyTorch saved, and compare the logits.

Too much for the suite: ``python -m tests.interchange.compare_torch [NAME ...]``. Prints, for each network and format,
the largest difference as a part of the largest logit, and the seconds of loading.
"""

import sys
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter

import numpy as np

from skconvnet import load_network
from tests.interchange import torch_networks


def compare(name, ending, pixels, run):
    with TemporaryDirectory() as folder:
        path = Path(folder) / f"network{ending}"
        expected = run(torch_networks.save_random, name, 1, pixels, path, {}).result()
        started = perf_counter()
        network = load_network(path, pixel_mean=0, pixel_std=1)
        seconds = perf_counter() - started
    difference = abs(network.decision_function(pixels) - expected).max() / abs(expected).max()
    print(f"{name:22} {ending:13} {difference:.1e} {seconds:6.2f} s", flush=True)
    return difference


def main(names):
    pixels = np.random.default_rng(0).normal(size=(2, 224, 224, 3)).astype(np.float32)
    with ProcessPoolExecutor(1, get_context("spawn")) as torch:
        differences = [
            compare(name, ending, pixels, torch.submit)
            for name in names or torch_networks.NETWORKS
            for ending in (".safetensors", ".pth")
        ]
    assert max(differences) < 1e-4


if __name__ == "__main__":
    main(sys.argv[1:])
