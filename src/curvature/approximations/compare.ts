import {
  ANYTHING,
  FUNCTION,
  LIST,
  must,
  NON_NEGATIVE,
  OBJECT,
  objectLike,
  oneOf,
  optionsOf,
  POSITIVE,
  type Rules,
  SIGNAL,
  whole,
} from "../../arguments.js";
import { AbortedError } from "../../errors.js";
import { readMatrix } from "../../host/index.js";
import { type CgResult, conjugateGradients } from "../../linalg/cg.js";
import {
  checkView,
  copy,
  type Matrix,
  type MatrixView,
  paddedLength,
  paddedView,
} from "../../linalg/index.js";
import type { Curved } from "../../model/index.js";
import type { PipelineManager, Recorder } from "../../pipeline/index.js";
import { MANAGER } from "../../pipeline/rules.js";
import { GgnBlock } from "../exact/ggn.js";
import type { CurvatureOperator } from "../exact/operator.js";
import { APPROXIMATIONS, type ApproximationKind, createApproximation } from "./kinds.js";
import { type Probes, probesOf, squaredDistance, squaredSize } from "./probes.js";

/** What approximations are compared on, and how closely. */
export interface CompareOptions {
  /** λ > 0, on the scale of the mean loss's Hessian. */
  damping: number;
  /** The right-hand side, out × in: the layer's own G, or another. */
  G: MatrixView;
  /** Defaults to all of them. */
  kinds?: readonly ApproximationKind[];
  /** Residual ‖r‖/‖G‖ at which conjugate gradients stop; defaults to 1e-5. */
  tolerance?: number;
  /** At most so many iterations; defaults to 300. */
  maxIterations?: number;
  /** Up to so many unknowns the error is exact, beyond it is estimated; defaults to 512. */
  denseLimit?: number;
  /** Random products that an estimate takes; defaults to 32. */
  probes?: number;
  signal?: AbortSignal;
  /** Called as each kind is done. */
  onProgress?: (done: number, total: number) => void;
}

const LAYER = objectLike("a layer of a recorded pass", "curvatureRows");
const OPTIONS: Rules<CompareOptions> = {
  damping: POSITIVE,
  G: ANYTHING,
  kinds: LIST,
  tolerance: NON_NEGATIVE,
  maxIterations: whole(1),
  denseLimit: whole(0),
  probes: whole(1),
  signal: SIGNAL,
  onProgress: FUNCTION,
};

/** How good one approximation H̃ is. `"none"` is the gradient as a step, and conjugate gradients without preconditioner. */
export interface ApproximationMeasures {
  readonly name: "none" | ApproximationKind;
  /** ‖H̃ − H‖ / ‖H‖ (Frobenius); undefined for `"none"`, and where H is zero or not finite. */
  readonly error: number | undefined;
  /** ‖H̃‖ / ‖H‖: below 1, a damping beside H̃ weighs too much. Undefined as `error`. */
  readonly size: number | undefined;
  /** Cosine of the angle between U = (H̃ + λI)⁻¹ G and the exact damped Newton step δ. */
  readonly cosine: number;
  /**
   * Decrease of the quadratic model ⟨G, U⟩ − ½⟨U, (H + λI)U⟩ by U as it is, as a share of δ's: 1 at best, negative where
   * the model rises.
   */
  readonly share: number;
  /** The same for `bestStep` · U: in [0, 1]. */
  readonly shareAtBestStep: number;
  /** The step length with the largest decrease, ⟨G, U⟩ / ⟨U, (H + λI)U⟩. */
  readonly bestStep: number;
  /** Conjugate gradients with H̃ as preconditioner. */
  readonly cg: Pick<CgResult, "status" | "iterations" | "residuals" | "certificate">;
  /** Status word of the approximation, 0 when all is well. */
  readonly status: number;
}

/** Plain data, for a page or a terminal. */
export interface CurvatureComparison {
  readonly layer: string;
  readonly rows: number;
  readonly cols: number;
  readonly positions: number;
  readonly examples: number;
  readonly columns: number;
  readonly damping: number;
  readonly tolerance: number;
  /** Whether `error` and `size` are estimates from random products. */
  readonly estimated: boolean;
  /** ‖G − (H + λI)δ‖/‖G‖ of the δ that counts as exact: the best of all runs. Undefined when none is finite. */
  readonly certificate: number | undefined;
  /** `"none"` first. */
  readonly approximations: readonly ApproximationMeasures[];
}

/** One kind before the exact step is known. */
interface Trial {
  name: ApproximationMeasures["name"];
  error: number | undefined;
  size: number | undefined;
  U: Float32Array;
  HU: Float32Array;
  cg: CgResult;
  delta: Float32Array;
  status: number;
}

/**
 * Measures every approximation of one layer's curvature against its exact block, over a recorded pass (which must have
 * been recorded with columns and submitted). Nothing is compared with another approximation's numbers: H is the
 * exact operator, and δ the step that solves it best.
 *
 * @throws ArgumentError for a bad option or a pass without columns, UnsupportedLayerError, AbortedError.
 */
export async function compareCurvature(
  manager: PipelineManager,
  layer: Curved,
  options: CompareOptions,
): Promise<CurvatureComparison> {
  must("compareCurvature", "manager", manager, MANAGER);
  must("compareCurvature", "layer", layer, LAYER);
  must("compareCurvature", "options", options, OBJECT);
  const {
    damping,
    kinds = APPROXIMATIONS,
    tolerance = 1e-5,
    ...rest
  } = optionsOf("compareCurvature", OPTIONS, options);
  const { maxIterations = 300, denseLimit = 512, probes = 32, signal, onProgress } = rest;
  must("compareCurvature", "damping", damping, POSITIVE);
  for (const kind of kinds) must("compareCurvature", "kinds", kind, oneOf(...APPROXIMATIONS));
  const looking = manager.record();
  const { columns, count } = layer.curvatureRows(looking);
  looking.submit();
  const block = new GgnBlock(manager, layer);
  const exact = block.over(layer);
  const desk = new Desk(manager, exact, options.G);
  try {
    const probing = probesOf(layer.out, layer.in, denseLimit, probes);
    const images = await desk.images(exact, probing);
    const trials: Trial[] = [];
    for (const name of ["none", ...kinds] as const) {
      if (signal?.aborted) throw new AbortedError("compareCurvature", signal.reason);
      const settings = { damping, tolerance, maxIterations, signal };
      trials.push(await tryKind(desk, layer, name, { probing, images }, settings));
      onProgress?.(trials.length, kinds.length + 1);
    }
    const quality = ({ cg }: Trial) => cg.certificate ?? Number.POSITIVE_INFINITY;
    const best = trials.reduce((a, b) => (quality(b) < quality(a) ? b : a));
    const G = await desk.gradient();
    return {
      layer: layer.name,
      rows: layer.out,
      cols: layer.in,
      positions: layer.positions,
      examples: count,
      columns,
      damping,
      tolerance,
      estimated: probing.random,
      certificate: best.cg.certificate,
      approximations: trials.map((trial) => measuresOf(trial, G, best.delta, damping)),
    };
  } finally {
    desk.dispose();
    block.dispose();
  }
}

async function tryKind(
  desk: Desk,
  layer: Curved,
  name: Trial["name"],
  { probing, images }: { probing: Probes; images: Float32Array[] },
  options: { damping: number; tolerance: number; maxIterations: number; signal: AbortSignal | undefined },
): Promise<Trial> {
  if (name === "none") {
    const U = await desk.gradient();
    const HU = await desk.image(desk.G);
    const { cg, delta } = await desk.solve(options);
    return { name, error: undefined, size: undefined, U, HU, cg, delta, status: 0 };
  }
  const approximation = createApproximation(desk.manager, layer, name);
  try {
    const U = await desk.step((recorder, into) => {
      approximation.fit(recorder, layer);
      approximation.damp(recorder, options.damping);
      approximation.solve(recorder, desk.G, into);
    });
    const HU = await desk.image(desk.U);
    const own = await desk.images(approximation, probing);
    const size = squaredSize(images);
    const { cg, delta } = await desk.solve({ ...options, preconditioner: approximation.preconditioner });
    return {
      name,
      error: root(squaredDistance(own, images) / size),
      size: root(squaredSize(own) / size),
      U,
      HU,
      cg,
      delta,
      status: await approximation.readStatus(),
    };
  } finally {
    approximation.dispose();
  }
}

function measuresOf(
  trial: Trial,
  G: Float32Array,
  delta: Float32Array,
  damping: number,
): ApproximationMeasures {
  const { name, error, size, U, HU, cg, status } = trial;
  const slope = dot(G, U);
  const curvature = dot(U, HU) + damping * dot(U, U);
  const best = 0.5 * dot(G, delta);
  const { residuals, iterations, certificate, status: outcome } = cg;
  return {
    name,
    error,
    size,
    cosine: over(dot(U, delta), Math.sqrt(dot(U, U) * dot(delta, delta))),
    share: over(slope - 0.5 * curvature, best),
    shareAtBestStep: over(over(0.5 * slope * slope, curvature), best),
    bestStep: over(slope, curvature),
    cg: { status: outcome, iterations, residuals, certificate },
    status,
  };
}

/** Undefined where H is zero or not finite. */
function root(square: number): number | undefined {
  return Number.isFinite(square) ? Math.sqrt(square) : undefined;
}

/** Zero where there is nothing to divide by: a step of zero has no direction. */
function over(x: number, y: number): number {
  return y > 0 ? x / y : 0;
}

function dot(x: Float32Array, y: Float32Array): number {
  let sum = 0;
  for (let k = 0; k < x.length; k++) sum += x[k]! * y[k]!;
  return sum;
}

/** Matrices of the layer's shape to work with, and their numbers in main memory, out × in without padding. */
class Desk implements Disposable {
  readonly manager: PipelineManager;
  readonly G: Matrix;
  readonly U: Matrix;
  readonly #image: Matrix;
  readonly #exact: CurvatureOperator;

  constructor(manager: PipelineManager, exact: CurvatureOperator, G: MatrixView) {
    const { rows, cols } = exact;
    const length = paddedLength(rows, cols);
    const make = (label: string) => paddedView(manager.createStorage(label, length), 0, rows, cols);
    this.manager = manager;
    this.#exact = exact;
    this.G = make("compare: G");
    this.U = make("compare: U");
    this.#image = make("compare: HU");
    const recorder = manager.record();
    copy(recorder, { source: checkView("compareCurvature", "G", G), target: this.G });
    recorder.submit({ watched: true });
  }

  gradient(): Promise<Float32Array> {
    return this.#read(this.G, () => {});
  }

  step(record: (recorder: Recorder, into: Matrix) => void): Promise<Float32Array> {
    return this.#read(this.U, (recorder) => record(recorder, this.U));
  }

  /** H V. */
  image(V: Matrix): Promise<Float32Array> {
    return this.#read(this.#image, (recorder) => this.#exact.apply(recorder, V, this.#image));
  }

  async solve(
    options: Parameters<typeof conjugateGradients>[3],
  ): Promise<{ cg: CgResult; delta: Float32Array }> {
    const into = this.#image;
    const cg = await conjugateGradients(this.manager, this.#exact, { G: this.G, into }, options);
    return { cg, delta: await this.#read(into, () => {}) };
  }

  /** The products of an operator with all probes. */
  async images(operator: CurvatureOperator, probes: Probes): Promise<Float32Array[]> {
    const results: Promise<Float32Array>[] = [];
    for (let k = 0; k < probes.count; k++) {
      this.manager.device.queue.writeBuffer(this.U.buffer, 0, probes.probe(k, this.U.stride));
      results.push(this.#read(this.#image, (recorder) => operator.apply(recorder, this.U, this.#image)));
      if (k % 64 === 63) await results[k];
    }
    return Promise.all(results);
  }

  dispose(): void {
    for (const { buffer } of [this.G, this.U, this.#image]) this.manager.destroyBuffer(buffer);
  }

  [Symbol.dispose](): void {
    this.dispose();
  }

  async #read(view: Matrix, record: (recorder: Recorder) => void): Promise<Float32Array> {
    const recorder = this.manager.record();
    try {
      record(recorder);
    } catch (error) {
      recorder.end();
      throw error;
    }
    const reading = readMatrix(recorder, view);
    recorder.submit();
    return (await reading).data;
  }
}
