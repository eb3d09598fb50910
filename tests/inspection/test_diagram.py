"""Networks as parts of a diagram."""

import pytest

from skconvnet import ARCHITECTURES, Architecture
from skconvnet.inspection.diagram import Fork, Repeat, diagram_of, fold, parts_in


def diagram(text, image_shape=(16, 16, 4)):
    return diagram_of(Architecture.parse(text).bind(image_shape))


def n_volumes(chain):
    """How many volumes a folded chain stands for."""
    return sum(part.times * n_volumes(part.chain) if isinstance(part, Repeat) else n_inside(part) for part in chain)


def n_inside(part):
    return 1 + sum(map(n_volumes, part.branches)) if isinstance(part, Fork) else 1


def test_layers_that_keep_the_volume_belong_to_the_part_before_them():
    image, conv, pool, fc = diagram("INPUT -> NORM -> CONV(K=6, F=5x3, S=1) -> NORM -> RELU -> POOL -> FC(7) -> RELU")
    assert image.label == ["INPUT", "NORM", "[16x16x4]"]
    assert conv.label == ["CONV 1", "K=6 F=5x3", "S=1 P=2x1", "NORM, RELU", "[16x16x6]"]
    assert pool.label == ["POOL 1", "max F=2", "S=2 P=0", "[8x8x6]"]
    assert fc.label == ["FC 1", "K=7 RELU", "[1x1x7]"]


def test_fewer_words_of_a_part():
    _, conv, _ = diagram("INPUT -> CONV(K=6) -> RELU -> FC")
    assert conv.caption("all") == conv.label
    assert conv.caption("volume") == ["CONV 1", "[16x16x6]"]
    assert (conv.caption("name"), conv.caption("none")) == (["CONV 1"], [])


def test_branches_have_chains_and_the_input_is_above_them():
    _, fork, _ = diagram("INPUT -> (CONV(K=4) -> RELU -> CONV(K=4) + RELU -> CONV(K=4) + SKIP) -> RELU -> FC")
    assert [[part.name for part in branch] for branch in fork.branches] == [
        [],
        ["CONV 1", "CONV 2"],
        ["RELU 2", "CONV 3"],
    ]
    assert (fork.main, fork.operator) == (1, "+")
    assert fork.joint.label == ["SUM 1", "RELU", "[16x16x4]"]


@pytest.mark.parametrize("name", ["vgg16", "resnet20", "resnet152", "densenet121", "googlenet"])
def test_a_folded_diagram_stands_for_all_volumes(name):
    whole = diagram_of(ARCHITECTURES[name].bind((32, 32, 3) if name == "resnet20" else (224, 224, 3)))
    folded = fold(whole)
    assert n_volumes(folded) == len(list(parts_in(whole)))
    assert (len(list(parts_in(folded))) < n_volumes(folded)) == (name != "googlenet")


def test_what_is_repeated_does_the_same_on_volumes_of_the_same_size():
    assert [
        part.times for part in fold(diagram("INPUT -> [CONV(K=8) -> RELU]*5 -> FC")) if isinstance(part, Repeat)
    ] == [5]
    for text in ("INPUT -> [CONV(K=8, F=2, S=2, P=0)]*3 -> FC", "INPUT -> CONV(K=8) -> RELU -> CONV(K=8) -> FC"):
        chain = diagram(text)
        assert fold(chain) == chain


def test_a_repeated_part_shows_the_first_and_the_last_volume():
    _, repeated, _ = fold(diagram("INPUT -> [(SKIP | CONV(K=2))]*3 -> FC"))
    assert repeated.chain[0].joint.label == ["STACK 1", "[16x16x6]", "to [16x16x10]"]


def test_branches_are_folded_too():
    _, fork, _ = fold(diagram("INPUT -> (SKIP + [CONV(K=4) -> RELU]*6) -> FC"))
    assert fork.branches[1][0].times == 6
