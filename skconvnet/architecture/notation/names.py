"""The names that other libraries use for layers, and what the notation has in their place."""

NOT_WRITTEN = {
    "ACTIVATION": "an activation function is a layer of its own, as in CONV -> RELU",
    "FLATTEN": "FC reads the whole volume, so nothing is flattened",
    "SOFTMAX": "the loss and predict_proba apply it to the scores of the last FC",
    "LOGSOFTMAX": "the loss and predict_log_proba apply it to the scores of the last FC",
    "OUTPUT": "the last FC, or CONV(K=classes) -> POOL(average, F=all), is the output",
}
WRITTEN = {
    "CONV2D": "CONV",
    "DENSE": "FC",
    "LINEAR": "FC",
    "MAXPOOL": "POOL",
    "MAXPOOLING": "POOL",
    "AVGPOOL": "POOL(average)",
    "AVERAGEPOOL": "POOL(average)",
    "AVERAGEPOOLING": "POOL(average)",
    "GAP": "POOL(average, F=all)",
    "GLOBALPOOL": "POOL(average, F=all)",
    "GLOBALAVGPOOL": "POOL(average, F=all)",
    "GLOBALAVERAGEPOOL": "POOL(average, F=all)",
    "ADAPTIVEAVGPOOL": "POOL(average, F=all)",
    "BN": "NORM(batch)",
    "BATCHNORM": "NORM(batch)",
    "BATCHNORMALIZATION": "NORM(batch)",
    "LAYERNORM": "NORM(layer)",
    "LRN": "NORM(lrn)",
    "DEPTHWISE": "CONV(groups=...), with as many groups as the input is deep,",
    "ADD": "(A + B)",
    "CONCAT": "(A | B)",
    "CONCATENATE": "(A | B)",
    "IDENTITY": "SKIP, as a branch in (A + SKIP),",
    "SWISH": "(SKIP * SIGMOID)",
    "SILU": "(SKIP * SIGMOID)",
    "HARDSWISH": "HSWISH",
    "HARDSIGMOID": "HSIGMOID",
    "LEAKYRELU": "PRELU, which learns the slope,",
}
OPTIONS_ELSEWHERE = {"filters": "K", "out_channels": "K", "kernel_size": "F", "kernel": "F", "size": "F"}
OPTIONS_ELSEWHERE |= {"pool_size": "F", "stride": "S", "strides": "S", "padding": "P", "pad": "P", "use_bias": "bias"}
MISSING = ("ELU", "SELU", "CELU", "MISH", "SOFTPLUS", "SOFTSIGN", "GLU", "MAXOUT")  # not typing errors of RELU or GELU


def explain(name):
    """Return what to write for a layer of another library; None if the name is none.

    Case, underscores and a trailing 1d or 2d are ignored.

    Examples
    --------
    >>> explain("MaxPool2d"), explain("RELUU")
    ('MaxPool2d is written POOL here', None)
    >>> explain("SOFTMAX")
    'SOFTMAX is not written: the loss and predict_proba apply it to the scores of the last FC'
    """
    plain = name.upper().replace("_", "")
    for key in (plain, plain.removesuffix("2D"), plain.removesuffix("1D")):
        if key in NOT_WRITTEN:
            return f"{name} is not written: {NOT_WRITTEN[key]}"
        if key in WRITTEN:
            return f"{name} is written {WRITTEN[key]} here"
        if key in MISSING:
            return f"there is no {name} here; RELU, PRELU, HSWISH and GELU are similar"
    return None
