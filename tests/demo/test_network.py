"""A network in the browser: its tables, errors and boxes are those of Python."""

import re
from html import unescape

import numpy as np
import pytest

from skconvnet.architecture import (
    ARCHITECTURES,
    CASE_STUDIES,
    PUBLISHED,
    Architecture,
    ArchitectureError,
    Hyperparameters,
    find_architecture,
)
from skconvnet.inspection import ArchitectureDisplay
from skconvnet.inspection.diagram import diagram_of, fold, parts_in
from tests.architecture.notation.test_parser import CASE_STUDIES as WRITTEN_CASE_STUDIES
from tests.architecture.notation.test_parser import EXAMPLES
from tests.architecture.test_summary import Cells
from tests.demo.browser import in_page

NETWORKS = """(cases) => cases.map(([architecture, [height, width, channels], classes]) => {
  const sizes = { H: height, W: width, D: channels, classes: classes ?? "" };
  for (const [name, size] of Object.entries(sizes)) document.getElementById(`image-${name}`).value = size;
  set("text", architecture);
  const isHidden = document.getElementById("network-error").hidden;
  if (!isHidden) return text("#network-error pre");
  const notes = [...document.querySelectorAll("#notes li")].map((line) => line.textContent);
  return [table(document.getElementById("volumes")), notes];
})"""


def study(name):
    """The images and classes of an architecture, for its table."""
    known = (CASE_STUDIES | PUBLISHED).get(name)
    return (known.image_shape, known.n_classes) if known else ((32, 32, 3), 10)


def expected(text, image_shape, n_classes):
    """The cells and notes of the table that `summary` gives, or the text of the error."""
    try:
        table = find_architecture(text, image_shape).summary(image_shape, n_classes)
    except ArchitectureError as error:
        return str(error)
    html = table._repr_html_()
    return [Cells(html).rows, [unescape(note) for note in re.findall("<li>(.*?)</li>", html)]]


TEXTS = [*EXAMPLES, *WRITTEN_CASE_STUDIES.values()]
TEXTS += [
    "INPUT -> CONV(F=3x1, S=1x2, P=1x0) -> PRELU -> POOL(F=all) -> FC",
    "INPUT -> CONV(K=8, dilation=2) -> (SKIP * POOL(average, F=all) -> CONV(K=8, F=1) -> SIGMOID) -> DROPOUT -> FC(7)",
    "INPUT -> [CONV(bias=no) -> NORM(layer)]*N -> CONV(K=classes) -> POOL(average, F=all)",
    "  INPUT→CONV( K = 6,groups=3 )-NORM(lrn, k=1)\n-[POOL?]*2-(SKIP|TANH)->FC ",
]


def test_tables_are_those_of_summary(page):
    cases = [(name, *study(name)) for name in ARCHITECTURES]
    cases += [(text, (32, 30, 3), None) for text in TEXTS]
    for case, shown in zip(cases, in_page(page, NETWORKS, cases), strict=True):
        assert shown == expected(*case), case


WRONG = [
    "INPUT -> CONV RELU",
    "INPUT -> conv -> FC",
    "INPUT -> MaxPool2d -> FC",
    "INPUT -> CONV(F=3,1) -> FC",
    "INPUT -> CONV(kernel_size=3) -> FC",
    "INPUT -> [CONV]x2 -> FC",
    "INPUT --> FC",
    "INPUT => FC",
    "INPUT -> CONV(K=8, activation=relu) -> FC",
    "INPUT -> FC(8, tanh) -> FC",
    "INPUT -> FC(8, activation=None) -> FC",
    "INPUT -> FC(8, activation=linear) -> FC",
    "INPUT -> FC(bias=False) -> FC",
    "INPUT -> DROPOUT(inplace=True) -> FC",
    "INPUT -> NORM(bacth) -> FC",
    "INPUT -> DROPOUT(p=0.5) -> FC",
    "INPUT -> CONV(P=SAME) -> FC",
    "INPUT -> CONV(use_bias=no) -> FC",
    "INPUT -> FC(relu=",
    "INPUT -> FC + FC",
    "INPUT -> [RELU]*K -> FC",
    "INPUT -> CONV(K=0) -> FC",
    "INPUT -> NORM(momentum=0.1, lrn) -> FC",
    "INPUT \N{EN DASH} FC",
    "INPUT\n-> CONVV\n-> FC",
    "INPUT -> " + "RELU -> " * 30 + "oops -> " + "RELU -> " * 30 + "FC",
    "INPUT -> \N{GRINNING FACE}",
    "INPUT -> [FC]*10001",
    "INPUT -> " + "(" * 51,
    "VGG-16",
    "vgg61",
    "",
    # These parse, and do not fit.
    "INPUT -> CONV(F=40, P=0) -> FC",
    "INPUT -> [POOL]*6 -> FC",
    "INPUT -> CONV(F=4) -> FC",
    "INPUT -> CONV(groups=2) -> FC",
    "INPUT -> (CONV(K=3) + CONV(K=4)) -> FC",
    "INPUT -> (CONV(K=3) | POOL) -> FC",
    "INPUT -> POOL(P=2) -> FC",
    "INPUT -> RELU",
    "INPUT -> CONV -> RELU",
    "INPUT -> FC(9)",
    "INPUT -> FC(3) -> FC -> [CONV]*99999999999 -> FC",
]


def test_errors_have_the_text_and_the_caret_of_python(page):
    cases = [(text, (32, 32, 3), 10) for text in WRONG] + [
        ("INPUT -> FC", (0, 32, 3), 10),
        ("INPUT -> FC", (8, 8, 1), 0),
    ]
    for case, shown in zip(cases, in_page(page, NETWORKS, cases), strict=True):
        assert shown == expected(*case)
        assert isinstance(shown, str), case


def test_parameters_of_the_estimator_fill_what_the_text_leaves_open(page):
    text, shape = "INPUT -> [[CONV -> RELU]*N -> POOL?]*M -> [FC -> RELU]*K -> FC", (20, 24, 3)
    defaults = page.evaluate(
        "[...document.querySelectorAll('[id^=parameter-]')].map((field) => [field.id, field.value])"
    )
    written = {"K": "8, 16", "F": "5", "S": "1", "P": "1 same", "N": "1", "hidden_layer_sizes": "9 7", "pool": "yes no"}
    values = {"K": [8, 16], "F": 5, "P": [1, "same"], "N": 1, "hidden_layer_sizes": [9, 7], "pool": [True, False]}
    fill = "(values) => { for (const [id, value] of values) document.getElementById(id).value = value; }"
    try:
        page.evaluate(fill, [(f"parameter-{name}", value) for name, value in written.items()])
        [(table, _)] = in_page(page, NETWORKS, [(text, shape, 4)])
        errors = []
        for name, value in (("K", "8 16 4"), ("rounding", "Floor"), ("P", "SAME")):
            page.evaluate(fill, [(f"parameter-{name}", value)])
            errors += in_page(page, NETWORKS, [(text, shape, 4)])
    finally:
        page.evaluate(fill, defaults)
    summary = Architecture.parse(text).summary(shape, 4, Hyperparameters(**values))
    assert table == Cells(summary._repr_html_()).rows
    for wrong, error in zip(({"K": [8, 16, 4]}, {"rounding": "Floor"}, {"P": "SAME"}), errors, strict=True):
        with pytest.raises(ArchitectureError) as refused:
            Architecture.parse(text).summary(shape, 4, Hyperparameters(**values | wrong))
        assert error == str(refused.value)


# The places of boxes or texts: [left, top, right, bottom].
PLACES = """(kind) => [...document.querySelectorAll(`#boxes ${kind}`)].map((element) => {
  const { x, y, width, height } = element.getBBox();
  return [x, y, x + width, y + height];
})"""


@pytest.fixture
def network(page):
    """The page, with the tab of the network open."""
    page.click("#tab-network")
    yield page
    page.click("#tab-layer")


def diagram(text, image_shape, n_classes=None):
    """The parts that ArchitectureDisplay draws as boxes."""
    chain = diagram_of(find_architecture(text, image_shape).bind(image_shape, n_classes))
    is_long = len(list(parts_in(chain))) > 24
    return [part for part in parts_in(fold(chain) if is_long else chain) if part.kind not in ("SUM", "STACK", "GATE")]


@pytest.mark.parametrize("name", ["double-conv", "resnet20", "googlenet", "resnet152"])
def test_boxes_are_those_of_the_display_in_rows(network, name):
    network.select_option("#example", name)
    parts = diagram(name, *study(name))
    boxes = np.array(network.evaluate(PLACES, ".box"))
    texts = np.array(network.evaluate(PLACES, "text"))
    kinds = network.eval_on_selector_all("#boxes .box", "all => all.map((box) => box.classList[1])")
    assert kinds == [part.kind for part in parts]
    told = network.eval_on_selector_all(
        "#boxes text.name", "all => all.map((text) => [...text.children].map((line) => line.textContent))"
    )
    for (first, volume, *lines), part in zip(told, parts, strict=True):
        assert (first, f"[{volume}]") == (part.name, str(part.volume))
        assert " ".join(lines).split() == [*part.numbers, *part.followers]
    size = [float(network.get_attribute("#boxes svg", side)) for side in ("width", "height")]
    assert size[0] <= network.evaluate("document.getElementById('boxes').clientWidth")
    for drawn in (boxes, texts):
        assert drawn.min() >= 0
        assert (drawn.max(axis=0)[2:] <= size).all()
    drawn = np.concatenate([boxes, texts])
    first, second = np.triu_indices(len(drawn), 1)
    apart = (drawn[first, 2:] <= drawn[second, :2] + 1) | (drawn[second, 2:] <= drawn[first, :2] + 1)
    assert apart.any(axis=1).all()
    times = network.eval_on_selector_all("#boxes .start", "all => all.map((text) => text.textContent)")
    frames = network.evaluate(PLACES, ".frame")
    assert len(frames) == sum(text.endswith(" times") for text in times)
    assert bool(frames) == (name.startswith("resnet"))


def test_boxes_have_the_sides_of_their_volumes(network):
    def box(height, width, depth):
        in_page(network, NETWORKS, [("INPUT -> FC", (height, width, depth), None)])
        right = network.evaluate(PLACES, ".box")[0][2]
        [front] = network.evaluate(PLACES, ".box.INPUT .front")
        return front[2] - front[0], front[3] - front[1], right - front[2]

    wide, high, deep = box(8, 32, 4), box(32, 8, 4), box(8, 32, 64)
    assert wide[2] > high[2]  # the width goes back
    assert wide[1] < high[1]
    assert wide[0] == high[0] < deep[0]


def test_options_of_layers_stand_below_their_boxes(network):
    text = "INPUT -> CONV(K=8, groups=2, dilation=2) -> NORM -> PRELU -> POOL(average, F=2) -> POOL(max, F=2) -> FC"
    in_page(network, NETWORKS, [(text, (32, 32, 4), 10)])
    shown = network.eval_on_selector_all("#boxes text.name", "all => all.map((text) => text.textContent)")
    told = (("groups=2", "dilation=2", "NORM", "PRELU"), ("average",), ("max",), ("K=10",))
    for words, below in zip(told, shown[1:], strict=True):
        assert all(word in below for word in words)


def test_lines_end_at_the_scores_and_begin_at_the_input(network):
    in_page(network, NETWORKS, [("INPUT -> CONV -> FC", (32, 32, 3), 10)])
    boxes, wires = np.array(network.evaluate(PLACES, ".box")), np.array(network.evaluate(PLACES, ".wire"))
    assert boxes[0, 0] < wires[:, 0].min()
    assert wires[:, 2].max() < boxes[-1, 2]


def test_a_narrow_screen_has_more_rows(network):
    network.select_option("#example", "vgg16")
    height = "Number(document.querySelector('#boxes svg').getAttribute('height'))"
    before = network.evaluate(height)
    try:
        network.set_viewport_size({"width": 390, "height": 780})
        # A function: the page forbids texts that are evaluated.
        network.wait_for_function(f"(least) => {height} > least", arg=1.5 * before)
        assert network.evaluate("document.querySelector('#boxes svg').clientWidth") <= 390
    finally:
        network.set_viewport_size({"width": 1280, "height": 720})


def test_colours_are_those_of_the_display(network):
    pyplot = pytest.importorskip("matplotlib.pyplot", reason="needs Matplotlib (the extra skconvnet[plot])")
    text, shape = "INPUT -> (CONV + CONV) -> POOL -> FC", (32, 32, 3)
    display = ArchitectureDisplay.from_text(text, shape)
    [faces] = [drawn.get_facecolor() for drawn in display.ax_.collections if drawn.get_gid() == "boxes"]
    pyplot.close(display.figure_)
    kinds = [part.kind for part in parts_in(diagram_of(display.architecture))]
    in_page(network, NETWORKS, [(text, shape, 10)])
    for kind, colour in zip(kinds, faces[::3], strict=True):
        shapes = "#boxes .joint" if kind == "SUM" else f"#boxes .{kind} .front"
        fills = network.eval_on_selector_all(shapes, "all => all.map((shape) => getComputedStyle(shape).fill)")
        assert set(fills) == {f"rgb({', '.join(str(round(255 * channel)) for channel in colour[:3])})"}
