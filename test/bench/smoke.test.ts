/** The benchmark itself, as people run it: the library's own side, on this machine's adapter and without any peer. */
import { spawnSync } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, expect, test } from "vitest";
import type { Row } from "../../bench/compare.mjs";
import type { HostRow } from "../../bench/host/measure.mjs";
import type { AccuracyRow } from "../../bench/operations/accuracy.mjs";
import { OPERATIONS } from "../../bench/operations/index.mjs";
import type { StepRow } from "../../bench/operations/steps.mjs";
import type { Results } from "../../bench/optimizers/store.mjs";

const program = fileURLToPath(new URL("../../bench/run.mjs", import.meta.url));
const folder = mkdtempSync(join(tmpdir(), "kfac-bench-"));
afterAll(() => rmSync(folder, { recursive: true }));

function bench(...argv: string[]) {
  const { status, stdout, stderr } = spawnSync(process.execPath, [program, ...argv], {
    encoding: "utf8",
    timeout: 120_000,
  });
  return { status, stdout, stderr };
}

test("a quick run measures every operation and checks its results", { timeout: 150_000 }, () => {
  const { status, stdout, stderr } = bench("--quick", "--peers", "none", "--json", "--out", folder);
  expect(stderr).not.toMatch(/validation|bench:/i);
  expect(status).toBe(0);
  const result = JSON.parse(stdout) as {
    machine: { adapter: string; date: string; versions: Record<string, string> };
    rows: Row[];
    steps: StepRow[];
    accuracy: AccuracyRow[];
  };
  expect(result.machine.adapter).not.toBe("");
  expect(result.machine.versions["kfac-webgpu"]).toMatch(/^\d/);
  expect(new Set(result.rows.map(({ operation }) => operation))).toEqual(
    new Set(OPERATIONS.map(({ id }) => id)),
  );
  for (const { id, ours, failure, peers } of result.rows) {
    expect(failure, id).toBeUndefined();
    expect(peers, id).toEqual([]);
    expect(ours!.samples.length, id).toBeGreaterThan(2);
    expect(ours!.ms, id).toBeGreaterThan(0);
    expect(ours!.deviceMs, id).toBeLessThanOrEqual(ours!.ms * 1.5);
    expect(ours!.error, id).toBeLessThan(1e-3);
  }
  for (const { id, failure, ratio } of result.steps) {
    expect(failure, id).toBeUndefined();
    expect(ratio!.value, id).toBeGreaterThan(0.5);
  }
  expect(result.steps).toHaveLength(1);
  for (const { n, condition, error } of result.accuracy) {
    expect(error, `${n} at ${condition}`).not.toBeNull();
    expect(error!, `${n} at ${condition}`).toBeLessThan(2 * condition * 2 ** -24);
  }
  expect(result.accuracy).toHaveLength(8);
  expect(JSON.parse(readFileSync(join(folder, "bench.json"), "utf8"))).toEqual(result);
  const files = readdirSync(folder);
  expect(files).toEqual(
    expect.arrayContaining(["bench.html", "bench.txt", "first-call.svg", "speed-gram.svg"]),
  );
});

test("optimisers against each other: a quick run, and one that goes on from it", { timeout: 150_000 }, () => {
  const out = join(folder, "optimizers");
  const first = bench("--only", "optimizers", "--quick", "--tasks", "batch-8", "--json", "--out", out);
  expect(first.stderr).not.toMatch(/validation|bench:/i);
  expect(first.status).toBe(0);
  const { runs, cost } = JSON.parse(first.stdout) as Results;
  expect(runs.map(({ task, optimizer, seed }) => [task, optimizer, seed])).toEqual([
    ["batch-8", "adam", 1],
    ["batch-8", "kfac", 1],
  ]);
  for (const { steps, curve, start, ms, failure, ends } of runs) {
    expect(failure).toBeUndefined();
    expect([steps, curve.length, Object.keys(ends)]).toEqual([30, 6, ["30"]]);
    expect(start).toBeCloseTo(runs[0]!.start!);
    expect(ms).toBeGreaterThan(0);
  }
  expect(cost).toHaveLength(1);
  expect(readdirSync(out).sort()).toEqual(["batch-8.svg", "optimizers.json", "optimizers.md"]);
  const more = ["--tasks", "batch-8,sparse", "--optimizers", "adam", "--resume", "--json", "--out", out];
  const second = bench("--only", "optimizers", "--quick", ...more);
  const { runs: all } = JSON.parse(second.stdout) as Results;
  expect(all.slice(0, 2)).toEqual(runs);
  expect(all.map(({ task }) => task)).toEqual(["batch-8", "batch-8", "sparse"]);
});

test("a wrong command line is explained and measures nothing", () => {
  const { status, stdout, stderr } = bench("--only", "gramm");
  expect(status).toBe(2);
  expect(stderr).toContain("--only takes gram");
  expect(stdout).toBe("");
});

test("the host's share of a step is measured without a GPU", { timeout: 100_000 }, () => {
  const { status, stdout, stderr } = bench("--only", "host", "--adapter", "null", "--quick", "--json");
  expect(stderr).not.toMatch(/validation|bench:/i);
  expect(status).toBe(0);
  const { rows, machine } = JSON.parse(stdout) as { rows: HostRow[]; machine: { driver: string } };
  expect(machine.driver).toBe("null");
  expect(rows.map(({ name }) => name)).toHaveLength(9);
  for (const { name, ms, afreshMs, units, bytes } of rows) {
    expect(ms, name).toBeGreaterThan(0);
    expect(afreshMs, name).toBeGreaterThan(0);
    expect(units, name).toBeGreaterThan(1);
    // A view of each row of the batch, or a table's text, would be more.
    expect(bytes, name).toBeLessThan(64 * 1024);
  }
});
