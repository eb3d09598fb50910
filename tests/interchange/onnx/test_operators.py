import numpy as np
import pytest

from skconvnet.architecture import Architecture
from skconvnet.estimators.exchange import load_network
from skconvnet.interchange.onnx import operators
from skconvnet.interchange.onnx.reader import read_onnx
from tests.interchange.onnx.cases import model_of, run, written

pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

RNG = np.random.default_rng(0)


def drawn(*shape):
    return RNG.uniform(-1, 1, shape).astype(np.float32)


def whole(*numbers):
    return np.array(numbers, np.int64)


CONV = ("Conv", "x w", "c", {})  # 4x3 filters of 3x2... of 3x3: the volume becomes [3x4x4]
W = {"w": drawn(4, 3, 3, 3)}
POOLED = [("GlobalAveragePool", "c", "g", {}), ("Flatten", "g", "y", {})]

HARD_SIGMOID = [("Add", "c three", "h1", {}), ("Clip", "h1 zero six", "h2", {}), ("Div", "h2 six", "h3", {})]
HARD_CONSTANTS = {
    name: np.float32(number)
    for name, number in {"zero": 0, "one": 1, "three": 3, "six": 6, "sixth": 1 / 6, "half": 0.5, "root": 2**0.5}.items()
}

# What exporters write, with the text that it becomes: operators in several versions, and layers in several nodes.
READ = {
    "images of channels last": (
        [("Transpose", "x", "t", {"perm": (0, 3, 1, 2)}), ("Conv", "t w", "c", {}), *POOLED],
        {"w": drawn(4, 5, 3, 3)},
        "CONV(K=4, F=3, S=1, P=0, bias=no) -> POOL(average, F=all)",
    ),
    "MatMul and Add": (
        [("Flatten", "x", "f", {}), ("MatMul", "f w", "m", {}), ("Add", "b m", "y", {})],
        {"w": drawn(90, 4), "b": drawn(4)},
        "FC(4)",
    ),
    "Gemm with factors and a transposed weight": (
        [("Flatten", "x", "f", {}), ("Gemm", "f w b", "y", {"transB": 1, "alpha": 0.5, "beta": 2.0})],
        {"w": drawn(4, 90), "b": drawn(1, 4)},
        "FC(4)",
    ),
    "rows of channels last": (
        [
            ("Conv", "x w", "c", {}),
            ("Transpose", "c", "t", {"perm": (0, 2, 3, 1)}),
            ("Reshape", "t s", "r", {}),
            ("Gemm", "r v", "y", {}),
        ],
        W | {"s": whole(0, -1), "v": drawn(48, 4)},
        "CONV(K=4, F=3, S=1, P=0, bias=no) -> FC(4)",
    ),
    "a mean over pixels": (
        [CONV, ("ReduceMean", "c axes", "y", {"keepdims": 0})],
        W | {"axes": whole(-1, 2)},
        "CONV(K=4, F=3, S=1, P=0, bias=no) -> POOL(average, F=all)",
    ),
    "a maximum over pixels with channels last": (
        [CONV, ("Transpose", "c", "t", {"perm": (0, 2, 3, 1)}), ("ReduceMax", "t axes", "y", {"keepdims": 0})],
        W | {"axes": whole(1, 2)},
        "CONV(K=4, F=3, S=1, P=0, bias=no) -> POOL(max, F=all)",
    ),
    "shapes that are computed": (
        [
            CONV,
            ("Shape", "c", "shape", {}),
            ("Gather", "shape zero", "n", {}),
            ("Unsqueeze", "n zeros", "n1", {}),
            ("Concat", "n1 rest", "s", {"axis": 0}),
            ("Reshape", "c s", "r", {}),
            ("Gemm", "r v", "y", {}),
        ],
        W | {"zero": np.int64(0), "zeros": whole(0), "rest": whole(-1), "v": drawn(48, 4)},
        "CONV(K=4, F=3, S=1, P=0, bias=no) -> FC(4)",
    ),
    "padding for the stride": (
        [
            ("Conv", "x w", "c", {"strides": (2, 2), "auto_pad": "SAME_UPPER"}),
            ("MaxPool", "c", "p", {"kernel_shape": (2, 2), "strides": (2, 2), "ceil_mode": 1}),
            *[("GlobalMaxPool", "p", "y", {})],
        ],
        {"w": drawn(4, 3, 4, 4)},
        "CONV(K=4, F=4, S=2, P=1, round=ceil, bias=no) -> POOL(max, F=2, S=2, P=0, round=ceil) -> POOL(max, F=all)",
    ),
    "a window that would begin in the padding": (
        [
            CONV,
            ("MaxPool", "c", "p", {"kernel_shape": (2, 2), "strides": (2, 2), "pads": (0, 1, 0, 1), "ceil_mode": 1}),
            ("GlobalAveragePool", "p", "y", {}),
        ],
        W,
        "CONV(K=4, F=3, S=1, P=0, bias=no) -> POOL(max, F=2, S=2, P=1x0, round=floor) -> POOL(average, F=all)",
    ),
    "zeros in front of a layer": (
        [("Pad", "x p", "z", {}), ("Conv", "z w", "c", {"strides": (2, 2)}), ("GlobalMaxPool", "c", "y", {})],
        {"w": drawn(4, 3, 2, 2), "p": whole(0, 0, 0, 0, 0, 0, 0, 1)},
        "CONV(K=4, F=2, S=2, P=0, round=ceil, bias=no) -> POOL(max, F=all)",
    ),
    "a window over the whole input that overhangs": (
        [CONV, ("AveragePool", "c", "y", {"kernel_shape": (5, 5), "pads": (0, 0, 1, 2)})],
        W,
        "CONV(K=4, F=3, S=1, P=0, bias=no) -> POOL(average, F=all)",
    ),
    "scales and shifts behind layers": (
        [
            CONV,
            ("Mul", "c s", "m", {}),
            ("Sub", "m b", "a", {}),
            ("Relu", "a", "r", {}),
            ("Div", "r s", "d", {}),
            ("Add", "b d", "e", {}),
            ("GlobalAveragePool", "e", "y", {}),
        ],
        W | {"s": drawn(4, 1, 1) + 2, "b": drawn(1, 4, 1, 1)},
        "CONV(K=4, F=3, S=1, P=0) -> RELU -> NORM(batch) -> POOL(average, F=all)",
    ),
    "group normalisation of one group": (
        [
            CONV,
            ("Reshape", "c s", "r", {}),
            ("InstanceNormalization", "r one zero", "i", {"epsilon": 0.01}),
            ("Reshape", "i t", "b", {}),
            ("Mul", "b scale", "m", {}),
            ("Add", "m shift", "c2", {}),
            ("GlobalMaxPool", "c2", "y", {}),
        ],
        W
        | {"s": whole(0, 1, -1), "one": np.ones(1, np.float32), "zero": np.zeros(1, np.float32)}
        | {"t": whole(-1, 4, 4, 3), "scale": drawn(4, 1, 1), "shift": drawn(4, 1, 1)},
        "CONV(K=4, F=3, S=1, P=0, bias=no) -> NORM(layer, eps=0.01) -> POOL(max, F=all)",
    ),
    "a clip that is RELU": (
        [CONV, ("Clip", "c zero", "r", {}), ("GlobalMaxPool", "r", "y", {})],
        W | {"zero": np.float32(0)},
        "CONV(K=4, F=3, S=1, P=0, bias=no) -> RELU -> POOL(max, F=all)",
    ),
    "sums of sums, and stacks that grow": (
        [
            CONV,
            ("Relu", "c", "r", {}),
            ("Add", "c r", "a", {}),
            ("Tanh", "c", "t", {}),
            ("Add", "a t", "a2", {}),
            ("Conv", "a2 v", "v1", {}),
            ("Concat", "a2 v1", "s", {"axis": 1}),
            ("Conv", "s u", "u1", {}),
            ("Concat", "a2 v1 u1", "s2", {"axis": -3}),
            ("GlobalMaxPool", "s2", "y", {}),
        ],
        W | {"v": drawn(2, 4, 1, 1), "u": drawn(1, 6, 1, 1)},
        "CONV(K=4, F=3, S=1, P=0, bias=no) -> (SKIP + RELU + TANH)"
        " -> (SKIP | CONV(K=2, F=1, S=1, P=0, bias=no)) -> (SKIP | CONV(K=1, F=1, S=1, P=0, bias=no))"
        " -> POOL(max, F=all)",
    ),
    "activations in several nodes": (
        [
            CONV,
            *HARD_SIGMOID,
            ("Mul", "c h3", "h4", {}),
            ("Conv", "h4 v", "v1", {}),
            ("Div", "v1 root", "g1", {}),
            ("Erf", "g1", "g2", {}),
            ("Add", "g2 one", "g3", {}),
            ("Mul", "v1 g3", "g4", {}),
            ("Mul", "g4 half", "g5", {}),
            ("Conv", "g5 v", "v2", {}),
            ("Add", "v2 three", "i1", {}),
            ("Clip", "i1 zero six", "i2", {}),
            ("Mul", "i2 v2", "i3", {}),
            ("Mul", "i3 sixth", "i4", {}),
            ("GlobalMaxPool", "i4", "y", {}),
        ],
        W | HARD_CONSTANTS | {"v": drawn(4, 4, 1, 1)},
        "CONV(K=4, F=3, S=1, P=0, bias=no) -> HSWISH -> CONV(K=4, F=1, S=1, P=0, bias=no) -> GELU"
        " -> CONV(K=4, F=1, S=1, P=0, bias=no) -> HSWISH -> POOL(max, F=all)",
    ),
    "a hard sigmoid in several nodes": (
        [CONV, *HARD_SIGMOID, ("GlobalMaxPool", "h3", "y", {})],
        W | HARD_CONSTANTS,
        "CONV(K=4, F=3, S=1, P=0, bias=no) -> HSIGMOID -> POOL(max, F=all)",
    ),
    "half of x first": (
        [
            CONV,
            ("Mul", "c half", "h", {}),
            ("Div", "c root", "g1", {}),
            ("Erf", "g1", "g2", {}),
            ("Add", "g2 one", "g3", {}),
            ("Mul", "g3 h", "g4", {}),
            ("GlobalMaxPool", "g4", "y", {}),
        ],
        W | HARD_CONSTANTS,
        "CONV(K=4, F=3, S=1, P=0, bias=no) -> GELU -> POOL(max, F=all)",
    ),
    "activations in one node": (
        [
            CONV,
            ("HardSwish", "c", "a1", {}),
            ("HardSigmoid", "a1", "a2", {"alpha": 1 / 6}),
            ("Gelu", "a2", "a3", {}),
            ("Clip", "a3 zero six", "a4", {}),
            ("GlobalMaxPool", "a4", "y", {}),
        ],
        W | HARD_CONSTANTS,
        "CONV(K=4, F=3, S=1, P=0, bias=no) -> HSWISH -> HSIGMOID -> GELU -> RELU6 -> POOL(max, F=all)",
    ),
    "slopes": (
        [CONV, ("PRelu", "c s", "p", {}), ("LeakyRelu", "p", "l", {"alpha": 0.3}), ("GlobalAveragePool", "l", "y", {})],
        W | {"s": drawn(4, 1, 1)},
        "CONV(K=4, F=3, S=1, P=0, bias=no) -> PRELU -> PRELU -> POOL(average, F=all)",
    ),
    "windows of width and height": (
        [
            ("Conv", "x w", "c", {"strides": (2, 1), "pads": (1, 0, 1, 0)}),
            ("MaxPool", "c", "p", {"kernel_shape": (2, 1), "strides": (2, 1), "pads": (0, 0, 1, 0)}),
            ("GlobalMaxPool", "p", "y", {}),
        ],
        {"w": drawn(4, 3, 3, 2)},
        "CONV(K=4, F=2x3, S=1x2, P=0x1, round=floor, bias=no) -> POOL(max, F=1x2, S=1x2, P=0, round=ceil)"
        " -> POOL(max, F=all)",
    ),
    "squeeze and excitation, and the product with its own sigmoid": (
        [
            CONV,
            ("GlobalAveragePool", "c", "g", {}),
            ("Conv", "g v", "v1", {}),
            ("Sigmoid", "v1", "s", {}),
            ("Mul", "c s", "m", {}),
            ("Sigmoid", "m", "t", {}),
            ("Mul", "m t", "u", {}),
            ("GlobalMaxPool", "u", "y", {}),
        ],
        W | {"v": drawn(4, 4, 1, 1)},
        "CONV(K=4, F=3, S=1, P=0, bias=no) -> (SKIP * POOL(average, F=all) -> CONV(K=4, F=1, S=1, P=0, bias=no)"
        " -> SIGMOID) -> (SKIP * SIGMOID) -> POOL(max, F=all)",
    ),
    "a softmax and dropout, which are left out": (
        [CONV, ("GlobalMaxPool", "c", "g", {}), ("Softmax", "g", "s", {"axis": 1}), ("Squeeze", "s a", "y", {})],
        W | {"a": whole(2, 3)},
        "CONV(K=4, F=3, S=1, P=0, bias=no) -> POOL(max, F=all)",
    ),
    "an FC that is not the last layer": (
        [("Flatten", "x", "f", {}), ("Gemm", "f w", "g", {}), ("Reshape", "g s", "r", {}), ("Conv", "r v", "y", {})],
        {"w": drawn(90, 5), "s": whole(-1, 5, 1, 1), "v": drawn(4, 5, 1, 1)},
        "FC(5) -> CONV(K=4, F=1, S=1, P=0, bias=no)",
    ),
}


@pytest.mark.parametrize("name", READ)
def test_what_exporters_write_is_read(name, tmp_path):
    nodes, constants, text = READ[name]
    model = model_of(nodes, constants)
    loaded = load_network(written(model, tmp_path), pixel_mean=0, pixel_std=1)
    expected = Architecture.parse(f"INPUT -> {text}").bind(loaded.image_shape_, len(loaded.classes_))
    assert loaded.architecture_ == expected
    x = np.random.default_rng(1).uniform(-1, 1, (3, 3, 6, 5)).astype(np.float32)
    answers = run(model, x)["y"].reshape(3, 4 if len(loaded.classes_) == 4 else -1)
    is_last = nodes[0][0] == "Transpose"
    scores = loaded.decision_function(x if is_last else x.transpose(0, 2, 3, 1))
    if any(node[0] == "Softmax" for node in nodes):
        scores = loaded.predict_proba(x.transpose(0, 2, 3, 1))
    np.testing.assert_allclose(scores, answers, rtol=1e-5, atol=1e-5)


def test_a_standardisation_in_front_becomes_pixel_statistics(tmp_path):
    nodes = [("Div", "x d", "x1", {}), ("Sub", "x1 m", "x2", {}), ("Div", "x2 s", "x3", {}), ("Conv", "x3 w", "c", {})]
    constants = W | {
        "d": np.float32(255),
        "m": np.full((1, 3, 1, 1), 0.5, np.float32),
        "s": np.full((3, 1, 1), 0.25, "f4"),
    }
    *_, mean, scale = read_onnx(written(model_of([*nodes, *POOLED], constants), tmp_path))
    np.testing.assert_allclose(mean, np.full(3, 127.5), rtol=1e-6)
    np.testing.assert_allclose(scale, np.full(3, 4 / 255), rtol=1e-6)


SCORES = [("GlobalMaxPool", "c", "y", {})]
REFUSED = {
    "an unknown operator": ([("Einsum", "x w", "y", {})], W, "Einsum cannot be read: the notation has no layer"),
    "an operator with the name of a method": ([("_subclasshook__", "x", "y", {})], {}, "the notation has no layer"),
    "an operator of another domain": ([("my.Conv", "x w", "y", {})], W, "my.Conv cannot be read"),
    "a quantised operator": ([("QLinearConv", "x w", "c", {}), *SCORES], W, "Export the network in float32"),
    "weights that are computed": ([("Conv", "x x", "c", {}), *SCORES], {}, "filters are computed from the images"),
    "weights that are not finite": (
        [CONV, *SCORES],
        {"w": W["w"] * np.float32(np.nan)},
        "filters have NaN or infinity",
    ),
    "weights of integers": ([CONV, *SCORES], {"w": np.ones((4, 3, 3, 3), np.int8)}, "filters have the type int8"),
    "weights for other images": ([CONV, *SCORES], {"w": drawn(4, 5, 3, 3)}, "filters have the depth 5 in 1 groups"),
    "uneven padding": (
        [("Conv", "x w", "c", {"pads": (1, 1, 0, 0)}), *SCORES],
        W,
        "neither round=floor nor round=ceil",
    ),
    "zeros in front of another layer": (
        [("Pad", "x p", "z", {}), ("MaxPool", "z", "y", {"kernel_shape": (2, 2)})],
        {"p": whole(0, 0, 0, 0, 0, 0, 1, 1)},
        "comes after a Pad",
    ),
    "a shuffle": ([CONV, ("Reshape", "c s", "y", {})], W | {"s": whole(-1, 2, 2, 4, 3)}, "neither volumes nor rows"),
    "a pool of other axes": (
        [CONV, ("Transpose", "c", "t", {"perm": (0, 2, 3, 1)}), ("GlobalMaxPool", "t", "y", {})],
        W,
        "channels have to come first",
    ),
    "an attribute of another kind": ([("Transpose", "x", "y", {"perm": 3})], {}, "inputs or attributes do not fit it"),
    "a transpose": ([CONV, ("Transpose", "c", "y", {"perm": (0, 1, 3, 2)})], W, "no change of layout"),
    "a softmax inside": ([CONV, *SCORES[:0], ("Softmax", "c", "y", {})], W, "it is not over the channels of"),
    "a layer behind a softmax": (
        [CONV, ("GlobalMaxPool", "c", "g", {}), ("Softmax", "g", "s", {"axis": 1}), ("Relu", "s", "y", {})],
        W,
        "it comes after a softmax",
    ),
    "a difference": ([CONV, ("Relu", "c", "r", {}), ("Sub", "c r", "y", {})], W, "no difference of branches"),
    "another clip": ([CONV, ("Clip", "c", "y", {})], W, "clips to None and None"),
    "a normalisation of each channel": (
        [CONV, ("InstanceNormalization", "c b b", "y", {})],
        W | {"b": drawn(4)},
        "normalises each channel of an image by itself",
    ),
    "erf alone": ([CONV, ("Erf", "c", "e", {}), ("GlobalMaxPool", "e", "y", {})], W, "erf only as part of GELU"),
    "a window that is too large": (
        [("Conv", "x w", "y", {})],
        {"w": drawn(4, 3, 7, 7)},
        "larger than its padded input",
    ),
    "an average of padding behind the image alone": (
        [
            CONV,
            (
                "AveragePool",
                "c",
                "y",
                {"kernel_shape": (3, 2), "strides": (2, 2), "pads": (0, 0, 1, 1), "count_include_pad": 1},
            ),
        ],
        W,
        "average counts 1 zeros behind its input",
    ),
    "branches that cross": (
        [
            CONV,
            ("Relu", "c", "a", {}),
            ("Tanh", "c", "b", {}),
            ("Add", "a b", "s", {}),
            ("Sigmoid", "b", "t", {}),
            ("Add", "s t", "u", {}),
            ("GlobalMaxPool", "u", "y", {}),
        ],
        W,
        "node 'b' of the operator Tanh cannot be read: its value is used by two branches",
    ),
    "volumes instead of scores": ([("Conv", "x w", "y", {})], W, r"its output 'y' is \[3x4x4\]"),
    "a value that nothing computes": ([("Conv", "z w", "y", {})], W, "input 'z' is not computed before it"),
    "a constant shape of too many axes": (
        [("ConstantOfShape", "n", "k", {}), ("Mul", "x k", "y", {})],
        {"n": np.ones(65, np.int64)},
        "it has 65 extents or axes, and at most 64 are read",
    ),
    "a computed shape of too many axes": (
        [("ConstantOfShape", "n", "k", {}), ("Reshape", "x k", "y", {})],
        {"n": whole(2**24)},
        "it has 16777216 extents or axes",
    ),
    "too many axes": (
        [("ConstantOfShape", "n", "k", {}), ("Unsqueeze", "x k", "y", {})],
        {"n": whole(2**24)},
        "it has 16777216 extents or axes",
    ),
    "too many branches": ([CONV, ("Concat", "c " * 10_001, "y", {"axis": 1})], W, "10001 branches meet in it"),
    "a sum of texts": (
        [("Add", "t t", "u", {}), ("Reshape", "x u", "y", {})],
        {"t": np.array(["a"], object)},
        "texts are no numbers",
    ),
    "a long shape, which the message shortens": (
        [CONV, ("Transpose", "c", "y", {"perm": (0,) * 1000})],
        W,
        r"into the order \((0, ){100,200}0?\.\.\.$",
    ),
    "an output without images": ([("Identity", "w", "y", {})], W, "does not depend on its input"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_the_notation_has_not_is_refused(name, tmp_path):
    nodes, constants, message = REFUSED[name]
    with pytest.raises(ValueError, match=message):
        read_onnx(written(model_of(nodes, constants), tmp_path))


def test_constants_that_take_too_much_memory_together_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(operators, "MAX_NUMBERS", 250)
    nodes = [("ConstantOfShape", "s", "a", {}), ("Transpose", "a", "b", {}), ("Add", "a a", "w0", {})]
    for n_sums in (1, 2, 3):
        nodes += [("Add", f"w{n_sums - 1} a", f"w{n_sums}", {})]
        network = [*nodes, ("Flatten", "x", "f", {}), ("Gemm", f"f w{n_sums}", "y", {})]
        path = written(model_of(network, {"s": whole(30, 2)}, ("n", 30)), tmp_path)
        if n_sums == 1:
            assert read_onnx(path)[1].coefs[0].shape == (30, 2)
    with pytest.raises(ValueError, match=r"operator Gemm .* more than 250 learned and computed numbers"):
        read_onnx(path)


def test_graphs_that_are_too_long_are_refused(tmp_path):
    long = [("Relu", f"r{number}" if number else "x", f"r{number + 1}", {}) for number in range(10_001)]
    with pytest.raises(ValueError, match="at most 10000 are read"):
        read_onnx(written(model_of([*long, ("Identity", "r10001", "y", {})], {}), tmp_path))


def test_the_size_of_images_is_asked_for(tmp_path):
    path = written(model_of([CONV, *POOLED], W, shape=("n", 3, "h", "w")), tmp_path)
    with pytest.raises(ValueError, match=r"Pass image_shape=\(height, width, channels\)"):
        read_onnx(path)
    assert read_onnx(path, (9, 8, 3))[0].image_shape == (9, 8, 3)
    with pytest.raises(ValueError, match="its images have 3 channels"):
        read_onnx(path, (9, 8, 1))
