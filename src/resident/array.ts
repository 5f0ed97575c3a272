/** One array of a data set: looked through once, and then on the GPU, or as much of it as there is room for. */
import { ArgumentError, DataError } from "../errors.js";
import { placeIn, requireFinite, requireLength } from "../model/arrays.js";
import type { PipelineManager } from "../pipeline/index.js";
import type { Gathered, Part } from "./gather.js";
import { halfOf, LARGEST_HALF } from "./halves.js";
import { packRows, type Rows, SIZES, upload, writeRows } from "./rows.js";

/** Numbers (f32, or bytes that stand for some) or, as u32, indices; one example after another. */
export type DatasetArray = Float32Array | Uint8Array | Uint32Array;

/** How numbers are kept on the GPU. */
export interface StorageOptions {
  /** Of a `Float32Array`: "f32" as it is (the default), or "f16" in half the memory, each rounded to the nearest. */
  readonly storage?: "f32" | "f16";
  /** A byte b of a `Uint8Array` stands for offset + scale · b in f32; they default to 1/255 and 0. */
  readonly scale?: number;
  readonly offset?: number;
  /** Most bytes of a buffer; longer arrays lie in several. Defaults to the most that the device binds. */
  readonly partBytes?: number;
  /**
   * Most bytes of examples on the GPU; defaults to the device's `maxBufferSize`. A larger data set is streamed: the first of its
   * examples stay there, and the others are sent from the caller's arrays, which must not change, when batches need them.
   */
  readonly budgetBytes?: number;
  /** Batches of a streamed data set that are sent ahead, where the budget has room for them; defaults to 2. */
  readonly prefetch?: number;
}

/** An array as it lies on the GPU, and what a network asks of it. */
export interface StoredArray extends Gathered {
  /** Whether it holds indices, or classes. */
  readonly indexed: boolean;
  /** The largest of them, and where it is. */
  readonly largest: { readonly value: number; readonly index: number } | undefined;
}

/** Bytes that are laid out in main memory at a time. */
const CHUNK_BYTES = 16 * 1024 * 1024;

/** An array that was checked, and is yet to be sent. */
export interface CheckedArray extends Rows {
  readonly indexed: boolean;
  readonly largest: StoredArray["largest"];
  readonly levels: Float32Array<ArrayBuffer> | undefined;
}

/**
 * @param operand what it is, for messages
 * @throws ArgumentError for another type of array or a bad option, ShapeError for a length that is no multiple of the examples, DataError for a number
 *   that is not finite, or too large for f16
 */
export function checkArray(
  operand: string,
  values: DatasetArray,
  count: number,
  options: StorageOptions,
): CheckedArray {
  const { storage = "f32", scale = 1 / 255, offset = 0 } = options;
  const width = widthOf(operand, values, count);
  if (values instanceof Uint32Array) {
    return { format: "words", width, indexed: true, largest: largestOf(values), values, levels: undefined };
  }
  if (values instanceof Uint8Array) {
    const levels = Float32Array.from({ length: 256 }, (_, byte) => offset + scale * byte);
    requireFinite("the numbers that bytes stand for (offset + scale · b)", levels, 1);
    return { format: "bytes", width, indexed: false, largest: undefined, values, levels };
  }
  requireFinite(operand, values, width);
  const checked = { width, indexed: false, largest: undefined, values, levels: undefined };
  if (storage === "f32") return { format: "words", ...checked };
  const bad = values.findIndex((value) => Math.abs(value) > LARGEST_HALF);
  if (bad < 0) return { format: "halves", ...checked };
  const message = `hold ${values[bad]} in ${placeIn(bad, width)}; f16 ends at ${LARGEST_HALF}: keep it as "f32"`;
  throw new DataError(operand, message, { actual: values[bad], expected: LARGEST_HALF });
}

/** How much of an array lies on the GPU, and how. */
export interface Room {
  /** Its first examples. */
  readonly examples: number;
  /** Numbers from one to the next: an aligned pitch, or the array's width. */
  readonly pitch: number;
  readonly partBytes: number;
}

/**
 * Sends its first examples to the GPU.
 *
 * @param made where to note the buffers, also when it fails half way
 * @throws LimitError when the device does not hold or bind an example of it
 */
export function storeArray(
  manager: PipelineManager,
  label: string,
  array: CheckedArray,
  { examples: all, pitch, partBytes }: Room,
  made: GPUBuffer[],
): StoredArray {
  const { format, width, indexed, largest, levels } = array;
  const { queue, limits } = manager.device;
  const size = pitch * SIZES[format];
  const most = Math.min(partBytes, limits.maxBufferSize, limits.maxStorageBufferBindingSize);
  const perPart = Math.max(1, Math.floor(most / size));
  const storage = (bytes: number, name: string) => {
    const buffer = manager.createStorage(name, Math.ceil(bytes / 4));
    made.push(buffer);
    return buffer;
  };
  const parts: Part[] = [];
  for (let first = 0; first < all; first += perPart) {
    const examples = Math.min(perPart, all - first);
    parts.push({ buffer: storage(examples * size, label), first, examples });
  }
  const table = levels && storage(levels.byteLength, `${label}, what bytes stand for`);
  if (table) upload(queue, table, new Uint8Array(levels.buffer));
  const stored = { format, parts, width, pitch, indexed, largest, levels: table };
  if (pitch === width) sendDense(queue, array, parts);
  else sendPitched(queue, array, stored, all);
  return stored;
}

function sendDense(queue: GPUQueue, { format, width, values }: CheckedArray, parts: readonly Part[]): void {
  for (const { buffer, first, examples } of parts) {
    upload(queue, buffer, bytesOf(values.subarray(first * width, (first + examples) * width), format));
  }
}

function sendPitched(queue: GPUQueue, array: CheckedArray, stored: StoredArray, all: number): void {
  const size = stored.pitch * SIZES[stored.format];
  const chunk = Math.max(1, Math.floor(CHUNK_BYTES / size));
  const packed = new ArrayBuffer(Math.min(chunk, all) * size);
  for (let first = 0; first < all; first += chunk) {
    const count = Math.min(chunk, all - first);
    packRows(
      array,
      Uint32Array.from({ length: count }, (_, i) => first + i),
      stored.pitch,
      packed,
    );
    writeRows(queue, stored, first, count, packed);
  }
}

function widthOf(operand: string, values: DatasetArray, count: number): number {
  if (
    !(values instanceof Float32Array || values instanceof Uint8Array || values instanceof Uint32Array) ||
    // One that clamps is another type.
    values instanceof Uint8ClampedArray
  ) {
    const actual = Object.prototype.toString.call(values).slice(8, -1);
    const message = `must be a Float32Array, Uint8Array or Uint32Array, got ${actual}`;
    throw new ArgumentError("dataset", operand, message);
  }
  const width = Math.max(1, Math.round(values.length / count));
  requireLength("dataset", operand, values, count, width);
  return width;
}

function largestOf(values: Uint32Array): { value: number; index: number } {
  let index = 0;
  for (let k = 1; k < values.length; k++) if (values[k]! > values[index]!) index = k;
  return { value: values[index]!, index };
}

function bytesOf(values: DatasetArray, format: Rows["format"]): Uint8Array {
  const kept = format === "halves" ? Uint16Array.from(values, halfOf) : values;
  return new Uint8Array(kept.buffer, kept.byteOffset, kept.byteLength);
}
