import { type Matrix, padded } from "../linalg/index.js";
import type { PipelineManager } from "../pipeline/index.js";

/**
 * Matrices of one row per example (or per curvature column and example) in one buffer, and their transposes in
 * another: products read transposed copies, and one dispatch can serve all layers whose operands share buffers.
 * Places are taken first; `ensure` then makes buffers for so many rows.
 *
 * Images have one row per position, `positions` of them for each example. Transposes are kept where somebody asks for them.
 */
export class RowStorage {
  readonly #manager: PipelineManager;
  readonly #label: string;
  readonly #positions: number;
  readonly #retires: boolean;
  readonly #retired: GPUBuffer[] = [];
  #transposes: boolean;
  #buffers: { rows: GPUBuffer; transposed: GPUBuffer | undefined } | undefined;
  #capacity = 0;
  /** Sum of the places' padded columns, and of their columns. */
  #width = 0;
  #height = 0;

  /** @param options.retires keeps buffers that have become too small, for what is recorded with them but not yet submitted */
  constructor(
    manager: PipelineManager,
    label: string,
    options: { positions?: number; transposes?: boolean; retires?: boolean } = {},
  ) {
    const { positions = 1, transposes = false, retires = false } = options;
    this.#manager = manager;
    this.#label = label;
    this.#positions = positions;
    this.#retires = retires;
    this.#transposes = transposes;
  }

  /** Most rows that a place holds now. */
  get capacity(): number {
    return this.#capacity;
  }

  get keepsTransposes(): boolean {
    return this.#transposes;
  }

  /** Keeps transposes from here on. To be called before `ensure`, by whoever will read them. */
  keepTransposes(): void {
    if (this.#buffers && !this.#transposes) throw new Error(`${this.#label}: ensure() came before use`);
    this.#transposes = true;
  }

  get rows(): GPUBuffer {
    if (!this.#buffers) throw new Error(`${this.#label}: ensure() comes before use`);
    return this.#buffers.rows;
  }

  get transposed(): GPUBuffer {
    if (!this.#buffers?.transposed) throw new Error(`${this.#label}: no transposes are kept`);
    return this.#buffers.transposed;
  }

  place(cols: number): RowPlace {
    const place = new RowPlace(this, cols, this.#width, this.#height);
    this.#width += padded(cols);
    this.#height += cols;
    return place;
  }

  /**
   * Makes room for `capacity` examples; what was stored is lost when it grows. True when it did.
   *
   * @throws LimitError when a buffer would be larger than the device allows; then nothing has changed.
   */
  ensure(examples: number): boolean {
    const capacity = examples * this.#positions;
    if (capacity <= this.#capacity) return false;
    const rows = this.#manager.createStorage(this.#label, capacity * this.#width);
    let transposed: GPUBuffer | undefined;
    try {
      if (this.#transposes)
        transposed = this.#manager.createStorage(`${this.#label}'`, padded(capacity) * this.#height);
    } catch (error) {
      this.#manager.destroyBuffer(rows);
      throw error;
    }
    if (this.#retires) this.#retired.push(...this.#own());
    else this.#free(this.#own());
    this.#buffers = { rows, transposed };
    this.#capacity = capacity;
    return true;
  }

  dispose(): void {
    this.#free([...this.#own(), ...this.#retired.splice(0)]);
    this.#buffers = undefined;
    this.#capacity = 0;
  }

  #own(): GPUBuffer[] {
    return Object.values(this.#buffers ?? {}).filter((buffer) => buffer !== undefined);
  }

  #free(buffers: readonly GPUBuffer[]): void {
    for (const buffer of buffers) this.#manager.destroyBuffer(buffer);
  }
}

/** One matrix of a `RowStorage`, capacity × cols, and its transpose. */
export class RowPlace {
  readonly cols: number;
  readonly storage: RowStorage;
  readonly #columnsBefore: number;
  readonly #rowsBefore: number;

  constructor(storage: RowStorage, cols: number, columnsBefore: number, rowsBefore: number) {
    this.storage = storage;
    this.cols = cols;
    this.#columnsBefore = columnsBefore;
    this.#rowsBefore = rowsBefore;
  }

  /** Rows first … first + count − 1, of which the first `cols` columns: count × cols. */
  rows(count: number, cols = this.cols, first = 0): Matrix {
    const stride = padded(this.cols);
    const offset = this.storage.capacity * this.#columnsBefore + first * stride;
    return { buffer: this.storage.rows, offset, rows: count, cols, stride };
  }

  /** The transpose of the first `count` rows and `cols` columns: cols × count. */
  transposed(count: number, cols = this.cols): Matrix {
    const stride = padded(this.storage.capacity);
    const offset = stride * this.#rowsBefore;
    return { buffer: this.storage.transposed, offset, rows: cols, cols: count, stride };
  }
}
