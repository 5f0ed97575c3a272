import type { Engine } from "../../src/index.js";

export type { Engine };

const library = import.meta.glob("../../src/index.ts");

/** The library's engine, loaded lazily so that tests of single kernels do not depend on everything above them. */
export async function createEngine(device: GPUDevice): Promise<Engine> {
  const load = library["../../src/index.ts"];
  if (!load) throw new Error("src/index.ts does not exist");
  const { createEngine } = (await load()) as typeof import("../../src/index.js");
  return createEngine({ device });
}
