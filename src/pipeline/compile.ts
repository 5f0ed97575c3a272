import { ShaderError } from "../errors.js";
import { type Kernel, kernelKey } from "./kernel.js";

/**
 * Compiles kernels, each once. Asynchronous requests for one that is under way share its promise; an error names the
 * kernel, the line and the compiler's message.
 */
export class Compiler {
  readonly #device: GPUDevice;
  readonly #layoutOf: (kernel: Kernel) => GPUBindGroupLayout;
  readonly #rowThreads: number | undefined;
  readonly #modules = new Map<string, GPUShaderModule>();
  readonly #ready = new Map<string, GPUComputePipeline>();
  readonly #inFlight = new Map<string, Promise<GPUComputePipeline>>();

  /** @param rowThreads `THREADS` of rowwise kernels; defaults to what their shaders say */
  constructor(device: GPUDevice, layoutOf: (kernel: Kernel) => GPUBindGroupLayout, rowThreads?: number) {
    this.#device = device;
    this.#layoutOf = layoutOf;
    this.#rowThreads = rowThreads;
  }

  /** Pipelines compiled so far. */
  get size(): number {
    return this.#ready.size;
  }

  /** @throws ShaderError with the kernel's name, the line and the message. */
  compile(kernel: Kernel): Promise<GPUComputePipeline> {
    const key = kernelKey(kernel);
    const ready = this.#ready.get(key);
    if (ready) return Promise.resolve(ready);
    const under = this.#inFlight.get(key);
    if (under) return under;
    const promise = this.#compileNew(kernel)
      .then((pipeline) => {
        const first = this.#ready.get(key) ?? pipeline;
        this.#ready.set(key, first);
        return first;
      })
      .finally(() => this.#inFlight.delete(key));
    this.#inFlight.set(key, promise);
    return promise;
  }

  /** The pipeline now: from the cache, else compiled on the spot (errors then reach the device's error scopes). */
  get(kernel: Kernel): GPUComputePipeline {
    const key = kernelKey(kernel);
    let pipeline = this.#ready.get(key);
    if (!pipeline) {
      pipeline = this.#device.createComputePipeline(this.#descriptor(kernel));
      this.#ready.set(key, pipeline);
    }
    return pipeline;
  }

  async #compileNew(kernel: Kernel): Promise<GPUComputePipeline> {
    // The scope keeps a compile error out of the caller's `uncapturederror`: it is thrown from here instead.
    this.#device.pushErrorScope("validation");
    const descriptor = this.#descriptor(kernel);
    const scope = this.#device.popErrorScope();
    const info = await descriptor.compute.module.getCompilationInfo();
    await scope;
    const error = info.messages.find((message) => message.type === "error");
    if (error) throw new ShaderError(kernel.name, error.lineNum || undefined, error.message);
    try {
      return await this.#device.createComputePipelineAsync(descriptor);
    } catch (cause) {
      const message = cause instanceof Error ? cause.message : String(cause);
      throw new ShaderError(kernel.name, undefined, message, { cause });
    }
  }

  #descriptor(kernel: Kernel): GPUComputePipelineDescriptor {
    let module = this.#modules.get(kernel.name);
    if (!module) {
      module = this.#device.createShaderModule({ label: kernel.name, code: kernel.code });
      this.#modules.set(kernel.name, module);
    }
    const rows: Record<string, number> =
      kernel.rowwise && this.#rowThreads !== undefined ? { THREADS: this.#rowThreads } : {};
    return {
      label: kernelKey(kernel),
      layout: this.#device.createPipelineLayout({ bindGroupLayouts: [this.#layoutOf(kernel)] }),
      compute: { module, entryPoint: kernel.entryPoint, constants: { ...rows, ...kernel.constants } },
    };
  }
}
