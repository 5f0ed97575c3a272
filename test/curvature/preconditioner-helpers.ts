/** Layers of the caller's, their batches, and a preconditioner that is fed with them. */
import type {
  LayerStatistics,
  PreconditionedLayer,
  Preconditioner,
  PreconditionerOptions,
} from "../../src/curvature/index.js";
import { appendOnesColumn, type Matrix, matrix, scale, transpose } from "../../src/reference/matrix.js";
import type { Factors as HostFactors } from "../../src/reference/network.js";
import { assert, type Random, type TestContext } from "../harness/kernel-test.js";
import { around, download, factorsOf, normals, type Place, type Rows, target, upload } from "./helpers.js";

export const LAYERS: PreconditionedLayer[] = [
  { name: "fc1", in: 9, out: 35, bias: true },
  { name: "fc2", in: 36, out: 5, bias: true },
  { name: "plain", in: 13, out: 6 },
];
export const DAMPING = 0.05;

/** Inputs without the ones and derivatives of each example's own loss, C columns an example, and the mean loss's G. */
export interface Data extends Rows {
  G: Matrix;
}

export function dataOf(random: Random, layer: PreconditionedLayer, count: number, columns = 1): Data {
  return {
    A: normals(random, count, layer.in - (layer.bias ? 1 : 0)),
    B: normals(random, count * columns, layer.out, 0.5),
    G: normals(random, layer.out, layer.in),
  };
}

/** The factors that the layer should have, from each example's own loss. */
export function factors(layer: PreconditionedLayer, { A, B }: Rows): HostFactors {
  return factorsOf({ A: layer.bias ? appendOnesColumn(A) : A, B });
}

/** Rounds to f32, as an upload does. */
export function rounded(M: Matrix): Matrix {
  const out = matrix(M.rows, M.cols);
  out.data.set(Float32Array.from(M.data));
  return out;
}

export interface Feeding {
  layout?: "columns" | "rows";
  /** What B was back-propagated from. */
  loss?: "mean" | "sum";
  place?: Place;
  examples?: number;
}

export function statistics(t: TestContext, { A, B }: Rows, feeding: Feeding = {}): LayerStatistics {
  const { layout, loss = "mean", place, examples } = feeding;
  const own = loss === "mean" ? rounded(scale(B, 1 / (examples ?? A.rows))) : B;
  const turn = (M: Matrix) => (layout === "rows" ? M : transpose(M));
  return { A: upload(t, turn(A), place), B: upload(t, turn(own), place), layout, examples };
}

export function accumulate(
  t: TestContext,
  p: Preconditioner,
  name: string,
  rows: Rows,
  feeding?: Feeding,
): void {
  t.submit((encoder) => p.accumulate(encoder, name, statistics(t, rows, feeding)));
}

export async function update(
  t: TestContext,
  p: Preconditioner,
  name: string,
  G: Matrix,
  options: { place?: Place; examples?: number } = {},
): Promise<Float32Array> {
  const { place, examples } = options;
  const into = target(t, G.rows, G.cols, place);
  t.submit((encoder) => p.precondition(encoder, name, { G: upload(t, G, place), into, examples }));
  for (const value of await around(t, into)) assert(Number.isNaN(value), `${value} written outside of into`);
  return download(t, into);
}

export function refresh(t: TestContext, p: Preconditioner): void {
  t.submit((encoder) => p.refresh(encoder));
}

export function open(t: TestContext, options: PreconditionerOptions = {}, layers = LAYERS): Preconditioner {
  return t.engine.preconditioner(layers, { damping: DAMPING, ...options });
}
