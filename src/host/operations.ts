import { ArgumentError, DataError, ShapeError } from "../errors.js";
import { eigh } from "../linalg/eigh.js";
import { invert } from "../linalg/invert.js";
import type { MatrixView } from "../linalg/layout/view.js";
import { gram } from "../linalg/products/gram.js";
import { matmul } from "../linalg/products/matmul.js";
import { sandwich } from "../linalg/products/sandwich.js";
import type { PipelineManager, Recorder } from "../pipeline/index.js";

/** A matrix in main memory, row-major: `data[i * cols + j]`. */
export interface HostMatrix {
  readonly rows: number;
  readonly cols: number;
  readonly data: Float32Array;
}

/** What to do with the inverse of a matrix, and how it went: bits of `InvertStatus`, 0 when all is well. */
export interface HostInverse {
  inverse: HostMatrix;
  status: number;
}

/** S = V Λ V', and how it went: bits of `EighStatus`, 0 when all is well. */
export interface HostEigh {
  /** The eigenvalues, rising. */
  values: Float32Array;
  /** V: column j is the unit eigenvector of eigenvalue j. */
  vectors: HostMatrix;
  status: number;
}

/**
 * Runs operations on matrices in main memory: uploads, records, submits once and reads the results back.
 * Convenience; training and embedding work on buffers.
 */
export class HostOperations {
  readonly #manager: PipelineManager;

  constructor(manager: PipelineManager) {
    this.#manager = manager;
  }

  /** α ΣAᵢAᵢ' of one or several matrices d × kᵢ. @throws ShapeError, DataError */
  async gram(options: {
    A: HostMatrix | readonly HostMatrix[];
    alpha?: number;
    biasRow?: boolean;
  }): Promise<HostMatrix> {
    const list = (Array.isArray(options.A) ? options.A : [options.A]) as readonly HostMatrix[];
    const d = (list[0]?.rows ?? 0) + (options.biasRow ? 1 : 0);
    return this.#run("gram", list, [d, d], (recorder, A, into) => {
      gram(recorder, { A, into, alpha: options.alpha, biasRow: options.biasRow });
    });
  }

  /** α op(A) op(B). @throws ShapeError, DataError */
  async matmul(
    A: HostMatrix,
    B: HostMatrix,
    options: { transposeA?: boolean; transposeB?: boolean; alpha?: number } = {},
  ): Promise<HostMatrix> {
    const rows = options.transposeA ? A.cols : A.rows;
    const cols = options.transposeB ? B.rows : B.cols;
    return this.#run("matmul", [A, B], [rows, cols], (recorder, [a, b], into) => {
      matmul(recorder, { A: a!, B: b!, into, ...options });
    });
  }

  /** P G Q with symmetric P and Q. @throws ShapeError, DataError */
  async sandwich(P: HostMatrix, G: HostMatrix, Q: HostMatrix): Promise<HostMatrix> {
    return this.#run("sandwich", [P, G, Q], [G.rows, G.cols], (recorder, [p, g, q], into) => {
      sandwich(recorder, { P: p!, G: g!, Q: q!, into });
    });
  }

  /**
   * (S + λI)⁻¹ of a symmetric positive definite matrix, λ = `damping`, 0 unless given. A failure is a value: the status
   * says so and the inverse is zero.
   *
   * @throws ShapeError, DataError
   */
  async invert(S: HostMatrix, options: { damping?: number } = {}): Promise<HostInverse> {
    const [result] = await this.invertAll([S], options);
    return result!;
  }

  /** The inverses of matrices of any sizes in one grouped sweep. @throws ArgumentError, ShapeError, DataError */
  async invertAll(list: readonly HostMatrix[], options: { damping?: number } = {}): Promise<HostInverse[]> {
    const manager = this.#manager;
    // Deno aborts when it is to write nothing at all to a buffer, so empty lists and matrices must not come that far.
    if (list.length === 0) throw new ArgumentError("invert", "list", "must be at least one matrix");
    for (const S of list) {
      if (S.rows !== S.cols) throw new ShapeError("invert", "S", [S.rows, S.cols], [S.rows, S.rows]);
    }
    const dampings = new Float32Array(list.length).fill(options.damping ?? 0);
    return this.#scoped("invert", async (create) => {
      const sources = list.map((S) => this.#upload("invert", "S", S, create));
      const targets = list.map((S) => ({ buffer: create(S.rows * S.cols), rows: S.rows, cols: S.cols }));
      const damping = create(list.length);
      const status = create(list.length);
      manager.device.queue.writeBuffer(damping, 0, dampings);
      const recorder = manager.record();
      const inversions = sources.map((S, index) => ({ S, into: targets[index]! }));
      invert(recorder, inversions, { dampings: damping, status });
      const ranges = targets.map(({ buffer, rows, cols }) => ({ buffer, bytes: 4 * rows * cols }));
      const bytes = recorder.readRanges([{ buffer: status, bytes: 4 * list.length }, ...ranges]);
      recorder.submit();
      const [words, ...inverses] = await bytes;
      const statuses = new Uint32Array(words!);
      return list.map(({ rows, cols }, index) => {
        return {
          inverse: { rows, cols, data: new Float32Array(inverses[index]!) },
          status: statuses[index]!,
        };
      });
    });
  }

  /**
   * The eigenvalues and eigenvectors of a symmetric matrix, of which the lower half is read. A failure is a value: the
   * status says so, and where S is not finite all numbers are zero.
   *
   * @throws ShapeError, DataError
   */
  async eigh(S: HostMatrix): Promise<HostEigh> {
    const [result] = await this.eighAll([S]);
    return result!;
  }

  /** The eigen-decompositions of matrices of any sizes, all together. @throws ShapeError, DataError */
  async eighAll(list: readonly HostMatrix[]): Promise<HostEigh[]> {
    if (list.length === 0) throw new ArgumentError("eigh", "list", "must be at least one matrix");
    for (const S of list) {
      if (S.rows !== S.cols) throw new ShapeError("eigh", "S", [S.rows, S.cols], [S.rows, S.rows]);
    }
    return this.#scoped("eigh", async (create) => {
      const sources = list.map((S) => this.#upload("eigh", "S", S, create));
      const targets = list.map(({ rows }) => ({
        vectors: { buffer: create(rows * rows), rows, cols: rows },
        values: { buffer: create(rows) },
      }));
      const status = create(list.length);
      const recorder = this.#manager.record();
      eigh(
        recorder,
        sources.map((S, index) => ({ S, ...targets[index]! })),
        status,
      );
      const ranges = targets.flatMap(({ vectors, values }) => [
        { buffer: values.buffer, bytes: 4 * vectors.rows },
        { buffer: vectors.buffer, bytes: 4 * vectors.rows * vectors.rows },
      ]);
      const bytes = recorder.readRanges([{ buffer: status, bytes: 4 * list.length }, ...ranges]);
      recorder.submit();
      const [words, ...results] = await bytes;
      const statuses = new Uint32Array(words!);
      return list.map(({ rows, cols }, index) => ({
        values: new Float32Array(results[2 * index]!),
        vectors: { rows, cols, data: new Float32Array(results[2 * index + 1]!) },
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
    return this.#scoped(operation, async (create) => {
      const views = inputs.map((input, index) =>
        this.#upload(operation, `operand ${index + 1}`, input, create),
      );
      const into = { buffer: create(Math.max(1, rows * cols)), rows, cols };
      const recorder = this.#manager.record();
      try {
        record(recorder, views, into);
      } catch (error) {
        recorder.end();
        throw error;
      }
      const bytes = recorder.read(into.buffer, 0, 4 * rows * cols);
      recorder.submit();
      return { rows, cols, data: new Float32Array(await bytes) };
    });
  }

  /** Buffers made by `create` are freed at the end, whatever happens. */
  async #scoped<T>(
    operation: string,
    body: (create: (length: number) => GPUBuffer) => Promise<T>,
  ): Promise<T> {
    this.#manager.handle.assertUsable();
    const made: GPUBuffer[] = [];
    try {
      return await body((length) => {
        const buffer = this.#manager.createStorage(operation, length);
        made.push(buffer);
        return buffer;
      });
    } finally {
      for (const buffer of made) this.#manager.destroyBuffer(buffer);
    }
  }

  #upload(
    operation: string,
    operand: string,
    matrix: HostMatrix,
    create: (length: number) => GPUBuffer,
  ): MatrixView {
    const { rows, cols, data } = matrix;
    if (data.length !== rows * cols) {
      const sizes = { actual: data.length, expected: rows * cols };
      throw new DataError(
        `${operation}: ${operand}`,
        `has ${data.length} numbers for ${rows} × ${cols}`,
        sizes,
      );
    }
    const buffer = create(rows * cols);
    if (data.length > 0) this.#manager.device.queue.writeBuffer(buffer, 0, data as Float32Array<ArrayBuffer>);
    return { buffer, rows, cols };
  }
}
