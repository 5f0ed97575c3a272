/**
 * All of `kfac-webgpu` in Node, through Dawn (npm package `webgpu`, to be installed beside this one), and data sets and
 * checkpoints on disk.
 *
 * @packageDocumentation
 */
import { LIST, must, OBJECT } from "./arguments.js";
import type { DeviceOptions } from "./device/index.js";
import { nodeGpu } from "./device/node.js";
import { createEngine, type Engine } from "./engine.js";

export { readCheckpoint, readIdxFolder, replaceFile, writeCheckpoint } from "./data/node/index.js";
export * from "./index.js";
export { nodeGpu };

/**
 * `createEngine` on Node's WebGPU. `dawnFlags` count at the first call in a process only.
 *
 * @throws ArgumentError for a bad option, NoAdapterError when the package webgpu or a Vulkan driver is missing, LimitError
 */
export async function createNodeEngine(
  options: DeviceOptions & { dawnFlags?: readonly string[] } = {},
): Promise<Engine> {
  must("createNodeEngine", "options", options, OBJECT);
  const { dawnFlags, ...rest } = options;
  if (dawnFlags !== undefined) must("createNodeEngine", "dawnFlags", dawnFlags, LIST);
  return createEngine({ ...rest, gpu: rest.gpu ?? (await nodeGpu(dawnFlags)) });
}
