import tgpu, { d, type TgpuRoot, writeToArrayBuffer } from "typegpu";
import { must, NON_NEGATIVE, objectsOf, TEXT } from "../arguments.js";
import type { DeviceHandle } from "../device/index.js";
import { LimitError, OutOfMemoryError } from "../errors.js";
import { LruCache } from "./cache.js";
import { Compiler } from "./compile.js";
import type { Kernel } from "./kernel.js";
import { BufferPool } from "./pool.js";
import type { Profiler } from "./profiler.js";
import { Refusals } from "./refusals.js";
import { RememberedRecordings } from "./remembered.js";
import { standIn } from "./stand-in.js";

/** A part of a buffer bound to a kernel: the whole buffer unless offset (multiple of 256) and size say otherwise. */
export type Binding = GPUBuffer | { buffer: GPUBuffer; offset: number; size: number };

/** How many of each the manager has made since it began; a training step after warm-up makes none. */
export interface ManagerCounts {
  pipelines: number;
  bindGroups: number;
  tables: number;
  buffers: number;
  liveBuffers: number;
  liveBytes: number;
}

/** Bind groups and problem tables kept for reuse; a training step of a deep network needs some hundred. */
const CACHE_CAPACITY = 4096;

const LABEL = { ...TEXT, words: "a text" };
/** Large ones may be no whole number any more: the device refuses them. */
const BYTES = { ...NON_NEGATIVE, words: "a number that is not negative" };

/** What recording draws on: compiled kernels, bind groups and problem tables kept for reuse, buffers. */
export class Resources {
  readonly handle: DeviceHandle;
  readonly device: GPUDevice;
  readonly pool: BufferPool;
  /** When set, every dispatch is timed (needs `timestamp-query`). */
  profiler: Profiler | undefined;
  /** Training steps are recorded once and then sent again. False records each one afresh: to measure what that costs. */
  repeats = true;
  /** Recordings of an earlier era are made anew: something that they were chosen by has changed. */
  era = 0;
  /** What the device refused. */
  readonly refusals: Refusals;
  /** What operations recorded, by what they were given. */
  readonly remembered = new RememberedRecordings();
  /** Kernels are being collected: tables are not made, since nothing will read them. */
  protected collecting = false;
  readonly #root: TgpuRoot;
  readonly #compiler: Compiler;
  readonly #bindGroups = new LruCache<GPUBindGroup>(CACHE_CAPACITY);
  readonly #tables: LruCache<GPUBuffer>;
  readonly #owned = new Set<GPUBuffer>();
  readonly #ids = new WeakMap<GPUBuffer, number>();
  #nextId = 1;
  #destroyed = 0;
  #counts = { bindGroups: 0, tables: 0, buffers: 0, liveBytes: 0 };

  constructor(handle: DeviceHandle) {
    this.handle = handle;
    this.device = handle.device;
    this.#root = tgpu.initFromDevice({ device: handle.device });
    const { software, subgroupSize } = handle.capabilities;
    // Software adapters run a workgroup as rows of vector lanes, one after another: more threads than one row only wait.
    const rowThreads = software ? subgroupSize || 8 : undefined;
    const layoutOf = (kernel: Kernel) => this.#root.unwrap(kernel.layout);
    this.#compiler = new Compiler(handle.device, layoutOf, rowThreads);
    this.#tables = new LruCache(CACHE_CAPACITY, (table) => this.#release(table));
    this.refusals = new Refusals(handle.device, (buffer) => this.pool.drop(buffer));
    this.pool = new BufferPool(
      (label, size, usage) => this.createBuffer(label, size, usage),
      (buffer) => this.destroyBuffer(buffer),
    );
  }

  get counts(): ManagerCounts {
    return { ...this.#counts, pipelines: this.#compiler.size, liveBuffers: this.#owned.size };
  }

  /** Buffers destroyed so far: while it stays, what was there is there. */
  get destroyed(): number {
    return this.#destroyed;
  }

  /** Whether this manager made the buffer and has not destroyed it. */
  owns(buffer: GPUBuffer): boolean {
    return this.#owned.has(buffer);
  }

  /** Compiles kernels ahead of use, side by side. @throws ShaderError */
  async prepare(kernels: readonly Kernel[]): Promise<void> {
    this.handle.assertUsable();
    objectsOf("prepare", "kernels", kernels, { words: "a kernel (defineKernel)" });
    await Promise.all(kernels.map((kernel) => this.#compiler.compile(kernel)));
  }

  /** The kernel's pipeline, from the cache or compiled now. */
  pipeline(kernel: Kernel): GPUComputePipeline {
    return this.#compiler.get(kernel);
  }

  /** A new buffer that this manager frees at `dispose()`. @throws ArgumentError for a bad size, LimitError when the device cannot hold or bind it. */
  createBuffer(label: string, size: number, usage: GPUBufferUsageFlags): GPUBuffer {
    must("createBuffer", "label", label, LABEL);
    must("createBuffer", "size", size, BYTES);
    const { maxBufferSize, maxStorageBufferBindingSize } = this.device.limits;
    if (size > maxBufferSize) throw new LimitError("maxBufferSize", size, maxBufferSize);
    if (usage & GPUBufferUsage.STORAGE && size > maxStorageBufferBindingSize) {
      throw new LimitError("maxStorageBufferBindingSize", size, maxStorageBufferBindingSize);
    }
    const buffer = this.refusals.createBuffer({ label, size, usage });
    this.#owned.add(buffer);
    this.#counts.buffers++;
    this.#counts.liveBytes += size;
    return buffer;
  }

  /** Zeroed f32 storage for `length` elements, readable and writable by copies; rounded up to whole `vec4f`s. */
  createStorage(label: string, length: number): GPUBuffer {
    must("createStorage", "length", length, BYTES);
    const usage = GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_SRC | GPUBufferUsage.COPY_DST;
    return this.createBuffer(label, Math.max(16, Math.ceil(length / 4) * 16), usage);
  }

  destroyBuffer(buffer: GPUBuffer): void {
    if (!this.#owned.delete(buffer)) return;
    this.#counts.liveBytes -= buffer.size;
    this.#destroyed++;
    this.refusals.forget(buffer);
    buffer.destroy();
  }

  /** Runs allocations, and waits until it is known that there is memory for them. @throws OutOfMemoryError (after which nothing of it is left) */
  async allocating<T>(operation: string, allocate: () => T): Promise<T> {
    this.handle.assertUsable();
    const before = new Set(this.#owned);
    // Read at once: whoever allocates while this waits keeps what is theirs.
    const made = () => [...this.#owned].filter((buffer) => !before.has(buffer));
    let result: T;
    try {
      result = allocate();
    } catch (error) {
      for (const buffer of made()) this.destroyBuffer(buffer);
      throw error;
    }
    const buffers = made();
    if (!(await this.refusals.lacks(buffers))) return result;
    const bytes = buffers.reduce((sum, buffer) => sum + buffer.size, 0);
    for (const buffer of buffers) this.destroyBuffer(buffer);
    throw new OutOfMemoryError(operation, bytes);
  }

  /**
   * A read-only storage buffer that holds `rows` as an array of the struct `schema`. The same rows give the same buffer,
   * so sizes that do not change cost nothing after the first step.
   */
  table<S extends d.AnyWgslStruct>(schema: S, rows: readonly d.InferInput<S>[]): GPUBuffer {
    if (this.collecting) return standIn(rows.length * d.sizeOf(schema));
    const key = `${this.idOf(schema)}${textOf(rows)}`;
    let table = this.#tables.get(key);
    if (!table) {
      const array = d.arrayOf(schema, rows.length);
      const bytes = new ArrayBuffer(d.sizeOf(array));
      writeToArrayBuffer(bytes, array, rows as never);
      table = this.createBuffer(
        "table",
        Math.max(16, bytes.byteLength),
        GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_SRC | GPUBufferUsage.COPY_DST,
      );
      this.device.queue.writeBuffer(table, 0, bytes);
      this.#tables.set(key, table);
      this.#counts.tables++;
    }
    return table;
  }

  /** The bind group of `kernel` over these buffers, made once. The names are those of the TypeGPU layout. */
  bindGroup(kernel: Kernel, bindings: Readonly<Record<string, Binding>>): GPUBindGroup {
    const names = Object.keys(kernel.layout.entries);
    let key = `${this.idOf(kernel.layout)}`;
    for (const name of names) {
      const binding = bindings[name];
      if (!binding) throw new Error(`${kernel.name}: nothing bound to ${name}`);
      key +=
        "buffer" in binding
          ? `,${this.idOf(binding.buffer)}:${binding.offset}:${binding.size}`
          : `,${this.idOf(binding)}`;
    }
    let group = this.#bindGroups.get(key);
    if (!group) {
      const descriptor = {
        label: kernel.name,
        layout: this.#root.unwrap(kernel.layout),
        entries: names.map((name, binding) => {
          const bound = bindings[name] as Binding;
          return { binding, resource: "buffer" in bound ? bound : { buffer: bound } };
        }),
      };
      group = this.refusals.making(() => this.device.createBindGroup(descriptor));
      this.#bindGroups.set(key, group);
      this.#counts.bindGroups++;
    }
    return group;
  }

  /** Frees every buffer this manager made. The device itself belongs to the handle. */
  dispose(): void {
    this.pool.dispose();
    for (const buffer of [...this.#owned]) this.destroyBuffer(buffer);
    this.#bindGroups.clear();
    this.#tables.clear();
    this.remembered.clear();
  }

  /** Forgets a table. Commands that use it may not be submitted yet, so it is left to the garbage collector. */
  #release(table: GPUBuffer): void {
    if (this.#owned.delete(table)) this.#counts.liveBytes -= table.size;
  }

  /** A number for an object, the same as long as it lives and nobody else's. */
  idOf(object: object): number {
    let id = this.#ids.get(object as GPUBuffer);
    if (id === undefined) {
      id = this.#nextId++;
      this.#ids.set(object as GPUBuffer, id);
    }
    return id;
  }
}

/** JSON, in which NaN and the infinities would all be `null`. */
function textOf(rows: unknown): string {
  const text = JSON.stringify(rows);
  if (!text.includes("null")) return text;
  return JSON.stringify(rows, (_, value) =>
    typeof value === "number" && !Number.isFinite(value) ? String(value) : value,
  );
}
