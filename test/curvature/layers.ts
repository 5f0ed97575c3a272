/** A layer on buffers of the test's own, with any number of positions, and its f64 twin. */

import { matmul, paddedView, type Matrix as View } from "../../src/linalg/index.js";
import type { CurvatureRows, Curved, FactorRows, FisherOptions } from "../../src/model/index.js";
import type { PipelineManager, Recorder } from "../../src/pipeline/index.js";
import { type Matrix, matrix } from "../../src/reference/matrix.js";
import type { PositionBlock } from "../../src/reference/operator.js";
import type { Random, TestContext } from "../harness/kernel-test.js";

export interface LayerShape {
  in: number;
  out: number;
  positions: number;
  examples: number;
  columns: number;
}

/** Numbers of a layer: inputs (N·T) × in, derivatives (C·N·T) × out in the order of `CurvatureRows`. */
export interface LayerData {
  A: Float32Array;
  B: Float32Array;
}

export function randomData(random: Random, shape: LayerShape): LayerData {
  const { in: inputs, out, positions: T, examples: N, columns: C } = shape;
  // Means over positions that are not zero, and features of different sizes.
  const shift = random.normals(N * inputs);
  const A = random.normals(N * T * inputs);
  for (let r = 0; r < N * T; r++) {
    for (let j = 0; j < inputs; j++) {
      const e = r * inputs + j;
      A[e] = (1 + (j % 3)) * (A[e]! + shift[Math.floor(r / T) * inputs + j]!);
    }
  }
  return { A, B: random.normals(C * N * T * out) };
}

export interface TestLayer extends Curved {
  readonly shape: LayerShape;
  readonly block: PositionBlock;
}

/** Columns of `fisher.kind === "monteCarlo"` count as samples. */
export function testLayer(
  t: TestContext,
  shape: LayerShape,
  { A, B }: LayerData,
  fisher: FisherOptions["kind"] = "exact",
): TestLayer {
  const { in: inputs, out, positions: T, examples: N, columns: C } = shape;
  const a = store(t, A, N * T, inputs);
  const b = store(t, B, C * N * T, out);
  const divisor = fisher === "monteCarlo" ? N * C : N;
  return {
    name: "layer",
    in: inputs,
    out,
    count: N,
    positions: T,
    shape,
    block: blockOf(shape, { A, B }, divisor),
    inputs: (): FactorRows => ({ rows: a, scale: 1 / (N * T) }),
    outputs: (): FactorRows => ({ rows: b, scale: 1 / divisor }),
    apply(recorder: Recorder, V: View, into: View): void {
      matmul(recorder, { A: a, B: V, transposeB: true, into });
    },
    pullback(recorder: Recorder, rows: View, into: View, alpha: number): void {
      matmul(recorder, { A: rows, transposeA: true, B: a, into, alpha });
    },
    curvatureRows: (): CurvatureRows => ({ rows: b, columns: C, count: N, divisor }),
  };
}

/** The same numbers for the reference. */
export function blockOf(shape: LayerShape, { A, B }: LayerData, divisor = shape.examples): PositionBlock {
  const { in: inputs, out, positions: T, examples: N, columns: C } = shape;
  const columnsOf = (data: Float32Array, first: number, features: number): Matrix => {
    const M = matrix(features, T);
    for (let p = 0; p < T; p++) {
      for (let j = 0; j < features; j++) M.data[j * T + p] = data[(first + p) * features + j]!;
    }
    return M;
  };
  return {
    A: Array.from({ length: N }, (_, i) => columnsOf(A, i * T, inputs)),
    B: Array.from({ length: N }, (_, i) =>
      Array.from({ length: C }, (_, c) => columnsOf(B, (c * N + i) * T, out)),
    ),
    divisor,
  };
}

/** Rows padded to whole `vec4f`s with NaN, which no product may read into its result. */
export function store(t: TestContext, data: ArrayLike<number>, rows: number, cols: number): View {
  const view = paddedView(undefined as unknown as GPUBuffer, 0, rows, cols);
  const all = new Float32Array(rows * view.stride + 4).fill(Number.NaN);
  for (let i = 0; i < rows; i++) {
    for (let j = 0; j < cols; j++) all[i * view.stride + j] = data[i * cols + j]!;
  }
  return { ...view, buffer: t.upload(all) };
}

/** An aligned view to write to, full of NaN. */
export function blank(t: TestContext, rows: number, cols: number): View {
  return store(t, new Float32Array(rows * cols).fill(Number.NaN), rows, cols);
}

export function submit(manager: PipelineManager, record: (recorder: Recorder) => void): void {
  const recorder = manager.record();
  record(recorder);
  recorder.submit();
}
