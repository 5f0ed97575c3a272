import { shown } from "../arguments.js";
import { CheckpointError } from "../errors.js";
import type { StateTensor } from "./ranges.js";

/** The tensors of an optimiser, for a checkpoint. */
export type OptimizerState = Record<string, Float32Array | Uint32Array>;

/** The buffer of a tensor. */
export function bufferOf(tensor: StateTensor): GPUBuffer {
  return "words" in tensor ? tensor.buffer : tensor;
}

/** The bytes of a tensor as numbers. */
export function numbersOf(tensor: StateTensor, bytes: ArrayBuffer): Float32Array | Uint32Array {
  return "words" in tensor ? new Uint32Array(bytes) : new Float32Array(bytes);
}

/**
 * Holds a state against the tensors of optimiser `name`.
 *
 * @returns the number of steps taken
 * @throws CheckpointError naming the part at fault
 */
export function checkState(
  name: string,
  tensors: Readonly<Record<string, StateTensor>>,
  state: OptimizerState,
): number {
  if (typeof state !== "object" || state === null) {
    throw new CheckpointError("optimizer", `must be an object of arrays, got ${shown(state)}`);
  }
  const step = state.step?.[0];
  if (step === undefined) throw new CheckpointError("optimizer.step", "is missing");
  if (!(state.step instanceof Uint32Array)) {
    throw new CheckpointError("optimizer.step", `must be a Uint32Array, got ${shown(state.step)}`);
  }
  if (!(Number.isInteger(step) && step >= 0)) {
    throw new CheckpointError("optimizer.step", `must be a whole number, got ${step}`);
  }
  const foreign = Object.keys(state).find((part) => part !== "step" && !Object.hasOwn(tensors, part));
  if (foreign !== undefined) {
    throw new CheckpointError(`optimizer.${foreign}`, `does not belong to ${name}`);
  }
  for (const [part, tensor] of Object.entries(tensors)) {
    const data = state[part];
    const { size } = bufferOf(tensor);
    if (!data) {
      throw new CheckpointError(`optimizer.${part}`, `is missing; this is not a checkpoint of ${name}`);
    }
    const type = "words" in tensor ? Uint32Array : Float32Array;
    if (!(data instanceof type)) {
      throw new CheckpointError(`optimizer.${part}`, `must be a ${type.name}, got ${typeName(data)}`);
    }
    if (data.byteLength !== size) {
      const sizes = `has ${data.length} numbers, this network needs ${size / 4}`;
      throw new CheckpointError(`optimizer.${part}`, sizes);
    }
    if (data instanceof Float32Array && !data.every(Number.isFinite)) {
      throw new CheckpointError(`optimizer.${part}`, "holds numbers that are not finite");
    }
  }
  return step;
}

function typeName(value: unknown): string {
  return Object.prototype.toString.call(value).slice(8, -1);
}
