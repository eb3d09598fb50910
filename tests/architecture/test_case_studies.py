"""The case studies against the numbers in their papers."""

import pytest

from skconvnet.architecture import ARCHITECTURES, Architecture, ArchitectureError, Hyperparameters, walk
from skconvnet.architecture.case_studies import CASE_STUDIES


def bound(name):
    study = CASE_STUDIES[name]
    return ARCHITECTURES[name].bind(study.image_shape, study.n_classes)


def volumes(name, *kinds):
    """The outputs of the layers of some kinds, without branches, as [width, depth]. All are square."""
    made = [layer.output for layer in bound(name).layers if layer.kind in kinds]
    assert all(volume.height == volume.width for volume in made)
    return [[volume.width, volume.depth] for volume in made]


# Published numbers, except for zfnet, googlenet and preact_resnet18, whose papers do not give the total.
N_PARAMS = {
    "lenet5": 61_706,
    "alexnet": 60_965_224,
    "zfnet": (7 * 7 * 3 + 1) * 96 + (5 * 5 * 96 + 1) * 256 + (9 * 256 + 1) * 384 + (9 * 384 + 1) * 384
    + (9 * 384 + 1) * 256 + (6 * 6 * 256 + 1) * 4096 + (4096 + 1) * 4096 + (4096 + 1) * 1000,
    "vgg11": 132_863_336,
    "vgg13": 133_047_848,
    "vgg16": 138_357_544,
    "vgg19": 143_667_240,
    "googlenet": 6_998_552,
    "resnet18": 11_689_512,
    "resnet34": 21_797_672,
    "resnet50": 25_557_032,
    "resnet101": 44_549_160,
    "resnet152": 60_192_808,
    # The filters of resnet18 with other NORM layers: in conv1, in conv2_x to conv5_x, and one at the end.
    "preact_resnet18": 11_689_512
    - 2 * (64 + 4 * 64 + (4 * 128 + 128) + (4 * 256 + 256) + (4 * 512 + 512))
    + 2 * (64 + 3 * 64 + (64 + 3 * 128) + (128 + 3 * 256) + (256 + 3 * 512) + 512),
    # The networks of the paper with 0.27, 0.46 and 0.85 million, plus two projections with NORM.
    "resnet20": 269_722 + (16 * 32 + 2 * 32) + (32 * 64 + 2 * 64),
    "resnet32": 464_154 + (16 * 32 + 2 * 32) + (32 * 64 + 2 * 64),
    "resnet56": 853_018 + (16 * 32 + 2 * 32) + (32 * 64 + 2 * 64),
    # The paper's 1.97 million, with the scales of NORM and the biases of FC, which it leaves out.
    "airbench94": (2 * 2 * 3 + 1) * 24 + 9 * (24 * 64 + 64 * 64 + 64 * 256 + 3 * 256 * 256) + (256 + 1) * 10
    + 2 * 2 * (64 + 256 + 256),
}  # fmt: skip


@pytest.mark.parametrize("name", CASE_STUDIES)
def test_parameters_as_published(name):
    assert bound(name).summary().n_params == N_PARAMS[name]


@pytest.mark.parametrize(
    ("name", "billions"),
    # He et al., table 1; Szegedy et al., section 5, "about 1.5 billion"; He et al. on VGG-19: 19.6.
    [
        ("resnet18", 1.8),
        ("resnet34", 3.6),
        ("resnet50", 3.8),
        ("resnet101", 7.6),
        ("resnet152", 11.3),
        ("googlenet", 1.5),
        ("vgg16", 15.3),
        ("vgg19", 19.6),
        ("airbench94", 0.1212),  # Jordan, abstract: 3.6e14 operations, 2 * 3 a multiply-add, 9.9 epochs of 50,000
    ],
)
def test_multiply_adds_as_published(name, billions):
    assert bound(name).summary().n_flops == pytest.approx(billions * 1e9, rel=0.06)


def test_lenet5_volumes():
    assert volumes("lenet5", "CONV", "POOL") == [[28, 6], [14, 6], [10, 16], [5, 16]]
    assert volumes("lenet5", "FC") == [[1, 120], [1, 84], [1, 10]]


def test_alexnet_volumes_and_towers():
    assert volumes("alexnet", "CONV", "POOL") == [
        [55, 96], [27, 96], [27, 256], [13, 256], [13, 384], [13, 384], [13, 256], [6, 256],
    ]  # fmt: skip
    assert [layer.groups for layer in bound("alexnet").layers if layer.kind == "CONV"] == [1, 2, 1, 2, 2]
    norms = [layer for layer in bound("alexnet").layers if layer.kind == "NORM"]
    assert [(n.mode, n.size, n.alpha, n.beta, n.k) for n in norms] == [("lrn", 5, 1e-4, 0.75, 2)] * 2


def test_zfnet_volumes():
    assert volumes("zfnet", "CONV", "POOL") == [
        [110, 96], [55, 96], [26, 256], [13, 256], [13, 384], [13, 384], [13, 256], [6, 256],
    ]  # fmt: skip
    assert volumes("zfnet", "FC") == [[1, 4096], [1, 4096], [1, 1000]]


@pytest.mark.parametrize(("name", "convs"), [("vgg11", 8), ("vgg13", 10), ("vgg16", 13), ("vgg19", 16)])
def test_vgg_volumes(name, convs):
    assert volumes(name, "POOL") == [[112, 64], [56, 128], [28, 256], [14, 512], [7, 512]]
    assert len(volumes(name, "CONV")) == convs
    assert volumes(name, "FC") == [[1, 4096], [1, 4096], [1, 1000]]


# Szegedy et al., table 1: output size, thousands (1,024) of parameters and millions of operations (multiply-adds). Not
# all follow from the filters of the same row: 4c's filters have 498 thousand parameters, 5a's 1,018.
INCEPTIONS = [
    ([28, 256], 159, 128), ([28, 480], 380, 304), ([14, 512], 364, 73), ([14, 512], 437, 88), ([14, 512], 463, 100),
    ([14, 528], 580, 119), ([14, 832], 840, 170), ([7, 832], 1072, 54), ([7, 1024], 1388, 71),
]  # fmt: skip


def test_googlenet_volumes():
    assert volumes("googlenet", "STACK") == [volume for volume, _, _ in INCEPTIONS]
    assert volumes("googlenet", "POOL") == [[56, 64], [28, 192], [14, 480], [7, 832], [1, 1024]]
    assert volumes("googlenet", "CONV") == [[112, 64], [56, 64], [56, 192]]


def test_googlenet_parameters_and_operations_of_the_inceptions():
    stacks = [layer for layer in bound("googlenet").layers if layer.kind == "STACK"]
    for stack, (_, thousands, millions) in zip(stacks, INCEPTIONS, strict=True):
        assert stack.n_weights / 1024 == pytest.approx(thousands, rel=0.08), stack.name
        assert stack.n_flops / 1e6 == pytest.approx(millions, rel=0.055), stack.name


@pytest.mark.parametrize("name", ["resnet18", "resnet34", "resnet50", "preact_resnet18"])
def test_resnet_volumes(name):
    blocks = {"resnet34": (3, 4, 6, 3), "resnet50": (3, 4, 6, 3)}.get(name, (2, 2, 2, 2))
    depths = (256, 512, 1024, 2048) if name == "resnet50" else (64, 128, 256, 512)
    stages = zip((56, 28, 14, 7), depths, blocks, strict=True)
    assert volumes(name, "CONV", "POOL") == [[112, 64], [56, 64], [1, depths[-1]]]
    assert volumes(name, "SUM") == [[side, depth] for side, depth, times in stages for _ in range(times)]


@pytest.mark.parametrize("depth", [20, 32, 56])
def test_small_resnet_volumes(depth):
    n = (depth - 2) // 6
    name = f"resnet{depth}"
    assert volumes(name, "SUM") == [[32, 16]] * n + [[16, 32]] * n + [[8, 64]] * n
    layers = [layer for layer in walk(bound(name).layers) if layer.kind in ("CONV", "FC")]
    assert len(layers) == depth + 2  # and two projections


@pytest.mark.parametrize("name", [name for name in CASE_STUDIES if "resnet" in name])
def test_resnets_have_biases_only_in_norm_and_fc(name):
    assert all(layer.n_biases == 0 for layer in walk(bound(name).layers) if layer.kind == "CONV")


def test_only_projections_change_the_shape():
    for layer in walk(bound("resnet50").layers):
        if layer.kind == "SUM":
            shortcut = layer.branches[1]
            assert (shortcut[0].kind == "SKIP") == (layer.input == layer.output)


def test_shortcuts_of_preact_resnet_are_identities_or_projections():
    """Between two sums there are only projections, with the NORM and RELU that they share."""
    layers = bound("preact_resnet18").layers
    sums = [layer for layer in layers if layer.kind == "SUM"]
    assert [layer.branches[1][0].kind for layer in sums] == ["SKIP", "SKIP"] + ["CONV", "SKIP"] * 3
    assert [layer.kind for layer in layers[-5:]] == ["SUM", "NORM", "RELU", "POOL", "FC"]
    assert all(layer.branches[0][0].kind == "NORM" for layer in sums[1::2])


@pytest.mark.parametrize("name", CASE_STUDIES)
def test_hyperparameters_do_not_change_case_studies(name):
    study = CASE_STUDIES[name]
    others = Hyperparameters(
        K=17, F=9, S=5, P=4, N=5, M=6, hidden_layer_sizes=(3, 4), pool=False, pool_F=4, pool_S=3
    )  # not used in any case study
    assert ARCHITECTURES[name].bind(study.image_shape, study.n_classes, others) == bound(name)


@pytest.mark.parametrize("name", CASE_STUDIES)
def test_every_case_study_names_its_source(name):
    assert any(year in CASE_STUDIES[name].source for year in ("1998", "2012", "2014", "2015", "2016", "2024"))


def test_case_studies_take_other_images_and_classes():
    for name, image_shape in {
        "lenet5": (28, 28, 1), "alexnet": (99, 99, 1), "vgg11": (64, 96, 3), "googlenet": (64, 64, 3),
        "resnet18": (64, 64, 3), "resnet50": (48, 80, 1), "resnet20": (28, 28, 1), "preact_resnet18": (32, 32, 3),
    }.items():  # fmt: skip
        assert str(ARCHITECTURES[name].bind(image_shape, 7).layers[-1].output) == "[1x1x7]"


def test_error_if_an_image_does_not_fit_a_case_study():
    with pytest.raises(ArchitectureError, match=r"CONV 1 over the height of \[32x32x3\].*not a whole number"):
        ARCHITECTURES["alexnet"].bind((32, 32, 3), 10, Hyperparameters(rounding="exact"))
    with pytest.raises(ArchitectureError, match=r"POOL 2 over the height of \[2x2x256\]: the window F=3 is larger"):
        ARCHITECTURES["alexnet"].bind((32, 32, 3), 10)


def test_case_studies_are_canonical_once_parsed():
    for study in CASE_STUDIES.values():
        assert Architecture.parse(str(Architecture.parse(study.text))) == Architecture.parse(study.text)
