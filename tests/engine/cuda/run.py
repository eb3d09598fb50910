"""Train and score a network on the CPU machine and on the CUDA machine, whose kernels the CPU executes; compare.

    python -m tests.engine.cuda.run "INPUT -> CONV(K=8) -> RELU -> POOL -> FC" --input 8x8x1 --steps 3 --batch 16

It prints the largest relative difference of the losses, of each array of parameters after the steps, and of the scores.
A difference is relative to the largest absolute value of its array; that of a layer's biases to the largest of its
weights and biases, because biases in front of a NORM(batch) are rounding errors alone. The last line is the largest of
all.
"""

from argparse import ArgumentParser
from importlib.util import find_spec

import numpy as np

from benchmarks.arguments import image_shape, whole_number
from skconvnet.architecture import Architecture
from skconvnet.engine import SGD, Adam, Images, Network, Scorer, SoftmaxCrossEntropy, Trainer
from skconvnet.engine.device import CpuDevice, CudaDevice

__all__ = ["compare", "differences", "train"]

# Adam divides a gradient by its size. A gradient that is zero but for rounding, as that of a bias in front of a
# NORM(batch), would become a step of full length, in any direction; so epsilon is larger than such errors.
SOLVERS = {"adam": (Adam(epsilon=1e-3), 1e-2), "sgd": (SGD(), 1e-2)}


def train(bound, device, *, n_steps, batch_size, solver="adam", seed=0):
    """Train on random images; return the losses, each learned array and the scores, by name.

    Parameters
    ----------
    bound : BoundArchitecture
    device : CpuDevice or CudaDevice
    n_steps, batch_size : int
        The last minibatch is smaller, unless it is the first.
    solver : {"adam", "sgd"}
    seed : int
        Of images, targets, weights and DROPOUT.
    """
    rng = np.random.default_rng(seed)
    n_images = n_steps * batch_size - (batch_size // 3 if n_steps > 1 else 0)
    images = Images(rng.integers(0, 256, (n_images, *bound.image_shape)).astype(np.uint8), bound.image_shape)
    network = Network(bound, *images.statistics(), device)
    network.initialise(rng)
    optimizer, rate = SOLVERS[solver]
    trainer = Trainer(
        network,
        images,
        rng.integers(0, bound.n_classes, n_images),
        rng.uniform(0.5, 1.5, n_images),
        optimizer=optimizer,
        alpha=0.01,
        loss=SoftmaxCrossEntropy(0.1),
        batch_size=batch_size,
        n_threads=1,
        seed=seed,
    )
    order = rng.permutation(n_images)
    batches = [order[at : at + batch_size] for at in range(0, n_images, batch_size)]
    found = {"loss": np.array([outcome.loss for outcome in trainer.steps(batches, [rate] * len(batches))])}
    for name, arrays in network.learned._asdict().items():
        found |= {f"{name}[{number}]": array for number, array in enumerate(arrays) if array.size}
    return found | {"scores": Scorer(network).scores(images, 1)}


def differences(expected, found):
    """Return the largest difference of each array, relative to the largest absolute value that is expected."""
    return {name: _difference(array, found[name], _scale(name, expected)) for name, array in expected.items()}


def _difference(expected, found, scale):
    return float(np.abs(found - expected).max() / (scale or 1.0))


def _scale(name, expected):
    """Return the largest absolute value of an array, or of a layer's weights and biases for its biases."""
    weights = name.replace("intercepts", "coefs")
    return max(np.abs(expected[one]).max() for one in {name, weights})


def compare(text, image_shape, n_classes=10, device=None, **training):
    """Return the differences of a network trained on both machines, by name.

    Parameters
    ----------
    text : str
        The architecture.
    image_shape : tuple of int
    n_classes : int, default=10
    device : CudaDevice, optional
        By default one whose kernels are executed on the CPU.
    **training
        As `train` takes them.
    """
    from tests.engine.cuda.executor import PtxDriver  # which needs the extra

    bound = Architecture.parse(text).bind(image_shape, n_classes)
    device = device or CudaDevice(PtxDriver())
    return differences(train(bound, CpuDevice(), **training), train(bound, device, **training))


def main(arguments=None):
    """Compare what the command line says."""
    parser = ArgumentParser("python -m tests.engine.cuda.run", description=__doc__.splitlines()[0])
    parser.add_argument("architecture", help="a text in the notation")
    parser.add_argument("--input", type=image_shape, required=True, help="the shape of the images, HxW or HxWxC")
    parser.add_argument("--steps", type=whole_number(1), default=3, help="training steps (default: 3)")
    parser.add_argument("--batch", type=whole_number(1), default=16, help="images of a minibatch (default: 16)")
    parser.add_argument("--classes", type=whole_number(2), default=10, help="number of classes (default: 10)")
    parser.add_argument("--solver", choices=SOLVERS, default="adam", help="optimizer (default: adam)")
    chosen = parser.parse_args(arguments)
    if find_spec("numba_cuda") is None:
        parser.error("it needs the extra skconvnet[cuda]; `make cuda` installs it.")
    training = {"n_steps": chosen.steps, "batch_size": chosen.batch, "solver": chosen.solver}
    try:
        found = compare(chosen.architecture, chosen.input, chosen.classes, **training)
    except ValueError as error:
        parser.error(str(error))
    for name, difference in found.items():
        print(f"{name:24} {difference:.1e}")
    print(f"largest relative difference {max(found.values()):.1e}")


if __name__ == "__main__":
    main()
