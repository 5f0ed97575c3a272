// Newton's step with every product and inverse on the GPU.
import { type Engine, toF32, toF64 } from "kfac-webgpu";
import { add, type Matrix, subtract } from "kfac-webgpu/reference";
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
  const [a, b] = [toF32(A), toF32(B)];
  const [AAt, BBt, BW] = await Promise.all([
    engine.gram({ A: a }),
    engine.gram({ A: b }),
    engine.matmul(b, toF32(W), { transposeA: true }),
  ]);
  const prediction = toF64(await engine.matmul(BW, a));
  const [inverses, Be] = await Promise.all([
    engine.invertAll([AAt, BBt]),
    engine.matmul(b, toF32(subtract(target, prediction))),
  ]);
  const [left, right] = [inverses[1]!, inverses[0]!];
  const minusG = await engine.matmul(Be, a, { transposeB: true });
  const step = toF64(await engine.sandwich(left.inverse, minusG, right.inverse));
  const gradient = toF64(minusG);
  for (let k = 0; k < gradient.data.length; k++) gradient.data[k] = -gradient.data[k]!;
  return {
    AAt: toF64(AAt),
    BBt: toF64(BBt),
    gradient,
    AAtInverse: toF64(right.inverse),
    BBtInverse: toF64(left.inverse),
    step,
    W: add(W, step),
    status: left.status | right.status,
  };
}
