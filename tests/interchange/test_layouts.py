import pytest

from skconvnet import ARCHITECTURES
from skconvnet.architecture import CASE_STUDIES, PUBLISHED
from skconvnet.engine.weights.layout import learning_layers
from skconvnet.interchange.layouts import LAYOUTS, library_name

NETWORKS = {(layout, name) for layout, networks in LAYOUTS.items() for name in networks if name in ARCHITECTURES}


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
