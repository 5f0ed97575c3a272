/** The same bits twice: fixed reduction orders, no float atomics. */
import type { Engine } from "../engine.js";
import { toF32 } from "../host/index.js";
import { dense, relu, softmaxCrossEntropy } from "../network/index.js";
import { atMost, type Certificate } from "./certificate.js";
import { Draw } from "./data.js";

export async function determinism(engine: Engine): Promise<Certificate[]> {
  const draw = new Draw(21);
  const A = toF32(draw.matrix(65, 700));
  const S = toF32(draw.spd(70, 1e3));
  const G = toF32(draw.matrix(70, 70));
  const claims: [string, string, () => Promise<Float32Array>][] = [
    ["gram", "65 × 700", async () => (await engine.gram({ A })).data],
    ["matmul", "70 × 70", async () => (await engine.matmul(S, G)).data],
    ["invert", "70 × 70", async () => (await engine.invert(S)).inverse.data],
    ["eigh", "70 × 70", async () => (await engine.eigh(S)).vectors.data],
    ["three K-FAC steps", "20-16-5, 30 examples", () => trainedWeights(engine)],
  ];
  const rows: Certificate[] = [];
  for (const [name, sizes, run] of claims) {
    const [first, second] = [await run(), await run()];
    rows.push(atMost(`${name}: the same bits twice`, sizes, differentBits(first, second), 0));
  }
  return rows;
}

function differentBits(a: Float32Array, b: Float32Array): number {
  const [x, y] = [a, b].map((data) => new Uint32Array(data.buffer, data.byteOffset, data.length));
  let count = Math.abs(a.length - b.length);
  x!.forEach((word, k) => {
    if (word !== y![k]) count++;
  });
  return count;
}

async function trainedWeights(engine: Engine): Promise<Float32Array> {
  const draw = new Draw(22);
  const network = engine.network([dense(20, 16), relu(), dense(16, 5)], softmaxCrossEntropy(), {
    batchSize: 30,
    seed: 5,
  });
  const kfac = engine.kfac(network, { learningRate: 0.1, seed: 3 });
  try {
    const inputs = Float32Array.from(draw.matrix(30, 20).data);
    const targets = Uint32Array.from({ length: 30 }, (_, i) => (i * 7) % 5);
    for (let step = 0; step < 3; step++) await kfac.step({ inputs, targets, count: 30 });
    const weights = await network.weights();
    return Float32Array.from(weights.flatMap((W) => [...W]));
  } finally {
    kfac.dispose();
    network.dispose();
  }
}
