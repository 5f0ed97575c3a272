/**
 * The way between matrices in main memory, which have no gaps, and matrices on the GPU, whose rows start on a `vec4f`.
 * It exists once, here.
 */
import { must, OBJECT, objectLike, objectsOf, type Rule, TEXT, whole } from "../arguments.js";
import { ArgumentError, DataError, ShapeError } from "../errors.js";
import { checkView, type Matrix, type MatrixView, paddedLength, paddedView } from "../linalg/index.js";
import type { PipelineManager, Recorder } from "../pipeline/index.js";
import { MANAGER, RECORDER } from "../pipeline/rules.js";
import { unshared } from "../pipeline/unshared.js";

/** A matrix in main memory, row-major: `data[i * cols + j]`. */
export interface HostMatrix {
  readonly rows: number;
  readonly cols: number;
  readonly data: Float32Array;
}

/** A matrix in main memory of either precision; f64 is rounded on its way to the GPU. */
export interface HostNumbers {
  readonly rows: number;
  readonly cols: number;
  readonly data: Float32Array | Float64Array;
}

/** Where the rows of a matrix lie in an array or a buffer, as in a `MatrixView`. */
export type RowLayout = Pick<MatrixView, "rows" | "cols" | "offset" | "stride">;

/** Copies dense rows to their place: `into[offset + i · stride + j] = dense[i · cols + j]`. What lies between them stays. */
export function packRows(
  dense: Float32Array | Float64Array | Uint32Array,
  place: RowLayout,
  into: Float32Array | Uint32Array,
): void {
  const { rows, cols, offset = 0, stride = cols } = place;
  if (stride === cols) {
    into.set(dense.subarray(0, rows * cols), offset);
    return;
  }
  for (let i = 0; i < rows; i++) into.set(dense.subarray(i * cols, (i + 1) * cols), offset + i * stride);
}

/** The opposite of `packRows`: the rows without what lies between them, in an array of their own. */
export function unpackRows(packed: Float32Array, place: RowLayout): Float32Array<ArrayBuffer> {
  const { rows, cols, offset = 0, stride = cols } = place;
  if (stride === cols) return new Float32Array(packed.subarray(offset, offset + rows * cols));
  const dense = new Float32Array(rows * cols);
  for (let i = 0; i < rows; i++) {
    const start = offset + i * stride;
    dense.set(packed.subarray(start, start + cols), i * cols);
  }
  return dense;
}

/** Records the read-back of a view; the promise resolves some time after `recorder.submit()`. */
export async function readMatrix(recorder: Recorder, view: MatrixView): Promise<HostMatrix> {
  const [matrix] = await readMatrices(recorder, [view]);
  return matrix!;
}

/** The same for several views, through one staging buffer. @throws (by rejection) as the first check of any operation on views */
export async function readMatrices(recorder: Recorder, views: readonly MatrixView[]): Promise<HostMatrix[]> {
  must("readMatrices", "recorder", recorder, RECORDER);
  const checked = objectsOf("readMatrices", "views", views).map((view, k) =>
    checkView("readMatrices", `views[${k}]`, view),
  );
  const ranges = checked.map(({ buffer, rows, cols, offset, stride }) => {
    return { buffer, offset: 4 * offset, bytes: 4 * ((rows - 1) * stride + cols) };
  });
  const bytes = await recorder.readRanges(ranges);
  return checked.map(({ rows, cols, stride }, index) => {
    const all = new Float32Array(bytes[index]!);
    return { rows, cols, data: stride === cols ? all : unpackRows(all, { rows, cols, stride }) };
  });
}

/** A matrix as the f64 reference (`kfac-webgpu/reference`) has it, row-major. */
export interface F64Matrix {
  readonly rows: number;
  readonly cols: number;
  readonly data: Float64Array;
}

/** The f64 reference's matrix, rounded to f32. @throws ArgumentError, DataError */
export function toF32(matrix: F64Matrix): HostMatrix {
  const { rows, cols, data } = requireMatrix("toF32", "matrix", matrix);
  return { rows, cols, data: Float32Array.from(data) };
}

/** A matrix that the f64 reference takes. @throws ArgumentError, DataError */
export function toF64(matrix: HostMatrix): F64Matrix {
  const { rows, cols, data } = requireMatrix("toF64", "matrix", matrix);
  return { rows, cols, data: Float64Array.from(data) };
}

/** Matrices on the GPU that are freed together. Their rows are padded to whole `vec4f`s by zeros. */
export class DeviceMatrices implements Disposable {
  readonly #manager: Pick<PipelineManager, "createStorage" | "destroyBuffer" | "device">;
  readonly #label: string;
  readonly #buffers = new Set<GPUBuffer>();

  /** `label` names the buffers in the browser's tools and in errors. */
  constructor(manager: Pick<PipelineManager, "createStorage" | "destroyBuffer" | "device">, label: string) {
    must("DeviceMatrices", "manager", manager, MANAGER);
    must("DeviceMatrices", "label", label, TEXT);
    this.#manager = manager;
    this.#label = label;
  }

  /** A buffer of `length` zeros. @throws ArgumentError, LimitError */
  vector(length: number): GPUBuffer {
    must(this.#label, "length", length, whole(0));
    const buffer = this.#manager.createStorage(this.#label, length);
    this.#buffers.add(buffer);
    return buffer;
  }

  /** rows × cols zeros. @throws ArgumentError, LimitError */
  matrix(rows: number, cols: number): Matrix {
    must(this.#label, "rows", rows, whole(0));
    must(this.#label, "cols", cols, whole(0));
    return paddedView(this.vector(paddedLength(rows, cols)), 0, rows, cols);
  }

  /** A new matrix with these numbers; `name` stands for it in errors. @throws ArgumentError, DataError, LimitError */
  upload(numbers: HostNumbers, name = "matrix"): Matrix {
    requireMatrix(this.#label, name, numbers);
    const view = this.matrix(numbers.rows, numbers.cols);
    this.#send(view, numbers.data);
    return view;
  }

  /**
   * Replaces the numbers of a matrix that `matrix` or `upload` made, before anything that is submitted from now on.
   *
   * @throws ArgumentError for a matrix of another's, ShapeError for another shape, DataError for a wrong length
   */
  write(view: Matrix, numbers: HostNumbers): void {
    requireMatrix(this.#label, "numbers", numbers);
    must(this.#label, "view", view, OBJECT);
    // Of another's matrix the numbers between the rows may mean something, and one write would overwrite them.
    if (!this.#buffers.has(view.buffer)) {
      throw new ArgumentError(this.#label, "view", "must be a matrix that was made here");
    }
    const { rows, cols } = numbers;
    if (rows !== view.rows || cols !== view.cols) {
      throw new ShapeError(this.#label, "numbers", [rows, cols], [view.rows, view.cols]);
    }
    this.#send(view, numbers.data);
  }

  /** Frees all of them. */
  dispose(): void {
    for (const buffer of this.#buffers) this.#manager.destroyBuffer(buffer);
    this.#buffers.clear();
  }

  [Symbol.dispose](): void {
    this.dispose();
  }

  #send(view: Matrix, data: Float32Array | Float64Array): void {
    // Deno aborts when it is to write nothing at all to a buffer.
    if (data.length === 0) return;
    const { queue } = this.#manager.device;
    if (view.stride === view.cols && data instanceof Float32Array) {
      queue.writeBuffer(view.buffer, 0, unshared(data));
      return;
    }
    const all = new Float32Array(paddedLength(view.rows, view.cols));
    packRows(data, view, all);
    queue.writeBuffer(view.buffer, 0, all);
  }
}

const MATRIX = objectLike("a matrix { rows, cols, data }");
const DATA: Rule = {
  words: "a Float32Array or a Float64Array",
  holds: (value) => value instanceof Float32Array || value instanceof Float64Array,
};

/** @throws ArgumentError for what is no matrix in main memory, DataError for a wrong number of numbers */
export function requireMatrix<M extends HostNumbers>(operation: string, operand: string, matrix: M): M {
  must(operation, operand, matrix, MATRIX);
  const { rows, cols, data } = matrix;
  must(operation, `${operand}.rows`, rows, whole(0));
  must(operation, `${operand}.cols`, cols, whole(0));
  must(operation, `${operand}.data`, data, DATA);
  if (data.length === rows * cols) return matrix;
  const message = `has ${data.length} numbers for ${rows} × ${cols}`;
  throw new DataError(`${operation}: ${operand}`, message, { actual: data.length, expected: rows * cols });
}
