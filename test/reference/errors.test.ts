import { describe, expect, it } from "vitest";
import {
  AbortedError,
  ArgumentError,
  CheckpointError,
  DataError,
  DeviceLostError,
  KfacError,
  LimitError,
  NoAdapterError,
  NotPositiveDefiniteError,
  OutOfMemoryError,
  ShaderError,
  ShapeError,
  SubmissionError,
  UnsupportedLayerError,
} from "../../src/errors.js";

const all: [string, KfacError][] = [
  ["shape", new ShapeError("gram", "A", [2, 3], ["n", 4])],
  ["argument", new ArgumentError("invert", "damping", "must not be negative, got -1")],
  ["data", new DataError("train.idx", "is cut short", { actual: 3, expected: 4 })],
  [
    "checkpoint",
    new CheckpointError("version", "is 9 and this package reads 1; train again or update the package"),
  ],
  ["unsupported-layer", new UnsupportedLayerError("norm1", "layerNorm")],
  ["no-adapter", new NoAdapterError("requestAdapter() returned null")],
  ["limit", new LimitError("maxBufferSize", 10, 5)],
  ["device-lost", new DeviceLostError("unknown", "driver reset")],
  ["out-of-memory", new OutOfMemoryError("createBuffer", 1024)],
  [
    "submission",
    new SubmissionError("[Buffer (unlabeled)] used in submit while destroyed.\n - While calling"),
  ],
  ["shader", new ShaderError("gram", 12, "unknown identifier")],
  ["not-positive-definite", new NotPositiveDefiniteError("solve", "S", 3)],
  ["aborted", new AbortedError("train", new Error("stop"))],
];

describe("errors", () => {
  it.each(all)("%s has its code, its class name and a message of one sentence", (code, error) => {
    expect(error).toBeInstanceOf(KfacError);
    expect(error).toBeInstanceOf(Error);
    expect(error.code).toBe(code);
    expect(error.name).toBe(error.constructor.name);
    expect(String(error).startsWith(`${error.name}: `)).toBe(true);
    expect(error.message).toMatch(/^[^.].*[^.]\.$/);
    expect(error.message).not.toMatch(/undefined|\. /);
  });

  it("names operation, operand and both shapes", () => {
    expect(all[0]![1].message).toBe(
      "gram: A has shape [2 × 3], expected [n × 4]; pass A with the expected shape.",
    );
  });
});
