import { describe, expect, it } from "vitest";
import {
  activationOp,
  addOp,
  averagePoolOp,
  concatOp,
  conv2dOp,
  denseOp,
  flattenOp,
  globalAveragePoolOp,
  type Matrix,
  matrix,
  maxPoolOp,
  oneHotOp,
  opErrors,
  type ReferenceOp,
  scale,
  tensor,
  type Value,
} from "../../src/reference/index.js";
import { randomMatrix } from "./helpers.js";

const N = 4;
const tanh = activationOp("tanh");
const image = (channels: number, height: number, width: number, seed: number): Value =>
  tensor([N, channels, height, width], randomMatrix(N, channels * height * width, seed).data);
const indices = (T: number) =>
  matrix(
    N,
    T,
    Array.from({ length: N * T }, (_, k) => (k * k + 1) % 5),
  );

describe("operations against differences of their own forward pass", () => {
  const x = randomMatrix(N, 4, 400);
  const map = image(2, 4, 5, 401);
  const ops: [string, ReferenceOp, Value[], Matrix?][] = [
    ["dense", denseOp(), [x], randomMatrix(3, 5, 402)],
    ["dense without bias", denseOp({ bias: false }), [x], randomMatrix(3, 4, 403)],
    ["dense at positions", denseOp({ positions: true }), [map], randomMatrix(3, 3, 404)],
    [
      "conv2d",
      conv2dOp({ kernel: [2, 3], stride: [2, 1], padding: 1, dilation: [1, 2] }),
      [map],
      randomMatrix(3, 13, 405),
    ],
    ["conv2d in groups", conv2dOp({ kernel: 2, groups: 2, bias: false }), [map], randomMatrix(4, 4, 406)],
    ["relu", activationOp("relu"), [x]],
    ["leakyRelu", activationOp("leakyRelu", 0.3), [map]],
    ["tanh", tanh, [map]],
    ["logistic", activationOp("logistic"), [x]],
    ["maxPool", maxPoolOp({ kernel: [2, 3], stride: 1 }), [map]],
    ["averagePool", averagePoolOp({ kernel: 2 }), [map]],
    ["globalAveragePool", globalAveragePoolOp(), [map]],
    ["flatten", flattenOp(), [map]],
    ["add", addOp(), [map, image(2, 4, 5, 407), map]],
    ["concat of rows", concatOp(), [x, randomMatrix(N, 2, 408), randomMatrix(N, 1, 409)]],
    ["concat of channels", concatOp(), [map, image(3, 4, 5, 410)]],
  ];

  it.each(ops)("%s", (_, op, inputs, weights) => {
    const errors = opErrors(op, inputs, weights, { seed: 4 });
    const { inputs: parts, gradient, columns, forward, tangent } = errors;
    expect(parts).toHaveLength(inputs.length);
    expect(Math.max(...parts, gradient)).toBeLessThan(1e-8);
    expect(Math.max(columns, forward, tangent!)).toBeLessThan(1e-13);
  });

  it("oneHot: a one in the row of the index at each position, and nothing goes back to indices", () => {
    const { output } = oneHotOp(3).forward([matrix(2, 2, [2, 0, 1, 1])]);
    expect(output).toEqual(tensor([2, 3, 1, 2], [0, 1, 0, 0, 1, 0, 0, 0, 1, 1, 0, 0]));
    expect(opErrors(oneHotOp(5), [indices(3)], undefined, { indices: [0] }).inputs).toEqual([0]);
  });

  it("finds each wrong part", () => {
    const W = randomMatrix(3, 5, 402);
    type Step = ReturnType<ReferenceOp["forward"]>;
    const changed = (change: (step: Step) => Partial<Step>): ReferenceOp => ({
      kind: "wrong",
      forward: (inputs, weights) => {
        const step = denseOp().forward(inputs, weights);
        return { ...step, ...change(step) };
      },
    });
    const twice = (d: Float64Array) => d.map((value) => 2 * value);
    const back = changed(({ back }) => ({ back: (d) => back(twice(d)) }));
    expect(opErrors(back, [x], W).inputs[0]).toBeCloseTo(1, 6);
    const gradient = changed(({ trainable }) => ({
      trainable: { ...trainable!, gradient: (d) => scale(trainable!.gradient(d), 2) },
    }));
    expect(opErrors(gradient, [x], W).gradient).toBeCloseTo(1, 6);
    expect(opErrors(gradient, [x], W).columns).toBeCloseTo(0.5, 6);
    const derivatives = changed(({ trainable }) => ({
      trainable: { ...trainable!, derivatives: (d, group) => trainable!.derivatives(twice(d), group) },
    }));
    expect(opErrors(derivatives, [x], W).columns).toBeCloseTo(1, 6);
    const inputs = changed(({ trainable }) => ({
      trainable: { ...trainable!, inputs: (group) => trainable!.inputs(group).map((A) => scale(A, 3)) },
    }));
    expect(opErrors(inputs, [x], W).forward).toBeGreaterThan(0.5);
    const still = changed(({ tangent }) => ({ tangent: ([dX]) => tangent!([dX!]) }));
    expect(opErrors(still, [x], W).tangent).toBeGreaterThan(0.01);
    expect(opErrors(denseOp(), [x], W).tangent).toBeLessThan(1e-13);
    expect(
      opErrors(
        changed(() => ({ tangent: undefined })),
        [x],
        W,
      ).tangent,
    ).toBeUndefined();
    const leak = opErrors(
      { kind: "leak", forward: ([input]) => ({ output: input!, back: (d) => [d] }) },
      [indices(2)],
      undefined,
      { indices: [0] },
    );
    expect(leak.inputs[0]).toBeGreaterThan(0.5);
  });
});
