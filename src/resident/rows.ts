/** Rows of examples: how they lie on the GPU, and how they get there. */
import { unshared } from "../pipeline/unshared.js";
import type { Format, Gathered } from "./gather.js";
import { halfOfBits } from "./halves.js";

/** Bytes of a number. */
export const SIZES: Readonly<Record<Format, number>> = { words: 4, bytes: 1, halves: 2, classes: 4 };

/** Examples in main memory, `width` numbers each, and the format that they have on the GPU. */
export interface Rows {
  readonly format: Format;
  readonly width: number;
  readonly values: Float32Array | Uint8Array | Uint32Array;
}

/** Numbers from one example to the next where each begins with a word of its own, so that it can be written alone. */
export function alignedPitch({ format, width }: Rows): number {
  const perWord = 4 / SIZES[format];
  return Math.ceil(width / perWord) * perWord;
}

/** The rows of some examples as they lie on the GPU, `pitch` numbers apart, at the start of `into`. */
export function packRows(
  { format, width, values }: Rows,
  rows: ArrayLike<number>,
  pitch: number,
  into: ArrayBuffer,
): void {
  if (format === "halves") {
    packHalves(values as Float32Array, width, rows, pitch, new Uint16Array(into));
    return;
  }
  const packed = viewLike(values, into);
  for (let r = 0; r < rows.length; r++) {
    const from = rows[r]! * width;
    if (width === 1) packed[r * pitch] = values[from]!;
    else packed.set(values.subarray(from, from + width), r * pitch);
  }
}

function packHalves(
  { buffer, byteOffset, length }: Float32Array,
  width: number,
  rows: ArrayLike<number>,
  pitch: number,
  packed: Uint16Array,
): void {
  const bits = new Uint32Array(buffer, byteOffset, length);
  for (let r = 0; r < rows.length; r++) {
    const from = rows[r]! * width;
    const to = r * pitch;
    for (let k = 0; k < width; k++) packed[to + k] = halfOfBits(bits[from + k]!);
  }
}

/** Writes rows that were packed by an aligned pitch to places start … start + count − 1 of what is gathered from. */
export function writeRows(
  queue: GPUQueue,
  { format, parts, pitch }: Gathered,
  start: number,
  count: number,
  packed: ArrayBuffer,
): void {
  const size = pitch * SIZES[format];
  for (const { buffer, first, examples } of parts) {
    const begin = Math.max(start, first);
    const end = Math.min(start + count, first + examples);
    if (begin >= end) continue;
    queue.writeBuffer(buffer, (begin - first) * size, packed, (begin - start) * size, (end - begin) * size);
  }
}

/** Writes bytes to the start of a buffer, which has room for whole words: a queue takes no others. */
export function upload(queue: GPUQueue, buffer: GPUBuffer, bytes: Uint8Array): void {
  const whole = bytes.length - (bytes.length % 4);
  const source = unshared(bytes);
  if (whole > 0) queue.writeBuffer(buffer, 0, source, 0, whole);
  if (whole === bytes.length) return;
  const rest = new Uint8Array(4);
  rest.set(bytes.subarray(whole));
  queue.writeBuffer(buffer, whole, rest);
}

/** Of the same numbers. A caller's own kind of array, such as Node's `Buffer`, is one of these. */
function viewLike(values: Rows["values"], into: ArrayBuffer): Rows["values"] {
  if (values instanceof Float32Array) return new Float32Array(into);
  return values instanceof Uint32Array ? new Uint32Array(into) : new Uint8Array(into);
}
