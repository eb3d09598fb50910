"""The page: tabs, names, sizes of screens, and what stands in its file."""

import re
from pathlib import Path

import numpy as np
import pytest

from skconvnet.demo import convolution_page
from skconvnet.demo.data import LARGEST, convolution_data
from tests.demo.browser import LAYER, NUMBERS, SETTINGS, in_page


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


WIDE = {
    "first": SETTINGS[0],
    "large": SETTINGS[4],
    "padded": SETTINGS[0] | {"W": 16, "H": 16, "S": 1, "P": 8},
    "large filter": SETTINGS[0] | {"W": 16, "H": 16, "F": 11, "S": 1, "P": 5, "K": 8},
    "error": SETTINGS[0] | {"W": 8},
}
PHONE, TABLET, DESK = (320, 390), (768,), (1024, 1280)
OUTPUT = """() => {
  const { left, right } = document.getElementById("outputs").getBoundingClientRect();
  const grid = document.querySelector(".output").getBoundingClientRect();
  return [left, right, Math.min(right, grid.right) - grid.left, grid.width];
}"""


@pytest.mark.parametrize("settings", WIDE.values(), ids=WIDE)
def test_screens_scroll_only_down(page, settings):
    in_page(page, LAYER, settings)
    try:
        for width in (*PHONE, *TABLET, *DESK):
            page.set_viewport_size({"width": width, "height": 780})
            assert page.evaluate("document.documentElement.scrollWidth") == width
            if settings is not WIDE["error"]:
                left, right, seen, drawn = page.evaluate(OUTPUT)
                assert 0 <= left < right <= width
                assert seen == pytest.approx(drawn) or seen > 0.8 * width  # one grid, or all the screen
            buttons = page.eval_on_selector_all("#controls button", "all => all.map((b) => b.offsetHeight)")
            assert max(buttons) <= 40  # their texts have one line
    finally:
        page.set_viewport_size({"width": 1280, "height": 720})


def test_screens_scroll_only_down_to_a_network(page):
    page.click("#tab-network")
    try:
        for width in (*PHONE, *TABLET):
            page.set_viewport_size({"width": width, "height": 780})
            assert page.evaluate("document.documentElement.scrollWidth") == width
    finally:
        page.set_viewport_size({"width": 1280, "height": 720})
        page.click("#tab-layer")


# Text on its background, where colours are transparent: [contrast, what is written]; the least of each class.
CONTRASTS = """() => {
  const numbers = (colour) => { const [r, g, b, a = 1] = colour.match(/[\\d.]+/g).map(Number); return [r, g, b, a]; };
  const linear = (value) => value <= 10 ? value / 3295 : ((value / 255 + 0.055) / 1.055) ** 2.4;
  const light = ([r, g, b]) => 0.2126 * linear(r) + 0.7152 * linear(g) + 0.0722 * linear(b) + 0.05;
  const over = (top, below) => below.map((value, i) => top[i] * top[3] + value * (1 - top[3]));
  const background = (element) => {
    const colour = numbers(getComputedStyle(element).backgroundColor);
    return colour[3] === 1 || !element.parentElement ? colour : over(colour, background(element.parentElement));
  };
  return [...document.querySelectorAll("#layer td, #layer small, #layer p, #layer label")].map((element) => {
    const [a, b] = [light(numbers(getComputedStyle(element).color)), light(background(element))];
    return [Math.max(a, b) / Math.min(a, b), element.outerHTML];
  });
}"""


def test_texts_have_contrast_in_both_schemes(page):
    in_page(page, LAYER, SETTINGS[0])
    backgrounds = set()
    try:
        for scheme in ("light", "dark"):
            page.emulate_media(color_scheme=scheme)
            assert min(page.evaluate(CONTRASTS))[0] >= 4.5
            backgrounds.add(page.evaluate("getComputedStyle(document.body.parentElement).backgroundColor"))
    finally:
        page.emulate_media(color_scheme=None)
    assert len(backgrounds) == 2


def test_factors_of_products_can_be_read_or_are_hidden(page):
    sizes = "all => all.filter((e) => e.offsetParent).map((e) => parseFloat(getComputedStyle(e).fontSize))"
    shown = []
    try:
        for settings in (SETTINGS[0], SETTINGS[10]):
            in_page(page, LAYER, settings)
            for width in (390, 1280):
                page.set_viewport_size({"width": width, "height": 780})
                shown.append(page.eval_on_selector_all(".products small", sizes))
    finally:
        page.set_viewport_size({"width": 1280, "height": 720})
    assert min(map(min, filter(None, shown))) >= 9
    assert [bool(each) for each in shown] == [True, True, False, True]


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
