import { AbortedError, ShapeError } from "../errors.js";
import { requireType } from "../model/arrays.js";
import type { AnyBatch, BatchInputs, BatchSupplier } from "../model/index.js";
import { arraysOf, type InputPort, operandOf, sliceInputs } from "./inputs.js";

/**
 * The chunks of whole arrays, without a copy.
 *
 * @throws ShapeError when their lengths do not fit the count, ArgumentError where arrays are missing or of
 * another type.
 */
export function slices(
  { inputs, targets, count }: AnyBatch,
  { ports, outputs }: { ports: readonly InputPort[]; outputs: number },
): BatchSupplier<BatchInputs> {
  const indexed = targets instanceof Uint32Array;
  if (!indexed) requireType("evaluate", "targets", targets, Float32Array);
  const width = indexed ? 1 : outputs;
  for (const [port, array] of arraysOf("evaluate", ports, inputs)) {
    port.checkType("evaluate", operandOf(ports, port), array);
    if (array.length === count * port.features) continue;
    throw new ShapeError("evaluate", operandOf(ports, port), [array.length], [count, port.features]);
  }
  if (targets.length !== count * width) {
    throw new ShapeError("evaluate", "targets", [targets.length], [count, width]);
  }
  return (start, end) => ({
    inputs: sliceInputs(ports, inputs, start, end),
    targets: targets.subarray(start * width, end * width),
    count: end - start,
  });
}

/** Submits under way at a time: enough to hide the way there and back, few enough to bound memory. */
const IN_FLIGHT = 4;

/**
 * Runs `total` examples in chunks of `size`; `submit` sends one chunk and promises its result. The next chunk is sent
 * while earlier ones are under way. On an error, everything under way ends before it is thrown.
 *
 * @throws AbortedError once `signal` fires.
 */
export async function inChunks<T>(
  operation: string,
  total: number,
  size: number,
  submit: (start: number, end: number) => Promise<T>,
  signal?: AbortSignal,
): Promise<T[]> {
  const results: Promise<T>[] = [];
  try {
    for (let start = 0; start < total; start += size) {
      if (signal?.aborted) throw new AbortedError(operation, signal.reason);
      const result = submit(start, Math.min(start + size, total));
      // Its error is met below, but perhaps only after the runtime has looked.
      result.catch(() => {});
      results.push(result);
      if (results.length >= IN_FLIGHT) await results[results.length - IN_FLIGHT];
    }
    return await Promise.all(results);
  } catch (error) {
    await Promise.allSettled(results);
    throw error;
  }
}
