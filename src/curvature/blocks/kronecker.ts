import tgpu, { d } from "typegpu";
import code from "../../../shaders/factor_state.wgsl?raw";
import type { Capabilities } from "../../device/index.js";
import { ArgumentError } from "../../errors.js";
import { blend } from "../../linalg/blend.js";
import {
  checkFinite,
  copyKernel,
  diagonalOf,
  finiteKernel,
  gramKernels,
  gramPacked,
  invert,
  invertKernels,
  type Matrix,
  matmulKernels,
  paddedLength,
  paddedView,
  reduce,
  reduceKernels,
  sandwich,
} from "../../linalg/index.js";
import type { FactorGram, FactorRows, FactorStatistics } from "../../model/index.js";
import { defineKernel, type Kernel, type PipelineManager, type Recorder } from "../../pipeline/index.js";
import { LAYER_STATE_BYTES, type LayerStatus, layerStatus } from "./status.js";

export const LayerProblem = d.struct({
  alphaA: d.f32,
  alphaB: d.f32,
  sizeA: d.f32,
  sizeB: d.f32,
  takes: d.u32,
});

export const LayerState = d.struct({
  countA: d.u32,
  countB: d.u32,
  readyA: d.u32,
  readyB: d.u32,
  statusA: d.u32,
  statusB: d.u32,
  failures: d.u32,
  skipped: d.u32,
  boost: d.f32,
  lambda: d.f32,
  pi: d.f32,
});

export const FactorSettings = d.struct({ damping: d.f32, decay: d.f32 });

export const factorStateLayout = tgpu
  .bindGroupLayout({
    problems: { storage: d.arrayOf(LayerProblem), access: "readonly", visibility: ["compute"] },
    settings: { uniform: FactorSettings, visibility: ["compute"] },
    traces: { storage: d.arrayOf(d.vec2f), access: "readonly", visibility: ["compute"] },
    flags: { storage: d.arrayOf(d.u32), access: "mutable", visibility: ["compute"] },
    layers: { storage: d.arrayOf(LayerState), access: "mutable", visibility: ["compute"] },
    scales: { storage: d.arrayOf(d.vec4f), access: "mutable", visibility: ["compute"] },
    dampings: { storage: d.arrayOf(d.vec2f), access: "mutable", visibility: ["compute"] },
    status: { storage: d.arrayOf(d.vec2u), access: "mutable", visibility: ["compute"] },
  })
  .$idx(0);

const stateKernel = (entryPoint: string) =>
  defineKernel({ name: "factor_state", code, layout: factorStateLayout, entryPoint });
const averageKernel = stateKernel("average");
const dampKernel = stateKernel("damp");
const settleKernel = stateKernel("settle");

/** Every kernel that `Factors` records on this adapter, for compiling ahead. */
export function factorKernels(capabilities: Capabilities): readonly Kernel[] {
  return [
    averageKernel,
    dampKernel,
    settleKernel,
    finiteKernel,
    copyKernel,
    ...gramKernels(capabilities),
    ...matmulKernels(capabilities),
    ...reduceKernels,
    ...invertKernels(capabilities),
  ];
}

export interface FactorSize {
  readonly name: string;
  /** Inputs, with the bias's constant 1 counted. */
  readonly in: number;
  readonly out: number;
}

export interface FactorOptions {
  /** λ ≥ 0 on the scale of the mean loss's Hessian; 1e-3 unless given. */
  damping?: number;
  /** β of the moving means, in [0, 1); 0.95 unless given. */
  emaDecay?: number;
}

/** Statistics of one batch for one layer. */
export interface FactorUpdate {
  layer: number;
  A: FactorStatistics;
  B: FactorStatistics;
}

/** One factor of an update: where its batch comes from and where it goes. */
interface Side<T extends FactorStatistics> {
  statistics: T;
  layer: number;
  /** Its bit of the layer's flags. */
  bit: number;
  /** Its mean, and the place of that mean's (α, β) among the scales. */
  S: Matrix;
  scale: number;
}

const WORKGROUP = 64;

/**
 * The Kronecker factors of a network's layers on the GPU: moving means Ā and B̄, their damped inverses, and the state
 * that decides, without the CPU, what to do when numbers are not finite or a matrix does not invert.
 */
export class Factors {
  readonly layers: readonly FactorSize[];
  readonly #manager: PipelineManager;
  readonly #factors: GPUBuffer;
  readonly #inverses: GPUBuffer;
  readonly #settings: GPUBuffer;
  readonly #flags: GPUBuffer;
  readonly #state: GPUBuffer;
  readonly #scales: GPUBuffer;
  readonly #traces: GPUBuffer;
  readonly #dampings: GPUBuffer;
  readonly #status: GPUBuffer;
  readonly #offsets: readonly { A: number; B: number }[];
  #damping: number;
  #decay: number;

  constructor(manager: PipelineManager, layers: readonly FactorSize[], options: FactorOptions = {}) {
    const { damping = 1e-3, emaDecay = 0.95 } = options;
    if (layers.length === 0) throw new ArgumentError("Factors", "layers", "must be at least one");
    this.layers = layers;
    this.#manager = manager;
    this.#damping = requireDamping(damping);
    this.#decay = requireDecay(emaDecay);
    let length = 0;
    this.#offsets = layers.map((layer) => {
      const A = length;
      const B = A + paddedLength(layer.in, layer.in);
      length = B + paddedLength(layer.out, layer.out);
      return { A, B };
    });
    const count = layers.length;
    this.#factors = manager.createStorage("factors", length);
    this.#inverses = manager.createStorage("inverses", length);
    this.#flags = manager.createStorage("input flags", count);
    this.#state = manager.createStorage("layer state", (count * LAYER_STATE_BYTES) / 4);
    this.#scales = manager.createStorage("scales", 4 * count);
    this.#traces = manager.createStorage("traces", 2 * count);
    this.#dampings = manager.createStorage("dampings", 2 * count);
    this.#status = manager.createStorage("status", 2 * count);
    const usage = GPUBufferUsage.UNIFORM | GPUBufferUsage.COPY_DST;
    this.#settings = manager.createBuffer("factor settings", 16, usage);
    this.#writeSettings();
    this.reset();
  }

  get damping(): number {
    return this.#damping;
  }

  /** Counts from the next refresh on. @throws ArgumentError when negative or not finite */
  set damping(value: number) {
    this.#damping = requireDamping(value);
    this.#writeSettings();
  }

  /** Ā of a layer, in × in. */
  A(layer: number): Matrix {
    return this.#matrix(this.#factors, layer, "A");
  }

  /** B̄ of a layer, out × out. */
  B(layer: number): Matrix {
    return this.#matrix(this.#factors, layer, "B");
  }

  /** (Ā + π√λ I)⁻¹ as of the last refresh that succeeded; zero before the first. */
  inverseA(layer: number): Matrix {
    return this.#matrix(this.#inverses, layer, "A");
  }

  /** (B̄ + √λ/π I)⁻¹ as of the last refresh that succeeded; zero before the first. */
  inverseB(layer: number): Matrix {
    return this.#matrix(this.#inverses, layer, "B");
  }

  /** The state of every layer, `LayerState` one after another: for read-backs and for kernels that ask what is ready. */
  get state(): GPUBuffer {
    return this.#state;
  }

  /** What a checkpoint must hold: name, buffer. */
  get buffers(): Readonly<Record<string, GPUBuffer>> {
    return { factors: this.#factors, inverses: this.#inverses, layerState: this.#state };
  }

  /** Forgets all statistics and inverses. */
  reset(): void {
    const state = new Uint32Array((this.layers.length * LAYER_STATE_BYTES) / 4);
    const floats = new Float32Array(state.buffer);
    for (let layer = 0; layer < this.layers.length; layer++) floats[layer * (LAYER_STATE_BYTES / 4) + 8] = 1;
    const encoder = this.#manager.device.createCommandEncoder();
    encoder.clearBuffer(this.#factors);
    encoder.clearBuffer(this.#inverses);
    this.#manager.device.queue.submit([encoder.finish()]);
    this.#manager.device.queue.writeBuffer(this.#state, 0, state);
  }

  /** Records Ā ← βĀ + (1 − β) mean AᵢAᵢ' and B̄ likewise; a batch with numbers that are not finite is left out. */
  accumulate(recorder: Recorder, updates: readonly FactorUpdate[]): void {
    const sides = updates.flatMap(({ layer, A, B }): Side<FactorStatistics>[] => [
      { statistics: A, layer, bit: 1, S: this.A(layer), scale: 2 * layer },
      { statistics: B, layer, bit: 2, S: this.B(layer), scale: 2 * layer + 1 },
    ]);
    const stacked = sides.filter((side): side is Side<FactorRows> => "rows" in side.statistics);
    const sums = recordGrams(
      recorder,
      sides.filter((side): side is Side<FactorGram> => "gram" in side.statistics),
    );
    recorder.clear(this.#flags);
    checkFinite(recorder, this.#flags, [
      ...stacked.map(({ statistics, layer, bit }) => ({ x: statistics.rows, flag: layer, bit })),
      ...sums.map(({ T, layer, bit }) => ({ x: T, flag: layer, bit })),
    ]);
    this.#run(recorder, averageKernel, updates);
    gramPacked(
      recorder,
      stacked.map(({ statistics, S, scale }) => ({ A: statistics.rows, S, scale })),
      this.#scales,
    );
    blend(recorder, sums, this.#scales);
  }

  /** Records the damped inverses of all factors, in one grouped sweep. */
  refresh(recorder: Recorder): void {
    const each = <T>(make: (layer: number) => T[]) => this.layers.flatMap((_, layer) => make(layer));
    reduce(
      recorder,
      this.#traces,
      each((layer) => [
        { x: diagonalOf(this.A(layer)), index: 2 * layer },
        { x: diagonalOf(this.B(layer)), index: 2 * layer + 1 },
      ]),
    );
    this.#run(recorder, dampKernel);
    invert(
      recorder,
      each((layer) => [
        { S: this.A(layer), into: this.inverseA(layer) },
        { S: this.B(layer), into: this.inverseB(layer) },
      ]),
      { dampings: this.#dampings, status: this.#status },
    );
    this.#run(recorder, settleKernel);
  }

  /** Records U ← (B̄ …)⁻¹ G (Ā …)⁻¹ for layers; U is zero until a layer's first successful refresh. */
  precondition(recorder: Recorder, items: readonly { layer: number; G: Matrix; into: Matrix }[]): void {
    sandwich(
      recorder,
      items.map(({ layer, G, into }) => ({ P: this.inverseB(layer), G, Q: this.inverseA(layer), into })),
    );
  }

  /** Decodes the bytes of `state`. */
  decode(bytes: ArrayBuffer): LayerStatus[] {
    return this.layers.map(({ name }, layer) => layerStatus(name, bytes, layer * LAYER_STATE_BYTES));
  }

  dispose(): void {
    for (const buffer of [
      this.#factors,
      this.#inverses,
      this.#settings,
      this.#flags,
      this.#state,
      this.#scales,
      this.#traces,
      this.#dampings,
      this.#status,
    ]) {
      this.#manager.destroyBuffer(buffer);
    }
  }

  #matrix(buffer: GPUBuffer, layer: number, side: "A" | "B"): Matrix {
    const size = this.layers[layer];
    const offsets = this.#offsets[layer];
    if (!size || !offsets)
      throw new ArgumentError("Factors", "layer", `must be below ${this.layers.length}, got ${layer}`);
    const n = side === "A" ? size.in : size.out;
    return paddedView(buffer, offsets[side], n, n);
  }

  #run(recorder: Recorder, kernel: Kernel, updates: readonly FactorUpdate[] = []): void {
    const problems = this.layers.map((layer, index) => {
      const update = updates.find((candidate) => candidate.layer === index);
      return {
        alphaA: update?.A.scale ?? 0,
        alphaB: update?.B.scale ?? 0,
        sizeA: layer.in,
        sizeB: layer.out,
        takes: update ? 1 : 0,
      };
    });
    recorder.dispatch(
      kernel,
      {
        problems: this.#manager.table(LayerProblem, problems),
        settings: this.#settings,
        traces: this.#traces,
        flags: this.#flags,
        layers: this.#state,
        scales: this.#scales,
        dampings: this.#dampings,
        status: this.#status,
      },
      Math.ceil(this.layers.length / WORKGROUP),
    );
  }

  #writeSettings(): void {
    this.#manager.device.queue.writeBuffer(this.#settings, 0, new Float32Array([this.#damping, this.#decay]));
  }
}

/** Records the batch's plain sums of the sides that make their columns themselves, in one scratch buffer. */
function recordGrams(
  recorder: Recorder,
  sides: readonly Side<FactorGram>[],
): (Side<FactorGram> & { T: Matrix })[] {
  if (sides.length === 0) return [];
  const lengths = sides.map(({ S }) => paddedLength(S.rows, S.cols));
  const buffer = recorder.scratch(lengths.reduce((sum, length) => sum + length, 0));
  let offset = 0;
  return sides.map((side, index) => {
    const T = paddedView(buffer, offset, side.S.rows, side.S.cols);
    offset += lengths[index]!;
    side.statistics.gram(recorder, T);
    return { ...side, T };
  });
}

function requireDamping(value: number): number {
  if (!(value >= 0 && Number.isFinite(value))) {
    throw new ArgumentError("kfac", "damping", `must be a number that is not negative, got ${value}`);
  }
  return value;
}

function requireDecay(value: number): number {
  if (!(value >= 0 && value < 1)) {
    throw new ArgumentError("kfac", "emaDecay", `must lie in [0, 1), got ${value}`);
  }
  return value;
}
