"""The case studies: networks as their papers have them, each one text in the notation.

A line of a text is a row of the paper's table, with the row's name and output size beside it. Every number is spelled,
so that no hyperparameter of the constructor alters a case study; the classes alone come from the data, and with FC and
POOL(F=all) the networks take images of other sizes where their arithmetic comes out.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class CaseStudy:
    """A network of a paper.

    Parameters
    ----------
    text : str
        In the notation.
    source : str
        Paper, table or section.
    image_shape : tuple of int
        (height, width, channels) of the paper's images.
    n_classes : int
        The paper's.
    """

    text: str
    source: str
    image_shape: tuple[int, int, int]
    n_classes: int


_IMAGENET = {"image_shape": (224, 224, 3), "n_classes": 1000}
_CIFAR = {"image_shape": (32, 32, 3), "n_classes": 10}

# As commonly given. In the paper C3 is connected to some slices of S2 only, S2 and S4 learn a scale and a shift, and
# the output is of radial basis functions.
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

# The paper's two towers are groups=2: only CONV 3 and the FC see both. At 227x227, where the arithmetic comes out,
# instead of the 224x224 of the text; PyTorch's one tower is another network, of 61,100,840 parameters.
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

# The figure gives F, S and the sizes 110, 55, 26, 13, 6. With P=1 the first CONV has (224 - 7 + 2)/2 + 1 = 110.5, so
# down; the first two POOL have 54.5 and 12.5, so up. "Contrast normalised across feature maps" comes without numbers:
# they are AlexNet's.
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

_VGG11 = (  # column A
    "INPUT"
    " -> [CONV(K=64, F=3, S=1, P=1) -> RELU]*1"  # conv3-64, 224x224
    " -> POOL(max, F=2, S=2, P=0)"
    " -> [CONV(K=128, F=3, S=1, P=1) -> RELU]*1"  # conv3-128, 112x112
    " -> POOL(max, F=2, S=2, P=0)"
    " -> [CONV(K=256, F=3, S=1, P=1) -> RELU]*2"  # conv3-256, 56x56
    " -> POOL(max, F=2, S=2, P=0)"
    " -> [CONV(K=512, F=3, S=1, P=1) -> RELU]*2"  # conv3-512, 28x28
    " -> POOL(max, F=2, S=2, P=0)"
    " -> [CONV(K=512, F=3, S=1, P=1) -> RELU]*2"  # conv3-512, 14x14
    " -> POOL(max, F=2, S=2, P=0)"
    " -> [FC(4096) -> RELU -> DROPOUT(0.5)]*2"
    " -> FC"
)

_VGG16 = (  # column D
    "INPUT"
    " -> [CONV(K=64, F=3, S=1, P=1) -> RELU]*2"  # conv3-64, 224x224
    " -> POOL(max, F=2, S=2, P=0)"
    " -> [CONV(K=128, F=3, S=1, P=1) -> RELU]*2"  # conv3-128, 112x112
    " -> POOL(max, F=2, S=2, P=0)"
    " -> [CONV(K=256, F=3, S=1, P=1) -> RELU]*3"  # conv3-256, 56x56
    " -> POOL(max, F=2, S=2, P=0)"
    " -> [CONV(K=512, F=3, S=1, P=1) -> RELU]*3"  # conv3-512, 28x28
    " -> POOL(max, F=2, S=2, P=0)"
    " -> [CONV(K=512, F=3, S=1, P=1) -> RELU]*3"  # conv3-512, 14x14
    " -> POOL(max, F=2, S=2, P=0)"
    " -> [FC(4096) -> RELU -> DROPOUT(0.5)]*2"
    " -> FC"
)

_VGG19 = (  # column E
    "INPUT"
    " -> [CONV(K=64, F=3, S=1, P=1) -> RELU]*2"  # conv3-64, 224x224
    " -> POOL(max, F=2, S=2, P=0)"
    " -> [CONV(K=128, F=3, S=1, P=1) -> RELU]*2"  # conv3-128, 112x112
    " -> POOL(max, F=2, S=2, P=0)"
    " -> [CONV(K=256, F=3, S=1, P=1) -> RELU]*4"  # conv3-256, 56x56
    " -> POOL(max, F=2, S=2, P=0)"
    " -> [CONV(K=512, F=3, S=1, P=1) -> RELU]*4"  # conv3-512, 28x28
    " -> POOL(max, F=2, S=2, P=0)"
    " -> [CONV(K=512, F=3, S=1, P=1) -> RELU]*4"  # conv3-512, 14x14
    " -> POOL(max, F=2, S=2, P=0)"
    " -> [FC(4096) -> RELU -> DROPOUT(0.5)]*2"
    " -> FC"
)

# Without the auxiliary classifiers, which stand beside the network in training only. Each POOL rounds up, as from 55.5
# to the table's 56. LocalRespNorm of figure 3 comes without numbers: they are AlexNet's.
# A stack's branches are the table's columns: #1x1 | #3x3 reduce, #3x3 | #5x5 reduce, #5x5 | pool proj.
_GOOGLENET = (
    "INPUT"
    " -> CONV(K=64, F=7, S=2, P=3, round=floor) -> RELU"  # convolution, 112x112
    " -> POOL(max, F=3, S=2, P=0, round=ceil)"  # 56x56
    " -> NORM(lrn, size=5, alpha=0.0001, beta=0.75, k=2)"
    " -> CONV(K=64, F=1, S=1, P=0) -> RELU -> CONV(K=192, F=3, S=1, P=1) -> RELU"  # convolution, 56x56
    " -> NORM(lrn, size=5, alpha=0.0001, beta=0.75, k=2)"
    " -> POOL(max, F=3, S=2, P=0, round=ceil)"  # 28x28
    " -> (CONV(K=64, F=1, S=1, P=0) -> RELU"  # inception (3a), 28x28
    "   | CONV(K=96, F=1, S=1, P=0) -> RELU -> CONV(K=128, F=3, S=1, P=1) -> RELU"
    "   | CONV(K=16, F=1, S=1, P=0) -> RELU -> CONV(K=32, F=5, S=1, P=2) -> RELU"
    "   | POOL(max, F=3, S=1, P=1) -> CONV(K=32, F=1, S=1, P=0) -> RELU)"
    " -> (CONV(K=128, F=1, S=1, P=0) -> RELU"  # inception (3b), 28x28
    "   | CONV(K=128, F=1, S=1, P=0) -> RELU -> CONV(K=192, F=3, S=1, P=1) -> RELU"
    "   | CONV(K=32, F=1, S=1, P=0) -> RELU -> CONV(K=96, F=5, S=1, P=2) -> RELU"
    "   | POOL(max, F=3, S=1, P=1) -> CONV(K=64, F=1, S=1, P=0) -> RELU)"
    " -> POOL(max, F=3, S=2, P=0, round=ceil)"  # 14x14
    " -> (CONV(K=192, F=1, S=1, P=0) -> RELU"  # inception (4a), 14x14
    "   | CONV(K=96, F=1, S=1, P=0) -> RELU -> CONV(K=208, F=3, S=1, P=1) -> RELU"
    "   | CONV(K=16, F=1, S=1, P=0) -> RELU -> CONV(K=48, F=5, S=1, P=2) -> RELU"
    "   | POOL(max, F=3, S=1, P=1) -> CONV(K=64, F=1, S=1, P=0) -> RELU)"
    " -> (CONV(K=160, F=1, S=1, P=0) -> RELU"  # inception (4b), 14x14
    "   | CONV(K=112, F=1, S=1, P=0) -> RELU -> CONV(K=224, F=3, S=1, P=1) -> RELU"
    "   | CONV(K=24, F=1, S=1, P=0) -> RELU -> CONV(K=64, F=5, S=1, P=2) -> RELU"
    "   | POOL(max, F=3, S=1, P=1) -> CONV(K=64, F=1, S=1, P=0) -> RELU)"
    " -> (CONV(K=128, F=1, S=1, P=0) -> RELU"  # inception (4c), 14x14
    "   | CONV(K=128, F=1, S=1, P=0) -> RELU -> CONV(K=256, F=3, S=1, P=1) -> RELU"
    "   | CONV(K=24, F=1, S=1, P=0) -> RELU -> CONV(K=64, F=5, S=1, P=2) -> RELU"
    "   | POOL(max, F=3, S=1, P=1) -> CONV(K=64, F=1, S=1, P=0) -> RELU)"
    " -> (CONV(K=112, F=1, S=1, P=0) -> RELU"  # inception (4d), 14x14
    "   | CONV(K=144, F=1, S=1, P=0) -> RELU -> CONV(K=288, F=3, S=1, P=1) -> RELU"
    "   | CONV(K=32, F=1, S=1, P=0) -> RELU -> CONV(K=64, F=5, S=1, P=2) -> RELU"
    "   | POOL(max, F=3, S=1, P=1) -> CONV(K=64, F=1, S=1, P=0) -> RELU)"
    " -> (CONV(K=256, F=1, S=1, P=0) -> RELU"  # inception (4e), 14x14
    "   | CONV(K=160, F=1, S=1, P=0) -> RELU -> CONV(K=320, F=3, S=1, P=1) -> RELU"
    "   | CONV(K=32, F=1, S=1, P=0) -> RELU -> CONV(K=128, F=5, S=1, P=2) -> RELU"
    "   | POOL(max, F=3, S=1, P=1) -> CONV(K=128, F=1, S=1, P=0) -> RELU)"
    " -> POOL(max, F=3, S=2, P=0, round=ceil)"  # 7x7
    " -> (CONV(K=256, F=1, S=1, P=0) -> RELU"  # inception (5a), 7x7
    "   | CONV(K=160, F=1, S=1, P=0) -> RELU -> CONV(K=320, F=3, S=1, P=1) -> RELU"
    "   | CONV(K=32, F=1, S=1, P=0) -> RELU -> CONV(K=128, F=5, S=1, P=2) -> RELU"
    "   | POOL(max, F=3, S=1, P=1) -> CONV(K=128, F=1, S=1, P=0) -> RELU)"
    " -> (CONV(K=384, F=1, S=1, P=0) -> RELU"  # inception (5b), 7x7
    "   | CONV(K=192, F=1, S=1, P=0) -> RELU -> CONV(K=384, F=3, S=1, P=1) -> RELU"
    "   | CONV(K=48, F=1, S=1, P=0) -> RELU -> CONV(K=128, F=5, S=1, P=2) -> RELU"
    "   | POOL(max, F=3, S=1, P=1) -> CONV(K=128, F=1, S=1, P=0) -> RELU)"
    " -> POOL(average, F=all) -> DROPOUT(0.4)"
    " -> FC"
)

# The shortcuts where the depth grows are projections (option B of the paper's section 3.3: a CONV of 1x1 with NORM),
# with which the counts are those that are usually published.
_RESNET18 = (
    "INPUT"
    " -> CONV(K=64, F=7, S=2, P=3, round=floor, bias=no) -> NORM -> RELU"  # conv1, 112x112
    " -> POOL(max, F=3, S=2, P=1, round=floor)"  # 56x56
    " -> [(CONV(K=64, F=3, S=1, P=1, bias=no) -> NORM -> RELU"  # conv2_x, 56x56
    "     -> CONV(K=64, F=3, S=1, P=1, bias=no) -> NORM"
    "   + SKIP) -> RELU]*2"
    " -> (CONV(K=128, F=3, S=2, P=1, round=floor, bias=no) -> NORM -> RELU"  # conv3_x, 28x28
    "     -> CONV(K=128, F=3, S=1, P=1, bias=no) -> NORM"
    "   + CONV(K=128, F=1, S=2, P=0, round=floor, bias=no) -> NORM) -> RELU"
    " -> (CONV(K=128, F=3, S=1, P=1, bias=no) -> NORM -> RELU"
    "     -> CONV(K=128, F=3, S=1, P=1, bias=no) -> NORM"
    "   + SKIP) -> RELU"
    " -> (CONV(K=256, F=3, S=2, P=1, round=floor, bias=no) -> NORM -> RELU"  # conv4_x, 14x14
    "     -> CONV(K=256, F=3, S=1, P=1, bias=no) -> NORM"
    "   + CONV(K=256, F=1, S=2, P=0, round=floor, bias=no) -> NORM) -> RELU"
    " -> (CONV(K=256, F=3, S=1, P=1, bias=no) -> NORM -> RELU"
    "     -> CONV(K=256, F=3, S=1, P=1, bias=no) -> NORM"
    "   + SKIP) -> RELU"
    " -> (CONV(K=512, F=3, S=2, P=1, round=floor, bias=no) -> NORM -> RELU"  # conv5_x, 7x7
    "     -> CONV(K=512, F=3, S=1, P=1, bias=no) -> NORM"
    "   + CONV(K=512, F=1, S=2, P=0, round=floor, bias=no) -> NORM) -> RELU"
    " -> (CONV(K=512, F=3, S=1, P=1, bias=no) -> NORM -> RELU"
    "     -> CONV(K=512, F=3, S=1, P=1, bias=no) -> NORM"
    "   + SKIP) -> RELU"
    " -> POOL(average, F=all)"
    " -> FC"
)

_RESNET34 = (
    "INPUT"
    " -> CONV(K=64, F=7, S=2, P=3, round=floor, bias=no) -> NORM -> RELU"  # conv1, 112x112
    " -> POOL(max, F=3, S=2, P=1, round=floor)"  # 56x56
    " -> [(CONV(K=64, F=3, S=1, P=1, bias=no) -> NORM -> RELU"  # conv2_x, 56x56
    "     -> CONV(K=64, F=3, S=1, P=1, bias=no) -> NORM"
    "   + SKIP) -> RELU]*3"
    " -> (CONV(K=128, F=3, S=2, P=1, round=floor, bias=no) -> NORM -> RELU"  # conv3_x, 28x28
    "     -> CONV(K=128, F=3, S=1, P=1, bias=no) -> NORM"
    "   + CONV(K=128, F=1, S=2, P=0, round=floor, bias=no) -> NORM) -> RELU"
    " -> [(CONV(K=128, F=3, S=1, P=1, bias=no) -> NORM -> RELU"
    "     -> CONV(K=128, F=3, S=1, P=1, bias=no) -> NORM"
    "   + SKIP) -> RELU]*3"
    " -> (CONV(K=256, F=3, S=2, P=1, round=floor, bias=no) -> NORM -> RELU"  # conv4_x, 14x14
    "     -> CONV(K=256, F=3, S=1, P=1, bias=no) -> NORM"
    "   + CONV(K=256, F=1, S=2, P=0, round=floor, bias=no) -> NORM) -> RELU"
    " -> [(CONV(K=256, F=3, S=1, P=1, bias=no) -> NORM -> RELU"
    "     -> CONV(K=256, F=3, S=1, P=1, bias=no) -> NORM"
    "   + SKIP) -> RELU]*5"
    " -> (CONV(K=512, F=3, S=2, P=1, round=floor, bias=no) -> NORM -> RELU"  # conv5_x, 7x7
    "     -> CONV(K=512, F=3, S=1, P=1, bias=no) -> NORM"
    "   + CONV(K=512, F=1, S=2, P=0, round=floor, bias=no) -> NORM) -> RELU"
    " -> [(CONV(K=512, F=3, S=1, P=1, bias=no) -> NORM -> RELU"
    "     -> CONV(K=512, F=3, S=1, P=1, bias=no) -> NORM"
    "   + SKIP) -> RELU]*2"
    " -> POOL(average, F=all)"
    " -> FC"
)

# Bottlenecks. The stride stands in the first CONV of 1x1, as in the paper, whose 3.8e9 multiply-adds it gives; what
# PyTorch calls ResNet-50 has it in the CONV of 3x3, with as many parameters and 4.1e9 multiply-adds.
_RESNET50 = (
    "INPUT"
    " -> CONV(K=64, F=7, S=2, P=3, round=floor, bias=no) -> NORM -> RELU"  # conv1, 112x112
    " -> POOL(max, F=3, S=2, P=1, round=floor)"  # 56x56
    " -> (CONV(K=64, F=1, S=1, P=0, bias=no) -> NORM -> RELU"  # conv2_x, 56x56
    "     -> CONV(K=64, F=3, S=1, P=1, bias=no) -> NORM -> RELU"
    "     -> CONV(K=256, F=1, S=1, P=0, bias=no) -> NORM"
    "   + CONV(K=256, F=1, S=1, P=0, bias=no) -> NORM) -> RELU"
    " -> [(CONV(K=64, F=1, S=1, P=0, bias=no) -> NORM -> RELU"
    "     -> CONV(K=64, F=3, S=1, P=1, bias=no) -> NORM -> RELU"
    "     -> CONV(K=256, F=1, S=1, P=0, bias=no) -> NORM"
    "   + SKIP) -> RELU]*2"
    " -> (CONV(K=128, F=1, S=2, P=0, round=floor, bias=no) -> NORM -> RELU"  # conv3_x, 28x28
    "     -> CONV(K=128, F=3, S=1, P=1, bias=no) -> NORM -> RELU"
    "     -> CONV(K=512, F=1, S=1, P=0, bias=no) -> NORM"
    "   + CONV(K=512, F=1, S=2, P=0, round=floor, bias=no) -> NORM) -> RELU"
    " -> [(CONV(K=128, F=1, S=1, P=0, bias=no) -> NORM -> RELU"
    "     -> CONV(K=128, F=3, S=1, P=1, bias=no) -> NORM -> RELU"
    "     -> CONV(K=512, F=1, S=1, P=0, bias=no) -> NORM"
    "   + SKIP) -> RELU]*3"
    " -> (CONV(K=256, F=1, S=2, P=0, round=floor, bias=no) -> NORM -> RELU"  # conv4_x, 14x14
    "     -> CONV(K=256, F=3, S=1, P=1, bias=no) -> NORM -> RELU"
    "     -> CONV(K=1024, F=1, S=1, P=0, bias=no) -> NORM"
    "   + CONV(K=1024, F=1, S=2, P=0, round=floor, bias=no) -> NORM) -> RELU"
    " -> [(CONV(K=256, F=1, S=1, P=0, bias=no) -> NORM -> RELU"
    "     -> CONV(K=256, F=3, S=1, P=1, bias=no) -> NORM -> RELU"
    "     -> CONV(K=1024, F=1, S=1, P=0, bias=no) -> NORM"
    "   + SKIP) -> RELU]*5"
    " -> (CONV(K=512, F=1, S=2, P=0, round=floor, bias=no) -> NORM -> RELU"  # conv5_x, 7x7
    "     -> CONV(K=512, F=3, S=1, P=1, bias=no) -> NORM -> RELU"
    "     -> CONV(K=2048, F=1, S=1, P=0, bias=no) -> NORM"
    "   + CONV(K=2048, F=1, S=2, P=0, round=floor, bias=no) -> NORM) -> RELU"
    " -> [(CONV(K=512, F=1, S=1, P=0, bias=no) -> NORM -> RELU"
    "     -> CONV(K=512, F=3, S=1, P=1, bias=no) -> NORM -> RELU"
    "     -> CONV(K=2048, F=1, S=1, P=0, bias=no) -> NORM"
    "   + SKIP) -> RELU]*2"
    " -> POOL(average, F=all)"
    " -> FC"
)

# ResNet-18 with NORM and RELU in front of each CONV, so that a shortcut is the identity. As in the paper's appendix
# the first block's NORM and RELU stand right behind conv1, and another two behind the last sum. A projection shares the
# NORM and RELU of its block. The paper itself trains deeper networks of these blocks.
_PREACT_RESNET18 = (
    "INPUT"
    " -> CONV(K=64, F=7, S=2, P=3, round=floor, bias=no) -> NORM -> RELU"  # conv1, 112x112
    " -> POOL(max, F=3, S=2, P=1, round=floor)"  # 56x56
    " -> (CONV(K=64, F=3, S=1, P=1, bias=no) -> NORM -> RELU"  # conv2_x, 56x56
    "     -> CONV(K=64, F=3, S=1, P=1, bias=no)"
    "   + SKIP)"
    " -> (NORM -> RELU -> CONV(K=64, F=3, S=1, P=1, bias=no)"
    "     -> NORM -> RELU -> CONV(K=64, F=3, S=1, P=1, bias=no)"
    "   + SKIP)"
    " -> NORM -> RELU -> (CONV(K=128, F=3, S=2, P=1, round=floor, bias=no) -> NORM -> RELU"  # conv3_x, 28x28
    "     -> CONV(K=128, F=3, S=1, P=1, bias=no)"
    "   + CONV(K=128, F=1, S=2, P=0, round=floor, bias=no))"
    " -> (NORM -> RELU -> CONV(K=128, F=3, S=1, P=1, bias=no)"
    "     -> NORM -> RELU -> CONV(K=128, F=3, S=1, P=1, bias=no)"
    "   + SKIP)"
    " -> NORM -> RELU -> (CONV(K=256, F=3, S=2, P=1, round=floor, bias=no) -> NORM -> RELU"  # conv4_x, 14x14
    "     -> CONV(K=256, F=3, S=1, P=1, bias=no)"
    "   + CONV(K=256, F=1, S=2, P=0, round=floor, bias=no))"
    " -> (NORM -> RELU -> CONV(K=256, F=3, S=1, P=1, bias=no)"
    "     -> NORM -> RELU -> CONV(K=256, F=3, S=1, P=1, bias=no)"
    "   + SKIP)"
    " -> NORM -> RELU -> (CONV(K=512, F=3, S=2, P=1, round=floor, bias=no) -> NORM -> RELU"  # conv5_x, 7x7
    "     -> CONV(K=512, F=3, S=1, P=1, bias=no)"
    "   + CONV(K=512, F=1, S=2, P=0, round=floor, bias=no))"
    " -> (NORM -> RELU -> CONV(K=512, F=3, S=1, P=1, bias=no)"
    "     -> NORM -> RELU -> CONV(K=512, F=3, S=1, P=1, bias=no)"
    "   + SKIP)"
    " -> NORM -> RELU"
    " -> POOL(average, F=all)"
    " -> FC"
)

# For small images. The paper's shortcuts fill the new depth with zeros where it grows (option A), which the notation
# cannot say: here they are projections (option B), 2,752 parameters more.
_RESNET20 = (
    "INPUT"
    " -> CONV(K=16, F=3, S=1, P=1, bias=no) -> NORM -> RELU"  # 32x32
    " -> [(CONV(K=16, F=3, S=1, P=1, bias=no) -> NORM -> RELU"  # 6 layers, 32x32
    "     -> CONV(K=16, F=3, S=1, P=1, bias=no) -> NORM"
    "   + SKIP) -> RELU]*3"
    " -> (CONV(K=32, F=3, S=2, P=1, round=floor, bias=no) -> NORM -> RELU"  # 6 layers, 16x16
    "     -> CONV(K=32, F=3, S=1, P=1, bias=no) -> NORM"
    "   + CONV(K=32, F=1, S=2, P=0, round=floor, bias=no) -> NORM) -> RELU"
    " -> [(CONV(K=32, F=3, S=1, P=1, bias=no) -> NORM -> RELU"
    "     -> CONV(K=32, F=3, S=1, P=1, bias=no) -> NORM"
    "   + SKIP) -> RELU]*2"
    " -> (CONV(K=64, F=3, S=2, P=1, round=floor, bias=no) -> NORM -> RELU"  # 6 layers, 8x8
    "     -> CONV(K=64, F=3, S=1, P=1, bias=no) -> NORM"
    "   + CONV(K=64, F=1, S=2, P=0, round=floor, bias=no) -> NORM) -> RELU"
    " -> [(CONV(K=64, F=3, S=1, P=1, bias=no) -> NORM -> RELU"
    "     -> CONV(K=64, F=3, S=1, P=1, bias=no) -> NORM"
    "   + SKIP) -> RELU]*2"
    " -> POOL(average, F=all)"
    " -> FC"
)

_RESNET32 = (
    "INPUT"
    " -> CONV(K=16, F=3, S=1, P=1, bias=no) -> NORM -> RELU"  # 32x32
    " -> [(CONV(K=16, F=3, S=1, P=1, bias=no) -> NORM -> RELU"  # 10 layers, 32x32
    "     -> CONV(K=16, F=3, S=1, P=1, bias=no) -> NORM"
    "   + SKIP) -> RELU]*5"
    " -> (CONV(K=32, F=3, S=2, P=1, round=floor, bias=no) -> NORM -> RELU"  # 10 layers, 16x16
    "     -> CONV(K=32, F=3, S=1, P=1, bias=no) -> NORM"
    "   + CONV(K=32, F=1, S=2, P=0, round=floor, bias=no) -> NORM) -> RELU"
    " -> [(CONV(K=32, F=3, S=1, P=1, bias=no) -> NORM -> RELU"
    "     -> CONV(K=32, F=3, S=1, P=1, bias=no) -> NORM"
    "   + SKIP) -> RELU]*4"
    " -> (CONV(K=64, F=3, S=2, P=1, round=floor, bias=no) -> NORM -> RELU"  # 10 layers, 8x8
    "     -> CONV(K=64, F=3, S=1, P=1, bias=no) -> NORM"
    "   + CONV(K=64, F=1, S=2, P=0, round=floor, bias=no) -> NORM) -> RELU"
    " -> [(CONV(K=64, F=3, S=1, P=1, bias=no) -> NORM -> RELU"
    "     -> CONV(K=64, F=3, S=1, P=1, bias=no) -> NORM"
    "   + SKIP) -> RELU]*4"
    " -> POOL(average, F=all)"
    " -> FC"
)

_RESNET56 = (
    "INPUT"
    " -> CONV(K=16, F=3, S=1, P=1, bias=no) -> NORM -> RELU"  # 32x32
    " -> [(CONV(K=16, F=3, S=1, P=1, bias=no) -> NORM -> RELU"  # 18 layers, 32x32
    "     -> CONV(K=16, F=3, S=1, P=1, bias=no) -> NORM"
    "   + SKIP) -> RELU]*9"
    " -> (CONV(K=32, F=3, S=2, P=1, round=floor, bias=no) -> NORM -> RELU"  # 18 layers, 16x16
    "     -> CONV(K=32, F=3, S=1, P=1, bias=no) -> NORM"
    "   + CONV(K=32, F=1, S=2, P=0, round=floor, bias=no) -> NORM) -> RELU"
    " -> [(CONV(K=32, F=3, S=1, P=1, bias=no) -> NORM -> RELU"
    "     -> CONV(K=32, F=3, S=1, P=1, bias=no) -> NORM"
    "   + SKIP) -> RELU]*8"
    " -> (CONV(K=64, F=3, S=2, P=1, round=floor, bias=no) -> NORM -> RELU"  # 18 layers, 8x8
    "     -> CONV(K=64, F=3, S=1, P=1, bias=no) -> NORM"
    "   + CONV(K=64, F=1, S=2, P=0, round=floor, bias=no) -> NORM) -> RELU"
    " -> [(CONV(K=64, F=3, S=1, P=1, bias=no) -> NORM -> RELU"
    "     -> CONV(K=64, F=3, S=1, P=1, bias=no) -> NORM"
    "   + SKIP) -> RELU]*8"
    " -> POOL(average, F=all)"
    " -> FC"
)


_VGG_PAPER = "Simonyan and Zisserman, Very deep convolutional networks for large-scale image recognition, 2015, table 1"
_RESNET_PAPER = "He, Zhang, Ren and Sun, Deep residual learning for image recognition, 2016"

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
    "vgg11": CaseStudy(_VGG11, f"{_VGG_PAPER}, column A", **_IMAGENET),
    "vgg16": CaseStudy(_VGG16, f"{_VGG_PAPER}, column D", **_IMAGENET),
    "vgg19": CaseStudy(_VGG19, f"{_VGG_PAPER}, column E", **_IMAGENET),
    "googlenet": CaseStudy(
        _GOOGLENET, "Szegedy et al., Going deeper with convolutions, 2015, table 1 and figure 3", **_IMAGENET
    ),
    "resnet18": CaseStudy(_RESNET18, f"{_RESNET_PAPER}, table 1, 18-layer", **_IMAGENET),
    "resnet34": CaseStudy(_RESNET34, f"{_RESNET_PAPER}, table 1, 34-layer", **_IMAGENET),
    "resnet50": CaseStudy(_RESNET50, f"{_RESNET_PAPER}, table 1, 50-layer", **_IMAGENET),
    "preact_resnet18": CaseStudy(
        _PREACT_RESNET18,
        "He, Zhang, Ren and Sun, Identity mappings in deep residual networks, 2016, figure 4(e) and appendix",
        **_IMAGENET,
    ),
    "resnet20": CaseStudy(_RESNET20, f"{_RESNET_PAPER}, section 4.2, n=3", **_CIFAR),
    "resnet32": CaseStudy(_RESNET32, f"{_RESNET_PAPER}, section 4.2, n=5", **_CIFAR),
    "resnet56": CaseStudy(_RESNET56, f"{_RESNET_PAPER}, section 4.2, n=9", **_CIFAR),
}
