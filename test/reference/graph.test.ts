import { describe, expect, it } from "vitest";
import { ArgumentError, ShapeError } from "../../src/errors.js";
import {
  activation,
  activationOp,
  add,
  addOp,
  averagePoolOp,
  concatOp,
  conv2dOp,
  curvatureRows,
  denseBlock,
  denseHessian,
  denseOp,
  expandFactors,
  type Fisher,
  flattenOp,
  type GraphInputs,
  globalAveragePoolOp,
  graphCurvature,
  graphForward,
  graphGgnByDifferences,
  graphGradientByDifferences,
  graphLossAndGradients,
  initialWeights,
  kroneckerApproximation,
  type Layer,
  type LossKind,
  linear,
  type Matrix,
  matmul,
  matrix,
  maxPoolOp,
  networkGraph,
  oneHotOp,
  type PositionBlock,
  positionOperator,
  type ReferenceGraph,
  type ReferenceNode,
  type ReferenceOp,
  relativeError,
  scale,
  stackRows,
  type Targets,
  tensor,
  type Value,
  type Weights,
  weightKeys,
} from "../../src/reference/index.js";
import { randomMatrix } from "./helpers.js";

const N = 4;
const classes = [0, 2, 1, 2];
const losses: [LossKind, Targets][] = [
  ["softmaxCrossEntropy", classes],
  ["halfSquaredError", randomMatrix(N, 3, 301)],
  ["sigmoidCrossEntropy", matrix(N, 3, [1, 0, 0, 0, 1, 1, 0, 0, 1, 1, 1, 0])],
];

interface Case {
  graph: ReferenceGraph;
  weights: Weights;
  inputs: GraphInputs;
}

function node(name: string, inputs: string | string[], op: ReferenceOp, weights?: string): ReferenceNode {
  return { name, inputs: typeof inputs === "string" ? [inputs] : inputs, op, weights };
}

function graphOf(nodes: ReferenceNode[], inputs = ["x"]): ReferenceGraph {
  return { inputs, nodes, output: nodes.at(-1)!.name };
}

const tanh = activationOp("tanh");
const image = (channels: number, height: number, width: number, seed: number): Value =>
  tensor([N, channels, height, width], randomMatrix(N, channels * height * width, seed).data);
const indices = (T: number) =>
  matrix(
    N,
    T,
    Array.from({ length: N * T }, (_, k) => (k * k + 1) % 5),
  );

const cases: Record<string, Case> = {
  "residual MLP": {
    graph: graphOf([
      node("first", "x", denseOp(), "first"),
      node("h", "first", tanh),
      node("branch", "h", denseOp({ bias: false }), "branch"),
      node("g", "branch", tanh),
      node("sum", ["h", "g"], addOp()),
      node("z", "sum", denseOp(), "head"),
    ]),
    weights: {
      first: randomMatrix(4, 6, 310, 0.6),
      branch: randomMatrix(4, 4, 311, 0.6),
      head: randomMatrix(3, 5, 312, 0.6),
    },
    inputs: { x: randomMatrix(N, 5, 313) },
  },
  "residual convolutional net": {
    graph: graphOf([
      node("stem", "x", conv2dOp({ kernel: 3, padding: 1 }), "stem"),
      node("h", "stem", tanh),
      node("branch", "h", conv2dOp({ kernel: 3, padding: 1, groups: 2 }), "branch"),
      node("sum", ["branch", "h"], addOp()),
      node("pool", "sum", maxPoolOp({ kernel: 2 })),
      node("flat", "pool", flattenOp()),
      node("z", "flat", denseOp(), "head"),
    ]),
    weights: {
      stem: randomMatrix(2, 19, 320, 0.4),
      branch: randomMatrix(2, 10, 321, 0.4),
      head: randomMatrix(3, 9, 322, 0.4),
    },
    inputs: { x: image(2, 4, 4, 323) },
  },
  "two inputs, concatenated rows and channels": {
    graph: graphOf(
      [
        node("left", "x", conv2dOp({ kernel: 2 }), "left"),
        node("right", "x", conv2dOp({ kernel: 2, bias: false }), "right"),
        node("both", ["left", "right", "left"], concatOp()),
        node("act", "both", tanh),
        node("mean", "act", globalAveragePoolOp()),
        node("side", "y", denseOp(), "side"),
        node("row", ["side", "mean"], concatOp()),
        node("z", "row", denseOp(), "head"),
      ],
      ["x", "y"],
    ),
    weights: {
      left: randomMatrix(2, 9, 330, 0.5),
      right: randomMatrix(1, 8, 331, 0.5),
      side: randomMatrix(2, 4, 332, 0.5),
      head: randomMatrix(3, 8, 333, 0.5),
    },
    inputs: { x: image(2, 3, 4, 334), y: randomMatrix(N, 3, 335) },
  },
  "tied dense": {
    graph: graphOf([
      node("one", "x", denseOp(), "tied"),
      node("h", "one", tanh),
      node("two", "h", denseOp(), "tied"),
      node("g", "two", tanh),
      node("sum", ["g", "h"], addOp()),
      node("z", "sum", denseOp(), "head"),
    ]),
    weights: { tied: randomMatrix(4, 5, 340, 0.6), head: randomMatrix(3, 5, 341, 0.6) },
    inputs: { x: randomMatrix(N, 4, 342) },
  },
  "tied convolution of different sizes, in groups": {
    graph: graphOf([
      node("one", "x", conv2dOp({ kernel: 2, groups: 2 }), "tied"),
      node("h", "one", tanh),
      node("two", "h", conv2dOp({ kernel: 2, groups: 2 }), "tied"),
      node("mean", "two", globalAveragePoolOp()),
      node("z", "mean", denseOp(), "head"),
    ]),
    weights: { tied: randomMatrix(2, 5, 350, 0.5), head: randomMatrix(3, 3, 351, 0.5) },
    inputs: { x: image(2, 4, 5, 352) },
  },
  "sequence with a dense layer at each position": {
    graph: graphOf([
      node("each", "x", denseOp({ positions: true }), "each"),
      node("h", "each", tanh),
      node("window", "h", conv2dOp({ kernel: [1, 3], padding: [0, 1] }), "window"),
      node("sum", ["h", "window"], addOp()),
      node("mean", "sum", averagePoolOp({ kernel: [1, 2], stride: [1, 1] })),
      node("flat", "mean", flattenOp()),
      node("z", "flat", denseOp(), "head"),
    ]),
    weights: {
      each: randomMatrix(3, 5, 360, 0.5),
      window: randomMatrix(3, 10, 361, 0.5),
      head: randomMatrix(3, 13, 362, 0.5),
    },
    inputs: { x: image(4, 1, 5, 363) },
  },
  "embedding, its matrix tied to a second input": {
    graph: graphOf(
      [
        node("hotX", "x", oneHotOp(5)),
        node("hotY", "y", oneHotOp(5)),
        node("first", "hotX", denseOp({ bias: false, positions: true }), "embedding"),
        node("second", "hotY", denseOp({ bias: false, positions: true }), "embedding"),
        node("a", "first", flattenOp()),
        node("b", "second", globalAveragePoolOp()),
        node("row", ["a", "b"], concatOp()),
        node("act", "row", tanh),
        node("z", "act", denseOp(), "head"),
      ],
      ["x", "y"],
    ),
    weights: { embedding: randomMatrix(2, 5, 370), head: randomMatrix(3, 9, 371, 0.5) },
    inputs: { x: indices(3), y: indices(2) },
  },
};

const denseOf = (blocks: readonly PositionBlock[]) => denseHessian(positionOperator(blocks));

describe.each(Object.keys(cases))("graph: %s", (name) => {
  const { graph, weights, inputs } = cases[name]!;

  it.each(losses)("has the gradients of finite differences for %s, mean and sum", (loss, targets) => {
    const { gradients } = graphLossAndGradients(graph, weights, loss, inputs, targets);
    const total = graphLossAndGradients(graph, weights, loss, inputs, targets, "sum");
    expect(Object.keys(gradients)).toEqual(weightKeys(graph));
    for (const [key, G] of Object.entries(gradients)) {
      const expected = graphGradientByDifferences(graph, weights, key, loss, inputs, targets);
      expect(relativeError(G, expected)).toBeLessThan(1e-7);
      expect(relativeError(total.gradients[key]!, scale(G, N))).toBeLessThan(1e-14);
    }
  });

  it.each(losses)("has the GGN of finite-difference Jacobians for %s", (loss) => {
    const blocks = graphCurvature(graph, weights, loss, inputs, { kind: "exact" });
    for (const [key, own] of Object.entries(blocks)) {
      const expected = graphGgnByDifferences(graph, weights, key, loss, inputs);
      expect(relativeError(denseOf(own), expected)).toBeLessThan(1e-7);
    }
  });

  it("empirical columns give the gradient", () => {
    const fisher: Fisher = { kind: "empirical", targets: classes };
    const blocks = graphCurvature(graph, weights, "softmaxCrossEntropy", inputs, fisher);
    const { gradients } = graphLossAndGradients(graph, weights, "softmaxCrossEntropy", inputs, classes);
    for (const [key, own] of Object.entries(blocks)) {
      const sums = own.map(({ A, B, divisor }) =>
        A.map((a, i) => matmul(B[i]![0]!, a, { transposeB: true, alpha: 1 / divisor })).reduce((x, y) =>
          add(x, y),
        ),
      );
      expect(relativeError(stackRows(sums), gradients[key]!)).toBeLessThan(1e-13);
    }
  });

  it("Monte-Carlo columns tend to the exact block", () => {
    const key = weightKeys(graph)[0]!;
    const block = (fisher: Fisher) =>
      denseOf(graphCurvature(graph, weights, "softmaxCrossEntropy", inputs, fisher)[key]!);
    const exact = block({ kind: "exact" });
    const error = (samples: number) =>
      relativeError(block({ kind: "monteCarlo", seed: 2, step: 1, samples }), exact);
    expect(error(1)).toBeGreaterThan(0.1);
    expect(error(600)).toBeLessThan(0.1);
  });
});

describe("what would be wrong differs", () => {
  /** Lets values through and derivatives not: what a fork comes to when one branch is forgotten. */
  const stop: ReferenceOp = {
    kind: "stop",
    forward: ([input]) => ({ output: input!, back: (d) => [new Float64Array(d.length)] }),
  };

  it("a fork without the sum over its branches", () => {
    for (const name of ["residual MLP", "residual convolutional net"]) {
      const { graph, weights, inputs } = cases[name]!;
      const nodes = graph.nodes.flatMap((own) =>
        own.name === "sum"
          ? [node("cut", "h", stop), { ...own, inputs: own.inputs.map((n) => (n === "h" ? "cut" : n)) }]
          : [own],
      );
      const [key] = weightKeys(graph) as [string];
      const cut = { ...graph, nodes };
      const expected = graphGradientByDifferences(
        graph,
        weights,
        key,
        "softmaxCrossEntropy",
        inputs,
        classes,
      );
      const { gradients } = graphLossAndGradients(cut, weights, "softmaxCrossEntropy", inputs, classes);
      expect(relativeError(gradients[key]!, expected)).toBeGreaterThan(0.05);
      const [block] = [graphCurvature(cut, weights, "softmaxCrossEntropy", inputs, { kind: "exact" })[key]!];
      const ggn = graphGgnByDifferences(graph, weights, key, "softmaxCrossEntropy", inputs);
      expect(relativeError(denseOf(block), ggn)).toBeGreaterThan(0.05);
    }
  });

  it("tied weights as if they were two", () => {
    const tied: [string, string][] = [
      ["tied dense", "tied"],
      ["tied convolution of different sizes, in groups", "tied"],
      ["embedding, its matrix tied to a second input", "embedding"],
    ];
    for (const [name, key] of tied) {
      const { graph, weights, inputs } = cases[name]!;
      const uses = graph.nodes.filter((own) => own.weights === key).map((own) => own.name);
      const apart: ReferenceGraph = {
        ...graph,
        nodes: graph.nodes.map((own) => (own.weights === key ? { ...own, weights: own.name } : own)),
      };
      const { [key]: W, ...others } = weights;
      const own = { ...others, ...Object.fromEntries(uses.map((use) => [use, W!])) };
      const { gradients } = graphLossAndGradients(apart, own, "softmaxCrossEntropy", inputs, classes);
      const together = graphLossAndGradients(graph, weights, "softmaxCrossEntropy", inputs, classes);
      const G = together.gradients[key]!;
      expect(relativeError(add(gradients[uses[0]!]!, gradients[uses[1]!]!), G)).toBeLessThan(1e-13);
      for (const use of uses) expect(relativeError(gradients[use]!, G)).toBeGreaterThan(0.05);

      const blocks = graphCurvature(apart, own, "softmaxCrossEntropy", inputs, { kind: "exact" });
      const sum = add(denseOf(blocks[uses[0]!]!), denseOf(blocks[uses[1]!]!));
      const ggn = graphGgnByDifferences(graph, weights, key, "softmaxCrossEntropy", inputs);
      expect(relativeError(sum, ggn)).toBeGreaterThan(0.05);
      const factors = (block: readonly PositionBlock[]) =>
        kroneckerApproximation("expand", expandFactors(block[0]!)).dense();
      const both = factors(
        graphCurvature(graph, weights, "softmaxCrossEntropy", inputs, { kind: "exact" })[key]!,
      );
      for (const use of uses) expect(relativeError(factors(blocks[use]!), both)).toBeGreaterThan(0.05);
    }
  });

  it("expand factors of tied weights see the positions of all uses", () => {
    const { graph, weights, inputs } = cases["tied dense"]!;
    const pass = graphForward(graph, weights, inputs);
    const [block] = graphCurvature(graph, weights, "halfSquaredError", inputs, { kind: "exact" }).tied!;
    const { A } = expandFactors(block!);
    const rows = ["x", "h"].map((name) => pass.values.get(name) as Matrix);
    let expected = matrix(5, 5);
    for (const X of rows) {
      for (let i = 0; i < N; i++) {
        const a = matrix(5, 1, [...X.data.subarray(4 * i, 4 * i + 4), 1]);
        expected = add(expected, matmul(a, a, { transposeB: true }), 1, 1 / (2 * N));
      }
    }
    expect(relativeError(A, expected)).toBeLessThan(1e-14);
  });
});

describe("a chain", () => {
  const layers: Layer[] = [
    linear(randomMatrix(4, 4, 380)),
    activation("tanh"),
    linear(randomMatrix(3, 4, 381), false),
  ];

  it("is the dense network, draws of Monte-Carlo samples included", () => {
    const { graph, weights } = networkGraph(layers);
    const X = randomMatrix(N, 3, 382);
    const fishers: Fisher[] = [
      { kind: "exact" },
      { kind: "monteCarlo", seed: 5, step: 3, samples: 2 },
      { kind: "empirical", targets: classes },
    ];
    for (const fisher of fishers) {
      const rows = curvatureRows(layers, "softmaxCrossEntropy", X, fisher);
      const blocks = graphCurvature(graph, weights, "softmaxCrossEntropy", { inputs: X }, fisher);
      Object.values(blocks).forEach(([block], l) => {
        expect(block).toEqual(denseBlock(rows, l));
      });
    }
  });
});

describe("what a graph refuses", () => {
  const { graph, weights, inputs } = cases["residual MLP"]!;
  const run = (changed: Partial<Case>) => () => {
    const { graph: g, weights: w, inputs: x } = { graph, weights, inputs, ...changed };
    return graphForward(g, w, x);
  };
  const withNodes = (nodes: ReferenceNode[]) => run({ graph: { ...graph, nodes } });
  const { first, ...withoutFirst } = weights;

  it.each<[string, () => unknown, RegExp]>([
    ["a node before its input", withNodes([...graph.nodes].reverse()), /"z" reads "sum"/],
    ["a name twice", withNodes([...graph.nodes, graph.nodes[0]!]), /got "first" twice/],
    ["a node named as an input", withNodes([node("x", "x", tanh)]), /got "x" twice/],
    ["a node without inputs", withNodes([node("z", [], tanh)]), /"z" has none/],
    ["an output that is not there", run({ graph: { ...graph, output: "y" } }), /output .* got "y"/],
    ["weights that are missing", run({ weights: withoutFirst }), /weights must hold "first"/],
    ["weights that nobody uses", run({ weights: { ...weights, more: first! } }), /nothing reads "more"/],
    ["inputs that are missing", run({ inputs: {} }), /inputs must hold "x"/],
    ["a method of objects as a key", run({ graph: { ...graph, inputs: ["x", "toString"] } }), /"toString"/],
    [
      "an operation without its weights",
      run({ graph: graphOf([node("z", "x", denseOp())]), weights: {} }),
      /weights of z must be there/,
    ],
    [
      "weights for an operation that has none",
      run({ graph: graphOf([node("z", "x", tanh, "first")]), weights: { first: first! } }),
      /z \(tanh\) has no weights/,
    ],
  ])("%s", (_, call, message) => {
    expect(call).toThrow(ArgumentError);
    expect(call).toThrow(message);
  });

  it("inputs of different counts, values that do not fit", () => {
    const two = cases["two inputs, concatenated rows and channels"]!;
    expect(() =>
      graphForward(two.graph, two.weights, { ...two.inputs, y: randomMatrix(N + 1, 3, 1) }),
    ).toThrow(/y has shape \[5 × 3\]/);
    expect(run({ inputs: { x: randomMatrix(N, 4, 1) } })).toThrow(/input of first has shape \[4 × 4\]/);
    expect(run({ inputs: { x: image(5, 1, 1, 1) } })).toThrow(ShapeError);
    const ragged = graphOf([node("z", ["x", "y"], addOp())], ["x", "y"]);
    expect(() => graphForward(ragged, {}, { x: matrix(2, 3), y: matrix(2, 4) })).toThrow(/input 1 of z/);
    expect(() => graphForward(ragged, {}, { x: matrix(2, 3), y: tensor([2, 3, 1, 1]) })).toThrow(ShapeError);
    const joined = graphOf([node("z", ["x", "y"], concatOp())], ["x", "y"]);
    expect(() => graphForward(joined, {}, { x: tensor([2, 3, 1, 4]), y: tensor([2, 3, 4, 1]) })).toThrow(
      ShapeError,
    );
    expect(() => graphForward(joined, {}, { x: matrix(2, 3), y: tensor([2, 3, 1, 1]) })).toThrow(ShapeError);
    const hot = graphOf([node("z", "x", oneHotOp(3))]);
    for (const index of [3, -1, 0.5]) {
      expect(() => graphForward(hot, {}, { x: matrix(1, 1, [index]) })).toThrow(/whole numbers from 0 to 2/);
    }
    expect(() => oneHotOp(0)).toThrow(ArgumentError);
    expect(() => addOp().forward([matrix(1, 1)])).toThrow(/must be two or more/);
    expect(() => tanh.forward([matrix(1, 1), matrix(1, 1)])).toThrow(/must be one, got 2/);
  });

  it("tied convolutions with different groups", () => {
    const mixed = graphOf([
      node("one", "x", conv2dOp({ kernel: 1, groups: 2 }), "tied"),
      node("part", "y", conv2dOp({ kernel: 1 }), "tied"),
      node("sum", ["one", "part"], addOp()),
      node("z", "sum", globalAveragePoolOp()),
    ]);
    const tied = { ...mixed, inputs: ["x", "y"] };
    const values = { x: image(4, 2, 2, 1), y: image(2, 2, 2, 2) };
    const own = { tied: randomMatrix(4, 3, 3) };
    expect(() => graphCurvature(tied, own, "halfSquaredError", values, { kind: "exact" })).toThrow(
      /part must have the 2 groups/,
    );
  });

  it("an operation that returns derivatives of another size", () => {
    const short: ReferenceOp = {
      kind: "short",
      forward: ([input]) => ({ output: input!, back: () => [new Float64Array(1)] }),
    };
    const none: ReferenceOp = { kind: "none", forward: ([input]) => ({ output: input!, back: () => [] }) };
    for (const op of [short, none]) {
      const wrong = graphOf([node("a", "x", denseOp(), "a"), node("z", "a", op)]);
      const own = { a: initialWeights(3, 5, { seed: 1 }) };
      expect(() => graphLossAndGradients(wrong, own, "softmaxCrossEntropy", inputs, classes)).toThrow(
        /back of z/,
      );
    }
  });
});

describe("weights off the path to the output", () => {
  it("have a gradient and curvature of zero", () => {
    const graph: ReferenceGraph = {
      inputs: ["x"],
      nodes: [node("aside", "x", denseOp(), "aside"), node("z", "x", denseOp(), "head")],
      output: "z",
    };
    const weights = { aside: randomMatrix(2, 4, 1), head: randomMatrix(3, 4, 2) };
    const inputs = { x: randomMatrix(N, 3, 3) };
    const { gradients } = graphLossAndGradients(graph, weights, "softmaxCrossEntropy", inputs, classes);
    expect(gradients.aside).toEqual(matrix(2, 4));
    const { aside } = graphCurvature(graph, weights, "softmaxCrossEntropy", inputs, { kind: "exact" });
    expect(expandFactors(aside![0]!).B).toEqual(matrix(2, 2));
  });
});
