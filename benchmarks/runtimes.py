"""The peers in prediction: ONNX Runtime, OpenVINO and MNN, each imported only in the process where it runs.

Each takes the path of an ONNX model, whose images lie beside it in a file .npy, and the number of threads. It returns a
function that computes the scores of these images in float32.
"""

import os
import sys
from contextlib import contextmanager
from functools import lru_cache

import numpy as np


def images_path(model):
    """Return where the images of a model are."""
    return model.with_suffix(".npy")


@lru_cache(maxsize=1)
def onnx_runtime(model, n_threads):
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = n_threads
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    images = {"images": np.load(images_path(model))}
    return lambda: session.run(None, images)[0]


@lru_cache(maxsize=1)
def open_vino(model, n_threads):
    """Run one request at a time on all threads, in float32; OpenVINO might choose bfloat16."""
    import openvino

    settings = {
        "PERFORMANCE_HINT": "LATENCY",
        "INFERENCE_PRECISION_HINT": "f32",
        "INFERENCE_NUM_THREADS": n_threads,
        "NUM_STREAMS": 1,
        "ENABLE_HYPER_THREADING": True,
    }
    request = openvino.Core().compile_model(model, "CPU", settings).create_infer_request()
    images = np.load(images_path(model))
    return lambda: request.infer({0: images}, share_inputs=True, share_outputs=True)[0]


@lru_cache(maxsize=1)
def mnn(model, n_threads):
    """Run a session of MNN; "high" is float32, which it may leave otherwise.

    The converter is called by its module and not by the package MNN.tools, which installs other packages and connects
    to a server when it is imported.
    """
    with silence():
        import _tools
        import MNN

        converted = os.fspath(model.with_suffix(".mnn"))
        source = ["-f", "ONNX", "--modelFile", os.fspath(model)]
        _tools.mnnconvert(["mnnconvert", *source, "--MNNModel", converted, "--bizCode", "benchmark"])
        interpreter = MNN.Interpreter(converted)
        session = interpreter.createSession({"backend": "CPU", "numThread": n_threads, "precision": "high"})
    pixels = np.load(images_path(model))
    inputs, outputs = interpreter.getSessionInput(session), interpreter.getSessionOutput(session)
    scores = np.empty(outputs.getShape(), np.float32)
    images, answers = (
        MNN.Tensor(array.shape, MNN.Halide_Type_Float, array, MNN.Tensor_DimensionType_Caffe)
        for array in (pixels, scores)
    )

    def call():
        inputs.copyFrom(images)
        interpreter.runSession(session)
        outputs.copyToHostTensor(answers)
        return answers.getNumpyData()

    return call


def mnn_on_one_thread(model, n_threads):
    return mnn(model, 1)


@contextmanager
def silence():
    """Discard standard output, also what a library in C++ writes, which does not go through sys.stdout."""
    sys.stdout.flush()
    kept, nowhere = os.dup(1), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    try:
        yield
    finally:
        os.dup2(kept, 1)
        os.close(kept)
        os.close(nowhere)
