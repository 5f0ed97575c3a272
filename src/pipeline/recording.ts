/** Whoever makes and destroys buffers: the manager. */
export interface BufferOwner {
  /** Buffers destroyed so far. */
  readonly destroyed: number;
  /** Grows when recordings have to be made anew. */
  readonly era: number;
  /** Whether it made the buffer and has not destroyed it. */
  owns(buffer: GPUBuffer): boolean;
}

/** A command with everything looked up: all that an encoder has to be told. */
export type Command =
  | {
      readonly type: "dispatch";
      readonly pipeline: GPUComputePipeline;
      readonly group: GPUBindGroup;
      readonly x: number;
      readonly y: number;
    }
  | {
      readonly type: "copy";
      readonly source: GPUBuffer;
      readonly sourceOffset: number;
      readonly target: GPUBuffer;
      readonly targetOffset: number;
      readonly bytes: number;
    }
  | {
      readonly type: "clear";
      readonly buffer: GPUBuffer;
      readonly offset: number;
      readonly bytes: number;
    };

/**
 * Commands as they were recorded once, to be sent again without asking who recorded them: `CommandRecorder.keep` makes one,
 * `repeat` sends it. It owns no memory. Its scratch lies in the pool like everybody's: what is in there counts within one
 * command buffer only, and those run one after another, so that recordings may share it. Once the manager has destroyed a buffer
 * that it uses, it can no longer be sent.
 */
export class Recording {
  readonly commands: Command[] = [];
  /** The manager's own buffers among those that the commands use. */
  readonly #buffers = new Set<GPUBuffer>();
  readonly #owner: BufferOwner;
  /** How many buffers had been destroyed when all were last seen to be there. */
  #seen: number;
  readonly #era: number;

  constructor(owner: BufferOwner) {
    this.#owner = owner;
    this.#seen = owner.destroyed;
    this.#era = owner.era;
  }

  /** Dispatches among the commands. */
  get dispatches(): number {
    return this.commands.reduce((sum, { type }) => sum + (type === "dispatch" ? 1 : 0), 0);
  }

  /** Whether all buffers are still there, and nobody wants it made anew. */
  get stands(): boolean {
    const { destroyed, era } = this.#owner;
    if (this.#era !== era) return false;
    if (this.#seen === destroyed) return true;
    for (const buffer of this.#buffers) if (!this.#owner.owns(buffer)) return false;
    this.#seen = destroyed;
    return true;
  }

  /** The commands of another one, behind those that there are. */
  append(other: Recording): void {
    this.commands.push(...other.commands);
    for (const buffer of other.#buffers) this.#buffers.add(buffer);
  }

  add(command: Command, buffers: Iterable<GPUBuffer>): void {
    this.commands.push(command);
    // Those of others are theirs to keep.
    for (const buffer of buffers) if (this.#owner.owns(buffer)) this.#buffers.add(buffer);
  }
}
