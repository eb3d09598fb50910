"""The page in a browser: its numbers are the engine's, its tables and errors are Python's.

One browser opens one page for all tests. Each test begins where it sets what it needs.
"""

import re
import shutil
from html import unescape
from pathlib import Path

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
from skconvnet.demo import convolution_page
from skconvnet.demo.data import LARGEST, convolution_data
from skconvnet.engine import Images, Learned, Network, Scorer
from tests.architecture.notation.test_parser import CASE_STUDIES as WRITTEN_CASE_STUDIES
from tests.architecture.notation.test_parser import EXAMPLES
from tests.architecture.test_summary import Cells

FLAGS = [
    *("--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"),
    *("--disable-sync", "--no-first-run"),
]
PATIENCE = 240_000  # milliseconds: a busy machine is slow
NUMBERS = convolution_data({}, seed=0)

# What the scripts below share: values are set as a reader sets them, by events of the fields.
SET = """
const set = (id, value) => {
  const field = document.getElementById(id);
  field.value = value;
  field.dispatchEvent(new Event(field.tagName === "SELECT" ? "change" : "input", { bubbles: true }));
};
const text = (selector) => document.querySelector(selector).textContent;
const table = (element) => [...element.rows].map((row) => [...row.cells].map((cell) => cell.textContent));
"""
LAYER = """(settings) => {
  for (const [name, value] of Object.entries(settings)) set(`set-${name}`, value);
  const isHidden = document.getElementById("layer-error").hidden;
  return {
    error: isHidden ? null : text("#layer-error pre"),
    outputs: [...document.querySelectorAll("#outputs table")].map(table),
    formula: [...document.querySelectorAll("#formula p")].map((line) => line.lastChild.textContent),
  };
}"""
NETWORKS = """(cases) => cases.map(([architecture, [height, width, channels], classes]) => {
  const sizes = { H: height, W: width, D: channels, classes: classes ?? "" };
  for (const [name, size] of Object.entries(sizes)) document.getElementById(`image-${name}`).value = size;
  set("text", architecture);
  const isHidden = document.getElementById("network-error").hidden;
  if (!isHidden) return text("#network-error pre");
  const notes = [...document.querySelectorAll("#notes li")].map((line) => line.textContent);
  return [table(document.getElementById("volumes")), notes];
})"""


@pytest.fixture(scope="module")
def opened(tmp_path_factory):
    """The page in a browser, and what went wrong there: messages of the console and requests to other places."""
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    browser = shutil.which("chromium") or shutil.which("chromium-browser")
    if browser is None:
        pytest.skip("there is no Chromium (apt-get install chromium)")
    file = tmp_path_factory.mktemp("demo") / "page.html"
    file.write_text(convolution_page(), encoding="utf-8")
    with playwright.sync_playwright() as running:
        chromium = running.chromium.launch(executable_path=browser, args=FLAGS, timeout=PATIENCE)
        page = chromium.new_page()
        page.set_default_timeout(PATIENCE)
        wrong = []
        page.on("console", lambda message: wrong.append(message.text))
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on("request", lambda request: wrong.append(request.url) if request.url != file.as_uri() else None)
        page.goto(file.as_uri())
        yield page, wrong
        chromium.close()


@pytest.fixture
def page(opened):
    page, wrong = opened
    yield page
    assert wrong == []


def in_page(page, script, argument):
    return page.evaluate(f"(argument) => {{ {SET} return ({script})(argument); }}", argument)


# -- One CONV layer ----------------------------------------------------------------------------------------------------

SETTINGS = [
    {"W": 7, "H": 7, "D": 3, "F": 3, "S": 2, "P": 1, "K": 2, "rounding": "exact"},
    {"W": 5, "H": 5, "D": 1, "F": 3, "S": 1, "P": 0, "K": 1, "rounding": "exact"},
    {"W": 5, "H": 7, "D": 2, "F": 3, "S": 1, "P": 1, "K": 3, "rounding": "exact"},
    {"W": 8, "H": 6, "D": 3, "F": 2, "S": 2, "P": 0, "K": 4, "rounding": "exact"},
    {"W": 16, "H": 16, "D": 8, "F": 3, "S": 1, "P": 1, "K": 8, "rounding": "exact"},
    {"W": 16, "H": 11, "D": 1, "F": 11, "S": 5, "P": 0, "K": 1, "rounding": "exact"},
    {"W": 1, "H": 1, "D": 8, "F": 1, "S": 1, "P": 0, "K": 8, "rounding": "exact"},
    {"W": 3, "H": 4, "D": 2, "F": 5, "S": 1, "P": 2, "K": 2, "rounding": "exact"},
    {"W": 6, "H": 6, "D": 1, "F": 1, "S": 5, "P": 8, "K": 2, "rounding": "floor"},
    {"W": 10, "H": 9, "D": 3, "F": 3, "S": 2, "P": 0, "K": 2, "rounding": "floor"},
    {"W": 10, "H": 9, "D": 3, "F": 3, "S": 2, "P": 0, "K": 2, "rounding": "ceil"},
    {"W": 12, "H": 7, "D": 2, "F": 4, "S": 3, "P": 1, "K": 5, "rounding": "ceil"},
    {"W": 9, "H": 9, "D": 4, "F": 2, "S": 3, "P": 1, "K": 2, "rounding": "floor"},
]


def text_of(settings):
    return "INPUT -> CONV(K={K}, F={F}, S={S}, P={P}) -> FC".format(**settings)


def bind(settings, n_classes=None):
    image_shape = settings["H"], settings["W"], settings["D"]
    rounding = Hyperparameters(rounding=settings["rounding"])
    return Architecture.parse(text_of(settings)).bind(image_shape, n_classes, rounding)


def convolved(settings):
    """The output of the layer, (K, height, width), by the engine: an FC behind it has the identity as its weights."""
    output = bind(settings).layers[0].output
    bound = bind(settings, output.size)
    H, W, D, F, K = (settings[letter] for letter in "HWDFK")
    image, weights, biases = (np.array(NUMBERS[name], np.float32) for name in ("input", "weights", "biases"))
    coefs = [weights[:K, :F, :F, :D].transpose(1, 2, 3, 0), np.eye(output.size, dtype=np.float32)]
    network = Network(bound, np.zeros(D), np.ones(D))
    network.learned = Learned(coefs, [biases[:K], np.zeros(output.size, np.float32)], [], [])
    image = image[:H, :W, :D]
    scores = Scorer(network).scores(Images(image[None], image.shape), 1)
    return np.rint(scores.reshape(output.height, output.width, K).transpose(2, 0, 1)).astype(int)


def number(text):
    return int(text.replace("−", "-"))


def shown_outputs(page, settings):
    shown = in_page(page, LAYER, settings)
    assert shown["error"] is None
    return np.array([[[number(cell) for cell in row] for row in table] for table in shown["outputs"]])


@pytest.mark.parametrize("settings", SETTINGS, ids=lambda settings: "-".join(map(str, settings.values())))
def test_outputs_are_those_of_the_kernels(page, settings):
    np.testing.assert_array_equal(shown_outputs(page, settings), convolved(settings))


# What is shown at each step: the window moves by the key that a reader would press.
STEPS = """(count) => Array.from({ length: count + 1 }, (_, step) => {
  const key = step === 0 ? "Home" : "ArrowRight";
  document.body.dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true }));
  const channels = [...document.querySelectorAll(".channel")];
  const texts = (element, selector) => [...element.querySelectorAll(selector)].map((cell) => cell.textContent);
  return {
    products: channels.map((channel) => texts(channel, ".products td span")),
    sums: channels.map((channel) => channel.querySelector(".channel-sum").textContent),
    said: text("#sum"),
    current: text("#outputs [aria-current]"),
  };
})"""


@pytest.mark.parametrize("settings", [SETTINGS[0], SETTINGS[7], SETTINGS[10]], ids=["stride", "padding", "ceil"])
def test_each_step_adds_the_products_of_the_channels_and_the_bias(page, settings):
    outputs = shown_outputs(page, settings)
    *steps, after_the_last = in_page(page, STEPS, outputs.size)
    for step, (output, shown) in enumerate(zip(outputs.ravel(), steps, strict=True)):
        k, row, column = np.unravel_index(step, outputs.shape)
        sums = list(map(number, shown["sums"]))
        assert [sum(map(number, products)) for products in shown["products"]] == sums
        assert sum(sums) + NUMBERS["biases"][k] == output == number(shown["current"])
        assert shown["said"].startswith(f"filter {k + 1}, row {row + 1}, column {column + 1}: ")
        assert shown["said"].endswith(f" + bias {NUMBERS['biases'][k]} = {output}".replace("-", "−"))
    assert after_the_last == steps[0]


def test_keys_and_buttons_move_the_window(page):
    in_page(page, LAYER, SETTINGS[0])

    def press(key):
        page.keyboard.press(key)
        return list(map(int, re.findall(r"\d+", page.text_content("#sum"))[:3]))

    page.evaluate("document.activeElement.blur()")
    assert [press(key) for key in ("Home", "ArrowDown", "ArrowRight", "ArrowUp")] == [
        *([1, 1, 1], [1, 2, 1], [1, 2, 2], [1, 1, 2])
    ]
    assert press("End") == [2, 4, 4]
    assert press("ArrowLeft") == [2, 4, 3]
    page.click("[data-step=on]")
    assert press("Shift") == [2, 4, 4]
    page.evaluate("document.activeElement.blur()")
    page.keyboard.press("Space")
    assert page.text_content("#play") == "Pause"
    assert page.get_attribute("#sum", "aria-live") == "off"
    page.keyboard.press("Space")
    assert page.text_content("#play") == "Play"
    page.focus("#set-W")
    assert press("Home") == press("Shift")  # a key in a field is for the field


def test_the_formula_has_its_numbers(page):
    formula = in_page(page, LAYER, SETTINGS[3])["formula"]
    assert formula == [
        "(W - F + 2P)/S + 1 = (8 - 2 + 0)/2 + 1 = 4",
        "(W - F + 2P)/S + 1 = (6 - 2 + 0)/2 + 1 = 3",
        "[8x6x3] → [4x3x4]",
        "2*2*3*4 + 4 = 52",
        "CONV(K=4, F=2, S=2, P=0)",
    ]
    assert in_page(page, LAYER, SETTINGS[10])["formula"][0].endswith("(10 - 3 + 0)/2 + 1 = 4.5, rounded up to 5")


@pytest.mark.parametrize(
    "changed", [{"S": 4}, {"W": 8}, {"H": 10, "S": 5}, {"F": 10}, {"W": 1, "H": 1, "P": 0}, {"F": 11, "P": 1, "S": 16}]
)
def test_sizes_that_do_not_fit_are_explained_as_by_python(page, changed):
    settings = SETTINGS[0] | changed
    with pytest.raises(ArchitectureError) as refused:
        bind(settings)
    assert in_page(page, LAYER, settings)["error"] == str(refused.value)
    assert not page.is_visible("#stage")


def test_what_fits_can_be_clicked(page):
    settings = SETTINGS[0] | {"W": 8, "H": 8}
    with pytest.raises(ArchitectureError) as refused:
        bind(settings)
    in_page(page, LAYER, settings)
    choices = page.locator(".fits button").all_text_contents()
    assert ", ".join(choices) == re.search("What fits: (.*)", str(refused.value))[1]
    for choice in choices:
        in_page(page, LAYER, settings)
        page.click(f".fits button:text-is('{choice}')")
        assert page.is_visible("#stage"), choice


@pytest.mark.parametrize(
    ("letter", "value", "arguments"),
    [
        ("W", "17", {"image_shape": (7, 17, 3)}),
        ("D", "9", {"image_shape": (7, 7, 9)}),
        ("P", "-1", {"P": -1}),
        ("F", "", {"F": ""}),
        ("K", "1.5", {"K": "1.5"}),
    ],
)
def test_settings_that_cannot_be_shown_are_refused_as_by_python(page, letter, value, arguments):
    with pytest.raises(ArchitectureError) as refused:
        convolution_page(**arguments)
    assert in_page(page, LAYER, SETTINGS[0] | {letter: value})["error"] == str(refused.value)


# -- A network ---------------------------------------------------------------------------------------------------------


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
        for name, value in (("K", "8 16 4"), ("rounding", "up")):
            page.evaluate(fill, [(f"parameter-{name}", value)])
            errors += in_page(page, NETWORKS, [(text, shape, 4)])
    finally:
        page.evaluate(fill, defaults)
    summary = Architecture.parse(text).summary(shape, 4, Hyperparameters(**values))
    assert table == Cells(summary._repr_html_()).rows
    for wrong, error in zip(({"K": [8, 16, 4]}, {"rounding": "up"}), errors, strict=True):
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


# -- The page ----------------------------------------------------------------------------------------------------------


def test_tabs_are_chosen_by_keys(page):
    page.focus("#tab-layer")
    page.keyboard.press("ArrowRight")
    assert page.is_visible("#network")
    assert not page.is_visible("#layer")
    page.keyboard.press("ArrowRight")
    assert page.is_visible("#layer")


def test_every_field_and_button_has_a_name(page):
    nameless = "[...document.querySelectorAll('button, input, select, textarea')].filter((element) =>"
    nameless += "!(element.labels?.length || element.ariaLabel || element.textContent.trim())).map((e) => e.outerHTML)"
    in_page(page, LAYER, SETTINGS[0] | {"W": 8})
    assert page.evaluate(nameless) == []


@pytest.mark.parametrize(
    "settings", [SETTINGS[0], SETTINGS[4], SETTINGS[0] | {"W": 8}], ids=["first", "large", "error"]
)
def test_a_phone_scrolls_only_down(page, settings):
    page.set_viewport_size({"width": 360, "height": 780})
    try:
        in_page(page, LAYER, settings)
        assert page.evaluate("document.documentElement.scrollWidth") == 360
        page.click("#tab-network")
        assert page.evaluate("document.documentElement.scrollWidth") == 360
    finally:
        page.set_viewport_size({"width": 1280, "height": 720})
        page.click("#tab-layer")


def test_the_page_names_no_other_place():
    assert re.findall(r"https?://(?!www\.w3\.org/2000/svg)\S+", convolution_page()) == []


def test_numbers_do_not_move_when_settings_change():
    assert convolution_data({"W": 3}, seed=0) | {"settings": {}} == NUMBERS
    assert np.array(NUMBERS["input"]).shape == (LARGEST["H"], LARGEST["W"], LARGEST["D"])
    assert convolution_data({}, seed=1)["input"] != NUMBERS["input"]


def test_a_text_in_the_data_cannot_end_the_script():
    page = convolution_page()
    assert page.count("</script>") == 2
    assert Path(__file__).parents[2].joinpath("skconvnet/demo/page.html").read_text().count("</script>") == 2
