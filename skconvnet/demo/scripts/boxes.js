// The volumes of a network as boxes in perspective, in rows, and its branches as lanes between two points. It says of a
// layer what ArchitectureDisplay says of it, and has its colours.

const BOXES = { most: 300, many: 24, period: 12, gap: 22, line: 14, lane: 14, frame: 8 };
const TOLD = /^([KFSP]|groups|dilation)=|^(max|average)$/;

// Return the drawing of a network as an element of SVG. `room` is the most that a row takes, unless a part is wider.
function drawBoxes(image, layers, room) {
  const all = walk(layers);
  const volumes = [image, ...all.map((layer) => layer.output)];
  const largest = Math.max(...volumes.flatMap(({ width, height }) => [width, height]));
  const scale = {
    side: (extent) => 6 + 74 * Math.sqrt(extent / largest),
    depth: (depth) => 4 + 5 * Math.log2(depth),
  };
  const isLong = all.filter((layer) => !keepsVolume(layer)).length >= BOXES.many;
  const budget = { left: BOXES.most };
  const input = { kind: "INPUT", name: "INPUT", output: image };
  const nodes = nodesOf([input, ...layers], { scale, isLong, budget });
  if (budget.left > 0) nodes.at(-1).isLast = true;
  else nodes.push({ width: 20, up: 0, down: 0, draw: (x, y) => label(x + 10, y, ["..."], "more") });
  const rows = rowsOf(nodes, room - 2 * BOXES.gap);
  const width = Math.max(...rows.map((row) => row.width)) + 2 * BOXES.gap;
  const height = rows.reduce((sum, { up, down }) => sum + up + down + BOXES.gap, BOXES.gap);
  const svg = make("div");
  svg.innerHTML =
    `<svg xmlns="http://www.w3.org/2000/svg" width="${round(width)}" height="${round(height)}" ` +
    `viewBox="0 0 ${round(width)} ${round(height)}" role="img" aria-label="${layers.length + 1} volumes">` +
    `${drawRows(rows, width)}</svg>`;
  return svg.firstChild;
}

// Return every layer in network order, including those of branches.
function walk(layers) {
  return layers.flatMap((layer) => [...(layer.branches ?? []).flatMap(walk), layer]);
}

// Return whether a layer changes the numbers of a volume and nothing else.
function keepsVolume({ inPlace, kind }) {
  return inPlace || kind === "NORM";
}

// Divide nodes into rows of at most this width, or of one node.
function rowsOf(nodes, room) {
  const rows = [[]];
  for (const node of nodes) {
    if (rows.at(-1).length && chainOf([...rows.at(-1), node]).width > room) rows.push([]);
    rows.at(-1).push(node);
  }
  return rows.map(chainOf);
}

function drawRows(rows, width) {
  let top = BOXES.gap;
  let before = null; // the end of the row before
  return rows
    .map((row) => {
      const y = top + row.up;
      const [left, right, between] = [BOXES.gap / 2, width - BOXES.gap / 2, top - BOXES.gap / 2];
      const turn = before && path(`M${before}H${round(right)}V${round(between)}H${left}V${round(y)}H${BOXES.gap}`);
      before = `${round(BOXES.gap + row.width)} ${round(y)}`;
      top = y + row.down + BOXES.gap;
      return `${turn ?? ""}${row.draw(BOXES.gap, y)}`;
    })
    .join("");
}

// Return what is drawn of a chain of layers: nodes with {width, up, down, draw, signature}, where up and down are extents
// about the line through the middle. A layer that keeps its volume follows the node before it.
function nodesOf(layers, context) {
  const nodes = [];
  for (const layer of layers) {
    if (context.budget.left <= 0) break;
    const followers = nodes.at(-1)?.followers;
    if (keepsVolume(layer) && followers) {
      followers.push(layer.kind);
      continue;
    }
    context.budget.left -= 1;
    if (layer.branches) nodes.push(layOutBranches(layer, context));
    else nodes.push(keepsVolume(layer) ? layOutWord(layer) : layOutBox(layer, context));
  }
  for (const node of nodes) node.measure?.();
  return context.isLong ? fold(nodes) : nodes;
}

// Return nodes one after the other, as one.
function chainOf(nodes) {
  return {
    width: nodes.reduce((sum, node) => sum + node.width, BOXES.gap * Math.max(0, nodes.length - 1)),
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

// Replace nodes that follow each other and do the same by one of them, in a frame that says how often.
function fold(nodes) {
  const signatures = nodes.map((node) => node.signature());
  const folded = [];
  let at = 0;
  while (at < nodes.length) {
    const { period, times } = repetition(signatures, at);
    folded.push(times > 1 ? layOutRepeat(nodes.slice(at, at + period), times) : nodes[at]);
    at += period * times;
  }
  return folded;
}

// Return the repetition from a place on that leaves out the most nodes.
function repetition(signatures, at) {
  let best = { period: 1, times: 1 };
  for (let period = 1; period <= Math.min(BOXES.period, (signatures.length - at) / 2); period += 1) {
    const unit = signatures.slice(at, at + period);
    let times = 1;
    while (unit.every((signature, i) => signature === signatures[at + times * period + i])) times += 1;
    if (period * (times - 1) > best.period * (best.times - 1)) best = { period, times };
  }
  return best;
}

function layOutRepeat(nodes, times) {
  const chain = chainOf(nodes);
  const { frame, line } = BOXES;
  return {
    width: chain.width + 2 * frame,
    up: chain.up + frame + line,
    down: chain.down + frame,
    signature: () => `${times} times ${nodes.map((node) => node.signature())}`,
    draw(x, y) {
      const [top, height] = [y - this.up, this.up + this.down];
      const back = `x="${round(x)}" y="${round(top)}" width="${round(this.width)}" height="${round(height)}" rx="6"`;
      const wires = [x, x + this.width - frame].map((left) => path(`M${round(left)} ${round(y)}h${frame}`));
      const text = label(x + frame, top + line, [`${times} times`], "start");
      return `<rect class="frame" ${back}/>${wires.join("")}${chain.draw(x + frame, y)}${text}`;
    },
  };
}

// Return what is told of a layer below its box.
function numbersOf({ kind, text, output }) {
  if (kind === "FC") return [`K=${output.depth}`];
  return (text?.match(/\((.*)\)/)?.[1].split(", ") ?? []).filter((option) => TOLD.test(option));
}

// A volume: its front is depth x height, and its width goes back to the right.
function layOutBox(layer, { scale }) {
  const { kind, name, output } = layer;
  const [width, height, depth] = [scale.side(output.width), scale.side(output.height), scale.depth(output.depth)];
  const back = width * 0.4;
  const numbers = numbersOf(layer);
  const pairs = [0, 2, 4, 6].map((n) => numbers.slice(n, n + 2).join(" ")).filter(Boolean);
  const followers = [];
  return {
    followers,
    isFirst: kind === "INPUT",
    signature: () => `${kind} ${output} ${numbers} ${followers}`,
    // Set the extents, when the layers that follow are known.
    measure() {
      const lines = [name, String(output).slice(1, -1), ...pairs, ...followers];
      this.lines = lines.length > 9 ? [...lines.slice(0, 8), "..."] : lines;
      this.width = Math.max(depth + back, 6.6 * Math.max(...this.lines.map((line) => line.length)));
      this.up = (height + back) / 2;
      this.down = this.up + BOXES.line * this.lines.length + 4;
    },
    draw(x, y) {
      const left = x + (this.width - depth - back) / 2;
      const top = y - height / 2 + back / 2;
      const middle = x + this.width / 2;
      const wire = path(`M${round(this.isFirst ? middle : x)} ${round(y)}H${round(this.isLast ? middle : x + this.width)}`);
      const front = `M${round(left)} ${round(top)}h${round(depth)}v${round(height)}h${round(-depth)}z`;
      const lid = `M${round(left)} ${round(top)}l${round(back)} ${round(-back)}h${round(depth)}l${round(-back)} ${round(back)}z`;
      const side =
        `M${round(left + depth)} ${round(top)}l${round(back)} ${round(-back)}v${round(height)}` +
        `l${round(-back)} ${round(back)}z`;
      const text = label(middle, y + (height + back) / 2 + BOXES.line, this.lines, "name");
      return `${wire}<g class="box ${kind}">${path(front, "front")}${path(lid, "lid")}${path(side, "side")}</g>${text}`;
    },
  };
}

// A layer that keeps its volume at the beginning of a branch.
function layOutWord({ kind }) {
  return {
    width: 9 * kind.length + 8,
    up: 10,
    down: 10,
    signature: () => kind,
    draw(x, y) {
      const size = `x="${round(x)}" y="${round(y - 10)}" width="${round(this.width)}" height="20" rx="10"`;
      return `<rect class="word" ${size}/>${label(x + this.width / 2, y + 4, [kind], "inside")}`;
    },
  };
}

function layOutBranches({ operator, branches, name, output }, context) {
  const chains = branches.map((branch) => nodesOf(branch, context)).filter((nodes) => nodes.length > 0);
  const lanes = chains.map(chainOf);
  const inner = Math.max(...lanes.map(({ width }) => width));
  const height = lanes.reduce((sum, { up, down }) => sum + up + down + BOXES.lane, -BOXES.lane);
  const edge = 24;
  const sign = { "+": "+", "|": "|", "*": "×" }[operator];
  const caption = `${name} ${String(output).slice(1, -1)}`;
  const followers = [];
  return {
    followers,
    up: height / 2,
    down: Math.max(height / 2, 20),
    signature: () => `(${chains.map((nodes) => nodes.map((node) => node.signature())).join(operator)}) ${output} ${followers}`,
    // The caption stands on the wire behind the sign, and what follows below the wire.
    measure() {
      const length = Math.max(caption.length, followers.join(", ").length);
      this.width = inner + 2 * edge + 7.6 * length + 4;
    },
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
      const wire = this.isLast ? "" : path(`M${round(end)} ${round(y)}H${round(x + this.width)}`);
      const joint = `<circle class="joint" cx="${round(end)}" cy="${round(y)}" r="9"/>${label(end, y + 4, [sign], "sign")}`;
      const below = followers.length ? label(end + 12, y + 14, [followers.join(", ")], "below") : "";
      return `${wire}${drawn.join("")}${joint}${label(end + 12, y - 5, [caption], "start")}${below}`;
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
