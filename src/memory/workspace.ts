import { type Matrix, padded } from "../linalg/index.js";
import type { PipelineManager } from "../pipeline/index.js";
import { ParameterStorage } from "./parameters.js";
import { type PassFacts, RecordedPass } from "./recorded-pass.js";
import { RowStorage } from "./storage.js";

/** A buffer that is taken when layers are built and made when the network's memory is. */
interface Lease {
  label: string;
  length: number;
  buffer: GPUBuffer | undefined;
}

/** The memory that the layers of one network share. */
export class Workspace {
  readonly batchSize: number;
  /** Most elements that the patches of a convolution take at a time, and how many are best where they are few. */
  readonly chunkLength: { readonly most: number; readonly best: number };
  readonly parameters: ParameterStorage;
  /** Vectors of layers that never read one and write another in one dispatch: all may lie in one buffer. */
  readonly values: RowStorage;
  /**
   * Derivatives, blocks of `count` rows under each other: the gradient's first, then one for each curvature column. They
   * go back through the network together.
   */
  readonly deltas: RowStorage;
  /** Derivatives of values along directions in the weights, blocks of `count` rows under each other, one for each direction. */
  readonly tangents: RowStorage;
  readonly #manager: PipelineManager;
  #pass: RecordedPass | undefined;
  readonly #ownValues: RowStorage[] = [];
  readonly #ownDeltas: RowStorage[] = [];
  readonly #ownTangents: RowStorage[] = [];
  readonly #leases: Lease[] = [];
  /** Patches of a chunk, and the derivatives that meet them: all convolutions use them in turn. */
  readonly #patches: Lease = { label: "patches", length: 0, buffer: undefined };
  readonly #columns: Lease = { label: "chunk derivatives", length: 0, buffer: undefined };

  constructor(
    manager: PipelineManager,
    options: { batchSize: number; chunkBytes: { most: number; best: number } },
  ) {
    this.#manager = manager;
    this.batchSize = options.batchSize;
    const { most, best } = options.chunkBytes;
    this.chunkLength = { most: Math.floor(most / 4), best: Math.floor(best / 4) };
    this.parameters = new ParameterStorage(manager);
    this.values = new RowStorage(manager, "values", { transposes: true });
    this.deltas = new RowStorage(manager, "deltas", { transposes: true });
    this.tangents = new RowStorage(manager, "tangents", { transposes: true, retires: true });
  }

  /**
   * Storage of values with so many positions in a buffer of its own: images are large and bindings are bounded, and a
   * dispatch may not read and write one buffer.
   */
  ownValues(positions: number): RowStorage {
    const storage = new RowStorage(this.#manager, positions === 1 ? "own values" : "images", { positions });
    this.#ownValues.push(storage);
    return storage;
  }

  /** The same for their derivatives. */
  ownDeltas(positions: number): RowStorage {
    const label = positions === 1 ? "own deltas" : "image deltas";
    const storage = new RowStorage(this.#manager, label, { positions });
    this.#ownDeltas.push(storage);
    return storage;
  }

  /** The same for their derivatives along directions. */
  ownTangents(positions: number): RowStorage {
    const label = positions === 1 ? "own tangents" : "image tangents";
    const storage = new RowStorage(this.#manager, label, { positions, retires: true });
    this.#ownTangents.push(storage);
    return storage;
  }

  /** A buffer of the network's, made with the rest of its memory. */
  lease(label: string, length: number): () => GPUBuffer {
    const lease: Lease = { label, length, buffer: undefined };
    this.#leases.push(lease);
    return () => bufferOf(lease);
  }

  /** Room for the patches of `rows` positions, `columns` numbers each, and for the derivatives of `out` outputs there. */
  reservePatches(rows: number, columns: number, out: number): void {
    const patches = Math.max(rows * padded(columns), padded(rows) * columns);
    this.#patches.length = Math.max(this.#patches.length, patches);
    this.#columns.length = Math.max(this.#columns.length, padded(rows) * out);
  }

  /** Patches of a chunk, one position a row or, transposed, a column. Whoever records next overwrites them. */
  patches(rows: number, cols: number): Matrix {
    return { buffer: bufferOf(this.#patches), offset: 0, rows, cols, stride: padded(cols) };
  }

  /** The transposed derivatives of a chunk's outputs, out × rows. Whoever records next overwrites them. */
  columns(out: number, rows: number): Matrix {
    return { buffer: bufferOf(this.#columns), offset: 0, rows: out, cols: rows, stride: padded(rows) };
  }

  /** Makes what does not depend on curvature. @throws LimitError when a buffer would be larger than the device allows. */
  allocate(): void {
    this.parameters.allocate();
    for (const storage of [this.values, ...this.#ownValues]) storage.ensure(this.batchSize);
    for (const lease of [this.#patches, this.#columns, ...this.#leases]) {
      if (lease.length > 0) lease.buffer = this.#manager.createStorage(lease.label, lease.length);
    }
  }

  /**
   * Makes room for derivatives of `examples` examples; when it grows, the rows of the last pass are lost and the pass is over.
   *
   * @throws LimitError when a buffer would be larger than the device allows.
   */
  ensureDeltas(examples: number): void {
    let grew = false;
    try {
      for (const storage of [this.deltas, ...this.#ownDeltas]) grew = storage.ensure(examples) || grew;
    } finally {
      if (grew) this.endPass();
    }
  }

  /**
   * Makes room for tangents of `examples` examples: of the batch, for each direction.
   *
   * @throws LimitError when a buffer would be larger than the device allows.
   */
  ensureTangents(examples: number): void {
    for (const storage of [this.tangents, ...this.#ownTangents]) storage.ensure(examples);
  }

  /** The rows are those of this pass from here on. */
  beginPass(facts: PassFacts): RecordedPass {
    const pass = new RecordedPass(facts, (own) => own === this.#pass);
    this.#pass = pass;
    return pass;
  }

  /** What is in the rows belongs to no pass any more. */
  endPass(): void {
    this.#pass = undefined;
  }

  dispose(): void {
    this.endPass();
    const storages = [this.values, this.deltas, this.tangents];
    const own = [...this.#ownValues, ...this.#ownDeltas, ...this.#ownTangents];
    for (const storage of [this.parameters, ...storages, ...own]) storage.dispose();
    for (const lease of [this.#patches, this.#columns, ...this.#leases]) {
      if (lease.buffer) this.#manager.destroyBuffer(lease.buffer);
      lease.buffer = undefined;
    }
  }
}

function bufferOf({ label, buffer }: Lease): GPUBuffer {
  if (!buffer) throw new Error(`${label}: allocate() comes before use`);
  return buffer;
}
