/** The exact Hessian of the note's piecewise linear network, a sum of Kronecker products. */
import { kroneckerSum } from "../../src/curvature/exact/kronecker-sum.js";
import { denseHessian as denseMatrix } from "../../src/curvature/exact/operator.js";
import { ArgumentError, ShapeError } from "../../src/errors.js";
import { gram } from "../../src/reference/gram.js";
import { kronecker, type Matrix, scale } from "../../src/reference/matrix.js";
import { denseHessian, kroneckerSumOperator } from "../../src/reference/operator.js";
import { assertClose, assertThrows, kernelTest, type TestContext } from "../harness/kernel-test.js";
import { managerOf } from "../linalg/helpers.js";
import { download, normals, upload } from "./helpers.js";
import { blank, store, submit } from "./layers.js";

interface Sizes {
  N: number;
  in: number;
  out: number;
  T: number;
  C: number;
}

function examplesOf(t: TestContext, sizes: Sizes, seed = 1): { A: Matrix; B: Matrix }[] {
  const random = t.random(seed);
  return Array.from({ length: sizes.N }, () => ({
    A: normals(random, sizes.in, sizes.T),
    B: normals(random, sizes.out, sizes.C),
  }));
}

/** Matrices side by side. */
function beside(parts: readonly Matrix[]): Matrix {
  const { rows, cols: width } = parts[0]!;
  const out = { rows, cols: width * parts.length, data: new Float64Array(rows * width * parts.length) };
  for (const [i, part] of parts.entries()) {
    for (let r = 0; r < rows; r++) {
      out.data.set(part.data.subarray(r * width, (r + 1) * width), r * out.cols + i * width);
    }
  }
  return out;
}

function turned(M: Matrix): Matrix {
  const data = Float64Array.from(M.data, (_, k) => M.data[(k % M.rows) * M.cols + Math.floor(k / M.rows)]!);
  return { rows: M.cols, cols: M.rows, data };
}

for (const sizes of [
  { N: 1, in: 4, out: 3, T: 2, C: 2 },
  { N: 6, in: 5, out: 7, T: 1, C: 4 },
  { N: 3, in: 9, out: 2, T: 5, C: 3 },
  { N: 40, in: 13, out: 11, T: 3, C: 1 },
]) {
  kernelTest(`kroneckerSum: ${JSON.stringify(sizes)}, in each layout, against f64`, async (t) => {
    const examples = examplesOf(t, sizes);
    const [A, B] = [examples.map((one) => one.A), examples.map((one) => one.B)];
    const V = normals(t.random(2), sizes.out, sizes.in);
    const expected = kroneckerSumOperator(examples, 0.5).apply(V).data;
    const place = { offset: 3, gap: 2, tail: 5 };
    const list = (parts: Matrix[]) => parts.map((part) => upload(t, part, place));
    const operators = {
      "one matrix each": kroneckerSum({ A: list(A), B: list(B), alpha: 0.5 }),
      "side by side": kroneckerSum({
        A: upload(t, beside(A), place),
        B: upload(t, beside(B)),
        examples: sizes.N,
        alpha: 0.5,
      }),
      rows: kroneckerSum({
        A: upload(t, turned(beside(A)), place),
        B: upload(t, turned(beside(B)), place),
        examples: sizes.N,
        layout: "rows",
        alpha: 0.5,
      }),
    };
    for (const [name, operator] of Object.entries(operators)) {
      const into = blank(t, sizes.out, sizes.in);
      submit(managerOf(t), (recorder) => operator.apply(recorder, store(t, V.data, V.rows, V.cols), into));
      assertClose(await download(t, into), expected, 2e-6, name);
    }
  });
}

kernelTest("kroneckerSum: one example is a Kronecker product, several are not", async (t) => {
  for (const N of [1, 2]) {
    const sizes = { N, in: 4, out: 3, T: 3, C: 2 };
    const examples = examplesOf(t, sizes, 3);
    const [A, B] = [examples.map((one) => one.A), examples.map((one) => one.B)];
    const operator = kroneckerSum({ A: A.map((M) => upload(t, M)), B: B.map((M) => upload(t, M)) });
    const H = await denseMatrix(managerOf(t), operator);
    assertClose(H.data, denseHessian(kroneckerSumOperator(examples)).data, 2e-6, `H of ${N}`);
    const product = scale(kronecker(gram({ A }), gram({ A: B })), 1 / N);
    if (N === 1) assertClose(H.data, product.data, 2e-6, "AA' ⊗ BB'");
    else assertThrows(() => assertClose(H.data, product.data, 0.05, "AA' ⊗ BB'"), Error, /relative error/);
  }
});

kernelTest("kroneckerSum: refuses what does not fit", (t) => {
  const [A, B] = [upload(t, normals(t.random(1), 4, 6)), upload(t, normals(t.random(1), 3, 6))];
  assertThrows(() => kroneckerSum({ A, B, examples: 4 }), ArgumentError, /must divide the 6 columns of A/);
  assertThrows(() => kroneckerSum({ A: [A, A], B: [B, B, B] }), ShapeError, /one B for each A/);
  assertThrows(() => kroneckerSum({ A: [A, B], B: [B, B] }), ShapeError, /A\[1\]/);
  assertThrows(() => kroneckerSum({ A: [], B }), ArgumentError, /at least one example/);
});
