/** The library's engine, loaded lazily so that tests of single kernels do not depend on everything above them. */
export interface Engine {
  dispose(): void;
}

const library = import.meta.glob("../../src/index.ts");

export async function createEngine(device: GPUDevice): Promise<Engine> {
  const load = library["../../src/index.ts"];
  if (!load) throw new Error("src/index.ts does not exist");
  const { createEngine } = (await load()) as {
    createEngine(options: { device: GPUDevice }): Promise<Engine>;
  };
  return createEngine({ device });
}
