import type { TgpuBindGroupLayout, TgpuLayoutEntry } from "typegpu";

/** One WGSL entry point with its TypeGPU bind group layout and override constants: all that a pipeline is made of. */
export interface Kernel {
  /** The file's name in `shaders/`, without `.wgsl`; error messages and timings show it. */
  readonly name: string;
  readonly code: string;
  readonly entryPoint: string;
  readonly layout: TgpuBindGroupLayout<Record<string, TgpuLayoutEntry | null>>;
  /** Values of the shader's `override` constants (tile sizes), by name. */
  readonly constants: Readonly<Record<string, number>>;
  /** Its `THREADS` walk along rows, and any power of two of them will do: the adapter decides. */
  readonly rowwise: boolean;
}

/** Declares a kernel; `entryPoint` defaults to `main`, `constants` to none, `rowwise` to false. */
export function defineKernel(options: {
  name: string;
  code: string;
  layout: Kernel["layout"];
  entryPoint?: string;
  constants?: Record<string, number>;
  rowwise?: boolean;
}): Kernel {
  return { entryPoint: "main", constants: {}, rowwise: false, ...options };
}

/** The same kernel with other override constants. */
export function withConstants(kernel: Kernel, constants: Record<string, number>): Kernel {
  return { ...kernel, constants: { ...kernel.constants, ...constants } };
}

/** What makes two kernels share a pipeline. */
export function kernelKey(kernel: Kernel): string {
  return `${kernel.name}:${kernel.entryPoint}:${JSON.stringify(kernel.constants)}`;
}
