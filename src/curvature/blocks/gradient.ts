import { copyStrided } from "../../linalg/index.js";
import { copyInto } from "../../linalg/layout/pack.js";
import type { Recorder } from "../../pipeline/index.js";
import type { Block, BlockDescription, BlockItem, BlockSite, MicroBatches } from "./block.js";
import { requireDamping } from "./options.js";
import type { StoredNumber } from "./stored.js";

/** No curvature: U = G as it is, whatever λ. Always ready. For layers whose gradient alone is known. */
export class GradientBlock implements Block {
  readonly name = "gradient";
  readonly recording = "";
  readonly tensors: Readonly<Record<string, GPUBuffer>> = {};
  readonly means: Readonly<Record<string, GPUBuffer>> = {};
  readonly microBatches: MicroBatches = {};
  readonly #site: BlockSite;
  #damping: number;

  /** @throws ArgumentError for a damping that is negative or not finite */
  constructor(site: BlockSite) {
    this.#site = site;
    this.#damping = requireDamping(site.damping);
    this.reset();
  }

  /** As `damping`, this changes nothing here. */
  storedDamping?: StoredNumber | undefined;

  /** Changes nothing here: U = G. @throws ArgumentError when negative or not finite */
  get damping(): number {
    return this.#damping;
  }

  set damping(value: number) {
    this.#damping = requireDamping(value);
  }

  accumulate(): void {}

  refresh(): void {}

  precondition(recorder: Recorder, items: readonly BlockItem[]): void {
    copyStrided(
      recorder,
      items.map(({ G, into }) => copyInto(G, into, false)),
    );
  }

  describe(): readonly BlockDescription[] {
    return this.#site.layers.map(({ name }) => ({ layer: name, estimate: "none, U = G" }));
  }

  reset(): void {
    this.#site.states.reset(this.#site.entries, { ready: true });
  }

  dispose(): void {}

  [Symbol.dispose](): void {}
}
