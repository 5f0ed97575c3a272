import { type Matrix, paddedLength, paddedView } from "../../linalg/index.js";
import type { CurvatureStatistics } from "../../model/index.js";
import type { PipelineManager, Recorder } from "../../pipeline/index.js";
import { type LayerShape, type RecordedExamples, recordOneGroup } from "../blocks/examples.js";
import type { Damping } from "../kernels/kronecker-pair.js";
import type { StoredDamping } from "../kernels/spectrum.js";

/** Words of a fit's status: two matrices' of `eigh` or `invert`, one of what is not finite. */
export const APPROXIMATION_STATUS = 3;
/** The word that keeps a fit back, and its bit. */
export const GATE = { word: 2, bit: 2 } as const;

/**
 * An approximation H̃ of one layer's exact block over one batch, from the same inputs and derivatives. `BatchBlock` puts fits
 * together and decides what becomes of bad numbers; a fit does the arithmetic.
 */
export abstract class LayerFit implements Disposable {
  readonly rows: number;
  readonly cols: number;
  /**
   * `APPROXIMATION_STATUS` words, u32, of the last fit and damping; all 0 when all is well. Bit 2: numbers that were not
   * finite. Bits 1 and 4 as `InvertStatus`, 8 as `EighStatus`.
   */
  readonly status: GPUBuffer;
  protected readonly manager: PipelineManager;
  protected readonly layer: LayerShape;
  readonly #buffers: Record<string, GPUBuffer> = {};

  constructor(manager: PipelineManager, layer: LayerShape) {
    this.manager = manager;
    this.layer = layer;
    this.rows = layer.out;
    this.cols = layer.in;
    this.status = this.storage("status", APPROXIMATION_STATUS);
  }

  /** Records what it takes to read the layer's examples: one group of W's rows, unless the kind takes several. */
  examples(recorder: Recorder, statistics: CurvatureStatistics): RecordedExamples[] {
    return [recordOneGroup(recorder, this.layer, statistics)];
  }

  /** What is kept from call to call. */
  get tensors(): Readonly<Record<string, GPUBuffer>> {
    return this.#buffers;
  }

  /** Records the fit, and says which matrices must be finite for everything else to be. */
  abstract fit(recorder: Recorder, groups: readonly RecordedExamples[]): readonly Matrix[];

  /** Records what solving with λ takes besides λ itself. */
  damp(_recorder: Recorder, _lambda: Damping): void {}

  /** Records into ← H̃ V, both out × in. */
  abstract apply(recorder: Recorder, V: Matrix, into: Matrix): void;

  /**
   * Records into ← (H̃ + λI)⁻¹ G, both out × in; `into` is aligned scratch. Kinds whose damping is other than λI solve with the λ
   * of the last `damp`, whatever this one is.
   */
  abstract invert(recorder: Recorder, G: Matrix, into: Matrix, lambda: StoredDamping): void;

  dispose(): void {
    for (const buffer of Object.values(this.#buffers)) this.manager.destroyBuffer(buffer);
  }

  [Symbol.dispose](): void {
    this.dispose();
  }

  /** Memory that `dispose` frees and a checkpoint holds, each under a label of its own. */
  protected storage(label: string, length: number): GPUBuffer {
    return this.kept(label, this.manager.createStorage(label, length));
  }

  /** Takes over a buffer. */
  protected kept(label: string, buffer: GPUBuffer): GPUBuffer {
    this.#buffers[label] = buffer;
    return buffer;
  }

  protected matrix(label: string, rows: number, cols: number): Matrix {
    return paddedView(this.storage(label, paddedLength(rows, cols)), 0, rows, cols);
  }
}
