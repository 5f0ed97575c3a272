// node examples/raw/index.mjs
import { createNodeEngine, nodeGpu } from "kfac-webgpu/node";
import { IN, OUT, train } from "./train.mjs";

const adapter = await (await nodeGpu()).requestAdapter();
const device = await adapter.requestDevice(); // yours: from three.js, Babylon, ONNX, …
const engine = await createNodeEngine({ device });
const preconditioner = engine.preconditioner([{ name: "fc", in: IN + 1, out: OUT, bias: true }], {
  damping: 1e-6,
});

const steps = 30;
const kfac = await train(device, { rate: 1, steps, preconditioner });
const plain = await train(device, { rate: 0.1, steps });

console.log("step   gradient descent   K-FAC");
for (let n = 0; n < steps; n += n < 5 ? 1 : 5) {
  console.log(`${String(n).padStart(4)}   ${plain[n].toFixed(4).padStart(16)}   ${kfac[n].toFixed(4)}`);
}
for (const { name, lambda, text } of await preconditioner.status())
  console.log(`${name}: ${text}, λ = ${lambda}`);

engine.dispose(); // frees what is the engine's; the device goes on
device.destroy();
