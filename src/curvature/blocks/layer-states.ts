import { d } from "typegpu";
import { must, type Rule } from "../../arguments.js";
import type { PipelineManager } from "../../pipeline/index.js";
import type { StoredDamping } from "../kernels/spectrum.js";
import { LAYER_STATE_BYTES, type LayerStatus, layerStatus } from "./status.js";

/** How one layer's curvature stands, on the GPU; `LayerStatus` says what the fields mean. */
export const LayerState = d.struct({
  countA: d.u32,
  countB: d.u32,
  readyA: d.u32,
  readyB: d.u32,
  statusA: d.u32,
  statusB: d.u32,
  failures: d.u32,
  skipped: d.u32,
  boost: d.f32,
  lambda: d.f32,
  pi: d.f32,
});

const BYTES: Rule = {
  words: "an ArrayBuffer",
  holds: (value) => Object.prototype.toString.call(value) === "[object ArrayBuffer]",
};
const WORDS = LAYER_STATE_BYTES / 4;
/** Places of fields in a `LayerState`, in words. */
const READY = [2, 3] as const;
const BOOST = 8;
const LAMBDA = 9;

/**
 * The states of all layers of a model in one buffer, whatever their blocks: what a step asks before it uses a layer's
 * update, and what its record shows. Each block writes the entries of its own layers.
 */
export class LayerStates implements Disposable {
  readonly names: readonly string[];
  /** One `LayerState` a layer, one after another. */
  readonly buffer: GPUBuffer;
  readonly #manager: PipelineManager;

  constructor(manager: PipelineManager, names: readonly string[]) {
    this.#manager = manager;
    this.names = names;
    this.buffer = manager.createStorage("layer state", names.length * WORDS);
  }

  /** Decodes the bytes of `buffer`. @throws ArgumentError for what is no `ArrayBuffer` */
  decode(bytes: ArrayBuffer): LayerStatus[] {
    must("curvature", "bytes", bytes, BYTES);
    return this.names.map((name, layer) => layerStatus(name, bytes, layer * LAYER_STATE_BYTES));
  }

  /** Writes at once what these entries are at the beginning: without data, and `ready` or not. */
  reset(entries: readonly number[], { ready = false } = {}): void {
    const state = new Uint32Array(WORDS);
    new Float32Array(state.buffer)[BOOST] = 1;
    for (const word of READY) state[word] = ready ? 1 : 0;
    for (const entry of entries) {
      this.#manager.device.queue.writeBuffer(this.buffer, entry * LAYER_STATE_BYTES, state);
    }
  }

  /** λ as an entry notes it, times a number, for kernels that divide by it once the entry is ready. */
  damping(entry: number, multiplier = 1): StoredDamping {
    const first = entry * WORDS;
    return { buffer: this.buffer, index: first + LAMBDA, ready: first + READY[1], multiplier };
  }

  dispose(): void {
    this.#manager.destroyBuffer(this.buffer);
  }

  [Symbol.dispose](): void {
    this.dispose();
  }
}
