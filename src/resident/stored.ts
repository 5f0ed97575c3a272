import {
  ANYTHING,
  must,
  NUMBER,
  OBJECT,
  objectLike,
  oneOf,
  optionsOf,
  type Rule,
  type Rules,
  SIZE,
  whole,
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
import { alignedPitch, SIZES } from "./rows.js";
import { Stream, type StreamedArray } from "./stream.js";

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

const BYTES: Rule = { words: "a positive number", holds: (value) => typeof value === "number" && value >= 1 };
const OPTIONS: Rules<GpuDatasetOptions> = {
  // Checked one by one, as they are used.
  inputs: ANYTHING,
  targets: ANYTHING,
  count: ANYTHING,
  classes: ANYTHING,
  storage: oneOf("f32", "f16"),
  scale: NUMBER,
  offset: NUMBER,
  partBytes: BYTES,
  budgetBytes: BYTES,
  prefetch: whole(0),
};
const INPUTS = objectLike("an array, or arrays by name");

/** Batches that are sent ahead. */
const PREFETCH = 2;

/** The arrays of a data set, looked through and sent, or as much of them as the budget has room for. */
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
  /** What sends the examples that the GPU does not hold; none where it holds all. */
  readonly stream: Stream | undefined;
  readonly manager: PipelineManager;
  readonly #buffers: GPUBuffer[] = [];
  #disposed = false;

  /**
   * @throws ArgumentError, ShapeError or DataError for bad data or options, such as a budget below one example, LimitError when the
   *   device does not bind one example of it; then no memory is kept.
   */
  constructor(manager: PipelineManager, options: GpuDatasetOptions) {
    must("dataset", "manager", manager, MANAGER);
    must("dataset", "source", options, OBJECT);
    const {
      count,
      partBytes = Number.POSITIVE_INFINITY,
      prefetch = PREFETCH,
    } = optionsOf("dataset", OPTIONS, options);
    requireCount("dataset", "count", count, 0xffffffff);
    must("dataset", "inputs", options.inputs, INPUTS);
    manager.handle.assertUsable();
    const inputs = checkInputs(options);
    const targets = checkTargets(options.targets, count);
    this.manager = manager;
    this.count = count;
    this.classes = targets.indexed ? classesOf(targets, options.classes) : undefined;
    this.facts = targets.indexed ? undefined : factsOf(targets);
    const { budgetBytes = manager.device.limits.maxBufferSize } = options;
    const { whole, examples, perExample } = roomFor(count, [...arraysIn(inputs), targets], budgetBytes);
    const streamed: StreamedArray[] = [];
    const store = (name: string, array: CheckedArray) => {
      const pitch = whole ? array.width : alignedPitch(array);
      const room = { examples, pitch, partBytes };
      const stored = storeArray(manager, `data set: ${name}`, array, room, this.#buffers);
      streamed.push({ array, stored });
      return stored;
    };
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
    const { queue } = manager.device;
    const budget = { bytes: budgetBytes, perExample };
    this.stream = whole
      ? undefined
      : new Stream({ queue, arrays: streamed, kept: examples, budget, prefetch });
    this.bytes = this.#buffers.reduce((sum, { size }) => sum + size, 0);
  }

  /** Whether the GPU holds only some of the examples at a time. */
  get streamed(): boolean {
    return this.stream !== undefined;
  }

  /** @throws ArgumentError once it is disposed of */
  assertUsable(operation: string): void {
    if (!this.#disposed) return;
    throw new ArgumentError(operation, "data set", "is disposed of; make another one");
  }

  /** Frees its memory. Batches of it are refused from then on. */
  dispose(): void {
    this.#disposed = true;
    this.stream?.dispose();
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

/** How many of the examples the budget has room for. @throws ArgumentError for none */
function roomFor(count: number, arrays: readonly CheckedArray[], budget: number) {
  const dense = arrays.reduce((sum, { width, format }) => sum + width * SIZES[format], 0);
  if (count * dense <= budget) return { whole: true, examples: count, perExample: dense };
  const perExample = arrays.reduce((sum, array) => sum + alignedPitch(array) * SIZES[array.format], 0);
  const examples = Math.floor(budget / perExample);
  if (examples >= 1) return { whole: false, examples: Math.min(examples, count), perExample };
  const message = `must be at least ${perExample}, the bytes of an example, got ${budget}`;
  throw new ArgumentError("dataset", "budgetBytes", message);
}

function arraysIn(inputs: CheckedArray | Map<string, CheckedArray>): Iterable<CheckedArray> {
  return inputs instanceof Map ? inputs.values() : [inputs];
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
