"""The published networks against the numbers that their libraries and papers give."""

import pytest

from skconvnet.architecture import ARCHITECTURES, CASE_STUDIES, Architecture, Hyperparameters
from skconvnet.architecture.published import PUBLISHED


def bound(name):
    study = (CASE_STUDIES | PUBLISHED)[name]
    return ARCHITECTURES[name].bind(study.image_shape, study.n_classes)


# Parameters, and multiply-adds in billions: those in torchvision's table of weights, unless a comment says other.
COSTS = {
    "alexnet_torchvision": (61_100_840, 0.714),
    "vgg11_bn": (132_868_840, 7.609),
    "vgg13_bn": (133_053_736, 11.308),
    "vgg16_bn": (138_365_992, 15.470),
    "vgg19_bn": (143_678_248, 19.632),
    "googlenet_torchvision": (6_624_904, 1.498),
    "resnet50_torchvision": (25_557_032, 4.089),
    "resnet101_torchvision": (44_549_160, 7.801),
    "resnet152_torchvision": (60_192_808, 11.514),
    "densenet121": (7_978_856, 2.834),
    "mobilenet_v2": (3_504_872, 0.301),
    "efficientnet_lite0": (4_652_008, 0.385),  # the authors have 4.7 million and 0.407, torchvision has none
    "squeezenet1_1": (1_235_496, 0.349),
    "squeezenet1_1_padded": (1_235_496, 0.387),  # the same sum with volumes of 112, 56, 28 and 14 pixels
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_costs_as_published(name):
    n_params, billions = COSTS[name]
    table = bound(name).summary()
    assert table.n_params == n_params
    assert table.n_flops == pytest.approx(billions * 1e9, rel=0.01)


@pytest.mark.parametrize("name", PUBLISHED)
def test_hyperparameters_do_not_change_a_published_network(name):
    study = PUBLISHED[name]
    others = Hyperparameters(K=17, F=9, S=5, P=4, N=5, M=6, hidden_layer_sizes=(3,), pool=False, pool_F=4, pool_S=3)
    assert ARCHITECTURES[name].bind(study.image_shape, study.n_classes, others) == bound(name)
    assert Architecture.parse(str(ARCHITECTURES[name])) == ARCHITECTURES[name]


def test_published_networks_take_other_images_and_classes():
    for name in PUBLISHED:
        assert str(ARCHITECTURES[name].bind((96, 128, 1), 7).layers[-1].output) == "[1x1x7]"
