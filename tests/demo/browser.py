"""What the tests of the page do in the browser, as a reader would."""

from skconvnet.demo.data import convolution_data

NUMBERS = convolution_data({}, seed=0)
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

# What the scripts share: values are set as a reader sets them, by events of the fields.
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


def in_page(page, script, argument):
    return page.evaluate(f"(argument) => {{ {SET} return ({script})(argument); }}", argument)
