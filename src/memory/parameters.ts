import { ArgumentError } from "../errors.js";
import { type Matrix, paddedLength, paddedView } from "../linalg/index.js";
import type { PipelineManager } from "../pipeline/index.js";

/**
 * All W in one buffer, all G in another of the same layout, and the W' that forward passes read in a third. Rows start
 * on a `vec4f`; the padding is zero and stays so.
 */
export class ParameterStorage {
  readonly #manager: PipelineManager;
  #buffers: { weights: GPUBuffer; gradients: GPUBuffer; transposed: GPUBuffer } | undefined;
  #disposed = false;
  readonly #places: ParameterPlace[] = [];
  #length = 0;
  #transposedLength = 0;

  constructor(manager: PipelineManager) {
    this.#manager = manager;
  }

  /** f32 elements of the weights, padding counted. */
  get length(): number {
    return this.#length;
  }

  /** f32 elements of the transposes, padding counted. */
  get transposedLength(): number {
    return this.#transposedLength;
  }

  get places(): readonly ParameterPlace[] {
    return this.#places;
  }

  /** @throws ArgumentError once they are disposed of */
  get buffers(): { weights: GPUBuffer; gradients: GPUBuffer; transposed: GPUBuffer } {
    if (this.#disposed) {
      throw new ArgumentError("weights", "network", "is disposed of; make another one");
    }
    if (!this.#buffers) throw new Error("ParameterStorage: allocate() comes before use");
    return this.#buffers;
  }

  /** Takes room for a matrix W, out × in. */
  place(out: number, inputs: number): ParameterPlace {
    const place = new ParameterPlace(this, out, inputs, this.#length, this.#transposedLength);
    this.#length += paddedLength(out, inputs);
    this.#transposedLength += paddedLength(inputs, out);
    this.#places.push(place);
    return place;
  }

  /** @throws LimitError when a buffer would be larger than the device allows. */
  allocate(): void {
    this.#buffers = {
      weights: this.#manager.createStorage("weights", this.#length),
      gradients: this.#manager.createStorage("gradients", this.#length),
      transposed: this.#manager.createStorage("weights'", this.#transposedLength),
    };
  }

  dispose(): void {
    for (const buffer of Object.values(this.#buffers ?? {})) this.#manager.destroyBuffer(buffer);
    this.#buffers = undefined;
    this.#disposed = true;
  }
}

/** One layer's W, G and W'. */
export class ParameterPlace {
  readonly out: number;
  readonly in: number;
  /** Elements before W in its buffer. */
  readonly offset: number;
  readonly #storage: ParameterStorage;
  readonly #transposedOffset: number;

  constructor(
    storage: ParameterStorage,
    out: number,
    inputs: number,
    offset: number,
    transposedOffset: number,
  ) {
    this.#storage = storage;
    this.out = out;
    this.in = inputs;
    this.offset = offset;
    this.#transposedOffset = transposedOffset;
  }

  /** out × in. */
  get W(): Matrix {
    return paddedView(this.#storage.buffers.weights, this.offset, this.out, this.in);
  }

  /** out × in. */
  get G(): Matrix {
    return paddedView(this.#storage.buffers.gradients, this.offset, this.out, this.in);
  }

  /** W', in × out. */
  get transposed(): Matrix {
    return paddedView(this.#storage.buffers.transposed, this.#transposedOffset, this.in, this.out);
  }
}
