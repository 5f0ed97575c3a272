/** The note's first network, and its convolution read as left tiling: K-FAC is Newton. */
import { kroneckerSum } from "../curvature/exact/kronecker-sum.js";
import { denseHessian } from "../curvature/exact/operator.js";
import type { Engine } from "../engine.js";
import { DeviceMatrices, toF32, toF64 } from "../host/index.js";
import {
  add,
  eigh,
  gram,
  identity,
  kronecker,
  leftTilingStep,
  type Matrix,
  matmul,
  matrix,
  type NewtonExample,
  newtonError,
  newtonStep,
  norm,
  rank,
  relativeError,
  scale,
} from "../reference/index.js";
import { atMost, type Certificate, EPS } from "./certificate.js";
import { condition, Draw } from "./data.js";

const gradientAt = (example: NewtonExample, W: Matrix) =>
  scale(matmul(matmul(example.B, newtonError(example, W)), example.A, { transposeB: true }), -1);

/** −(BB')⁻¹ G (AA')⁻¹ with every product and inverse the engine's. */
async function engineStep(engine: Engine, { A, B, target }: NewtonExample, W: Matrix): Promise<Matrix> {
  const AAt = await engine.gram({ A: toF32(A) });
  const BBt = await engine.gram({ A: toF32(B) });
  const BW = await engine.matmul(toF32(B), toF32(W), { transposeA: true });
  const prediction = toF64(await engine.matmul(BW, toF32(A)));
  const e = toF32(add(target, prediction, 1, -1));
  const Be = await engine.matmul(toF32(B), e);
  const minusG = await engine.matmul(Be, toF32(A), { transposeB: true });
  const [left, right] = [await engine.invert(BBt), await engine.invert(AAt)];
  return toF64(await engine.sandwich(left.inverse, minusG, right.inverse));
}

export async function newtonMinimiser(engine: Engine): Promise<Certificate[]> {
  const rows: Certificate[] = [];
  const draw = new Draw(41);
  for (const [inputs, out, n, c] of [
    [1, 1, 3, 2],
    [7, 4, 20, 9],
    [33, 18, 100, 50],
    [12, 65, 40, 200],
  ] as const) {
    const example = {
      A: draw.matrix(inputs, n),
      B: draw.matrix(out, c),
      target: draw.matrix(c, n),
    };
    const W = draw.matrix(out, inputs);
    const after = add(W, await engineStep(engine, example, W));
    const error = norm(gradientAt(example, after)) / norm(gradientAt(example, W));
    const kappa = condition(gram({ A: example.A })) + condition(gram({ A: example.B }));
    const sizes = `W ${out} × ${inputs}, n ${n}, c ${c}`;
    const bound = 16 * EPS * (2 + kappa);
    rows.push(
      atMost("linear network: one K-FAC step lands on the minimiser (gradient left)", sizes, error, bound),
    );
  }
  return rows;
}

/** S⁺ from the engine's eigenvectors; what lies below f32's noise counts as zero. */
async function pseudoInverse(engine: Engine, S: Matrix): Promise<{ inverse: Matrix; rank: number }> {
  const { values, vectors } = await engine.eigh(toF32(S));
  const n = S.rows;
  const floor = 16 * n * EPS * (values[n - 1] ?? 0);
  const kept = Array.from(values, (value) => (value > floor ? 1 / value : 0));
  const V = toF64(vectors);
  const weighed = matrix(
    n,
    n,
    V.data.map((x, k) => x * kept[k % n]!),
  );
  const inverse = await engine.matmul(toF32(weighed), toF32(V), { transposeB: true });
  return { inverse: toF64(inverse), rank: kept.filter((x) => x > 0).length };
}

export async function minimumNorm(engine: Engine): Promise<Certificate[]> {
  const rows: Certificate[] = [];
  const draw = new Draw(42);
  for (const [inputs, out, rankA, rankB] of [
    [6, 4, 3, 4],
    [9, 7, 9, 2],
    [20, 12, 7, 5],
  ] as const) {
    const example = {
      A: rounded(matmul(draw.matrix(inputs, rankA), draw.matrix(rankA, 40))),
      B: rounded(matmul(draw.matrix(out, rankB), draw.matrix(rankB, 30))),
      target: draw.matrix(30, 40),
    };
    const W = draw.matrix(out, inputs);
    const [AAt, BBt] = [gram({ A: example.A }), gram({ A: example.B })];
    const [right, left] = [await pseudoInverse(engine, AAt), await pseudoInverse(engine, BBt)];
    const G = gradientAt(example, W);
    const step = toF64(await engine.sandwich(toF32(left.inverse), toF32(scale(G, -1)), toF32(right.inverse)));
    // Rounding to f32 has left singular values of about 1e-7, which are not of the problem.
    const wanted = lowRankStep(AAt, BBt, G, rankA, rankB);
    const found = right.rank === rankA && left.rank === rankB;
    const sizes = `W ${out} × ${inputs}, ranks ${rankA} and ${rankB}`;
    const error = found ? relativeError(step, wanted) : Number.NaN;
    rows.push(atMost("singular factors: the step is the shortest, with the ranks found", sizes, error, 1e-3));
  }
  return rows;
}

const rounded = (m: Matrix) => matrix(m.rows, m.cols, m.data.map(Math.fround));

function lowRankStep(AAt: Matrix, BBt: Matrix, G: Matrix, rankA: number, rankB: number): Matrix {
  const inverse = (S: Matrix, r: number) => {
    const { values, vectors } = eigh(S);
    const n = S.rows;
    const kept = Array.from(values, (value, k) => (k >= n - r ? 1 / value : 0));
    const weighed = matrix(
      n,
      n,
      vectors.data.map((x, k) => x * kept[k % n]!),
    );
    return matmul(weighed, vectors, { transposeB: true });
  };
  return scale(matmul(matmul(inverse(BBt, rankB), G), inverse(AAt, rankA)), -1);
}

export async function leftTiling(engine: Engine): Promise<Certificate[]> {
  const rows: Certificate[] = [];
  const draw = new Draw(43);
  for (const [inputs, out, tiles] of [
    [5, 8, 3],
    [4, 6, 6],
  ] as const) {
    const K = draw.matrix(out, tiles);
    const [A, B] = [draw.matrix(inputs, 11), draw.matrix(out, 9)];
    const sizes = `W ${out} × ${inputs}, U ${tiles} × ${inputs}`;
    // (I ⊗ K')(AA' ⊗ BB')(I ⊗ K), as the note writes it.
    const side = kronecker(identity(inputs), K);
    const full = kronecker(gram({ A }), gram({ A: B }));
    const literal = matmul(matmul(side, full, { transposeA: true }), side);
    const KB = await engine.matmul(toF32(K), toF32(B), { transposeA: true });
    const H = await hessianOf(engine, A, toF64(KB));
    rows.push(
      atMost("left tiling: (I⊗K')(AA'⊗BB')(I⊗K) is AA'⊗K'BB'K", sizes, relativeError(H, literal), 64 * EPS),
    );
    const target = draw.matrix(9, 11);
    const U = draw.matrix(tiles, inputs);
    const example = { A, B: rounded(toF64(KB)), target };
    const step = await engineStep(engine, example, U);
    const wanted = leftTilingStep({ K, U, A, B, target });
    const kappa = condition(wanted.AAt) * condition(wanted.BBt);
    const full2 = rank(wanted.BBt) === tiles;
    const error = full2 ? relativeError(step, wanted.step) : Number.NaN;
    rows.push(
      atMost("left tiling: one sandwich is the Newton step of U", sizes, error, 32 * EPS * (4 + kappa)),
    );
  }
  return rows;
}

async function hessianOf({ manager }: Engine, A: Matrix, B: Matrix): Promise<Matrix> {
  const memory = new DeviceMatrices(manager, "verify");
  try {
    const operator = kroneckerSum({ A: memory.upload(A), B: memory.upload(B) });
    return toF64(await denseHessian(manager, operator));
  } finally {
    memory.dispose();
  }
}

/** The f64 twin of `engineStep`, so that the whole chain is compared once. */
export async function newtonAgainstReference(engine: Engine): Promise<Certificate[]> {
  const draw = new Draw(44);
  const example = { A: draw.matrix(9, 50), B: draw.matrix(6, 40), target: draw.matrix(40, 50) };
  const W = draw.matrix(6, 9);
  const step = await engineStep(engine, example, W);
  const wanted = newtonStep({ ...example, W });
  const kappa = condition(wanted.AAt) * condition(wanted.BBt);
  return [
    atMost(
      "linear network: the step is the f64 reference's",
      "W 6 × 9",
      relativeError(step, wanted.step),
      16 * EPS * kappa,
    ),
  ];
}
