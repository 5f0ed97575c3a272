import { must, objectLike, SIZE } from "../../arguments.js";
import { ShapeError } from "../../errors.js";
import { type Matrix, paddedLength, paddedView, requireShape } from "../../linalg/index.js";
import type { Curved } from "../../model/index.js";
import type { PipelineManager, Recorder } from "../../pipeline/index.js";
import { MANAGER } from "../../pipeline/rules.js";
import { project, weigh } from "../kernels/contract.js";
import type { CurvatureOperator } from "./operator.js";

/** The sizes of a layer, and what the exact block asks of it in a pass. */
export type BlockSize = Pick<Curved, "in" | "out">;
export type BlockSource = Pick<Curved, "in" | "out" | "positions" | "apply" | "pullback" | "curvatureRows">;

/**
 * The exact block of the generalised Gauss-Newton matrix of one layer over the batch of a recorded pass, never
 * formed (Bulatov 2017, "Piecewise Linear Network" and "Convolutional Network"):
 * H V = (1/N) Σ_i Σ_c J_ic ⟨J_ic, V⟩ with J_ic = Σ_t b_{t,c} a_t', the derivative of column c of example i in W.
 *
 * One product is a Jacobian-vector product (dz = V a), N·C dot products, and a vector-Jacobian product. Memory:
 * two matrices (N·T) × out and N·C numbers, made at the first product and kept.
 */
export class GgnBlock implements Disposable {
  readonly rows: number;
  readonly cols: number;
  readonly #manager: PipelineManager;
  #buffers: { dz: GPUBuffer; s: GPUBuffer; y: GPUBuffer } | undefined;
  #capacity = { rows: 0, numbers: 0 };

  constructor(manager: PipelineManager, layer: BlockSize) {
    must("GgnBlock", "manager", manager, MANAGER);
    must("GgnBlock", "layer", layer, objectLike("a layer { in, out }"));
    must("GgnBlock", "layer.in", layer.in, SIZE);
    must("GgnBlock", "layer.out", layer.out, SIZE);
    this.rows = layer.out;
    this.cols = layer.in;
    this.#manager = manager;
  }

  /**
   * H over a pass. Its products throw a ShapeError for another shape, an ArgumentError when the pass is over or was recorded
   * without columns.
   *
   * @throws ShapeError for a layer of other sizes
   */
  over(curved: BlockSource): CurvatureOperator {
    if (curved.out !== this.rows || curved.in !== this.cols) {
      throw new ShapeError("GgnBlock.over", "the layer", [curved.out, curved.in], [this.rows, this.cols]);
    }
    return {
      rows: this.rows,
      cols: this.cols,
      apply: (recorder, V, into) => this.#apply(recorder, curved, V, into),
    };
  }

  /** Records into ← H V, both out × in. */
  #apply(recorder: Recorder, curved: BlockSource, V: Matrix, into: Matrix): void {
    requireShape("GgnBlock.apply", "V", V, this.rows, this.cols);
    requireShape("GgnBlock.apply", "into", into, this.rows, this.cols);
    const { positions: T } = curved;
    const { rows: b, columns, count: N, divisor } = curved.curvatureRows(recorder);
    const { dz, s, y } = this.#ensure(N * T, columns * N);
    const z = paddedView(dz, 0, N * T, this.rows);
    const weighed = paddedView(s, 0, N * T, this.rows);
    curved.apply(recorder, V, z);
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
    curved.pullback(recorder, weighed, into, 1 / divisor);
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
