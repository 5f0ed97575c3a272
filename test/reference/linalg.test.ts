import { describe, expect, it } from "vitest";
import { ArgumentError, NotPositiveDefiniteError, ShapeError } from "../../src/errors.js";
import {
  add,
  addDiagonal,
  appendOnesColumn,
  at,
  cholesky,
  countNonFinite,
  dampingFloor,
  diagonal,
  dot,
  eigh,
  fromRows,
  gram,
  identity,
  invert,
  isFiniteMatrix,
  kronecker,
  largestEigenvalue,
  matmul,
  matrix,
  norm,
  pinv,
  rank,
  relativeError,
  STATUS_DAMPING_BELOW_FLOOR,
  STATUS_NON_FINITE,
  STATUS_NOT_POSITIVE_DEFINITE,
  sandwich,
  scale,
  solve,
  stackRows,
  subtract,
  sum,
  toRows,
  trace,
  transpose,
  unvec,
  vec,
} from "../../src/reference/index.js";
import { randomMatrix, randomSpd } from "./helpers.js";

describe("matrix", () => {
  it("round-trips rows and refuses ragged ones", () => {
    const rows = [
      [1, 2, 3],
      [4, 5, 6],
    ];
    expect(toRows(fromRows(rows))).toEqual(rows);
    expect(toRows(transpose(fromRows(rows)))).toEqual([
      [1, 4],
      [2, 5],
      [3, 6],
    ]);
    expect(() => fromRows([[1, 2], [3]])).toThrow(ShapeError);
    expect(() => matrix(-1, 2)).toThrow(ArgumentError);
    expect(() => matrix(2, 2, [1, 2, 3])).toThrow(ShapeError);
    expect(() => at(fromRows(rows), 0, 3)).toThrow(ArgumentError);
  });

  it("vec is column-major, so vec(P G Q) = (Q' ⊗ P) vec(G)", () => {
    expect(
      Array.from(
        vec(
          fromRows([
            [1, 2],
            [3, 4],
          ]),
        ).data,
      ),
    ).toEqual([1, 3, 2, 4]);
    const P = randomMatrix(3, 3, 1);
    const G = randomMatrix(3, 4, 2);
    const Q = randomMatrix(4, 4, 3);
    const left = vec(sandwich(P, G, Q));
    const right = matmul(kronecker(transpose(Q), P), vec(G));
    expect(relativeError(left, right)).toBeLessThan(1e-14);
    expect(relativeError(matmul(kronecker(P, Q), vec(G)), right)).toBeGreaterThan(0.1);
    expect(unvec(vec(G), 3, 4)).toEqual(G);
  });
});

describe("matmul", () => {
  it("multiplies, transposes and scales", () => {
    const A = fromRows([
      [1, 2, 3],
      [4, 5, 6],
    ]);
    const B = fromRows([
      [1, 0],
      [2, 1],
      [0, -1],
    ]);
    expect(toRows(matmul(A, B))).toEqual([
      [5, -1],
      [14, -1],
    ]);
    expect(toRows(matmul(A, A, { transposeB: true, alpha: 2 }))).toEqual([
      [28, 64],
      [64, 154],
    ]);
    expect(toRows(matmul(A, A, { transposeA: true }))).toEqual([
      [17, 22, 27],
      [22, 29, 36],
      [27, 36, 45],
    ]);
    expect(matmul(A, B, { transposeA: true, transposeB: true })).toEqual(transpose(matmul(B, A)));
    expect(() => matmul(A, A)).toThrow(/matmul: B has shape \[2 × 3\], expected \[3 × n\]/);
  });
});

describe("gram", () => {
  const parts = [randomMatrix(3, 1, 1), randomMatrix(3, 4, 2), randomMatrix(3, 2, 3)];

  it("sums per-example outer products as a loop does", () => {
    let expected = matrix(3, 3);
    for (const A of parts) expected = add(expected, matmul(A, A, { transposeB: true }));
    expect(relativeError(gram({ A: parts }), expected)).toBeLessThan(1e-15);
    const rows = stackRows(parts.map(transpose));
    expect(gram({ A: rows, examples: "rows" })).toEqual(gram({ A: parts }));
    expect(gram({ A: transpose(rows) })).toEqual(gram({ A: parts }));
  });

  it("weighs the old factor by beta, in place, and does not read it when beta is 0", () => {
    const A = randomMatrix(2, 5, 4);
    const into = fromRows([
      [1, 2],
      [2, 8],
    ]);
    const before = fromRows([
      [1, 2],
      [2, 8],
    ]);
    const out = gram({ A, into, alpha: 0.3, beta: 0.5 });
    expect(out).toBe(into);
    const expected = add(before, matmul(A, A, { transposeB: true }), 0.5, 0.3);
    expect(relativeError(out, expected)).toBeLessThan(1e-15);
    into.data.fill(Number.NaN);
    expect(isFiniteMatrix(gram({ A, into }))).toBe(true);
  });

  it("appends the row of ones, and refuses sizes that disagree", () => {
    const rows = randomMatrix(6, 3, 5);
    const expected = gram({ A: appendOnesColumn(rows), examples: "rows" });
    expect(gram({ A: rows, examples: "rows", biasRow: true })).toEqual(expected);
    expect(gram({ A: transpose(rows), biasRow: true })).toEqual(expected);
    expect(at(expected, 3, 3)).toBe(6);
    expect(() => gram({ A: [matrix(2, 1), matrix(3, 1)] })).toThrow(ShapeError);
    expect(() => gram({ A: matrix(2, 1), biasRow: true, into: matrix(2, 2) })).toThrow(ShapeError);
    expect(() => gram({ A: [] })).toThrow(ArgumentError);
  });
});

describe("reduce", () => {
  it("reduces", () => {
    const M = fromRows([
      [3, 1],
      [-1, 4],
    ]);
    expect(trace(M)).toBe(7);
    expect(sum(M)).toBe(7);
    expect(dot(M, M)).toBe(27);
    expect(norm(M)).toBeCloseTo(Math.sqrt(27), 14);
    expect(norm(fromRows([[3e200, 4e200]]))).toBeCloseTo(5e200, -187);
    expect(sum(fromRows([[1, 1e100, 1, -1e100]]))).toBe(2);
    expect(countNonFinite(fromRows([[1, Number.NaN, Number.POSITIVE_INFINITY]]))).toBe(2);
    expect(() => trace(matrix(2, 3))).toThrow(ShapeError);
  });
});

describe("invert", () => {
  it.each([1, 2, 3, 17, 64])("inverts a random SPD matrix of size %i with damping", (n) => {
    const S = randomSpd(n, n);
    const damping = 0.1;
    const { inverse, status, minPivot } = invert(S, { damping });
    expect(status).toBe(0);
    expect(minPivot).toBeGreaterThan(0);
    expect(minPivot).toBeLessThanOrEqual(1);
    expect(relativeError(matmul(addDiagonal(S, damping), inverse), identity(n))).toBeLessThan(1e-12);
    expect(relativeError(matmul(S, inverse), identity(n))).toBeGreaterThan(1e-3);
    expect(transpose(inverse)).toEqual(inverse);
  });

  it("does not care about the scale, even over 24 orders of magnitude", () => {
    const D = diagonal([1e-12, 1e-6, 1, 1e6, 1e12].map(Math.sqrt));
    const core = randomSpd(5, 9);
    const S = matmul(matmul(D, core), D);
    const { inverse, status } = invert(S);
    expect(status).toBe(0);
    const back = matmul(matmul(D, inverse), D);
    expect(relativeError(back, invert(core).inverse)).toBeLessThan(1e-12);
  });

  it("reports singular, indefinite, non-finite and under-damped input as status", () => {
    const singular = invert(gram({ A: randomMatrix(5, 3, 1) }));
    expect(singular.status & STATUS_NOT_POSITIVE_DEFINITE).toBe(STATUS_NOT_POSITIVE_DEFINITE);
    expect(isFiniteMatrix(singular.inverse)).toBe(true);
    const indefinite = invert(
      fromRows([
        [1, 2],
        [2, 1],
      ]),
    );
    expect(indefinite.status).toBe(STATUS_NOT_POSITIVE_DEFINITE);
    expect(indefinite.minPivot).toBeCloseTo(-3, 14);
    expect(invert(matrix(3, 3)).status).toBe(STATUS_NOT_POSITIVE_DEFINITE);
    expect(invert(diagonal([1, -1])).status).toBe(STATUS_NOT_POSITIVE_DEFINITE);
    const bad = invert(
      fromRows([
        [1, Number.NaN],
        [Number.NaN, 1],
      ]),
    );
    expect(bad.status).toBe(STATUS_NON_FINITE);
    expect(norm(bad.inverse)).toBe(0);
    const S = diagonal([4, 1]);
    expect(invert(S, { damping: 3.9e-5 }).status).toBe(STATUS_DAMPING_BELOW_FLOOR);
    expect(invert(S, { damping: 4.1e-5 }).status).toBe(0);
    expect(invert(S, { damping: 0 }).status).toBe(STATUS_DAMPING_BELOW_FLOOR);
    expect(invert(S).status).toBe(0);
    expect(() => invert(S, { damping: -1 })).toThrow(ArgumentError);
    expect(() => invert(matrix(2, 3))).toThrow(ShapeError);
  });

  it("finds the largest eigenvalue", () => {
    const S = randomSpd(20, 3);
    const { values } = eigh(S);
    expect(largestEigenvalue(S) / values[19]!).toBeCloseTo(1, 5);
    expect(dampingFloor(S)).toBeCloseTo(1e-5 * values[19]!, 9);
    expect(largestEigenvalue(matrix(4, 4))).toBe(0);
  });
});

describe("cholesky and solve", () => {
  it("factors and solves", () => {
    const S = randomSpd(12, 4);
    const { lower, status, firstClampedPivot } = cholesky(S);
    expect([status, firstClampedPivot]).toEqual([0, -1]);
    expect(relativeError(matmul(lower, lower, { transposeB: true }), S)).toBeLessThan(1e-14);
    const B = randomMatrix(12, 3, 5);
    expect(relativeError(matmul(S, solve(S, B)), B)).toBeLessThan(1e-12);
    expect(relativeError(matmul(addDiagonal(S, 2), solve(S, B, 2)), B)).toBeLessThan(1e-13);
    const clamped = cholesky(diagonal([4, 0, 1]));
    expect([clamped.status, clamped.firstClampedPivot, clamped.minPivot]).toEqual([1, 1, 0]);
    expect(at(clamped.lower, 1, 1)).toBeGreaterThan(0);
    expect(at(cholesky(diagonal([4, 0, 1]), { pivotFloor: 0.01 }).lower, 1, 1)).toBeCloseTo(0.2, 14);
    expect(() => solve(gram({ A: randomMatrix(4, 2, 1) }), matrix(4, 1))).toThrow(NotPositiveDefiniteError);
    expect(() => solve(S, matrix(3, 1))).toThrow(ShapeError);
  });
});

describe("eigh", () => {
  it.each([1, 2, 3, 10, 65])("decomposes a random symmetric matrix of size %i", (n) => {
    const R = randomMatrix(n, n, n + 100);
    const S = scale(add(R, transpose(R)), 0.5);
    const { values, vectors } = eigh(S);
    const back = matmul(matmul(vectors, diagonal(values)), vectors, { transposeB: true });
    expect(relativeError(back, S)).toBeLessThan(1e-13);
    expect(relativeError(matmul(vectors, vectors, { transposeA: true }), identity(n))).toBeLessThan(1e-13);
    expect(Array.from(values)).toEqual(Array.from(values).sort((a, b) => a - b));
  });

  it("survives hard cases: zeros, repeated values, extreme scale, graded, diagonal, Wilkinson", () => {
    const wilkinson = matrix(21, 21);
    for (let i = 0; i < 21; i++) {
      wilkinson.data[i * 21 + i] = Math.abs(i - 10);
      if (i > 0) {
        wilkinson.data[i * 21 + i - 1] = 1;
        wilkinson.data[(i - 1) * 21 + i] = 1;
      }
    }
    const cases = [
      matrix(4, 4),
      identity(6, 3),
      scale(randomSpd(5, 1), 1e-300),
      scale(randomSpd(5, 1), 1e300),
      diagonal([5, -2, 0, 1e-30]),
      gram({ A: randomMatrix(8, 2, 3) }),
      wilkinson,
    ];
    for (const S of cases) {
      const { values, vectors } = eigh(S);
      const back = matmul(matmul(vectors, diagonal(values)), vectors, { transposeB: true });
      expect(norm(subtract(back, S))).toBeLessThanOrEqual(1e-13 * norm(S));
    }
    expect(Array.from(eigh(diagonal([5, -2, 0])).values)).toEqual([-2, 0, 5]);
    expect(eigh(wilkinson).values[20]).toBeCloseTo(10.746194182903393, 12);
    expect(() => eigh(fromRows([[Number.NaN]]))).toThrow(ArgumentError);
  });
});

describe("rank and pinv", () => {
  it("counts the rank of Gram matrices", () => {
    for (const r of [1, 2, 5]) expect(rank(gram({ A: randomMatrix(7, r, r) }))).toBe(r);
    expect(rank(randomSpd(7, 1))).toBe(7);
    expect(rank(matrix(3, 3))).toBe(0);
    expect(rank(diagonal([1, 1e-3]), 1e-2)).toBe(1);
  });

  it("satisfies the Penrose conditions", () => {
    const S = gram({ A: randomMatrix(6, 3, 8) });
    const { inverse: X, rank: r } = pinv(S);
    expect(r).toBe(3);
    expect(relativeError(matmul(matmul(S, X), S), S)).toBeLessThan(1e-12);
    expect(relativeError(matmul(matmul(X, S), X), X)).toBeLessThan(1e-11);
    const SX = matmul(S, X);
    expect(relativeError(transpose(SX), SX)).toBeLessThan(1e-11);
  });
});

describe("sandwich", () => {
  it("puts the output side left and the input side right", () => {
    const G = randomMatrix(2, 3, 1);
    expect(
      toRows(
        sandwich(
          diagonal([2, 3]),
          fromRows([
            [1, 1, 1],
            [1, 1, 1],
          ]),
          diagonal([1, 10, 100]),
        ),
      ),
    ).toEqual([
      [2, 20, 200],
      [3, 30, 300],
    ]);
    expect(() => sandwich(identity(3), G, identity(2))).toThrow(/sandwich: P has shape \[3 × 3\]/);
  });
});
