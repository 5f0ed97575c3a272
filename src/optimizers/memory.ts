import type { d } from "typegpu";
import type { PipelineManager } from "../pipeline/index.js";
import { Settings } from "./settings.js";

/** Buffers of one optimiser, freed together: also when its constructor fails half way. */
export class OptimizerMemory {
  readonly #manager: PipelineManager;
  readonly #buffers: GPUBuffer[] = [];
  readonly #settings: Settings<d.AnyWgslStruct>[] = [];

  constructor(manager: PipelineManager) {
    this.#manager = manager;
  }

  /** Zeroed f32 storage that can be copied from and to. @throws LimitError when the device cannot hold it */
  storage(label: string, length: number): GPUBuffer {
    const buffer = this.#manager.createStorage(label, length);
    this.#buffers.push(buffer);
    return buffer;
  }

  /** A uniform of the struct `schema`, to be written at each step. */
  settings<S extends d.AnyWgslStruct>(label: string, schema: S): Settings<S> {
    const settings = new Settings(this.#manager, label, schema);
    this.#settings.push(settings as unknown as Settings<d.AnyWgslStruct>);
    return settings;
  }

  dispose(): void {
    for (const buffer of this.#buffers) this.#manager.destroyBuffer(buffer);
    for (const settings of this.#settings) settings.dispose();
    this.#buffers.length = 0;
    this.#settings.length = 0;
  }
}
