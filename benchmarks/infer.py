"""Prediction: images per second, against ONNX Runtime, OpenVINO and MNN.

All sides have the same network with the same weights in float32 and take float32 images from memory. Two calls of
skconvnet are timed. "skconvnet" is ConvNetClassifier.decision_function, as a user calls it: it checks X and the
estimator, standardises the pixels and returns float64. "engine" is the scorer's part of it, without the checks of the
estimator: Scorer.scores_of_one for a single image, unless it is large, else Scorer.scores. The peers get standardised
pixels in their preferred layout and a model for exactly this batch size, and are called without checks. MNN always uses
all threads that it is given, so "MNN, 1" is MNN on one thread, which is faster for small images.

The sides take turns, and the table has the medians over the rounds. "ratio" is the median of the ratios of "skconvnet"
to the fastest peer, round by round, with the least and the greatest; the next column is the median for "engine".
"differ" is the largest difference from the peers' scores, relative to the largest score.
"""

import tempfile
from functools import lru_cache, partial
from pathlib import Path
from statistics import median

import numpy as np

from benchmarks.arguments import whole_number
from benchmarks.choice import add_networks, chosen_networks, print_texts, summary
from benchmarks.machine import (
    Side,
    calls_per_second,
    description,
    fastest,
    parser_of_rounds,
    ratio,
    take_turns,
    warn_if_busy,
)
from benchmarks.networks import LARGE, NETWORKS
from benchmarks.peers import require
from benchmarks.runtimes import images_path, mnn, mnn_on_one_thread, onnx_runtime, open_vino

TOLERANCE = 1e-3  # relative to the largest score
PEERS = {"ORT": onnx_runtime, "OpenVINO": open_vino, "MNN": mnn, "MNN, 1": mnn_on_one_thread}


def main(arguments=None):
    command_line = parser_of_rounds(__doc__, rounds=5, seconds=1.0)
    command_line.add_argument("--large", action="store_true", help="networks for images of 224 x 224, batch 1 and 16")
    add_networks(command_line, [*NETWORKS, *LARGE])
    command_line.add_argument("--batches", nargs="+", type=whole_number(1), metavar="SIZE")
    options = command_line.parse_args(arguments)
    if options.large and (options.random, options.architecture) != (None, None):
        command_line.error("--large has networks of its own; give it without --random and --architecture")
    problems = chosen_networks(command_line, options, LARGE if options.large else NETWORKS)
    batches = options.batches or ((1, 16) if options.large else (1, 32, 256))
    require(command_line, "onnx", "onnxruntime", "openvino", "MNN")
    ours, *theirs = (Side(options.threads) for _ in range(1 + len(PEERS)))

    packages = ("numpy", "numba", "scikit-learn", "onnxruntime", "openvino", "MNN")
    print(f"{__doc__}\n{description(options.threads, packages)}\n")
    warn_if_busy(options.threads)
    print_texts(problems)
    print(f"{'images/s':16}", *(f"{name:>10}" for name in ("skconvnet", "engine", *PEERS)), end=" ")
    print(f"{'ratio':>6} {'':16} {'engine':>6} {'differ':>8}")
    for batch_size in batches:
        rows = {name: print_row(name, problem, batch_size, options, ours, theirs) for name, problem in problems.items()}
        for number, what in enumerate(("decision_function", "engine")):
            print(f"batch {batch_size}, {what}: {summary({name: row[number] for name, row in rows.items()})}")


def print_row(name, problem, batch_size, options, ours, theirs):
    """Print the row of a network; return the median ratios of decision_function and of the engine."""
    n_threads, seconds = options.threads, options.seconds
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "network.onnx"
        scores = ours.run(export, problem, batch_size, n_threads, path)
        peers = [(side, peer, path, n_threads) for side, peer in zip(theirs, PEERS.values(), strict=True)]
        differ = max(np.abs(side.run(answer, *call) - scores).max() for side, *call in peers) / np.abs(scores).max()
        if not differ < TOLERANCE:
            raise SystemExit(f"{name}: the scores differ by {differ:.1e} of the largest, more than rounding explains")
        calls = [(ours, call, problem, batch_size, n_threads) for call in (estimator_call, engine_call)] + peers
        turns = [partial(side.run, speed, batch_size, seconds, *call) for side, *call in calls]
        user, engine, *their = take_turns(options.rounds, *turns)
    best = fastest(their)
    ratios = [ratio(our, best) for our in (user, engine)]
    print(f"{name:10} {batch_size:5}", *(f"{median(speeds):10,.0f}" for speeds in (user, engine, *their)), end=" ")
    print(f"{ratios[0]} {ratios[1].median:6.2f} {differ:8.0e}", flush=True)
    return [of_ours.median for of_ours in ratios]


def speed(batch_size, seconds, call, *which):
    """Return images per second of a call that is repeated for some seconds."""
    return batch_size * calls_per_second(call(*which), seconds)


def answer(call, *which):
    """Return the result of one call."""
    return call(*which)()


@lru_cache(maxsize=1)
def fitted(problem, n_threads):
    """Return an estimator after one step, so that all layers have different weights."""
    from skconvnet import ConvNetClassifier

    X, y = problem.examples(4)
    classifier = ConvNetClassifier(problem.architecture, n_jobs=n_threads, random_state=0)
    return classifier.partial_fit(X, y, classes=np.arange(problem.n_classes))


def export(problem, batch_size, n_threads, path):
    """Write the model and the images for the peers; return our scores of the images."""
    from benchmarks.onnx_models import onnx_model
    from skconvnet.engine import Learned

    classifier = fitted(problem, n_threads)
    learned = Learned(classifier.coefs_, classifier.intercepts_, classifier.norm_means_, classifier.norm_variances_)
    path.write_bytes(onnx_model(classifier.architecture_, learned, batch_size))
    X, _ = problem.examples(batch_size)
    images = ((X - classifier.pixel_mean_) * classifier.pixel_scale_).transpose(0, 3, 1, 2)
    np.save(images_path(path), np.ascontiguousarray(images))
    return classifier.decision_function(X)


@lru_cache(maxsize=1)
def estimator_call(problem, batch_size, n_threads):
    X, _ = problem.examples(batch_size)
    return partial(fitted(problem, n_threads).decision_function, X)


@lru_cache(maxsize=1)
def engine_call(problem, batch_size, n_threads):
    from skconvnet.engine import Images, Learned, Network, Scorer

    classifier = fitted(problem, n_threads)
    network = Network(classifier.architecture_, classifier.pixel_mean_, classifier.pixel_scale_)
    network.learned = Learned(
        classifier.coefs_, classifier.intercepts_, classifier.norm_means_, classifier.norm_variances_
    )
    X, _ = problem.examples(batch_size)
    scorer = Scorer(network)
    call = partial(scorer.scores_of_one, X, lambda: n_threads)
    return partial(scorer.scores, Images(X, classifier.image_shape_), n_threads) if call() is None else call


if __name__ == "__main__":
    main()
