// A network as a text: its volumes as boxes and as a table, or the error with its caret.

class NetworkView {
  constructor() {
    this.makeFields();
    byId("architecture").addEventListener("input", () => this.draw());
    byId("architecture").addEventListener("submit", (event) => event.preventDefault());
    byId("notes-title").textContent = DATA.summary.notes;
    // In the next frame: the boxes are an observed element, whose size changes by drawing.
    new ResizeObserver(() => requestAnimationFrame(() => this.drawBoxes())).observe(byId("boxes"));
    this.choose("single-conv");
  }

  makeFields() {
    const names = Object.keys(DATA.architectures).map((name) => make("option", { value: name }, name));
    const select = make("select", { id: "example", oninput: (event) => this.pick(event) });
    select.append(make("option", { value: "" }, "choose"), ...names);
    this.image = {};
    const fields = { W: "width", H: "height", D: "channels", classes: "classes" };
    byId("image").append(field(select, "example"));
    for (const [name, text] of Object.entries(fields)) {
      this.image[name] = make("input", { type: "number", id: `image-${name}`, min: 1, inputmode: "numeric" });
      byId("image").append(field(this.image[name], text));
    }
    this.image.classes.setAttribute("placeholder", "of the text");
    this.parameters = {};
    for (const [name, value] of Object.entries(DATA.hyperparameters)) {
      const text = [value].flat().map(spellParameter).join(" ");
      this.parameters[name] = make("input", { id: `parameter-${name}`, value: text, size: 12, spellcheck: "false" });
      byId("parameters").append(field(this.parameters[name], name));
    }
  }

  pick(event) {
    event.stopPropagation();
    if (event.target.value) this.choose(event.target.value);
  }

  // Fill in an architecture by its name, with the images of its paper.
  choose(name) {
    const { text, ...image } = DATA.architectures[name];
    byId("text").value = text;
    for (const [key, value] of Object.entries(image)) this.image[key].value = value;
    this.draw();
  }

  draw() {
    const { W, H, D, classes } = this.image;
    try {
      const given = Object.entries(this.parameters).map(([key, input]) => [key, parameterIn(key, input.value)]);
      const nClasses = classes.value === "" ? null : numberIn(classes);
      const shape = [H, W, D].map(numberIn);
      const { image, layers } = bindText(byId("text").value, shape, nClasses, Object.fromEntries(given));
      this.show(image, layers);
    } catch (error) {
      if (!(error instanceof ArchitectureError)) throw error;
      this.refuse(error);
    }
  }

  // Show an error. The last table stays, pale, so that the page does not jump while a text is typed.
  refuse(error) {
    byId("network-error").hidden = false;
    byId("network-error").firstElementChild.replaceChildren(...linesOf(error));
    byId("result").classList.add("stale");
  }

  show(image, layers) {
    byId("network-error").hidden = true;
    byId("result").classList.remove("stale");
    Object.assign(this, { bound: [image, layers], room: 0 });
    this.drawBoxes();
    const { rows, total, notes } = volumeTable(image, layers);
    const line = (tag, cells, level = 0, title = null) => {
      const row = make("tr", { title });
      row.append(...cells.map((cell, i) => make(tag, i === 0 ? { style: `--level: ${level}` } : {}, cell)));
      return row;
    };
    const body = make("tbody");
    for (const { cells, level, text } of rows) body.append(line("td", cells, level, text));
    byId("volumes").replaceChildren(
      make("thead", {}, line("th", DATA.summary.header)),
      body,
      make("tfoot", {}, line("th", total)),
    );
    byId("notes").replaceChildren(...notes.map(([name, text]) => make("li", {}, `${name}: ${text}`)));
  }

  // Draw the boxes, unless their tab is hidden, or they are drawn for this width.
  drawBoxes() {
    const room = byId("boxes").clientWidth;
    if (room === 0 || room === this.room) return;
    this.room = room;
    byId("boxes").replaceChildren(drawBoxes(...this.bound, room));
  }
}

function field(input, text) {
  return make("div", { class: "field" }, make("label", { for: input.id }, text), input);
}

function spellParameter(value) {
  return value === true ? "yes" : value === false ? "no" : String(value);
}

// Return the value of a parameter: one number or word, or a sequence of them.
function parameterIn(name, text) {
  const values = text.split(/[\s,]+/).filter(Boolean).map((word) => {
    if (name === "pool" && ["yes", "no"].includes(word)) return word === "yes";
    return /^-?\d{1,9}$/.test(word) ? Number(word) : word;
  });
  return values.length === 1 ? values[0] : values;
}
