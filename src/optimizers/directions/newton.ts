import {
  type Approximation,
  type ApproximationKind,
  type Batch,
  createApproximation,
  type FisherKind,
  type FisherOptions,
  GgnBlock,
  type Model,
} from "../../curvature/index.js";
import {
  axpy,
  axpyKernel,
  type CgResult,
  ConjugateGradients,
  cgKernels,
  finiteKernel,
  reduceKernels,
} from "../../linalg/index.js";
import type { PipelineManager, Recorder } from "../../pipeline/index.js";
import {
  FirstOrder,
  type RecordRange,
  requireFraction,
  requireNonNegative,
  requirePeriod,
  type Step,
} from "../descent.js";
import type { StepRecord } from "../optimizer.js";
import { flatGroups, Settings } from "../settings.js";
import { SgdSettings, sgdKernel } from "./sgd.js";

export interface NewtonOptions {
  /** η > 0; 1 unless given. */
  learningRate?: number;
  /** λ ≥ 0, on the scale of the mean loss's Hessian whatever the batch size; 1e-2 unless given. */
  damping?: number;
  /** μ in [0, 1); 0 unless given. */
  momentum?: number;
  /** ω ≥ 0 of the penalty ½ω‖W‖², in G and in H; 0 unless given. */
  weightDecay?: number;
  /** Iterations of conjugate gradients in a layer and step; 20 unless given. All are recorded, done or not. */
  maxIterations?: number;
  /** Residual ‖r‖/‖G‖ at which a layer is done; 1e-4 unless given. */
  tolerance?: number;
  /** Refitted at every step; none unless given. */
  preconditioner?: ApproximationKind;
  /** Which Bᵢ make the curvature; exact columns unless given. */
  fisher?: FisherKind | { kind: FisherKind; samples?: number };
  /** Key of the Monte-Carlo samples; 0 unless given. */
  seed?: number;
}

/** How a layer's system was solved in one step. */
export interface LayerSolve extends Pick<CgResult, "status" | "iterations"> {
  readonly name: string;
  /** ‖r‖/‖G‖ of the recurrence at the end; undefined when numbers were not finite. */
  readonly residual: number | undefined;
}

export interface NewtonRecord extends StepRecord {
  readonly solves: readonly LayerSolve[];
}

interface Solver {
  cg: ConjugateGradients;
  block: GgnBlock;
  approximation: Approximation | undefined;
}

/**
 * Newton's method with the exact curvature of each layer: U = (H + λI)⁻¹ G with H the layer's own block of the generalised
 * Gauss-Newton matrix, by conjugate gradients, never formed. For small networks and as a yardstick for K-FAC, which replaces
 * H by a Kronecker product. A step is one submit and waits for nothing.
 */
export class Newton extends FirstOrder {
  readonly name = "newton";
  readonly #solvers: readonly Solver[];
  readonly #velocity: GPUBuffer;
  readonly #update: GPUBuffer;
  readonly #settings: Settings<typeof SgdSettings>;
  readonly #momentum: number;
  readonly #weightDecay: number;
  readonly #maxIterations: number;
  readonly #tolerance: number;
  readonly #fisher: FisherOptions & { seed: number };
  #damping: number;

  /** @throws ArgumentError for a bad option, LimitError when the device cannot hold it. */
  constructor(manager: PipelineManager, source: Model, options: NewtonOptions = {}) {
    const momentum = requireFraction("momentum", options.momentum ?? 0);
    const weightDecay = requireNonNegative("weightDecay", options.weightDecay ?? 0);
    const damping = requireNonNegative("damping", options.damping ?? 1e-2);
    const maxIterations = requirePeriod("maxIterations", options.maxIterations ?? 20);
    const tolerance = requireNonNegative("tolerance", options.tolerance ?? 1e-4);
    const fisher = typeof options.fisher === "string" ? { kind: options.fisher } : options.fisher;
    const { kind = "exact", samples = 1 } = fisher ?? {};
    requirePeriod("fisher.samples", samples);
    const kernels = [...cgKernels, sgdKernel, axpyKernel, finiteKernel, ...reduceKernels];
    super(manager, source, options.learningRate ?? 1, kernels);
    this.#momentum = momentum;
    this.#weightDecay = weightDecay;
    this.#damping = damping;
    this.#maxIterations = maxIterations;
    this.#tolerance = tolerance;
    this.#fisher = { kind, samples, seed: options.seed ?? 0 };
    const { preconditioner } = options;
    this.#solvers = source.layers.map((layer) => ({
      cg: new ConjugateGradients(manager, layer.out, layer.in, maxIterations),
      block: new GgnBlock(manager, layer),
      approximation: preconditioner && createApproximation(manager, layer, preconditioner),
    }));
    this.#velocity = manager.createStorage("velocity", source.length);
    this.#update = manager.createStorage("update", source.length);
    this.#settings = new Settings(manager, "newton settings", SgdSettings);
  }

  get damping(): number {
    return this.#damping;
  }

  /** Counts from the next step on. @throws ArgumentError when negative or not finite */
  set damping(value: number) {
    this.#damping = requireNonNegative("damping", value);
  }

  override step(batch: Batch): Promise<NewtonRecord> {
    return super.step(batch) as Promise<NewtonRecord>;
  }

  protected override fisher(number: number): FisherOptions {
    return { ...this.#fisher, step: number };
  }

  protected override settings() {
    return { lambda: this.#damping };
  }

  protected record(recorder: Recorder, { learningRate, pass }: Step): RecordRange[] {
    const { layers, length, parameters: weights } = this.source;
    const weightDecay = this.#weightDecay;
    if (weightDecay > 0) {
      axpy(
        recorder,
        layers.map(({ W, G }) => ({ alpha: weightDecay, X: W, Y: G })),
      );
    }
    this.checkGradient(recorder);
    for (const [l, { G }] of layers.entries()) {
      const { cg, block, approximation } = this.#solvers[l]!;
      const damping = this.#damping + weightDecay;
      approximation?.fit(recorder, pass.layers[l]!);
      approximation?.damp(recorder, damping);
      const into = { ...G, buffer: this.#update };
      const options = { damping, tolerance: this.#tolerance, preconditioner: approximation?.preconditioner };
      cg.begin(recorder, block.over(pass.layers[l]!), { G, into }, options);
      cg.iterate(recorder, this.#maxIterations);
    }
    const settings = this.#settings.write({ length, learningRate, momentum: this.#momentum, weightDecay: 0 });
    const [gradient, velocity, flags] = [this.#update, this.#velocity, this.flags];
    recorder.dispatch(sgdKernel, { settings, flags, gradient, velocity, weights }, flatGroups(length));
    return [
      ...this.measure(recorder, this.#update),
      ...this.#solvers.map(({ cg }) => ({ buffer: cg.state, bytes: cg.bytes })),
    ];
  }

  protected override decode([sums, flags, ...states]: ArrayBuffer[], learningRate: number) {
    const base = super.decode([sums!, flags!], learningRate);
    const solves = states.map((bytes, l): LayerSolve => {
      const { status, iterations, residuals } = this.#solvers[l]!.cg.decode(bytes);
      return { name: this.source.layers[l]!.name, status, iterations, residual: residuals.at(-1) };
    });
    const troubled = solves.find(({ status }) => status === "breakdown" || status === "nonFinite");
    const status = base.status === "ok" && troubled ? `${troubled.name}: ${troubled.status}` : base.status;
    return { ...base, status, solves };
  }

  protected tensors(): Record<string, GPUBuffer> {
    return { newtonVelocity: this.#velocity };
  }

  override dispose(): void {
    super.dispose();
    this.#settings.dispose();
    for (const { cg, block, approximation } of this.#solvers) {
      cg.dispose();
      block.dispose();
      approximation?.dispose();
    }
    for (const buffer of [this.#velocity, this.#update]) this.manager.destroyBuffer(buffer);
  }
}
