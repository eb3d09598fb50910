// The volume table, with the cells of skconvnet/architecture/summary.py.

// Return {rows, total, notes}: the cells of each line as texts, and the lines about memory as [name, text].
function volumeTable(image, layers) {
  const { bytes, batch_size: batchSize, optimizer_state: states } = DATA.summary;
  const records = [{ name: "INPUT", text: "INPUT", level: 0, output: image, activations: image.size }];
  addRecords(records, layers, 0);
  const sum = (count) => records.reduce((total, record) => total + (record[count] ?? 0n), 0n);
  const activations = sum("activations");
  const parameters = sum("weights") + sum("biases");
  const memory = spellBytes(BigInt(bytes) * activations);
  const both = spellBytes(2n * BigInt(bytes) * activations);
  const learned = spellBytes(BigInt(bytes) * parameters);
  const moments = spellBytes(BigInt(states.adam * bytes) * parameters);
  const copies = BigInt(2 + states.adam);
  const training = BigInt(bytes) * (2n * BigInt(batchSize) * activations + copies * parameters);
  return {
    rows: records.map((record) => ({ ...record, cells: cellsOf(record) })),
    total: ["total", "", grouped(activations), memory, "", grouped(parameters), grouped(sum("flops"))],
    notes: [
      ["activations of an image", `${memory} forward, ${both} forward and backward`],
      ["parameters", `${learned}, and as much for their gradients`],
      ["state of the optimizer", `none for plain SGD, ${learned} with momentum, ${moments} with Adam`],
      [
        "predicting one image",
        `${learned} + ${memory} = ${spellBytes(BigInt(bytes) * (parameters + activations))}`,
      ],
      [
        `training on ${batchSize} images`,
        `${copies} * ${learned} with Adam + ${batchSize} * ${both} = ${spellBytes(training)}`,
      ],
    ],
  };
}

// Add the records of a chain. Those of a sum, stack or gate come after those of its branches, without their costs.
function addRecords(records, layers, level) {
  for (const layer of layers) {
    const { name, kind, output, activations } = layer;
    if (layer.branches) {
      for (const branch of layer.branches) addRecords(records, branch, level + 1);
      records.push({ name, text: kind, level, output, activations });
    } else {
      const { text, arithmetic, weights, biases, flops } = layer;
      records.push({ name, text, level, output, activations, arithmetic, weights, biases, flops });
    }
  }
}

// Return the cells of one line. Zeros are left blank.
function cellsOf({ name, output, activations, arithmetic, weights = 0n, biases = 0n, flops = 0n }) {
  const parameters = weights + biases;
  return [
    name,
    String(output),
    activations ? grouped(activations) : "in place",
    activations ? spellBytes(BigInt(DATA.summary.bytes) * activations) : "",
    parameters ? `${arithmetic} =` : "",
    parameters ? grouped(parameters) : "",
    flops ? grouped(flops) : "",
  ];
}

// Return a number of bytes, a BigInt, with its unit.
function spellBytes(n) {
  if (n < 1000n) return `${n} B`;
  const power = Math.min(Math.floor((String(n).length - 1) / 3), 4);
  const [whole, decimal] = fixed(Number(n) / 1000 ** power, 1).split(".");
  return `${grouped(whole)}.${decimal} ${["kB", "MB", "GB", "TB"][power - 1]}`;
}
