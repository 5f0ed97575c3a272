/** The numbers of one input, one example after another; indices come as a `Uint32Array`. */
export type InputArray = Float32Array | Uint32Array;

/** What a model reads: one array or, where it has several inputs, an array for each by name. */
export type BatchInputs = InputArray | Readonly<Record<string, InputArray>>;

/** Data of one step, one example a row. Inputs are one array of numbers unless `Inputs` says otherwise. */
export interface Batch<Inputs extends BatchInputs = Float32Array> {
  /** count × features, of each input. */
  inputs: Inputs;
  /** Class indices (softmax cross entropy) or count × outputs values. */
  targets: Uint32Array | Float32Array;
  count: number;
}

/** A batch for any model: of numbers, indices, or several inputs. */
export type AnyBatch = Batch<BatchInputs>;

/**
 * Some examples of a data set that lies on the GPU, in some order: `GpuDataset` makes it. It holds their numbers and none of
 * their data, does not change, and can be kept.
 */
export interface DatasetBatch {
  readonly count: number;
  /** The data set that they are of. */
  readonly dataset: object;
  /** Examples start … end − 1 of these. */
  part(start: number, end: number): DatasetBatch;
}

/** What a model may be given: a batch of arrays, or one of a data set on the GPU. */
export type ModelBatch = AnyBatch | DatasetBatch;

/** Whether it is of a data set on the GPU. What is no batch is none of those. */
export function isDatasetBatch(batch: unknown): batch is DatasetBatch {
  return typeof batch === "object" && batch !== null && "dataset" in batch;
}

/** Examples start … end − 1 of a data set too large to hold at once. */
export type BatchSupplier<Inputs extends BatchInputs = Float32Array> = (
  start: number,
  end: number,
) => Batch<Inputs>;

/** Inputs of the same names with every array changed. */
export function mapInputs(
  inputs: BatchInputs,
  change: (array: InputArray, name?: string) => InputArray,
): BatchInputs {
  if (typeof inputs !== "object" || inputs === null || ArrayBuffer.isView(inputs)) {
    return change(inputs as InputArray);
  }
  return Object.fromEntries(Object.entries(inputs).map(([name, array]) => [name, change(array, name)]));
}

/** A batch in memory of its own. What is no array is left for `load` to refuse. */
export function copyBatch(batch: ModelBatch): ModelBatch {
  if (isDatasetBatch(batch)) return batch;
  return { ...batch, inputs: mapInputs(batch.inputs, copied), targets: copied(batch.targets) };
}

function copied<T extends InputArray>(array: T): T {
  return ArrayBuffer.isView(array) && "slice" in array ? (array.slice() as T) : array;
}
