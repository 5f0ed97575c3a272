/** Networks whose values have several readers: residual, concatenating, tied, over sequences and indices. */
import {
  add,
  averagePool2d,
  concat,
  conv2d,
  dense,
  flatten,
  type Graph,
  globalAveragePool,
  graph,
  halfSquaredError,
  leakyRelu,
  logistic,
  maxPool2d,
  oneHot,
  relu,
  sigmoidCrossEntropy,
  softmaxCrossEntropy,
  tanh,
  tied,
} from "../../src/network/index.js";
import type { ForwardStep, ReferenceGraph, ReferenceOp, TrainableStep } from "../../src/reference/graph.js";
import { type Matrix, matrix } from "../../src/reference/matrix.js";
import { assertThrows, kernelTest } from "../harness/kernel-test.js";
import { checkGraph } from "./graph-helpers.js";
import { openManager } from "./helpers.js";

export const graphs: Record<string, Graph> = {
  "a residual network of vectors": graph({
    inputs: { x: 6 },
    values: {
      first: [dense(6, 6), "x"],
      branch: [[tanh(), dense(6, 6)], "first"],
      sum: [add(), "x", "branch"],
      second: [[relu(), dense(6, 6)], "sum"],
      all: [add(), "sum", "second", "first"],
      out: [[tanh(), dense(6, 4)], "all"],
    },
    output: "out",
  }),
  "residual blocks of images": graph({
    inputs: { image: [2, 6, 5] },
    values: {
      stem: [conv2d(2, 5, 3, { padding: 1 }), "image"],
      inner: [[relu(), conv2d(5, 5, 3, { padding: 1 })], "stem"],
      outer: [[leakyRelu(0.2), conv2d(5, 5, 1)], "inner"],
      sum: [add(), "stem", "outer"],
      narrow: [conv2d(5, 7, 1, { stride: 2 }), "sum"],
      deep: [[tanh(), conv2d(5, 7, 3, { stride: 2, padding: 1 })], "sum"],
      last: [[add(), relu(), globalAveragePool()], "narrow", "deep"],
      out: [dense(7, 3), "last"],
    },
    output: "out",
  }),
  "concatenated images and vectors": graph({
    inputs: { image: [2, 4, 6] },
    values: {
      small: [[conv2d(2, 3, 1), relu()], "image"],
      large: [[conv2d(2, 2, 3, { padding: 1 }), tanh()], "image"],
      both: [concat(), "small", "large"],
      mixed: [[conv2d(5, 4, 1), logistic()], "both"],
      means: [globalAveragePool(), "mixed"],
      pixels: [[maxPool2d(2), flatten()], "both"],
      halves: [[averagePool2d(2), flatten(), dense(24, 3)], "mixed"],
      out: [[concat(), dense(37, 3)], "means", "pixels", "halves"],
    },
    output: "out",
  }),
  "one value read twice by one layer": graph({
    inputs: { x: 3 },
    values: {
      h: [[dense(3, 4), tanh()], "x"],
      double: [add(), "h", "h"],
      pair: [concat(), "double", "h", "double"],
      out: [dense(12, 2), "pair"],
    },
    output: "out",
  }),
  "activations and dense layers that share what they read": graph({
    inputs: { x: 5 },
    values: {
      base: [dense(5, 4), "x"],
      h: [dense(4, 6), "base"],
      a: [relu(), "h"],
      b: [tanh(), "h"],
      left: [dense(6, 4), "a"],
      right: [dense(6, 4), "a"],
      third: [dense(6, 4), "h"],
      fourth: [dense(6, 4), "b"],
      direct: [[logistic(), dense(5, 4)], "x"],
      out: [[add(), tanh(), dense(4, 3)], "left", "right", "third", "fourth", "direct"],
    },
    output: "out",
  }),
  "a sum at the end": graph({
    inputs: { x: 4 },
    values: {
      left: [[dense(4, 5), relu(), dense(5, 3)], "x"],
      right: [dense(4, 3), "x"],
      out: [add(), "left", "right"],
    },
    output: "out",
  }),
  "inputs added and put side by side before any layer": graph({
    inputs: { x: 4, y: 4, z: 3 },
    values: {
      sum: [add(), "x", "y", "x"],
      all: [concat(), "sum", "z", "y"],
      out: [[relu(), dense(11, 5), tanh(), dense(5, 3)], "all"],
    },
    output: "out",
  }),
  "a dense layer at two places": graph({
    inputs: { x: 5 },
    values: {
      first: [dense(5, 6), "x"],
      shared: [[tanh(), dense(6, 6)], "first"],
      again: [[tanh(), tied("shared")], "shared"],
      out: [[relu(), dense(6, 3)], "again"],
    },
    output: "out",
  }),
  "a dense layer at three places, one after a fork": graph({
    inputs: { x: 4, y: 4 },
    values: {
      left: [dense(4, 5, { bias: false }), "x"],
      right: [tied("left"), "y"],
      both: [concat(), "left", "right"],
      mixed: [[tanh(), dense(10, 4)], "both"],
      back: [tied("left"), "mixed"],
      out: [[add(), dense(5, 3)], "back", "right"],
    },
    output: "out",
  }),
  "a convolution at two places of different sizes": graph({
    inputs: { image: [3, 7, 6] },
    values: {
      first: [conv2d(3, 3, 3, { padding: 1 }), "image"],
      halved: [[relu(), maxPool2d(2)], "first"],
      again: [tied("first"), "halved"],
      out: [[tanh(), globalAveragePool(), dense(3, 3)], "again"],
    },
    output: "out",
  }),
  "a convolution of two groups at two places": graph({
    inputs: { image: [4, 5, 6] },
    values: {
      first: [conv2d(4, 4, 3, { groups: 2, padding: 1 }), "image"],
      again: [[relu(), tied("first"), tanh(), globalAveragePool(), dense(4, 3)], "first"],
    },
    output: "again",
  }),
  "a sequence": graph({
    inputs: { words: { length: 5, features: 3 } },
    values: {
      first: [dense(3, 6), "words"],
      branch: [[tanh(), dense(6, 6)], "first"],
      sum: [add(), "first", "branch"],
      means: [globalAveragePool(), "sum"],
      all: [[relu(), dense(6, 2), flatten()], "sum"],
      out: [[concat(), dense(16, 3)], "means", "all"],
    },
    output: "out",
  }),
  "a dense layer of a sequence and of a vector": graph({
    inputs: { words: { length: 4, features: 5 }, x: 5 },
    values: {
      each: [dense(5, 6), "words"],
      one: [tied("each"), "x"],
      means: [[tanh(), globalAveragePool()], "each"],
      out: [[concat(), relu(), dense(12, 3)], "means", "one"],
    },
    output: "out",
  }),
  "an embedding of words and of a label": graph({
    inputs: { words: { indices: 7, length: 5 }, label: { indices: 4 }, size: 2 },
    values: {
      embedding: [[oneHot(), dense(7, 4, { bias: false })], "words"],
      hidden: [[tanh(), dense(4, 5), relu(), globalAveragePool()], "embedding"],
      bias: [[oneHot(), dense(4, 5, { bias: false })], "label"],
      out: [[concat(), dense(12, 3)], "hidden", "bias", "size"],
    },
    output: "out",
  }),
};

const losses = [softmaxCrossEntropy(), halfSquaredError(), sigmoidCrossEntropy()];

for (const [index, [what, description]] of Object.entries(graphs).entries()) {
  kernelTest(`graph: ${what}`, async (t) => {
    const manager = await openManager(t);
    const loss = losses[index % losses.length]!;
    await checkGraph(t, manager, { description, loss, what, differences: true });
    manager.dispose();
  });
}

kernelTest("graph: layers at several places that reduce their positions", async (t) => {
  const manager = await openManager(t);
  const description = graph({
    inputs: { image: [3, 6, 5], words: { length: 4, features: 3 }, x: 3 },
    values: {
      first: [conv2d(3, 3, 3, { padding: 1, positions: "reduce" }), "image"],
      again: [[relu(), maxPool2d(2), tied("first"), tanh(), globalAveragePool()], "first"],
      each: [dense(3, 3, { positions: "reduce" }), "words"],
      one: [tied("each"), "x"],
      means: [[logistic(), globalAveragePool()], "each"],
      out: [[add(), dense(3, 4)], "again", "means", "one"],
    },
    output: "out",
  });
  const reduced = ["first", "each"];
  const loss = softmaxCrossEntropy();
  await checkGraph(t, manager, { description, loss, what: "reduce", reduced, differences: true });
  await assertThrows(() => checkGraph(t, manager, { description, loss, what: "expand" }), Error, /first: Ā/);
  manager.dispose();
});

kernelTest("graph: patches in chunks of lines", async (t) => {
  const manager = await openManager(t);
  for (const name of [
    "residual blocks of images",
    "a convolution at two places of different sizes",
    "a sequence",
  ]) {
    const description = graphs[name]!;
    const check = { description, loss: softmaxCrossEntropy(), what: `${name} in chunks` };
    await checkGraph(t, manager, { ...check, chunkBytes: 600 });
  }
  manager.dispose();
});

/** Twins that are wrong in one way, and what must be noticed first. */
const doctored: [
  what: string,
  of: string,
  node: string,
  change: (step: ForwardStep) => ForwardStep,
  RegExp,
][] = [
  [
    "an add that sends nothing to its second reader",
    "a residual network of vectors",
    "all",
    (step) => ({ ...step, back: (d) => step.back(d).map((part, k) => (k === 1 ? part.map(() => 0) : part)) }),
    /(first|branch): G/,
  ],
  [
    "an add that leaves out an input",
    "residual blocks of images",
    "sum",
    (step) => ({ ...step, output: { ...step.output, data: step.output.data.map((x) => x / 2) } }),
    /: loss/,
  ],
  [
    "a value whose readers' derivatives are not added up",
    "a sequence",
    "branch",
    (step) => ({ ...step, back: (d) => step.back(d).map((part) => part.map(() => 0)) }),
    /first: G/,
  ],
  [
    "weights whose second place does not count in the gradient",
    "a convolution at two places of different sizes",
    "again",
    (step) => withTrainable(step, (own) => ({ ...own, gradient: (dz) => zeros(own.gradient(dz)) })),
    /first: G/,
  ],
  [
    "weights whose second place does not count in the curvature",
    "a dense layer of a sequence and of a vector",
    "one",
    (step) =>
      withTrainable(step, (own) => ({ ...own, derivatives: (dz) => own.derivatives(dz, 0).map(zeros) })),
    /each: H V/,
  ],
  [
    "weights whose second place reads something else",
    "a dense layer at two places",
    "again",
    (step) => withTrainable(step, (own) => ({ ...own, inputs: () => own.inputs(0).map(zeros) })),
    /shared: H V/,
  ],
];

function withTrainable(step: ForwardStep, change: (own: TrainableStep) => TrainableStep): ForwardStep {
  return { ...step, trainable: change(step.trainable!) };
}

function zeros(m: Matrix): Matrix {
  return matrix(m.rows, m.cols);
}

for (const [index, [what, of, node, change, pattern]] of doctored.entries()) {
  kernelTest(`graph: a twin that is wrong is noticed (${what})`, async (t) => {
    const manager = await openManager(t);
    const description = graphs[of]!;
    const doctor = (twin: ReferenceGraph): ReferenceGraph => ({
      ...twin,
      nodes: twin.nodes.map((own) => {
        if (own.name !== node) return own;
        const forward: ReferenceOp["forward"] = (...operands) => change(own.op.forward(...operands));
        return { ...own, op: { ...own.op, forward } };
      }),
    });
    const loss = losses[index % losses.length]!;
    await assertThrows(() => checkGraph(t, manager, { description, loss, what: of, doctor }), Error, pattern);
    manager.dispose();
  });
}
