import {
  ANYTHING,
  LIST,
  must,
  NON_NEGATIVE,
  NUMBER,
  objectsOf,
  optionsOf,
  type Rules,
  shown,
} from "../../arguments.js";
import { ArgumentError, UnsupportedLayerError } from "../../errors.js";
import { type Matrix, PRECISION, type Precision, requirePrecision } from "../../linalg/index.js";
import type { PipelineManager, Recorder } from "../../pipeline/index.js";
import { MANAGER } from "../../pipeline/rules.js";
import type {
  Block,
  BlockBatch,
  BlockItem,
  BlockProduct,
  BlockSite,
  BlockUpdate,
  CurvatureLayer,
} from "./block.js";
import { type BlockOptions, planBlocks } from "./choice.js";
import { EigenbasisBlock } from "./eigenbasis-block.js";
import { KroneckerBlock } from "./kronecker.js";
import { LayerStates } from "./layer-states.js";
import { requireDamping, requireDecay } from "./options.js";
import type { LayerStatus } from "./status.js";
import { requireStored, type StoredNumber } from "./stored.js";
import { CurvatureTrials } from "./trials.js";

/** How curvature is estimated, averaged and damped. */
export interface CurvatureOptions extends BlockOptions {
  /** λ ≥ 0 on the scale of the mean loss's Hessian; defaults to 1e-3. */
  damping?: number;
  /** β of the moving means, in [0, 1); defaults to 0.95. */
  emaDecay?: number;
  /**
   * What the columns of Aᵢ and Bᵢ are rounded to before they are multiplied for ΣAᵢAᵢ' and ΣBᵢBᵢ'; defaults to `"f32"`, as they are.
   * Sums, moving means, inverses and all else stay f32. It does nothing for blocks without Kronecker factors, those fitted
   * to a batch alone, and sums that a layer takes in a way of its own, such as the correlations of convolutions with stride 1.
   */
  factorPrecision?: Precision;
}

const OPTIONS: Rules<CurvatureOptions> = {
  damping: NON_NEGATIVE,
  emaDecay: NUMBER,
  factorPrecision: PRECISION,
  blocks: ANYTHING,
  fallback: ANYTHING,
};

/** One line of the registration table: what becomes of a layer, and why. */
export interface CurvatureLine {
  readonly layer: string;
  /** Name of the block. */
  readonly block: string;
  /** What the block keeps of it, with sizes. */
  readonly estimate: string;
  /** `"default"`, `"asked for"`, or the fallback's reason. */
  readonly why: string;
}

/** Where a layer is: its block, and its number there. */
export interface BlockPlace {
  readonly block: Block;
  readonly index: number;
}

/**
 * The curvature of all layers of a model, whatever their blocks: takes batches in, renews what solving needs, and
 * preconditions, each for any of the layers in one call. Layers are numbered as they were given. Nothing waits for the GPU.
 */
export class Curvature implements Disposable {
  readonly layers: readonly CurvatureLayer[];
  readonly blocks: readonly Block[];
  /** As it was asked for. */
  readonly factorPrecision: Precision;
  readonly #states: LayerStates;
  readonly #places: readonly BlockPlace[];
  readonly #reasons: readonly string[];
  readonly #manager: PipelineManager;
  #damping: number;
  #storedDamping: StoredNumber | undefined;

  /**
   * @throws ArgumentError for bad options, FeatureError for `factorPrecision: "f16"` on a device without it, UnsupportedLayerError for a
   *   layer that none of them can do with, LimitError when the device cannot hold it. Then no memory is kept.
   */
  constructor(manager: PipelineManager, layers: readonly CurvatureLayer[], options: CurvatureOptions = {}) {
    must("curvature", "manager", manager, MANAGER);
    const given = optionsOf("curvature", OPTIONS, options);
    const damping = requireDamping(given.damping ?? 1e-3);
    const emaDecay = requireDecay(given.emaDecay ?? 0.95);
    const { factorPrecision = "f32" } = given;
    requirePrecision("curvature", manager, factorPrecision, "factorPrecision");
    const plans = planBlocks(layers, given);
    this.layers = layers;
    this.factorPrecision = factorPrecision;
    this.#manager = manager;
    this.#damping = damping;
    this.#states = new LayerStates(
      manager,
      layers.map(({ name }) => name),
    );
    const places: BlockPlace[] = [];
    const reasons: string[] = [];
    const blocks: Block[] = [];
    try {
      for (const { create, members, reasons: own } of plans) {
        const site: BlockSite = {
          manager,
          layers: members.map((layer) => layers[layer]!),
          states: this.#states,
          entries: members,
          damping,
          emaDecay,
          factorPrecision,
        };
        const block = create(site);
        blocks.push(block);
        for (const [index, layer] of members.entries()) {
          places[layer] = { block, index };
          reasons[layer] = own[index]!;
        }
      }
    } catch (error) {
      for (const block of blocks) block.dispose();
      this.#states.dispose();
      throw error;
    }
    this.blocks = blocks;
    this.#places = places;
    this.#reasons = reasons;
  }

  get damping(): number {
    return this.#damping;
  }

  /** Of all blocks; counts from the next refresh on. @throws ArgumentError when negative or not finite */
  set damping(value: number) {
    this.#damping = requireDamping(value);
    for (const block of this.blocks) block.damping = value;
  }

  /** As `Block.recording`, of all blocks together. */
  get recording(): string | undefined {
    const all = this.blocks.map(({ recording }) => recording);
    return all.includes(undefined) ? undefined : all.join(" ");
  }

  /** β of the moving means of all blocks; counts from the next batch on. @throws ArgumentError outside [0, 1) */
  set emaDecay(value: number) {
    const decay = requireDecay(value);
    for (const block of this.blocks) if (block.emaDecay !== undefined) block.emaDecay = decay;
  }

  /**
   * λ of all blocks where it is the GPU that decides, f32: read when the commands run, at each refresh and by blocks that only
   * divide by it at each `precondition`, in place of `damping`. That counts while the number is negative or not finite, and for
   * blocks of the caller's own that do not know of this. At 0, unlike with `damping`, directions whose curvature is only rounding
   * are not left out. Undefined by default.
   *
   * @throws ArgumentError when set to what is no element of a storage buffer
   */
  get storedDamping(): StoredNumber | undefined {
    return this.#storedDamping;
  }

  set storedDamping(number: StoredNumber | undefined) {
    this.#storedDamping = number && requireStored("curvature", "storedDamping", number);
    for (const block of this.blocks) if ("storedDamping" in block) block.storedDamping = number;
  }

  /**
   * Solutions from the same moving means at λ times each of `multipliers`, to judge λ by; the caller disposes of them, before
   * the curvature.
   *
   *     const trials = curvature.trials([1 / 9, 9]);
   *     trials.refresh(recorder, { own: true });    // three dampings in one grouped sweep
   *     trials.precondition(recorder, 0, items);    // U at λ/9; at λ itself: curvature.precondition
   *
   * @throws ArgumentError unless they are positive numbers, LimitError when the device cannot hold more inverses
   */
  trials(multipliers: readonly number[]): CurvatureTrials {
    const hand = (items: readonly BlockItem[], give: (block: number, own: readonly BlockItem[]) => void) =>
      this.#each(items, (block, own) => give(this.blocks.indexOf(block), own));
    return new CurvatureTrials({ manager: this.#manager, blocks: this.blocks, hand }, multipliers);
  }

  /** The block of a layer, and the layer's number in it. @throws ArgumentError for a layer that there is not */
  place(layer: number): BlockPlace {
    const place = this.#places[layer];
    if (place) return place;
    throw new ArgumentError("curvature", "layer", `must be below ${this.layers.length}, got ${shown(layer)}`);
  }

  /** Ā, in × in, and B̄, out × out, of a layer whose block keeps them: K-FAC's own, `"eigen"` or EKFAC; undefined elsewhere. */
  factors(layer: number): { A: Matrix; B: Matrix } | undefined {
    const { block, index } = this.place(layer);
    if (!(block instanceof KroneckerBlock || block instanceof EigenbasisBlock)) return undefined;
    return { A: block.A(index), B: block.B(index) };
  }

  /** The state of every layer, `LayerState` one after another: for read-backs and for kernels that ask what is ready. */
  get state(): GPUBuffer {
    return this.#states.buffer;
  }

  /** Decodes the bytes of `state`. */
  decode(bytes: ArrayBuffer): LayerStatus[] {
    return this.#states.decode(bytes);
  }

  /**
   * What a checkpoint must hold: f32, but for `layerState`, u32. Names are the block's own under the name of the block; those of
   * K-FAC's own block stand alone, as they always have.
   */
  get tensors(): Readonly<Record<string, GPUBuffer>> {
    return { ...this.#named(({ tensors }) => tensors), layerState: this.state };
  }

  /** What processes that share a model average among them, by the same names; see `Block.means`. */
  get means(): Readonly<Record<string, GPUBuffer>> {
    return this.#named(({ means }) => means);
  }

  /**
   * Records what takes in a batch of some of the layers. With `skip`, a u32 that the GPU keeps, the batch is left out of all
   * means where that is 1 when the commands run, and all means start afresh with it where it is 2; a batch with numbers that
   * are not finite is left out and counted either way.
   *
   * @throws as `Block.accumulate`, ArgumentError when `skip` is no element of a storage buffer
   */
  accumulate(recorder: Recorder, updates: readonly BlockUpdate[], options: BlockBatch = {}): void {
    if (options.skip) requireStored("curvature", "skip", options.skip);
    this.#each(updates, (block, own) => block.accumulate(recorder, own, options));
  }

  /**
   * Records what renews the solution of all layers, or of some, with the damping as it is now. Of a list, the layers of one block are
   * renewed together; a block of the caller's own may renew all that it has.
   *
   * @throws ArgumentError for a layer that there is not
   */
  refresh(recorder: Recorder, layers: readonly number[] = this.layers.map((_, layer) => layer)): void {
    must("curvature", "layers", layers, LIST);
    this.#each(
      [...new Set(layers)].map((layer) => ({ layer })),
      (block, own) =>
        block.refresh(
          recorder,
          own.map(({ layer }) => layer),
        ),
    );
  }

  /** As `Block.recordSettings`, of all blocks. */
  recordSettings(recorder: Recorder): void {
    for (const block of this.blocks) block.recordSettings?.(recorder);
  }

  /** Records U ← (H̃ + λI)⁻¹ G of some of the layers; zero until a layer's first successful refresh. */
  precondition(recorder: Recorder, items: readonly BlockItem[]): void {
    this.#each(items, (block, own) => block.precondition(recorder, own));
  }

  /** Records into ← H̃ V, undamped. @throws UnsupportedLayerError for a layer whose block has no such product */
  apply(recorder: Recorder, products: readonly BlockProduct[]): void {
    for (const { layer } of objectsOf("curvature", "products", products)) {
      const { block } = this.place(layer);
      if (block.apply) continue;
      throw new UnsupportedLayerError(
        this.layers[layer]!.name,
        `block ${block.name}`,
        "it has no product H̃ V; give the layer another block",
      );
    }
    this.#each(products, (block, own) => block.apply!(recorder, own));
  }

  /** The registration table, a line a layer in the model's order. */
  describe(): readonly CurvatureLine[] {
    const descriptions = new Map(this.blocks.map((block) => [block, block.describe()]));
    return this.#places.map(({ block, index }, layer) => ({
      layer: this.layers[layer]!.name,
      block: block.name,
      estimate: descriptions.get(block)![index]?.estimate ?? "",
      why: this.#reasons[layer]!,
    }));
  }

  /** Forgets all batches at once. */
  reset(): void {
    for (const block of this.blocks) block.reset();
  }

  dispose(): void {
    for (const block of this.blocks) block.dispose();
    this.#states.dispose();
  }

  [Symbol.dispose](): void {
    this.dispose();
  }

  /** Hands a list out to the blocks that its layers belong to, under their numbers there. */
  #each<T extends { layer: number }>(list: readonly T[], hand: (block: Block, own: T[]) => void): void {
    const lists = new Map<Block, T[]>();
    for (const one of objectsOf("curvature", "items", list)) {
      const { block, index } = this.place(one.layer);
      const own = lists.get(block) ?? [];
      own.push({ ...one, layer: index });
      lists.set(block, own);
    }
    for (const block of this.blocks) {
      const own = lists.get(block);
      if (own) hand(block, own);
    }
  }

  #named(of: (block: Block) => Readonly<Record<string, GPUBuffer>>): Readonly<Record<string, GPUBuffer>> {
    const all: Record<string, GPUBuffer> = {};
    for (const [index, block] of this.blocks.entries()) {
      const twins = this.blocks.slice(0, index).filter(({ name }) => name === block.name).length;
      const prefix =
        block.name === "kronecker" && twins === 0 ? "" : `${block.name}${twins > 0 ? twins + 1 : ""}.`;
      for (const [name, buffer] of Object.entries(of(block))) all[`${prefix}${name}`] = buffer;
    }
    return all;
  }
}
