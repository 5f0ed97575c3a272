/** Networks whose values have several readers: residual, concatenating, tied, over sequences and indices. */
import {
  add,
  conv2d,
  dense,
  globalAveragePool,
  graph,
  halfSquaredError,
  logistic,
  maxPool2d,
  relu,
  sigmoidCrossEntropy,
  softmaxCrossEntropy,
  tanh,
  tied,
} from "../../src/network/index.js";
import type { ForwardStep, ReferenceGraph, ReferenceOp, TrainableStep } from "../../src/reference/graph.js";
import { type Matrix, matrix } from "../../src/reference/matrix.js";
import { assertThrows, networkTest } from "../harness/kernel-test.js";
import { managerOf } from "../linalg/helpers.js";
import { checkGraph } from "./graph-helpers.js";
import { graphs } from "./graphs.js";

const losses = [softmaxCrossEntropy(), halfSquaredError(), sigmoidCrossEntropy()];

for (const [index, [what, description]] of Object.entries(graphs).entries()) {
  networkTest(`graph: ${what}`, async (t) => {
    const manager = managerOf(t);
    const loss = losses[index % losses.length]!;
    await checkGraph(t, manager, { description, loss, what, differences: true });
  });
}

networkTest("graph: layers at several places that reduce their positions", async (t) => {
  const manager = managerOf(t);
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
});

networkTest("graph: patches in chunks of lines", async (t) => {
  const manager = managerOf(t);
  for (const name of [
    "residual blocks of images",
    "a convolution at two places of different sizes",
    "a sequence",
  ]) {
    const description = graphs[name]!;
    const check = { description, loss: softmaxCrossEntropy(), what: `${name} in chunks` };
    await checkGraph(t, manager, { ...check, chunkBytes: 600 });
  }
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
  networkTest(`graph: a twin that is wrong is noticed (${what})`, async (t) => {
    const manager = managerOf(t);
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
  });
}
