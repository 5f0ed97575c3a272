import { must, OBJECT, optionsOf, type Rules, whole } from "../arguments.js";
import { ArgumentError, ShapeError } from "../errors.js";
import type { Kernel, Recorder } from "../pipeline/index.js";
import { EighProblem, eighKernels, eighThreads } from "./eigh-kernels.js";
import { group, partition } from "./layout/group.js";
import { problemsOf } from "./layout/operands.js";
import { checkView, type Matrix, type MatrixView, padded, requireShape } from "./layout/view.js";

export { eighKernels } from "./eigh-kernels.js";

/** Bits of a matrix's status word; 0 means that all is well. */
export const EighStatus = { nonFinite: 2, notConverged: 8 } as const;

/** Rows that a workgroup scales or gathers; the shaders' ROWS. */
const ROWS = 16;

/** Rounds of rotations unless told otherwise: twice the most that any matrix has been seen to need. */
const ROUNDS = 6;

export interface EigenProblem {
  /** Symmetric, n × n; the lower half alone is trusted. */
  S: MatrixView;
  /** V, n × n: column j is the unit eigenvector of eigenvalue j. Keeps its old contents when the status has bit 2. */
  vectors: MatrixView;
  /** The n eigenvalues, rising: f32 numbers from `offset` (in elements; defaults to 0) on. */
  values: { readonly buffer: GPUBuffer; readonly offset?: number };
}

/** How long eigenvalues are searched for. */
export interface EighOptions {
  /** Rounds of at most n + n²/2 rotations each, up to 100; defaults to 6. A matrix that needs more gets status bit 8. */
  rounds?: number;
}

const OPTIONS: Rules<EighOptions> = { rounds: whole(1, 100) };

/**
 * Records S = V Λ V' for symmetric matrices of any sizes, all together: the number of dispatches depends on neither their
 * number nor their sizes. Householder tridiagonalisation, implicit QL on one thread a matrix, and the rotations applied to
 * all rows of V at once, about 9 n³ operations. S, vectors and values may share buffers and places: S is read first.
 *
 * ‖S − VΛV'‖/‖S‖ and ‖V'V − I‖/√n (Frobenius) are about 2½ √n 2⁻²⁴, an eigenvalue's error is about √n 2⁻²⁴ ‖S‖: no better
 * for a small eigenvalue than for a large one. The scale of S does not matter while its entries are normal numbers.
 *
 * @param status A status word for each matrix, u32: bits of `EighStatus`. Bits are added: clear it first.
 * @throws ShapeError when a matrix is not square, the shapes differ or the values do not fit their buffer.
 */
export function eigh(
  recorder: Recorder,
  problems: readonly EigenProblem[],
  status: GPUBuffer,
  options: EighOptions = {},
): void {
  const { rounds = ROUNDS } = optionsOf("eigh", OPTIONS, options);
  const list = problemsOf("eigh", recorder, "problems", problems);
  if (list.length === 0) throw new ArgumentError("eigh", "problems", "must be at least one");
  const plans = layOut(list);
  checkView("eigh", "status", { buffer: status, rows: 1, cols: plans.length });
  const { capabilities } = recorder.manager.handle;
  const threads = eighThreads(capabilities);
  const kernels = eighKernels(capabilities);
  const buffers = { ...scratchFor(recorder, plans), status };
  const rowGroups = ({ size }: Plan) => Math.ceil(size / ROWS);
  const columnGroups = ({ size }: Plan) => Math.ceil(size / (4 * threads.columns));
  const record = (kernel: Kernel, step: Step) => recordStep(recorder, kernel, plans, buffers, step);

  recorder.clear(buffers.state);
  record(kernels.largest, { groupsOf: rowGroups, target: ({ S }) => S });
  record(kernels.load, { groupsOf: rowGroups, target: ({ S }) => S });
  record(kernels.tridiagonal, { groupsOf: () => 1 });
  record(kernels.basis, { groupsOf: columnGroups });
  for (let round = 0; round < rounds; round++) {
    record(kernels.ql, { groupsOf: () => 1, perGroup: threads.ql });
    record(kernels.rotate, { groupsOf: columnGroups });
  }
  const valueGroups = ({ n }: Plan) => Math.ceil(n / threads.rows);
  record(kernels.values, { groupsOf: valueGroups, target: ({ values }) => values });
  record(kernels.vectors, { groupsOf: rowGroups, target: ({ V }) => V });
}

interface Plan {
  S: Matrix;
  V: Matrix;
  values: Matrix;
  n: number;
  size: number;
  matrixOffset: number;
  reflectorOffset: number;
  vectorOffset: number;
  rotationOffset: number;
  capacity: number;
  index: number;
}

interface Step {
  groupsOf: (plan: Plan) => number;
  /** Of those groups, how many a workgroup is; defaults to 1. */
  perGroup?: number;
  /** The caller's matrix that the kernel reads or writes; a dispatch for each buffer they lie in. */
  target?: (plan: Plan) => Matrix;
}

/** Where each matrix lies in the scratch buffers. */
function layOut(problems: readonly EigenProblem[]): Plan[] {
  let matrixOffset = 0;
  let reflectorOffset = 0;
  let vectorOffset = 0;
  let rotationOffset = 0;
  return problems.map((problem, index) => {
    const S = checkView("eigh", "S", problem.S);
    const V = checkView("eigh", "vectors", problem.vectors);
    if (S.rows !== S.cols) throw new ShapeError("eigh", "S", [S.rows, S.cols], [S.rows, S.rows]);
    const n = S.rows;
    requireShape("eigh", "vectors", V, n, n);
    must("eigh", "values", problem.values, OBJECT);
    const values = checkView("eigh", "values", { ...problem.values, rows: 1, cols: n });
    const size = padded(n);
    const capacity = n + Math.ceil((n * n) / 2);
    const place = { matrixOffset, reflectorOffset, vectorOffset, rotationOffset };
    matrixOffset += size * size;
    reflectorOffset += (n + 1) * size;
    vectorOffset += size;
    rotationOffset += capacity;
    return { S, V, values, n, size, ...place, capacity, index };
  });
}

function scratchFor(recorder: Recorder, plans: readonly Plan[]) {
  const last = plans.at(-1)!;
  const vectors = last.vectorOffset + last.size;
  return {
    state: recorder.scratch(4 * plans.length),
    /** E, then Q'. */
    work: recorder.scratch(last.matrixOffset + last.size * last.size),
    reflectors: recorder.scratch(last.reflectorOffset + (last.n + 1) * last.size),
    tridiagonal: recorder.scratch(3 * vectors),
    update: recorder.scratch(2 * vectors),
    order: recorder.scratch(vectors),
    rotations: recorder.scratch(2 * (last.rotationOffset + last.capacity)),
  };
}

/** One dispatch of a kernel for all matrices, or for all whose target lies in the same buffer. */
function recordStep(
  recorder: Recorder,
  kernel: Kernel,
  plans: readonly Plan[],
  buffers: Readonly<Record<string, GPUBuffer>>,
  { groupsOf, perGroup = 1, target }: Step,
): void {
  for (const part of partition(plans, (plan) => (target ? [target(plan).buffer] : []))) {
    const { rows, groups } = group(part, groupsOf);
    const problems = recorder.manager.table(
      EighProblem,
      rows.map((row) => {
        const { first, n, size, matrixOffset, reflectorOffset, vectorOffset, rotationOffset } = row;
        const { offset, stride } = target?.(row) ?? { offset: 0, stride: 0 };
        const { capacity, index } = row;
        return {
          first,
          n,
          size,
          offset,
          stride,
          matrixOffset,
          reflectorOffset,
          vectorOffset,
          rotationOffset,
          capacity,
          index,
        };
      }),
    );
    const own = target?.(part[0]!).buffer;
    const bindings = { problems, ...buffers, ...(own && { s: own, out: own }) };
    recorder.dispatch(kernel, bindings, Math.ceil(groups / perGroup));
  }
}
