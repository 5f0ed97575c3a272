/** One array of a data set: looked through once, and then on the GPU alone. */
import { ArgumentError, DataError } from "../errors.js";
import { placeIn, requireFinite, requireLength } from "../model/arrays.js";
import type { PipelineManager } from "../pipeline/index.js";
import { unshared } from "../pipeline/unshared.js";
import type { Format, Gathered, Part } from "./gather.js";
import { halfOf, LARGEST_HALF } from "./halves.js";

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
}

/** An array as it lies on the GPU, and what a network asks of it. */
export interface StoredArray extends Gathered {
  /** Whether it holds indices, or classes. */
  readonly indexed: boolean;
  /** The largest of them, and where it is. */
  readonly largest: { readonly value: number; readonly index: number } | undefined;
}

/** Bytes of a number. */
const SIZES: Readonly<Record<Format, number>> = { words: 4, bytes: 1, halves: 2, classes: 4 };

/** An array that was checked, and is yet to be sent. */
export interface CheckedArray {
  readonly format: Format;
  readonly width: number;
  readonly indexed: boolean;
  readonly largest: StoredArray["largest"];
  readonly values: DatasetArray;
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

/**
 * Sends it to the GPU.
 *
 * @param made where to note the buffers, also when it fails half way
 * @throws LimitError when the device does not hold or bind an example of it
 */
export function storeArray(
  manager: PipelineManager,
  label: string,
  array: CheckedArray,
  count: number,
  partBytes: number,
  made: GPUBuffer[],
): StoredArray {
  const { format, width, values, indexed, largest, levels } = array;
  const size = width * SIZES[format];
  const { maxBufferSize, maxStorageBufferBindingSize } = manager.device.limits;
  const most = Math.min(partBytes, maxBufferSize, maxStorageBufferBindingSize);
  const perPart = Math.max(1, Math.floor(most / size));
  const buffer = (bytes: Uint8Array, name: string) => {
    const storage = manager.createStorage(name, Math.ceil(bytes.length / 4));
    made.push(storage);
    upload(manager.device.queue, storage, bytes);
    return storage;
  };
  const parts: Part[] = [];
  for (let first = 0; first < count; first += perPart) {
    const examples = Math.min(perPart, count - first);
    const part = values.subarray(first * width, (first + examples) * width);
    parts.push({ buffer: buffer(bytesOf(part, format), label), first, examples });
  }
  return {
    format,
    parts,
    width,
    indexed,
    largest,
    levels: levels && buffer(new Uint8Array(levels.buffer), `${label}, what bytes stand for`),
  };
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

function bytesOf(values: DatasetArray, format: Format): Uint8Array {
  const kept = format === "halves" ? Uint16Array.from(values, halfOf) : values;
  return new Uint8Array(kept.buffer, kept.byteOffset, kept.byteLength);
}

/** The queue takes whole words. */
function upload(queue: GPUQueue, buffer: GPUBuffer, bytes: Uint8Array): void {
  const whole = bytes.length - (bytes.length % 4);
  const source = unshared(bytes);
  if (whole > 0) queue.writeBuffer(buffer, 0, source, 0, whole);
  if (whole === bytes.length) return;
  const rest = new Uint8Array(4);
  rest.set(bytes.subarray(whole));
  queue.writeBuffer(buffer, whole, rest);
}
