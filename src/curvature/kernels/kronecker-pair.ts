import tgpu, { d } from "typegpu";
import code from "../../../shaders/kronecker_pair.wgsl?raw";
import { eigh } from "../../linalg/eigh.js";
import { type Matrix, paddedLength, paddedView } from "../../linalg/layout/view.js";
import { matmul } from "../../linalg/products/matmul.js";
import { diagonalOf, reduce } from "../../linalg/reduce.js";
import { defineKernel, type Kernel, type Recorder } from "../../pipeline/index.js";
import { type StoredNumber, wordOf } from "../blocks/stored.js";

export const PairProblem = d.struct({
  n: d.u32,
  stride: d.u32,
  side: d.u32,
  sizeA: d.f32,
  sizeB: d.f32,
  lambda: d.f32,
  floor: d.f32,
  word: d.u32,
  stored: d.u32,
});

/** λ: a number, or one that the GPU keeps, f32, with what counts while that is negative or not finite. */
export type Damping = number | (StoredNumber & { readonly otherwise: number });

const ENTRIES = ["split", "combine", "whiten", "separate"] as const;

export const pairLayout = tgpu
  .bindGroupLayout({
    problems: { storage: d.arrayOf(PairProblem), access: "readonly", visibility: ["compute"] },
    traces: { storage: d.arrayOf(d.f32), access: "readonly", visibility: ["compute"] },
    values: { storage: d.arrayOf(d.f32), access: "readonly", visibility: ["compute"] },
    x: { storage: d.arrayOf(d.f32), access: "readonly", visibility: ["compute"] },
    y: { storage: d.arrayOf(d.f32), access: "readonly", visibility: ["compute"] },
    out: { storage: d.arrayOf(d.f32), access: "mutable", visibility: ["compute"] },
    damped: { storage: d.arrayOf(d.f32), access: "mutable", visibility: ["compute"] },
  })
  .$idx(0);

const kernels = Object.fromEntries(
  ENTRIES.map((entryPoint) => [
    entryPoint,
    defineKernel({ name: "kronecker_pair", code, layout: pairLayout, entryPoint }),
  ]),
) as Record<(typeof ENTRIES)[number], Kernel>;

/** A (in × in) and B (out × out), aligned and without offset. */
export interface Pair {
  A: Matrix;
  B: Matrix;
}

/** Records traces[0 … 3] ← tr A₁, tr B₁, tr A₂, tr B₂. */
export function pairTraces(recorder: Recorder, first: Pair, second: Pair, traces: GPUBuffer): void {
  const list = [first.A, first.B, second.A, second.B];
  reduce(
    recorder,
    traces,
    list.map((S, index) => ({ x: diagonalOf(S), index })),
  );
}

/**
 * Records dampings[0] ← π√λ and dampings[1] ← √λ/π from the second traces (Martens & Grosse 2015 §6.3), so that their
 * product is λ.
 */
export function splitDamping(
  recorder: Recorder,
  operands: { traces: GPUBuffer; sizes: { A: number; B: number }; lambda: Damping; dampings: GPUBuffer },
): void {
  const { traces, sizes, lambda, dampings } = operands;
  const spare = recorder.scratch(4);
  run(
    recorder,
    "split",
    { n: 1, stride: 4, side: 0, sizes, lambda },
    { traces, out: dampings, damped: spare },
    1,
  );
}

export interface JointBasis {
  /** P, n × n: P' X P and P' (Y + yI) P are diagonal. */
  basis: Matrix;
  /** n × n matrices whose diagonals are those two. */
  first: Matrix;
  second: Matrix;
}

/**
 * Records one basis for two positive semi-definite n × n matrices X and Y + yI, with y the side's part of λ. From the
 * eigenvectors of X whitened by the sum of the two, each over its trace, so that either may be singular; directions in
 * which both vanish become zero columns (after Martens & Grosse 2015, appendix B).
 *
 * @param status two words for `eigh`, from word 0 on
 */
export function jointBasis(
  recorder: Recorder,
  operands: {
    X: Matrix;
    Y: Matrix;
    side: "A" | "B";
    sizes: { A: number; B: number };
    traces: GPUBuffer;
    lambda: Damping;
    status: GPUBuffer;
  },
  into: JointBasis,
): void {
  const { X, Y, sizes, traces, lambda, status } = operands;
  const n = X.rows;
  const square = () => paddedView(recorder.scratch(paddedLength(n, n)), 0, n, n);
  const [sum, damped, vectors, whitener, inside] = [square(), square(), square(), square(), square()];
  const values = recorder.scratch(n);
  const spare = recorder.scratch(4);
  const problem = { n, stride: X.stride, side: operands.side === "A" ? 0 : 1, sizes, lambda };
  const between = { traces, x: X.buffer, y: Y.buffer, out: sum.buffer, damped: damped.buffer };
  run(recorder, "combine", problem, between, n);
  eigh(recorder, [{ S: sum, vectors, values: { buffer: values } }], status);
  const whitened = { traces, values, x: vectors.buffer, out: whitener.buffer, damped: spare };
  run(recorder, "whiten", problem, whitened, n);
  const product = square();
  matmul(recorder, { A: X, transposeA: true, B: whitener, into: product });
  matmul(recorder, { A: whitener, transposeA: true, B: product, into: inside });
  run(recorder, "separate", problem, { traces, values, out: inside.buffer, damped: spare }, n);
  const rotation = square();
  eigh(recorder, [{ S: inside, vectors: rotation, values: { buffer: recorder.scratch(n) } }], status);
  const { basis } = into;
  matmul(recorder, { A: whitener, B: rotation, into: basis });
  for (const [S, diagonal] of [
    [X, into.first],
    [damped, into.second],
  ] as const) {
    const half = square();
    matmul(recorder, { A: S, transposeA: true, B: basis, into: half });
    matmul(recorder, { A: basis, transposeA: true, B: half, into: diagonal });
  }
}

function run(
  recorder: Recorder,
  entry: keyof typeof kernels,
  problem: {
    n: number;
    stride: number;
    side: number;
    sizes: { A: number; B: number };
    lambda: Damping;
  },
  buffers: {
    traces: GPUBuffer;
    values?: GPUBuffer;
    x?: GPUBuffer;
    y?: GPUBuffer;
    out: GPUBuffer;
    damped: GPUBuffer;
  },
  groups: number,
): void {
  const { n, stride, side, sizes, lambda } = problem;
  const floor = n * 2 ** -22;
  const own = typeof lambda === "number";
  const damping = { lambda: own ? lambda : lambda.otherwise, ...wordOf(own ? undefined : lambda) };
  const row = { n, stride, side, sizeA: sizes.A, sizeB: sizes.B, floor, ...damping };
  const problems = recorder.manager.table(PairProblem, [row]);
  // λ goes where the entry points that ask for it read nothing else.
  const kept = own ? problems : lambda.buffer;
  const { values = kept, x = problems, y = problems, ...rest } = buffers;
  recorder.dispatch(kernels[entry], { problems, values, x, y, ...rest }, groups);
}
