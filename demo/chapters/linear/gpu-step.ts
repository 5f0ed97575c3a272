// Newton's step with every product and inverse on the GPU.
import type { Engine, HostMatrix } from "kfac-webgpu";
import { add, type Matrix, matrix, subtract } from "kfac-webgpu/reference";
import type { Problem } from "./problem.js";

export interface GpuStep {
  AAt: Matrix;
  BBt: Matrix;
  gradient: Matrix;
  AAtInverse: Matrix;
  BBtInverse: Matrix;
  step: Matrix;
  /** W after the step. */
  W: Matrix;
  /** Bits of `InvertStatus` of both inversions; 0 when all is well. */
  status: number;
}

export async function gpuStep(engine: Engine, { A, B, target, W }: Problem): Promise<GpuStep> {
  const [a, b] = [toHost(A), toHost(B)];
  const [AAt, BBt, BW] = await Promise.all([
    engine.gram({ A: a }),
    engine.gram({ A: b }),
    engine.matmul(b, toHost(W), { transposeA: true }),
  ]);
  const prediction = fromHost(await engine.matmul(BW, a));
  const [inverses, Be] = await Promise.all([
    engine.invertAll([AAt, BBt]),
    engine.matmul(b, toHost(subtract(target, prediction))),
  ]);
  const [left, right] = [inverses[1]!, inverses[0]!];
  const minusG = await engine.matmul(Be, a, { transposeB: true });
  const step = fromHost(await engine.sandwich(left.inverse, minusG, right.inverse));
  const gradient = fromHost(minusG);
  for (let k = 0; k < gradient.data.length; k++) gradient.data[k] = -gradient.data[k]!;
  return {
    AAt: fromHost(AAt),
    BBt: fromHost(BBt),
    gradient,
    AAtInverse: fromHost(right.inverse),
    BBtInverse: fromHost(left.inverse),
    step,
    W: add(W, step),
    status: left.status | right.status,
  };
}

function toHost(m: Matrix): HostMatrix {
  return { rows: m.rows, cols: m.cols, data: Float32Array.from(m.data) };
}

function fromHost(m: HostMatrix): Matrix {
  return matrix(m.rows, m.cols, Float64Array.from(m.data));
}
