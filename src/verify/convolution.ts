/** The note's third network: the true convolution's curvature, what is exact where, and how approximations rank. */
import type { Engine } from "../engine.js";
import {
  conv2d,
  dense,
  flatten,
  globalAveragePool,
  halfSquaredError,
  maxPool2d,
  relu,
  softmaxCrossEntropy,
} from "../network/index.js";
import {
  conv,
  convCurvature,
  convGeometry,
  denseHessian,
  linear,
  type Matrix,
  matrix,
  positionOperator,
  relativeError,
  tensor,
  tiledHessian,
  tilingMatrix,
} from "../reference/index.js";
import { atLeast, atMost, type Certificate, EPS } from "./certificate.js";
import { Draw } from "./data.js";
import { type Study, type StudyOptions, studied } from "./study.js";

const EXACT = 200 * EPS;
const GAP = 0.05;

/** H of conv + head against the note's T'(AA' ⊗ BB')T with T the whole tiling matrix, in f64, and against Jacobians. */
export async function trueConvolution(engine: Engine): Promise<Certificate[]> {
  const rows: Certificate[] = [];
  const draw = new Draw(61);
  for (const { C, size, O, kernel, stride, padding, N, outputs } of [
    { C: 1, size: 5, O: 2, kernel: 3, stride: 1, padding: 0, N: 3, outputs: 2 },
    { C: 2, size: 4, O: 3, kernel: 2, stride: 2, padding: 1, N: 4, outputs: 5 },
  ]) {
    const options = { kernel, stride, padding };
    const geometry = convGeometry({ channels: C, height: size, width: size }, options);
    const map = O * geometry.positions;
    const X = draw.matrix(N, C * size * size);
    const [W, head] = [draw.matrix(O, geometry.columns), draw.matrix(outputs, map)];
    const H = await studied(
      engine,
      {
        modules: [conv2d(C, O, kernel, { stride, padding }), flatten(), dense(map, outputs, { bias: false })],
        loss: halfSquaredError(),
        input: [C, size, size],
        X,
        targets: draw.matrix(N, outputs),
        weights: [W, head],
      },
      (study) => study.exact(),
    );
    const sizes = `${C}×${size}×${size}, ${O} kernels of ${kernel}×${kernel}, ${geometry.positions} positions`;
    // A_i is the whole input as one column, B_i the transposed Jacobian at all outputs: the head's.
    const tiling = tilingMatrix(geometry, O);
    const B = matrix(map, outputs);
    for (let k = 0; k < map; k++)
      for (let c = 0; c < outputs; c++) B.data[k * outputs + c] = head.data[c * map + k]!;
    const examples = Array.from({ length: N }, (_, i) => ({ A: withOne(X, i), B }));
    const literal = tiledHessian(examples, tiling, 1 / N);
    rows.push(
      atMost(
        "true convolution: the operator is T'(AA'⊗BB')T of the note",
        sizes,
        relativeError(H, literal),
        EXACT,
      ),
    );
    const input = tensor([N, C, size, size], X.data);
    const layers = [conv(W, options), { kind: "flatten" } as const, linear(head, false)];
    const blocks = convCurvature(layers, "halfSquaredError", input, { kind: "exact" })[0]!;
    const byJacobians = denseHessian(positionOperator(blocks));
    rows.push(
      atMost(
        "true convolution: the operator is the sum of the Jacobians'",
        sizes,
        relativeError(H, byJacobians),
        EXACT,
      ),
    );
  }
  return rows;
}

/** Row i as a column with the bias's 1 below. */
function withOne(X: Matrix, i: number): Matrix {
  const out = matrix(X.cols + 1, 1);
  out.data.set(X.data.subarray(i * X.cols, (i + 1) * X.cols));
  out.data[X.cols] = 1;
  return out;
}

const IMAGE = [2, 4, 4] as const;
const COUNT = 6;

function linearNetwork(draw: Draw, pooled: boolean): StudyOptions {
  const outputs = pooled ? 3 : 2 * 16;
  return {
    modules: [
      conv2d(2, 3, 3, { padding: 1 }),
      conv2d(3, 2, 1),
      ...(pooled ? [globalAveragePool(), dense(2, 3)] : [flatten()]),
    ],
    loss: halfSquaredError(),
    input: IMAGE,
    X: draw.matrix(COUNT, 32),
    targets: draw.matrix(COUNT, outputs),
  };
}

export async function positionExactness(engine: Engine): Promise<Certificate[]> {
  const sizes = "2×4×4, deep linear, 16 positions";
  const measure = (pooled: boolean) =>
    studied(engine, linearNetwork(new Draw(62), pooled), (study) =>
      study.errors(["expand", "reduce", "meanFluctuation"]),
    );
  const [each, pooled] = [await measure(false), await measure(true)];
  const single = await studied(engine, onePosition(new Draw(63)), (study) =>
    study.errors(["expand", "reduce"]),
  );
  const one = "2×3×3, a 3×3 kernel at one position";
  return [
    atMost("expand is exact under a loss per position", sizes, each.expand, EXACT),
    atLeast("reduce is NOT exact under a loss per position", sizes, each.reduce, GAP),
    atMost("reduce is exact before a mean over positions", sizes, pooled.reduce, EXACT),
    atMost("mean + fluctuation is exact there too", sizes, pooled.meanFluctuation, EXACT),
    atLeast("expand is NOT exact before a mean over positions", sizes, pooled.expand, GAP),
    atMost("one position: expand and reduce are exact", one, Math.max(single.expand, single.reduce), EXACT),
  ];
}

function onePosition(draw: Draw): StudyOptions {
  return {
    modules: [conv2d(2, 4, 3), flatten()],
    loss: halfSquaredError(),
    input: [2, 3, 3],
    X: draw.matrix(COUNT, 18),
    targets: draw.matrix(COUNT, 4),
  };
}

export async function orderings(engine: Engine): Promise<Certificate[]> {
  const draw = new Draw(64);
  const options: StudyOptions = {
    modules: [conv2d(2, 3, 3, { padding: 1 }), relu(), maxPool2d(2), flatten(), dense(12, 3)],
    loss: softmaxCrossEntropy(),
    input: IMAGE,
    X: draw.matrix(COUNT, 32),
    targets: Uint32Array.from({ length: COUNT }, (_, i) => i % 3),
  };
  const rows: Certificate[] = [];
  await studied(engine, options, async (study) => {
    for (const [layer, name] of ["conv 3×19", "dense 3×13"].entries()) {
      rows.push(...(await ranked(study, layer, `${name}, relu and max pooling`)));
    }
  });
  return rows;
}

async function ranked(study: Study, layer: number, sizes: string): Promise<Certificate[]> {
  const { expand, ekfac, kfoc } = await study.errors(["expand", "ekfac", "kfoc"], layer);
  return [
    atMost("EKFAC is no further from H than K-FAC", sizes, ekfac, expand + EXACT),
    atMost("the nearest Kronecker product (KFOC) is no further than K-FAC", sizes, kfoc, expand + EXACT),
    atLeast("no Kronecker product is H: KFOC is NOT exact", sizes, kfoc, GAP),
  ];
}
