"""Networks whose pretrained weights libraries publish, as texts in the notation.

Names without a suffix are those of a library or a paper. A suffix tells a library's network from the case study of the
same name, from which it differs: `resnet50_torchvision` has as many parameters as `resnet50`, but other strides, so the
weights of one are wrong in the other. Networks of torchvision that do not differ are not repeated here: vgg11, vgg13,
vgg16, vgg19, resnet18 and resnet34.
"""

from skconvnet.architecture.case_studies import CaseStudy

_IMAGENET = {"image_shape": (224, 224, 3), "n_classes": 1000}
_HALVED = "POOL(max, F=3, S=2, P=0, round=ceil)"


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


_SQUEEZENET = (
    "Iandola et al., SqueezeNet: AlexNet-level accuracy with 50x fewer parameters and <0.5MB model size, 2016, version "
    "1.1 of the authors' files"
)

PUBLISHED = {
    "squeezenet1_1": CaseStudy(_squeezenet1_1(0), f"{_SQUEEZENET} and of torchvision", **_IMAGENET),
    "squeezenet1_1_padded": CaseStudy(
        _squeezenet1_1(1), f"{_SQUEEZENET}, as some libraries run it: with P=1 in the first CONV", **_IMAGENET
    ),
}
