import { ANYTHING, FLAG, LIST, must, NON_NEGATIVE, NUMBER, OBJECT, optionsOf } from "../arguments.js";
import { ArgumentError, ShapeError } from "../errors.js";
import { eigh } from "../linalg/eigh.js";
import { InvertStatus, invert } from "../linalg/invert.js";
import type { MatrixView } from "../linalg/layout/view.js";
import { gram } from "../linalg/products/gram.js";
import { matmul } from "../linalg/products/matmul.js";
import { PRECISION, type Precision, requirePrecision } from "../linalg/products/precision.js";
import { sandwich } from "../linalg/products/sandwich.js";
import type { PipelineManager, Recorder } from "../pipeline/index.js";
import { DeviceMatrices, type HostMatrix, readMatrices, readMatrix, requireMatrix } from "./transfer.js";

/** The inverse of a matrix, and how it went. */
export interface HostInverse {
  /** Zero where it failed. */
  inverse: HostMatrix;
  /** 0, or why there is no inverse: `InvertStatus.notPositiveDefinite`, `nonFinite`. */
  status: number;
  /** A damping was asked for that f32 hardly notices beside the matrix's numbers; the inverse is as good as without. */
  dampingBelowFloor: boolean;
}

/** S = V Λ V', and how it went: bits of `EighStatus`, 0 when all is well. */
export interface HostEigh {
  /** The eigenvalues, rising. */
  values: Float32Array;
  /** V: column j is the unit eigenvector of eigenvalue j. */
  vectors: HostMatrix;
  status: number;
}

const GRAM = { A: ANYTHING, alpha: NUMBER, biasRow: FLAG, precision: PRECISION };
const MATMUL = { transposeA: FLAG, transposeB: FLAG, alpha: NUMBER, precision: PRECISION };
const INVERT = { damping: NON_NEGATIVE };

/**
 * Runs operations on matrices in main memory: uploads, records, submits once and reads the results back.
 * Convenience; training and embedding work on buffers.
 */
export class HostOperations {
  readonly #manager: PipelineManager;

  constructor(manager: PipelineManager) {
    this.#manager = manager;
  }

  /**
   * α ΣAᵢAᵢ' of one or several matrices d × kᵢ, in f16 if `precision` says so.
   *
   * @throws ArgumentError, ShapeError, DataError, FeatureError for f16 on a device without it
   */
  async gram(options: {
    A: HostMatrix | readonly HostMatrix[];
    alpha?: number;
    biasRow?: boolean;
    precision?: Precision;
  }): Promise<HostMatrix> {
    must("gram", "options", options, OBJECT);
    const { A: given, alpha, biasRow, precision } = optionsOf("gram", GRAM, options);
    requirePrecision("gram", this.#manager, precision);
    const list = (Array.isArray(given) ? given : [given]) as readonly HostMatrix[];
    for (const [k, A] of list.entries()) requireMatrix("gram", list.length > 1 ? `A[${k}]` : "A", A);
    const d = (list[0]?.rows ?? 0) + (biasRow ? 1 : 0);
    return this.#run("gram", list, [d, d], (recorder, A, into) => {
      gram(recorder, { A, into, alpha, biasRow, precision });
    });
  }

  /**
   * α op(A) op(B), in f16 if `precision` says so.
   *
   * @throws ArgumentError, ShapeError, DataError, FeatureError for f16 on a device without it
   */
  async matmul(
    A: HostMatrix,
    B: HostMatrix,
    options: { transposeA?: boolean; transposeB?: boolean; alpha?: number; precision?: Precision } = {},
  ): Promise<HostMatrix> {
    const { transposeA, transposeB, precision } = optionsOf("matmul", MATMUL, options);
    requirePrecision("matmul", this.#manager, precision);
    requireMatrix("matmul", "A", A);
    requireMatrix("matmul", "B", B);
    const rows = transposeA ? A.cols : A.rows;
    const cols = transposeB ? B.rows : B.cols;
    return this.#run("matmul", [A, B], [rows, cols], (recorder, [a, b], into) => {
      matmul(recorder, { A: a!, B: b!, into, ...options });
    });
  }

  /** P G Q with symmetric P and Q. @throws ArgumentError, ShapeError, DataError */
  async sandwich(P: HostMatrix, G: HostMatrix, Q: HostMatrix): Promise<HostMatrix> {
    for (const [name, matrix] of Object.entries({ P, G, Q })) requireMatrix("sandwich", name, matrix);
    return this.#run("sandwich", [P, G, Q], [G.rows, G.cols], (recorder, [p, g, q], into) => {
      sandwich(recorder, { P: p!, G: g!, Q: q!, into });
    });
  }

  /**
   * (S + λI)⁻¹ of a symmetric positive definite matrix, λ = `damping`, which defaults to 0. A failure is a value: the status
   * says so and the inverse is zero.
   *
   * @throws ArgumentError, ShapeError, DataError
   */
  async invert(S: HostMatrix, options: { damping?: number } = {}): Promise<HostInverse> {
    const [result] = await this.invertAll([S], options);
    return result!;
  }

  /** The inverses of matrices of any sizes in one grouped sweep. @throws ArgumentError, ShapeError, DataError */
  async invertAll(list: readonly HostMatrix[], options: { damping?: number } = {}): Promise<HostInverse[]> {
    const { damping = 0 } = optionsOf("invert", INVERT, options);
    requireSquare("invert", list);
    return this.#scoped("invert", async (memory) => {
      const inversions = list.map((S) => ({
        S: memory.upload(S, "S"),
        into: memory.matrix(S.rows, S.cols),
      }));
      const dampings = { rows: 1, cols: list.length, data: new Float32Array(list.length) };
      dampings.data.fill(damping);
      const lambda = memory.upload(dampings, "damping").buffer;
      const status = memory.vector(list.length);
      const recorder = this.#manager.record();
      recorded(recorder, () => invert(recorder, inversions, { dampings: lambda, status }));
      const words = recorder.read(status, 0, 4 * list.length);
      const reading = readMatrices(
        recorder,
        inversions.map(({ into }) => into),
      );
      recorder.submit();
      const inverses = await reading;
      const statuses = new Uint32Array(await words);
      const low = InvertStatus.dampingBelowFloor;
      return inverses.map((inverse, index) => ({
        inverse,
        status: statuses[index]! & ~low,
        dampingBelowFloor: damping > 0 && (statuses[index]! & low) !== 0,
      }));
    });
  }

  /**
   * The eigenvalues and eigenvectors of a symmetric matrix, of which the lower half is read. A failure is a value: the
   * status says so, and where S is not finite all numbers are zero.
   *
   * @throws ArgumentError, ShapeError, DataError
   */
  async eigh(S: HostMatrix): Promise<HostEigh> {
    const [result] = await this.eighAll([S]);
    return result!;
  }

  /** The eigen-decompositions of matrices of any sizes, all together. @throws ArgumentError, ShapeError, DataError */
  async eighAll(list: readonly HostMatrix[]): Promise<HostEigh[]> {
    requireSquare("eigh", list);
    return this.#scoped("eigh", async (memory) => {
      const problems = list.map((S) => ({
        S: memory.upload(S, "S"),
        vectors: memory.matrix(S.rows, S.rows),
        values: { buffer: memory.vector(S.rows) },
      }));
      const status = memory.vector(list.length);
      const recorder = this.#manager.record();
      recorded(recorder, () => eigh(recorder, problems, status));
      const words = recorder.read(status, 0, 4 * list.length);
      const views = problems.flatMap(({ S, vectors, values }) => [
        vectors,
        { ...values, rows: 1, cols: S.rows },
      ]);
      const reading = readMatrices(recorder, views);
      recorder.submit();
      const results = await reading;
      const statuses = new Uint32Array(await words);
      return list.map((_, index) => ({
        values: results[2 * index + 1]!.data,
        vectors: results[2 * index]!,
        status: statuses[index]!,
      }));
    });
  }

  async #run(
    operation: string,
    inputs: readonly HostMatrix[],
    [rows, cols]: [number, number],
    record: (recorder: Recorder, views: MatrixView[], into: MatrixView) => void,
  ): Promise<HostMatrix> {
    return this.#scoped(operation, async (memory) => {
      const views = inputs.map((input, index) => memory.upload(input, `operand ${index + 1}`));
      const into = memory.matrix(rows, cols);
      const recorder = this.#manager.record();
      recorded(recorder, () => record(recorder, views, into));
      const reading = readMatrix(recorder, into);
      recorder.submit();
      return reading;
    });
  }

  /** Matrices that `body` makes are freed at the end, whatever happens. */
  async #scoped<T>(operation: string, body: (memory: DeviceMatrices) => Promise<T>): Promise<T> {
    this.#manager.handle.assertUsable();
    const memory = new DeviceMatrices(this.#manager, operation);
    try {
      return await body(memory);
    } finally {
      memory.dispose();
    }
  }
}

/** @throws ArgumentError for what is no list of matrices, DataError, ShapeError */
function requireSquare(operation: string, list: readonly HostMatrix[]): void {
  must(operation, "list", list, LIST);
  if (list.length === 0) throw new ArgumentError(operation, "list", "must be at least one matrix");
  for (const S of list) {
    const { rows, cols } = requireMatrix(operation, "S", S);
    if (rows !== cols) throw new ShapeError(operation, "S", [rows, cols], [rows, rows]);
  }
}

/** Ends the recording where an operation refuses its operands, so that scratch goes back to the pool. */
function recorded(recorder: Recorder, record: () => void): void {
  try {
    record();
  } catch (error) {
    recorder.end();
    throw error;
  }
}
