import { ArgumentError, ShapeError } from "../../errors.js";
import type { LinearOperator } from "../../linalg/cg.js";
import { type Matrix, requireShape } from "../../linalg/index.js";
import type { CurvatureStatistics } from "../../model/index.js";
import type { PipelineManager, Recorder } from "../../pipeline/index.js";
import type { BlockSite } from "../blocks/block.js";
import type { LayerShape } from "../blocks/examples.js";
import { LayerStates } from "../blocks/layer-states.js";
import type { CurvatureOperator } from "../exact/operator.js";
import type { BatchBlock } from "./batch-block.js";
import { APPROXIMATION_STATUS } from "./layer-fit.js";

/** What an approximation is fitted to. */
export type ExampleSource = LayerShape & CurvatureStatistics;

/**
 * An approximation H̃ of a layer's exact block over one recorded pass, as an operator, as a step, and as a preconditioner: a
 * `BatchBlock` of one layer by itself. All on the GPU and recorded; on the scale of H, whatever N and T.
 */
export class Approximation implements CurvatureOperator, Disposable {
  readonly name: string;
  readonly rows: number;
  readonly cols: number;
  /** The status words of the last `fit` and `damp`; see `LayerFit`. */
  readonly status: GPUBuffer;
  readonly #manager: PipelineManager;
  readonly #states: LayerStates;
  readonly #block: BatchBlock;

  constructor(
    manager: PipelineManager,
    layer: LayerShape,
    name: string,
    make: (site: BlockSite) => BatchBlock,
  ) {
    const { in: inputs, out } = layer;
    this.name = name;
    this.rows = out;
    this.cols = inputs;
    this.#manager = manager;
    const layers = [{ name: layer.name ?? "layer", in: inputs, out }];
    this.#states = new LayerStates(manager, [layers[0]!.name]);
    const states = this.#states;
    const settings = { damping: 0, emaDecay: 0, factorPrecision: "f32" } as const;
    this.#block = make({ manager, layers, states, entries: [0], ...settings });
    this.status = this.#block.fits[0]!.status;
  }

  /**
   * Records H̃ from a recorded pass; `damp` must follow before `solve`.
   *
   * @throws ShapeError for a layer of another shape, and as `Block.accumulate`; then nothing has been recorded.
   */
  fit(recorder: Recorder, layer: ExampleSource): void {
    if (layer.out !== this.rows || layer.in !== this.cols) {
      throw new ShapeError(`${this.name}.fit`, "the layer", [layer.out, layer.in], [this.rows, this.cols]);
    }
    this.#block.accumulate(recorder, [{ layer: 0, statistics: layer }]);
  }

  /** Records what solving with λ takes. @throws ArgumentError unless λ is finite and not negative */
  damp(recorder: Recorder, lambda: number): void {
    if (!(lambda >= 0 && Number.isFinite(lambda))) {
      throw new ArgumentError(
        this.name,
        "damping",
        `must be a finite number that is not negative, got ${lambda}`,
      );
    }
    this.#block.damping = lambda;
    this.#block.refresh(recorder);
  }

  /** Records into ← H̃ V, both out × in. */
  apply(recorder: Recorder, V: Matrix, into: Matrix): void {
    this.#block.apply(recorder, [{ layer: 0, V, into }]);
  }

  /**
   * Records into ← (H̃ + λI)⁻¹ G, both out × in, in different buffers; each kind says where its damping is other than λI.
   * Zero where the layer's data were not finite, and where fitting or damping failed; the status tells.
   *
   * @throws ShapeError for another shape
   */
  solve(recorder: Recorder, G: Matrix, into: Matrix): void {
    requireShape(`${this.name}.solve`, "G", G, this.rows, this.cols);
    requireShape(`${this.name}.solve`, "into", into, this.rows, this.cols);
    this.#block.precondition(recorder, [{ layer: 0, G, into }]);
  }

  /** `solve` as `conjugateGradients` takes it. */
  get preconditioner(): Pick<LinearOperator, "apply"> {
    return { apply: (recorder, R, into) => this.solve(recorder, R, into) };
  }

  /** All status words or-ed together. */
  async readStatus(): Promise<number> {
    const recorder = this.#manager.record();
    const reading = recorder.read(this.status, 0, 4 * APPROXIMATION_STATUS);
    recorder.submit();
    return new Uint32Array(await reading).reduce((all, word) => all | word, 0);
  }

  dispose(): void {
    this.#block.dispose();
    this.#states.dispose();
  }

  [Symbol.dispose](): void {
    this.dispose();
  }
}
