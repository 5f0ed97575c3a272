// A user's program in Node: all that the package offers there, and nothing else.
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { createEngine } from "kfac-webgpu";
import { nodeGpu } from "kfac-webgpu/node";
import { fromRows, matmul } from "kfac-webgpu/reference";

const product = matmul(fromRows([[1, 2]]), fromRows([[3], [4]]));
const shader = readFileSync(fileURLToPath(import.meta.resolve("kfac-webgpu/shaders/matmul.wgsl")), "utf8");
const engine = await createEngine({ gpu: await nodeGpu() });
const description = String(engine.describe?.() ?? "");
engine.dispose();

console.log(JSON.stringify({ product: product.data[0], shader: shader.includes("@compute"), description }));
