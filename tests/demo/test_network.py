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


@pytest.mark.parametrize("name", ["double-conv", "resnet20", "googlenet"])
def test_boxes_do_not_overlap_and_stay_in_the_drawing(page, name):
    page.click("#tab-network")
    page.select_option("#example", name)
    places = "(kind) => [...document.querySelectorAll(`#boxes ${kind}`)].map((element) => {"
    places += "const { x, y, width, height } = element.getBBox(); return [x, y, x + width, y + height]; })"
    boxes = np.array(page.evaluate(places, ".box"))
    texts = np.array(page.evaluate(places, "text"))
    records = ARCHITECTURES[name].summary(*study(name)).records
    kinds = ("SUM", "STACK", "GATE")
    assert len(boxes) == sum(bool(record["n_activations"]) and record["notation"] not in kinds for record in records)
    size = [float(page.get_attribute("#boxes svg", side)) for side in ("width", "height")]
    for drawn in (boxes, texts):
        assert drawn.min() >= 0
        assert (drawn.max(axis=0)[2:] <= size).all()
    drawn = np.concatenate([boxes, texts])
    first, second = np.triu_indices(len(drawn), 1)
    apart = (drawn[first, 2:] <= drawn[second, :2] + 1) | (drawn[second, 2:] <= drawn[first, :2] + 1)
    assert apart.any(axis=1).all()
    page.click("#tab-layer")
