"""The command line: `python -m skconvnet demo`, `summary`, `inspect` and `warmup`."""

import argparse
import os
import re
import sys
import webbrowser
from argparse import SUPPRESS
from pathlib import Path
from time import perf_counter

from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

from skconvnet import ARCHITECTURES, ArchitectureError, ConvNetClassifier
from skconvnet._version import __version__
from skconvnet.architecture import (
    Hyperparameters,
    find_architecture,
    find_study,
    is_auto,
    too_large_filters,
    without_effect,
)
from skconvnet.architecture.hyperparameters import HYPERPARAMETERS, ROUNDINGS
from skconvnet.demo import convolution_page
from skconvnet.engine import warmup as kernels
from skconvnet.interchange import inspect_file

_LETTERS = {
    "K": "filters of the CONV layers: one number, or one per CONV or block",
    "F": "extent of the filters",
    "S": "stride",
    "P": "zero-padding: a number, same or valid",
    "N": "repetitions of groups marked *N",
    "M": "repetitions of groups marked *M: a number or auto",
}
_DEFAULT_SHAPE = (32, 32, 3)


def main(arguments=None):
    """Run one command.

    Parameters
    ----------
    arguments : list of str, default=None
        The arguments after `python -m skconvnet`. None: those of the command line.
    """
    options = parser().parse_args(arguments)
    try:
        status = options.command(options)
        sys.stdout.flush()
    except ArchitectureError as error:
        sys.exit(str(error))
    except BrokenPipeError:  # the reader has closed the pipe, as `head` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or Python raises again when it exits
        sys.exit(1)
    if status:
        sys.exit(status)


def parser():
    """Return the parser of the command line.

    `command` in its result is the function to call; it returns an exit status, or None for 0.
    """
    parser = argparse.ArgumentParser(prog="python -m skconvnet", description="Convolutional networks for scikit-learn.")
    parser.add_argument("--version", action="version", version=f"skconvnet {__version__}")
    commands = parser.add_subparsers(required=True, metavar="demo | summary | inspect | warmup")

    command = commands.add_parser(
        "demo", help="fit the digits of scikit-learn, and report accuracy and times; demo conv: a page for the browser"
    )
    command.set_defaults(command=demo)
    _add_convolution_demo(command)

    command = commands.add_parser("summary", help="print the volumes, parameters and memory of an architecture")
    command.add_argument(
        "architecture", help=f"auto, {', '.join(ARCHITECTURES)}, or a text such as 'INPUT -> CONV -> FC'"
    )
    command.add_argument(
        "--input",
        type=image_shape,
        metavar="WxHxD",
        help="width x height x channels of the images, or width x height if they are grey (default: that in the paper "
        "of a case study, else 32x32x3)",
    )
    command.add_argument(
        "--classes",
        type=int,
        metavar="N",
        help="number of classes (default: that in the paper of a case study, else 10)",
    )
    for letter, meaning in _LETTERS.items():
        default = getattr(Hyperparameters, letter)
        command.add_argument(
            f"-{letter}", type=number_or_word, nargs="+", default=SUPPRESS, help=f"{meaning} (default: {default})"
        )
    command.add_argument(
        "--hidden-layer-sizes",
        type=int,
        nargs="+",
        default=SUPPRESS,
        metavar="UNITS",
        help="units of the FC layers before the last (default: 128)",
    )
    command.add_argument(
        "--pool", type=yes_or_no, nargs="+", default=SUPPRESS, help="whether to keep POOL?: yes or no (default: yes)"
    )
    command.add_argument("--rounding", choices=ROUNDINGS, default=SUPPRESS, help="of sizes that are not whole")
    command.set_defaults(command=summary)

    command = commands.add_parser("inspect", help="tell what a file of a network holds; nothing in it is executed")
    command.add_argument("file", help="a .safetensors, .pth, .pt or .onnx file, or the name of a package of weights")
    command.set_defaults(command=inspect)

    command = commands.add_parser("warmup", help="compile the kernels into the cache, or load them from it")
    command.set_defaults(command=warmup)
    return parser


def _add_convolution_demo(demo):
    command = demo.add_subparsers(metavar="conv").add_parser(
        "conv", help="write a page for the browser that shows how a CONV layer and a network compute"
    )
    command.add_argument(
        "--input", type=image_shape, metavar="WxHxD", default=(7, 7, 3), help="of the volume (default: 7x7x3)"
    )
    numbers = {"F": (3, "extent of the filters"), "S": (2, "stride"), "P": (1, "zero-padding"), "K": (2, "filters")}
    for letter, (default, meaning) in numbers.items():
        command.add_argument(
            f"-{letter}", f"--{letter}", type=int, default=default, help=f"{meaning} (default: {default})"
        )
    command.add_argument(
        "--output",
        type=Path,
        metavar="FILE",
        default=Path("convolution-demo.html"),
        help="where to write the page; a file that exists is overwritten (default: %(default)s)",
    )
    command.add_argument("--open", action="store_true", help="open the page in the browser")
    command.set_defaults(command=demo_convolution)


def image_shape(text):
    """Return (height, width, channels) from a text such as 32x16x3: width x height x channels, or width x height."""
    match = re.fullmatch(r"(\d{1,9})x(\d{1,9})(?:x(\d{1,9}))?", text.lower())
    if match is None:
        raise argparse.ArgumentTypeError(
            f"{text!r} is not a shape: give width x height x channels, as in 32x32x3, or width x height, as in 28x28"
        )
    width, height, channels = (int(number or 1) for number in match.groups())
    for name, extent in (("width", width), ("height", height), ("number of channels", channels)):
        if extent < 1:
            raise argparse.ArgumentTypeError(
                f"{text!r} is width x height x channels, and its {name} is {extent}: give 1 or more"
            )
    return height, width, channels


def yes_or_no(text):
    """Return True for "yes" and False for "no"."""
    if text not in ("yes", "no"):
        raise argparse.ArgumentTypeError(f"{text!r} is neither yes nor no")
    return text == "yes"


def number_or_word(text):
    """Return an int if the text is a whole number, else the text. `Hyperparameters` checks the value."""
    return int(text) if re.fullmatch(r"-?\d{1,9}", text) else text


def demo(options):
    """Fit the digits of scikit-learn with the default parameters, and report accuracy and times."""
    X, y = load_digits(return_X_y=True)
    X_train, X_test, y_train, y_test = train_test_split(X, y, test_size=0.25, stratify=y, random_state=0)
    print(f"Fitting {len(X_train)} images of 8x8 digits; {len(X_test)} are held out.\n")

    started = perf_counter()
    classifier = ConvNetClassifier(random_state=0, verbose=1).fit(X_train, y_train)
    fitted = perf_counter()
    accuracy = classifier.score(X_test, y_test)
    scored = perf_counter()

    print(f"\n{classifier.architecture_.summary()}\n")
    print(f"accuracy on the held-out images  {accuracy:7.4f}")
    print(f"compiling the kernels            {classifier.compile_time_:7.2f} s (the first time on a machine)")
    print(f"fitting                          {fitted - started - classifier.compile_time_:7.2f} s")
    print(f"predicting                       {scored - fitted:7.2f} s")


def demo_convolution(options):
    """Write the page of the convolution demo, and print where it is."""
    page = convolution_page(options.input, K=options.K, F=options.F, S=options.S, P=options.P)
    try:
        options.output.write_text(page, encoding="utf-8")
    except OSError as error:
        sys.exit(f"cannot write {options.output}: {error.strerror}. Give another file: --output FILE")
    print(options.output)
    if options.open:
        webbrowser.open(options.output.resolve().as_uri())


def summary(options):
    """Print the volume table of an architecture."""
    study = find_study(options.architecture)
    image_shape = options.input or (study.image_shape if study else _DEFAULT_SHAPE)
    n_classes = options.classes if options.classes is not None else (study.n_classes if study else 10)
    given = {name: value for name, value in vars(options).items() if name in HYPERPARAMETERS}
    hyperparameters = Hyperparameters(
        **{name: value[0] if isinstance(value, list) and len(value) == 1 else value for name, value in given.items()}
    )
    architecture = find_architecture(options.architecture, image_shape, hyperparameters)
    bound = architecture.bind(image_shape, n_classes, hyperparameters)
    height, width, channels = image_shape
    print(f"images: {width} wide, {height} high, {channels} channel{'s' * (channels != 1)}\n\n{bound.summary()}")
    reasons = without_effect(architecture, image_shape, hyperparameters, is_auto(options.architecture), given)
    for name, reason in reasons.items():
        print(f"{name} has no effect: {reason}", file=sys.stderr)
    for sentence in too_large_filters(bound):
        print(f"{sentence}.", file=sys.stderr)


def inspect(options):
    """Print what a file of a network holds."""
    try:
        print(inspect_file(options.file))
    except (ValueError, ImportError) as error:
        sys.exit(str(error))


def warmup(options):
    """Compile or load the kernels, and print how long it took and where the cache is; 1 if no directory keeps them."""
    done = kernels.warmup()
    print(done)
    return int(done.cache is None)


if __name__ == "__main__":
    main()
