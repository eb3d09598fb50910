"""Converters of the estimators for skl2onnx, which makes one ONNX graph of a whole pipeline."""

from dataclasses import replace

import numpy as np

from skconvnet.engine import cut_behind
from skconvnet.estimators.classifier import ConvNetClassifier
from skconvnet.estimators.features import ConvNetFeatures
from skconvnet.estimators.fitted import stored_network
from skconvnet.estimators.mirroring import refuse_averaging
from skconvnet.estimators.regressor import ConvNetRegressor
from skconvnet.interchange.onnx.writer import OPSET, GraphWriter


def register_skl2onnx():
    """Register `ConvNetClassifier`, `ConvNetRegressor` and `ConvNetFeatures` with skl2onnx.

    Afterwards `skl2onnx.to_onnx` converts pipelines and searches that contain them to one graph.

    Raises
    ------
    ImportError
        If skl2onnx is not installed.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from sklearn.pipeline import make_pipeline
    >>> from sklearn.preprocessing import MinMaxScaler
    >>> from skconvnet import ConvNetClassifier, register_skl2onnx
    >>> X, y = load_digits(return_X_y=True)
    >>> classifier = ConvNetClassifier(K=8, max_iter=1, random_state=0)
    >>> pipeline = make_pipeline(MinMaxScaler(), classifier).fit(X, y)
    >>> from skl2onnx import to_onnx  # doctest: +SKIP
    >>> register_skl2onnx()  # doctest: +SKIP
    >>> model = to_onnx(pipeline, X[:1].astype("float32"), options={"zipmap": False})  # doctest: +SKIP
    >>> [output.name for output in model.graph.output]  # doctest: +SKIP
    ['label', 'probabilities']
    """
    try:
        from skl2onnx import update_registered_converter
    except ImportError as error:
        raise ImportError("register_skl2onnx needs skl2onnx, which is not installed: pip install skl2onnx") from error
    update_registered_converter(
        ConvNetClassifier,
        "SkconvnetConvNetClassifier",
        _declare_classifier,
        _convert_classifier,
        options={"zipmap": [True, False, "columns"], "output_class_labels": [False, True], "nocl": [False]},
    )
    update_registered_converter(ConvNetRegressor, "SkconvnetConvNetRegressor", _declare_regressor, _convert_regressor)
    update_registered_converter(ConvNetFeatures, "SkconvnetConvNetFeatures", _declare_features, _convert_features)


def _declare_classifier(operator):
    """Declare the types and shapes of labels and probabilities."""
    from skl2onnx.common.data_types import FloatTensorType, Int64TensorType, StringTensorType

    n, classes = operator.inputs[0].get_first_dimension(), _classes(operator.raw_operator)
    labels, probabilities = operator.outputs
    shape = [n, len(classes)] if operator.raw_operator.multilabel_ else [n]
    labels.set_type((StringTensorType if classes.dtype.kind == "O" else Int64TensorType)(shape))
    probabilities.set_type(FloatTensorType([n, len(classes)]))


def _convert_classifier(scope, operator, container):
    """Add the nodes from pixels to labels and probabilities."""
    _convert(scope, operator, container, _classes(operator.raw_operator))


def _declare_regressor(operator):
    """Declare the type and shape of the numbers."""
    from skl2onnx.common.data_types import FloatTensorType

    n, n_outputs = operator.inputs[0].get_first_dimension(), operator.raw_operator.n_outputs_
    operator.outputs[0].set_type(FloatTensorType([n, n_outputs]))


def _convert_regressor(scope, operator, container):
    """Add the nodes from pixels to numbers."""
    _convert(scope, operator, container, None)


def _convert(scope, operator, container, classes):
    """Add the nodes from pixels to the outputs of an estimator."""
    refuse_averaging(operator.raw_operator, "an ONNX graph")
    stored = stored_network(operator.raw_operator)
    writer = _writer(scope, stored)
    scores = writer.scores(stored, *_pixels(operator))
    writer.outputs(stored, scores, classes, *(output.full_name for output in operator.outputs))
    _add(writer, container)


def _declare_features(operator):
    """Declare the type and shape of the features."""
    from skl2onnx.common.data_types import FloatTensorType

    n_features = operator.raw_operator.volume_.size
    operator.outputs[0].set_type(FloatTensorType([operator.inputs[0].get_first_dimension(), n_features]))


def _convert_features(scope, operator, container):
    """Add the nodes from pixels to the activations of the layer, in the order of rows, columns, depth."""
    features = operator.raw_operator
    stored = stored_network(features.estimator_)
    architecture, learned = cut_behind(stored.architecture, stored.learned, features.layer_)
    stored = replace(stored, architecture=architecture, learned=learned)
    writer = _writer(scope, stored)
    volume = writer.as_volume(writer.network(stored, *_pixels(operator)), features.volume_.depth, "features")
    last = writer.node("Transpose", volume, perm=(0, 2, 3, 1))
    writer.node("Flatten", last, output=operator.outputs[0].full_name)
    _add(writer, container)


def _writer(scope, stored):
    """Return a writer whose names are unique in the graph."""
    return GraphWriter(stored.learned, f"{scope.get_unique_variable_name('skconvnet')} ")


def _pixels(operator):
    """Return the name of the input, and whether it has to be brought to the shape of images."""
    pixels = operator.inputs[0]
    return pixels.full_name, len(pixels.type.shape) != 4


def _classes(classifier):
    """Return the labels as skl2onnx has them: whole numbers of 64 bits, or texts."""
    classes = classifier.classes_
    whole = classes.astype(np.int64) if classes.dtype.kind in "biuf" else None
    if whole is not None and (whole == classes).all():
        return whole
    if all(isinstance(label, str) for label in classes.tolist()):
        return classes.astype(object)
    raise ValueError(
        f"The labels have dtype {classes.dtype}, such as {classes[0]!r}, and skl2onnx has only whole numbers and "
        "texts. Fit with labels of one of these types."
    )


def _add(writer, container):
    """Add what a writer has written to the graph of skl2onnx, which checks the version of each operator."""
    from onnx.defs import has
    from onnx.helper import get_attribute_value

    opset = container.target_opset_any_domain("")
    for node in writer.nodes:
        if opset is not None and not has(node.op_type, opset):
            raise ValueError(
                f"{node.name.removeprefix(writer.prefix)} needs the operator {node.op_type}, which version {opset} of "
                f"ONNX's operators has not. Pass target_opset={OPSET} to skl2onnx.to_onnx."
            )
    container.initializers.extend(writer.constants)
    for node in writer.nodes:
        attributes = {attribute.name: get_attribute_value(attribute) for attribute in node.attribute}
        container.add_node(node.op_type, list(node.input), list(node.output), name=node.name, **attributes)
