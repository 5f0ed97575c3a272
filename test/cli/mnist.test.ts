import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { syntheticFolder, temporaryFolder } from "../data/idx-files.js";
import { jsonLines, run } from "./fake-environment.js";

// In batches of 500: two steps an epoch, the second a small one.
const data = syntheticFolder({ train: 510, test: 40 });

describe("kfac mnist", () => {
  it.each(["mnist", "demo-run"])("ends with a table and a report, under the name %s", async (name) => {
    const cwd = temporaryFolder();
    const hooks = { open: 0 };
    const { code, stdout, stderr } = await run([name, "--data", data, "--steps", "2"], { cwd, hooks });
    expect([code, hooks.open]).toEqual([0, 0]);
    const report = join(cwd, ".kfac/report.html");
    expect(stdout).toContain(`Report: ${report}`);
    expect(stdout).toMatch(/^Optimiser +Test accuracy/m);
    for (const title of ["K-FAC", "SGD", "Adam"]) {
      expect(stdout).toMatch(new RegExp(`^${title} +\\d`, "m"));
      expect(stderr).toContain(`${title}: `);
    }
    expect(readFileSync(report, "utf8")).toContain("K-FAC beside SGD and Adam");
  });

  it("prints records with --json: the same batches and weights for all", async () => {
    const cwd = temporaryFolder();
    const { code, stdout } = await run(["mnist", "--data", data, "--json", "--steps", "3"], { cwd });
    expect(code).toBe(0);
    const records = jsonLines(stdout);
    const last = records[records.length - 1];
    expect(last?.report).toBe(join(cwd, ".kfac/report.html"));
    expect(last?.summary).toHaveLength(3);
    const losses = ["kfac", "sgd", "adam"].map((kind) => {
      const own = records.filter((record) => record.optimizer === kind);
      expect(own.filter((record) => "trainLoss" in record).map(({ epoch }) => epoch)).toEqual([1, 2]);
      expect(own.filter((record) => record.measured).map(({ step }) => step)).toEqual([0, 2, 3]);
      return own.filter((record) => "gradientNorm" in record).map(({ step, loss }) => [step, loss]);
    });
    expect(losses[0]).toHaveLength(3);
    // The stand-in takes the same steps under all three names.
    expect(losses[1]).toEqual(losses[0]);
    expect(losses[2]).toEqual(losses[0]);
  });

  it("stops at Ctrl-C without a report", async () => {
    const cwd = temporaryFolder();
    const { code, stdout } = await run(["mnist", "--data", data], {
      cwd,
      onStep: (step, { signal }) => step === 4 && signal("SIGINT"),
    });
    expect([code, stdout]).toEqual([130, ""]);
    expect(existsSync(join(cwd, ".kfac"))).toBe(false);
  });
});
