import pytest

from skconvnet import ARCHITECTURES, Architecture
from skconvnet.interchange.texts import general_text

SHAPE = (32, 32, 3)


@pytest.mark.parametrize(
    "text",
    [
        "INPUT -> CONV(K=4) -> RELU -> POOL(F=32, S=2) -> FC(7)",
        "INPUT -> CONV(K=7) -> POOL(average, F=all, S=3)",
        "INPUT -> (CONV(K=4) -> POOL(F=all) | CONV(K=7) -> POOL(F=32, S=1)) -> CONV(K=7, F=1)",
        "INPUT -> FC(3) -> (FC(7) + FC(7))",
        *("resnet18", "squeezenet1_1", "densenet121", "googlenet_torchvision", "alexnet_torchvision", "vgg11"),
    ],
)
def test_the_general_text_binds_to_the_same_network(text):
    named = ARCHITECTURES.get(text)
    shape = SHAPE if named is None else (224, 224, 3)
    bound = (named or Architecture.parse(text)).bind(shape, 7)
    assert Architecture.parse(general_text(bound)).bind(shape, 7) == bound


def test_the_general_text_is_for_other_images_and_classes():
    bound = ARCHITECTURES["squeezenet1_1"].bind((64, 64, 3), 7)
    other = Architecture.parse(general_text(bound)).bind((96, 80, 3), 4)
    assert other == ARCHITECTURES["squeezenet1_1"].bind((96, 80, 3), 4)
