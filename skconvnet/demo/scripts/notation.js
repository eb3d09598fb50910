// The parser: from a text in the notation to the tree, as skconvnet/architecture/notation/ does it.
//
// A chain is an array of {kind, options, optional, position}, {body, times, position} and
// {operator, branches, position}. Layers, options and limits are those of Python's table, in DATA.

const NOTATION = DATA.notation;

// Return the options of a layer in this mode, by name.
function optionsOf(kind, mode) {
  const options = Object.entries(NOTATION[kind]);
  return Object.fromEntries(options.filter(([, option]) => !option.modes.length || option.modes.includes(mode)));
}

// Return the whole number that a text spells; null if it is not one from `lowest` to the largest number.
function readWholeNumber(text, lowest) {
  if (!/^[0-9]+$/.test(text)) return null;
  const digits = text.replace(/^0+/, "");
  if (digits.length > String(DATA.limits.number).length) return null;
  const number = Number(digits || "0");
  return lowest <= number && number <= DATA.limits.number ? number : null;
}

// Return the value of an option's text; null if the option does not accept it. A pair is [rows, columns].
function readOption(option, text) {
  if (option.words.includes(text)) return text;
  if (option.per_axis && text.includes("x")) {
    const [width, height] = text.split("x").map((number) => readWholeNumber(number, option.lowest));
    return width === null || height === null ? null : collapse([height, width]);
  }
  if (option.lowest !== null) return readWholeNumber(text, option.lowest);
  if (text.includes("x") || !/^\.?[0-9]/.test(text)) return null;
  const number = Number(text);
  if (option.fraction && number < 1) return number;
  return option.real !== null && option.real[0] <= number && number <= option.real[1] ? number : null;
}

// Return [rows, columns], or one number where they are the same.
function collapse([rows, columns]) {
  return rows === columns ? rows : [rows, columns];
}

// Return the text of a value: [rows, columns] as width x height, a number as Python writes it.
function spellNumber(value) {
  if (Array.isArray(value)) return `${value[1]}x${value[0]}`;
  if (typeof value !== "number" || value === 0 || Math.abs(value) >= 1e-4) return String(value);
  return value.toExponential().replace(/e([+-])(\d)$/, "e$10$2");
}

// Return the canonical text of a layer. Options that are null or the default are left out.
function spellLayer(kind, options) {
  const values = Object.entries(NOTATION[kind] ?? {})
    .filter(([name, option]) => (options[name] ?? null) !== null && options[name] !== option.default)
    .map(([name, option]) => (option.bare ? "" : `${name}=`) + spellNumber(options[name]));
  return values.length ? `${kind}(${values.join(", ")})` : kind;
}

// Return whether a chain contains a layer of this kind, at any depth.
function contains(chain, kind) {
  return chain.some((item) => {
    if (item.body) return contains(item.body, kind);
    if (item.branches) return item.branches.some((branch) => contains(branch, kind));
    return item.kind === kind;
  });
}

// Return the number of layers after all repeats are written out, as a BigInt. A repeat with nothing in it is one.
function countLayers(chain, times) {
  let total = 0n;
  for (const item of chain) {
    if (item.body) {
      const count = BigInt(times[item.times] ?? item.times) * countLayers(item.body, times);
      total += count > 1n ? count : 1n;
    } else {
      total += 1n + (item.branches ?? []).reduce((sum, branch) => sum + countLayers(branch, times), 0n);
    }
  }
  return total;
}

// Return what to write for a layer of another library; null if the name is none.
function explain(name) {
  const plain = name.toUpperCase().replaceAll("_", "");
  for (const key of [plain, plain.replace(/2D$/, ""), plain.replace(/1D$/, "")]) {
    if (Object.hasOwn(DATA.names.not_written, key)) return `${name} is not written: ${DATA.names.not_written[key]}`;
    if (Object.hasOwn(DATA.names.written, key)) return `${name} is written ${DATA.names.written[key]} here`;
    if (DATA.names.missing.includes(key)) return `there is no ${name} here; RELU, PRELU, HSWISH and GELU are similar`;
  }
  return null;
}

function parse(text) {
  const length = [...text].length;
  if (length > DATA.limits.characters) {
    throw new ArchitectureError(
      `the text has ${length} characters, and at most ${DATA.limits.characters} are allowed`,
    );
  }
  return new Parser(text).network();
}

const WORD = "([A-Za-z_][A-Za-z_0-9]*)";
const NUMBER = "([0-9]+x[0-9]+|(?:[0-9]*\\.)?[0-9]+(?:[eE][+-]?[0-9]+)?)";
const MARK = "(->?|→|[\\][()*?+|=,])";
const TOKEN = new RegExp(`${SPACES}*(?:${WORD}|${NUMBER}|${MARK}|($(?![^])))`, "y");
const TOKEN_KINDS = ["word", "number", "mark", "end"];
const MISTAKEN = new RegExp(`${SPACES}*(?:(?<arrow>--+>?|=*>|[—–⇒])|(?<star>×))`, "y");
const MEANT = { arrow: "'->'", star: "'*', as in [CONV -> RELU]*2" };

function tokens(text) {
  const found = [];
  let position = 0;
  while (found.at(-1)?.kind !== "end") {
    TOKEN.lastIndex = position;
    MISTAKEN.lastIndex = position;
    const match = TOKEN.exec(text);
    const mistaken = MISTAKEN.exec(text)?.groups;
    if (match === null || mistaken) {
      const spaces = new RegExp(`${SPACES}*`, "y");
      spaces.lastIndex = position;
      position += spaces.exec(text)[0].length;
      const character = mistaken?.arrow ?? mistaken?.star ?? String.fromCodePoint(text.codePointAt(position));
      const hint = mistaken ? `: did you mean ${mistaken.arrow ? MEANT.arrow : MEANT.star}?` : "";
      const expected = "a layer or one of -> [ ] ( ) * ? + |";
      throw errorAt(`expected ${expected}, but found ${repr(character)}${hint}`, text, position);
    }
    const group = match.findIndex((part, index) => index > 0 && part !== undefined);
    position = TOKEN.lastIndex;
    found.push({ kind: TOKEN_KINDS[group - 1], text: match[group], position: position - match[group].length });
  }
  return found;
}

const PAIR = " (width x height is written as in 3x1)";

// A recursive descent parser with one method per rule. Each method leaves `index` after the tokens it read.
class Parser {
  constructor(text) {
    this.text = text;
    this.tokens = tokens(text);
    this.index = 0;
    this.nesting = 0;
  }

  get token() {
    return this.tokens[this.index];
  }

  at(...texts) {
    return this.token.kind !== "end" && texts.includes(this.token.text);
  }

  take() {
    this.index += 1;
    return this.tokens[this.index - 1];
  }

  // Take a token; after a minus sign also the number.
  takeValue() {
    const token = this.take();
    if (token.text !== "-" || this.token?.kind !== "number") return token;
    return { kind: "number", text: `-${this.take().text}`, position: token.position };
  }

  expect(mark, ...others) {
    if (!this.at(mark)) throw this.error([...others, mark].map(repr).join(" or "));
    return this.take();
  }

  // Return the error for a token. The hint says what to write instead.
  error(expected, token = this.token, hint = "") {
    const found = token.kind === "end" ? "the end of the text" : shown(token.text);
    return errorAt(`expected ${expected}, but found ${found}${hint}`, this.text, token.position);
  }

  fail(message, position) {
    throw errorAt(message, this.text, position);
  }

  howToWrite() {
    const { text } = this.token;
    if (this.tokens[this.index - 1].text === "]" && /^[xX]?\d*$/.test(text)) {
      return ` (a repeat is written with a star, as in ]*${text.replace(/^[xX]+/, "") || 2})`;
    }
    if (this.at("*")) return " (a gate is (A * B), and a repeat [A]*2)";
    return this.at(...DATA.operators) ? ` (branches are in parentheses: (A ${text} B))` : "";
  }

  enter() {
    const opening = this.take();
    this.nesting += 1;
    if (this.nesting > DATA.limits.nesting) {
      throw this.error(`at most ${DATA.limits.nesting} nested brackets and parentheses`, opening);
    }
    return opening;
  }

  leave(closing, ...others) {
    this.expect(closing, ...others);
    this.nesting -= 1;
  }

  network() {
    const bracketed = this.at("[");
    if (bracketed) this.enter();
    if (!this.at("INPUT")) {
      const hint = didYouMean(this.token.text, ["INPUT"]);
      throw this.error("INPUT, the beginning of an architecture", this.token, hint);
    }
    this.take();
    if (!this.at(...DATA.arrows)) throw this.error("'->'");
    this.take();
    const chain = this.chain();
    if (bracketed) this.leave("]", "->");
    if (this.token.kind !== "end") {
      throw this.error(bracketed ? "the end of the text" : `'->' or the end of the text${this.howToWrite()}`);
    }
    this.checkSize(chain, 0);
    return chain;
  }

  chain() {
    const items = [...this.item()];
    while (this.at(...DATA.arrows)) {
      this.take();
      items.push(...this.item());
    }
    return items;
  }

  // Return the items as an array, since a group without a repeat is replaced by its items.
  item() {
    if (this.at("[")) return this.group();
    return [this.at("(") ? this.branches() : this.layer()];
  }

  group() {
    const { position } = this.enter();
    const body = this.chain();
    this.leave("]", "->");
    if (!this.at("*") || this.atGate()) return body;
    this.take();
    const repeat = { body, times: this.times(body), position };
    this.checkSize([repeat], position);
    return [repeat];
  }

  // Whether a branch follows the *, and not how often a group is repeated.
  atGate() {
    const { text } = this.tokens[this.index + 1];
    return Object.hasOwn(NOTATION, text) || ["SKIP", "[", "("].includes(text);
  }

  times(body) {
    const token = this.takeValue();
    const times = DATA.repeat_letters.includes(token.text) ? token.text : readWholeNumber(token.text, 0);
    if (times === null) throw this.error(`a whole number from 0 to ${DATA.limits.number}, N, M or K`, token);
    if (times === "K" && (contains(body, "CONV") || !contains(body, "FC"))) {
      this.fail(
        "*K repeats a group once per value in hidden_layer_sizes: the group must contain FC, and no CONV",
        token.position,
      );
    }
    return times;
  }

  branches() {
    const { position } = this.enter();
    const branches = [this.branch()];
    if (!this.at(...DATA.operators)) throw this.error("'->', '+', '|' or '*' and another branch");
    const operator = this.token.text;
    while (this.at(operator)) {
      this.take();
      branches.push(this.branch());
      if (operator === "*" && this.at("*")) {
        throw this.error("'->' or ')', since a gate has two branches; three are ((A * B) * C)");
      }
    }
    this.leave(")", "->", ...(operator === "*" ? [] : [operator]));
    return { operator, branches, position };
  }

  branch() {
    if (!this.at("SKIP")) return this.chain();
    const { position } = this.take();
    if (!this.at(...DATA.operators, ")")) {
      throw this.error("'+', '|', '*' or ')' after SKIP, which is a branch by itself");
    }
    return [{ kind: "SKIP", options: {}, optional: false, position }];
  }

  layer() {
    const name = this.take();
    if (!Object.hasOwn(NOTATION, name.text)) {
      const explanation = explain(name.text);
      if (explanation) this.fail(explanation, name.position);
      const skip = name.text === "SKIP" ? " (SKIP is a branch by itself in a sum, stack or gate)" : "";
      const kinds = Object.keys(NOTATION);
      throw this.error(`a layer (${kinds.join(", ")}), '[' or '('${skip}`, name, didYouMean(name.text, kinds));
    }
    const options = this.at("(") ? this.options(name.text) : {};
    const optional = this.at("?");
    if (optional && name.text !== "POOL") this.fail("only a POOL can be optional", this.token.position);
    if (optional) this.take();
    return { kind: name.text, options, optional, position: name.position };
  }

  options(kind) {
    const allowed = NOTATION[kind];
    if (!Object.keys(allowed).length) this.fail(`${kind} has no options`, this.token.position);
    const spelled = {};
    const positions = {};
    let pair = ""; // how an option of two numbers is written
    this.take();
    while (!this.at(")")) {
      if (pair && /^[xX*]/.test(this.token.text)) throw this.error(`')' or ','${pair}`);
      if (Object.keys(spelled).length) this.expect(",", ")");
      this.refuseLayer(kind);
      const { position } = this.token;
      const name = this.optionName(kind, pair);
      if (name in spelled) this.fail(`${kind} has ${name} twice`, position);
      positions[name] = position;
      spelled[name] = this.optionValue(kind, name);
      pair = allowed[name].per_axis ? PAIR : "";
    }
    this.take();
    this.checkMode(kind, spelled, positions);
    const isSpelled = (name) => name in spelled && spelled[name] !== allowed[name].default;
    return Object.fromEntries(Object.keys(allowed).filter(isSpelled).map((name) => [name, spelled[name]]));
  }

  optionValue(kind, name) {
    const option = NOTATION[kind][name];
    const token = this.takeValue();
    const value = token.kind === "end" ? null : readOption(option, token.text);
    if (value !== null) return value;
    const isF = name === "mode" && kind === "POOL" && token.kind === "number";
    let note = isF ? ` (the extent is written by name, as in F=${token.text})` : "";
    if (/^\d+x\d+$/.test(token.text) && !isF) note += ", which is one number";
    const hint = didYouMean(token.text, option.words);
    throw this.error(`${option.expected} for ${name} of ${kind}${note}`, token, hint);
  }

  // Reject a layer as the name or the value of the next option of another layer.
  refuseLayer(kind) {
    const allowed = NOTATION[kind];
    const known = [...Object.keys(allowed), ...Object.values(allowed).flatMap(({ words }) => words)];
    const [name, equals, value] = this.tokens.slice(this.index, this.index + 3);
    for (const token of equals?.text === "=" && value ? [value, name] : [name]) {
      const isNoActivation = token !== name && token.text === "linear"; // in other libraries, not a layer
      if (token.kind !== "word" || known.includes(token.text) || isNoActivation) continue;
      const layer = token.text.toUpperCase();
      if (Object.hasOwn(NOTATION, layer)) this.fail(`${layer} is a layer: write -> ${layer} after ${kind}`, token.position);
      const explanation = explain(token.text);
      if (explanation) this.fail(explanation, token.position);
    }
  }

  // Reject options that belong to another mode of the layer.
  checkMode(kind, spelled, positions) {
    if (!("mode" in NOTATION[kind])) return;
    const mode = spelled.mode ?? NOTATION[kind].mode.words[0];
    const known = optionsOf(kind, mode);
    for (const [name, position] of Object.entries(positions)) {
      if (name in known) continue;
      const modes = NOTATION[kind][name].modes.map((other) => `${kind}(${other})`).join(" or ");
      this.fail(`${name} is an option of ${modes}, but this is ${kind}(${mode})`, position);
    }
  }

  // Return the name of the next option: the word before "=", or the name of the bare option.
  optionName(kind, pair) {
    const allowed = Object.keys(NOTATION[kind]);
    if (this.token.kind === "word" && this.tokens[this.index + 1].text === "=") {
      const name = this.take();
      if (!allowed.includes(name.text)) throw this.unknownOption(kind, name, allowed);
      this.take();
      return name.text;
    }
    const bare = allowed.find((name) => NOTATION[kind][name].bare);
    if (bare !== undefined) return bare;
    let hint = pair;
    if (this.token.kind === "number" && !hint) {
      hint = ` (did you mean ${this.token.text.includes("x") ? "F" : allowed[0]}=${this.token.text}?)`;
    }
    hint = this.token.kind === "number" ? hint : "";
    throw this.error(`the options of ${kind} by name, ${allowed.map((name) => `${name}=`).join(", ")}${hint}`);
  }

  unknownOption(kind, name, allowed) {
    const meant = Object.hasOwn(DATA.names.options, name.text) ? DATA.names.options[name.text] : null;
    let hint = didYouMean(name.text, allowed);
    if (allowed.includes(meant)) hint = `: that is written ${meant} here`;
    const value = this.tokens[this.index + 1].text;
    const isValue = readOption(NOTATION[kind][allowed[0]], value) !== null;
    if (allowed.length === 1 && isValue) hint = `: write ${kind}(${value})`;
    return this.error(`an option of ${kind} (${allowed.join(", ")})`, name, hint);
  }

  // Reject a chain with too many layers even if each letter is 1.
  checkSize(chain, position) {
    const count = countLayers(chain, Object.fromEntries(DATA.repeat_letters.map((letter) => [letter, 1])));
    if (count > DATA.limits.layers) {
      this.fail(`${count} layers, and at most ${DATA.limits.layers} are allowed`, position);
    }
  }
}
