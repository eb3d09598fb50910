// Volumes, the formula (W - F + 2P)/S + 1, and the layers on known inputs, as skconvnet/architecture/layers/ has them.
//
// Pairs are [rows, columns]. Costs are BigInt: on large images they are beyond what a Number counts exactly.

class Volume {
  constructor(height, width, depth) {
    Object.assign(this, { height, width, depth });
  }

  get size() {
    return BigInt(this.height) * BigInt(this.width) * BigInt(this.depth);
  }

  get isPixel() {
    return this.height === 1 && this.width === 1;
  }

  equals(other) {
    return String(this) === String(other);
  }

  toString() {
    return `[${this.width}x${this.height}x${this.depth}]`;
  }
}

// Return the windows along both axes: that of the rows and that of the columns.
function axesOf(F, S, P, dilation = 1) {
  const part = (value, axis) => (Array.isArray(value) ? value[axis] : value);
  return [0, 1].map((i) => ({ F: part(F, i), S: part(S, i), P: part(P, i), dilation: part(dilation, i) }));
}

// The pixels from the first to the last of a window.
function reachOf({ F, dilation }) {
  return (F - 1) * dilation + 1;
}

// Return the width and the height of a volume, each with its letter for errors and the window along it. Of a square
// volume, both are W.
function sidesOf(volume, [rows, columns]) {
  const width = { letter: "W", extent: volume.width, axis: columns };
  const height = { letter: "H", extent: volume.height, axis: rows };
  return [width, height.extent === width.extent && isSameAxis(rows, columns) ? width : height];
}

function isSameAxis(one, other) {
  return ["F", "S", "P", "dilation"].every((letter) => one[letter] === other[letter]);
}

// Return whether the window of a side has a whole number of positions, with another extent W, F, S or P.
function fitsSide({ extent, axis }, { W = extent, ...changed }) {
  const window = { ...axis, ...changed };
  const span = W - reachOf(window) + 2 * window.P;
  return span >= 0 && span % window.S === 0;
}

// Return the number of positions of a window along one of the sides: (W - F + 2P)/S + 1. An error says what fits all.
function outputExtent(side, round, name, sides) {
  const { S, P } = side.axis;
  const span = side.extent - reachOf(side.axis) + 2 * P;
  if (span < 0) throw tooLarge(side, name, sides);
  const whole = Math.floor(span / S) + 1;
  if (span % S === 0 || round === "floor") return whole;
  if (round === "ceil") return whole + Number(whole * S < side.extent + P); // the next window begins inside
  throw notWhole(side, name, sides);
}

// Return the formula with its numbers, with enough decimals that a fraction does not look whole.
function formula({ letter, extent, axis }) {
  const { F, S, P, dilation } = axis;
  const value = (extent - reachOf(axis) + 2 * P) / S + 1;
  const decimals = fixed(value, Math.max(3, String(S).length)).replace(/0+$/, "").replace(/\.$/, "");
  const reach = dilation === 1 ? "F" : "((F - 1)*dilation + 1)";
  const number = dilation === 1 ? F : `((${F} - 1)*${dilation} + 1)`;
  return `(${letter} - ${reach} + 2P)/S + 1 = (${extent} - ${number} + ${2 * P})/${S} + 1 = ${decimals}`;
}

// Return the error about a window that is larger than its padded input. Its `choices` are settings that may fit.
function tooLarge(side, name, sides) {
  const { letter, extent, axis } = side;
  const { F, P, dilation } = axis;
  const reach = reachOf(axis);
  const padded = extent + 2 * P;
  const spread = dilation > 1 ? ` with dilation=${dilation}, (F - 1)*dilation + 1 = ${reach},` : "";
  const together = sides.filter((other) => isSameAxis(other.axis, axis));
  const largestF = Math.min(...together.map((one) => Math.floor((one.extent + 2 * P - 1) / dilation) + 1));
  const leastP = Math.max(...together.map((one) => Math.floor((reach - one.extent + 1) / 2)));
  const sizes = Object.fromEntries(
    sides
      .map((one) => [one.letter, reachOf(one.axis) - 2 * one.axis.P, one.extent])
      .filter(([, least, own]) => own < least),
  );
  const error = new WindowTooLargeError(
    `${name}: the window F=${F}${spread} is larger than the padded input, ${letter} + 2P = ${extent} + ${2 * P} = ` +
      `${padded}, so ${formula(side)}. What fits: F=${largestF} or smaller, P=${leastP} or larger, or ` +
      `${spellChoice(sizes, " and ")} or larger`,
  );
  return Object.assign(error, { choices: [{ F: largestF }, { P: leastP }, sizes] });
}

// Return the error about a size that is not whole. Its `choices` are the settings that fit.
function notWhole(side, name, sides) {
  const { F, S, P } = side.axis;
  const together = sides.filter((other) => isSameAxis(other.axis, side.axis));
  const fits = (changed) => together.every((one) => fitsSide(one, changed));
  const unfit = new Map(sides.filter((one) => !fitsSide(one, {})).map((one) => [one.letter, one]));
  const extents = [...unfit.values()].map((one) => nearest(one.extent, 1, (value) => fitsSide(one, { W: value })));
  const sizes = [0, 1].map((i) => Object.fromEntries([...unfit.keys()].map((letter, n) => [letter, extents[n][i]])));
  const choices = [
    { round: "floor" },
    { round: "ceil" },
    ...nearest(S, 1, (value) => value <= Math.max(S, F) && fits({ S: value })).map((value) => ({ S: value })),
    ...nearest(P, 0, (value) => value < F && fits({ P: value })).map((value) => ({ P: value })),
    ...nearest(F, 1, (value) => P < value && fits({ F: value })).map((value) => ({ F: value, P })),
    ...sizes,
  ].filter((choice) => !Object.values(choice).includes(null));
  const error = new ArchitectureError(
    `${name}: ${formula(side)} is not a whole number, and rounding='exact' refuses it: ` +
      `rounding='floor' rounds down. What fits: ${choices.map((one) => spellChoice(one)).join(", ")}`,
  );
  return Object.assign(error, { choices });
}

function spellChoice(choice, between = " with ") {
  return Object.entries(choice).map(([letter, value]) => `${letter}=${value}`).join(between);
}

// Return the nearest smaller and the nearest larger value that fit; null for one that there is not.
function nearest(value, lowest, fits) {
  return [-1, 1].map((step) => {
    for (let other = value + step; other >= lowest && Math.abs(other - value) <= DATA.limits.reach; other += step) {
      if (fits(other)) return other;
    }
    return null;
  });
}

// Return P as a number of zeros: 0 for "valid", (F - 1)*dilation/2 for "same".
function padding(P, F, name, dilation = 1) {
  if (P === "valid") return 0;
  if (P !== "same") return P;
  return collapse(axesOf(F, 1, 0, dilation).map((axis) => samePadding(axis, name)));
}

function samePadding(axis, name) {
  const { F, dilation } = axis;
  const zeros = Math.floor((reachOf(axis) - 1) / 2);
  if ((reachOf(axis) - 1) % 2 === 0) return zeros;
  const [times, by] = dilation === 1 ? ["", ""] : ["*dilation", `*${dilation}`];
  throw new ArchitectureError(
    `${name}: P='same' is (F - 1)${times}/2 = (${F} - 1)${by}/2 = ${zeros}.5, which is not a whole number. ` +
      `What fits: F=${F - 1} or F=${F + 1}, or a whole number for P`,
  );
}

// A layer that keeps the volume and learns nothing. `text` is what the notation writes for it.
class BoundLayer {
  constructor(kind, name, input, options = {}) {
    Object.assign(this, { kind, name, input, options: { ...DATA.in_place[kind], ...options } });
    this.output = input;
    this.weights = 0n;
    this.biases = 0n;
    this.flops = 0n;
    this.arithmetic = ""; // how the number of parameters is computed
    this.inPlace = kind in DATA.in_place;
    if (kind === "PRELU") {
      this.weights = BigInt(input.depth);
      this.arithmetic = `${input.depth}`;
    }
  }

  get activations() {
    return this.inPlace ? 0n : this.output.size;
  }

  get text() {
    return spellLayer(this.kind, this.options);
  }
}

// A layer that slides a window over its input.
class WindowLayer extends BoundLayer {
  // Set `axes`, and the option `round` where the size is not whole and `rounding` says what to do.
  slide(F, S, P, dilation, rounding) {
    this.axes = axesOf(F, S, P, dilation);
    const extents = [this.input.height, this.input.width];
    const divides = this.axes.every((axis, i) => (extents[i] - reachOf(axis) + 2 * axis.P) % axis.S === 0);
    if (!this.options.round && rounding !== "exact" && !divides) this.options.round = rounding;
    const sides = sidesOf(this.input, this.axes);
    return ["height", "width"].map((side, i) =>
      outputExtent(sides[1 - i], this.options.round, `${this.name} over the ${side} of ${this.input}`, sides),
    );
  }
}

class BoundConv extends WindowLayer {
  constructor(name, input, { bias = "yes", groups = 1, dilation = 1, ...options }, rounding) {
    const P = padding(options.P, options.F, name, dilation);
    super("CONV", name, input, { ...options, P, bias, groups, dilation });
    const { K, F, S } = options;
    if (input.depth % groups || K % groups) {
      throw new ArchitectureError(
        `${name}: groups=${groups} must divide the depth of the input, ${input.depth}, and K=${K}`,
      );
    }
    this.output = new Volume(...this.slide(F, S, P, dilation, rounding), K);
    const [rows, columns] = this.axes;
    const depth = input.depth / groups;
    const size = BigInt(rows.F) * BigInt(columns.F) * BigInt(depth);
    this.weights = size * BigInt(K);
    this.biases = bias === "yes" ? BigInt(K) : 0n;
    this.flops = this.output.size * size;
    this.arithmetic = `${columns.F}*${rows.F}*${depth}*${K}${bias === "yes" ? ` + ${K}` : ""}`;
  }
}

class BoundFC extends BoundLayer {
  constructor(name, input, options) {
    super("FC", name, input, options);
    const { units } = options;
    this.output = new Volume(1, 1, units);
    this.weights = input.size * BigInt(units);
    this.biases = BigInt(units);
    this.flops = this.weights;
    this.arithmetic = `${input.width}*${input.height}*${input.depth}*${units} + ${units}`;
  }
}

class BoundPool extends WindowLayer {
  constructor(name, input, options, rounding) {
    super("POOL", name, input, { mode: "max", P: 0, ...options });
    const { F, P } = this.options;
    const whole = [input.height, input.width];
    if (F !== "all") {
      this.options.P = padding(P, F, name);
    } else if (P === 0 || P === "valid") {
      Object.assign(this.options, { F: whole, S: 1, P: 0 }); // one position, whatever the stride
    } else {
      throw new ArchitectureError(
        `${name}: F=all is a window over the whole input, which allows no padding P=${spellNumber(P)}`,
      );
    }
    for (const axis of axesOf(this.options.F, this.options.S, this.options.P)) {
      if (axis.P >= axis.F) {
        throw new ArchitectureError(
          `${name}: with P=${axis.P} a window of F=${axis.F} can contain only padding; P must be below F`,
        );
      }
    }
    this.output = new Volume(...this.slide(this.options.F, this.options.S, this.options.P, 1, rounding), input.depth);
    const isWhole = this.axes.every((axis, i) => axis.F === whole[i] && axis.S === 1 && axis.P === 0);
    const pair = axesOf(this.options.F, 1, 0).map((axis) => axis.F);
    this.options.F = isWhole && pair[0] !== pair[1] ? "all" : collapse(pair);
  }
}

class BoundNorm extends BoundLayer {
  constructor(name, input, options) {
    super("NORM", name, input, { mode: NOTATION.NORM.mode.words[0], ...options });
    if (this.options.mode === "lrn") return;
    this.weights = BigInt(input.depth);
    this.biases = this.weights;
    this.arithmetic = `${input.depth} + ${input.depth}`;
  }
}

// Several chains of layers on the same input.
class BoundBranches extends BoundLayer {
  constructor(operator, name, input, branches) {
    super(BRANCHES[operator], name, input);
    Object.assign(this, { operator, branches });
    this.outputs = branches.map((branch) => branch.at(-1).output);
    this.output = { "+": sumOutput, "|": stackOutput, "*": gateOutput }[operator](this);
  }

  disagreement(what) {
    const volumes = this.outputs.map((volume, index) => `branch ${index + 1} gives ${volume}`).join(", ");
    return new ArchitectureError(`${this.name}: the branches must agree in ${what}, but ${volumes}`);
  }

  get text() {
    return `(${this.branches.map(spellChain).join(` ${this.operator} `)})`;
  }
}

const BRANCHES = { "+": "SUM", "|": "STACK", "*": "GATE" };

function sumOutput(layer) {
  const [first] = layer.outputs;
  if (!layer.outputs.every((volume) => volume.equals(first))) throw layer.disagreement("height, width and depth");
  return first;
}

function stackOutput(layer) {
  const [{ height, width }] = layer.outputs;
  if (!layer.outputs.every((volume) => volume.height === height && volume.width === width)) {
    throw layer.disagreement("height and width");
  }
  const depth = layer.outputs.reduce((sum, volume) => sum + volume.depth, 0);
  if (depth > DATA.limits.number) {
    throw new ArchitectureError(
      `${layer.name}: its depth is above ${DATA.limits.number}: use fewer or thinner branches`,
    );
  }
  return new Volume(height, width, depth);
}

function gateOutput(layer) {
  const [first, second] = layer.outputs;
  if (!first.equals(second) && (first.depth !== second.depth || !(first.isPixel || second.isPixel))) {
    throw layer.disagreement(`height, width and depth, or one must be [1x1x${first.depth}]`);
  }
  return first.isPixel ? second : first;
}

// Return the text of a chain of bound layers.
function spellChain(layers) {
  return layers.map((layer) => layer.text).join(" -> ");
}

// Return a layer from the options of the notation and those that the hyperparameters give.
function bindLayer(kind, name, input, options, rounding) {
  const classes = { CONV: BoundConv, FC: BoundFC, POOL: BoundPool, NORM: BoundNorm };
  if (kind in classes) return new classes[kind](name, input, options, rounding);
  return new BoundLayer(kind, name, input, options);
}
