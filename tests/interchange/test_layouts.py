import pytest

from skconvnet import ARCHITECTURES
from skconvnet.architecture import CASE_STUDIES, PUBLISHED
from skconvnet.engine.weights.layout import learning_layers
from skconvnet.interchange.layouts import LAYOUTS, library_name

NETWORKS = {(layout, name) for layout, networks in LAYOUTS.items() for name in networks}


@pytest.mark.parametrize(("layout", "name"), sorted(NETWORKS))
def test_every_layer_that_learns_has_a_name_of_its_own(layout, name):
    study = (CASE_STUDIES | PUBLISHED)[name]
    bound = ARCHITECTURES[name].bind(study.image_shape, study.n_classes)
    for name_layers in LAYOUTS[layout][name]:
        names = name_layers(bound)
        assert len(names) == len(set(names)) == len(learning_layers(bound))


def test_libraries_have_their_own_names():
    assert library_name("resnet50") == "resnet50_torchvision"
    assert library_name("resnet34.tv_in1k") == "resnet34"
    assert library_name("unknown") == "unknown"


# Some names in the files of each library: the beginning, a block without and one with an expansion, and the end.
NAMES = {
    ("torchvision", "mobilenet_v2"): {
        *("features.0.0", "features.0.1", "features.1.conv.0.0", "features.1.conv.1", "features.1.conv.2"),
        *("features.17.conv.0.0", "features.17.conv.1.1", "features.17.conv.2", "features.17.conv.3"),
        *("features.18.0", "features.18.1", "classifier.1"),
    },
    ("timm", "mobilenet_v2"): {
        *("conv_stem", "bn1", "blocks.0.0.conv_dw", "blocks.0.0.bn1", "blocks.0.0.conv_pw", "blocks.0.0.bn2"),
        *("blocks.1.1.conv_pw", "blocks.3.3.conv_dw", "blocks.5.2.bn2", "blocks.6.0.conv_pwl", "blocks.6.0.bn3"),
        *("conv_head", "bn2", "classifier"),
    },
    ("timm", "efficientnet_lite0"): {
        "blocks.2.1.conv_dw",
        "blocks.3.2.bn3",
        "blocks.5.3.conv_pwl",
        "blocks.6.0.conv_pw",
    },
    ("efficientnet_pytorch", "efficientnet_lite0"): {
        *("_conv_stem", "_bn0", "_blocks.0._depthwise_conv", "_blocks.0._bn1", "_blocks.0._project_conv"),
        *("_blocks.15._expand_conv", "_blocks.15._bn0", "_blocks.15._bn2", "_conv_head", "_bn1", "_fc"),
    },
    ("torchvision", "densenet121"): {
        *("features.conv0", "features.denseblock1.denselayer6.norm2", "features.denseblock4.denselayer16.conv2"),
        *("features.transition1.norm", "features.transition3.conv", "features.norm5", "classifier"),
    },
    ("torchvision", "vgg16_bn"): {
        "features.0",
        "features.1",
        "features.40",
        "features.41",
        "classifier.0",
        "classifier.6",
    },
    ("timm", "resnet34"): {"layer1.2.bn2", "layer2.0.downsample.1", "layer3.5.conv1", "layer4.2.conv2", "fc"},
}


@pytest.mark.parametrize(("layout", "name"), NAMES)
def test_names_are_those_of_the_libraries(layout, name):
    study = (CASE_STUDIES | PUBLISHED)[name]
    names = LAYOUTS[layout][name][0](ARCHITECTURES[name].bind(study.image_shape, study.n_classes))
    assert NAMES[layout, name] <= set(names)
