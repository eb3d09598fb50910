// ArchitectureError and the parts of its messages, as skconvnet/architecture/errors.py makes them.

class ArchitectureError extends Error {}

// A window that is larger than its padded input.
class WindowTooLargeError extends ArchitectureError {}

// Python's whitespace, which is not JavaScript's \s.
const SPACES = "[\\t-\\r\\x1c-\\x20\\x85\\xa0\\u1680\\u2000-\\u200a\\u2028\\u2029\\u202f\\u205f\\u3000]";

function strip(text) {
  return text.replace(new RegExp(`^${SPACES}+`), "").replace(new RegExp(`${SPACES}+$`), "");
}

function isPrintable(character) {
  return character === " " || !/[\p{C}\p{Z}]/u.test(character);
}

// Return an error that shows a line of a text with a caret under the place. `position` counts UTF-16 units, and the
// message counts characters.
function errorAt(message, text, position) {
  const start = position === 0 ? 0 : text.lastIndexOf("\n", position - 1) + 1;
  const line = [...text.slice(start).split("\n")[0]];
  const column = [...text.slice(start, position)].length;
  const context = DATA.limits.context;
  const left = Math.max(0, column - context);
  const right = column + context;
  const before = left > 0 ? "..." : "";
  const after = right < line.length ? "..." : "";
  const shownLine = line.slice(left, right).map((character) => (isPrintable(character) ? character : " ")).join("");
  const caret = " ".repeat(before.length + column - left) + "^";
  return new ArchitectureError(`${message}\n    ${before}${shownLine}${after}\n    ${caret}`);
}

// Return a value as Python's repr writes it: a text in quotes, a list as a tuple.
function repr(value) {
  if (Array.isArray(value)) return `(${value.map(repr).join(", ")}${value.length === 1 ? "," : ""})`;
  if (typeof value === "boolean") return value ? "True" : "False";
  if (typeof value !== "string") return String(value);
  const quote = value.includes("'") && !value.includes('"') ? '"' : "'";
  return quote + [...value].map((character) => escaped(character, quote)).join("") + quote;
}

function escaped(character, quote) {
  const named = { "\n": "\\n", "\r": "\\r", "\t": "\\t", "\\": "\\\\", [quote]: `\\${quote}` };
  if (character in named) return named[character];
  if (isPrintable(character)) return character;
  const code = character.codePointAt(0);
  const [letter, digits] = code < 0x100 ? ["x", 2] : code < 0x10000 ? ["u", 4] : ["U", 8];
  return `\\${letter}${code.toString(16).padStart(digits, "0")}`;
}

// Return repr(value) for an error message, cut if it is long.
function shown(value) {
  const text = [...repr(value)];
  return text.length <= DATA.limits.context ? text.join("") : `${text.slice(0, DATA.limits.context).join("")}...`;
}

// Return a number and what it counts.
function counted(number, noun) {
  return `${number} ${noun}${number === 1 ? "" : "s"}`;
}

// Return the end of an error message that suggests the most similar word; "" if no word is similar. Of the three most
// similar ones, a word in which characters changed places comes first.
function didYouMean(word, known) {
  const plain = (name) => name.replace(/[-_ ]/g, "").toLowerCase();
  const letters = (name) => [...name].sort().join("");
  const names = new Map(known.map((name) => [plain(name), name]));
  const wanted = plain([...word].slice(0, DATA.limits.context).join(""));
  const nearest = [...names.keys()]
    .map((name) => ({ name, ratio: similarity(name, wanted) }))
    .filter(({ ratio }) => ratio >= 0.6)
    .sort((a, b) => b.ratio - a.ratio || (a.name < b.name ? 1 : -1))
    .slice(0, 3);
  const best = nearest.find(({ name }) => letters(name) === letters(wanted)) ?? nearest[0];
  return best ? `: did you mean ${names.get(best.name)}?` : "";
}

// The similarity of difflib: twice the number of characters in common blocks, over the characters of both texts.
function similarity(a, b) {
  return a.length + b.length ? (2 * matches(a, b)) / (a.length + b.length) : 1;
}

// Count the characters of the longest common block, and of those before and after it.
function matches(a, b) {
  let best = { i: 0, j: 0, size: 0 };
  for (let i = 0; i < a.length; i += 1) {
    for (let j = 0; j < b.length; j += 1) {
      let size = 0;
      while (i + size < a.length && j + size < b.length && a[i + size] === b[j + size]) size += 1;
      if (size > best.size) best = { i, j, size };
    }
  }
  if (best.size === 0) return 0;
  const before = matches(a.slice(0, best.i), b.slice(0, best.j));
  return before + best.size + matches(a.slice(best.i + best.size), b.slice(best.j + best.size));
}

// Return a number with this many decimals. Halves go to the even digit, as Python rounds; toFixed rounds them up.
function fixed(number, decimals) {
  const size = Math.abs(number);
  const halves = size * 2 ** (decimals + 1);
  if (!Number.isInteger(halves) || halves % 2 === 0) return number.toFixed(decimals);
  const lower = Math.floor(size * 10 ** decimals);
  const even = lower + (lower % 2);
  return (Math.sign(number) * (even / 10 ** decimals)).toFixed(decimals);
}

// Return a whole number with commas.
function grouped(number) {
  return String(number).replace(/\B(?=(\d{3})+$)/g, ",");
}
