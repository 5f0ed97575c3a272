/** The same step for the same damping, however the loss is summed and the batch is fed (theory, "Scale"). */
import type { Engine } from "../engine.js";
import { DeviceMatrices, readMatrix, toF64 } from "../host/index.js";
import { gram, type Matrix, precondition, relativeError, scale, stackRows } from "../reference/index.js";
import { atMost, type Certificate } from "./certificate.js";
import { Draw } from "./data.js";

const LAYER = { name: "layer", in: 9, out: 5 };
const COUNT = 40;
const DAMPING = 0.05;
const BOUND = 2e-5;

/** Inputs and derivatives of each example's own loss, an example a row. */
interface Feed {
  A: Matrix;
  B: Matrix;
}

export async function scaleInvariance(engine: Engine): Promise<Certificate[]> {
  const draw = new Draw(51);
  const whole = { A: draw.matrix(COUNT, LAYER.in), B: draw.matrix(COUNT, LAYER.out) };
  const G = draw.matrix(LAYER.out, LAYER.in);
  const mean = (m: Matrix) =>
    gram({ A: { rows: m.cols, cols: m.rows, data: transposed(m) }, alpha: 1 / COUNT });
  const wanted = precondition({ A: mean(whole.A), B: mean(whole.B) }, G, DAMPING).update;
  const half = (from: number) => ({ A: part(whole.A, from), B: part(whole.B, from) });
  const twice = { A: stackRows([whole.A, whole.A]), B: stackRows([whole.B, whole.B]) };
  const feeds: [string, readonly Feed[]][] = [
    ["the whole batch", [whole]],
    ["fed in two halves", [half(0), half(COUNT / 2)]],
    ["duplicated", [twice]],
  ];
  const rows: Certificate[] = [];
  for (const loss of ["mean", "sum"] as const) {
    for (const [name, batches] of feeds) {
      const U = await preconditioned(engine, loss, batches, G);
      const sizes = `${LAYER.out} × ${LAYER.in}, ${COUNT} examples, λ ${DAMPING}`;
      rows.push(
        atMost(`one step for one damping: ${loss} loss, ${name}`, sizes, relativeError(U, wanted), BOUND),
      );
    }
  }
  return rows;
}

function transposed(m: Matrix): Float64Array {
  return Float64Array.from({ length: m.data.length }, (_, k) => {
    const [i, j] = [k % m.rows, Math.floor(k / m.rows)];
    return m.data[i * m.cols + j]!;
  });
}

function part(m: Matrix, from: number): Matrix {
  const rows = COUNT / 2;
  return { rows, cols: m.cols, data: m.data.slice(from * m.cols, (from + rows) * m.cols) };
}

/** U of a preconditioner that was fed the batches, with B and G as back-propagated from this loss. */
async function preconditioned(
  engine: Engine,
  loss: "mean" | "sum",
  batches: readonly Feed[],
  G: Matrix,
): Promise<Matrix> {
  const { manager } = engine;
  const memory = new DeviceMatrices(manager, "verify");
  const p = engine.preconditioner([LAYER], { damping: DAMPING, loss });
  try {
    const encoder = engine.device.createCommandEncoder();
    for (const { A, B } of batches) {
      const own = loss === "mean" ? scale(B, 1 / A.rows) : B;
      p.accumulate(encoder, LAYER.name, { A: memory.upload(A), B: memory.upload(own), layout: "rows" });
    }
    p.refresh(encoder);
    const into = memory.matrix(G.rows, G.cols);
    const summed = loss === "mean" ? G : scale(G, COUNT);
    p.precondition(encoder, LAYER.name, { G: memory.upload(summed), into, examples: COUNT });
    engine.device.queue.submit([encoder.finish()]);
    const recorder = manager.record();
    const reading = readMatrix(recorder, into);
    recorder.submit();
    return toF64(await reading);
  } finally {
    p.dispose();
    memory.dispose();
  }
}
