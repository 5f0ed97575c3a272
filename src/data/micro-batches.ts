import { must, objectLike, shown, whole } from "../arguments.js";
import { ArgumentError, ShapeError } from "../errors.js";
import { type InputArray, isDatasetBatch, type ModelBatch, mapInputs } from "../model/batch.js";

/**
 * A batch in micro-batches of at most `size` examples, in its order and as equal as they can be, for a step of an optimiser whose
 * network takes no more at a time: `optimizer.step(microBatches(batch, network.batchSize))`. Nothing is copied.
 *
 * @throws ArgumentError unless `size` and `batch.count` are positive whole numbers and all else arrays, ShapeError for an array that does not hold as
 *   many numbers for each example
 */
export function microBatches<B extends ModelBatch>(batch: B, size: number): B[] {
  must("microBatches", "batch", batch, objectLike("{ inputs, targets, count }, or a batch of a data set"));
  must("microBatches", "count", batch.count, whole(1));
  must("microBatches", "size", size, whole(1));
  const { count } = batch;
  const parts = Math.ceil(count / size);
  return Array.from({ length: parts }, (_, k) => {
    const [start, end] = [Math.floor((k * count) / parts), Math.floor(((k + 1) * count) / parts)];
    if (isDatasetBatch(batch)) return batch.part(start, end) as B;
    const { inputs, targets } = batch;
    const part = (array: InputArray, name: string) => {
      if (!ArrayBuffer.isView(array)) {
        throw new ArgumentError("microBatches", name, `must be an array of numbers, got ${shown(array)}`);
      }
      const width = (array as InputArray).length / count;
      if (!Number.isInteger(width)) throw new ShapeError("microBatches", name, [array.length], [count, "?"]);
      return array.subarray(start * width, end * width);
    };
    return {
      ...batch,
      inputs: mapInputs(inputs, (array, name) =>
        part(array, name === undefined ? "inputs" : `inputs.${name}`),
      ),
      targets: part(targets, "targets"),
      count: end - start,
    };
  });
}
