// A user's program in Node: all that the package offers there, and nothing else.
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { createEngine } from "kfac-webgpu";
import { PipelineManager } from "kfac-webgpu/kernels";
import { nodeGpu } from "kfac-webgpu/node";
import { fromRows, matmul } from "kfac-webgpu/reference";

const product = matmul(fromRows([[1, 2]]), fromRows([[3], [4]]));
const shader = readFileSync(fileURLToPath(import.meta.resolve("kfac-webgpu/shaders/matmul.wgsl")), "utf8");
const engine = await createEngine({ gpu: await nodeGpu() });
const description = String(engine.describe?.() ?? "");
// The same class by both ways, not a second copy of the library.
const kernels = engine.manager instanceof PipelineManager;
engine.dispose();

console.log(
  JSON.stringify({ product: product.data[0], shader: shader.includes("@compute"), kernels, description }),
);
