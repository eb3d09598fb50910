// One CONV layer: its settings, the window over the padded input, the products and the output.

const CONVOLUTION = DATA.convolution;
const MEANINGS = {
  W: "width",
  H: "height",
  D: "depth",
  F: "filter extent",
  S: "stride",
  P: "zero-padding",
  K: "filters",
};
const ROUNDINGS = { exact: "is an error", floor: "rounds down", ceil: "rounds up" };

// Return an element with attributes and children. A name that begins with "on" is a handler.
function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (value !== false && value !== null) element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children);
  return element;
}

function byId(id) {
  return document.getElementById(id);
}

// Return a whole number with a minus sign as wide as a plus.
function signed(number) {
  return String(number).replace("-", "−");
}

// A layer with the numbers of the page. It knows each pixel of the padded input, each product and each output.
class Convolution {
  // `settings` has W, H, D, F, S, P, K and rounding. Throws ArchitectureError in the words of Python.
  constructor(settings) {
    const { W, H, D, F, S, P, K, rounding } = settings;
    for (const letter of Object.keys(MEANINGS)) checkSetting(letter, settings[letter]);
    this.text = `INPUT -> CONV(K=${K}, F=${F}, S=${S}, P=${P}) -> FC`;
    [this.conv] = bindText(this.text, [H, W, D], null, { rounding }).layers;
    Object.assign(this, { settings, width: this.conv.output.width, height: this.conv.output.height });
  }

  get length() {
    return this.width * this.height * this.settings.K;
  }

  // Return the position of a step: filter by filter, row by row.
  at(step) {
    const area = this.width * this.height;
    return {
      k: Math.floor(step / area),
      row: Math.floor((step % area) / this.width),
      column: step % this.width,
    };
  }

  // Return the rows and columns of the padded input that are drawn: a window that rounds up may reach beyond it.
  get drawn() {
    const { W, H, F, S, P } = this.settings;
    const extent = (side, count) => Math.max(side + 2 * P, (count - 1) * S + F);
    return { rows: extent(H, this.height), columns: extent(W, this.width) };
  }

  // Return a pixel of the padded input: its value and whether it is of the "input", "pad" or "beyond".
  pixel(y, x, channel) {
    const { W, H, P } = this.settings;
    const [row, column] = [y - P, x - P];
    if (row >= 0 && row < H && column >= 0 && column < W) {
      return { value: CONVOLUTION.input[row][column][channel], place: "input" };
    }
    return { value: 0, place: y < H + 2 * P && x < W + 2 * P ? "pad" : "beyond" };
  }

  // Return the products of a step in one channel, as rows of {pixel, weight, product}.
  products({ k, row, column }, channel) {
    const { F, S } = this.settings;
    const range = [...Array(F).keys()];
    return range.map((i) =>
      range.map((j) => {
        const pixel = this.pixel(row * S + i, column * S + j, channel).value;
        const weight = CONVOLUTION.weights[k][i][j][channel];
        return { pixel, weight, product: pixel * weight || 0 };
      }),
    );
  }

  // Return the sums of a step: one for each channel, the bias and the total.
  sums(position) {
    const channels = [...Array(this.settings.D).keys()].map((channel) =>
      this.products(position, channel).flat().reduce((sum, { product }) => sum + product, 0),
    );
    const bias = CONVOLUTION.biases[position.k];
    return { channels, bias, total: channels.reduce((sum, one) => sum + one, bias) };
  }
}

// Return whether the page can show these settings.
function isShown(settings) {
  try {
    return new Convolution(settings).length > 0;
  } catch (error) {
    if (error instanceof ArchitectureError) return false;
    throw error;
  }
}

function checkSetting(letter, value) {
  const [lowest, largest] = rangeOf(letter);
  if (Number.isInteger(value) && lowest <= value && value <= largest) return;
  throw new ArchitectureError(
    `in the demo, ${letter} must be a whole number from ${lowest} to ${largest}, got ${shown(value)}`,
  );
}

// Return the smallest and the largest value of a setting.
function rangeOf(letter) {
  return [letter === "P" ? 0 : 1, CONVOLUTION.largest[letter]];
}

// Draws a convolution, and moves its window.
class ConvolutionView {
  constructor() {
    this.settings = { ...CONVOLUTION.settings, rounding: "exact" };
    this.step = 0;
    this.timer = null;
    this.makeFields();
    this.listen();
    this.draw();
  }

  makeFields() {
    this.inputs = {};
    for (const [letter, meaning] of Object.entries(MEANINGS)) {
      const [min, max] = rangeOf(letter);
      const input = make("input", {
        type: "number",
        id: `set-${letter}`,
        inputmode: "numeric",
        min,
        max,
        value: this.settings[letter],
        oninput: () => this.set({ [letter]: numberIn(input) }),
      });
      const change = (step) => () => {
        input[step](); // it keeps to the range, and makes a number of what is none
        this.set({ [letter]: numberIn(input) });
      };
      this.inputs[letter] = input;
      byId("settings").append(
        make(
          "div",
          { class: "field" },
          make("label", { for: input.id }, make("b", {}, letter), ` ${meaning}`),
          make(
            "span",
            { class: "stepper" },
            make("button", { type: "button", "aria-label": `less ${letter}`, onclick: change("stepDown") }, "−"),
            input,
            make("button", { type: "button", "aria-label": `more ${letter}`, onclick: change("stepUp") }, "+"),
          ),
        ),
      );
    }
    const options = Object.entries(ROUNDINGS).map(([value, text]) => make("option", { value }, text));
    const select = make("select", { id: "set-rounding", onchange: () => this.set({ rounding: select.value }) });
    select.append(...options);
    this.inputs.rounding = select;
    const label = make("label", { for: select.id }, "a size that is not whole");
    byId("settings").append(make("div", { class: "field" }, label, select));
  }

  listen() {
    byId("settings").addEventListener("submit", (event) => event.preventDefault());
    for (const button of document.querySelectorAll("[data-step]")) {
      button.addEventListener("click", () => this.move(button.dataset.step));
    }
    byId("play").addEventListener("click", () => this.play(this.timer === null));
    byId("speed").addEventListener("input", () => this.timer !== null && this.play(true));
    byId("outputs").addEventListener("click", ({ target }) => {
      const cell = target.closest("td");
      if (cell) this.show(Number(cell.dataset.step));
    });
    document.addEventListener("keydown", (event) => this.press(event));
  }

  // Keys move the window, unless they are for a field or for the tabs.
  press(event) {
    const isElsewhere = byId("layer").hidden || byId("stage").hidden || event.target.closest("input, select, [role=tab]");
    if (isElsewhere || event.altKey || event.ctrlKey || event.metaKey) return;
    const keys = { ArrowRight: "on", ArrowLeft: "back", ArrowUp: "up", ArrowDown: "down", Home: "first", End: "last" };
    if (event.key in keys) this.move(keys[event.key]);
    else if (event.key === " " && !event.target.closest("button")) this.play(this.timer === null);
    else return;
    event.preventDefault();
  }

  // Change settings, and draw; `write` says that the fields do not show them yet.
  set(changed, write = false) {
    Object.assign(this.settings, changed);
    if (write) for (const [name, value] of Object.entries(changed)) this.inputs[name].value = value;
    this.step = 0;
    this.draw();
  }

  draw() {
    this.play(false);
    try {
      this.convolution = new Convolution(this.settings);
    } catch (error) {
      if (!(error instanceof ArchitectureError)) throw error;
      this.refuse(error);
      return;
    }
    this.allow(true);
    this.drawFormula();
    this.drawChannels();
    this.drawOutputs();
    this.show(Math.min(this.step, this.convolution.length - 1));
  }

  allow(isAllowed) {
    for (const id of ["stage", "controls", "formula"]) byId(id).hidden = !isAllowed;
    byId("layer-error").hidden = isAllowed;
  }

  // Show an error, and a button for each setting that fits and that the page can show.
  refuse(error) {
    this.allow(false);
    const [message, fits] = byId("layer-error").children;
    message.replaceChildren(...linesOf(error));
    const { W, H } = this.settings;
    const buttons = (error.choices ?? []).map((choice) => {
      const changed = W === H && "W" in choice ? { ...choice, H: choice.W } : named(choice);
      const onclick = ({ detail }) => {
        this.set(changed, true);
        // A key leaves the focus nowhere, since its button is gone. A finger needs no keyboard on its screen.
        if (detail === 0) this.inputs[Object.keys(changed)[0]].focus();
      };
      const button = make("button", { type: "button", onclick }, spellChoice(choice));
      return isShown({ ...this.settings, ...changed }) ? [button] : [];
    });
    fits.replaceChildren(...buttons.flat());
  }

  drawFormula() {
    const { conv } = this.convolution;
    const [width, height] = sidesOf(conv.input, conv.axes);
    const sides = width === height ? [["width and height", width, conv.output.width]] : [
      ["width", width, conv.output.width],
      ["height", height, conv.output.height],
    ];
    const lines = [
      ...sides.map(([name, side, count]) => [name, `${formula(side)}${rounded(side, count)}`]),
      ["volumes", `${conv.input} → ${conv.output}`],
      ["parameters", `${conv.arithmetic} = ${grouped(conv.weights + conv.biases)}`],
      ["notation", conv.text],
    ];
    byId("formula").replaceChildren(
      ...lines.map(([name, text]) => make("p", {}, make("span", { class: "side" }, name), make("span", {}, text))),
    );
  }

  drawChannels() {
    const { D, F, S } = this.convolution.settings;
    const { rows, columns } = this.convolution.drawn;
    const { width, height } = this.convolution;
    const stage = byId("stage");
    stage.style.setProperty("--F", F);
    const sizes = { large: 10, medium: 15, small: 20, tiny: Infinity };
    stage.dataset.size = Object.keys(sizes).find((size) => Math.max(rows, columns) <= sizes[size]);
    stage.dataset.filter = F > 4 ? "wide" : "narrow";
    const seen = { rows: (height - 1) * S + F, columns: (width - 1) * S + F };
    this.channels = [...Array(D).keys()].map((channel) => {
      const input = grid(rows, columns, (y, x) => {
        const { value, place } = this.convolution.pixel(y, x, channel);
        const isSeen = y < seen.rows && x < seen.columns;
        return { text: value, class: `${place} v${value}${isSeen ? "" : " unseen"}` };
      });
      const pane = make("div", { class: "window" });
      const filter = make("div", { class: "grid filter" });
      const products = make("div", { class: "grid products" });
      const sum = make("output", { class: "channel-sum" });
      const element = make(
        "div",
        { class: "channel", role: "group", "aria-label": `Channel ${channel + 1}` },
        captioned(`input, channel ${channel + 1}`, make("div", { class: "grid input" }, input, pane)),
        make(
          "div",
          { class: "work" },
          make("span", { class: "operator", "aria-hidden": "true" }, "×"),
          captioned("filter", filter),
          make("span", { class: "operator", "aria-hidden": "true" }, "="),
          captioned("products", products),
          captioned("sum", sum),
        ),
      );
      return { element, pane, filter, products, sum };
    });
    byId("channels").replaceChildren(...this.channels.map(({ element }) => element));
  }

  drawOutputs() {
    const { width, height, settings } = this.convolution;
    const area = width * height;
    this.slices = [...Array(settings.K).keys()].map((k) => {
      const table = grid(height, width, (row, column) => {
        const { total } = this.convolution.sums({ k, row, column });
        const step = k * area + row * width + column;
        return { text: signed(total), class: `cell ${shade(total)}`, step };
      });
      return captioned(`output, filter ${k + 1}`, make("div", { class: "grid output" }, table));
    });
    byId("outputs").replaceChildren(...this.slices);
  }

  // Show one step: the window, the filter, the products and the sum.
  show(step) {
    this.step = step;
    const position = this.convolution.at(step);
    const { channels: sums, bias, total } = this.convolution.sums(position);
    const { S } = this.convolution.settings;
    this.channels.forEach(({ pane, filter, products, sum }, channel) => {
      pane.style.setProperty("--row", position.row * S);
      pane.style.setProperty("--column", position.column * S);
      const cells = this.convolution.products(position, channel);
      const F = cells.length;
      const weight = (i, j) => ({ text: signed(cells[i][j].weight), class: shade(cells[i][j].weight) });
      filter.replaceChildren(grid(F, F, weight));
      products.replaceChildren(grid(F, F, (i, j) => productCell(cells[i][j])));
      sum.textContent = signed(sums[channel]);
    });
    byId("outputs").querySelector("[aria-current]")?.removeAttribute("aria-current");
    const current = byId("outputs").querySelector(`[data-step="${step}"]`);
    current.setAttribute("aria-current", "true");
    const { k, row, column } = position;
    const terms = sums.map((sum) => (sum < 0 ? `(${signed(sum)})` : sum));
    byId("sum").replaceChildren(
      make("span", { class: "where" }, `filter ${k + 1}, row ${row + 1}, column ${column + 1}: `),
      make("span", {}, terms.join(" + ")),
      make("span", { class: "bias" }, ` + bias ${bias}`),
      " = ",
      make("b", {}, signed(total)),
    );
  }

  move(to) {
    const { length, width } = this.convolution;
    const by = { on: 1, back: -1, up: -width, down: width };
    const next = { first: 0, last: length - 1 }[to] ?? (this.step + by[to] + length) % length;
    this.show(next);
    this.follow();
  }

  // Scroll so that the current cell is in view. A reader who looks at channels below the output stays there, and
  // scrollIntoView is not used, since it would also scroll a page that has the demo in a frame.
  follow() {
    const outputs = byId("outputs");
    const current = outputs.querySelector("[aria-current]");
    const { top, bottom, left, right } = outputs.getBoundingClientRect();
    const controls = byId("controls").getBoundingClientRect().top;
    if (bottom <= 0 || top >= controls) return;
    const cell = current.getBoundingClientRect();
    outputs.scrollBy(outside(cell.left, cell.right, left, right), outside(cell.top, cell.bottom, top, bottom));
    const moved = current.getBoundingClientRect();
    window.scrollBy(0, outside(moved.top, moved.bottom, 0, controls));
  }

  // Begin or end playing. The sentence about the sum is not read aloud meanwhile.
  play(isPlaying) {
    clearInterval(this.timer);
    this.timer = isPlaying ? setInterval(() => this.move("on"), 2000 / byId("speed").value) : null;
    byId("play").textContent = isPlaying ? "Pause" : "Play";
    byId("play").setAttribute("aria-pressed", isPlaying);
    byId("sum").setAttribute("aria-live", isPlaying ? "off" : "polite");
  }
}

// Return how far an extent is before or behind a view; 0 if it is inside.
function outside(start, end, first, last) {
  return start < first ? start - first : Math.max(0, end - last);
}

// Return a choice as settings of the page.
function named({ round, ...choice }) {
  return round === undefined ? choice : { rounding: round };
}

// Return the number in a field; what is no number stays a text, which the check refuses.
function numberIn(input) {
  return /^-?\d{1,9}$/.test(input.value) ? Number(input.value) : input.value;
}

// Return the message of an error, which wraps, and the line with its caret, which does not.
function linesOf(error) {
  const [message, ...place] = error.message.split(/(?<=^[^\n]*\n)/);
  return [make("span", { class: "message" }, message), ...place.map((text) => make("span", { class: "place" }, text))];
}

// Return what was made of a number of positions that is not whole.
function rounded({ extent, axis }, count) {
  const exact = (extent - axis.F + 2 * axis.P) / axis.S + 1;
  return exact === count ? "" : `, rounded ${count < exact ? "down" : "up"} to ${count}`;
}

function captioned(caption, ...children) {
  return make("figure", {}, make("figcaption", {}, caption), ...children);
}

// Return a table; `cell` gives {text, class, step, title} of each row and column.
function grid(rows, columns, cell) {
  const body = make("tbody");
  for (let y = 0; y < rows; y += 1) {
    const line = make("tr");
    for (let x = 0; x < columns; x += 1) {
      const { text, small, class: kind, step = null, title = null } = cell(y, x);
      const parts = small ? [make("small", {}, small), make("span", {}, text)] : [text];
      line.append(make("td", { class: kind, "data-step": step, title }, ...parts));
    }
    body.append(line);
  }
  return make("table", {}, body);
}

function productCell({ pixel, weight, product }) {
  const spelled = `${pixel} × ${signed(weight)}`;
  return { text: signed(product), small: spelled, class: shade(product), title: `${spelled} = ${signed(product)}` };
}

// Return the class of a number's colour.
function shade(number) {
  if (number === 0) return "zero";
  const strength = Math.abs(number) > 4 ? 3 : Math.abs(number) > 1 ? 2 : 1;
  return `${number > 0 ? "plus" : "minus"}${strength}`;
}
