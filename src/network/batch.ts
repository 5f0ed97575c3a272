import { must, whole } from "../arguments.js";
import { ArgumentError, DataError, ShapeError } from "../errors.js";
import { requireFinite, requireLength, requireType } from "../model/arrays.js";
import type { AnyBatch, BatchInputs } from "../model/index.js";
import { checkArrays, type InputPort } from "./inputs.js";
import type { Loss } from "./losses.js";

/** What a network takes. */
export interface BatchShape {
  readonly inputs: readonly InputPort[];
  readonly outputs: number;
  readonly loss: Loss;
  /** Largest count. */
  readonly batchSize: number;
}

/** How far from 1 the probabilities of one example may add up. */
export const SUM_TOLERANCE = 1e-5;

/**
 * Checks a batch before any of it is used. Targets in a `Uint32Array` are class indices, in a `Float32Array` count ×
 * outputs values.
 *
 * @throws ArgumentError for a count out of range or targets of the wrong type, ShapeError for a wrong length, DataError
 *   for a value that is not finite, a class or a probability out of range.
 */
export function checkBatch(operation: string, batch: AnyBatch, shape: BatchShape): void {
  requireBatch(operation, batch);
  checkInputs(operation, batch.inputs, batch.count, shape);
  const { targets, count } = batch;
  const { outputs, loss } = shape;
  if (targets instanceof Uint32Array) {
    if (loss.kind !== "softmaxCrossEntropy") {
      throw new ArgumentError(
        operation,
        "targets",
        `must be a Float32Array of count × outputs values for ${loss.kind}, got class indices`,
      );
    }
    if (targets.length !== count) {
      throw new ShapeError(operation, "targets", [targets.length], [count], "give one class per example");
    }
    for (let i = 0; i < count; i++) {
      if (targets[i]! >= outputs) {
        const message = `hold class ${targets[i]} in example ${i}; pass classes from 0 to ${outputs - 1}`;
        throw new DataError("targets", message, { actual: targets[i], expected: outputs - 1 });
      }
    }
    return;
  }
  requireType(operation, "targets", targets, Float32Array);
  requireLength(operation, "targets", targets, count, outputs);
  requireFinite("targets", targets, outputs);
  if (loss.kind === "halfSquaredError") return;
  for (let i = 0; i < count; i++) {
    let total = 0;
    for (let c = 0; c < outputs; c++) {
      const t = targets[i * outputs + c]!;
      if (t < 0 || t > 1) {
        throw new DataError("targets", `hold ${t} in example ${i}; pass numbers from 0 to 1`, { actual: t });
      }
      total += t;
    }
    if (loss.kind === "softmaxCrossEntropy" && Math.abs(total - 1) > SUM_TOLERANCE) {
      const message = `add up to ${total} in example ${i}; pass probabilities that add up to 1`;
      throw new DataError("targets", message, { actual: total, expected: 1 });
    }
  }
}

/** @throws ArgumentError for what is no batch at all */
export function requireBatch(operation: string, batch: unknown): void {
  if (typeof batch === "object" && batch !== null) return;
  throw new ArgumentError(operation, "batch", `must be an object, got ${String(batch)}`);
}

/** The part of `checkBatch` about the inputs and the count. @throws as `checkBatch` */
export function checkInputs(
  operation: string,
  inputs: BatchInputs,
  count: number,
  shape: Pick<BatchShape, "inputs" | "batchSize">,
): void {
  const { batchSize } = shape;
  must(operation, "count", count, { ...whole(1, batchSize), words: `an integer from 1 to ${batchSize}` });
  checkArrays(operation, shape.inputs, inputs, count);
}
