"""One CONV layer in the browser: its numbers are those of the engine, its errors those of Python."""

import re

import numpy as np
import pytest

from skconvnet.architecture import Architecture, ArchitectureError, Hyperparameters
from skconvnet.demo import convolution_page
from skconvnet.engine import Images, Learned, Network, Scorer
from tests.demo.browser import LAYER, NUMBERS, SETTINGS, in_page


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


# What is shown at each step: the window moves by the key that a reader would press. The window is where its pixels are.
STEPS = """(count) => Array.from({ length: count + 1 }, (_, step) => {
  const key = step === 0 ? "Home" : "ArrowRight";
  document.body.dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true }));
  const channels = [...document.querySelectorAll(".channel")];
  const texts = (element, selector) => [...element.querySelectorAll(selector)].map((cell) => cell.textContent);
  const seen = (channel) => {
    const style = channel.querySelector(".window").style;
    const [top, left] = ["--row", "--column"].map((name) => Number(style.getPropertyValue(name)));
    const extent = channel.querySelector(".filter table").rows.length;
    const rows = [...channel.querySelectorAll(".input tr")].slice(top, top + extent);
    return rows.flatMap((row) => [...row.cells].slice(left, left + extent).map((cell) => cell.textContent));
  };
  return {
    pixels: channels.map(seen),
    weights: channels.map((channel) => texts(channel, ".filter td")),
    factors: channels.map((channel) => texts(channel, ".products small")),
    products: channels.map((channel) => texts(channel, ".products td span")),
    sums: channels.map((channel) => channel.querySelector(".channel-sum").textContent),
    said: text("#sum"),
    current: text("#outputs [aria-current]"),
  };
})"""


@pytest.mark.parametrize("settings", [SETTINGS[0], SETTINGS[7], SETTINGS[10]], ids=["stride", "padding", "ceil"])
def test_each_step_multiplies_and_adds_the_products_of_the_channels_and_the_bias(page, settings):
    outputs = shown_outputs(page, settings)
    *steps, after_the_last = in_page(page, STEPS, outputs.size)
    for step, (output, shown) in enumerate(zip(outputs.ravel(), steps, strict=True)):
        k, row, column = np.unravel_index(step, outputs.shape)
        sums = list(map(number, shown["sums"]))
        F, D = settings["F"], settings["D"]
        weights = np.array(NUMBERS["weights"])[k, :F, :F, :D].transpose(2, 0, 1).reshape(D, -1)
        pixels = np.vectorize(number)(shown["pixels"])
        np.testing.assert_array_equal(np.vectorize(number)(shown["weights"]), weights)
        np.testing.assert_array_equal(np.vectorize(number)(shown["products"]), pixels * weights)
        factors = [[list(map(number, text.split(" × "))) for text in channel] for channel in shown["factors"]]
        np.testing.assert_array_equal(factors, np.stack([pixels, weights], 2))
        assert [sum(map(number, products)) for products in shown["products"]] == sums
        assert sum(sums) + NUMBERS["biases"][k] == output == number(shown["current"])
        assert shown["said"].startswith(f"filter {k + 1}, row {row + 1}, column {column + 1}: ")
        assert shown["said"].endswith(f" + bias {NUMBERS['biases'][k]} = {output}".replace("-", "−"))
    assert after_the_last == steps[0]


@pytest.mark.parametrize("rounding", ["floor", "ceil"])
def test_the_input_shows_padding_and_what_no_window_sees(page, rounding):
    settings = SETTINGS[0] | {"W": 12, "H": 9, "S": 4, "rounding": rounding}
    assert in_page(page, LAYER, settings)["error"] is None
    cells = page.eval_on_selector_all(
        ".channel:first-child .input tr", "rows => rows.map((row) => [...row.cells].map((cell) => cell.className))"
    )
    # Windows of width 3 begin in columns 0, 4 and 8 of 14; rounded up, also in column 12.
    expected = np.full((11, 15 if rounding == "ceil" else 14), "beyond v0", object)
    expected[:, :14] = "pad v0"
    expected[1:10, 1:13] = [[f"input v{pixels[0]}" for pixels in row[:12]] for row in NUMBERS["input"][:9]]
    if rounding == "floor":
        expected[:, 11:] += " unseen"
    assert cells == expected.tolist()
    colours = page.eval_on_selector_all(
        ".channel:first-child .input td", "cells => cells.map((cell) => getComputedStyle(cell).background)"
    )
    kinds = {name.removesuffix(" unseen") for name in expected.ravel()}
    assert len(dict(zip(expected.ravel(), colours, strict=True))) >= len(kinds) == len(set(colours))


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
    before = page.text_content("#sum")
    page.keyboard.press("Space")
    page.wait_for_function("(before) => document.getElementById('sum').textContent !== before", arg=before)
    assert page.text_content("#play") == "Pause"
    assert page.get_attribute("#sum", "aria-live") == "off"
    page.keyboard.press("Space")
    assert page.text_content("#play") == "Play"
    page.focus("#set-W")
    assert press("Home") == press("Shift")  # a key in a field is for the field


def test_a_cell_of_the_output_shows_its_window(page):
    in_page(page, LAYER, SETTINGS[0])
    page.locator("#outputs td").nth(16 + 4 * 2 + 1).click()
    assert page.text_content("#sum").startswith("filter 2, row 3, column 2: ")
    assert page.locator("#outputs [aria-current]").count() == 1


def test_fingers_move_the_window(page):
    context = page.context.browser.new_context(has_touch=True, viewport={"width": 390, "height": 844})
    try:
        phone = context.new_page()
        phone.goto(page.url)
        phone.tap("[data-step=on]")
        assert phone.text_content("#sum").startswith("filter 1, row 1, column 2: ")
        phone.tap("#outputs td >> nth=5")
        assert phone.text_content("#sum").startswith("filter 1, row 2, column 2: ")
        assert phone.evaluate("getComputedStyle(document.getElementById('play')).touchAction") == "manipulation"
    finally:
        context.close()


def test_the_current_cell_of_many_filters_is_in_view(page):
    in_page(page, LAYER, SETTINGS[4])
    between = "() => [...['[aria-current]', '#outputs', '#controls'].map((s) => document.querySelector(s))].map("
    between += "(e) => { const { top, bottom } = e.getBoundingClientRect(); return [top, bottom]; })"
    page.evaluate("document.activeElement.blur(); scrollTo(0, 0)")
    for key in ("End", "Home"):
        page.keyboard.press(key)
        (top, bottom), outputs, controls = page.evaluate(between)
        assert max(0, outputs[0]) <= top < bottom <= min(outputs[1], controls[0])
    page.evaluate("scrollTo(0, 0)")


def test_a_page_around_the_demo_stays_where_its_reader_is(page, tmp_path):
    file = tmp_path / "frame.html"
    file.write_text(f'<iframe src="{page.url}" width="1200" height="900"></iframe><p style="height: 3000px"></p>')
    around = page.context.browser.new_page()
    try:
        around.goto(file.as_uri())
        around.evaluate("scrollTo(0, 2000)")
        around.frames[1].evaluate("document.querySelector('[data-step=last]').click()")
        assert around.frames[1].text_content("#sum").startswith("filter 2, row 4, column 4: ")
        assert around.evaluate("scrollY") == 2000
    finally:
        around.close()


@pytest.mark.parametrize(
    ("letter", "written", "button", "value"),
    [
        *(("W", "1.5", "more", "2"), ("W", "1.5", "less", "1"), ("W", "", "more", "1"), ("P", "", "more", "1")),
        *(("P", "0", "less", "0"), ("W", "16", "more", "16"), ("W", "99", "less", "16"), ("W", "9", "more", "10")),
    ],
)
def test_buttons_keep_settings_whole_and_in_their_range(page, letter, written, button, value):
    in_page(page, LAYER, SETTINGS[0] | {"rounding": "ceil", "S": 1, letter: written})
    page.click(f"[aria-label='{button} {letter}']")
    assert page.input_value(f"#set-{letter}") == value
    error = page.text_content("#layer-error pre") if page.is_visible("#layer-error") else ""
    assert "must be a whole number" not in error


def test_the_formula_has_its_numbers(page):
    formula = in_page(page, LAYER, SETTINGS[3])["formula"]
    assert formula == [
        "(W - F + 2P)/S + 1 = (8 - 2 + 0)/2 + 1 = 4",
        "(H - F + 2P)/S + 1 = (6 - 2 + 0)/2 + 1 = 3",
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


@pytest.mark.parametrize(
    ("changed", "left_out"),
    [
        ({"W": 8, "H": 8}, []),
        ({"W": 7, "H": 5, "F": 3, "S": 3, "P": 0}, []),
        ({"W": 8}, []),
        ({"H": 8}, []),
        ({"W": 16, "H": 15}, ["W=17"]),  # more than the page shows
    ],
)
def test_what_fits_can_be_clicked(page, changed, left_out):
    settings = SETTINGS[0] | changed
    with pytest.raises(ArchitectureError) as refused:
        bind(settings)
    in_page(page, LAYER, settings)
    choices = page.locator(".fits button").all_text_contents()
    told = re.search("What fits: (.*)", str(refused.value))[1].split(", ")
    assert choices == [choice for choice in told if choice not in left_out]
    for choice in choices:
        in_page(page, LAYER, settings)
        page.click(f".fits button:text-is('{choice}')")
        assert page.is_visible("#stage"), choice


@pytest.mark.parametrize(
    ("changed", "fits"),
    [
        ({"W": 7, "H": 5, "F": 9, "S": 1, "P": 0}, ["F=5", "P=2", "W=9 with H=9"]),
        ({"F": 10}, ["F=9", "W=8"]),  # P=2 would not be whole
    ],
)
def test_of_a_window_that_is_too_large_what_fits_can_be_clicked(page, changed, fits):
    in_page(page, LAYER, SETTINGS[0] | changed)
    assert page.locator(".fits button").all_text_contents() == fits
    for choice in fits:
        in_page(page, LAYER, SETTINGS[0] | changed)
        page.click(f".fits button:text-is('{choice}')")
        assert page.is_visible("#stage"), choice


def test_only_what_the_demo_can_show_is_offered(page):
    in_page(page, LAYER, SETTINGS[0] | {"W": 16, "H": 16, "S": 6, "F": 5})
    choices = page.locator(".fits button").all_text_contents()
    assert {choice for choice in choices if choice.startswith("W")} == {"W=15"}


def test_a_key_on_what_fits_leaves_the_focus_on_the_changed_setting(page):
    for choice, field in (("round=floor", "set-rounding"), ("S=1", "set-S")):
        in_page(page, LAYER, SETTINGS[0] | {"W": 8, "H": 8})
        page.focus(f".fits button:text-is('{choice}')")
        page.keyboard.press("Enter")
        assert page.evaluate("document.activeElement.id") == field


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
