import { must, objectLike, whole } from "../arguments.js";
import { ArgumentError } from "../errors.js";

/** Total GPU time of one kernel over a profiled stretch. */
export interface KernelTime {
  readonly kernel: string;
  readonly dispatches: number;
  readonly milliseconds: number;
}

/**
 * Times every dispatch by GPU timestamps. Each then gets a compute pass of its own, which costs a little; profile to see
 * where the time goes, not to report speed. Commands on the caller's own encoder are timed too, once they are submitted.
 */
export class Profiler {
  readonly #device: GPUDevice;
  readonly #capacity: number;
  readonly #queries: GPUQuerySet;
  readonly #resolved: GPUBuffer;
  #names: string[] = [];

  /** @param capacity dispatches that fit between two reads; later ones are not timed; 2,048 at most. @throws ArgumentError */
  constructor(device: GPUDevice, capacity = 2048) {
    must("Profiler", "device", device, objectLike("a GPUDevice", "createQuerySet"));
    must("Profiler", "capacity", capacity, whole(1, 2048));
    this.#device = device;
    this.#capacity = capacity;
    this.#queries = device.createQuerySet({ type: "timestamp", count: 2 * capacity });
    this.#resolved = device.createBuffer({
      label: "timestamps",
      size: 16 * capacity,
      usage: GPUBufferUsage.QUERY_RESOLVE | GPUBufferUsage.COPY_SRC | GPUBufferUsage.COPY_DST,
    });
  }

  /** The timestamp writes of the next dispatch, or undefined once the set is full. */
  next(kernel: string): GPUComputePassTimestampWrites | undefined {
    const index = this.#names.length;
    if (index >= this.#capacity) return undefined;
    this.#names.push(kernel);
    return {
      querySet: this.#queries,
      beginningOfPassWriteIndex: 2 * index,
      endOfPassWriteIndex: 2 * index + 1,
    };
  }

  /** Records the resolve of what has been written; a recorder calls it at its end, or before its submit. */
  resolve(encoder: GPUCommandEncoder): void {
    if (this.#names.length > 0) {
      encoder.resolveQuerySet(this.#queries, 0, 2 * this.#names.length, this.#resolved, 0);
    }
  }

  /**
   * Reads the times per kernel since the last read, the slowest first, and starts afresh.
   *
   * @throws (by rejection) ArgumentError for dispatches that have not been submitted: on an encoder of the caller's
   */
  async read(): Promise<KernelTime[]> {
    const names = this.#names;
    this.#names = [];
    if (names.length === 0) return [];
    const bytes = 16 * names.length;
    const staging = this.#device.createBuffer({
      size: bytes,
      usage: GPUBufferUsage.MAP_READ | GPUBufferUsage.COPY_DST,
    });
    const encoder = this.#device.createCommandEncoder();
    encoder.copyBufferToBuffer(this.#resolved, 0, staging, 0, bytes);
    // So that the next read finds out what has not been submitted by then.
    encoder.clearBuffer(this.#resolved);
    this.#device.queue.submit([encoder.finish()]);
    await staging.mapAsync(GPUMapMode.READ);
    const ticks = new BigUint64Array(staging.getMappedRange().slice(0));
    staging.destroy();
    const missing = names.filter((_, index) => ticks[2 * index + 1] === 0n);
    if (missing.length > 0) {
      const message = `must be submitted before times are read; ${missing.length} dispatches are not (${missing[0]} first)`;
      throw new ArgumentError("Profiler.read", "encoder", message);
    }
    const totals = new Map<string, { dispatches: number; milliseconds: number }>();
    for (const [index, name] of names.entries()) {
      const total = totals.get(name) ?? { dispatches: 0, milliseconds: 0 };
      total.dispatches++;
      total.milliseconds += Number(ticks[2 * index + 1]! - ticks[2 * index]!) / 1e6;
      totals.set(name, total);
    }
    return [...totals]
      .map(([kernel, total]) => ({ kernel, ...total }))
      .sort((a, b) => b.milliseconds - a.milliseconds);
  }

  dispose(): void {
    this.#queries.destroy();
    this.#resolved.destroy();
  }
}
