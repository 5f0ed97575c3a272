import {
  ANYTHING,
  must,
  NUMBER,
  OBJECT,
  objectLike,
  oneOf,
  optionsOf,
  type Rules,
  SIZE,
} from "../arguments.js";
import { ArgumentError, DataError } from "../errors.js";
import type { PipelineManager } from "../pipeline/index.js";
import { MANAGER } from "../pipeline/rules.js";
import {
  type CheckedArray,
  checkArray,
  type DatasetArray,
  type StorageOptions,
  type StoredArray,
  storeArray,
} from "./array.js";

/** Examples to be kept on the GPU. */
export interface GpuDatasetOptions extends StorageOptions {
  /** count × features of each input: one array or, for a network of several inputs, an array for each by name. */
  readonly inputs: DatasetArray | Readonly<Record<string, DatasetArray>>;
  /**
   * A class an example (`Uint32Array` or `Uint8Array`), or count × outputs values (`Float32Array`, always kept as f32). Losses other
   * than softmax cross entropy take classes as rows with a 1 at the class.
   */
  readonly targets: Uint32Array | Uint8Array | Float32Array;
  readonly count: number;
  /** Number of classes; defaults to the largest + 1. */
  readonly classes?: number;
}

/** What rows of targets keep to, which some losses ask for. */
export interface TargetFacts {
  /** The first number that is not in [0, 1]. */
  readonly outside: { readonly value: number; readonly example: number } | undefined;
  /** The row that adds up to the number farthest from 1. */
  readonly farthest: { readonly total: number; readonly example: number };
}

const OPTIONS: Rules<GpuDatasetOptions> = {
  // Checked one by one, as they are used.
  inputs: ANYTHING,
  targets: ANYTHING,
  count: ANYTHING,
  classes: ANYTHING,
  storage: oneOf("f32", "f16"),
  scale: NUMBER,
  offset: NUMBER,
  partBytes: { words: "a positive number", holds: (value) => typeof value === "number" && value >= 1 },
};
const INPUTS = objectLike("an array, or arrays by name");

/** The arrays of a data set, looked through and sent. */
export class StoredDataset implements Disposable {
  readonly count: number;
  /** Number of classes, where targets are classes. */
  readonly classes: number | undefined;
  /** Bytes on the GPU. */
  readonly bytes: number;
  /** What networks read. */
  readonly inputs: StoredArray | Readonly<Record<string, StoredArray>>;
  readonly targets: StoredArray;
  /** Of targets that are rows. */
  readonly facts: TargetFacts | undefined;
  readonly manager: PipelineManager;
  readonly #buffers: GPUBuffer[] = [];
  #disposed = false;

  /**
   * @throws ArgumentError, ShapeError or DataError for bad data or options, LimitError when the device does not bind one example
   *   of it; then no memory is kept.
   */
  constructor(manager: PipelineManager, options: GpuDatasetOptions) {
    must("dataset", "manager", manager, MANAGER);
    must("dataset", "source", options, OBJECT);
    const { count, partBytes = Number.POSITIVE_INFINITY } = optionsOf("dataset", OPTIONS, options);
    requireCount("dataset", "count", count, 0xffffffff);
    must("dataset", "inputs", options.inputs, INPUTS);
    manager.handle.assertUsable();
    const inputs = checkInputs(options);
    const targets = checkTargets(options.targets, count);
    this.manager = manager;
    this.count = count;
    this.classes = targets.indexed ? classesOf(targets, options.classes) : undefined;
    this.facts = targets.indexed ? undefined : factsOf(targets);
    const store = (name: string, array: CheckedArray) =>
      storeArray(manager, `data set: ${name}`, array, count, partBytes, this.#buffers);
    try {
      this.inputs =
        inputs instanceof Map
          ? Object.fromEntries([...inputs].map(([name, array]) => [name, store(name, array)]))
          : store("inputs", inputs);
      this.targets = store("targets", targets);
    } catch (error) {
      this.dispose();
      throw error;
    }
    this.bytes = this.#buffers.reduce((sum, { size }) => sum + size, 0);
  }

  /** @throws ArgumentError once it is disposed of */
  assertUsable(operation: string): void {
    if (!this.#disposed) return;
    throw new ArgumentError(operation, "data set", "is disposed of; make another one");
  }

  /** Frees its memory. Batches of it are refused from then on. */
  dispose(): void {
    this.#disposed = true;
    for (const buffer of this.#buffers.splice(0)) this.manager.destroyBuffer(buffer);
  }

  [Symbol.dispose](): void {
    this.dispose();
  }
}

/** @throws ArgumentError unless it is an integer from 1 to `most` */
export function requireCount(
  operation: string,
  name: string,
  value: number,
  most = Number.MAX_SAFE_INTEGER,
): void {
  must(operation, name, value, { ...SIZE, holds: (count) => SIZE.holds(count) && (count as number) <= most });
}

/** One array, or those by name. */
function checkInputs(options: GpuDatasetOptions): CheckedArray | Map<string, CheckedArray> {
  const { inputs, count } = options;
  if (ArrayBuffer.isView(inputs)) return checkArray("inputs", inputs as DatasetArray, count, options);
  const entries = Object.entries(inputs);
  if (entries.length === 0) throw new ArgumentError("dataset", "inputs", "must hold an array");
  return new Map(entries.map(([name, array]) => [name, checkArray(`inputs.${name}`, array, count, options)]));
}

/** Bytes are classes here. */
function checkTargets(targets: GpuDatasetOptions["targets"], count: number): CheckedArray {
  const classes = targets instanceof Uint8Array ? Uint32Array.from(targets) : targets;
  const checked = checkArray("targets", classes, count, {});
  if (!checked.indexed || checked.width === 1) return checked;
  throw new ArgumentError("dataset", "targets", `must hold one class an example, got ${checked.width}`);
}

function classesOf({ largest }: CheckedArray, given: number | undefined): number {
  const { value, index } = largest!;
  if (given === undefined) return value + 1;
  requireCount("dataset", "classes", given);
  if (value < given) return given;
  const message = `hold class ${value} in example ${index}; pass classes from 0 to ${given - 1}`;
  throw new DataError("targets", message, { actual: value, expected: given - 1 });
}

function factsOf({ values, width }: CheckedArray): TargetFacts {
  const bad = (values as Float32Array).findIndex((t) => t < 0 || t > 1);
  const outside = bad < 0 ? undefined : { value: values[bad]!, example: Math.floor(bad / width) };
  let farthest = { total: 1, example: 0 };
  for (let i = 0; i * width < values.length; i++) {
    let total = 0;
    for (let c = 0; c < width; c++) total += values[i * width + c]!;
    if (Math.abs(total - 1) > Math.abs(farthest.total - 1)) farthest = { total, example: i };
  }
  return { outside, farthest };
}
