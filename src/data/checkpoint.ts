/**
 * Checkpoints: named tensors and facts about them in one file, all numbers little-endian.
 *
 *     0   8  magic "KFACCKPT"
 *     8   4  version (1)
 *     12  4  CRC-32 of everything from byte 16
 *     16  4  length of the header
 *     20  8  length of the whole file
 *     28     header: JSON { meta, tensors: [{ name, dtype, length, offset }] }, then the tensors, each at a multiple of 4
 *
 * `length` counts elements of 4 bytes, `offset` bytes from the start of the file.
 */
import { instanceOf, must, objectLike, type Rule } from "../arguments.js";
import { CheckpointError } from "../errors.js";
import { crc32 } from "./crc32.js";

export type JsonValue = string | number | boolean | null | JsonValue[] | JsonObject;
export interface JsonObject {
  [key: string]: JsonValue;
}

export type Tensor = Float32Array | Uint32Array;

export interface Checkpoint {
  /** What the tensors belong to: sizes, names, counters. */
  meta: JsonObject;
  /** Names starting with "weights" hold weights, which must be finite. */
  tensors: Record<string, Tensor>;
}

const MAGIC = "KFACCKPT";
const VERSION = 1;
const FIXED_BYTES = 28;

interface Entry {
  name: string;
  dtype: "f32" | "u32";
  length: number;
  offset: number;
}

/** The file's bytes. @throws CheckpointError for weights that are not finite, ArgumentError for what is no checkpoint */
export function encodeCheckpoint(checkpoint: Checkpoint): Uint8Array {
  const { meta, tensors } = requireCheckpoint("encodeCheckpoint", checkpoint);
  const list = Object.entries(tensors);
  for (const [name, tensor] of list) requireFiniteWeights(name, tensor);
  // Offsets are part of the header whose length they depend on: lay out from 0, then shift by the largest header's end.
  let size = 0;
  const entries: Entry[] = list.map(([name, tensor]) => {
    const offset = size;
    size += 4 * tensor.length;
    return { name, dtype: tensor instanceof Float32Array ? "f32" : "u32", length: tensor.length, offset };
  });
  const headerAt = (start: number) =>
    new TextEncoder().encode(
      JSON.stringify({ meta, tensors: entries.map((e) => ({ ...e, offset: e.offset + start })) }),
    );
  let start = align(FIXED_BYTES + headerAt(0).length);
  while (align(FIXED_BYTES + headerAt(start).length) > start) start += 4;
  const header = headerAt(start);
  const bytes = new Uint8Array(start + size);
  const view = new DataView(bytes.buffer);
  bytes.set(new TextEncoder().encode(MAGIC));
  view.setUint32(8, VERSION, true);
  view.setUint32(16, header.length, true);
  view.setBigUint64(20, BigInt(bytes.length), true);
  bytes.set(header, FIXED_BYTES);
  list.forEach(([, tensor], t) => {
    const offset = start + entries[t]!.offset;
    const isFloat = tensor instanceof Float32Array;
    for (let k = 0; k < tensor.length; k++) {
      if (isFloat) view.setFloat32(offset + 4 * k, tensor[k]!, true);
      else view.setUint32(offset + 4 * k, tensor[k]!, true);
    }
  });
  view.setUint32(12, crc32(bytes.subarray(16)), true);
  return bytes;
}

/**
 * Reads a checkpoint. Everything the file claims is checked against its length before it is used.
 *
 * @throws CheckpointError for a file that is cut short, damaged, of another format or version, or holds weights that are
 *   not finite; ArgumentError for what is no `Uint8Array`
 */
export function decodeCheckpoint(bytes: Uint8Array): Checkpoint {
  must("decodeCheckpoint", "bytes", bytes, instanceOf(Uint8Array));
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  requireFrame(bytes, view);
  const headerEnd = FIXED_BYTES + view.getUint32(16, true);
  if (headerEnd > bytes.length) {
    throw new CheckpointError("header", `ends at byte ${headerEnd} of ${bytes.length}; the file is damaged`);
  }
  const { meta, entries } = parseHeader(bytes.subarray(FIXED_BYTES, headerEnd));
  requireLayout(entries, align(headerEnd), bytes.length);
  const tensors = entries.map(({ name, dtype, length, offset }): [string, Tensor] => {
    const tensor = dtype === "f32" ? new Float32Array(length) : new Uint32Array(length);
    for (let k = 0; k < length; k++) {
      tensor[k] =
        dtype === "f32" ? view.getFloat32(offset + 4 * k, true) : view.getUint32(offset + 4 * k, true);
    }
    requireFiniteWeights(name, tensor);
    return [name, tensor];
  });
  return { meta, tensors: Object.fromEntries(tensors) };
}

const CHECKPOINT = objectLike("a checkpoint, { meta, tensors }");
const TENSOR: Rule = {
  words: "a Float32Array or a Uint32Array",
  holds: (value) => value instanceof Float32Array || value instanceof Uint32Array,
};
const META: Rule = {
  words: "an object that JSON can hold",
  holds: (value) => isObject(value) && isJson(value),
};

/** @throws ArgumentError for what is none */
export function requireCheckpoint(operation: string, checkpoint: Checkpoint): Checkpoint {
  must(operation, "checkpoint", checkpoint, CHECKPOINT);
  must(operation, "meta", checkpoint.meta, META);
  must(operation, "tensors", checkpoint.tensors, objectLike("arrays by name"));
  for (const [name, tensor] of Object.entries(checkpoint.tensors))
    must(operation, `tensors.${name}`, tensor, TENSOR);
  return checkpoint;
}

function isJson(value: unknown): boolean {
  try {
    return typeof JSON.stringify(value) === "string";
  } catch {
    return false;
  }
}

/** Magic, version, length and checksum. */
function requireFrame(bytes: Uint8Array, view: DataView): void {
  const magic = String.fromCharCode(...bytes.subarray(0, MAGIC.length));
  if (magic !== MAGIC.slice(0, bytes.length)) {
    throw new CheckpointError("magic", "is missing; the file is not a checkpoint of kfac-webgpu");
  }
  if (bytes.length < FIXED_BYTES) {
    throw new CheckpointError(
      "length",
      `is ${bytes.length} bytes, the start alone takes ${FIXED_BYTES}; the file is cut short`,
    );
  }
  const version = view.getUint32(8, true);
  if (version !== VERSION) {
    throw new CheckpointError(
      "version",
      `is ${version} and this program reads version ${VERSION}; use the program that wrote it`,
    );
  }
  const length = view.getBigUint64(20, true);
  if (length !== BigInt(bytes.length)) {
    const problem = BigInt(bytes.length) < length ? "is cut short" : "has bytes left over";
    throw new CheckpointError(
      "length",
      `is ${bytes.length} bytes and ${length} were written; the file ${problem}`,
    );
  }
  if (view.getUint32(12, true) !== crc32(bytes.subarray(16))) {
    throw new CheckpointError("checksum", "does not fit the content; the file is damaged");
  }
}

function parseHeader(bytes: Uint8Array): { meta: JsonObject; entries: Entry[] } {
  let header: unknown;
  try {
    header = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes));
  } catch (cause) {
    throw new CheckpointError("header", "is not valid JSON; the file is damaged", { cause });
  }
  if (!isObject(header) || !isObject(header.meta) || !Array.isArray(header.tensors)) {
    throw new CheckpointError("header", "lacks meta or tensors; the file is damaged");
  }
  const seen = new Set<string>();
  const entries = header.tensors.map((entry: unknown, i): Entry => {
    const fail = (what: string) => new CheckpointError(`tensors[${i}]`, `has ${what}; the file is damaged`);
    if (!isObject(entry)) throw fail("no description");
    const { name, dtype, length, offset } = entry;
    if (typeof name !== "string" || name === "" || seen.has(name)) throw fail("no name of its own");
    if (dtype !== "f32" && dtype !== "u32") throw fail("no known dtype");
    if (!isSize(length)) throw fail("no usable length");
    if (!isSize(offset) || offset % 4 !== 0) throw fail("no usable offset");
    seen.add(name);
    return { name, dtype, length, offset };
  });
  return { meta: header.meta as JsonObject, entries };
}

/** Every tensor lies between the header and the end of the file, and no two share a byte. */
function requireLayout(entries: readonly Entry[], start: number, end: number): void {
  let free = start;
  for (const { name, length, offset } of [...entries].sort((a, b) => a.offset - b.offset)) {
    const stop = offset + 4 * length;
    if (offset < start || stop > end) {
      throw new CheckpointError(
        `tensor ${name}`,
        `takes bytes ${offset} to ${stop} and the data lies in ${start} to ${end}; the file is damaged`,
      );
    }
    if (length > 0 && offset < free) {
      throw new CheckpointError(`tensor ${name}`, "overlaps another tensor; the file is damaged");
    }
    free = Math.max(free, stop);
  }
}

function requireFiniteWeights(name: string, tensor: Tensor): void {
  if (!name.startsWith("weights") || !(tensor instanceof Float32Array)) return;
  const k = tensor.findIndex((x) => !Number.isFinite(x));
  if (k >= 0)
    throw new CheckpointError(`tensor ${name}`, `holds ${tensor[k]} at index ${k}; weights must be finite`);
}

function align(bytes: number): number {
  return Math.ceil(bytes / 4) * 4;
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function isSize(value: unknown): value is number {
  return typeof value === "number" && Number.isSafeInteger(value) && value >= 0;
}
