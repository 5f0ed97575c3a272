// A user's page, bundled by Vite: the library finds the browser's own WebGPU.
import { createEngine } from "kfac-webgpu";
import { PipelineManager } from "kfac-webgpu/kernels";
import { fromRows, matmul } from "kfac-webgpu/reference";
import shader from "kfac-webgpu/shaders/matmul.wgsl?raw";

async function use() {
  const engine = await createEngine();
  const description = String(engine.describe?.() ?? "");
  const kernels = engine.manager instanceof PipelineManager;
  engine.dispose();
  const product = matmul(fromRows([[1, 2]]), fromRows([[3], [4]]));
  return { product: product.data[0], shader: shader.includes("@compute"), kernels, description };
}

globalThis.result = use().catch((error) => ({ error: String(error?.stack ?? error) }));
