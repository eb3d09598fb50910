"""Where the parts of a diagram are."""

from itertools import combinations, pairwise

import pytest

from skconvnet import ARCHITECTURES, Architecture
from skconvnet.architecture import Volume
from skconvnet.inspection.diagram import diagram_of, fold, parts_in
from skconvnet.inspection.layout import LINE, Scale, lay_out, text_width

NETWORKS = {
    "lenet5": (32, 32, 1),
    "vgg16": (224, 224, 3),
    "resnet20": (32, 32, 3),
    "googlenet": (224, 224, 3),
    "mobilenet_v2": (224, 224, 3),
}
NESTED = "INPUT -> (SKIP + (CONV(K=4) -> RELU | CONV(K=4) | POOL(F=3, S=1, P=1)) -> CONV(K=4) + CONV(K=4)) -> FC"
STRIP = "INPUT -> [CONV(K=4, F=9x1, S=1, P=0)]*3 -> FC"
TOUCH = 1e-3

DIAGRAMS = [
    *(fold(diagram_of(ARCHITECTURES[name].bind(shape))) for name, shape in NETWORKS.items()),
    diagram_of(Architecture.parse(NESTED).bind((9, 9, 4))),
    diagram_of(Architecture.parse(STRIP).bind((1, 500, 1))),
]


def rectangles(layout):
    """What must not be covered: the fronts of the boxes, and the labels; a little smaller, as they may touch."""
    for part, x, y in layout.boxes:
        depth, height, _ = layout.scale.box(part.volume)
        yield x + TOUCH, y + TOUCH, x + depth - TOUCH, y + height - TOUCH
    for lines, x, y in layout.labels:
        half = max(map(text_width, lines), default=0) / 2
        yield x - half, y - LINE * len(lines), x + half, y


def meet(one, other):
    (left, low, right, high), (left2, low2, right2, high2) = one, other
    return min(right, right2) > max(left, left2) and min(high, high2) > max(low, low2)


@pytest.mark.parametrize(("width", "box", "words"), [(4, 1, "all"), (9, 0.7, "all"), (4, 0.35, "name"), (4, 1, "none")])
@pytest.mark.parametrize("chain", DIAGRAMS)
def test_nothing_overlaps(chain, width, box, words):
    layout = lay_out(chain, width, box, words)
    found = list(rectangles(layout))
    assert len(layout.boxes) == len(layout.labels) == len(list(parts_in(chain)))
    assert not any(meet(*pair) for pair in combinations(found, 2))
    for path in layout.lines:
        for (x0, y0), (x1, y1) in pairwise(path):
            assert x0 == x1 or y0 == y1
            segment = min(x0, x1), min(y0, y1) - 1e-6, max(x0, x1) + 1e-6, max(y0, y1)
            assert not any(meet(segment, rectangle) for rectangle in found)
    assert all(0 < left and right < layout.width for left, _, right, _ in found)
    assert all(-layout.height < low and high < 0 for _, low, _, high in found)


def test_a_line_leads_to_each_box():
    layout = lay_out(diagram_of(Architecture.parse(NESTED).bind((9, 9, 4))), 9)
    ends = [path[-1] for path in layout.lines]
    for part, x, y in layout.boxes:
        _, height, (_, up) = layout.scale.box(part.volume)
        on_the_left = [end for end in ends if end == pytest.approx((x, y + (height + up) / 2))]
        assert len(on_the_left) == (part.name != "INPUT")


def test_volumes_have_one_scale():
    scale = Scale.of(diagram_of(ARCHITECTURES["lenet5"].bind((32, 32, 1))), box=1)
    depth, height, (right, up) = scale.box(Volume(height=20, width=10, depth=30))
    assert height / depth == pytest.approx(20 / 30)
    assert (right**2 + up**2) ** 0.5 / depth == pytest.approx(0.5 * 10 / 30)
    assert scale.extent(84) == scale.extent(120) == scale.extent(scale.longest)


@pytest.mark.parametrize(("depth", "longest"), [(4, 14), (25, 25), (40, 25)])
def test_a_box_is_broken_from_two_and_a_half_times_the_side_of_the_image_on(depth, longest):
    chain = diagram_of(Architecture.parse(f"INPUT -> CONV(K={depth}) -> FC(500)").bind((10, 10, 1)))
    assert Scale.of(chain, box=0.5) == Scale(0.5 / longest, longest)


def test_without_volumes_of_more_pixels_the_deepest_of_one_is_not_broken():
    chain = diagram_of(Architecture.parse("INPUT -> FC(2)").bind((1, 1, 64)))
    scale = Scale.of(chain, box=1)
    assert scale == Scale(1 / 64, 64)
    (depth, *_), (fewer, *_) = (scale.box(part.volume) for part in parts_in(chain))
    assert depth == 1
    assert fewer < 0.1


def test_a_network_in_one_row_is_as_wide_as_needed_and_others_have_rows():
    chain = diagram_of(ARCHITECTURES["lenet5"].bind((32, 32, 1)))
    assert lay_out(chain, 9).width < 9
    in_rows = lay_out(chain, 3)
    assert in_rows.width <= 3
    assert in_rows.height > lay_out(chain, 9).height


def test_what_is_wider_than_a_row_makes_the_picture_wider():
    chain = diagram_of(Architecture.parse("INPUT -> (SKIP + [CONV(K=4)]*8) -> FC").bind((8, 8, 4)))
    assert 3 < lay_out(chain, 3).width < lay_out(chain, 20).width
