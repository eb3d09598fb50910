"""The case studies: networks of papers, as texts in the notation.

Comments give the row of the table in the paper and the output size. All numbers are written out, so hyperparameters do
not change a case study; only the number of classes comes from the data. Thanks to FC and POOL(F=all), the networks
accept images of other sizes that fit their arithmetic.
"""

from dataclasses import dataclass
from functools import partial


@dataclass(frozen=True)
class CaseStudy:
    """A network of a paper.

    Parameters
    ----------
    text : str
        The network in the notation.
    source : str
        Paper, and table or section.
    image_shape : tuple of int
        (height, width, channels) of the images in the paper.
    n_classes : int
        The number of classes in the paper.
    """

    text: str
    source: str
    image_shape: tuple[int, int, int]
    n_classes: int


_IMAGENET = {"image_shape": (224, 224, 3), "n_classes": 1000}
_CIFAR = {"image_shape": (32, 32, 3), "n_classes": 10}

# The usual simplification. In the paper each filter of C3 sees only some slices of S2, S2 and S4 learn a scale and a
# shift, and the output layer consists of radial basis functions.
_LENET5 = (
    "INPUT"
    " -> CONV(K=6, F=5, S=1, P=0) -> TANH"  # C1, 28x28
    " -> POOL(average, F=2, S=2, P=0)"  # S2, 14x14
    " -> CONV(K=16, F=5, S=1, P=0) -> TANH"  # C3, 10x10
    " -> POOL(average, F=2, S=2, P=0)"  # S4, 5x5
    " -> FC(120) -> TANH"  # C5
    " -> FC(84) -> TANH"  # F6
    " -> FC"
)

# groups=2 are the two towers of the paper: only CONV 3 and the FC layers see both. The images are 227x227, which fits
# the arithmetic, not 224x224 as in the paper. torchvision's AlexNet is another network, with one tower.
_ALEXNET = (
    "INPUT"
    " -> CONV(K=96, F=11, S=4, P=0) -> RELU"  # 55x55
    " -> NORM(lrn, size=5, alpha=0.0001, beta=0.75, k=2)"
    " -> POOL(max, F=3, S=2, P=0)"  # 27x27
    " -> CONV(K=256, F=5, S=1, P=2, groups=2) -> RELU"
    " -> NORM(lrn, size=5, alpha=0.0001, beta=0.75, k=2)"
    " -> POOL(max, F=3, S=2, P=0)"  # 13x13
    " -> CONV(K=384, F=3, S=1, P=1) -> RELU"
    " -> CONV(K=384, F=3, S=1, P=1, groups=2) -> RELU"
    " -> CONV(K=256, F=3, S=1, P=1, groups=2) -> RELU"
    " -> POOL(max, F=3, S=2, P=0)"  # 6x6
    " -> [FC(4096) -> RELU -> DROPOUT(0.5)]*2"
    " -> FC"
)

# The figure gives F, S and the sizes 110, 55, 26, 13, 6. With P=1 the first CONV gives (224 - 7 + 2)/2 + 1 = 110.5 and
# rounds down. The first two POOL give 54.5 and 12.5 and round up. The paper has no numbers for its contrast
# normalisation: those of AlexNet are used.
_ZFNET = (
    "INPUT"
    " -> CONV(K=96, F=7, S=2, P=1, round=floor) -> RELU"  # layer 1, 110x110
    " -> POOL(max, F=3, S=2, P=0, round=ceil)"  # 55x55
    " -> NORM(lrn, size=5, alpha=0.0001, beta=0.75, k=2)"
    " -> CONV(K=256, F=5, S=2, P=0) -> RELU"  # layer 2, 26x26
    " -> POOL(max, F=3, S=2, P=0, round=ceil)"  # 13x13
    " -> NORM(lrn, size=5, alpha=0.0001, beta=0.75, k=2)"
    " -> CONV(K=384, F=3, S=1, P=1) -> RELU"  # layer 3, 13x13
    " -> CONV(K=384, F=3, S=1, P=1) -> RELU"  # layer 4, 13x13
    " -> CONV(K=256, F=3, S=1, P=1) -> RELU"  # layer 5, 13x13
    " -> POOL(max, F=3, S=2, P=0, round=ceil)"  # 6x6
    " -> FC(4096) -> RELU -> DROPOUT(0.5)"  # layer 6
    " -> FC(4096) -> RELU -> DROPOUT(0.5)"  # layer 7
    " -> FC"
)


def vgg(*counts, normalised=False):
    """Return the text of a VGGNet.

    Parameters
    ----------
    *counts : int
        The number of CONV in each of the five stages, of 224x224 to 14x14.
    normalised : bool, default=False
        Whether NORM follows each CONV. In the paper there is none.

    Returns
    -------
    str

    Examples
    --------
    >>> vgg(1, 1, 2, 2, 2).count("NORM"), vgg(1, 1, 2, 2, 2, normalised=True).count("NORM")
    (0, 5)
    """
    norm = " -> NORM" if normalised else ""
    stages = (
        f" -> [CONV(K={K}, F=3, S=1, P=1){norm} -> RELU]*{n} -> POOL(max, F=2, S=2, P=0)"
        for K, n in zip((64, 128, 256, 512, 512), counts, strict=True)
    )
    return f"INPUT{''.join(stages)} -> [FC(4096) -> RELU -> DROPOUT(0.5)]*2 -> FC"


def _inception(conv1, reduce3, conv3, reduce5, conv5, pool):
    """Return an inception module. The numbers of filters are in the order of the columns of the table."""
    return (
        f"(CONV(K={conv1}, F=1, S=1, P=0) -> RELU"
        f" | CONV(K={reduce3}, F=1, S=1, P=0) -> RELU -> CONV(K={conv3}, F=3, S=1, P=1) -> RELU"
        f" | CONV(K={reduce5}, F=1, S=1, P=0) -> RELU -> CONV(K={conv5}, F=5, S=1, P=2) -> RELU"
        f" | POOL(max, F=3, S=1, P=1) -> CONV(K={pool}, F=1, S=1, P=0) -> RELU)"
    )


# Without the auxiliary classifiers, which are used only in training. Each POOL rounds up, as 55.5 to the 56 of the
# table. The paper has no numbers for its local response normalisation: those of AlexNet are used.
_GOOGLENET = (
    "INPUT"
    " -> CONV(K=64, F=7, S=2, P=3, round=floor) -> RELU"  # convolution, 112x112
    " -> POOL(max, F=3, S=2, P=0, round=ceil)"  # 56x56
    " -> NORM(lrn, size=5, alpha=0.0001, beta=0.75, k=2)"
    " -> CONV(K=64, F=1, S=1, P=0) -> RELU -> CONV(K=192, F=3, S=1, P=1) -> RELU"  # convolution, 56x56
    " -> NORM(lrn, size=5, alpha=0.0001, beta=0.75, k=2)"
    " -> POOL(max, F=3, S=2, P=0, round=ceil)"  # 28x28
    f" -> {_inception(64, 96, 128, 16, 32, 32)}"  # inception (3a), 28x28
    f" -> {_inception(128, 128, 192, 32, 96, 64)}"  # inception (3b), 28x28
    " -> POOL(max, F=3, S=2, P=0, round=ceil)"  # 14x14
    f" -> {_inception(192, 96, 208, 16, 48, 64)}"  # inception (4a), 14x14
    f" -> {_inception(160, 112, 224, 24, 64, 64)}"  # inception (4b), 14x14
    f" -> {_inception(128, 128, 256, 24, 64, 64)}"  # inception (4c), 14x14
    f" -> {_inception(112, 144, 288, 32, 64, 64)}"  # inception (4d), 14x14
    f" -> {_inception(256, 160, 320, 32, 128, 128)}"  # inception (4e), 14x14
    " -> POOL(max, F=3, S=2, P=0, round=ceil)"  # 7x7
    f" -> {_inception(256, 160, 320, 32, 128, 128)}"  # inception (5a), 7x7
    f" -> {_inception(384, 192, 384, 48, 128, 128)}"  # inception (5b), 7x7
    " -> POOL(average, F=all) -> DROPOUT(0.4)"
    " -> FC"
)


def _conv(K, F, S=1):
    """Return a CONV of a ResNet."""
    rounding = ", round=floor" if S > 1 else ""
    return f"CONV(K={K}, F={F}, S={S}, P={F // 2}{rounding}, bias=no)"


_IMAGENET_STEM = f"{_conv(64, 7, 2)} -> NORM -> RELU -> POOL(max, F=3, S=2, P=1, round=floor)"  # 112x112, 56x56
_CIFAR_STEM = f"{_conv(16, 3)} -> NORM -> RELU"  # 32x32


def _basic(K, S=1, projection=False):
    """Return a block of two CONV of 3x3."""
    shortcut = f"{_conv(K, 1, S)} -> NORM" if projection else "SKIP"
    return f"({_conv(K, 3, S)} -> NORM -> RELU -> {_conv(K, 3)} -> NORM + {shortcut}) -> RELU"


def _bottleneck(K, S=1, projection=False, strided=1):
    """Return a block of CONV of 1x1, 3x3 and 1x1. The first of the extent `strided` has the stride."""
    shortcut = f"{_conv(4 * K, 1, S)} -> NORM" if projection else "SKIP"
    first, second = (S, 1) if strided == 1 else (1, S)
    convs = (
        f"{_conv(K, 1, first)} -> NORM -> RELU -> {_conv(K, 3, second)} -> NORM -> RELU -> {_conv(4 * K, 1)} -> NORM"
    )
    return f"({convs} + {shortcut}) -> RELU"


def bottleneck_resnet(*counts, strided=1):
    """Return the text of a ResNet whose blocks are bottlenecks: CONV of 1x1, 3x3 and 1x1.

    Parameters
    ----------
    *counts : int
        The number of blocks in each of the four stages.
    strided : {1, 3}, default=1
        The F of the CONV that has the stride of a block. In the paper it is the first of 1x1, which gives ResNet-50 its
        3.8e9 multiply-adds. In torchvision it is the CONV of 3x3, with as many parameters and 4.1e9 multiply-adds.

    Returns
    -------
    str

    Examples
    --------
    >>> bottleneck_resnet(3, 4, 6, 3).count("F=1, S=2"), bottleneck_resnet(3, 4, 6, 3, strided=3).count("F=1, S=2")
    (6, 3)
    """
    return _resnet(_IMAGENET_STEM, partial(_bottleneck, strided=strided), 64, counts, first_projects=True)


def _resnet(stem, block, K, counts, first_projects=False):
    """Return the ResNet with these numbers of blocks in its stages. Each stage doubles the K of the one before.

    Where the depth changes, the shortcut is a projection: a CONV of 1x1 with NORM, option B in section 3.3. The paper's
    small networks fill the new depth with zeros (option A), which the notation cannot express and which saves 2,752
    parameters.
    """
    items = ["INPUT", stem]
    for stage, n in enumerate(counts):
        if stage > 0 or first_projects:
            items.append(block(K, 1 if stage == 0 else 2, projection=True))
            n -= 1
        items.append(f"[{block(K)}]*{n}" if n > 1 else block(K))
        K *= 2
    return " -> ".join([*items, "POOL(average, F=all)", "FC"])


def _preact_resnet18():
    """Return ResNet-18 with NORM and RELU before each CONV, so that a shortcut is the identity.

    As in the appendix of the paper, the NORM and RELU of the first block come right after conv1, and there are another
    two after the last sum. A projection shares the NORM and RELU of its block. The paper trains deeper networks.
    """
    items = ["INPUT", _IMAGENET_STEM, f"({_conv(64, 3)} -> NORM -> RELU -> {_conv(64, 3)} + SKIP)"]  # 56x56
    for K in (64, 128, 256, 512):  # 56x56, 28x28, 14x14, 7x7
        if K > 64:
            items.append(f"NORM -> RELU -> ({_conv(K, 3, 2)} -> NORM -> RELU -> {_conv(K, 3)} + {_conv(K, 1, 2)})")
        items.append(f"(NORM -> RELU -> {_conv(K, 3)} -> NORM -> RELU -> {_conv(K, 3)} + SKIP)")
    return " -> ".join([*items, "NORM", "RELU", "POOL(average, F=all)", "FC"])


_VGG_PAPER = "Simonyan and Zisserman, Very deep convolutional networks for large-scale image recognition, 2015, table 1"
_RESNET_PAPER = "He, Zhang, Ren and Sun, Deep residual learning for image recognition, 2016"


def _airbench94():
    """Return the network of airbench94, whose first CONV sees patches of 2x2 pixels.

    NORM learns a scale here, FC has biases, and the scores are not divided by 9. The recipe sets the first filters by
    the covariance of patches; here they are learned from random ones.
    """
    stages = (
        f"CONV(K={K}, F=3, S=1, P=1, bias=no) -> POOL(max, F=2, S=2, P=0, round=floor) -> NORM(eps=1e-12) -> GELU"
        f" -> CONV(K={K}, F=3, S=1, P=1, bias=no) -> NORM(eps=1e-12) -> GELU"
        for K in (64, 256, 256)  # 15x15, 7x7, 3x3
    )
    first, last = "CONV(K=24, F=2, S=1, P=0) -> GELU", "POOL(max, F=3, S=3, P=0, round=floor) -> FC"  # 31x31, 1x1
    return " -> ".join(("INPUT", first, *stages, last))


CASE_STUDIES = {
    "lenet5": CaseStudy(
        _LENET5,
        "LeCun, Bottou, Bengio and Haffner, Gradient-based learning applied to document recognition, 1998, figure 2",
        image_shape=(32, 32, 1),
        n_classes=10,
    ),
    "alexnet": CaseStudy(
        _ALEXNET,
        "Krizhevsky, Sutskever and Hinton, ImageNet classification with deep convolutional neural networks, 2012, "
        "section 3.5 and figure 2",
        image_shape=(227, 227, 3),
        n_classes=1000,
    ),
    "zfnet": CaseStudy(
        _ZFNET, "Zeiler and Fergus, Visualizing and understanding convolutional networks, 2014, figure 3", **_IMAGENET
    ),
    "vgg11": CaseStudy(vgg(1, 1, 2, 2, 2), f"{_VGG_PAPER}, column A", **_IMAGENET),
    "vgg13": CaseStudy(vgg(2, 2, 2, 2, 2), f"{_VGG_PAPER}, column B", **_IMAGENET),
    "vgg16": CaseStudy(vgg(2, 2, 3, 3, 3), f"{_VGG_PAPER}, column D", **_IMAGENET),
    "vgg19": CaseStudy(vgg(2, 2, 4, 4, 4), f"{_VGG_PAPER}, column E", **_IMAGENET),
    "googlenet": CaseStudy(
        _GOOGLENET, "Szegedy et al., Going deeper with convolutions, 2015, table 1 and figure 3", **_IMAGENET
    ),
    "resnet18": CaseStudy(
        _resnet(_IMAGENET_STEM, _basic, 64, (2, 2, 2, 2)), f"{_RESNET_PAPER}, table 1, 18-layer", **_IMAGENET
    ),
    "resnet34": CaseStudy(
        _resnet(_IMAGENET_STEM, _basic, 64, (3, 4, 6, 3)), f"{_RESNET_PAPER}, table 1, 34-layer", **_IMAGENET
    ),
    "resnet50": CaseStudy(bottleneck_resnet(3, 4, 6, 3), f"{_RESNET_PAPER}, table 1, 50-layer", **_IMAGENET),
    "resnet101": CaseStudy(bottleneck_resnet(3, 4, 23, 3), f"{_RESNET_PAPER}, table 1, 101-layer", **_IMAGENET),
    "resnet152": CaseStudy(bottleneck_resnet(3, 8, 36, 3), f"{_RESNET_PAPER}, table 1, 152-layer", **_IMAGENET),
    "preact_resnet18": CaseStudy(
        _preact_resnet18(),
        "He, Zhang, Ren and Sun, Identity mappings in deep residual networks, 2016, figure 4(e) and appendix",
        **_IMAGENET,
    ),
    "resnet20": CaseStudy(_resnet(_CIFAR_STEM, _basic, 16, (3, 3, 3)), f"{_RESNET_PAPER}, section 4.2, n=3", **_CIFAR),
    "resnet32": CaseStudy(_resnet(_CIFAR_STEM, _basic, 16, (5, 5, 5)), f"{_RESNET_PAPER}, section 4.2, n=5", **_CIFAR),
    "resnet56": CaseStudy(_resnet(_CIFAR_STEM, _basic, 16, (9, 9, 9)), f"{_RESNET_PAPER}, section 4.2, n=9", **_CIFAR),
    "airbench94": CaseStudy(
        _airbench94(), "Jordan, 94% on CIFAR-10 in 3.29 seconds on a single GPU, 2024, section 3", **_CIFAR
    ),
}
