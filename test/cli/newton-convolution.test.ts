import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { type ConvNewtonResult, convNewtonStep, fromRows, relativeError } from "../../src/reference/index.js";
import { temporaryFolder } from "../data/idx-files.js";
import { convolutionProblem, type ProblemShape } from "../solve/convolution-problem.js";
import { run } from "./fake-environment.js";

async function newton(convolution: unknown, ...more: string[]) {
  const file = join(temporaryFolder(), "problem.json");
  writeFileSync(file, JSON.stringify({ convolution }));
  return run(["newton", file, "--json", ...more]);
}

const small = convolutionProblem({ N: 5, C: 2, size: [6, 5], O: 3, kernel: [3, 2], outputs: 4, seed: 3 });

describe("kfac newton of a convolution", () => {
  it.each<[string, Partial<ProblemShape>]>([
    ["with a head", {}],
    ["strided, padded and dilated", { stride: 2, padding: [1, 2], dilation: [1, 2] }],
    ["without a head", { outputs: 0 }],
    ["without a bias", { bias: false }],
    ["damped", { damping: 0.7 }],
    ["one input, so that H is singular", { N: 1 }],
  ])("lands on the least-squares minimiser in one step: %s", async (_, change) => {
    const problem = convolutionProblem({
      ...{ N: 5, C: 2, size: [6, 5], O: 3, kernel: [3, 2], outputs: 4, seed: 3 },
      ...change,
    });
    const { code, stdout, stderr } = await newton(problem.file);
    expect([code, stderr]).toEqual([0, ""]);
    const result = JSON.parse(stdout);
    const wanted: ConvNewtonResult = convNewtonStep(problem.options);
    expect(relativeError(fromRows(result.step), wanted.step)).toBeLessThan(1e-7);
    expect(relativeError(fromRows(result.gradient), wanted.gradient)).toBeLessThan(1e-5);
    expect(result.lossBefore).toBeCloseTo(wanted.loss, 9);
    const after = convNewtonStep({ ...problem.options, W: wanted.W });
    expect(result.lossAfter).toBeCloseTo(after.loss, 9);
    expect(result).toMatchObject({ method: "exact", rank: wanted.rank });
    const unknowns = wanted.step.data.length;
    const singular = wanted.rank !== unknowns && problem.options.damping === 0;
    expect(result.status).toBe(singular ? `minimum norm: H has rank ${wanted.rank} of ${unknowns}` : "ok");
    expect(flatKernel(result)).toEqual(Array.from(wanted.W.data, (x) => expect.closeTo(x, 6)));
  });

  it.each(["expand", "reduce", "ekfac", "kfoc", "meanFluctuation"] as const)(
    "%s agrees with the reference",
    async (method) => {
      const { stdout } = await newton({ ...small.file, damping: 0.5 }, "--method", method);
      const result = JSON.parse(stdout);
      const wanted = convNewtonStep({ ...small.options, damping: 0.5, method });
      expect(relativeError(fromRows(result.step), wanted.step)).toBeLessThan(1e-6);
      expect(result).toMatchObject({ method, adapter: "fake adapter", status: "ok" });
    },
  );

  it("prints a report for people", async () => {
    const file = join(temporaryFolder(), "problem.json");
    writeFileSync(file, JSON.stringify({ convolution: small.file }));
    const { code, stdout } = await run(["newton", file]);
    expect(code).toBe(0);
    expect(stdout).toContain("kernel after the step, 3 × 13");
    expect(stdout).toContain("columns (channel, y, x) of 2 × 3 × 2, then the bias");
  });

  it.each([
    [
      "inputs that are not nested enough",
      { inputs: [[1]] },
      /inputs\[0\]\[0\] is no array; inputs is nested 4 deep/,
    ],
    ["ragged inputs", { inputs: [[[[1, 2], [3]]]] }, /inputs\[0\]\[0\]\[1\] has shape \[1\], expected \[2\]/],
    [
      "a kernel of other channels",
      { kernel: [[[[1]]]] },
      /kernel has shape \[1 × 1 × 1 × 1\], expected \[O × 2 × kh × kw\]/,
    ],
    ["a bias that does not fit", { bias: [1] }, /bias has shape \[1\], expected \[3\]/],
    ["a head that does not fit", { head: [[1, 2]] }, /head has shape \[1 × 2\], expected \[1 × 48\]/],
    ["a target that does not fit", { target: [[1]] }, /target has shape \[1 × 1\], expected \[5 × 4\]/],
    ["a stride of zero", { stride: 0 }, /stride must be a whole number of at least 1 .* got 0/],
    ["three paddings", { padding: [1, 1, 1] }, /padding must be .* got \[1,1,1\]/],
    ["a number that is none", { bias: [1, null, 2] }, /bias\[1\] is null/],
    ["an unknown key", { kernels: 1 }, /convolution has the unknown key "kernels"/],
    ["an unknown method", { method: "kfac" }, /method must be one of exact, expand, .* got "kfac"/],
    ["negative damping", { damping: -1 }, /damping must be a finite number/],
    ["a dilation beyond the input", { dilation: 9 }, /must fit into the padded input/],
  ])("%s", async (_, change, words) => {
    const { code, stdout, stderr } = await newton({ ...small.file, ...change });
    expect([code, stdout]).toEqual([1, ""]);
    expect(stderr).toMatch(words);
    expect(stderr.trim().split("\n")).toHaveLength(1);
  });
});

function flatKernel({ kernel, bias }: { kernel: number[][][][]; bias: number[] | null }): number[] {
  return kernel.flatMap((one, o) => [...one.flat(2), ...(bias ? [bias[o]!] : [])]);
}
