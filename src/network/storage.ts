import { type Matrix, padded } from "../linalg/index.js";
import type { PipelineManager } from "../pipeline/index.js";

/**
 * Matrices of one row per example (or per curvature column and example) in one buffer, and their transposes in
 * another: products read transposed copies, and one dispatch can serve all layers whose operands share buffers.
 * Places are taken first; `ensure` then makes buffers for so many rows.
 */
export class RowStorage {
  readonly #manager: PipelineManager;
  readonly #label: string;
  #buffers: { rows: GPUBuffer; transposed: GPUBuffer } | undefined;
  #capacity = 0;
  /** Sum of the places' padded columns, and of their columns. */
  #width = 0;
  #height = 0;

  constructor(manager: PipelineManager, label: string) {
    this.#manager = manager;
    this.#label = label;
  }

  /** Most rows that a place holds now. */
  get capacity(): number {
    return this.#capacity;
  }

  get buffers(): { rows: GPUBuffer; transposed: GPUBuffer } {
    if (!this.#buffers) throw new Error(`${this.#label}: ensure() comes before use`);
    return this.#buffers;
  }

  place(cols: number): RowPlace {
    const place = new RowPlace(this, cols, this.#width, this.#height);
    this.#width += padded(cols);
    this.#height += cols;
    return place;
  }

  /**
   * Makes room for `capacity` rows; what was stored is lost when it grows. True when it did.
   *
   * @throws LimitError when a buffer would be larger than the device allows; then nothing has changed.
   */
  ensure(capacity: number): boolean {
    if (capacity <= this.#capacity) return false;
    const rows = this.#manager.createStorage(this.#label, capacity * this.#width);
    let transposed: GPUBuffer;
    try {
      transposed = this.#manager.createStorage(`${this.#label}'`, padded(capacity) * this.#height);
    } catch (error) {
      this.#manager.destroyBuffer(rows);
      throw error;
    }
    this.dispose();
    this.#buffers = { rows, transposed };
    this.#capacity = capacity;
    return true;
  }

  dispose(): void {
    if (this.#buffers) {
      this.#manager.destroyBuffer(this.#buffers.rows);
      this.#manager.destroyBuffer(this.#buffers.transposed);
    }
    this.#buffers = undefined;
    this.#capacity = 0;
  }
}

/** One matrix of a `RowStorage`, capacity × cols, and its transpose. */
export class RowPlace {
  readonly cols: number;
  readonly #storage: RowStorage;
  readonly #columnsBefore: number;
  readonly #rowsBefore: number;

  constructor(storage: RowStorage, cols: number, columnsBefore: number, rowsBefore: number) {
    this.#storage = storage;
    this.cols = cols;
    this.#columnsBefore = columnsBefore;
    this.#rowsBefore = rowsBefore;
  }

  /** Rows first … first + count − 1, of which the first `cols` columns: count × cols. */
  rows(count: number, cols = this.cols, first = 0): Matrix {
    const stride = padded(this.cols);
    const offset = this.#storage.capacity * this.#columnsBefore + first * stride;
    return { buffer: this.#storage.buffers.rows, offset, rows: count, cols, stride };
  }

  /** The transpose of the first `count` rows and `cols` columns: cols × count. */
  transposed(count: number, cols = this.cols): Matrix {
    const stride = padded(this.#storage.capacity);
    const offset = stride * this.#rowsBefore;
    return { buffer: this.#storage.buffers.transposed, offset, rows: cols, cols: count, stride };
  }
}
