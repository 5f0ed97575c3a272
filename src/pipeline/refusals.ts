import { type KfacError, OutOfMemoryError, SubmissionError } from "../errors.js";

/**
 * What a device refuses, it tells later, and only where somebody asks. This asks, for one manager: buffers for which there is no
 * memory, and commands that were not done. Whoever reads back what commands computed learns here whether they ran at all.
 */
export class Refusals {
  readonly #device: GPUDevice;
  readonly #onLack: (buffer: GPUBuffer) => void;
  /** Buffers of which it is not known yet. */
  readonly #asked = new Map<GPUBuffer, Promise<void>>();
  /** Labels of buffers that are none: there was no memory. */
  readonly #lacking = new Map<GPUBuffer, string>();
  /** What the device said of the last object that it refused to make. */
  #detail: string | undefined;
  /** Of what was sent without reading anything back. */
  #earlier: Promise<KfacError | undefined> = NONE;

  /** @param onLack is told of a buffer for which there was no memory */
  constructor(device: GPUDevice, onLack: (buffer: GPUBuffer) => void) {
    this.#device = device;
    this.#onLack = onLack;
  }

  /** A buffer, of which `lacks` will know. */
  createBuffer(descriptor: GPUBufferDescriptor): GPUBuffer {
    const [buffer, lack] = this.#scoped("out-of-memory", () => this.#device.createBuffer(descriptor));
    const asked = lack.then((error) => {
      this.#asked.delete(buffer);
      if (!error) return;
      this.#lacking.set(buffer, descriptor.label ?? "");
      this.#onLack(buffer);
    });
    this.#asked.set(buffer, asked);
    return buffer;
  }

  /** Whether there was no memory for one of these. */
  async lacks(buffers: readonly GPUBuffer[]): Promise<boolean> {
    await Promise.all(buffers.map((buffer) => this.#asked.get(buffer)));
    return buffers.some((buffer) => this.#lacking.has(buffer));
  }

  /** A destroyed buffer lacks nothing. */
  forget(buffer: GPUBuffer): void {
    this.#lacking.delete(buffer);
  }

  /** Makes objects on the device. A refusal stays off the device's `uncapturederror`: the commands that use them fail, and tell it. */
  making<T>(make: () => T): T {
    const [made, refused] = this.#scoped("validation", make);
    refused.then((error) => {
      this.#detail = error?.message ?? this.#detail;
    });
    return made;
  }

  /** As `making`, for writes: while it is not known whether there is memory for all buffers, or is known that there is not. */
  writing<T>(write: () => T): T {
    return this.#asked.size + this.#lacking.size > 0 ? this.making(write) : write();
  }

  /** Submits commands that nobody reads anything back from; a refusal is told by the next `submit`. */
  send(commands: () => GPUCommandBuffer): void {
    this.#earlier = this.submit(commands);
  }

  /** Submits commands; resolves with the error to throw if they, or others before them that nobody has heard of, were refused. */
  submit(commands: () => GPUCommandBuffer): Promise<KfacError | undefined> {
    const earlier = this.#earlier;
    this.#earlier = NONE;
    const [[, refused], full] = this.#scoped("out-of-memory", () =>
      this.#scoped("validation", () => this.#device.queue.submit([commands()])),
    );
    return this.#verdict(earlier, refused, full);
  }

  /** What `work` gives, and the error that the device tells of it. The scope is closed whatever `work` throws. */
  #scoped<T>(filter: GPUErrorFilter, work: () => T): [T, Promise<GPUError | undefined>] {
    this.#device.pushErrorScope(filter);
    let scope: Promise<GPUError | undefined>;
    let result: T;
    try {
      result = work();
    } finally {
      scope = outcome(this.#device.popErrorScope());
    }
    return [result, scope];
  }

  async #verdict(
    earlier: Promise<KfacError | undefined>,
    ...scopes: readonly Promise<GPUError | undefined>[]
  ): Promise<KfacError | undefined> {
    const before = await earlier;
    const [refused, full] = await Promise.all(scopes);
    if (before) return before;
    if (!(refused || full)) return undefined;
    await Promise.all(this.#asked.values());
    const [lacking] = this.#lacking;
    if (lacking) return new OutOfMemoryError(lacking[1], lacking[0].size);
    if (full) return new OutOfMemoryError("submit");
    // What was told of another refusal before is not the reason of the next one.
    const detail = this.#detail ?? refused!.message;
    this.#detail = undefined;
    return new SubmissionError(detail);
  }
}

const NONE: Promise<undefined> = Promise.resolve(undefined);

/** The error of a scope. A device that is lost has none to tell. */
function outcome(scope: Promise<GPUError | null>): Promise<GPUError | undefined> {
  return scope.then(
    (error) => error ?? undefined,
    () => undefined,
  );
}
