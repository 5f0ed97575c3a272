/** What callers pass, right and wrong: the rules, and what needs no GPU of the functions that keep to them. */
import { expect, test } from "vitest";
import { FLAG, nearest, objectsOf, optionsOf, type Rules, SIZE, shown } from "../../src/arguments.js";
import {
  BatchStream,
  batches,
  batchOf,
  batchSupplier,
  type Checkpoint,
  type Dataset,
  decodeCheckpoint,
  encodeCheckpoint,
  gather,
  imageDataset,
  labelledData,
  microBatches,
  parseIdx,
  restoreRun,
  saveRun,
} from "../../src/data/index.js";
import { ArgumentError, ShapeError } from "../../src/errors.js";
import { toF32, toF64 } from "../../src/host/index.js";
import { registerLayer } from "../../src/kernels.js";
import {
  averagePool2d,
  conv2d,
  dense,
  type Loss,
  leakyRelu,
  maxPool2d,
  softmaxCrossEntropy,
  tied,
} from "../../src/network/index.js";
import { kfac } from "../../src/optimizers/directions/kfac.js";
import { constant, cosine, defineDirection, linear, warmUp } from "../../src/optimizers/index.js";
import { changeOptions, resolveOptions } from "../../src/optimizers/resolve.js";
import { GpuBatch } from "../../src/resident/index.js";
import { solveNewton } from "../../src/solve/index.js";

const WRONG: readonly unknown[] = [undefined, null, Number.NaN, -1, 1.5, "x", true, 3n, Symbol("s")];
const data: Dataset = {
  count: 2,
  features: 3,
  featureShape: [3],
  classes: 2,
  images: new Uint8Array(6),
  labels: Uint8Array.of(0, 1),
};
const loss = softmaxCrossEntropy();
const bytes = Uint8Array.of(0, 0, 8, 1, 0, 0, 0, 1, 7);
const images = { shape: [2, 3], data: new Uint8Array(6) };
const labels = { shape: [2], data: Uint8Array.of(0, 1) };
const batch = { inputs: new Float32Array(6), targets: Uint32Array.of(0, 1), count: 2 };
const checkpoint: Checkpoint = { meta: {}, tensors: { weights: new Float32Array(1) } };
const network = { layers: [], weights: async () => [], setWeights() {} };
const optimizer = { state: async () => ({}), restore() {} };

/** A function, arguments that it takes, and the names by which it must refuse wrong ones; "" where some of these are right. */
type Case = readonly [
  call: (...args: never) => unknown,
  args: readonly unknown[],
  operands: readonly string[],
];

const CASES: Readonly<Record<string, Case>> = {
  dense: [dense, [2, 3], ["in", "out"]],
  conv2d: [conv2d, [2, 3, 2], ["inChannels", "outChannels", "kernel"]],
  maxPool2d: [maxPool2d, [2], ["kernel"]],
  averagePool2d: [averagePool2d, [2], ["kernel"]],
  constant: [constant, [1], []],
  linear: [linear, [1, 2, 3], ["", "", "steps"]],
  cosine: [cosine, [1, 2, 3], ["", "", "steps"]],
  warmUp: [warmUp, [3, 1], ["steps"]],
  microBatches: [microBatches, [batch, 1], ["batch", "size"]],
  BatchStream: [
    (...args: ConstructorParameters<typeof BatchStream>) => new BatchStream(...args),
    [data, 1, 0, loss],
    ["data", "size", "seed", "loss"],
  ],
  batchOf: [batchOf, [data, [0], loss], ["data", "indices", "loss"]],
  batchSupplier: [batchSupplier, [data, loss], ["data", "loss"]],
  batches: [batches, [2, 1, 0, 0], ["count", "batchSize", "seed", "epoch"]],
  gather: [
    gather,
    [data, [0], new Float32Array(3), new Uint32Array(1)],
    ["data", "indices", "out", "outLabels"],
  ],
  imageDataset: [imageDataset, [images, labels], ["images", "labels"]],
  labelledData: [labelledData, [{ images, labels }], ["train"]],
  parseIdx: [parseIdx, [bytes], ["bytes"]],
  encodeCheckpoint: [encodeCheckpoint, [checkpoint], ["checkpoint"]],
  decodeCheckpoint: [decodeCheckpoint, [encodeCheckpoint(checkpoint)], ["bytes"]],
  saveRun: [saveRun, [network, optimizer], ["network", "optimizer"]],
  restoreRun: [restoreRun, [checkpoint, network, optimizer], ["checkpoint", "network", "optimizer"]],
  toF32: [toF32, [{ rows: 1, cols: 1, data: new Float64Array(1) }], ["matrix"]],
  toF64: [toF64, [{ rows: 1, cols: 1, data: new Float32Array(1) }], ["matrix"]],
  defineDirection: [defineDirection, [kfac], ["kind"]],
  registerLayer: [registerLayer, [], ["kind"]],
  solveNewton: [solveNewton, [], ["engine"]],
};

async function refusal(call: () => unknown): Promise<unknown> {
  try {
    return await call();
  } catch (error) {
    return error;
  }
}

test.each(Object.entries(CASES))(
  "%s: wrong arguments are refused by their names",
  async (_, [call, args, operands]) => {
    for (const [place, operand] of operands.entries()) {
      for (const wrong of operand === "" ? [] : WRONG) {
        const own = Object.assign([...args], { [place]: wrong });
        const error = await refusal(() => (call as (...own: unknown[]) => unknown)(...own));
        expect(error, `${operand}: ${String(wrong)}`).toBeInstanceOf(ArgumentError);
        expect((error as ArgumentError).argument).toBe(operand);
      }
    }
  },
);

const OPTIONS: Readonly<Record<string, (options: object) => unknown>> = {
  dense: (options) => dense(2, 3, options),
  conv2d: (options) => conv2d(2, 3, 2, options),
  maxPool2d: (options) => maxPool2d(2, options),
  tied: (options) => tied("dense1", options),
  imageDataset: (options) => imageDataset(images, labels, options),
};

test.each(Object.entries(OPTIONS))("%s: unknown options and what is no object are refused", (name, call) => {
  expect(() => call({ zzz: 1 })).toThrow(new RegExp(`^${name}: zzz is not an option; there are `));
  for (const wrong of [null, 3, "x", []])
    expect(() => call(wrong as never)).toThrow(/options must be an object, got/);
  expect(() => call({})).not.toThrow();
});

test("an option is named with what was probably meant, and its value in words", () => {
  const rules: Rules<{ bias?: boolean; size?: number }> = { bias: FLAG, size: SIZE };
  const of = (given: object) => () => optionsOf("layer", rules, given);
  expect(of({ bais: true })).toThrow("layer: bais is not an option; pass bias.");
  expect(of({ bias: 1 })).toThrow("layer: bias must be true or false, got 1.");
  expect(of({ size: "3" })).toThrow('layer: size must be a positive integer, got "3".');
  expect(of({ bias: undefined, size: 3 })()).toEqual({ bias: undefined, size: 3 });
  expect(() => optionsOf("layer", rules, { size: 0 }, "place")).toThrow("layer: place.size must be");
  expect(nearest("learningrate", ["learningRate", "damping"])).toBe("learningRate");
  const words = [null, Symbol("s"), 3n, "x", [], {}, new Uint8Array(1), () => 1].map(shown);
  expect(words.join("; ")).toBe(
    'null; Symbol(s); 3; "x"; an empty list; an object; a Uint8Array; a function',
  );
});

test("a list is refused by the place of what is wrong in it", () => {
  expect(() => objectsOf("gram", "problems", [{}, null] as never)).toThrow(
    "gram: problems[1] must be an object, got null.",
  );
  expect(() => objectsOf("gram", "problems", {} as never)).toThrow(
    "gram: problems must be a list, got an object.",
  );
  expect(objectsOf("gram", "problems", {}, { single: true })).toEqual([{}]);
});

test("an option may be bounded by another, at the start and in mid-run", () => {
  const { options } = kfac;
  const wrong = { leastDamping: 2, mostDamping: 1 };
  const message = /kfac: leastDamping must be at most mostDamping, 1, got 2/;
  expect(() => resolveOptions("kfac", options, wrong)).toThrow(message);
  const right = resolveOptions("kfac", options, { leastDamping: 1, mostDamping: 1 });
  expect(() => changeOptions("kfac", options, right, { leastDamping: 2 })).toThrow(message);
});

test("a slope, a loss and the arrays of a data set are what they must be", () => {
  expect(() => leakyRelu(-1)).toThrow(ArgumentError);
  expect(() => batchOf(data, [0], { kind: "hinge" } as unknown as Loss)).toThrow(
    /batchOf: loss must be one of .*, got "hinge"/,
  );
  expect(() => batchOf({ ...data, labels: new Uint8Array(3) }, [0], loss)).toThrow(ShapeError);
  expect(() => batchSupplier(data, loss)(0, 3)).toThrow(
    "batchSupplier: end must be an integer from 1 to 2, got 3.",
  );
});

test("a model that reads arrays is told what a batch of a data set is", () => {
  const resident = new GpuBatch({ count: 2 } as never, 2, { start: 0, shuffled: undefined });
  for (const read of [() => resident.inputs, () => resident.targets])
    expect(read).toThrow(/batch must be arrays for a model/);
  expect(Object.keys({ ...resident })).not.toContain("inputs");
});
