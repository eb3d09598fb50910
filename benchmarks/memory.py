"""Peak memory of fitting Fashion-MNIST's 60,000 uint8 images of 28 x 28, against skorch.

Each fit runs in its own process and trains the network that ConvNetClassifier chooses for one epoch; later epochs need
no more memory. The table has MB of resident memory: "imports" after all imports and with kernels loaded, "X" added by
the images, "fit" the peak of the process above both. skorch gets the images as float32, as usual, and in a second row
as uint8, which the module converts minibatch by minibatch. Linux only.
"""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

from benchmarks.arguments import whole_number
from benchmarks.datasets import fashion_mnist
from benchmarks.machine import description, free_openblas, parser, threads
from benchmarks.peers import require

OURS = """
from skconvnet import ConvNetClassifier
from skconvnet.engine.warmup import warmup

warmup()
"""
OUR_FIT = "ConvNetClassifier(max_iter=1, batch_size=128, random_state=0).fit(X, y)"
SKORCH = """
import torch
from benchmarks.peers import skorch_classifier

torch.nn.functional.conv2d(torch.zeros(1, 1, 8, 8), torch.zeros(1, 1, 3, 3))  # starts the threads and oneDNN
"""
SKORCH_FIT = 'skorch_classifier("auto", (28, 28, 1), 10, max_iter=1, batch_size=128).fit({}, y)'
# Loading X touches all its pages. y is int64, which both sides use without converting it.
PROCESS = r"""
import re
from pathlib import Path

import numpy as np
{imports}

def resident(field):
    status = Path("/proc/self/status").read_text()
    return int(re.search(rf"^{{field}}:\s+(\d+) kB$", status, re.M)[1]) * 1024 / 1e6

imported = resident("VmRSS")
X, y = np.load({X!r}), np.load({y!r})
loaded = resident("VmRSS")
{fit}
print(imported, loaded - imported, resident("VmHWM") - loaded)
"""


def main():
    command_line = parser(__doc__)
    command_line.add_argument("--images", type=whole_number(1), default=60_000, help="images to fit (default: all)")
    options = command_line.parse_args()
    require(command_line, "torch", "skorch")
    free_openblas()
    packages = ("numpy", "numba", "scikit-learn", "torch", "skorch")
    print(f"{__doc__}\n{description(options.threads, packages)}\n")
    print(f"{'MB':34} {'imports':>8} {'X':>8} {'fit':>8}")
    with tempfile.TemporaryDirectory() as folder:
        X, y = str(Path(folder) / "X.npy"), str(Path(folder) / "y.npy")
        images, _, labels, _ = fashion_mnist()
        np.save(X, images[: options.images])
        np.save(y, labels[: options.images].astype(np.int64))
        for name, imports, fit in (
            ("ConvNetClassifier", OURS, OUR_FIT),
            ("skorch, X as float32", SKORCH, SKORCH_FIT.format("X.astype(np.float32)")),
            ("skorch, X as uint8", SKORCH, SKORCH_FIT.format("X")),
        ):
            source = PROCESS.format(imports=imports, X=X, y=y, fit=fit)
            imported, loaded, fitted = map(float, output(source, options.threads).split())
            print(f"{name:34} {imported:8.0f} {loaded:8.0f} {fitted:8.0f}", flush=True)


def output(source, n_threads):
    """Return the output of a new process."""
    environment = os.environ | threads(n_threads)
    return subprocess.run(
        [sys.executable, "-c", source], env=environment, stdout=subprocess.PIPE, text=True, check=True
    ).stdout


if __name__ == "__main__":
    main()
