import { NoAdapterError } from "../errors.js";

interface DawnModule {
  create(flags: string[]): GPU;
  globals: Record<string, unknown>;
}

/**
 * Node's WebGPU: Dawn, through the npm package `webgpu`. Installs WebGPU's globals (`GPUBufferUsage` and so on) where
 * the platform has none.
 *
 * The instance is kept for the life of the process: once it is collected, Node aborts.
 *
 * @param flags Dawn's flags, such as `enable-dawn-features=allow_unsafe_apis`. They count at the first call only.
 * @throws NoAdapterError when the package is not installed or does not load.
 */
export async function nodeGpu(flags: readonly string[] = []): Promise<GPU> {
  const store = globalThis as { [INSTANCE]?: GPU };
  if (!store[INSTANCE]) {
    const dawn = await loadDawn();
    for (const [name, value] of Object.entries(dawn.globals)) {
      if (!(name in globalThis))
        Object.defineProperty(globalThis, name, { value, configurable: true, writable: true });
    }
    store[INSTANCE] = dawn.create([...flags]);
  }
  return store[INSTANCE];
}

const INSTANCE = Symbol.for("kfac-webgpu.dawn");

async function loadDawn(): Promise<DawnModule> {
  try {
    return (await import("webgpu")) as unknown as DawnModule;
  } catch (cause) {
    throw new NoAdapterError("the npm package webgpu does not load", "run: npm install webgpu", { cause });
  }
}
