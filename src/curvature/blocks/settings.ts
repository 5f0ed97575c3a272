import { d } from "typegpu";
import type { PipelineManager, Recorder } from "../../pipeline/index.js";
import { requireDamping, requireDecay } from "./options.js";
import { requireStored, type StoredNumber } from "./stored.js";

export const FactorSettings = d.struct({ damping: d.f32, decay: d.f32 });

/**
 * λ and β of a block, in a uniform buffer: a λ that changes with every step makes nothing new. Where λ is `stored`, kernels take
 * it from there (`shaders/source/pieces/given_damping.wgsl`), and `damping` only while that is no number that is not negative.
 */
export class BlockSettings implements Disposable {
  readonly buffer: GPUBuffer;
  readonly #manager: PipelineManager;
  #decay: number;
  #damping: number;
  #stored: StoredNumber | undefined;
  /** How often it was said where λ is stored. */
  #places = 0;

  /** @throws ArgumentError for a bad λ or β */
  constructor(manager: PipelineManager, damping: number, emaDecay: number) {
    this.#manager = manager;
    this.#damping = requireDamping(damping);
    this.#decay = requireDecay(emaDecay);
    const usage = GPUBufferUsage.UNIFORM | GPUBufferUsage.COPY_DST;
    this.buffer = manager.createBuffer("factor settings", 16, usage);
    this.#write();
  }

  get damping(): number {
    return this.#damping;
  }

  /** @throws ArgumentError when negative or not finite */
  set damping(value: number) {
    this.#damping = requireDamping(value);
    this.#write();
  }

  get decay(): number {
    return this.#decay;
  }

  /** @throws ArgumentError outside [0, 1) */
  set decay(value: number) {
    const changes = requireDecay(value) !== this.#decay;
    this.#decay = value;
    if (changes) this.#write();
  }

  get stored(): StoredNumber | undefined {
    return this.#stored;
  }

  /** @throws ArgumentError when it is no element of a storage buffer */
  set stored(number: StoredNumber | undefined) {
    this.#stored = number && requireStored("curvature", "storedDamping", number);
    this.#places++;
  }

  /** As `Block.recording`: what commands that read λ and β here follow from. */
  get recording(): string {
    return `${this.#places} ${this.undamped}`;
  }

  /** Whether λ is known to be 0. */
  get undamped(): boolean {
    return this.#stored === undefined && this.#damping === 0;
  }

  /** Records λ and β as they are now: for commands that are submitted later, when these may be others. */
  record(recorder: Recorder): void {
    const numbers = this.#manager.table(FactorSettings, [{ damping: this.#damping, decay: this.#decay }]);
    recorder.copy(numbers, 0, this.buffer, 0, 8);
  }

  dispose(): void {
    this.#manager.destroyBuffer(this.buffer);
  }

  [Symbol.dispose](): void {
    this.dispose();
  }

  #write(): void {
    const numbers = new Float32Array([this.#damping, this.#decay]);
    this.#manager.device.queue.writeBuffer(this.buffer, 0, numbers);
  }
}
