/** Data of one step, one example a row. */
export interface Batch {
  /** count × features. */
  inputs: Float32Array;
  /** Class indices (softmax cross entropy) or count × outputs values. */
  targets: Uint32Array | Float32Array;
  count: number;
}

/** Examples start … end − 1 of a data set too large to hold at once. */
export type BatchSupplier = (start: number, end: number) => Batch;
