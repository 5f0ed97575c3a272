/** How much the pool keeps for reuse; beyond it, a returned buffer is destroyed. */
const DEFAULT_CAP_BYTES = 256 * 1024 * 1024;

/**
 * Reuses buffers of equal size and usage. The cap bounds what lies idle: an uncapped pool is what crashes pages on
 * machines with little memory.
 */
export class BufferPool {
  readonly #idle = new Map<string, GPUBuffer[]>();
  readonly #create: (label: string, size: number, usage: GPUBufferUsageFlags) => GPUBuffer;
  readonly #destroy: (buffer: GPUBuffer) => void;
  readonly #cap: number;
  /** Of no use, but still lent when that became known. */
  readonly #dropped = new WeakSet<GPUBuffer>();
  #idleBytes = 0;

  constructor(
    create: (label: string, size: number, usage: GPUBufferUsageFlags) => GPUBuffer,
    destroy: (buffer: GPUBuffer) => void,
    capBytes = DEFAULT_CAP_BYTES,
  ) {
    this.#create = create;
    this.#destroy = destroy;
    this.#cap = capBytes;
  }

  get idleBytes(): number {
    return this.#idleBytes;
  }

  /** A buffer of at least `size` bytes; its contents are whatever its last user left. */
  take(size: number, usage: GPUBufferUsageFlags): GPUBuffer {
    const bytes = roundedSize(size);
    const free = this.#idle.get(key(bytes, usage))?.pop();
    if (free) {
      this.#idleBytes -= free.size;
      return free;
    }
    return this.#create("pool", bytes, usage);
  }

  /**
   * Gives a buffer back once every command that uses it has been submitted. Where that is still to come, `keep` it: it
   * may then lie idle beyond the cap, but is not destroyed under the commands.
   */
  give(buffer: GPUBuffer, keep = false): void {
    if (this.#dropped.has(buffer) || (!keep && this.#idleBytes + buffer.size > this.#cap)) {
      this.#destroy(buffer);
      return;
    }
    const list = this.#idle.get(key(buffer.size, buffer.usage));
    if (list) list.push(buffer);
    else this.#idle.set(key(buffer.size, buffer.usage), [buffer]);
    this.#idleBytes += buffer.size;
  }

  /** Destroys a buffer that is of no use: now if it lies idle, otherwise when it comes back. */
  drop(buffer: GPUBuffer): void {
    const list = this.#idle.get(key(buffer.size, buffer.usage));
    const index = list?.indexOf(buffer) ?? -1;
    if (index < 0) {
      this.#dropped.add(buffer);
      return;
    }
    list!.splice(index, 1);
    this.#idleBytes -= buffer.size;
    this.#destroy(buffer);
  }

  dispose(): void {
    for (const list of this.#idle.values()) for (const buffer of list) this.#destroy(buffer);
    this.#idle.clear();
    this.#idleBytes = 0;
  }
}

function key(size: number, usage: number): string {
  return `${size}:${usage}`;
}

/** Rounds up to 256 bytes, and above 64 KiB to an eighth of a power of two, so that near sizes share buffers. */
function roundedSize(size: number): number {
  const step = size <= 65536 ? 256 : 2 ** (Math.floor(Math.log2(size)) - 3);
  return Math.max(256, Math.ceil(size / step) * step);
}
