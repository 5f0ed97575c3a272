import tgpu, { d } from "typegpu";
import clipCode from "../../../shaders/kfac_clip.wgsl?raw";
import stepCode from "../../../shaders/kfac_step.wgsl?raw";
import {
  type BlockChoice,
  Curvature,
  curvatureKernels,
  type Fallback,
  type FisherKind,
  type FisherOptions,
  LAYER_STATE_BYTES,
  LayerState,
  type Model,
} from "../../curvature/index.js";
import { axpy, axpyKernel, checkFinite, group, type Matrix, reduce } from "../../linalg/index.js";
import { defineKernel, type PipelineManager, type Recorder } from "../../pipeline/index.js";
import {
  Descent,
  type RecordRange,
  requireFraction,
  requireNonNegative,
  requirePeriod,
  type Step,
} from "../descent.js";
import { Settings } from "../settings.js";

export const KfacSettings = d.struct({ learningRate: d.f32, momentum: d.f32, klClip: d.f32 });

export const Outcome = d.struct({
  clip: d.f32,
  inner: d.f32,
  gradientSquared: d.f32,
  updateSquared: d.f32,
  skipped: d.u32,
  skippedTotal: d.u32,
});

export const StepProblem = d.struct({
  first: d.u32,
  rows: d.u32,
  cols: d.u32,
  offset: d.u32,
  stride: d.u32,
});

export const kfacClipLayout = tgpu
  .bindGroupLayout({
    settings: { uniform: KfacSettings, visibility: ["compute"] },
    sums: { storage: d.arrayOf(d.f32), access: "readonly", visibility: ["compute"] },
    flags: { storage: d.arrayOf(d.u32), access: "readonly", visibility: ["compute"] },
    layers: { storage: d.arrayOf(LayerState), access: "readonly", visibility: ["compute"] },
    coefficients: { storage: d.arrayOf(d.f32), access: "mutable", visibility: ["compute"] },
    outcome: { storage: d.arrayOf(Outcome), access: "mutable", visibility: ["compute"] },
  })
  .$idx(0);

export const kfacStepLayout = tgpu
  .bindGroupLayout({
    problems: { storage: d.arrayOf(StepProblem), access: "readonly", visibility: ["compute"] },
    settings: { uniform: KfacSettings, visibility: ["compute"] },
    coefficients: { storage: d.arrayOf(d.f32), access: "readonly", visibility: ["compute"] },
    update: { storage: d.arrayOf(d.f32), access: "readonly", visibility: ["compute"] },
    velocity: { storage: d.arrayOf(d.f32), access: "mutable", visibility: ["compute"] },
    weights: { storage: d.arrayOf(d.f32), access: "mutable", visibility: ["compute"] },
  })
  .$idx(0);

const clipKernel = defineKernel({ name: "kfac_clip", code: clipCode, layout: kfacClipLayout });
const stepKernel = defineKernel({ name: "kfac_step", code: stepCode, layout: kfacStepLayout, rowwise: true });

export interface KfacOptions {
  /** η > 0; 0.1 unless given. */
  learningRate?: number;
  /** λ ≥ 0, on the scale of the mean loss's Hessian whatever the batch size; 1e-2 unless given. */
  damping?: number;
  /** μ in [0, 1); 0.9 unless given. */
  momentum?: number;
  /** β of the factors' moving means, in [0, 1); 0.95 unless given. */
  emaDecay?: number;
  /** Steps between updates of the factors; 1 unless given. */
  factorEvery?: number;
  /** Steps between inversions; 10 unless given. Early on they come at steps 1, 2, 4, 8 … as well. */
  inverseEvery?: number;
  /** κ > 0 of the norm clip ν = min(1, √(κ / (η² Σ⟨G, U⟩))); 0, the default, means no clip. */
  klClip?: number;
  /** ω ≥ 0 of the penalty ½ω‖W‖², whose gradient is preconditioned with the loss's; 0 unless given. */
  weightDecay?: number;
  /** Which Bᵢ the factors see; one Monte-Carlo sample unless given. */
  fisher?: FisherKind | { kind: FisherKind; samples?: number };
  /** Key of the Monte-Carlo samples; 0 unless given. */
  seed?: number;
  /** How each layer's curvature is estimated; defaults to `"kronecker"`. See `BlockChoice`. */
  curvature?: BlockChoice;
  /** What becomes of layers whose curvature has no Kronecker form; they are refused by default. */
  fallback?: Fallback;
}

/**
 * K-FAC (Martens & Grosse 2015): U = (B̄ + √λ/π I)⁻¹ G (Ā + π√λ I)⁻¹ for each layer, the Newton step of a linear network
 * applied to moving means of the factors. A step is one submit and waits for nothing.
 */
export class Kfac extends Descent {
  readonly name = "kfac";
  readonly curvature: Curvature;
  readonly #momentum: number;
  readonly #factorEvery: number;
  readonly #inverseEvery: number;
  readonly #klClip: number;
  readonly #weightDecay: number;
  readonly #fisher: FisherOptions & { seed: number };
  readonly #settings: Settings<typeof KfacSettings>;
  readonly #update: GPUBuffer;
  readonly #velocity: GPUBuffer;
  readonly #sums: GPUBuffer;
  readonly #flags: GPUBuffer;
  readonly #coefficients: GPUBuffer;
  readonly #outcome: GPUBuffer;

  constructor(manager: PipelineManager, source: Model, options: KfacOptions = {}) {
    super(manager, source, options.learningRate ?? 0.1, [
      ...curvatureKernels(manager.handle.capabilities, source.layers, {
        blocks: options.curvature,
        fallback: options.fallback,
      }),
      axpyKernel,
      clipKernel,
      stepKernel,
    ]);
    this.#momentum = requireFraction("momentum", options.momentum ?? 0.9);
    this.#factorEvery = requirePeriod("factorEvery", options.factorEvery ?? 1);
    this.#inverseEvery = requirePeriod("inverseEvery", options.inverseEvery ?? 10);
    this.#klClip = requireNonNegative("klClip", options.klClip ?? 0);
    this.#weightDecay = requireNonNegative("weightDecay", options.weightDecay ?? 0);
    const fisher = typeof options.fisher === "string" ? { kind: options.fisher } : options.fisher;
    const { kind = "monteCarlo", samples = 1 } = fisher ?? {};
    this.#fisher = { kind, samples: requirePeriod("fisher.samples", samples), seed: options.seed ?? 0 };
    const { damping = 1e-2, emaDecay } = options;
    const { curvature: blocks, fallback } = options;
    this.curvature = new Curvature(manager, source.layers, { damping, emaDecay, blocks, fallback });
    const count = source.layers.length;
    this.#settings = new Settings(manager, "kfac settings", KfacSettings);
    this.#update = manager.createStorage("update", source.length);
    this.#velocity = manager.createStorage("velocity", source.length);
    this.#sums = manager.createStorage("sums", 3 * count);
    this.#flags = manager.createStorage("update flags", count);
    const usage = GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_SRC | GPUBufferUsage.COPY_DST;
    this.#coefficients = manager.createBuffer("coefficients", 4 * count, usage);
    this.#outcome = manager.createBuffer("outcome", d.sizeOf(Outcome), usage);
  }

  get damping(): number {
    return this.curvature.damping;
  }

  /** Counts from the next inversion on. */
  set damping(value: number) {
    this.curvature.damping = value;
  }

  protected override fisher(number: number): FisherOptions | undefined {
    return this.#takesFactors(number) ? { ...this.#fisher, step: number } : undefined;
  }

  protected record(recorder: Recorder, { number, learningRate, pass }: Step): RecordRange[] {
    const { source, curvature } = this;
    const { layers } = source;
    if (this.#takesFactors(number)) {
      curvature.accumulate(
        recorder,
        pass.layers.map((statistics, layer) => ({ layer, statistics })),
      );
    }
    if (this.#inverts(number)) curvature.refresh(recorder);
    if (this.#weightDecay > 0) {
      axpy(
        recorder,
        layers.map(({ W, G }) => ({ alpha: this.#weightDecay, X: W, Y: G })),
      );
    }
    const updates = layers.map(({ G }) => ({ ...G, buffer: this.#update }));
    curvature.precondition(
      recorder,
      layers.map(({ G }, layer) => ({ layer, G, into: updates[layer]! })),
    );
    this.#recordStep(recorder, updates, learningRate);
    return [
      { buffer: this.#outcome, bytes: d.sizeOf(Outcome) },
      { buffer: curvature.state, bytes: LAYER_STATE_BYTES * layers.length },
    ];
  }

  protected override settings() {
    return { lambda: this.damping };
  }

  protected decode([outcome, state]: ArrayBuffer[], learningRate: number) {
    const [clip, , gradientSquared, updateSquared] = new Float32Array(outcome!);
    const skippedLayers = new Uint32Array(outcome!)[4]!;
    const layers = this.curvature.decode(state!);
    const troubled = layers.find(({ text }) => text !== "ok");
    return {
      gradientNorm: Math.sqrt(gradientSquared!),
      updateNorm: learningRate * clip! * Math.sqrt(updateSquared!),
      clip: clip!,
      skippedLayers,
      layers,
      status: troubled ? `${troubled.name}: ${troubled.text}` : skippedLayers > 0 ? "layers skipped" : "ok",
    };
  }

  protected tensors(): Record<string, GPUBuffer> {
    return { ...this.curvature.tensors, velocity: this.#velocity };
  }

  dispose(): void {
    this.curvature.dispose();
    this.#settings.dispose();
    for (const buffer of [
      this.#update,
      this.#velocity,
      this.#sums,
      this.#flags,
      this.#coefficients,
      this.#outcome,
    ]) {
      this.manager.destroyBuffer(buffer);
    }
  }

  #takesFactors(number: number): boolean {
    return (number - 1) % this.#factorEvery === 0;
  }

  /** The first means are of few batches, so early inverses are renewed at steps 1, 2, 4, 8 … too. */
  #inverts(number: number): boolean {
    const early = number < this.#inverseEvery && Number.isInteger(Math.log2(number));
    return early || (number - 1) % this.#inverseEvery === 0;
  }

  /** Flags, norms, clip, momentum and the change of the weights. */
  #recordStep(recorder: Recorder, updates: readonly Matrix[], learningRate: number): void {
    const { layers, parameters: weights } = this.source;
    const { manager } = this;
    const settings = this.#settings.write({
      learningRate,
      momentum: this.#momentum,
      klClip: this.#klClip,
    });
    recorder.clear(this.#flags);
    checkFinite(
      recorder,
      this.#flags,
      layers.flatMap(({ G }, layer) => [
        { x: G, flag: layer, bit: 4 },
        { x: updates[layer]!, flag: layer, bit: 8 },
      ]),
    );
    reduce(
      recorder,
      this.#sums,
      layers.flatMap(({ G }, layer) => {
        const U = updates[layer]!;
        return [
          { x: G, y: U, index: 3 * layer },
          { x: G, y: G, index: 3 * layer + 1 },
          { x: U, y: U, index: 3 * layer + 2 },
        ];
      }),
    );
    const [sums, flags, coefficients, outcome] = [this.#sums, this.#flags, this.#coefficients, this.#outcome];
    recorder.dispatch(
      clipKernel,
      { settings, sums, flags, layers: this.curvature.state, coefficients, outcome },
      1,
    );
    const { rows, groups } = group(
      layers.map(({ W }) => ({ rows: W.rows, cols: W.cols, offset: W.offset, stride: W.stride })),
      (problem) => problem.rows,
    );
    const problems = manager.table(StepProblem, rows);
    const [update, velocity] = [this.#update, this.#velocity];
    recorder.dispatch(stepKernel, { problems, settings, coefficients, update, velocity, weights }, groups);
  }
}
