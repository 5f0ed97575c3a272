/** The convolution chapter's own measures, and its f64 twin. */
import { describe, expect, test } from "vitest";
import {
  CLASSES,
  EXAMPLES,
  PROBLEM,
  type Problem,
  sizesOf,
  twinOf,
} from "../../../demo/chapters/convolution/problem.js";
import { kroneckerTerms, termsWithin } from "../../../demo/chapters/convolution/terms.js";
import { twinStudy } from "../../../demo/chapters/convolution/twin.js";
import {
  add,
  convForward,
  convWeightsOf,
  denseHessian,
  expandFactors,
  gram,
  initialWeights,
  kfocFactors,
  kronecker,
  leftTilingFactors,
  type Matrix,
  matrix,
  norm,
  positionOperator,
  RandomStream,
  relativeError,
  tensor,
} from "../../../src/reference/index.js";

const random = new RandomStream(11);
const normals = (rows: number, cols: number): Matrix =>
  matrix(
    rows,
    cols,
    Float64Array.from({ length: rows * cols }, () => random.normal()),
  );
const spd = (n: number) => gram({ A: normals(n, n + 2) });

describe("Kronecker terms", () => {
  test("one product is one term, whichever sizes", () => {
    const shares = kroneckerTerms(kronecker(spd(5), spd(3)), 3, 5);
    expect(shares.length).toBe(9);
    expect(shares[0]).toBeCloseTo(1, 12);
    expect(shares[1]).toBeLessThan(1e-12);
    expect(termsWithin(shares, 1e-5)).toBe(1);
  });

  test("sides that are taken for each other are not one term", () => {
    expect(kroneckerTerms(kronecker(spd(4), spd(3)), 4, 3)[0]).toBeLessThan(0.99);
  });

  test("a sum of three products is three terms", () => {
    const H = [0, 1, 2].map(() => kronecker(spd(5), spd(3))).reduce((sum, term) => add(sum, term));
    const shares = kroneckerTerms(H, 3, 5);
    expect(shares.reduce((sum, share) => sum + share, 0)).toBeCloseTo(1, 10);
    expect(shares[2]).toBeGreaterThan(1e-6);
    expect(shares[3]).toBeLessThan(1e-12);
  });

  test("the note's left tiling is one term", () => {
    const factors = leftTilingFactors(normals(12, 3), { A: normals(4, 9), B: normals(12, 5) });
    expect(kroneckerTerms(kronecker(factors.A, factors.B), 3, 4)[0]).toBeCloseTo(1, 12);
  });

  test("the first term's share is what the nearest product has", () => {
    const block = {
      A: Array.from({ length: 6 }, () => normals(5, 4)),
      B: Array.from({ length: 6 }, () => [normals(3, 4), normals(3, 4)]),
      divisor: 6,
    };
    const H = denseHessian(positionOperator(block));
    const { A, B } = kfocFactors(block);
    const error = relativeError(kronecker(A, B), H);
    const shares = kroneckerTerms(H, 3, 5);
    expect(error).toBeCloseTo(Math.sqrt(1 - shares[0]!), 6);
    const { A: meanA, B: meanB } = expandFactors(block);
    expect(relativeError(kronecker(meanA, meanB), H)).toBeGreaterThan(error);
  });

  test("how many terms come near enough", () => {
    expect(termsWithin([0.9, 0.09, 0.01], 0.5)).toBe(1);
    expect(termsWithin([0.9, 0.09, 0.01], 0.2)).toBe(2);
    expect(termsWithin([0.9, 0.09, 0.01], 0.01)).toBe(3);
    expect(termsWithin([0.5, 0.5], 2)).toBe(0);
  });
});

describe("the twin", () => {
  const weightsOf = (problem: Problem) => {
    const { rows, cols, positions } = sizesOf(problem);
    const features = problem.head === "flatten" ? rows * positions : rows;
    return [
      initialWeights(problem.channels, 9, { seed: 1, layerIndex: 0 }),
      initialWeights(rows, cols - 1, { seed: 1, layerIndex: 1 }),
      initialWeights(CLASSES, features, { seed: 1, layerIndex: 2 }),
    ].map(({ data }) => data);
  };
  const inputOf = (problem: Problem) => ({
    weights: weightsOf(problem),
    inputs: Float64Array.from({ length: EXAMPLES * problem.side ** 2 }, () => random.uniform()),
    labels: Uint32Array.from({ length: EXAMPLES }, (_, i) => i % CLASSES),
  });

  test.each([
    PROBLEM,
    { ...PROBLEM, kernel: 2, channels: 1, filters: 2, side: 14 as const },
    { ...PROBLEM, kernel: 1, head: "average" as const },
  ])("sizes are those of the network: %o", (problem) => {
    const { weights, inputs } = inputOf(problem);
    const network = twinOf(problem, weights);
    const { rows, cols, out } = sizesOf(problem);
    expect(convWeightsOf(network)[1]).toMatchObject({ rows, cols });
    const pass = convForward(network, tensor([EXAMPLES, 1, problem.side, problem.side], inputs));
    expect(pass.steps[2]!.output).toMatchObject({ shape: [EXAMPLES, rows, out, out] });
    expect(pass.outputs.cols).toBe(CLASSES);
  });

  test("its numbers keep the theorems", () => {
    const problem = { ...PROBLEM, channels: 2, filters: 3, damping: 0.03 };
    const { H, G, step, qualities, terms, loss } = twinStudy(problem, inputOf(problem));
    const named = Object.fromEntries(qualities.map((quality) => [quality.name, quality]));
    expect(H.rows).toBe(sizesOf(problem).unknowns);
    expect(loss).toBeGreaterThan(0);
    expect(norm(step)).toBeGreaterThan(0);
    expect([step.rows, step.cols]).toEqual([G.rows, G.cols]);
    expect(named.ekfac!.error).toBeLessThanOrEqual(named.expand!.error);
    expect(named.kfoc!.error).toBeLessThanOrEqual(named.expand!.error);
    expect(named.kfoc!.error).toBeCloseTo(Math.sqrt(1 - terms[0]!), 3);
    for (const { cosine, shareAtBestStep } of qualities) {
      expect(cosine).toBeGreaterThan(0);
      expect(cosine).toBeLessThanOrEqual(1);
      expect(shareAtBestStep).toBeLessThanOrEqual(1);
    }
  });

  test("behind an average KFC is many times too small, and reduce is nearer", () => {
    const problem = { ...PROBLEM, head: "average" as const };
    const { qualities } = twinStudy(problem, inputOf(problem));
    const [expand, reduce] = qualities;
    expect(expand!.size).toBeLessThan(0.2);
    expect(reduce!.error).toBeLessThan(expand!.error);
  });
});
