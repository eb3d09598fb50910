"""The layout of a diagram, drawn."""

import pytest
from numpy.testing import assert_allclose

from skconvnet import Architecture
from skconvnet.inspection.diagram import diagram_of, fold
from skconvnet.inspection.layout import lay_out

TEXT = "INPUT -> [(SKIP + CONV(K=3) -> RELU)]*3 -> FC(100)"


@pytest.fixture
def drawn(plt):
    """A layout, and the axes on which it is drawn."""
    from skconvnet.inspection.boxes import draw_layout

    layout, ax = lay_out(fold(diagram_of(Architecture.parse(TEXT).bind((8, 8, 3)))), 9), plt.subplots()[1]
    draw_layout(layout, ax, font_size=7)
    return layout, ax


def of_id(gid, ax):
    (found,) = (collection for collection in ax.collections if collection.get_gid() == gid)
    return found.get_paths()


def test_faces_and_arrows(drawn):
    layout, ax = drawn
    assert len(of_id("boxes", ax)) == 3 * len(layout.boxes) == 12
    assert len(of_id("arrows", ax)) == len(layout.lines)
    part, x, y = layout.boxes[0]
    depth, height, (right, up) = layout.scale.box(part.volume)
    front, top, side = (face.vertices[:4].tolist() for face in of_id("boxes", ax)[:3])
    low, high = [[x, y], [x + depth, y]], [[x + depth, y + height], [x, y + height]]
    assert front == low + high
    back = [[x + depth + right, y + height + up], [x + right, y + height + up]]
    assert_allclose(sorted(top), sorted(high + back))
    assert_allclose(sorted(side), sorted([low[1], high[0], back[0], [x + depth + right, y + up]]))


def test_kinds_of_layers_have_colours(plt):
    from skconvnet.inspection.boxes import draw_layout

    text, ax = "INPUT -> CONV(K=3) -> POOL -> (SKIP + CONV(K=3)) -> FC", plt.subplots()[1]
    layout = lay_out(diagram_of(Architecture.parse(text).bind((8, 8, 3))), 9)
    draw_layout(layout, ax, font_size=7)
    (boxes,) = (collection for collection in ax.collections if collection.get_gid() == "boxes")
    fronts = [tuple(colour) for colour in boxes.get_facecolors()[::3]]
    kinds = [part.kind for part, *_ in layout.boxes]
    colours = dict(zip(kinds, fronts, strict=True))
    assert len(set(colours.values())) == len(colours) == 5
    assert all(max(colour[:3]) - min(colour[:3]) > 0.1 for colour in colours.values())  # none is grey
    assert fronts[kinds.index("CONV")] == fronts[len(kinds) - 1 - kinds[::-1].index("CONV")]


def test_the_box_that_is_too_long_is_broken(drawn):
    layout, ax = drawn
    (gap,) = of_id("gaps", ax)
    _, x, _ = layout.boxes[-1]
    left, right = gap.vertices[:, 0].min(), gap.vertices[:, 0].max()
    assert x < left < right < x + layout.scale.extent(100)


def test_signs_frames_and_labels_are_written(drawn):
    layout, ax = drawn
    texts = [text.get_text() for text in ax.texts]
    assert texts[:2] == ["3 times", "+"]
    written = "\n".join(texts[2:]).split("\n")
    assert written == [line for lines, *_ in layout.labels for line in lines]
