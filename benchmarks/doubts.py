"""How often images are said to have another scale than those of training: warnings in 1,000 draws from test images."""

from argparse import ArgumentParser

import numpy as np
from sklearn.model_selection import train_test_split

from benchmarks.datasets import cifar10, digits, fashion_mnist
from skconvnet.engine import Images, PixelScale

N_DRAWS = 1000
AT_A_TIME = (1, 8, 64)
FACTORS = {"as they are": 1, "x 4": 4, "x 15.9": 15.9, "x 255": 255, "/ 4": 1 / 4, "/ 15.9": 1 / 15.9, "/ 255": 1 / 255}


def main():
    command_line = ArgumentParser(description=__doc__)
    command_line.add_argument("--cifar10", metavar="PATH", help="the training images of CIFAR-10, in a zip archive")
    path = command_line.parse_args().cifar10
    data = {"digits": train_test_split(digits()[0], random_state=0), "Fashion-MNIST": fashion_mnist()[:2]}
    if path is not None:
        data["CIFAR-10"] = cifar10(path)[:2]
    print(f"{__doc__}\n\n{'images at a time':30}" + "".join(f"{n:8}" for n in AT_A_TIME))
    for name, (X_train, X_test) in data.items():
        shape = (8, 8, 1) if name == "digits" else (*X_train.shape[1:], 1)[:3] if X_train.ndim > 2 else (28, 28, 1)
        scale = PixelScale(*(np.float32(numbers) for numbers in Images(X_train, shape).statistics()))
        for what, factor in FACTORS.items():
            counts = [n_doubts(scale, X_test, shape, factor, n) for n in AT_A_TIME]
            print(f"{name + ', ' + what:30}" + "".join(f"{count:8}" for count in counts))


def n_doubts(scale, X, shape, factor, n_images):
    """Return in how many of the draws a network's `scale` doubts so many images, times `factor`."""
    rng, n_doubted = np.random.default_rng(0), 0
    for _ in range(N_DRAWS):
        drawn = X[rng.choice(len(X), n_images, replace=False)]
        drawn = drawn if factor == 1 else drawn * np.float64(factor)  # of uint8, not uint8
        largest = float(np.abs(drawn).max()) if drawn.dtype.kind == "f" else 255.0
        n_doubted += scale.doubt(Images(drawn, shape, largest)) is not None
    return n_doubted


if __name__ == "__main__":
    main()
