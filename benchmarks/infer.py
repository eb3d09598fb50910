"""Prediction: images per second, against ONNX Runtime and OpenVINO.

All sides have the same network with the same weights in float32 and take float32 images from memory. Two calls of
skconvnet are timed. "skconvnet" is ConvNetClassifier.decision_function, as a user calls it: it checks X and the
estimator, standardises the pixels and returns float64. "engine" is Scorer.scores, without these checks. The peers get
standardised pixels in their preferred layout and a model for exactly this batch size, and are called without checks.
Ratios are to the faster peer, first of "skconvnet", then of "engine".

"differ" is the largest difference from the peers' scores, relative to the largest score.
"""

import tempfile
from functools import lru_cache, partial
from pathlib import Path
from statistics import geometric_mean

import numpy as np

from benchmarks.machine import Side, alternate, calls_per_second, description, parser_of_rounds
from benchmarks.networks import LARGE, NETWORKS

TOLERANCE = 1e-3  # relative to the largest score


def main():
    command_line = parser_of_rounds(__doc__, rounds=5, seconds=1.0)
    command_line.add_argument("--large", action="store_true", help="networks for images of 224 x 224, batch 1 and 16")
    command_line.add_argument("--networks", nargs="+", choices=[*NETWORKS, *LARGE], metavar="NAME")
    command_line.add_argument("--batches", nargs="+", type=int, metavar="SIZE")
    options = command_line.parse_args()
    names = options.networks or (LARGE if options.large else NETWORKS)
    batches = options.batches or ((1, 16) if options.large else (1, 32, 256))
    sides = [Side(options.threads) for _ in range(3)]

    packages = ("numpy", "numba", "scikit-learn", "onnxruntime", "openvino")
    print(f"{__doc__}\n{description(options.threads, packages)}\n")
    print(f"{'images/s':16} {'skconvnet':>10} {'engine':>10} {'ORT':>10} {'OpenVINO':>10} ", end="")
    print(f"{'ratio':>6} {'engine':>6} {'differ':>8}")
    for batch_size in batches:
        ratios = [row(name, batch_size, options, *sides) for name in names]
        for what, column in (("least", min), ("geometric mean", geometric_mean)):
            users, engines = map(column, zip(*ratios, strict=True))
            print(f"{what:60} {users:6.2f} {engines:6.2f}")


def row(name, batch_size, options, ours, ort, openvino):
    """Print the row of a network; return the ratios of decision_function and of the engine to the faster peer."""
    problem, n_threads, seconds = (NETWORKS | LARGE)[name], options.threads, options.seconds
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "network.onnx"
        scores = ours.run(export, problem, batch_size, n_threads, path)
        peers = [(ort, ort_call), (openvino, openvino_call)]
        theirs = [side.run(answer, call, problem, batch_size, n_threads, path) for side, call in peers]
        differ = max(np.abs(their - scores).max() for their in theirs) / np.abs(scores).max()
        if not differ < TOLERANCE:
            raise SystemExit(f"{name}: the scores differ by {differ:.1e} of the largest, more than rounding explains")
        *our, onnx_runtime, open_vino = alternate(
            options.rounds,
            partial(ours.run, speed, estimator_call, problem, batch_size, n_threads, path, seconds),
            partial(ours.run, speed, engine_call, problem, batch_size, n_threads, path, seconds),
            *(partial(side.run, speed, call, problem, batch_size, n_threads, path, seconds) for side, call in peers),
        )
    ratios = [one / max(onnx_runtime, open_vino) for one in our]
    print(f"{name:10} {batch_size:5} {our[0]:10,.0f} {our[1]:10,.0f} {onnx_runtime:10,.0f} {open_vino:10,.0f} ", end="")
    print(f"{ratios[0]:6.2f} {ratios[1]:6.2f} {differ:8.0e}", flush=True)
    return ratios


def speed(call, *arguments):
    """Return images per second of a call that is repeated for some seconds, the last of the arguments."""
    *which, seconds = arguments
    _, batch_size, *_ = which
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
    np.save(path.with_suffix(".npy"), np.ascontiguousarray(images))
    return classifier.decision_function(X)


@lru_cache(maxsize=1)
def estimator_call(problem, batch_size, n_threads, path):
    X, _ = problem.examples(batch_size)
    return partial(fitted(problem, n_threads).decision_function, X)


@lru_cache(maxsize=1)
def engine_call(problem, batch_size, n_threads, path):
    from skconvnet.engine import Images, Learned, Network, Scorer

    classifier = fitted(problem, n_threads)
    network = Network(classifier.architecture_, classifier.pixel_mean_, classifier.pixel_scale_)
    network.learned = Learned(
        classifier.coefs_, classifier.intercepts_, classifier.norm_means_, classifier.norm_variances_
    )
    X, _ = problem.examples(batch_size)
    return partial(Scorer(network).scores, Images(X, classifier.image_shape_), n_threads)


@lru_cache(maxsize=1)
def ort_call(problem, batch_size, n_threads, path):
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = n_threads
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    images = {"images": np.load(path.with_suffix(".npy"))}
    return lambda: session.run(None, images)[0]


@lru_cache(maxsize=1)
def openvino_call(problem, batch_size, n_threads, path):
    """Run one request at a time on all threads, in float32; OpenVINO might choose bfloat16."""
    import openvino

    settings = {
        "PERFORMANCE_HINT": "LATENCY",
        "INFERENCE_PRECISION_HINT": "f32",
        "INFERENCE_NUM_THREADS": n_threads,
        "NUM_STREAMS": 1,
        "ENABLE_HYPER_THREADING": True,
    }
    request = openvino.Core().compile_model(path, "CPU", settings).create_infer_request()
    images = np.load(path.with_suffix(".npy"))
    return lambda: request.infer({0: images}, share_inputs=True, share_outputs=True)[0]


if __name__ == "__main__":
    main()
