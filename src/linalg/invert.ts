import { must, OBJECT, objectLike } from "../arguments.js";
import { ArgumentError, ShapeError } from "../errors.js";
import type { Recorder } from "../pipeline/index.js";
import {
  diagonalKernel,
  equilibrateKernel,
  finishKernel,
  InvertProblem,
  pivotKernel,
  SweepProblem,
  updateForms,
} from "./invert-kernels.js";
import { group } from "./layout/group.js";
import { problemsOf } from "./layout/operands.js";
import {
  checkView,
  type Matrix,
  type MatrixView,
  paddedView,
  requireDistinct,
  requireShape,
} from "./layout/view.js";
import { tileShape } from "./products/choice.js";
import { multiplyPacked } from "./products/matmul.js";
import { productKernel, tilesOf } from "./products/tiles.js";
import { diagonalOf, reduce } from "./reduce.js";

/** Bits of a matrix's status word; 0 means that all is well. With 1 or 2 nothing was written, 4 only warns. */
export const InvertStatus = { notPositiveDefinite: 1, nonFinite: 2, dampingBelowFloor: 4 } as const;

/** Rows of a workgroup of the kernels before and after the sweep; the shaders' ROWS. */
const ROWS = 4;
/** Sizes are rounded up to this, the height of the tallest tile of the update. */
const STEP = 32;
/** Rows swept at once when the largest matrix has more than `STEP`; each block reads and writes the whole matrix. */
const BLOCK = 64;

export interface Inversion {
  /** Symmetric positive definite, n × n; the lower half alone is trusted. */
  S: MatrixView;
  /** X ← (S + λI)⁻¹. Keeps its old contents when the status has bit 1 or 2. */
  into: MatrixView;
  /** The number of its damping and status word; defaults to its place among the inversions. */
  index?: number;
}

export interface InvertBuffers {
  /** λ of each matrix, f32, absolute. */
  dampings: GPUBuffer;
  /** A status word for each matrix, u32. Bits are added: clear it first. */
  status: GPUBuffer;
}

/**
 * Records the damped inverses of symmetric positive definite matrices of any sizes, all together: the number of
 * dispatches depends on the largest. Symmetric block sweep (Gauss-Jordan) on the equilibrated matrix, lower half only,
 * n³ operations; within a block it goes by Cholesky factors, which keeps the residual as small as Cholesky's.
 *
 * In f32, with κ the condition number of the damped, equilibrated matrix: error relative to the inverse 0.1 to 1 times
 * κ 2⁻²⁴, residual ‖(S + λI)X − I‖/√n 0.2 to 2 times that, whatever n is.
 *
 * @throws ShapeError when a matrix is not square, the shapes differ, or dampings or status are fewer than the matrices,
 *   ArgumentError when the status shares a buffer with anything else.
 */
export function invert(recorder: Recorder, inversions: readonly Inversion[], buffers: InvertBuffers): void {
  problemsOf("invert", recorder, "inversions", inversions);
  must("invert", "buffers", buffers, BUFFERS);
  for (const name of ["dampings", "status"] as const) must("invert", name, buffers[name], GPU_BUFFER);
  if (inversions.length === 0) throw new ArgumentError("invert", "inversions", "must be at least one");
  // Many matrices take long to check and to lay out, and are mostly the same ones again.
  recorder.recall(keyOf(recorder.manager, inversions, buffers), (own) => record(own, inversions, buffers));
}

const BUFFERS = objectLike("{ dampings, status }");
const GPU_BUFFER = objectLike("a GPUBuffer");
const VIEW = objectLike("a matrix view { buffer, rows, cols }");

/** All that the commands follow from. What is no number becomes NaN, and is then checked and refused. */
function keyOf(
  manager: Recorder["manager"],
  inversions: readonly Inversion[],
  { dampings, status }: InvertBuffers,
): Float64Array {
  const key = new Float64Array(3 + 10 * inversions.length);
  key[0] = manager.idOf(invert);
  key[1] = manager.idOf(dampings);
  key[2] = manager.idOf(status);
  for (const side of ["S", "into"] as const) {
    let at = side === "S" ? 3 : 8;
    let last: GPUBuffer | undefined;
    let id = 0;
    for (const { [side]: view } of inversions) {
      if (!OBJECT.holds(view)) must("invert", side, view, VIEW);
      // Most lie in the buffer of the one before.
      if (view.buffer !== last) {
        last = view.buffer;
        id = manager.idOf(last);
      }
      writeView(id, view, key, at);
      at += 10;
    }
  }
  return key;
}

function writeView(buffer: number, view: MatrixView, key: Float64Array, at: number): void {
  const { rows, cols, offset = 0, stride = cols } = view;
  key[at] = buffer;
  key[at + 1] = numberOf(rows);
  key[at + 2] = numberOf(cols);
  key[at + 3] = numberOf(offset);
  key[at + 4] = numberOf(stride);
}

function numberOf(value: unknown): number {
  return typeof value === "number" ? value : Number.NaN;
}

function record(recorder: Recorder, inversions: readonly Inversion[], buffers: InvertBuffers): void {
  const { manager } = recorder;
  const plans = layOut(inversions);
  checkBuffers(plans, buffers);
  const last = plans.at(-1)!;
  const work = recorder.scratch(last.workOffset + last.size * last.size);
  const scales = recorder.scratch(last.scaleOffset + last.size);
  const panel = recorder.scratch(last.oldOffset + BLOCK * last.size);
  const product = recorder.scratch(last.newOffset + BLOCK * last.size);
  const norms = recorder.scratch(2 * wordsOf(plans));
  const { dampings, status } = buffers;
  reduce(
    recorder,
    norms,
    plans.flatMap(({ S, index }) => [
      { x: diagonalOf(S), index: 2 * index },
      { x: S, y: S, index: 2 * index + 1 },
    ]),
  );
  forEachBuffer(
    plans,
    ({ S }) => S.buffer,
    (part, s) => {
      const bindings = { dampings, norms, s, scales, work, status };
      const once = group(part.map(problemOf), () => 1);
      recorder.dispatch(
        diagonalKernel,
        { problems: manager.table(InvertProblem, once.rows), ...bindings },
        once.groups,
      );
      const { rows, groups } = group(part.map(problemOf), (problem) => Math.ceil(problem.size / ROWS));
      recorder.dispatch(
        equilibrateKernel,
        { problems: manager.table(InvertProblem, rows), ...bindings },
        groups,
      );
    },
  );
  const largest = Math.max(...plans.map(({ size }) => size));
  const height = largest > STEP ? BLOCK : STEP;
  for (let block = 0; block < largest; block += height) {
    const live = plans.filter(({ size }) => size > block);
    sweepBlock(recorder, live, { block, height }, { work, panel, product, status });
  }
  forEachBuffer(
    plans,
    ({ X }) => X.buffer,
    (part, x) => {
      const { rows, groups } = group(part.map(problemOf), (problem) => Math.ceil(problem.n / ROWS));
      const problems = manager.table(InvertProblem, rows);
      recorder.dispatch(finishKernel, { problems, status, scales, work, x }, groups);
    },
  );
  recorder.release(work, scales, panel, product, norms);
}

interface Plan {
  S: Matrix;
  X: Matrix;
  n: number;
  size: number;
  workOffset: number;
  scaleOffset: number;
  pivotOffset: number;
  oldOffset: number;
  newOffset: number;
  index: number;
}

/** Where each matrix lies in the scratch buffers. */
function layOut(inversions: readonly Inversion[]): Plan[] {
  let workOffset = 0;
  let scaleOffset = 0;
  let panelOffset = 0;
  return inversions.map((inversion, place) => {
    const { index = place } = inversion;
    if (!(Number.isInteger(index) && index >= 0)) {
      throw new ArgumentError("invert", "index", `must be a whole number that is not negative, got ${index}`);
    }
    const S = checkView("invert", "S", inversion.S);
    const X = checkView("invert", "into", inversion.into);
    if (S.rows !== S.cols) throw new ShapeError("invert", "S", [S.rows, S.cols], [S.rows, S.rows]);
    requireShape("invert", "into", X, S.rows, S.cols);
    const n = S.rows;
    const size = Math.ceil(n / STEP) * STEP;
    const oldOffset = panelOffset + BLOCK * BLOCK;
    const newOffset = BLOCK * scaleOffset;
    const plan = {
      S,
      X,
      n,
      size,
      workOffset,
      scaleOffset,
      pivotOffset: panelOffset,
      oldOffset,
      newOffset,
      index,
    };
    workOffset += size * size;
    scaleOffset += size;
    panelOffset = oldOffset + BLOCK * size;
    return plan;
  });
}

/** Words of each kind that the matrices' numbers reach to. */
function wordsOf(plans: readonly Plan[]): number {
  return Math.max(...plans.map(({ index }) => index)) + 1;
}

/** The kernels write the status while they read the matrices, and add to a word of it for each of them. */
function checkBuffers(plans: readonly Plan[], { dampings, status }: InvertBuffers): void {
  const words = { rows: 1, cols: wordsOf(plans) };
  const lambda = checkView("invert", "dampings", { buffer: dampings, ...words });
  const bits = checkView("invert", "status", { buffer: status, ...words });
  requireDistinct("invert", ["status", bits], [["dampings", lambda]]);
  for (const { S, X } of plans) {
    requireDistinct(
      "invert",
      ["status", bits],
      [
        ["S", S],
        ["into", X],
      ],
    );
  }
}

function problemOf({ S, X, n, size, workOffset, scaleOffset, index }: Plan) {
  return {
    n,
    size,
    sOffset: S.offset,
    sStride: S.stride,
    workOffset,
    scaleOffset,
    xOffset: X.offset,
    xStride: X.stride,
    index,
  };
}

function forEachBuffer(
  plans: readonly Plan[],
  bufferOf: (plan: Plan) => GPUBuffer,
  record: (part: Plan[], buffer: GPUBuffer) => void,
): void {
  for (const buffer of new Set(plans.map(bufferOf))) {
    record(
      plans.filter((plan) => bufferOf(plan) === buffer),
      buffer,
    );
  }
}

/** R ← N old. */
function multiplyPanels(
  recorder: Recorder,
  problems: readonly ReturnType<typeof sweepProblem>[],
  height: number,
  panel: GPUBuffer,
  product: GPUBuffer,
): void {
  multiplyPacked(
    recorder,
    problems.map(({ size, width, pivotOffset, oldOffset, newOffset }) => ({
      A: { buffer: panel, offset: pivotOffset, rows: width, cols: width, stride: height },
      B: paddedView(panel, oldOffset, width, size),
      C: paddedView(product, newOffset, width, size),
      transposed: false,
      alpha: 1,
      beta: 0,
    })),
    updateForms,
  );
}

function sweepProblem(plan: Plan, block: number, height: number) {
  const { size, workOffset, pivotOffset, oldOffset, newOffset, index } = plan;
  const width = Math.min(height, size - block);
  return { size, width, block, workOffset, pivotOffset, oldOffset, newOffset, index };
}

function sweepBlock(
  recorder: Recorder,
  plans: readonly Plan[],
  { block, height }: { block: number; height: 32 | 64 },
  buffers: { work: GPUBuffer; panel: GPUBuffer; product: GPUBuffer; status: GPUBuffer },
): void {
  const { manager } = recorder;
  const { work, panel, product, status } = buffers;
  const problems = plans.map((plan) => sweepProblem(plan, block, height));
  const pivot = group(problems, ({ size, width }) => 1 + (size === width ? 0 : Math.ceil(size / height)));
  recorder.dispatch(
    pivotKernel(manager.handle.capabilities, height),
    { problems: manager.table(SweepProblem, pivot.rows), work, panel, status },
    pivot.groups,
  );
  // A matrix of one block is done: its workgroup wrote the inverse.
  const larger = problems.filter(({ size, width }) => size > width || block > 0);
  if (larger.length === 0) return;
  multiplyPanels(recorder, larger, height, panel, product);
  const tile = tileShape(
    manager.handle.capabilities,
    larger.map(({ size, width }) => ({ m: size, n: size, k: width, lower: true })),
    updateForms,
  );
  const update = group(larger, ({ size }) => tilesOf(tile, size, size));
  recorder.dispatch(
    productKernel(updateForms, tile),
    { problems: manager.table(SweepProblem, update.rows), product, work },
    update.groups,
  );
}
