"""Networks whose pretrained weights libraries publish, as texts in the notation.

Names without a suffix are those of a library or a paper. A suffix tells a library's network from the case study of the
same name, from which it differs: `resnet50_torchvision` has as many parameters as `resnet50`, but other strides, so the
weights of one are wrong in the other. Networks of torchvision that do not differ are not repeated here: vgg11, vgg13,
vgg16, vgg19, resnet18 and resnet34.
"""

from functools import partial

from skconvnet.architecture.case_studies import CaseStudy, bottleneck_resnet, vgg

_IMAGENET = {"image_shape": (224, 224, 3), "n_classes": 1000}
_HALVED = "POOL(max, F=3, S=2, P=0, round=ceil)"

# One tower, where the paper has two; without NORM, and with DROPOUT before the FC layers rather than behind them.
_ALEXNET = (
    "INPUT"
    " -> CONV(K=64, F=11, S=4, P=2, round=floor) -> RELU"  # 55x55
    " -> POOL(max, F=3, S=2, P=0)"  # 27x27
    " -> CONV(K=192, F=5, S=1, P=2) -> RELU"
    " -> POOL(max, F=3, S=2, P=0)"  # 13x13
    " -> CONV(K=384, F=3, S=1, P=1) -> RELU"
    " -> CONV(K=256, F=3, S=1, P=1) -> RELU"
    " -> CONV(K=256, F=3, S=1, P=1) -> RELU"
    " -> POOL(max, F=3, S=2, P=0)"  # 6x6
    " -> [DROPOUT(0.5) -> FC(4096) -> RELU]*2"
    " -> FC"
)


def _unit(K, F, S=1, norm="NORM", relu="RELU", groups=1, rounding="floor"):
    """Return a CONV without biases that keeps height and width or divides them by S, NORM and an activation function.

    Where S=2 does not divide them, "floor" has as much padding on each side, and "ceil" pads for even sizes as
    TensorFlow does: one zero more behind the volume than before it.
    """
    P, rounded = F // 2, ""
    if S > 1:
        P, rounded = P - (rounding == "ceil"), f", round={rounding}"
    grouped = f", groups={groups}" if groups > 1 else ""
    return f"CONV(K={K}, F={F}, S={S}, P={P}{grouped}{rounded}, bias=no) -> {norm} -> {relu}"


def _inception(conv1, reduce3, conv3, reduce5, conv5, pool):
    """Return an inception module with NORM, whose numbers of filters are those of the paper's table.

    The CONV of 5x5 in the paper have F=3, by a mistake that torchvision keeps since it has the weights of it.
    """
    unit = partial(_unit, norm="NORM(eps=0.001)")
    return (
        f"({unit(conv1, 1)} | {unit(reduce3, 1)} -> {unit(conv3, 3)} | {unit(reduce5, 1)} -> {unit(conv5, 3)}"
        f" | POOL(max, F=3, S=1, P=1) -> {unit(pool, 1)})"
    )


def _googlenet():
    """Return GoogLeNet with NORM after each CONV, without the auxiliary classifiers, which only train."""
    unit = partial(_unit, norm="NORM(eps=0.001)")
    items = [
        f"INPUT -> {unit(64, 7, 2)} -> {_HALVED} -> {unit(64, 1)} -> {unit(192, 3)} -> {_HALVED}",  # 28x28
        _inception(64, 96, 128, 16, 32, 32),  # 3a
        _inception(128, 128, 192, 32, 96, 64),  # 3b
        _HALVED,  # 14x14
        _inception(192, 96, 208, 16, 48, 64),  # 4a
        _inception(160, 112, 224, 24, 64, 64),  # 4b
        _inception(128, 128, 256, 24, 64, 64),  # 4c
        _inception(112, 144, 288, 32, 64, 64),  # 4d
        _inception(256, 160, 320, 32, 128, 128),  # 4e
        "POOL(max, F=2, S=2, P=0, round=ceil)",  # 7x7
        _inception(256, 160, 320, 32, 128, 128),  # 5a
        _inception(384, 192, 384, 48, 128, 128),  # 5b
        "POOL(average, F=all) -> DROPOUT(0.2) -> FC",
    ]
    return " -> ".join(items)


def _fire(squeeze, expand):
    """Return a fire module: a CONV of 1x1, and behind it as many filters of 1x1 as of 3x3."""
    expanded = f"(CONV(K={expand}, F=1, S=1, P=0) -> RELU | CONV(K={expand}, F=3, S=1, P=1) -> RELU)"
    return f"CONV(K={squeeze}, F=1, S=1, P=0) -> RELU -> {expanded}"


def _squeezenet1_1(P):
    """Return SqueezeNet 1.1 with this P in its first CONV."""
    items = [
        f"INPUT -> CONV(K=64, F=3, S=2, P={P}, round=floor) -> RELU",  # 111x111 if P=0
        _HALVED,  # 55x55
        *[_fire(16, 64)] * 2,
        _HALVED,  # 27x27
        *[_fire(32, 128)] * 2,
        _HALVED,  # 13x13
        *[_fire(48, 192)] * 2,
        *[_fire(64, 256)] * 2,
        "DROPOUT(0.5) -> CONV(K=classes, F=1, S=1, P=0) -> RELU -> POOL(average, F=all)",
    ]
    return " -> ".join(items)


def _densenet(*counts, growth=32, depth=64):
    """Return the DenseNet with these numbers of layers in its blocks. Each adds `growth` slices to the `depth`."""
    items = [f"INPUT -> {_unit(depth, 7, 2)} -> POOL(max, F=3, S=2, P=1, round=floor)"]  # 112x112, 56x56
    layer = f"NORM -> RELU -> {_unit(4 * growth, 1)} -> CONV(K={growth}, F=3, S=1, P=1, bias=no)"
    for block, n in enumerate(counts):
        if block > 0:
            depth //= 2
            items.append(f"NORM -> RELU -> CONV(K={depth}, F=1, S=1, P=0, bias=no)")
            items.append("POOL(average, F=2, S=2, P=0, round=floor)")
        items.append(f"[(SKIP | {layer})]*{n}")
        depth += n * growth
    return " -> ".join([*items, "NORM -> RELU -> POOL(average, F=all) -> FC"])


def _inverted(depth, K, F, S, expansion, norm, unit):
    """Return an inverted residual: a wide CONV of 1x1, a filter for each channel, and K of 1x1 without RELU6."""
    wide = expansion * depth
    first = f"{unit(wide, 1)} -> " if expansion > 1 else ""
    chain = f"{first}{unit(wide, F, S, groups=wide)} -> CONV(K={K}, F=1, S=1, P=0, bias=no) -> {norm}"
    return f"({chain} + SKIP)" if S == 1 and depth == K else chain


def _inverted_residuals(stages, norm, rounding):
    """Return the network of inverted residuals with these stages, each (expansion, F, S, K, number of blocks)."""
    unit, depth = partial(_unit, norm=norm, relu="RELU6", rounding=rounding), 32
    items = [f"INPUT -> {unit(depth, 3, 2)}"]
    for expansion, F, S, K, n in stages:
        items.append(_inverted(depth, K, F, S, expansion, norm, unit))
        more = _inverted(K, K, F, 1, expansion, norm, unit)
        items += [f"[{more}]*{n - 1}"] if n > 1 else []
        depth = K
    return " -> ".join([*items, unit(1280, 1), "POOL(average, F=all) -> DROPOUT(0.2) -> FC"])


_MOBILENET_V2 = _inverted_residuals(
    [
        (1, 3, 1, 16, 1),  # 112x112
        (6, 3, 2, 24, 2),  # 56x56
        (6, 3, 2, 32, 3),  # 28x28
        (6, 3, 2, 64, 4),  # 14x14
        (6, 3, 1, 96, 3),
        (6, 3, 2, 160, 3),  # 7x7
        (6, 3, 1, 320, 1),
    ],
    norm="NORM",
    rounding="floor",
)

# EfficientNet-B0 without its gates, and with RELU6 in place of x SIGMOID(x).
_EFFICIENTNET_LITE0 = _inverted_residuals(
    [
        (1, 3, 1, 16, 1),  # 112x112
        (6, 3, 2, 24, 2),  # 56x56
        (6, 5, 2, 40, 2),  # 28x28
        (6, 3, 2, 80, 3),  # 14x14
        (6, 5, 1, 112, 3),
        (6, 5, 2, 192, 4),  # 7x7
        (6, 3, 1, 320, 1),
    ],
    norm="NORM(momentum=0.01, eps=0.001)",
    rounding="ceil",
)

_TORCHVISION = "as in torchvision"
_VGG = "Simonyan and Zisserman, Very deep convolutional networks for large-scale image recognition, 2015, table 1"
_RESNET = "He, Zhang, Ren and Sun, Deep residual learning for image recognition, 2016, table 1"
_SQUEEZENET = (
    "Iandola et al., SqueezeNet: AlexNet-level accuracy with 50x fewer parameters and <0.5MB model size, 2016, version "
    "1.1 of the authors' files"
)

PUBLISHED = {
    "alexnet_torchvision": CaseStudy(
        _ALEXNET,
        f"Krizhevsky, One weird trick for parallelizing convolutional neural networks, 2014, {_TORCHVISION}",
        **_IMAGENET,
    ),
    "vgg11_bn": CaseStudy(
        vgg(1, 1, 2, 2, 2, normalised=True), f"{_VGG}, column A, with NORM {_TORCHVISION}", **_IMAGENET
    ),
    "vgg13_bn": CaseStudy(
        vgg(2, 2, 2, 2, 2, normalised=True), f"{_VGG}, column B, with NORM {_TORCHVISION}", **_IMAGENET
    ),
    "vgg16_bn": CaseStudy(
        vgg(2, 2, 3, 3, 3, normalised=True), f"{_VGG}, column D, with NORM {_TORCHVISION}", **_IMAGENET
    ),
    "vgg19_bn": CaseStudy(
        vgg(2, 2, 4, 4, 4, normalised=True), f"{_VGG}, column E, with NORM {_TORCHVISION}", **_IMAGENET
    ),
    "googlenet_torchvision": CaseStudy(
        _googlenet(), f"Szegedy et al., Going deeper with convolutions, 2015, with NORM {_TORCHVISION}", **_IMAGENET
    ),
    "resnet50_torchvision": CaseStudy(
        bottleneck_resnet(3, 4, 6, 3, strided=3), f"{_RESNET}, 50-layer, with strides {_TORCHVISION}", **_IMAGENET
    ),
    "resnet101_torchvision": CaseStudy(
        bottleneck_resnet(3, 4, 23, 3, strided=3), f"{_RESNET}, 101-layer, with strides {_TORCHVISION}", **_IMAGENET
    ),
    "resnet152_torchvision": CaseStudy(
        bottleneck_resnet(3, 8, 36, 3, strided=3), f"{_RESNET}, 152-layer, with strides {_TORCHVISION}", **_IMAGENET
    ),
    "squeezenet1_1": CaseStudy(_squeezenet1_1(0), f"{_SQUEEZENET} and of torchvision", **_IMAGENET),
    "squeezenet1_1_padded": CaseStudy(
        _squeezenet1_1(1), f"{_SQUEEZENET}, as some libraries run it: with P=1 in the first CONV", **_IMAGENET
    ),
    "densenet121": CaseStudy(
        _densenet(6, 12, 24, 16),
        "Huang, Liu, van der Maaten and Weinberger, Densely connected convolutional networks, 2017, table 1",
        **_IMAGENET,
    ),
    "mobilenet_v2": CaseStudy(
        _MOBILENET_V2,
        "Sandler et al., MobileNetV2: inverted residuals and linear bottlenecks, 2018, table 2",
        **_IMAGENET,
    ),
    "efficientnet_lite0": CaseStudy(
        _EFFICIENTNET_LITE0,
        "Tan and Le, EfficientNet: rethinking model scaling for convolutional neural networks, 2019, table 1, and the "
        "authors' EfficientNet-Lite, 2020",
        **_IMAGENET,
    ),
}
