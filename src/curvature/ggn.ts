import { contractKernels, project, weigh } from "../linalg/contract.js";
import { type Matrix, paddedLength, paddedView, requireShape } from "../linalg/index.js";
import type { Kernel, PipelineManager, Recorder } from "../pipeline/index.js";
import type { CurvatureOperator } from "./operator.js";
import type { CurvatureRows, FisherOptions, LayerSource } from "./source.js";

/** What the exact block asks of a layer. */
export type BlockSource = Pick<
  LayerSource,
  "in" | "out" | "positions" | "apply" | "pullback" | "curvatureRows"
>;

/**
 * The exact block of the generalised Gauss-Newton matrix of one layer over the batch of the last recorded pass, never
 * formed (Bulatov 2017, "Piecewise Linear Network" and "Convolutional Network"):
 * H V = (1/N) Σ_i Σ_c J_ic ⟨J_ic, V⟩ with J_ic = Σ_t b_{t,c} a_t', the derivative of column c of example i in W.
 *
 * One product is a Jacobian-vector product (dz = V a), N·C dot products, and a vector-Jacobian product. Memory:
 * two matrices (N·T) × out and N·C numbers, made at the first product and kept.
 */
export class GgnBlock implements CurvatureOperator, Disposable {
  readonly rows: number;
  readonly cols: number;
  readonly #manager: PipelineManager;
  readonly #layer: BlockSource;
  readonly #fisher: FisherOptions;
  #buffers: { dz: GPUBuffer; s: GPUBuffer; y: GPUBuffer } | undefined;
  #capacity = { rows: 0, numbers: 0 };

  /** `fisher` says which columns the pass was recorded with; exact ones unless given. */
  constructor(manager: PipelineManager, layer: BlockSource, fisher: FisherOptions = { kind: "exact" }) {
    this.rows = layer.out;
    this.cols = layer.in;
    this.#manager = manager;
    this.#layer = layer;
    this.#fisher = fisher;
  }

  /** What the contractions dispatch; the products' kernels are the layer's. */
  get kernels(): readonly Kernel[] {
    return contractKernels(this.#manager.handle.capabilities.software);
  }

  /**
   * Records into ← H V, both out × in.
   *
   * @throws ShapeError for another shape, ArgumentError unless the last pass was recorded with this kind of columns.
   */
  apply(recorder: Recorder, V: Matrix, into: Matrix): void {
    requireShape("GgnBlock.apply", "V", V, this.rows, this.cols);
    requireShape("GgnBlock.apply", "into", into, this.rows, this.cols);
    const { positions: T } = this.#layer;
    const curvature = this.#layer.curvatureRows(this.#fisher);
    const { rows: b, columns, count: N } = curvature;
    const { dz, s, y } = this.#ensure(N * T, columns * N);
    const z = paddedView(dz, 0, N * T, this.rows);
    const weighed = paddedView(s, 0, N * T, this.rows);
    this.#layer.apply(recorder, V, z);
    const steps = {
      examples: N,
      columns,
      positions: T,
      b,
      bSteps: { column: N * T, example: T, position: 1 },
      zSteps: { example: T, position: 1 },
      y,
    };
    project(recorder, { ...steps, z });
    weigh(recorder, { ...steps, z: weighed });
    this.#layer.pullback(recorder, weighed, into, 1 / divisorOf(curvature, this.#fisher));
  }

  dispose(): void {
    for (const buffer of Object.values(this.#buffers ?? {})) this.#manager.destroyBuffer(buffer);
    this.#buffers = undefined;
    this.#capacity = { rows: 0, numbers: 0 };
  }

  [Symbol.dispose](): void {
    this.dispose();
  }

  #ensure(rows: number, numbers: number): { dz: GPUBuffer; s: GPUBuffer; y: GPUBuffer } {
    if (this.#buffers && rows <= this.#capacity.rows && numbers <= this.#capacity.numbers)
      return this.#buffers;
    this.dispose();
    const length = paddedLength(rows, this.rows);
    this.#capacity = { rows, numbers };
    this.#buffers = {
      dz: this.#manager.createStorage("ggn: dz", length),
      s: this.#manager.createStorage("ggn: s", length),
      y: this.#manager.createStorage("ggn: y", numbers),
    };
    return this.#buffers;
  }
}

/** What sums over examples and columns are divided by: N, or N · samples for Monte-Carlo columns. */
export function divisorOf({ columns, count }: CurvatureRows, fisher: FisherOptions): number {
  return fisher.kind === "monteCarlo" ? columns * count : count;
}
