import { OBJECT, shown } from "../arguments.js";
import { ArgumentError, DataError } from "../errors.js";
import { type Form, featuresOf } from "../layers/form.js";
import { columnsOfForm, positionsOfForm, Values } from "../layers/values.js";
import type { RowPlace } from "../memory/storage.js";
import type { Workspace } from "../memory/workspace.js";
import { placeIn, requireFinite, requireLength, requireType } from "../model/arrays.js";
import { type BatchInputs, type InputArray, mapInputs } from "../model/batch.js";
import { unshared } from "../pipeline/unshared.js";

/** One input of a network: where its batches are checked, and how they reach the GPU. */
export class InputPort {
  readonly name: string;
  readonly form: Form;
  /** What is uploaded. Of images the vectors of a batch, (channel, y, x), which have yet to be turned into images. */
  readonly values: Values;
  readonly #rows: number;
  readonly #cols: number;
  #staging: Float32Array<ArrayBuffer> | Uint32Array<ArrayBuffer> | undefined;

  constructor(workspace: Workspace, name: string, form: Form) {
    this.name = name;
    this.form = form;
    const uploaded: Form = form.kind === "image" ? { kind: "vector", features: featuresOf(form) } : form;
    this.#rows = positionsOfForm(uploaded);
    this.#cols = columnsOfForm(uploaded);
    this.values = new Values(uploaded, placeOf(workspace, form, this.#rows, this.#cols), undefined);
  }

  /** Numbers of an example. */
  get features(): number {
    return featuresOf(this.form);
  }

  /**
   * @param operand what the array is, for messages
   * @throws ArgumentError for another type of array, ShapeError for a wrong length, DataError for a value that is not finite
   *   or an index out of range.
   */
  check(operation: string, operand: string, array: InputArray, count: number): void {
    const { form, features } = this;
    this.checkType(operation, operand, array);
    if (form.kind === "indices") {
      requireLength(operation, operand, array, count, features);
      const { vocabulary } = form;
      const bad = array.findIndex((index) => index >= vocabulary);
      if (bad < 0) return;
      const message = `hold index ${array[bad]} in ${placeIn(bad, features)}; pass indices from 0 to ${vocabulary - 1}`;
      throw new DataError(operand, message, { actual: array[bad], expected: vocabulary - 1 });
    }
    requireLength(operation, operand, array, count, features);
    requireFinite(operand, array as Float32Array, features);
  }

  /** @throws ArgumentError for another type of array */
  checkType(operation: string, operand: string, array: unknown): void {
    requireType(operation, operand, array, this.form.kind === "indices" ? Uint32Array : Float32Array);
  }

  /** Uploads `count` examples. */
  write(queue: GPUQueue, array: InputArray, count: number): void {
    const { buffer, offset, stride } = this.values.rows(count);
    const cols = this.#cols;
    const rows = count * this.#rows;
    if (stride === cols) {
      queue.writeBuffer(buffer, 4 * offset, unshared(array), 0, rows * cols);
      return;
    }
    // All at once, and then row by row to its place, the last one first: a view of each row would be garbage at every step.
    const staging = this.#ensureStaging(stride);
    staging.set(array);
    const bias = this.values.place.cols > cols ? 1 : 0;
    for (let i = rows - 1; i >= 0; i--) {
      const start = i * stride;
      if (i > 0) staging.copyWithin(start, i * cols, (i + 1) * cols);
      staging[start + cols] = bias;
      for (let at = start + cols + 1; at < start + stride; at++) staging[at] = 0;
    }
    queue.writeBuffer(buffer, 4 * offset, staging, 0, rows * stride);
  }

  /** Rows as on the GPU. Behind vectors stands the bias's 1; those that become images have room for no more. */
  #ensureStaging(stride: number): Float32Array<ArrayBuffer> | Uint32Array<ArrayBuffer> {
    const length = this.values.place.storage.capacity * stride;
    this.#staging ??= this.form.kind === "indices" ? new Uint32Array(length) : new Float32Array(length);
    return this.#staging;
  }
}

/** Vectors have a column for the bias; what is only read by a copy, or by no product, has none. */
function placeOf(workspace: Workspace, form: Form, positions: number, columns: number): RowPlace {
  if (form.kind === "vector") return workspace.values.place(columns + 1);
  return workspace.ownValues(positions).place(columns);
}

/** @throws as `InputPort.check`, and ArgumentError where arrays are missing or belong to no input. */
export function checkArrays(
  operation: string,
  ports: readonly InputPort[],
  inputs: BatchInputs,
  count: number,
): void {
  for (const [port, array] of arraysOf(operation, ports, inputs)) {
    port.check(operation, operandOf(ports, port), array, count);
  }
}

/** The array of each input: the inputs themselves where there is one. @throws ArgumentError as `checkArrays` */
export function arraysOf(
  operation: string,
  ports: readonly InputPort[],
  inputs: BatchInputs,
): readonly (readonly [InputPort, InputArray])[] {
  return byPort<InputArray>(operation, ports, inputs, ArrayBuffer.isView);
}

/**
 * What each input gets: all that there is where it is the only one.
 *
 * @param single whether it is no record of several
 * @throws ArgumentError where something is missing or belongs to no input
 */
export function byPort<T extends object>(
  operation: string,
  ports: readonly InputPort[],
  inputs: T | Readonly<Record<string, T>>,
  single: (inputs: T | Readonly<Record<string, T>>) => boolean,
): readonly (readonly [InputPort, T])[] {
  const names = ports.map(({ name }) => name);
  const named = OBJECT.holds(inputs) && !single(inputs);
  if (ports.length === 1) {
    if (!named) return [[ports[0]!, inputs as T]];
    const given = Object.keys(inputs).join(", ") || "none";
    const message = `must be the array itself, since there is one input (${names[0]}), got arrays by name: ${given}`;
    throw new ArgumentError(operation, "inputs", message);
  }
  if (!named) {
    const given = OBJECT.holds(inputs) ? "one array" : shown(inputs);
    const message = `must be arrays by name, { ${names.join(", ")} }, since there are ${names.length} inputs, got ${given}`;
    throw new ArgumentError(operation, "inputs", message);
  }
  const given = inputs as Readonly<Record<string, T>>;
  const foreign = Object.keys(given).find((name) => !names.includes(name));
  if (foreign !== undefined) {
    throw new ArgumentError(
      operation,
      "inputs",
      `must be arrays for ${names.join(", ")}, got ${foreign} too`,
    );
  }
  return ports.map((port) => {
    const array = Object.hasOwn(given, port.name) ? given[port.name] : undefined;
    if (array) return [port, array] as const;
    throw new ArgumentError(operation, "inputs", `must hold an array for ${port.name}`);
  });
}

/** Examples start … end − 1 of checked inputs, without a copy. */
export function sliceInputs(
  ports: readonly InputPort[],
  inputs: BatchInputs,
  start: number,
  end: number,
): BatchInputs {
  return mapInputs(inputs, (array, name) => {
    const { features } = ports.find((port) => port.name === name) ?? ports[0]!;
    return array.subarray(start * features, end * features);
  });
}

export function operandOf(ports: readonly InputPort[], { name }: InputPort): string {
  return ports.length === 1 ? "inputs" : `inputs.${name}`;
}
