import { describe, expect, it } from "vitest";
import { crc32 } from "../../src/data/crc32.js";
import { decodeCheckpoint, encodeCheckpoint, type JsonObject } from "../../src/data/index.js";
import { CheckpointError } from "../../src/errors.js";

const sample = () => ({
  meta: { layers: [4, 3, 2], name: "ünïcode ✓", step: 7, none: null } as JsonObject,
  tensors: {
    "weights/0": Float32Array.from([1, -2.5, 3e-38, 0, -0]),
    "optimizer/count": Uint32Array.from([0, 1, 0xffffffff]),
    "optimizer/momentum": Float32Array.from([Number.NaN, Number.POSITIVE_INFINITY]),
    empty: new Float32Array(0),
  },
});

/** The file with its header replaced and length and checksum made to fit. */
function withHeader(header: unknown, tail: number[] = []): Uint8Array {
  const text = new TextEncoder().encode(typeof header === "string" ? header : JSON.stringify(header));
  const start = Math.ceil((28 + text.length) / 4) * 4;
  const bytes = new Uint8Array(start + tail.length);
  bytes.set(encodeCheckpoint(sample()).subarray(0, 28));
  bytes.set(text, 28);
  bytes.set(tail, start);
  const view = new DataView(bytes.buffer);
  view.setUint32(16, text.length, true);
  view.setBigUint64(20, BigInt(bytes.length), true);
  return sealed(bytes);
}

function sealed(bytes: Uint8Array): Uint8Array {
  new DataView(bytes.buffer).setUint32(12, crc32(bytes.subarray(16)), true);
  return bytes;
}

function failure(bytes: Uint8Array): CheckpointError {
  try {
    decodeCheckpoint(bytes);
  } catch (error) {
    if (error instanceof CheckpointError) return error;
    throw error;
  }
  throw new Error("decodeCheckpoint accepted a bad file");
}

describe("crc32", () => {
  it("has the known check value", () => {
    expect(crc32(new TextEncoder().encode("123456789"))).toBe(0xcbf43926);
    expect(crc32(new Uint8Array(0))).toBe(0);
  });
});

describe("checkpoint", () => {
  it("comes back bit by bit, also from a view at an odd offset", () => {
    const bytes = encodeCheckpoint(sample());
    const moved = new Uint8Array(bytes.length + 3);
    moved.set(bytes, 3);
    for (const source of [bytes, moved.subarray(3)]) {
      const { meta, tensors } = decodeCheckpoint(source);
      expect(meta).toEqual(sample().meta);
      expect(tensors).toEqual(sample().tensors);
      expect(Object.is(tensors["weights/0"]?.[4], -0)).toBe(true);
    }
  });

  it("holds no tensors, many tensors, awkward names", () => {
    expect(decodeCheckpoint(encodeCheckpoint({ meta: {}, tensors: {} }))).toEqual({ meta: {}, tensors: {} });
    const tensors = Object.fromEntries(
      Array.from({ length: 200 }, (_, i) => [`t${i}`, new Uint32Array(i).fill(i)]),
    );
    Object.defineProperty(tensors, "__proto__", { value: Uint32Array.of(1), enumerable: true });
    const back = decodeCheckpoint(encodeCheckpoint({ meta: {}, tensors })).tensors;
    expect(Object.keys(back)).toEqual(Object.keys(tensors));
    expect(Object.getPrototypeOf(back)).toBe(Object.prototype);
  });

  it("refuses the file cut at every byte, and one byte too many", () => {
    const bytes = encodeCheckpoint(sample());
    for (let length = 0; length < bytes.length; length++) {
      expect(failure(bytes.subarray(0, length)).message).toMatch(/cut short|damaged/);
    }
    expect(failure(Uint8Array.from([...bytes, 0])).field).toBe("length");
  });

  it("refuses the file with any byte changed", () => {
    const bytes = encodeCheckpoint(sample());
    for (let i = 0; i < bytes.length; i++) {
      const changed = bytes.slice();
      changed[i] = changed[i]! ^ 0x41;
      failure(changed);
    }
  });

  it("names a wrong magic, version and checksum", () => {
    const change = (at: number) => {
      const bytes = encodeCheckpoint(sample());
      bytes[at]! += 1;
      return failure(bytes);
    };
    expect(change(0).field).toBe("magic");
    expect(change(8).message).toMatch(/version: is 2 and this program reads version 1/);
    expect(change(12).field).toBe("checksum");
    expect(failure(Uint8Array.from([0x1f, 0x8b])).field).toBe("magic");
  });

  it("refuses headers that lie", () => {
    const entry = (fields: object) => ({ name: "x", dtype: "f32", length: 1, offset: 1000, ...fields });
    const one = (fields: object) => failure(withHeader({ meta: {}, tensors: [entry(fields)] }, [0, 0, 0, 0]));
    failure(withHeader("{"));
    failure(withHeader("[]"));
    failure(withHeader({ meta: {} }));
    failure(withHeader({ meta: [], tensors: [] }));
    failure(withHeader({ meta: {}, tensors: [null] }));
    for (const fields of [
      { name: "" },
      { name: 3 },
      { dtype: "f64" },
      { length: -1 },
      { length: 0.5 },
      { length: 2 ** 53 },
      { offset: -4 },
      { offset: 2 },
      { offset: "8" },
      { offset: 0 },
      { offset: 28 },
      {},
      { length: 2 ** 50, offset: 100 },
    ]) {
      one(fields);
    }
    const twice = {
      meta: {},
      tensors: [entry({ length: 0, offset: 200 }), entry({ length: 0, offset: 200 })],
    };
    expect(failure(withHeader(twice, new Array(200).fill(0))).message).toMatch(/name of its own/);
  });

  it("refuses tensors that overlap", () => {
    const text = (a: number, b: number) => ({
      meta: {},
      tensors: [
        { name: "a", dtype: "f32", length: 2, offset: a },
        { name: "b", dtype: "f32", length: 2, offset: b },
      ],
    });
    const tail = new Array(400).fill(0);
    expect(decodeCheckpoint(withHeader(text(200, 208), tail)).tensors.b).toHaveLength(2);
    expect(failure(withHeader(text(200, 204), tail)).message).toMatch(/tensor b: overlaps/);
    expect(failure(withHeader(text(208, 204), tail)).message).toMatch(/tensor a: overlaps/);
    expect(failure(withHeader(text(200, 200), tail)).message).toMatch(/overlaps/);
  });

  it("refuses weights that are not finite, when writing and when reading", () => {
    for (const bad of [Number.NaN, Number.POSITIVE_INFINITY]) {
      const tensors = { "weights/0": Float32Array.from([0, bad]) };
      expect(() => encodeCheckpoint({ meta: {}, tensors })).toThrow(/weights\/0: holds .* at index 1/);
      const bytes = encodeCheckpoint({ meta: {}, tensors: { "weights/0": Float32Array.from([0, 1]) } });
      new DataView(bytes.buffer).setFloat32(bytes.length - 4, bad, true);
      expect(failure(sealed(bytes)).message).toMatch(/weights\/0: holds/);
    }
  });
});
