import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { parseNewton } from "../../src/cli/newton/input.js";
import { matrixText } from "../../src/cli/newton/text.js";
import { KfacError } from "../../src/errors.js";
import {
  APPROXIMATIONS,
  exactNewtonStep,
  fromRows,
  leftTilingStep,
  type Matrix,
  matmul,
  matrix,
  newtonStep,
  norm,
  perPositionBlock,
  relativeError,
  scale,
  subtract,
} from "../../src/reference/index.js";
import type { LinearProblem } from "../../src/solve/index.js";
import { temporaryFolder } from "../data/idx-files.js";
import { run } from "./fake-environment.js";

const problem = {
  A: [
    [1, 2, 0.5, -1],
    [0, 1, 1, 2],
    [2, -1, 0.3, 1],
  ],
  B: [
    [1, 0, 2],
    [0.5, 1, -1],
  ],
  target: [
    [1, 2, 3, 4],
    [0, 1, 0, 1],
    [2, 2, 1, 0],
  ],
  W: [
    [0.1, 0.2, 0.3],
    [0.4, 0.5, 0.6],
  ],
};
const { W, ...example } = problem;
const other = { A: [[1], [2], [-1]], B: [[1], [1]], target: [[0.5]] };

async function newton(value: unknown, ...more: string[]) {
  const file = join(temporaryFolder(), "problem.json");
  writeFileSync(file, typeof value === "string" ? value : JSON.stringify(value));
  return { file, ...(await run(["newton", file, ...more])) };
}

const linear = (input: unknown) => parseNewton(input) as LinearProblem;

describe("kfac newton", () => {
  it.each([
    ["one linear network", problem],
    ["with damping", { ...problem, damping: 0.3 }],
    ["examples", { W, examples: [example, other, other], method: "kfac" }],
    ["examples with damping", { W, examples: [example, other], damping: 2, method: "kfac" }],
  ])("K-FAC agrees with the reference: %s", async (_, input) => {
    const { code, stdout, stderr } = await newton(input, "--json");
    expect([code, stderr]).toEqual([0, ""]);
    const result = JSON.parse(stdout) as Record<string, unknown> & { [key: string]: number[][] };
    const parsed = linear(input);
    const wanted = newtonStep({
      examples: parsed.examples,
      W: parsed.W,
      damping: parsed.damping,
      scale: "note",
    });
    for (const key of ["gradient", "AAt", "BBt", "AAtInverse", "BBtInverse", "step", "W"] as const) {
      expect(relativeError(fromRows(result[key]!), wanted[key])).toBeLessThan(1e-6);
    }
    expect(result.lossBefore).toBeCloseTo(wanted.loss, 4);
    expect(result.ranks).toEqual([wanted.rankA, wanted.rankB]);
    expect(result).toMatchObject({ method: "kfac", adapter: "fake adapter", status: "ok" });
    const after = newtonStep({ examples: parsed.examples, W: wanted.W }).loss;
    expect(result.lossAfter).toBeCloseTo(after, 4);
    expect(stdout.trim().split("\n")).toHaveLength(1);
  });

  it.each([
    ["examples", { W, examples: [example, other, other] }, "ok"],
    ["examples with damping", { W, examples: [example, other], damping: 2 }, "ok"],
    ["one linear network", { ...problem, method: "exact" }, "ok"],
    ["one linear network with damping", { ...problem, damping: 0.3, method: "exact" }, "ok"],
    [
      "too few examples",
      { W, examples: [other, other] },
      "minimum norm: AA' has rank 1 of 3, BB' has rank 1 of 2, H has rank 1 of 6",
    ],
  ])("the exact step agrees with the reference: %s", async (_, input, status) => {
    const { code, stdout, stderr } = await newton(input, "--json");
    expect([code, stderr]).toEqual([0, ""]);
    const result = JSON.parse(stdout) as Record<string, unknown> & { [key: string]: number[][] };
    const { examples, W: start, damping } = linear(input);
    const wanted = exactNewtonStep({ examples, W: start, damping });
    for (const key of ["step", "W"] as const) {
      expect(relativeError(fromRows(result[key]!), wanted[key])).toBeLessThan(1e-9);
    }
    expect(result).toMatchObject({ method: "exact", status });
    expect(Number(result.lossAfter)).toBeCloseTo(exactNewtonStep({ examples, W: wanted.W }).loss, 9);
    expect(Number(result.residual)).toBeLessThan(1e-10);
  });

  it.each(["ekfac", "kfoc"] as const)("%s agrees with the reference", async (method) => {
    const input = { W, examples: [example, other, other], damping: 0.5 };
    const { stdout } = await newton(input, "--json", "--method", method);
    const result = JSON.parse(stdout);
    const { examples, W: start } = linear(input);
    const block = perPositionBlock(examples, 1);
    const gradient = exactNewtonStep({ examples, W: start }).gradient;
    const wanted = scale(APPROXIMATIONS[method](block).solve(gradient, 0.5), -1);
    expect(relativeError(fromRows(result.step), wanted)).toBeLessThan(1e-9);
    expect(result).toMatchObject({ method, adapter: "fake adapter", status: "ok" });
  });

  it("solves left tiling for U", async () => {
    const input = {
      tiling: [
        [1, 0],
        [0.5, 1],
        [-1, 2],
      ],
      U: [
        [0.1, 0.2, 0.3],
        [0.4, 0.5, 0.6],
      ],
      A: problem.A,
      B: [...problem.B, [0.3, 0.2, 1]],
      target: problem.target,
    };
    const { code, stdout } = await newton(input, "--json");
    expect(code).toBe(0);
    const result = JSON.parse(stdout);
    const parts = { K: input.tiling, U: input.U, A: input.A, B: input.B, target: input.target };
    const [K, U, A, B, target] = Object.values(parts).map(fromRows) as [
      Matrix,
      Matrix,
      Matrix,
      Matrix,
      Matrix,
    ];
    const wanted = leftTilingStep({ K, U, A, B, target });
    expect(relativeError(fromRows(result.step), wanted.step)).toBeLessThan(1e-6);
    expect(relativeError(fromRows(result.U), wanted.W)).toBeLessThan(1e-6);
    expect(relativeError(fromRows(result.W), matmul(K, wanted.W))).toBeLessThan(1e-6);
    expect(relativeError(fromRows(result.BBt), wanted.BBt)).toBeLessThan(1e-6);
    const bad = await newton({ ...input, U: [[1, 2, 3]] });
    expect(bad.stderr).toMatch(/tiling has shape \[3 × 2\], expected \[3 × 1\]/);
    const misfit = await newton({ ...input, B: problem.B });
    expect(misfit.stderr).toMatch(/B has shape \[2 × 3\], expected \[3 × 3\]/);
  });

  it("prints a report for people", async () => {
    const { code, stdout } = await newton(problem);
    expect(code).toBe(0);
    expect(stdout).toMatch(/^loss {4}15\.71 → 3\.45/);
    expect(stdout).toContain("AA' (rank 3 of 3), 3 × 3");
  });

  it("shows the corner of a large matrix", () => {
    const lines = matrixText("big", matrix(20, 30)).split("\n");
    expect(lines[0]).toBe("big, 20 × 30");
    expect(lines).toHaveLength(10);
    expect(lines[1]).toContain("…");
    expect(lines[9]).toContain("⋮");
  });

  it("takes the shortest step where a factor is singular, and says which", async () => {
    const singular = { ...problem, A: [problem.A[0], problem.A[0], problem.A[2]] };
    const left = { ...problem, B: [problem.B[0], problem.B[0]] };
    for (const [input, status, ranks] of [
      [singular, "minimum norm: AA' has rank 2 of 3", [2, 2]],
      [left, "minimum norm: BB' has rank 1 of 2", [3, 1]],
      [{ A: [[0]], B: [[1]], target: [[1]], W: [[1]] }, "minimum norm: AA' has rank 0 of 1", [0, 1]],
    ] as const) {
      const { code, stdout, stderr } = await newton(input, "--json");
      expect([code, stderr]).toEqual([0, ""]);
      const result = JSON.parse(stdout);
      const { examples, W: start } = linear(input);
      const wanted = newtonStep({ ...examples[0]!, W: start });
      expect(result).toMatchObject({ status, ranks });
      for (const key of ["AAtInverse", "BBtInverse", "step", "W"] as const) {
        expect(norm(subtract(fromRows(result[key]), wanted[key]))).toBeLessThan(
          1e-9 * (1 + norm(wanted[key])),
        );
      }
    }
    const damped = await newton({ ...singular, damping: 0.1 }, "--json");
    expect(JSON.parse(damped.stdout)).toMatchObject({ status: "ok", ranks: [2, 2] });
  });

  it("says when the products overflow", async () => {
    const { code, stdout, stderr } = await newton(
      { A: [[1e30]], B: [[1]], target: [[1]], W: [[1]] },
      "--json",
    );
    expect(code).toBe(1);
    expect(stderr).toContain("overflow f32");
    expect(stdout).not.toMatch(/NaN|Infinity/);
    expect(JSON.parse(stdout).status).toContain("overflow f32");
  });
});

describe("kfac newton, bad input", () => {
  it.each([
    ["a file that is not JSON", "{ A: 1 }", /is not valid JSON/],
    ["an empty file", "", /is not valid JSON/],
    ["a list", [], /must hold one JSON object/],
    ["null", null, /must hold one JSON object/],
    ["ragged rows", { ...problem, A: [[1, 2], [3], [4, 5]] }, /A\[1\] has shape \[1\], expected \[2\]/],
    ["null in a row", '{"A":[[1,null]],"B":[[1]],"target":[[1,2]],"W":[[1]]}', /A\[0\]\[1\] is null/],
    ["a string", { ...problem, B: [["1"], [2]] }, /B\[0\]\[0\] is "1"/],
    ["infinity", '{"A":[[1e999]],"B":[[1]],"target":[[1]],"W":[[1]]}', /A\[0\]\[0\] is Infinity/],
    [
      "beyond f32",
      {
        ...problem,
        W: [
          [1e39, 0, 0],
          [0, 0, 0],
        ],
      },
      /W\[0\]\[0\] is 1e\+39; .* finite in f32/,
    ],
    ["no rows", { ...problem, A: [] }, /A must be an array of at least one row/],
    ["no columns", { ...problem, A: [[], [], []] }, /A has no columns/],
    ["a flat array", { ...problem, A: [1, 2, 3] }, /A must be an array/],
    ["A that does not fit", { ...problem, A: [[1, 2, 3, 4]] }, /A has shape \[1 × 4\], expected \[3 × 4\]/],
    ["B that does not fit", { ...problem, B: [[1, 2, 3]] }, /B has shape \[1 × 3\], expected \[2 × 3\]/],
    [
      "target that does not fit",
      { ...problem, target: [[1, 2]] },
      /target has shape \[1 × 2\], expected \[3 × 4\]/,
    ],
    ["a missing key", { ...problem, B: undefined }, /B is missing/],
    [
      "an unknown method",
      { ...problem, method: "expand" },
      /method must be one of exact, kfac, ekfac, kfoc, got "expand"/,
    ],
    ["a tiling with W", { tiling: [[1]], U: [[1]], W: [[1]] }, /unknown key "W"/],
    ["an unknown key", { ...problem, extra: 1 }, /unknown key "extra"/],
    ["a misspelt damping", { ...problem, dampening: 1 }, /unknown key "dampening"/],
    ["negative damping", { ...problem, damping: -1 }, /damping must be a finite number .* got -1/],
    ["damping that is null", { ...problem, damping: null }, /damping must be .* got null/],
    ["both kinds", { ...problem, examples: [example] }, /has examples and also A, B, target/],
    ["no examples", { W, examples: [] }, /examples must be an array of at least one/],
    ["examples of another kind", { W, examples: {} }, /examples must be an array/],
    ["an example that is none", { W, examples: [1] }, /examples\[0\] must be an object/],
    [
      "an unknown key in an example",
      { W, examples: [{ ...example, W }] },
      /examples\[0\] has the unknown key "W"/,
    ],
    [
      "an example that does not fit",
      { W, examples: [example, { ...other, B: [[1]] }] },
      /examples\[1\]\.B has shape/,
    ],
  ])("%s", async (_, value, words) => {
    const { code, stdout, stderr } = await newton(value, "--json");
    expect([code, stdout]).toEqual([1, ""]);
    expect(stderr).toMatch(words);
    expect(stderr.trim().split("\n")).toHaveLength(1);
  });

  it("a missing file", async () => {
    const { code, stderr } = await run(["newton", "/nowhere.json"]);
    expect(code).toBe(1);
    expect(stderr).toBe("/nowhere.json: cannot be read (it does not exist).\n");
  });

  it("throws typed errors", () => {
    expect(() => parseNewton({ ...problem, damping: "x" })).toThrow(KfacError);
  });
});
