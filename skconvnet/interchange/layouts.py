"""The layouts of PyTorch's libraries: what they call the layers of a network, and the shapes of their arrays.

Arrays are found by name, never by their order in a file, which is often alphabetical. The functions here name the
layers of a network that learn, in network order. They read the structure of the network, so that one function is enough
for all depths and widths of a family.
"""

from functools import partial

from skconvnet.architecture import ARCHITECTURES
from skconvnet.engine import Learned
from skconvnet.engine.program.target import CPU
from skconvnet.engine.weights.layout import lay_out_parameters, learning_layers
from skconvnet.interchange.weights import Wanted

__all__ = ["LAYOUTS", "library_name", "wanted_of_torch"]


def _sequential(bound):
    """AlexNet and VGGNet: the layers are numbered, those from the first FC or the DROPOUT before it on anew."""
    names, part, number = [], "features", 0
    learning = {layer.name for layer in learning_layers(bound)}
    for layer in bound.layers:
        if part == "features" and layer.kind in ("DROPOUT", "FC"):
            part, number = "classifier", 0
        if layer.name in learning:
            names.append(f"{part}.{number}")
        number += 1
    return names


def _timm_vgg(bound):
    """Return VGGNet in timm, where the first two FC are CONV."""
    *features, _, _, _ = _sequential(bound)
    return [*features, "pre_logits.fc1", "pre_logits.fc2", "head.fc"]


def _resnet(bound):
    """ResNet: a stage ends where the depth changes."""
    names, stage, block, depth = ["conv1", "bn1"], 0, 0, None
    for layer in _of_kind("SUM", bound):
        if layer.output.depth != depth:
            stage, block, depth = stage + 1, 0, layer.output.depth
        convs, shortcut = (len(_of_kind("CONV", branch)) for branch in layer.branches)
        parts = [f"{part}{number}" for number in range(1, convs + 1) for part in ("conv", "bn")]
        parts += ["downsample.0", "downsample.1"] * shortcut
        names += [f"layer{stage}.{block}.{part}" for part in parts]
        block += 1
    return [*names, "fc"]


def _densenet(bound):
    """DenseNet: a CONV between two stacks is a transition to the next block."""
    names, block, number = ["conv0", "norm0"], 1, 0
    for layer in bound.layers:
        if layer.kind == "STACK":
            number += 1
            parts = ("norm1", "conv1", "norm2", "conv2")
            names += [f"denseblock{block}.denselayer{number}.{part}" for part in parts]
        elif layer.kind == "CONV" and number:
            names += [f"transition{block}.norm", f"transition{block}.conv"]
            block, number = block + 1, 0
    return [*(f"features.{name}" for name in (*names, "norm5")), "classifier"]


def _googlenet(bound):
    """GoogLeNet, whose modules have the numbers of the paper's table."""
    modules = ["conv1", "conv2", "conv3"]
    for place in ("3a", "3b", "4a", "4b", "4c", "4d", "4e", "5a", "5b"):
        modules += [f"inception{place}.branch{branch}" for branch in ("1", "2.0", "2.1", "3.0", "3.1", "4.1")]
    return [*(f"{module}.{part}" for module in modules for part in ("conv", "bn")), "fc"]


def _squeezenet(bound):
    """SqueezeNet 1.1, in which POOL and RELU have numbers too."""
    fires = [f"features.{number}" for number in (3, 4, 6, 7, 9, 10, 11, 12)]
    parts = ("squeeze", "expand1x1", "expand3x3")
    return ["features.0", *(f"{fire}.{part}" for fire in fires for part in parts), "classifier.1"]


def _mobilenet(bound, three=("0.0", "0.1", "1.0", "1.1", "2", "3"), two=("0.0", "0.1", "1", "2")):
    """MobileNetV2. A block of two CONV, or of three, has the names of its parts from the arguments."""
    names, blocks = ["features.0.0", "features.0.1"], _inverted_blocks(bound)
    for number, block in enumerate(blocks, 1):
        names += [f"features.{number}.conv.{part}" for part in (two if len(block) == 2 else three)]
    return [*names, f"features.{len(blocks) + 1}.0", f"features.{len(blocks) + 1}.1", "classifier.1"]


def _old_mobilenet(bound):
    """MobileNetV2 as in the repository of tonylins, and in torchvision before 0.4."""
    return _mobilenet(bound, ("0", "1", "3", "4", "6", "7"), ("0", "1", "3", "4"))


def _timm_mobilenet(bound):
    """MobileNetV2 and EfficientNet-Lite in timm: a stage ends where the depth changes."""
    names, stage, number, depth = ["conv_stem", "bn1"], -1, 0, None
    for block in _inverted_blocks(bound):
        if block[-1].K != depth:
            stage, number, depth = stage + 1, 0, block[-1].K
        convs = ("conv_dw", "conv_pw") if len(block) == 2 else ("conv_pw", "conv_dw", "conv_pwl")
        names += [f"blocks.{stage}.{number}.{part}" for n, conv in enumerate(convs, 1) for part in (conv, f"bn{n}")]
        number += 1
    return [*names, "conv_head", "bn2", "classifier"]


def _efficientnet(bound):
    """EfficientNet in EfficientNet-PyTorch."""
    names = ["_conv_stem", "_bn0"]
    parts = ("_expand_conv", "_bn0", "_depthwise_conv", "_bn1", "_project_conv", "_bn2")
    for number, block in enumerate(_inverted_blocks(bound)):
        names += [f"_blocks.{number}.{part}" for part in parts[-2 * len(block) :]]
    return [*names, "_conv_head", "_bn1", "_fc"]


def _inverted_blocks(bound):
    """Return the CONV of each inverted residual block: one of 1x1 or none, one of each channel, and one of 1x1."""
    blocks, block = [], []
    for conv in [layer for layer in learning_layers(bound) if layer.kind == "CONV"][1:-1]:
        block.append(conv)
        if conv.groups == 1 and len(block) > 1:
            blocks.append(block)
            block = []
    return blocks


def _of_kind(kind, network):
    """Return the layers of a kind in a chain, without those in branches."""
    return [layer for layer in getattr(network, "layers", network) if layer.kind == kind]


_RESNETS = ("resnet18", "resnet34", "resnet50_torchvision", "resnet101_torchvision", "resnet152_torchvision")
_VGGS = [f"vgg{depth}{norm}" for depth in (11, 13, 16, 19) for norm in ("", "_bn")]

# The functions that name the layers, by layout and by architecture. The first names are the usual ones.
LAYOUTS = {
    "torchvision": {
        "squeezenet1_1": (_squeezenet,),
        "squeezenet1_1_padded": (_squeezenet,),
        "alexnet_torchvision": (_sequential,),
        **dict.fromkeys(_VGGS, (_sequential,)),
        "googlenet_torchvision": (_googlenet,),
        **dict.fromkeys(_RESNETS, (_resnet,)),
        "densenet121": (_densenet,),
        "mobilenet_v2": (_mobilenet, _old_mobilenet),
    },
    "timm": {
        **dict.fromkeys(_VGGS, (_timm_vgg,)),
        **dict.fromkeys(_RESNETS, (_resnet,)),
        "densenet121": (_densenet,),
        "mobilenet_v2": (_timm_mobilenet,),
        "efficientnet_lite0": (_timm_mobilenet,),
    },
    "efficientnet_pytorch": {"efficientnet_lite0": (_efficientnet,)},
}
_ALIASES = {"mobilenetv2_100": "mobilenet_v2", "tf_efficientnet_lite0": "efficientnet_lite0"}
_VARIANT = "_torchvision"  # how the zoo marks a network of a library that differs from the paper's of the same name


def library_name(name):
    """Return the name in `skconvnet.ARCHITECTURES` of the network that a library calls by this name.

    Parameters
    ----------
    name : str
        What torchvision or timm calls it.

    Returns
    -------
    str

    Examples
    --------
    >>> library_name("resnet18.a1_in1k"), library_name("mobilenetv2_100.ra_in1k")
    ('resnet18', 'mobilenet_v2')
    """
    plain = name.partition(".")[0]
    plain = _ALIASES.get(plain, plain)
    return f"{plain}{_VARIANT}" if f"{plain}{_VARIANT}" in ARCHITECTURES else plain


def wanted_of_torch(bound, names):
    """Return the arrays that a network needs from a file of PyTorch.

    Parameters
    ----------
    bound : BoundArchitecture
        The network.
    names : list of str
        The names of its layers that learn, in network order.

    Returns
    -------
    Learned of lists of Wanted or None
    """
    shapes, layers = lay_out_parameters(bound, CPU).shapes, learning_layers(bound)
    running = [(layer.name, name) for layer, name in zip(layers, names, strict=True) if _has_running(layer)]
    return Learned(
        [_weight(*one) for one in zip(layers, names, shapes.coefs, strict=True)],
        [
            None if shape == (0,) else Wanted(layer.name, f"{name}.bias", (shape,))
            for layer, name, shape in zip(layers, names, shapes.intercepts, strict=True)
        ],
        *(
            [
                Wanted(layer, f"{name}.{part}", (shape,))
                for (layer, name), shape in zip(running, shapes.means, strict=True)
            ]
            for part in ("running_mean", "running_var")
        ),
    )


def _has_running(layer):
    return layer.kind == "NORM" and layer.mode == "batch"


def _weight(layer, name, shape):
    """Return what is wanted for the weights of a layer: filters first, then channels, rows and columns."""
    if len(shape) == 1:
        return Wanted(layer.name, f"{name}.weight", (shape,))
    rows, columns, depth, K = shape if layer.kind == "CONV" else (*layer.window, layer.input.depth, layer.units)
    torch = (K, depth, rows, columns)
    accepted = (torch, (K, depth * rows * columns)) if layer.kind == "FC" else (torch,)
    return Wanted(layer.name, f"{name}.weight", accepted, partial(_channels_last, torch=torch, ours=shape))


def _channels_last(array, torch, ours):
    return array.reshape(torch).transpose(2, 3, 1, 0).reshape(ours)
