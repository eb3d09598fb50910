// The volumes of a network as boxes in perspective, and its branches as lanes between two points.

const BOXES = { most: 300, gap: 22, line: 14, lane: 14 };

// Return the drawing of a network as an element of SVG.
function drawBoxes(image, layers) {
  const volumes = [image, ...walk(layers).map((layer) => layer.output)];
  const largest = Math.max(...volumes.flatMap(({ width, height }) => [width, height]));
  const scale = {
    side: (extent) => 6 + 74 * Math.sqrt(extent / largest),
    depth: (depth) => 4 + 5 * Math.log2(depth),
  };
  const budget = { left: BOXES.most };
  const input = { kind: "INPUT", name: "INPUT", output: image, options: {} };
  const chain = layOut([input, ...layers], scale, budget);
  const [width, height] = [chain.width + 2 * BOXES.gap, chain.up + chain.down + 2 * BOXES.gap];
  const left = budget.left <= 0 ? label(width - 4, chain.up, ["..."], "more") : "";
  const svg = make("div");
  svg.innerHTML =
    `<svg xmlns="http://www.w3.org/2000/svg" width="${round(width)}" height="${round(height)}" ` +
    `viewBox="0 0 ${round(width)} ${round(height)}" role="img" aria-label="${layers.length + 1} volumes">` +
    `${chain.draw(BOXES.gap, BOXES.gap + chain.up)}${left}</svg>`;
  return svg.firstChild;
}

// Return every layer in network order, including those of branches.
function walk(layers) {
  return layers.flatMap((layer) => [...(layer.branches ?? []).flatMap(walk), layer]);
}

// Return {width, up, down, draw} of a chain: its extents about the line through its middle.
function layOut(layers, scale, budget) {
  const nodes = [];
  for (const layer of layers) {
    if (budget.left <= 0) break;
    budget.left -= 1;
    const last = nodes.at(-1);
    if (layer.branches) nodes.push(layOutBranches(layer, scale, budget));
    else if (layer.inPlace && last?.lines) last.lines.push(layer.kind);
    else nodes.push(layer.inPlace ? layOutWord(layer) : layOutBox(layer, scale));
  }
  for (const node of nodes.filter(({ lines }) => lines)) measure(node);
  const gaps = BOXES.gap * Math.max(0, nodes.length - 1);
  return {
    width: nodes.reduce((sum, node) => sum + node.width, gaps),
    up: Math.max(...nodes.map((node) => node.up)),
    down: Math.max(...nodes.map((node) => node.down)),
    draw(x, y) {
      let place = x;
      return nodes
        .map((node, i) => {
          const wire = i > 0 ? path(`M${round(place - BOXES.gap)} ${round(y)}h${BOXES.gap}`) : "";
          const drawn = wire + node.draw(place, y);
          place += node.width + BOXES.gap;
          return drawn;
        })
        .join("");
    },
  };
}

// A volume: its front is depth x height, and its width goes back to the right.
function layOutBox({ kind, name, output, options }, scale) {
  const [width, height, depth] = [scale.side(output.width), scale.side(output.height), scale.depth(output.depth)];
  const back = width * 0.4;
  const spelled = ["K", "F", "S", "P"].filter((letter) => options[letter] !== undefined);
  const values = spelled.map((letter) => `${letter}=${spellNumber(options[letter])}`);
  const lines = [name, String(output).slice(1, -1), values.slice(0, 2).join(" "), values.slice(2).join(" ")];
  return {
    kind,
    lines: lines.filter(Boolean),
    box: { back, height, depth },
    draw(x, y) {
      const left = x + (this.width - depth - back) / 2;
      const top = y - height / 2 + back / 2;
      const before = kind === "INPUT" ? this.width / 2 : 0; // nothing comes before the input
      const wire = path(`M${round(x + before)} ${round(y)}h${round(this.width - before)}`);
      const front = `M${round(left)} ${round(top)}h${round(depth)}v${round(height)}h${round(-depth)}z`;
      const lid = `M${round(left)} ${round(top)}l${round(back)} ${round(-back)}h${round(depth)}l${round(-back)} ${round(back)}z`;
      const side =
        `M${round(left + depth)} ${round(top)}l${round(back)} ${round(-back)}v${round(height)}` +
        `l${round(-back)} ${round(back)}z`;
      const text = label(x + this.width / 2, y + (height + back) / 2 + BOXES.line, this.lines, "name");
      return `${wire}<g class="box ${kind}">${path(front, "front")}${path(lid, "lid")}${path(side, "side")}</g>${text}`;
    },
  };
}

// Set the extents of a box from its lines of text.
function measure(node) {
  const { back, height, depth } = node.box;
  node.lines = node.lines.length > 8 ? [...node.lines.slice(0, 7), "..."] : node.lines;
  node.width = Math.max(depth + back, 6.6 * Math.max(...node.lines.map((line) => line.length)));
  node.up = (height + back) / 2;
  node.down = (height + back) / 2 + BOXES.line * node.lines.length + 4;
}

// A layer that works in place at the beginning of a branch.
function layOutWord({ kind }) {
  return {
    width: 7 * kind.length + 8,
    up: 10,
    down: 10,
    draw(x, y) {
      const size = `x="${round(x)}" y="${round(y - 10)}" width="${round(this.width)}" height="20" rx="10"`;
      return `<rect class="word" ${size}/>${label(x + this.width / 2, y + 4, [kind], "inside")}`;
    },
  };
}

function layOutBranches({ operator, branches, name, output }, scale, budget) {
  const lanes = branches.map((branch) => layOut(branch, scale, budget)).filter(({ width }) => width > 0);
  const inner = Math.max(...lanes.map(({ width }) => width));
  const height = lanes.reduce((sum, { up, down }) => sum + up + down + BOXES.lane, -BOXES.lane);
  const edge = 24;
  const sign = { "+": "+", "|": "|", "*": "×" }[operator];
  const caption = `${name} ${String(output).slice(1, -1)}`;
  const tail = 7.6 * caption.length + 2; // the caption stands on the wire behind the sign
  return {
    width: inner + edge + tail,
    up: height / 2,
    down: Math.max(height / 2, 20),
    draw(x, y) {
      let top = y - height / 2;
      const end = x + edge + inner + edge - 10;
      const drawn = lanes.map((lane) => {
        const middle = top + lane.up;
        const start = x + edge + (inner - lane.width) / 2;
        top += lane.up + lane.down + BOXES.lane;
        const into = path(`M${round(x)} ${round(y)}L${round(x + edge - 6)} ${round(middle)}H${round(start)}`);
        const out = path(`M${round(start + lane.width)} ${round(middle)}H${round(x + edge + inner)}L${round(end)} ${round(y)}`);
        return into + out + lane.draw(start, middle);
      });
      const wire = path(`M${round(end)} ${round(y)}H${round(x + this.width)}`);
      const joint = `<circle class="joint" cx="${round(end)}" cy="${round(y)}" r="9"/>${label(end, y + 4, [sign], "inside")}`;
      return `${wire}${drawn.join("")}${joint}${label(end + 12, y - 5, [caption], "start")}`;
    },
  };
}

function label(x, y, lines, kind) {
  const spans = lines.map((line, i) => `<tspan x="${round(x)}" y="${round(y + i * BOXES.line)}">${line}</tspan>`);
  return `<text class="${kind}">${spans.join("")}</text>`;
}

function path(d, kind = "wire") {
  return `<path class="${kind}" d="${d}"/>`;
}

function round(number) {
  return Math.round(number * 10) / 10;
}
