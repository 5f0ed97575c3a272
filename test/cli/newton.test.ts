import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { parseNewton } from "../../src/cli/newton/input.js";
import { matrixText } from "../../src/cli/newton/text.js";
import { KfacError } from "../../src/errors.js";
import { fromRows, matrix, newtonStep, relativeError } from "../../src/reference/index.js";
import { run } from "./fake-environment.js";
import { temporaryFolder } from "./idx-files.js";

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

describe("kfac newton", () => {
  it.each([
    ["one linear network", problem],
    ["with damping", { ...problem, damping: 0.3 }],
    ["examples", { W, examples: [example, other, other] }],
    ["examples with damping", { W, examples: [example, other], damping: 2 }],
  ])("agrees with the reference: %s", async (_, input) => {
    const { code, stdout, stderr } = await newton(input, "--json");
    expect([code, stderr]).toEqual([0, ""]);
    const result = JSON.parse(stdout) as Record<string, unknown> & { [key: string]: number[][] };
    const parsed = parseNewton(input);
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

  it("says in one sentence which factor is singular, with no number that is not one", async () => {
    const singular = { ...problem, A: [problem.A[0], problem.A[0], problem.A[2]] };
    const plain = await newton(singular);
    expect([plain.code, plain.stdout]).toEqual([1, ""]);
    expect(plain.stderr).toBe(
      "kfac newton: AA' is singular (rank 2 of 3), so it is not positive definite; add damping.\n",
    );
    const { code, stdout } = await newton(singular, "--json");
    expect(code).toBe(1);
    expect(JSON.parse(stdout)).toMatchObject({
      status: "AA' is singular (rank 2 of 3), so it is not positive definite; add damping",
      ranks: [2, 2],
      AAtInverse: null,
      step: null,
      W: null,
      lossAfter: null,
    });
    expect((await newton({ ...singular, damping: 0.1 })).code).toBe(0);
    const left = await newton({ ...problem, B: [problem.B[0], problem.B[0]] });
    expect(left.stderr).toMatch(/BB' is singular \(rank 1 of 2\)/);
    expect((await newton({ A: [[0]], B: [[1]], target: [[1]], W: [[1]] })).code).toBe(1);
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
