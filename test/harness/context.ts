import { POISON } from "./assertions.js";
import { openDevice, type TestDevice } from "./device.js";
import type { Engine } from "./engine.js";
import { Random } from "./random.js";

export type Data = Float32Array | Uint32Array | Int32Array | readonly number[];

export interface Range {
  /** In elements, not bytes. */
  offset?: number;
  length?: number;
}

// Literal values, because GPUBufferUsage is not a global in every place this runs in before a device exists.
const STORAGE = 0x80 | 0x08 | 0x04; // STORAGE | COPY_DST | COPY_SRC
const UNIFORM = 0x40 | 0x08; // UNIFORM | COPY_DST
const READBACK = 0x01 | 0x08; // MAP_READ | COPY_DST

/** Thrown by `t.requires`: the adapter lacks what the test is about. */
export class Skipped extends Error {}

/** What a kernel test gets. Buffers and devices made through it are destroyed after the test. */
export class TestContext {
  readonly device: GPUDevice;
  /** "gpu", "lavapipe", "swiftshader", "chromium" or "deno". */
  readonly driver: string;
  readonly #target: TestDevice;
  readonly #buffers: GPUBuffer[] = [];
  readonly #devices: TestDevice[] = [];

  constructor(target: TestDevice, driver: string) {
    this.#target = target;
    this.device = target.device;
    this.driver = driver;
  }

  /** The engine on this device, shared with the other tests of the file: leave it as it was. */
  get engine(): Engine {
    const { value, error } = this.#target.engine;
    if (!value) throw error ?? new Error("there is no engine");
    return value;
  }

  random(seed: number): Random {
    return new Random(seed);
  }

  /** Ends the test as skipped (counted and printed) where the device lacks a feature. */
  requires(feature: GPUFeatureName): void {
    if (!this.device.features.has(feature)) throw new Skipped(`the adapter has no ${feature}`);
  }

  buffer(descriptor: GPUBufferDescriptor): GPUBuffer {
    const buffer = this.device.createBuffer(descriptor);
    this.#buffers.push(buffer);
    return buffer;
  }

  /** A storage buffer that can be copied from and to, holding `data`. */
  upload(data: Data, label = "test data"): GPUBuffer {
    return this.#filled(bytesOf(data), STORAGE, label);
  }

  uniform(data: Data | ArrayBuffer, label = "test uniform"): GPUBuffer {
    return this.#filled(data instanceof ArrayBuffer ? new Uint8Array(data) : bytesOf(data), UNIFORM, label);
  }

  /** A storage buffer of `count` f32 that hold NaN and 1e30 in turn: what a kernel forgets to write shows. */
  poisoned(count: number, label = "test output"): GPUBuffer {
    const pattern = Float32Array.from({ length: count }, (_, i) => (i % 2 === 0 ? Number.NaN : POISON));
    return this.upload(pattern, label);
  }

  async download(source: GPUBuffer, range: Range = {}): Promise<Float32Array<ArrayBuffer>> {
    return new Float32Array(await this.#read(source, range));
  }

  async downloadWords(source: GPUBuffer, range: Range = {}): Promise<Uint32Array<ArrayBuffer>> {
    return new Uint32Array(await this.#read(source, range));
  }

  /** Records into a fresh command encoder and submits it. */
  submit(record: (encoder: GPUCommandEncoder) => void): void {
    const encoder = this.device.createCommandEncoder();
    record(encoder);
    this.device.queue.submit([encoder.finish()]);
  }

  /** A second device, for tests of ownership and of losing it; `plain` has default limits and no features. */
  async freshDevice(options: { plain?: boolean } = {}): Promise<GPUDevice> {
    const opened = await openDevice(options.plain);
    this.#devices.push(opened);
    return opened.device;
  }

  /** Called by the harness. */
  async dispose(): Promise<void> {
    for (const buffer of this.#buffers) buffer.destroy();
    for (const opened of this.#devices) {
      this.#target.uncaptured.push(...opened.uncaptured);
      await opened.close();
    }
  }

  #filled(bytes: Uint8Array, usage: number, label: string): GPUBuffer {
    const size = Math.max(4, Math.ceil(bytes.length / 4) * 4);
    const buffer = this.buffer({ size, usage, label, mappedAtCreation: true });
    new Uint8Array(buffer.getMappedRange()).set(bytes);
    buffer.unmap();
    return buffer;
  }

  async #read(source: GPUBuffer, { offset = 0, length }: Range): Promise<ArrayBuffer> {
    const size = length === undefined ? source.size - offset * 4 : length * 4;
    // Not tracked with the others: a long test may download many times.
    const staging = this.device.createBuffer({ size, usage: READBACK, label: "test readback" });
    try {
      this.submit((encoder) => encoder.copyBufferToBuffer(source, offset * 4, staging, 0, size));
      await staging.mapAsync(1);
      return staging.getMappedRange().slice(0);
    } finally {
      staging.destroy();
    }
  }
}

function bytesOf(data: Data): Uint8Array {
  const typed = ArrayBuffer.isView(data) ? data : Float32Array.from(data);
  return new Uint8Array(typed.buffer, typed.byteOffset, typed.byteLength);
}
