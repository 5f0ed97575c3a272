import { d, writeToArrayBuffer } from "typegpu";
import type { PipelineManager } from "../pipeline/index.js";

/** A uniform that changes from step to step: one buffer, rewritten only when a value differs. */
export class Settings<S extends d.AnyWgslStruct> {
  readonly #manager: PipelineManager;
  readonly #schema: S;
  readonly #buffer: GPUBuffer;
  /** What was written last, and what may be next. */
  #written: Uint32Array<ArrayBuffer> | undefined;
  #next: Uint32Array<ArrayBuffer>;

  constructor(manager: PipelineManager, label: string, schema: S) {
    this.#manager = manager;
    this.#schema = schema;
    const usage = GPUBufferUsage.UNIFORM | GPUBufferUsage.COPY_DST;
    this.#buffer = manager.createBuffer(label, Math.ceil(d.sizeOf(schema) / 16) * 16, usage);
    this.#next = new Uint32Array(d.sizeOf(schema) / 4);
  }

  /** What to bind; holds the values of the last `write`. */
  get buffer(): GPUBuffer {
    return this.#buffer;
  }

  /** Queues the values for the next submit and returns the buffer to bind. */
  write(values: d.InferInput<S>): GPUBuffer {
    const [next, written] = [this.#next, this.#written];
    writeToArrayBuffer(next.buffer, this.#schema, values as never);
    if (!written || differs(next, written)) {
      this.#manager.device.queue.writeBuffer(this.#buffer, 0, next);
      this.#next = written ?? new Uint32Array(next.length);
      this.#written = next;
    }
    return this.#buffer;
  }

  dispose(): void {
    this.#manager.destroyBuffer(this.#buffer);
  }
}

function differs(a: Uint32Array, b: Uint32Array): boolean {
  for (let k = 0; k < a.length; k++) if (a[k] !== b[k]) return true;
  return false;
}

/** Workgroups of 64 for a flat array: a few numbers a thread, and never more than one dimension holds. */
export function flatGroups(length: number): number {
  return Math.min(Math.ceil(length / 256), 16384);
}
