// Logistic regression written against WebGPU alone: own buffers, own shader, own encoder. The only line about K-FAC is
// where the preconditioner turns the gradient G into the step U.

export const IN = 8;
export const OUT = 3;
export const COUNT = 256;

const code = /* wgsl */ `
const IN = ${IN}u; const OUT = ${OUT}u; const COUNT = ${COUNT}u; const WIDTH = IN + 1u;  // W's last column is the bias
@group(0) @binding(0) var<storage, read> x: array<f32>;            // COUNT × IN
@group(0) @binding(1) var<storage, read> y: array<f32>;            // COUNT × OUT, 0 or 1
@group(0) @binding(2) var<storage, read_write> w: array<f32>;      // OUT × WIDTH
@group(0) @binding(3) var<storage, read_write> dz: array<f32>;     // ∂(mean loss)/∂z, COUNT × OUT
@group(0) @binding(4) var<storage, read_write> b: array<f32>;      // columns of B as rows, (COUNT·OUT) × OUT
@group(0) @binding(5) var<storage, read_write> losses: array<f32>;
@group(0) @binding(6) var<storage, read_write> g: array<f32>;      // G = ∂(mean loss)/∂W, OUT × WIDTH
@group(0) @binding(7) var<storage, read> direction: array<f32>;    // G or U
override RATE: f32 = 1;

@compute @workgroup_size(64) fn forward(@builtin(global_invocation_id) id: vec3u) {
  let i = id.x;
  var loss = 0.0;
  for (var c = 0u; c < OUT; c++) {
    var z = w[c * WIDTH + IN];
    for (var j = 0u; j < IN; j++) { z += w[c * WIDTH + j] * x[i * IN + j]; }
    let p = 1 / (1 + exp(-z));
    let t = y[i * OUT + c];
    loss += max(z, 0) - z * t + log(1 + exp(-abs(z)));
    dz[i * OUT + c] = (p - t) / f32(COUNT);
    // A column of B for each output, so that the factor is the exact Fisher's. 1/COUNT as in dz: the loss is a mean.
    b[(i * OUT + c) * OUT + c] = sqrt(p * (1 - p)) / f32(COUNT);
  }
  losses[i] = loss;
}

@compute @workgroup_size(64) fn gradient(@builtin(global_invocation_id) id: vec3u) {
  if (id.x >= OUT * WIDTH) { return; }
  let c = id.x / WIDTH; let j = id.x % WIDTH;
  var sum = 0.0;
  for (var i = 0u; i < COUNT; i++) {
    if (j < IN) { sum += dz[i * OUT + c] * x[i * IN + j]; } else { sum += dz[i * OUT + c]; }
  }
  g[id.x] = sum;
}

@compute @workgroup_size(64) fn step(@builtin(global_invocation_id) id: vec3u) {
  if (id.x < OUT * WIDTH) { w[id.x] -= RATE * direction[id.x]; }
}`;

/**
 * Trains for some steps and returns the mean loss before each of them.
 * @param {GPUDevice} device yours
 * @param {{ rate: number, steps: number, preconditioner?: any }} options plain descent without an engine's preconditioner
 * @returns {Promise<number[]>}
 */
export async function train(device, { rate, steps, preconditioner }) {
  const { x, y } = data();
  const buffer = (length, values) => {
    const made = device.createBuffer({ size: 4 * length, usage: 0x80 | 0x08 | 0x04 }); // STORAGE | COPY_DST | COPY_SRC
    if (values) device.queue.writeBuffer(made, 0, values);
    return made;
  };
  const X = buffer(COUNT * IN, x);
  const Y = buffer(COUNT * OUT, y);
  const B = buffer(COUNT * OUT * OUT);
  const [W, dZ, losses] = [buffer(OUT * (IN + 1)), buffer(COUNT * OUT), buffer(COUNT)];
  const [G, U] = [buffer(OUT * (IN + 1)), buffer(OUT * (IN + 1))];
  const readback = device.createBuffer({ size: 4 * COUNT * steps, usage: 0x01 | 0x08 }); // MAP_READ | COPY_DST

  const module = device.createShaderModule({ code });
  const kernel = (entryPoint, constants, buffers) => {
    const pipeline = device.createComputePipeline({
      layout: "auto",
      compute: { module, entryPoint, constants },
    });
    const entries = Object.entries(buffers).map(([n, own]) => ({
      binding: Number(n),
      resource: { buffer: own },
    }));
    const group = device.createBindGroup({ layout: pipeline.getBindGroupLayout(0), entries });
    return (encoder, threads) => {
      const pass = encoder.beginComputePass();
      pass.setPipeline(pipeline);
      pass.setBindGroup(0, group);
      pass.dispatchWorkgroups(Math.ceil(threads / 64));
      pass.end();
    };
  };
  const forward = kernel("forward", {}, { 0: X, 1: Y, 2: W, 3: dZ, 4: B, 5: losses });
  const gradient = kernel("gradient", {}, { 0: X, 3: dZ, 6: G });
  const step = kernel("step", { RATE: rate }, { 2: W, 7: preconditioner ? U : G });
  const matrix = (own, rows, cols) => ({ buffer: own, rows, cols });

  for (let n = 0; n < steps; n++) {
    const encoder = device.createCommandEncoder();
    forward(encoder, COUNT);
    gradient(encoder, OUT * (IN + 1));
    if (preconditioner) {
      const A = matrix(X, COUNT, IN);
      preconditioner.accumulate(encoder, "fc", { A, B: matrix(B, COUNT * OUT, OUT), layout: "rows" });
      if (n < 3 || n % 5 === 0) preconditioner.refresh(encoder);
      preconditioner.precondition(encoder, "fc", { G: matrix(G, OUT, IN + 1), into: matrix(U, OUT, IN + 1) });
    }
    step(encoder, OUT * (IN + 1));
    encoder.copyBufferToBuffer(losses, 0, readback, 4 * COUNT * n, 4 * COUNT);
    device.queue.submit([encoder.finish()]);
  }
  await readback.mapAsync(1);
  const all = new Float32Array(readback.getMappedRange().slice(0));
  for (const own of [X, Y, B, W, dZ, losses, G, U, readback]) own.destroy();
  return Array.from({ length: steps }, (_, n) => {
    return all.subarray(n * COUNT, (n + 1) * COUNT).reduce((sum, loss) => sum + loss / COUNT, 0);
  });
}

/** Inputs whose scales span two decades, and what a hidden layer says of them. */
function data() {
  let state = 1;
  const random = () => {
    state = (state * 48271) % 2147483647;
    return state / 2147483647 - 0.5;
  };
  const hidden = Array.from({ length: OUT * IN }, random);
  const own = Array.from({ length: COUNT * IN }, random);
  const x = Float32Array.from(own, (value, k) => 10 * value * 10 ** (-(k % IN) / 3.5));
  const y = Float32Array.from({ length: COUNT * OUT }, (_, k) => {
    let z = 0.1 * random();
    for (let j = 0; j < IN; j++) z += hidden[(k % OUT) * IN + j] * own[Math.floor(k / OUT) * IN + j];
    return z > 0 ? 1 : 0;
  });
  return { x, y };
}
