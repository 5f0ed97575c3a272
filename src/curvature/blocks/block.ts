import type { Matrix, Precision } from "../../linalg/index.js";
import type { CurvatureStatistics, LayerSize, Trainable } from "../../model/index.js";
import type { PipelineManager, Recorder } from "../../pipeline/index.js";
import type { LayerStates } from "./layer-states.js";
import type { StoredNumber } from "./stored.js";

/** A layer as its curvature sees it. Every `Trainable` is one. */
export type CurvatureLayer = LayerSize &
  Partial<Pick<Trainable, "G" | "withoutKronecker" | "withoutExamples">>;

/** One batch's statistics of one layer. Layers are numbered within the block, or within the model for `Curvature`. */
export interface BlockUpdate {
  layer: number;
  statistics: CurvatureStatistics;
  /** What the block's `microBatches.moments` would record of the batch, where it is there already. */
  moments?: Matrix;
}

/** What a block takes of a batch that is a mean over examples, so that the means of micro-batches can be added up before. */
export interface MicroBatches {
  /** The two sums that it takes of a micro-batch, where it takes any. */
  factors?(recorder: Recorder, update: BlockUpdate): Pick<CurvatureStatistics, "inputs" | "outputs">;
  /** A matrix a layer that it makes of each example's columns, in the place of `statistics` once it is in `BlockUpdate.moments`. */
  readonly moments?: {
    /** Rows and columns. */
    size(layer: number): readonly [rows: number, cols: number];
    /** Records it into a matrix of zeros; nothing for a layer of which only G is known. Of no use once the block is refreshed. */
    record(recorder: Recorder, update: BlockUpdate, into: Matrix): void;
  };
}

/** What goes for all layers of a batch. */
export interface BlockBatch {
  /**
   * u32, as it is when the commands run: 1 leaves the batch out of all means, which is not counted; with 2 they start afresh
   * with it; 0 changes nothing.
   */
  readonly skip?: StoredNumber | undefined;
}

/** A gradient, and where its update goes: both out × in, in different buffers. */
export interface BlockItem {
  layer: number;
  G: Matrix;
  into: Matrix;
}

/** A direction V, and where H̃ V goes: both out × in, in different buffers. */
export interface BlockProduct {
  layer: number;
  V: Matrix;
  into: Matrix;
}

/**
 * Solutions with a block's own estimate, but at other dampings: λ times some numbers. They are there to judge λ by, and leave
 * the block, its layers' boosts and readiness as they are. Nothing of them is in a checkpoint.
 */
export interface BlockTrials {
  /**
   * Records what renews them, at λ as it is when the commands run, times the multipliers and each layer's boost. `own` renews
   * the block's own solution in the same dispatches. What fails sets a bit of the trial's word in the status.
   */
  refresh(recorder: Recorder, own: boolean): void;
  /** As `Block.precondition`, at the damping of a trial, by its number. */
  precondition(recorder: Recorder, trial: number, items: readonly BlockItem[]): void;
  /** Frees their memory; the block must outlive them. */
  dispose(): void;
}

/** What a block keeps of a layer, for people. */
export interface BlockDescription {
  readonly layer: string;
  /** What is estimated, and its size. */
  readonly estimate: string;
}

/**
 * One way to estimate curvature, at work for a group of layers: some H̃ for each of them, on the scale of the mean loss's
 * Hessian whatever the batch size, and the solution of its damped system. All layers of the group are served by each call,
 * so that a block can record one grouped dispatch for them.
 *
 *     block.accumulate(recorder, updates);   // takes in a batch            every few steps
 *     block.refresh(recorder);               // renews what solving needs   every few more
 *     block.precondition(recorder, items);   // U ← (H̃ + λI)⁻¹ G            every step
 *
 * Methods record and wait for nothing; nothing of a batch is read once the recording that took it in has been submitted.
 * What went wrong on the GPU is decided there and told in the block's entries of the shared `LayerStates`: a batch with
 * numbers that are not finite is left out and counted, a refresh that fails keeps what the last one made, and an entry is
 * `ready` once `precondition` gives more than zero.
 */
export interface Block extends Disposable {
  /** The kind, in one word. Names the block's tensors in a checkpoint. */
  readonly name: string;
  /** λ ≥ 0. A change counts from the next refresh on. @throws ArgumentError when negative or not finite */
  damping: number;
  /**
   * λ in place of `damping`, f32, where it is the GPU that decides. It is read at each refresh, and by blocks that only divide by
   * it at each `precondition`; while it is negative or not finite, `damping` counts. A block that does not have this property
   * knows `damping` alone.
   *
   * @throws ArgumentError when set to what is no element of a storage buffer
   */
  storedDamping?: StoredNumber | undefined;
  /** Whether refreshes find eigenvectors, and λ and all else count without one: K-FAC's `basesEvery` then says when they come. */
  readonly eigenbases?: boolean;
  /** About how many operations a refresh of a layer takes, to share them out evenly; absent where it is next to nothing. */
  refreshCost?(layer: number): number;
  /** β of moving means; counts from the next batch on. Absent where there are none. @throws ArgumentError outside [0, 1) */
  emaDecay?: number;
  /**
   * Records λ and β as they are now, where kernels read them from a buffer that is written when they are set: for commands that are submitted
   * later. Absent where there is nothing to record.
   */
  recordSettings?(recorder: Recorder): void;
  /**
   * What the block's commands follow from beside the arguments of its methods, as a text: while it stays, the commands of
   * `accumulate`, `refresh` and `precondition` may be sent again without asking the block. λ and β need not be in it where they
   * are in a uniform that is written when they are set. Undefined, or without this member, the block is always asked.
   */
  readonly recording?: string | undefined;
  /**
   * What a checkpoint must hold besides the layer states: written back, the block goes on bit for bit. Finite f32 numbers;
   * the names count within the block.
   */
  readonly tensors: Readonly<Record<string, GPUBuffer>>;
  /**
   * Which of the tensors are moving means, f32: what processes that share a model average among them, after `accumulate` and
   * before `refresh`. Moving means are linear in their batches. With n_r of N examples on rank r in every step and no batch
   * left out, Σ_r (n_r/N) · mean_r therefore is the moving mean over all N, up to rounding. Empty where there are none.
   */
  readonly means: Readonly<Record<string, GPUBuffer>>;
  /**
   * Records what takes in a batch of some of the layers, each at most once.
   *
   * @throws as the statistics do (ArgumentError when a pass is over or has no columns), UnsupportedLayerError when they lack
   *   what this block needs.
   */
  accumulate(recorder: Recorder, updates: readonly BlockUpdate[], options?: BlockBatch): void;
  /** How a batch may come in parts; absent where each has to come as a whole. */
  readonly microBatches?: MicroBatches;
  /**
   * Records what renews the solution of some layers, each at most once, or of all, from the batches taken in, with the damping as
   * it is now. A block may renew more than it is asked for.
   */
  refresh(recorder: Recorder, layers?: readonly number[]): void;
  /**
   * Records U ← (H̃ + λI)⁻¹ G of some layers; each kind says where its damping is other than λI. U is zero before the layer's
   * first successful refresh. Numbers of G that are not finite reach U.
   */
  precondition(recorder: Recorder, items: readonly BlockItem[]): void;
  /**
   * Solutions at λ times each of `multipliers`; `status` has a word for each, u32, to set bits of where one fails. Absent where
   * there are none: then the block's own solution stands for all of them.
   */
  trials?(multipliers: readonly number[], status: GPUBuffer): BlockTrials;
  /** Records into ← H̃ V, undamped, of some layers; absent where there is no such product. */
  apply?(recorder: Recorder, products: readonly BlockProduct[]): void;
  /** One line a layer, in the block's order. */
  describe(): readonly BlockDescription[];
  /** Forgets all batches at once, the entries in the shared state included. */
  reset(): void;
  /** Frees the block's memory; the shared state is not the block's. */
  dispose(): void;
}

/** What a block is made with. */
export interface BlockSite {
  readonly manager: PipelineManager;
  /** The layers that the block is for; it numbers them as here. */
  readonly layers: readonly CurvatureLayer[];
  /** The state shared by all blocks of the model, and which entry of it each of these layers has. */
  readonly states: LayerStates;
  readonly entries: readonly number[];
  /** λ to begin with, checked. */
  readonly damping: number;
  /** β of moving means, in [0, 1): with t batches taken, β_t = min(1 − 1/t, β). */
  readonly emaDecay: number;
  /** What the columns of Aᵢ and Bᵢ may be rounded to before they are multiplied for Kronecker factors; the device can do it. */
  readonly factorPrecision: Precision;
}

/**
 * Makes a block for layers: a kind of the caller's own is such a function and nothing else. What it returns owns its
 * buffers. A factory that throws must have freed them.
 */
export type BlockFactory = (site: BlockSite) => Block;
