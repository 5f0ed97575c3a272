import { ArgumentError, type KfacError } from "../errors.js";
import type { Kernel } from "./kernel.js";
import { type Command, Recording } from "./recording.js";
import type { Binding, Resources } from "./resources.js";

/** The largest number of workgroups WebGPU guarantees in one dimension. */
const MAX_GROUPS = 65535;
const PASS: GPUComputePassDescriptor = { label: "kfac-webgpu" };

interface Readback {
  staging: GPUBuffer;
  bytes: number;
  resolve(data: ArrayBuffer): void;
  reject(error: unknown): void;
}

/** Bytes of a buffer to read, from the start unless `offset` says otherwise. */
export interface ReadRange {
  readonly buffer: GPUBuffer;
  readonly offset?: number;
  readonly bytes: number;
}

/**
 * Where operations say what the GPU is to do, in order; a whole training step is one recording and one submit.
 * `manager.record()` opens one; `manager.collect()` hands out one that only notes which kernels it is asked for.
 */
export interface Recorder {
  /** What operations draw on: capabilities, problem tables. */
  readonly manager: Resources;

  /** Dispatches recorded so far, those of nested recorders left out. */
  readonly dispatches: number;

  /**
   * Dispatches `groups` workgroups of `kernel`. They are numbered in one dimension and spread over two where the count
   * asks for it: the shader's number is `workgroup_id.x + workgroup_id.y * num_workgroups.x`, and it leaves at the end
   * of its table.
   */
  dispatch(kernel: Kernel, bindings: Readonly<Record<string, Binding>>, groups: number): void;

  /** Copies bytes between buffers; offsets and `bytes` are multiples of 4. */
  copy(source: GPUBuffer, sourceOffset: number, target: GPUBuffer, targetOffset: number, bytes: number): void;

  /** Fills bytes with zeros, to the end of the buffer by default. */
  clear(buffer: GPUBuffer, offset?: number, bytes?: number): void;

  /** Storage for `length` f32 from the pool, for this recording only; it goes back once the commands are submitted. */
  scratch(length: number): GPUBuffer;

  /** Takes scratch back before the recording ends: what is recorded from here on may overwrite it. */
  release(...buffers: GPUBuffer[]): void;

  /**
   * A recorder that continues this one, with scratch of its own that is free again at its `end()`. Nothing may be
   * recorded here in between.
   */
  nested(): Recorder;

  /**
   * Records what `record` does, or sends again what it recorded for the same `key`: all numbers that its commands follow from, with
   * `manager.idOf` for buffers and the operation itself. It may take scratch, of which nothing is read afterwards, and not read back.
   */
  recall(key: Float64Array, record: (recorder: Recorder) => void): void;

  /** Records a copy out of `buffer`; the promise resolves some time after `submit()`, never before. */
  read(buffer: GPUBuffer, offset?: number, bytes?: number): Promise<ArrayBuffer>;

  /** Records copies out of several buffers through one staging buffer. */
  readRanges(ranges: readonly ReadRange[]): Promise<ArrayBuffer[]>;

  /** Hands scratch back; on the caller's encoder, and of a nested recorder, this is the last call. */
  end(): void;

  /** Sends everything recorded, in one submit, and starts the read-backs. Waits for nothing. */
  submit(): void;
}

/** What a nested recorder has from the one that it continues. */
interface Outer {
  readonly kept: Recording | undefined;
  readonly taken: Map<GPUBuffer, number> | undefined;
}

/** Records into one command encoder. Dispatches share one compute pass until a copy, or timing, ends it. */
export class CommandRecorder implements Recorder {
  readonly manager: Resources;
  readonly encoder: GPUCommandEncoder;
  readonly #own: boolean;
  readonly #nested: boolean;
  #pass: GPUComputePassEncoder | undefined;
  #pipeline: GPUComputePipeline | undefined;
  readonly #readbacks: Readback[] = [];
  readonly #borrowed: GPUBuffer[] = [];
  /** Scratch that no later dispatch of this recording reads, by size. */
  readonly #released = new Map<number, GPUBuffer[]>();
  readonly #sizes = new Map<GPUBuffer, number>();
  #dispatches = 0;
  /** Where commands are noted, to be sent again, and the scratch that they use. */
  #kept: Recording | undefined;
  #taken: Map<GPUBuffer, number> | undefined;

  constructor(manager: Resources, encoder?: GPUCommandEncoder, outer?: Outer) {
    this.manager = manager;
    this.#kept = outer?.kept;
    this.#taken = outer?.taken;
    this.#nested = outer !== undefined;
    this.#own = encoder === undefined;
    this.encoder = encoder ?? manager.device.createCommandEncoder({ label: "kfac-webgpu" });
  }

  get dispatches(): number {
    return this.#dispatches;
  }

  dispatch(kernel: Kernel, bindings: Readonly<Record<string, Binding>>, groups: number): void {
    if (groups === 0) return;
    const { manager } = this;
    const pipeline = manager.pipeline(kernel);
    const group = manager.bindGroup(kernel, bindings);
    const timestamps = manager.profiler?.next(kernel.name);
    if (timestamps) this.#endPass();
    if (!this.#pass) {
      this.#pass = this.encoder.beginComputePass(
        timestamps ? { label: kernel.name, timestampWrites: timestamps } : PASS,
      );
      this.#pipeline = undefined;
    }
    if (this.#pipeline !== pipeline) this.#pass.setPipeline(pipeline);
    this.#pipeline = pipeline;
    this.#pass.setBindGroup(0, group);
    const y = Math.ceil(groups / MAX_GROUPS);
    const x = Math.ceil(groups / y);
    this.#pass.dispatchWorkgroups(x, y);
    this.#dispatches++;
    if (timestamps) this.#endPass();
    this.#kept?.add({ type: "dispatch", pipeline, group, x, y }, buffersOf(bindings));
  }

  copy(
    source: GPUBuffer,
    sourceOffset: number,
    target: GPUBuffer,
    targetOffset: number,
    bytes: number,
  ): void {
    this.#endPass();
    this.encoder.copyBufferToBuffer(source, sourceOffset, target, targetOffset, bytes);
    this.#kept?.add({ type: "copy", source, sourceOffset, target, targetOffset, bytes }, [source, target]);
  }

  clear(buffer: GPUBuffer, offset = 0, bytes = buffer.size - offset): void {
    this.#endPass();
    this.encoder.clearBuffer(buffer, offset, bytes);
    this.#kept?.add({ type: "clear", buffer, offset, bytes }, [buffer]);
  }

  /**
   * Records what `record` records, and keeps it to be sent again by `repeat`: in later recordings too, as often as the same
   * commands are due. Nothing may be read back meanwhile.
   */
  keep(record: (recorder: Recorder) => void): Recording {
    const outer = this.#kept;
    const kept = new Recording(this.manager);
    this.#kept = kept;
    try {
      record(this);
    } finally {
      this.#kept = outer;
    }
    return kept;
  }

  /** Records such commands once more. They must stand, and scratch of this recording that is still read must not be theirs. */
  repeat(recording: Recording): void {
    const { commands } = recording;
    let pipeline: GPUComputePipeline | undefined;
    for (const command of commands) {
      if (command.type !== "dispatch") {
        this.#endPass();
        this.#encode(command);
        continue;
      }
      if (!this.#pass) {
        this.#pass = this.encoder.beginComputePass(PASS);
        pipeline = undefined;
      }
      if (pipeline !== command.pipeline) {
        pipeline = command.pipeline;
        this.#pass.setPipeline(pipeline);
      }
      this.#pass.setBindGroup(0, command.group);
      this.#pass.dispatchWorkgroups(command.x, command.y);
      this.#dispatches++;
    }
    this.#pipeline = pipeline;
    this.#kept?.append(recording);
  }

  recall(key: Float64Array, record: (recorder: Recorder) => void): void {
    const { remembered, repeats, profiler } = this.manager;
    if (!repeats || profiler) {
      record(this);
      return;
    }
    const known = remembered.get(key);
    if (known?.recording.stands) {
      // The same scratch must be free here: the pool hands out what came back last, so it is, once things run as before.
      const scratch = known.scratch.map(({ length }) => this.scratch(length));
      const free = scratch.every((buffer, index) => buffer === known.scratch[index]!.buffer);
      if (free) this.repeat(known.recording);
      this.release(...scratch.reverse());
      if (free) return;
    }
    const outer = { kept: this.#kept, taken: this.#taken };
    const taken = new Map<GPUBuffer, number>();
    this.#taken = taken;
    let recording: Recording;
    try {
      recording = this.keep(record);
    } finally {
      this.#taken = outer.taken;
    }
    outer.kept?.append(recording);
    for (const [buffer, length] of taken) outer.taken?.set(buffer, length);
    remembered.set(key, { recording, scratch: [...taken].map(([buffer, length]) => ({ buffer, length })) });
  }

  scratch(length: number): GPUBuffer {
    const buffer = this.#scratch(length);
    // The first to ask: one that was released and taken again is the same.
    if (this.#taken && !this.#taken.has(buffer)) this.#taken.set(buffer, length);
    return buffer;
  }

  #scratch(length: number): GPUBuffer {
    const usage = GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_SRC | GPUBufferUsage.COPY_DST;
    const size = Math.ceil(length / 4) * 16;
    const released = this.#released.get(size)?.pop();
    if (released) return released;
    const buffer = this.manager.pool.take(size, usage);
    this.#borrowed.push(buffer);
    this.#sizes.set(buffer, size);
    return buffer;
  }

  release(...buffers: GPUBuffer[]): void {
    for (const buffer of buffers) {
      const size = this.#sizes.get(buffer)!;
      this.#released.set(size, [...(this.#released.get(size) ?? []), buffer]);
    }
  }

  nested(): Recorder {
    this.#endPass();
    return new CommandRecorder(this.manager, this.encoder, { kept: this.#kept, taken: this.#taken });
  }

  async read(buffer: GPUBuffer, offset = 0, bytes = buffer.size - offset): Promise<ArrayBuffer> {
    const [data] = await this.readRanges([{ buffer, offset, bytes }]);
    return data!;
  }

  readRanges(ranges: readonly ReadRange[]): Promise<ArrayBuffer[]> {
    if (!this.#own)
      throw new ArgumentError(
        "read",
        "recorder",
        "must be one that submits its own commands, as manager.record() without an encoder makes",
      );
    if (this.#kept)
      throw new ArgumentError(
        "read",
        "recorder",
        "must not be one whose commands are kept: what is read back cannot be sent again",
      );
    const total = ranges.reduce((sum, { bytes }) => sum + bytes, 0);
    const staging = this.manager.pool.take(total, GPUBufferUsage.MAP_READ | GPUBufferUsage.COPY_DST);
    let start = 0;
    for (const { buffer, offset = 0, bytes } of ranges) {
      this.copy(buffer, offset, staging, start, bytes);
      start += bytes;
    }
    return new Promise<ArrayBuffer>((resolve, reject) => {
      this.#readbacks.push({ staging, bytes: total, resolve, reject });
    }).then((data) => {
      let next = 0;
      return ranges.map(({ bytes }) => {
        next += bytes;
        return data.slice(next - bytes, next);
      });
    });
  }

  end(): void {
    this.#endPass();
    // Whoever made the encoder submits it, and knows nothing of timestamps.
    if (!this.#own && !this.#nested) this.manager.profiler?.resolve(this.encoder);
    this.#giveBack();
  }

  /** @param watched whether a refusal is told by the next read-back, where this one has none */
  submit({ watched = false } = {}): void {
    if (!this.#own)
      throw new ArgumentError(
        "submit",
        "recorder",
        "must have an encoder of its own; this one is submitted by whoever made it",
      );
    this.#endPass();
    const { device, pool, profiler, refusals } = this.manager;
    profiler?.resolve(this.encoder);
    const commands = () => this.encoder.finish();
    let refused: Promise<KfacError | undefined> | undefined;
    if (this.#readbacks.length > 0) refused = refusals.submit(commands);
    else if (watched) refusals.send(commands);
    else device.queue.submit([commands()]);
    this.#giveBack();
    for (const { staging, bytes, resolve, reject } of this.#readbacks) {
      refusals
        .writing(() => staging.mapAsync(GPUMapMode.READ, 0, bytes))
        .then(async () => {
          const data = staging.getMappedRange(0, bytes).slice(0);
          staging.unmap();
          pool.give(staging);
          // Refused commands have written nothing: what lies there is what somebody else read.
          const error = await refused;
          if (error) reject(error);
          else resolve(data);
        })
        // Of the mapping, or of the range: a buffer may be destroyed in between.
        .catch(async (error) => {
          this.manager.destroyBuffer(staging);
          reject((await refused) ?? (await this.manager.handle.explain(error)));
        });
    }
    this.#readbacks.length = 0;
  }

  /** In reverse, so that the next recording of the same finds each buffer, and its bind groups, where it was. */
  #giveBack(): void {
    for (const buffer of this.#borrowed.reverse()) this.manager.pool.give(buffer, !this.#own);
    this.#borrowed.length = 0;
    this.#released.clear();
    this.#sizes.clear();
  }

  #encode(command: Exclude<Command, { type: "dispatch" }>): void {
    if (command.type === "clear") {
      this.encoder.clearBuffer(command.buffer, command.offset, command.bytes);
    } else {
      const { source, sourceOffset, target, targetOffset, bytes } = command;
      this.encoder.copyBufferToBuffer(source, sourceOffset, target, targetOffset, bytes);
    }
  }

  #endPass(): void {
    this.#pass?.end();
    this.#pass = undefined;
  }
}

function buffersOf(bindings: Readonly<Record<string, Binding>>): GPUBuffer[] {
  return Object.values(bindings).map((bound) => ("buffer" in bound ? bound.buffer : bound));
}
