import { d, writeToArrayBuffer } from "typegpu";
import type { PipelineManager } from "../pipeline/index.js";

/** A uniform that changes from step to step: one buffer, rewritten only when a value differs. */
export class Settings<S extends d.AnyWgslStruct> {
  readonly #manager: PipelineManager;
  readonly #schema: S;
  readonly #buffer: GPUBuffer;
  #written: Uint8Array | undefined;

  constructor(manager: PipelineManager, label: string, schema: S) {
    this.#manager = manager;
    this.#schema = schema;
    const usage = GPUBufferUsage.UNIFORM | GPUBufferUsage.COPY_DST;
    this.#buffer = manager.createBuffer(label, Math.ceil(d.sizeOf(schema) / 16) * 16, usage);
  }

  /** What to bind; holds the values of the last `write`. */
  get buffer(): GPUBuffer {
    return this.#buffer;
  }

  /** Queues the values for the next submit and returns the buffer to bind. */
  write(values: d.InferInput<S>): GPUBuffer {
    const bytes = new ArrayBuffer(d.sizeOf(this.#schema));
    writeToArrayBuffer(bytes, this.#schema, values as never);
    const next = new Uint8Array(bytes);
    if (!this.#written?.every((byte, index) => byte === next[index])) {
      this.#manager.device.queue.writeBuffer(this.#buffer, 0, bytes);
      this.#written = next;
    }
    return this.#buffer;
  }

  dispose(): void {
    this.#manager.destroyBuffer(this.#buffer);
  }
}

/** Workgroups of 64 for a flat array: a few numbers a thread, and never more than one dimension holds. */
export function flatGroups(length: number): number {
  return Math.min(Math.ceil(length / 256), 16384);
}
