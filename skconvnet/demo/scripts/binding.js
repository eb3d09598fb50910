// Binding: from a text to layers on an image of known size, as skconvnet/architecture/binding.py and
// skconvnet/architecture/hyperparameters.py do it.

// Return a whole number; throw ArchitectureError if the value is none from `lowest` on.
function wholeNumber(name, value, lowest, words = []) {
  if (Number.isInteger(value) && lowest <= value && value <= DATA.limits.number) return value;
  const needed = [`a whole number from ${lowest} to ${DATA.limits.number}`, ...words.map(repr)].join(" or ");
  const isPair = typeof value === "string" && /^\d{1,9}x\d{1,9}$/.test(value);
  let hint = typeof value === "string" ? didYouMean(value, words) : "";
  if (isPair) hint = `. Two numbers, of width x height, are written in the text: CONV(${name}=${value})`;
  throw new ArchitectureError(`${name} must be ${needed}, got ${shown(value)}${hint}`);
}

// Extend a check to sequences.
function oneOrMore(check) {
  return (name, value) => {
    if (!Array.isArray(value)) return check(name, value);
    if (value.length) return value.map((one) => check(name, one));
    throw new ArchitectureError(`${name} must be one value or a sequence of at least one, got an empty sequence`);
  };
}

function countFrom(lowest) {
  return (name, value) => wholeNumber(name, value, lowest);
}

function countOrWords(lowest, ...words) {
  return (name, value) =>
    words.includes(value) ? value : wholeNumber(name, value, lowest, words);
}

function flag(name, value) {
  if (typeof value === "boolean") return value;
  throw new ArchitectureError(`${name} must be True or False, or a sequence of these, got ${shown(value)}`);
}

// Check K. "auto" is allowed alone, but not in a sequence.
function filters(name, value) {
  return (Array.isArray(value) ? oneOrMore(countFrom(1)) : countOrWords(1, "auto"))(name, value);
}

function sizes(name, value) {
  return [value].flat().map((size) => wholeNumber(name, size, 1));
}

function rounding(name, value) {
  if (DATA.roundings.includes(value)) return value;
  const hint = typeof value === "string" ? didYouMean(value, DATA.roundings) : "";
  throw new ArchitectureError(`${name} must be ${DATA.roundings.map(repr).join(" or ")}, got ${shown(value)}${hint}`);
}

const CHECKS = {
  K: filters,
  F: oneOrMore(countFrom(1)),
  S: oneOrMore(countFrom(1)),
  P: oneOrMore(countOrWords(0, "same", "valid")),
  N: countFrom(0),
  M: countOrWords(0, "auto"),
  hidden_layer_sizes: sizes,
  pool: oneOrMore(flag),
  pool_F: oneOrMore(countFrom(1)),
  pool_S: oneOrMore(countFrom(1)),
  rounding,
};

// Return all hyperparameters: the defaults, and those given; throw ArchitectureError if a value is wrong.
function makeHyperparameters(given) {
  const values = { ...DATA.hyperparameters, ...given };
  return Object.fromEntries(Object.entries(CHECKS).map(([name, check]) => [name, check(name, values[name])]));
}

// Return the number of repetitions for each letter.
function repetitions(hyperparameters, image) {
  const { N, M, hidden_layer_sizes: units } = hyperparameters;
  if (M !== "auto") return { N, M, K: units.length };
  const sequence = DATA.per_block.map((name) => hyperparameters[name]).find(Array.isArray);
  let halvings = 0;
  for (let side = Math.min(image.height, image.width); side >= 2 * DATA.smallest_side; side /= 2) halvings += 1;
  return { N, M: sequence ? sequence.length : Math.max(1, halvings), K: units.length };
}

// Return one value for each CONV layer.
function spread(name, value, blocks, nBlocks) {
  if (!Array.isArray(value)) return blocks.map(() => value);
  if (value.length === blocks.length) return value;
  if (value.length === nBlocks) return blocks.map((block) => value[block]);
  const isSquare = name === "F" && new Set(value).size === 1;
  const square = isSquare ? `. For filters of ${value[0]}x${value[0]} give one number, F=${value[0]}` : "";
  const lengths = [...new Set([blocks.length, nBlocks])].join(" or ");
  throw new ArchitectureError(
    `${name} has length ${value.length}, but the network has ${counted(blocks.length, "CONV layer")} in ` +
      `${counted(nBlocks, "block")}: ` +
      `give one value, or a sequence of length ${lengths}${square}`,
  );
}

// Return the volume of images of `shape`, which is [height, width, channels].
function imageVolume(shape) {
  const names = ["height", "width", "number of channels"];
  return new Volume(...names.map((name, i) => wholeNumber(`the ${name} in image_shape=${shown(shape)}`, shape[i], 1)));
}

// Return the layers of a text, or of a name of an architecture, on images of `shape`.
function bindText(wanted, shape, nClasses = null, given = {}) {
  const hyperparameters = makeHyperparameters(given);
  const source = findText(strip(wanted));
  const chain = parse(source);
  const image = imageVolume(shape);
  if (nClasses !== null) wholeNumber("n_classes", nClasses, 1);
  const times = repetitions(hyperparameters, image);
  const count = countLayers(chain, times);
  if (count > DATA.limits.layers) {
    const letters = Object.entries(times).map(([letter, number]) => `${letter}=${number}`).join(", ");
    throw errorAt(`${count} layers with ${letters}, and at most ${DATA.limits.layers} are allowed`, source, 0);
  }
  const network = new Unrolled(chain, times);
  network.dropPools(hyperparameters.pool);
  fill(network, nClasses, hyperparameters, source);
  const layers = new Binder(source, image, hyperparameters.rounding).chain(network.chain, image);
  checkOutput(layers, source, nClasses);
  return { image, layers };
}

// Return the text of a name; a text is returned as it is.
function findText(wanted) {
  if (Object.hasOwn(DATA.architectures, wanted)) return DATA.architectures[wanted].text;
  if (!/^[A-Za-z][\p{L}\p{N}_.-]*$/u.test(wanted) || wanted === "INPUT") return wanted;
  if (wanted === "auto") {
    throw new ArchitectureError(
      "the estimator makes 'auto' from the images and its parameters. " +
        "To see it: python -m skconvnet summary auto --input 32x32x3",
    );
  }
  const names = ["auto", ...Object.keys(DATA.architectures)];
  throw new ArchitectureError(
    `no architecture is named ${repr(wanted)}${didYouMean(wanted, names) || "."} The names are 'auto' and those ` +
      "in skconvnet.ARCHITECTURES, such as 'lenet5' and 'resnet20'. A text such as " +
      "'INPUT -> CONV -> RELU -> FC' is possible too",
  );
}

// A chain of places and branches without repeats, and its number of blocks. A place is a layer with its block, the
// repetition of a *K group that it is in, and the options that `fill` completes.
class Unrolled {
  constructor(chain, repeats) {
    this.repeats = repeats;
    this.nBlocks = 0;
    this.chain = this.writeOut(chain, true, null);
  }

  writeOut(chain, isOutermost, repetition) {
    return chain.flatMap((item) => {
      if (item.body) return this.repeated(item, isOutermost, repetition);
      if (item.branches) {
        return { ...item, branches: item.branches.map((branch) => this.writeOut(branch, isOutermost, repetition)) };
      }
      this.nBlocks += isOutermost && item.kind === "CONV";
      return { layer: item, block: Math.max(this.nBlocks - 1, 0), repetition, options: item.options };
    });
  }

  repeated({ body, times }, isOutermost, repetition) {
    const isBlock = isOutermost && contains(body, "CONV");
    return Array.from({ length: this.repeats[times] ?? times }, (_, i) => {
      this.nBlocks += isBlock;
      return this.writeOut(body, false, times === "K" ? i : repetition);
    }).flat();
  }

  // The places in network order: those of one kind of layer, or all.
  places(kind) {
    return flatten(this.chain).filter((place) => !kind || place.layer.kind === kind);
  }

  // Drop each POOL? for which `pool` is false.
  dropPools(pool) {
    if (Array.isArray(pool) && pool.length !== this.nBlocks) {
      throw new ArchitectureError(
        `pool has length ${pool.length}, but the network has ${counted(this.nBlocks, "block")}: ` +
          `give one value, or a sequence of length ${this.nBlocks}`,
      );
    }
    const isKept = ({ layer, block }) => !layer.optional || (Array.isArray(pool) ? pool[block] : pool);
    this.chain = keep(this.chain, isKept);
  }
}

function flatten(chain) {
  return chain.flatMap((item) => (item.branches ? item.branches.flatMap(flatten) : item));
}

function keep(chain, isKept) {
  return chain
    .filter((item) => item.branches || isKept(item))
    .map((item) => (item.branches ? { ...item, branches: item.branches.map((branch) => keep(branch, isKept)) } : item));
}

// Set the options of CONV, POOL and FC that the text does not spell.
function fill(network, nClasses, hyperparameters, source) {
  const ends = endsOf(network.chain);
  fillPool(network.places("POOL"), hyperparameters);
  fillFC(network.places("FC"), ends, nClasses, hyperparameters.hidden_layer_sizes, source);
  const depths = ends.map((place) => place.options.units ?? place.options.K);
  const classes = nClasses ?? depths.find(Number.isInteger) ?? DATA.n_classes;
  fillConv(network, classes, hyperparameters);
}

// Return the CONV and FC that the depth at the end of a chain is that of: several if branches are added there.
function endsOf(chain) {
  const ends = [];
  for (const item of chain.toReversed()) {
    if (item.layer) {
      if (["CONV", "FC"].includes(item.layer.kind)) return [...ends, item];
      continue;
    }
    if (item.operator === "+") ends.push(...item.branches.flatMap(endsOf));
    const hasWeights = (branch) => flatten(branch).some(({ layer }) => ["CONV", "FC"].includes(layer.kind));
    if (item.operator === "|" || item.branches.every(hasWeights)) return ends;
  }
  return ends;
}

function fillConv(network, nClasses, hyperparameters) {
  const places = network.places("CONV");
  const blocks = places.map((place) => place.block);
  const columns = {};
  for (const name of "KFSP") columns[name] = spread(name, hyperparameters[name], blocks, network.nBlocks);
  if (hyperparameters.K === "auto") columns.K = automaticFilters(network.places());
  places.forEach((place, i) => {
    const numbers = Object.fromEntries(Object.entries(columns).map(([name, values]) => [name, values[i]]));
    place.options = { ...numbers, ...place.options };
    if (place.options.K === "classes") place.options.K = nClasses;
  });
}

// Return K of each CONV for K="auto": it doubles in every block after a POOL.
function automaticFilters(places) {
  const found = [];
  let K = DATA.automatic_K.first;
  let block = null;
  let pooled = false;
  for (const place of places) {
    if (place.layer.kind === "POOL") pooled = true;
    if (place.layer.kind !== "CONV") continue;
    if (place.block !== block) {
      K = pooled && found.length ? Math.min(2 * K, DATA.automatic_K.largest) : K;
      block = place.block;
      pooled = false;
    }
    found.push(K);
  }
  return found;
}

// Give each POOL its window; a sequence has no value for a POOL(F=all).
function fillPool(pools, { pool_F, pool_S }) {
  const places = pools.filter(({ options }) => options.F !== "all");
  for (const [name, value] of Object.entries({ pool_F, pool_S })) {
    if (Array.isArray(value) && value.length !== places.length) {
      throw new ArchitectureError(
        `${name} has length ${value.length}, but the network has ${counted(places.length, "POOL layer")}: ` +
          `give one value, or a sequence of length ${places.length}`,
      );
    }
  }
  const value = (values, i) => (Array.isArray(values) ? values[i] : values);
  places.forEach((place, i) => {
    place.options = { F: value(pool_F, i), S: value(pool_S, i), ...place.options };
  });
}

// Set the units of each FC: of those among `ends` from the classes, and of the others from the sizes.
function fillFC(places, ends, nClasses, units, source) {
  const hidden = places.filter((place) => !ends.includes(place));
  const fromSizes = hidden.filter((place) => place.repetition === null && !("units" in place.layer.options));
  const values = units.length === 1 ? Array(Math.max(1, fromSizes.length)).fill(units[0]) : units;
  if (fromSizes.length > values.length) {
    const { length } = fromSizes;
    throw new ArchitectureError(
      `hidden_layer_sizes has length ${values.length}, but ${length} FC layers that do not end the network ` +
        `take their units from it: give ${length} sizes, or write the units as in FC(128)`,
    );
  }
  fromSizes.forEach((place, i) => {
    place.options = { units: values[i] };
  });
  for (const place of places.filter(({ repetition }) => repetition !== null)) {
    place.options = { units: values[place.repetition], ...place.options };
  }
  for (const place of places.filter((one) => ends.includes(one))) {
    place.options = { units: nClasses ?? DATA.n_classes, ...place.options };
    if (nClasses !== null && place.options.units !== nClasses) {
      const message =
        `the last FC has ${place.options.units} units, but y has ${nClasses} classes or outputs: ` +
        "end the network with FC, which takes its units from y";
      throw errorAt(message, source, place.layer.position);
    }
  }
}

// Makes the layers of filled places, and numbers them by kind for their names.
class Binder {
  constructor(source, image, rounding) {
    Object.assign(this, { source, image, rounding, numbers: {} });
  }

  chain(chain, input) {
    let volume = input;
    return chain.map((item) => {
      const layer = item.branches ? this.branches(item, volume) : this.layer(item, volume);
      volume = layer.output;
      return layer;
    });
  }

  name(kind) {
    this.numbers[kind] = (this.numbers[kind] ?? 0) + 1;
    return `${kind} ${this.numbers[kind]}`;
  }

  layer({ layer, options }, volume) {
    const name = this.name(layer.kind);
    return this.pointingAt(layer, volume, () => bindLayer(layer.kind, name, volume, { ...options }, this.rounding));
  }

  branches({ operator, branches, position }, volume) {
    const name = this.name(BRANCHES[operator]);
    const bound = branches.map((branch) => {
      const layers = this.chain(branch, volume);
      return layers.length ? layers : [new BoundLayer("SKIP", this.name("SKIP"), volume)];
    });
    return this.pointingAt({ position }, volume, () => new BoundBranches(operator, name, volume, bound));
  }

  // Add a caret to an error; of a volume that became too small, also why it did.
  pointingAt({ position }, volume, make) {
    try {
      return make();
    } catch (error) {
      if (!(error instanceof ArchitectureError)) throw error;
      const { image } = this;
      const isSmaller = Math.min(volume.height, volume.width) < Math.min(image.height, image.width);
      const why = `. The layers before it made ${volume} of ${image}: use fewer POOL, a smaller M, or larger images`;
      const message = error.message + (error instanceof WindowTooLargeError && isSmaller ? why : "");
      throw Object.assign(errorAt(message, this.source, position), { choices: error.choices });
    }
  }
}

function checkOutput(layers, source, classes) {
  const hasWeights = (chain) =>
    chain.some((layer) => (layer.branches ? layer.branches.some(hasWeights) : /^(CONV|FC)$/.test(layer.kind)));
  if (!hasWeights(layers)) throw errorAt("a network needs a CONV or an FC: end it with FC", source, 0);
  const volume = layers.at(-1).output;
  const nClasses = classes ?? volume.depth;
  const needed = new Volume(1, 1, nClasses);
  if (volume.equals(needed)) return;
  const message =
    `the network ends in ${volume}, but ${nClasses} classes or outputs need ${needed}: ` +
    "end it with FC, or with CONV(K=classes) -> POOL(average, F=all)";
  throw errorAt(message, source, source.length);
}
