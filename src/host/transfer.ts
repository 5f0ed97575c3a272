/**
 * The way between matrices in main memory, which have no gaps, and matrices on the GPU, whose rows start on a `vec4f`.
 * It exists once, here.
 */
import { ArgumentError, DataError, ShapeError } from "../errors.js";
import { type Matrix, type MatrixView, paddedLength, paddedView } from "../linalg/index.js";
import type { PipelineManager, Recorder } from "../pipeline/index.js";
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

/** The same for several views, through one staging buffer. */
export async function readMatrices(recorder: Recorder, views: readonly MatrixView[]): Promise<HostMatrix[]> {
  const ranges = views.map(({ buffer, rows, cols, offset = 0, stride = cols }) => {
    return { buffer, offset: 4 * offset, bytes: 4 * ((rows - 1) * stride + cols) };
  });
  const bytes = await recorder.readRanges(ranges);
  return views.map(({ rows, cols, stride = cols }, index) => {
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

/** The f64 reference's matrix, rounded to f32. */
export function toF32({ rows, cols, data }: F64Matrix): HostMatrix {
  return { rows, cols, data: Float32Array.from(data) };
}

/** A matrix that the f64 reference takes. */
export function toF64({ rows, cols, data }: HostMatrix): F64Matrix {
  return { rows, cols, data: Float64Array.from(data) };
}

/** Matrices on the GPU that are freed together. Their rows are padded to whole `vec4f`s by zeros. */
export class DeviceMatrices implements Disposable {
  readonly #manager: Pick<PipelineManager, "createStorage" | "destroyBuffer" | "device">;
  readonly #label: string;
  readonly #buffers = new Set<GPUBuffer>();

  /** `label` names the buffers in the browser's tools and in errors. */
  constructor(manager: Pick<PipelineManager, "createStorage" | "destroyBuffer" | "device">, label: string) {
    this.#manager = manager;
    this.#label = label;
  }

  /** A buffer of `length` zeros. @throws LimitError */
  vector(length: number): GPUBuffer {
    const buffer = this.#manager.createStorage(this.#label, length);
    this.#buffers.add(buffer);
    return buffer;
  }

  /** rows × cols zeros. @throws LimitError */
  matrix(rows: number, cols: number): Matrix {
    return paddedView(this.vector(paddedLength(rows, cols)), 0, rows, cols);
  }

  /** A new matrix with these numbers; `name` stands for it in errors. @throws DataError, LimitError */
  upload(numbers: HostNumbers, name = "matrix"): Matrix {
    requireLength(`${this.#label}: ${name}`, numbers);
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
    // Of another's matrix the numbers between the rows may mean something, and one write would overwrite them.
    if (!this.#buffers.has(view.buffer)) {
      throw new ArgumentError(this.#label, "view", "must be a matrix that was made here");
    }
    const { rows, cols } = numbers;
    if (rows !== view.rows || cols !== view.cols) {
      throw new ShapeError(this.#label, "numbers", [rows, cols], [view.rows, view.cols]);
    }
    requireLength(`${this.#label}: numbers`, numbers);
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

function requireLength(source: string, { rows, cols, data }: HostNumbers): void {
  if (data.length === rows * cols) return;
  throw new DataError(source, `has ${data.length} numbers for ${rows} × ${cols}`, {
    actual: data.length,
    expected: rows * cols,
  });
}
