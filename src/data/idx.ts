/**
 * The IDX format of the MNIST files (LeCun, Cortes, Burges): two zero bytes, a type code, the number of dimensions, that
 * many big-endian u32 sizes, then the elements, big-endian. Compressed files are unpacked by the caller first.
 */
import { instanceOf, must } from "../arguments.js";
import { DataError } from "../errors.js";

export type IdxData = Uint8Array | Int8Array | Int16Array | Int32Array | Float32Array | Float64Array;

export interface IdxArray {
  /** Size of each dimension, outermost first. */
  shape: number[];
  /** The elements in file order, in a copy of their own. */
  data: IdxData;
}

interface ElementType {
  bytes: number;
  create(count: number): IdxData;
  read(view: DataView, offset: number): number;
}

const ELEMENT_TYPES: Readonly<Record<number, ElementType>> = {
  8: { bytes: 1, create: (n) => new Uint8Array(n), read: (v, o) => v.getUint8(o) },
  9: { bytes: 1, create: (n) => new Int8Array(n), read: (v, o) => v.getInt8(o) },
  11: { bytes: 2, create: (n) => new Int16Array(n), read: (v, o) => v.getInt16(o) },
  12: { bytes: 4, create: (n) => new Int32Array(n), read: (v, o) => v.getInt32(o) },
  13: { bytes: 4, create: (n) => new Float32Array(n), read: (v, o) => v.getFloat32(o) },
  14: { bytes: 8, create: (n) => new Float64Array(n), read: (v, o) => v.getFloat64(o) },
};

/**
 * Reads a whole IDX file. Everything the header claims is checked against the file's length before any element is
 * read or memory is reserved. `name` stands for the file in messages.
 *
 * @throws ArgumentError for what is no `Uint8Array`, DataError (with `actual` and `expected` sizes) for a file that is cut short, too long, or not IDX
 */
export function parseIdx(bytes: Uint8Array, name = "IDX file"): IdxArray {
  must("parseIdx", "bytes", bytes, instanceOf(Uint8Array));
  if (bytes.length < 4) {
    throw new DataError(name, `has ${bytes.length} bytes and the header needs 4; the file is cut short`, {
      actual: bytes.length,
      expected: 4,
    });
  }
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (view.getUint16(0) !== 0) {
    const gzip = view.getUint16(0) === 0x1f8b;
    const advice = gzip ? "it is compressed, unpack it with gzip first" : "it is not an IDX file";
    throw new DataError(
      name,
      `starts with bytes ${hex(bytes[0]!)} ${hex(bytes[1]!)} instead of 00 00; ${advice}`,
      {
        actual: view.getUint16(0),
        expected: 0,
      },
    );
  }
  const code = bytes[2]!;
  const type = ELEMENT_TYPES[code];
  if (type === undefined) {
    throw new DataError(
      name,
      `has element type ${hex(code)}; known types are 08, 09, 0b, 0c, 0d and 0e (hexadecimal)`,
      {
        actual: code,
        expected: "08, 09, 0b, 0c, 0d or 0e",
      },
    );
  }
  const dimensions = bytes[3]!;
  if (dimensions === 0) {
    throw new DataError(name, "has 0 dimensions; at least 1 is needed", { actual: 0, expected: 1 });
  }
  const headerBytes = 4 + 4 * dimensions;
  if (bytes.length < headerBytes) {
    throw new DataError(
      name,
      `has ${bytes.length} bytes and a header of ${dimensions} dimensions needs ${headerBytes}; the file is cut short`,
      { actual: bytes.length, expected: headerBytes },
    );
  }
  const shape: number[] = [];
  for (let d = 0; d < dimensions; d++) shape.push(view.getUint32(4 + 4 * d));
  // A product of up to 255 u32 sizes; it is compared as a BigInt, so it cannot overflow into a small number.
  const expectedBytes = shape.reduce((n, size) => n * BigInt(size), BigInt(type.bytes)) + BigInt(headerBytes);
  if (BigInt(bytes.length) !== expectedBytes) {
    const problem =
      BigInt(bytes.length) < expectedBytes ? "the file is cut short" : "bytes are left over at the end";
    throw new DataError(
      name,
      `has ${bytes.length} bytes and shape ${shape.join(" × ")} needs ${expectedBytes}; ${problem}`,
      {
        actual: bytes.length,
        expected: expectedBytes <= Number.MAX_SAFE_INTEGER ? Number(expectedBytes) : `${expectedBytes}`,
      },
    );
  }
  const count = (bytes.length - headerBytes) / type.bytes;
  const data = type.create(count);
  if (data instanceof Uint8Array) data.set(bytes.subarray(headerBytes));
  else for (let k = 0; k < count; k++) data[k] = type.read(view, headerBytes + k * type.bytes);
  return { shape, data };
}

function hex(byte: number): string {
  return byte.toString(16).padStart(2, "0");
}
