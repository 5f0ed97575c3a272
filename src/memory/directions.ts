import { copyStrided, type Matrix } from "../linalg/index.js";
import { copyInto } from "../linalg/layout/pack.js";
import type { Recorder } from "../pipeline/index.js";
import type { ParameterPlace, ParameterStorage } from "./parameters.js";

/**
 * Directions D_k in the weights of a network, each a buffer laid out as all W are, during one recording: the V_k, out × in, of
 * each layer, and their transposes, which products read.
 */
export class Directions {
  readonly buffers: readonly GPUBuffer[];
  readonly #transposed: GPUBuffer;
  readonly #step: number;

  /** Records the transposes, in scratch of this recording. */
  constructor(recorder: Recorder, parameters: ParameterStorage, buffers: readonly GPUBuffer[]) {
    this.buffers = buffers;
    this.#step = parameters.transposedLength;
    this.#transposed = recorder.scratch(buffers.length * this.#step);
    const copies = parameters.places.map((place) => ({ V: this.of(place), into: this.transposed(place) }));
    copyStrided(
      recorder,
      buffers.flatMap((_, k) => copies.map(({ V, into }) => copyInto(V[k]!, into[k]!, true))),
    );
  }

  /** Each V_k of a layer, out × in. */
  of({ W }: Pick<ParameterPlace, "W">): Matrix[] {
    return this.buffers.map((buffer) => ({ ...W, buffer }));
  }

  /** Each V_k', in × out, all in one buffer. */
  transposed({ transposed }: Pick<ParameterPlace, "transposed">): Matrix[] {
    const buffer = this.#transposed;
    return this.buffers.map((_, k) => ({
      ...transposed,
      buffer,
      offset: transposed.offset + k * this.#step,
    }));
  }
}
