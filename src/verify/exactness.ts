/** Where K-FAC is the exact curvature of a dense layer, and where it is not (theory, section 2). */
import type { Engine } from "../engine.js";
import { dense, halfSquaredError, type Module, relu, softmaxCrossEntropy } from "../network/index.js";
import { type Matrix, matrix, relativeError } from "../reference/index.js";
import { atLeast, atMost, type Certificate, EPS } from "./certificate.js";
import { Draw } from "./data.js";
import { studied } from "./study.js";

const LAYERS = [5, 6, 4, 3] as const;
const SIZES = LAYERS.join("-");
/** Two products and a network's passes in f32. */
const EXACT = 100 * EPS;
/** A gap that nobody takes for rounding. */
const GAP = 0.02;

function modules(activation?: () => Module): Module[] {
  return LAYERS.slice(1).flatMap((out, l) => [
    dense(LAYERS[l]!, out),
    ...(activation && l < LAYERS.length - 2 ? [activation()] : []),
  ]);
}

function weightsOf(draw: Draw, change: (x: number) => number = (x) => x): Matrix[] {
  return LAYERS.slice(1).map((out, l) => {
    const W = draw.matrix(out, LAYERS[l]! + 1, 0.6);
    return matrix(W.rows, W.cols, W.data.map(change));
  });
}

/** The largest error over the layers. */
async function worst(
  engine: Engine,
  options: { count: number; activation?: () => Module; softmax?: boolean; positive?: boolean },
): Promise<number> {
  const draw = new Draw(31);
  const { count, activation, softmax = false, positive = false } = options;
  const sign = positive ? Math.abs : (x: number) => x;
  const X = draw.matrix(count, LAYERS[0]);
  const study = {
    modules: modules(activation),
    loss: softmax ? softmaxCrossEntropy() : halfSquaredError(),
    X: matrix(X.rows, X.cols, X.data.map(sign)),
    targets: softmax ? Uint32Array.from({ length: count }, (_, i) => i % 3) : draw.matrix(count, 3),
    weights: weightsOf(draw, sign),
  };
  return studied(engine, study, async (one) => {
    let error = 0;
    for (let l = 0; l < LAYERS.length - 1; l++) {
      error = Math.max(error, (await one.errors(["expand"], l)).expand);
    }
    return error;
  });
}

export async function kfacExactness(engine: Engine): Promise<Certificate[]> {
  const at = (examples: number) => `${SIZES}, ${examples === 1 ? "1 example" : `${examples} examples`}`;
  return [
    atMost(
      "K-FAC is exact for a batch of one",
      `${at(1)}, relu, softmax`,
      await worst(engine, { count: 1, activation: relu, softmax: true }),
      EXACT,
    ),
    atLeast(
      "K-FAC is NOT exact for more, in a piecewise linear network",
      `${at(12)}, relu, softmax`,
      await worst(engine, { count: 12, activation: relu, softmax: true }),
      GAP,
    ),
    atMost(
      "K-FAC is exact in a deep linear network under squared loss",
      at(12),
      await worst(engine, { count: 12 }),
      EXACT,
    ),
    atLeast(
      "K-FAC is NOT exact in a deep linear network under softmax",
      at(12),
      await worst(engine, { count: 12, softmax: true }),
      GAP,
    ),
    atMost(
      "K-FAC is exact where all examples share one activation pattern",
      `${at(12)}, relu`,
      await worst(engine, { count: 12, activation: relu, positive: true }),
      EXACT,
    ),
    atLeast(
      "K-FAC is NOT exact where activation patterns differ",
      `${at(12)}, relu`,
      await worst(engine, { count: 12, activation: relu }),
      GAP,
    ),
  ];
}

/** The Monte-Carlo Fisher's error over sample counts a factor apart, each the mean square over several keys. */
export async function monteCarloFisher(engine: Engine): Promise<Certificate[]> {
  const draw = new Draw(32);
  const count = 6;
  const base = {
    modules: modules(relu),
    loss: softmaxCrossEntropy(),
    X: draw.matrix(count, LAYERS[0]),
    targets: Uint32Array.from({ length: count }, (_, i) => i % 3),
    weights: weightsOf(draw),
  };
  const exact = await studied(engine, base, (study) => study.exact(1));
  const errorAt = async (samples: number): Promise<number> => {
    const keys = 6;
    let sum = 0;
    for (let seed = 0; seed < keys; seed++) {
      const fisher = { kind: "monteCarlo", samples, seed, step: 0 } as const;
      const sampled = await studied(engine, { ...base, fisher }, (study) => study.exact(1));
      sum += relativeError(sampled, exact) ** 2;
    }
    return Math.sqrt(sum / keys);
  };
  const [few, many] = [await errorAt(4), await errorAt(256)];
  const slope = Math.log(many / few) / Math.log(256 / 4);
  const sizes = `${SIZES}, ${count} examples, S 4 → 256`;
  return [
    atMost(
      "the Monte-Carlo Fisher's error falls as S^-½: distance of the exponent",
      sizes,
      Math.abs(slope + 0.5),
      0.15,
    ),
    atLeast("the Monte-Carlo Fisher of few samples is NOT exact", `${sizes}, at 4`, few, GAP),
  ];
}
