import { type Kernel, kernelKey } from "./kernel.js";
import type { Recorder } from "./recorder.js";
import type { Binding, Resources } from "./resources.js";
import { standIn } from "./stand-in.js";

/**
 * A recorder that notes which kernels it is asked for and records nothing: no commands, no bind groups, and scratch is
 * stand-ins, of any size. What is read back would never arrive, so reading throws.
 */
export class KernelCollector implements Recorder {
  readonly manager: Resources;
  readonly #kernels: Map<string, Kernel>;
  #dispatches = 0;

  /** @param kernels where to note them, by `kernelKey` */
  constructor(manager: Resources, kernels = new Map<string, Kernel>()) {
    this.manager = manager;
    this.#kernels = kernels;
  }

  /** Each kernel once, in the order of first use. */
  get kernels(): readonly Kernel[] {
    return [...this.#kernels.values()];
  }

  get dispatches(): number {
    return this.#dispatches;
  }

  dispatch(kernel: Kernel, _bindings: Readonly<Record<string, Binding>>, groups: number): void {
    if (groups === 0) return;
    const key = kernelKey(kernel);
    if (!this.#kernels.has(key)) this.#kernels.set(key, kernel);
    this.#dispatches++;
  }

  copy(): void {}

  clear(): void {}

  scratch(length: number): GPUBuffer {
    return standIn(Math.ceil(length / 4) * 16);
  }

  release(): void {}

  nested(): Recorder {
    return new KernelCollector(this.manager, this.#kernels);
  }

  recall(_key: Float64Array, record: (recorder: Recorder) => void): void {
    record(this);
  }

  read(): never {
    throw new Error("there is nothing to read while kernels are collected");
  }

  readRanges(): never {
    return this.read();
  }

  end(): void {}

  submit(): never {
    throw new Error("there is nothing to submit while kernels are collected");
  }
}
