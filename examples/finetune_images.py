"""Tune a pretrained network
=========================

Tune a pretrained network on a folder of your own images, and compare with a network that begins anew::

    python -m examples.finetune_images photos.zip --network efficientnet_lite0 --size 224 --save photos.safetensors
    python -m examples.finetune_images

The folder, or zip archive, has a folder of images for each class. The network is a file or name that `load_network`
reads. Without a folder, the example writes one itself: handwritten digits from 5 to 9, eight of each for training; and
it fits the network that it begins with, on the digits from 0 to 4. The output below is of this second command.
"""

# sphinx_gallery_thumbnail_path = '_static/network.png'

import argparse
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from sklearn.datasets import load_digits
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skconvnet import ConvNetClassifier, ConvNetFeatures, load_image_folder, load_network, save_network

ARCHITECTURE = "INPUT -> [CONV(K=16) -> RELU -> CONV(K=32) -> RELU -> POOL]*2 -> POOL(average, F=all) -> FC"


def main(arguments=None):
    """Compare the classifiers on the images of the command line, or on digits."""
    options = parse(arguments)
    with TemporaryDirectory() as temporary:
        if options.folder is None:
            options.folder, options.network = write_digits(Path(temporary, "digits"), options.images)
        compare(options, Path(temporary, "tuned.safetensors"))


def parse(arguments):
    """Read the command line."""
    command_line = argparse.ArgumentParser(
        description="Tune a pretrained network, and compare with a network that begins anew."
    )
    add = command_line.add_argument
    add("folder", nargs="?", help="a directory or zip archive with a folder of images for each class")
    add("--network", default="efficientnet_lite0", help="a file, or the name of an installed package of weights")
    add("--size", type=int, help="height and width of the images (default: those of the network)")
    add("--crop", choices=["center"], help="scale the middle of each image, in its proportions")
    add("--test", type=float, default=0.5, metavar="PART", help="of the images (default: 0.5)")
    add("--epochs", type=int, default=8, help="of training all layers (default: 8)")
    add("--images", type=int, default=16, metavar="N", help="of each digit, if there is no folder (default: 16)")
    add("--save", metavar="FILE", help="keep the tuned network in this .safetensors file")
    return command_line.parse_args(arguments)


def compare(options, temporary):
    """Fit each classifier and print its accuracy; save the last, and classify test images with the file."""
    network = load_network(options.network)
    height, width, channels = network.image_shape_
    size = options.size or (height, width)
    folder = load_image_folder(options.folder, size=size, channels=channels, crop=options.crop)
    X, X_test, y, y_test, _, files = train_test_split(
        folder.data, folder.target, folder.filenames, test_size=options.test, stratify=folder.target, random_state=0
    )
    print(f"{len(X)} images to learn from, {len(X_test)} to test, of {', '.join(folder.target_names)}")
    for name, classifier in classifiers(options, X.shape[1:]).items():
        print(f"{name:34} {classifier.fit(X, y).score(X_test, y_test):.4f}")
    file = options.save or temporary
    save_network(classifier, file)
    labels = load_network(file).predict(X_test)
    print(f"{Path(file).name} is right about {(labels == y_test).sum()} of {len(X_test)} test images. The first are")
    for image, label, right in zip(files[:5], labels, y_test, strict=False):
        print(f"    {image}: {label}{'' if label == right else ' (wrong)'}")


def classifiers(options, image_shape):
    """Return the estimators to compare, by what they do."""
    pretrained = FrozenEstimator(load_network(options.network, image_shape=image_shape))
    tuned = {"pretrained": options.network, "max_iter": options.epochs, "random_state": 0}
    return {
        "a network from new weights": ConvNetClassifier(random_state=0),
        "pretrained features, regression": make_pipeline(
            ConvNetFeatures(pretrained), StandardScaler(), LogisticRegression(C=0.01, max_iter=1000)
        ),
        "a new head on the frozen body": ConvNetClassifier(freeze="body", **tuned),
        "all layers, tuned": ConvNetClassifier(**tuned),
    }


def write_digits(folder, n_images):
    """Write images of the digits from 5 to 9, a folder for each; fit a network on the others.

    Return the folder and the file of the network.
    """
    from PIL import Image

    X, y = load_digits(return_X_y=True)
    pixels = (X * 255 / 16).astype(np.uint8).reshape(-1, 8, 8)
    for digit in range(5, 10):
        (folder / f"digit {digit}").mkdir(parents=True)
        for number, image in enumerate(pixels[y == digit][:n_images]):
            Image.fromarray(image).save(folder / f"digit {digit}" / f"{number}.png")
    others = ConvNetClassifier(ARCHITECTURE, max_iter=10, random_state=0).fit(pixels[y < 5], y[y < 5])
    file = folder.with_suffix(".safetensors")
    save_network(others, file)
    return folder, file


if __name__ == "__main__":
    try:
        main()
    except (ImportError, OSError, ValueError) as error:  # a value on the command line, or a file
        sys.exit(f"error: {error}")
