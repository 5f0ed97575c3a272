// Time on the CPU, in milliseconds and in units of one bare dispatch in the same process.
import { getHeapStatistics } from "node:v8";
import { timing } from "../library.mjs";

const { median } = timing;

/**
 * @typedef {Pick<import("../gpu.mjs").Lab, "library" | "engine">} HostLab
 *
 * @typedef {object} HostRow
 * @property {string} name
 * @property {number} count samples
 * @property {number} ms median, from the call until it returns
 * @property {number} tenthMs a tenth of the samples were faster: on a machine with other work the better figure
 * @property {number} units `ms` in bare dispatches, their bind groups made each time
 * @property {number} boundUnits `ms` in bare dispatches whose bind groups are there
 * @property {number} unitUs a bare dispatch
 * @property {number} boundUnitUs likewise
 * @property {number} bytes allocated on the heap, median
 * @property {number} afreshMs the same where everything is recorded afresh, alternately in the same run
 */

const BATCH = 500;
const LAYERS = [784, 256, 128, 10];
/** Until then every kind of step has been seen, and the code is compiled. */
const WARM_UP = 64;
const BARE = 200;

/** @param {HostLab} lab @param {number} count steps of each optimiser @returns {Promise<HostRow[]>} */
export async function measureSteps({ library, engine }, count) {
  const { dense, relu, softmaxCrossEntropy } = library;
  const modules = LAYERS.slice(1).flatMap((out, l) => [...(l > 0 ? [relu()] : []), dense(LAYERS[l], out)]);
  const batch = {
    inputs: Float32Array.from({ length: BATCH * LAYERS[0] }, (_, k) => ((k * 7919) % 256) / 256),
    targets: Uint32Array.from({ length: BATCH }, (_, k) => k % 10),
    count: BATCH,
  };
  const bare = new BareDispatches(engine.device);
  const make = {
    SGD: (/** @type {import("../../src/index.js").Network} */ net) => engine.sgd(net, { learningRate: 0.01 }),
    Adam: (/** @type {import("../../src/index.js").Network} */ net) => engine.adam(net),
    "K-FAC": (/** @type {import("../../src/index.js").Network} */ net) =>
      // In turn, most steps would renew something.
      engine.kfac(net, { inverses: "together" }),
  };
  /** @type {HostRow[]} */
  const rows = [];
  const data = engine.dataset(batch);
  // The same examples as arrays and on the GPU, where each step shuffles them.
  const sources = {
    "": () => batch,
    ", data on the GPU": () => data.range(0, BATCH, { seed: 1 }),
  };
  for (const [name, optimizerOf] of Object.entries(make)) {
    const sides = Object.entries(sources).map(([source, batchOf]) => {
      const net = engine.network(modules, softmaxCrossEntropy(), { batchSize: BATCH, seed: 1 });
      /** By kind of step. @type {Map<string, Samples>} */
      const kinds = new Map();
      return { source, batchOf, net, optimizer: optimizerOf(net), kinds };
    });
    for (let step = 1; step <= WARM_UP + 2 * count; step++) {
      for (const { batchOf, optimizer, kinds } of sides) {
        const every = "inverseEvery" in optimizer.options ? optimizer.options.inverseEvery : undefined;
        const refreshes = every !== undefined && (step - 1) % every === 0;
        const kind =
          every === undefined ? name : `${name}, ${refreshes ? "inverses renewed" : "inverses kept"}`;
        // In turn, each kind with each: renewals come every so many steps.
        const samples = kinds.get(kind) ?? new Samples();
        kinds.set(kind, samples);
        engine.manager.repeats = samples.next !== "afresh";
        const sample = await timed(bare, () => optimizer.step(batchOf()));
        if (step > WARM_UP) samples.add(sample);
        else samples.skip();
      }
    }
    engine.manager.repeats = true;
    for (const { source, net, optimizer, kinds } of sides) {
      for (const [kind, samples] of kinds) rows.push(samples.row(`${kind}, step${source}`));
      optimizer.dispose();
      net.dispose();
    }
  }
  data.dispose();
  return rows;
}

/** Recording the inverses of 256 matrices of 32 × 32. @param {HostLab} lab @param {number} count @returns {Promise<HostRow>} */
export async function measureInversions({ library, engine }, count) {
  const [n, matrices] = [32, 256];
  const { manager, device } = engine;
  const [S, into] = [1, 2].map(() => manager.createStorage("bench", n * n * matrices));
  const [dampings, status] = [1, 2].map(() => manager.createStorage("bench", matrices));
  const views = (/** @type {GPUBuffer} */ buffer) =>
    Array.from({ length: matrices }, (_, k) => ({ buffer, offset: k * n * n, rows: n, cols: n, stride: n }));
  const [all, results] = [views(S), views(into)];
  const list = all.map((view, k) => ({ S: view, into: results[k] }));
  const samples = new Samples();
  const bare = new BareDispatches(device);
  for (let k = 0; k < WARM_UP / 2 + 2 * count; k++) {
    manager.repeats = samples.next !== "afresh";
    const recorder = manager.record();
    const sample = await timed(bare, () => library.invert(recorder, list, { dampings, status }));
    recorder.submit();
    await device.queue.onSubmittedWorkDone();
    if (k >= WARM_UP / 2) samples.add(sample);
    else samples.skip();
  }
  manager.repeats = true;
  for (const buffer of [S, into, dampings, status]) manager.destroyBuffer(buffer);
  return samples.row("256 inverses of 32², recording");
}

/** @typedef {{ ms: number, bytes: number, unit: number, boundUnit: number }} Sample */

/** The synchronous part of a call; what it started is waited for. @param {BareDispatches} bare @param {() => unknown} call */
async function timed(bare, call) {
  const units = bare.time();
  const heap = getHeapStatistics().used_heap_size;
  const start = performance.now();
  const result = call();
  const ms = performance.now() - start;
  const bytes = getHeapStatistics().used_heap_size - heap;
  await result;
  return { ms, bytes, ...units };
}

/** Samples of two kinds in turn: as it is, and with everything recorded afresh. */
class Samples {
  /** @type {"kept" | "afresh"} */
  next = "kept";
  /** @type {Record<"kept" | "afresh", Sample[]>} */
  #samples = { kept: [], afresh: [] };

  /** @param {Sample} sample */
  add(sample) {
    this.#samples[this.next].push(sample);
    this.skip();
  }

  skip() {
    this.next = this.next === "kept" ? "afresh" : "kept";
  }

  /** @param {string} name @returns {HostRow} */
  row(name) {
    const { kept, afresh } = this.#samples;
    const of = (/** @type {keyof Sample} */ what, samples = kept) => samples.map((sample) => sample[what]);
    const ms = median(of("ms"));
    const sorted = of("ms").sort((a, b) => a - b);
    const [unit, boundUnit] = [median(of("unit")), median(of("boundUnit"))];
    return {
      name,
      count: kept.length,
      ms,
      tenthMs: sorted[Math.floor(sorted.length / 10)],
      units: ms / unit,
      boundUnits: ms / boundUnit,
      unitUs: 1000 * unit,
      boundUnitUs: 1000 * boundUnit,
      // Where a collection ran in between, the heap shrank.
      bytes: median(of("bytes").filter((bytes) => bytes > 0)),
      afreshMs: median(of("ms", afresh)),
    };
  }
}

/** Dispatches in plain WebGPU calls, two pipelines in turn. */
class BareDispatches {
  #device;
  #pipelines;
  #entries;
  #groups;

  /** @param {GPUDevice} device */
  constructor(device) {
    this.#device = device;
    const code =
      "@group(0) @binding(0) var<storage, read_write> x: array<f32>; @compute @workgroup_size(1) fn main() { x[0] = 1; }";
    const module = device.createShaderModule({ code });
    const buffer = device.createBuffer({ size: 16, usage: GPUBufferUsage.STORAGE });
    this.#pipelines = [1, 2].map(() =>
      device.createComputePipeline({ layout: "auto", compute: { module, entryPoint: "main" } }),
    );
    this.#entries = this.#pipelines.map((pipeline) => ({
      layout: pipeline.getBindGroupLayout(0),
      entries: [{ binding: 0, resource: { buffer } }],
    }));
    this.#groups = this.#entries.map((entries) => device.createBindGroup(entries));
  }

  /** Milliseconds of one, with its bind group made and without. */
  time() {
    return {
      unit: this.#encode((k) => this.#device.createBindGroup(this.#entries[k])),
      boundUnit: this.#encode((k) => this.#groups[k]),
    };
  }

  /** @param {(k: 0 | 1) => GPUBindGroup} groupOf */
  #encode(groupOf) {
    const start = performance.now();
    const encoder = this.#device.createCommandEncoder();
    const pass = encoder.beginComputePass();
    for (let k = 0; k < BARE; k++) {
      const side = /** @type {0 | 1} */ (k % 2);
      pass.setPipeline(this.#pipelines[side]);
      pass.setBindGroup(0, groupOf(side));
      pass.dispatchWorkgroups(1);
    }
    pass.end();
    encoder.finish();
    return (performance.now() - start) / BARE;
  }
}
