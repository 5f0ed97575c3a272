/** The comparison of optimisers: its command line, its problems, what it keeps of a run, and what it says of them. */
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { asksForOptimizers, readArguments } from "../../bench/optimizers/arguments.mjs";
import { CONTESTANTS } from "../../bench/optimizers/contestants.mjs";
import { reached } from "../../bench/optimizers/epochs.mjs";
import { chainWeights } from "../../bench/optimizers/problems.mjs";
import { digits, drawings, markdown, marksOf } from "../../bench/optimizers/report.mjs";
import type { Run } from "../../bench/optimizers/run.mjs";
import { drive, EVERY, Ledger, type StepRecord } from "../../bench/optimizers/steps.mjs";
import { FILE, keyOf, Store } from "../../bench/optimizers/store.mjs";
import { compareAt, countsOf, linesOf, reachedAt } from "../../bench/optimizers/summary.mjs";
import { ALL_TASKS } from "../../bench/optimizers/tasks.mjs";

const folder = mkdtempSync(join(tmpdir(), "kfac-optimizers-"));
afterAll(() => rmSync(folder, { recursive: true }));

const known = {
  ...{ tasks: ["a", "b"], more: ["long"], adapters: ["lavapipe"] },
  ...{ contestants: CONTESTANTS, defaults: ["adam", "kfac"] },
};
const read = (...argv: string[]) => readArguments(["--only", "optimizers", ...argv], known);

describe("the command line", () => {
  test("everything but the long task, unless told otherwise", () => {
    const { tasks, contestants, steps, seeds, resume, cost } = read();
    expect({ tasks, steps, seeds, resume, cost }).toEqual({
      ...{ tasks: ["a", "b"], steps: 600, seeds: undefined, resume: false, cost: true },
    });
    expect(contestants.map(({ id, settings }) => [id, settings.length])).toEqual([
      ["adam", 4],
      ["kfac", 1],
    ]);
    expect(read("--tasks", "long,a").tasks).toEqual(["a", "long"]);
  });

  test("rates keep some of the settings, and touch no optimiser that has one alone", () => {
    const { contestants } = read("--rates", "0.01");
    expect(contestants.map(({ settings }) => settings.map(({ label }) => label))).toEqual([
      ["0.01"],
      ["defaults"],
    ]);
  });

  test("K-FAC's defaults set no option", () => {
    expect(CONTESTANTS.find(({ id }) => id === "kfac")?.settings).toEqual([
      { label: "defaults", options: {} },
    ]);
  });

  test("a variant of one's own", () => {
    const { contestants } = read("--variant", 'damped={"damping":0.1}');
    expect(contestants.map(({ id, settings }) => [id, settings[0]?.options])).toEqual([
      ["damped", { damping: 0.1 }],
    ]);
  });

  test("it is alone", () => {
    expect(asksForOptimizers(["--only", "optimizers"])).toBe(true);
    expect(asksForOptimizers(["--only=optimizers", "--quick"])).toBe(true);
    expect(asksForOptimizers(["--only", "gram,optimizers"])).toBe(false);
  });

  test.each([
    [["--tasks", "c"], "--tasks takes a, b, long; got c"],
    [["--optimizers", "lion"], "--optimizers takes adam, sgd, kfac"],
    [["--rates", "0"], "--rates must be positive numbers, got 0"],
    [["--rates", "0.5"], "--rates must be of 0.001, 0.003, 0.01, 0.03 for adam, got 0.5"],
    [["--steps", "0"], "--steps must be a positive whole number, got 0"],
    [["--variant", "kfac={}"], "--variant must be NAME=JSON with a NAME of its own"],
    [["--variant", "mine=3"], "--variant mine must be an object of K-FAC's options in JSON, got 3"],
    [["--fast"], "--fast"],
  ])("%j is refused", (argv, message) => {
    expect(() => read(...argv)).toThrow(message);
  });
});

describe("the problems", () => {
  const made = ALL_TASKS.filter(({ id }) => !id.startsWith("mnist"));
  const streamOf = (task: (typeof made)[number], seed: number) =>
    task.stream(seed, undefined as unknown as Parameters<typeof task.stream>[1]);

  test("they have names of their own", () => {
    expect(new Set(ALL_TASKS.map(({ id }) => id)).size).toBe(8 + 8);
  });

  test.each(made.map((task) => [task.id, task] as const))("%s: batches follow from the seed", (_, task) => {
    const [one, same, other] = [streamOf(task, 1), streamOf(task, 1), streamOf(task, 2)];
    const bytes = (numbers: unknown) => Buffer.from((numbers as Float32Array).buffer);
    for (let step = 0; step < 3; step++) {
      const [batch, again] = [one(), same()];
      expect(batch.count).toBe(task.batch);
      expect((batch.inputs as Float32Array).every(Number.isFinite)).toBe(true);
      expect(bytes(again.inputs).equals(bytes(batch.inputs))).toBe(true);
      expect(bytes(again.targets).equals(bytes(batch.targets))).toBe(true);
      expect(bytes(other().inputs).equals(bytes(batch.inputs))).toBe(false);
    }
  });

  test("targets have the scale that their names say", () => {
    for (const [id, scale] of [
      ["targets-1e-3", 1e-3],
      ["targets-1e3", 1e3],
    ] as const) {
      const { targets } = streamOf(made.find((task) => task.id === id)!, 1)();
      const square = [...targets].reduce((sum, value) => sum + value * value, 0) / targets.length;
      expect(Math.sqrt(square) / scale).toBeGreaterThan(0.4);
      expect(Math.sqrt(square) / scale).toBeLessThan(1);
    }
  });

  test("sparse inputs: at most six ones, none in the last hundred columns", () => {
    const { inputs, count } = streamOf(made.find(({ id }) => id === "sparse")!, 1)();
    for (let i = 0; i < count; i++) {
      const row = (inputs as Float32Array).subarray(400 * i, 400 * (i + 1));
      expect(new Set(row)).toEqual(new Set([0, 1]));
      expect(row.filter(Boolean).length).toBeLessThanOrEqual(6);
      expect(row.subarray(300).some(Boolean)).toBe(false);
    }
  });

  test("first weights: gain √2 before ReLU, 1 before tanh, no bias", () => {
    const [a, b] = chainWeights([100, 80, 90], ["relu", "tanh"], 1);
    const variance = (W: Float32Array) => W.reduce((sum, value) => sum + value * value, 0) / W.length;
    expect(a).toHaveLength(80 * 101);
    expect(variance(a!) * 101).toBeCloseTo(2, 0);
    expect(variance(b!) * 81).toBeCloseTo(1, 0);
    expect(a!.filter((_, k) => k % 101 === 100).every((value) => value === 0)).toBe(true);
  });
});

const record = (step: number, loss: number, more: Partial<StepRecord> = {}): StepRecord => ({
  ...{ step, loss, accuracy: 0, gradientNorm: 1, updateNorm: 1, learningRate: 0.1, clip: 1 },
  ...{ skippedLayers: 0, status: "ok" },
  ...more,
});

describe("what is kept of a run", () => {
  test("means of the last 15 losses, the highest, and what went wrong", () => {
    const ledger = new Ledger([15, 20]);
    for (let step = 1; step <= 20; step++) {
      // Both are running totals.
      const totals = { rejected: step < 7 ? 0 : 1, heldBatches: step < 6 ? 0 : 2 };
      const bad = step === 7 ? { skippedLayers: 2, status: "held" } : {};
      ledger.take({ ...record(step, step, bad), ...totals });
    }
    expect(ledger.told).toEqual({
      ...{ ends: { 15: 8, 20: 13 }, highest: { loss: 20, step: 20 }, curve: [3, 5.5, 8, 13] },
      ...{ rejected: 1, held: 2, skipped: 2, statuses: { held: 1 } },
    });
  });

  test("a loss that is not finite is null, and the highest there is", () => {
    const ledger = new Ledger([20]);
    for (let step = 1; step <= 20; step++) ledger.take(record(step, step === 3 ? Number.NaN : step));
    expect(ledger.told.highest).toEqual({ loss: null, step: 3 });
    expect(ledger.told.curve).toEqual([null, null, null, 13]);
  });

  test("a few steps are in flight, and records come in order", async () => {
    let [flying, most] = [0, 0];
    const optimizer = {
      async step(batch: { count: number }) {
        most = Math.max(most, ++flying);
        await new Promise((resolve) => setTimeout(resolve, 1));
        flying--;
        return record(batch.count, 1);
      },
    } as unknown as Parameters<typeof drive>[0];
    let next = 0;
    const steps: number[] = [];
    const batch = () => ({ inputs: new Float32Array(1), targets: new Float32Array(1), count: ++next });
    await drive(optimizer, batch, 9, ({ step }) => steps.push(step));
    expect(steps).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9]);
    expect(most).toBe(4);
  });
});

/** A run whose running mean falls from 10 by a factor a point. */
function runOf(task: string, optimizer: string, setting: string, seed: number, factor: number): Run {
  const curve = Array.from({ length: 120 }, (_, k) => 10 * factor ** k);
  return {
    ...{ task, optimizer, setting, seed, options: {}, steps: 600, start: 10, ms: 2, curve },
    ends: { 150: curve[29]!, 600: curve[119]! },
    ...{ highest: { loss: 11, step: 1 }, rejected: 1, skipped: 0, statuses: {}, adapter: "x", date: "" },
  };
}
const machine = {
  ...{ adapter: "an adapter <b>", date: "2026-01-02T03:04:05Z", cpu: "a CPU", cores: 2 },
} as NonNullable<Parameters<typeof markdown>[0]["machine"]>;
const runs = [
  ...[1, 2].map((seed) => runOf("deep", "adam", "0.001", seed, 0.99)),
  ...[1, 2].map((seed) => runOf("deep", "adam", "0.01", seed, 0.98)),
  ...[1, 2].map((seed) => runOf("deep", "kfac", "defaults", seed, 0.95)),
  runOf("sparse", "adam", "0.001", 1, 0.98),
  { ...runOf("sparse", "kfac", "defaults", 1, 1.01), statuses: { "not positive definite": 7 } },
];
const results = { machine, runs, epochs: [], cost: [] };

describe("what the runs say", () => {
  test("the best setting, the ratio to it, and how soon its end is reached", () => {
    const lines = linesOf(runs.filter(({ task }) => task === "deep"));
    expect(lines.map(({ setting, seeds, above }) => [setting, seeds, above])).toEqual([
      ["0.001", 2, 0],
      ["0.01", 2, 0],
      ["defaults", 2, 0],
    ]);
    const [at150, at600] = compareAt(lines[2]!, lines.slice(0, 2), [150, 600]);
    expect(at150).toMatchObject({ mark: 150, setting: "0.01" });
    expect(at150!.ratio).toBeCloseTo((0.95 / 0.98) ** 29);
    // 0.95^k ≤ 0.98^119 from k = 47 on.
    expect(at600!.share).toBeCloseTo((48 * EVERY) / 600);
  });

  test("nothing counts as reached before there is a whole window", () => {
    expect(reachedAt([1, 1, 3, 2, 1], 2)).toBe(20);
    expect(reachedAt([1, 1, 3], 2)).toBeUndefined();
  });

  test("counts over tasks", () => {
    const tasks = ["deep", "sparse"].map((id) => {
      const lines = linesOf(runs.filter(({ task }) => task === id));
      const own = lines.find(({ optimizer }) => optimizer === "kfac")!;
      const rivals = lines.filter(({ optimizer }) => optimizer === "adam");
      return { comparisons: compareAt(own, rivals, [150, 600]), above: own.above };
    });
    expect(countsOf(tasks, [150, 600])).toMatchObject({
      ...{ tasks: 2, above: 1, everywhere: 1 },
      ahead: [
        { mark: 150, of: 2, ahead: 1 },
        { mark: 600, of: 2, ahead: 1 },
      ],
    });
  });

  test("the table", () => {
    const text = markdown(results, CONTESTANTS);
    expect(text).toContain("- Adam: 2 runs a seed (0.001, 0.01)\n- K-FAC: one run a seed (defaults)");
    expect(text).toMatch(
      /\| Deep narrow tanh \| 10 \| 5.57 \(0.01\) \| 2.26 \| \*\*0.406\*\* \| \*\*\d+ %\*\*/,
    );
    expect(text).toMatch(/One-hot sparse inputs .* not reached .* 1 of 1 /);
    expect(text).toContain("7 × not positive definite");
    expect(text).not.toMatch(/NaN|undefined|Infinity/);
  });

  test("a chart of each task that stands alone", () => {
    const made = drawings(results, CONTESTANTS);
    expect(made.map(({ name }) => name)).toEqual(["deep", "sparse"]);
    for (const { svg } of made) {
      expect(svg).toMatch(/^<svg xmlns="http:\/\/www.w3.org\/2000\/svg"/);
      expect(svg).toContain("an adapter &lt;b&gt;, 2026-01-02");
      expect(svg).not.toMatch(/NaN|undefined|Infinity/);
    }
  });

  test("numbers in three digits", () => {
    const values = [0, 0.01234, 1234.5, 1e-7, 7.654e5, Number.POSITIVE_INFINITY, Number.NaN];
    expect(values.map(digits)).toEqual(["0", "0.0123", "1230", "1.00e-7", "7.65e+5", "not finite", "–"]);
  });

  test("marks are those that a run gets to, and its end", () => {
    expect([30, 150, 200, 600, 700].map(marksOf)).toEqual([
      [30],
      [150],
      [150, 200],
      [150, 600],
      [150, 600, 700],
    ]);
  });

  test("epochs and seconds to the losses of the auto-encoder", () => {
    const losses = [80, 59, 58, 56, 54];
    const epochs = losses.map((train, k) => ({
      epoch: k + 1,
      train,
      test: train + 1,
      seconds: 10 * (k + 1),
    }));
    expect(reached(epochs)).toEqual({
      ...{ epochs: [2, 4, 5, undefined], seconds: [20, 40, 50, undefined], test: { best: 55, last: 55 } },
    });
  });
});

describe("the file of results", () => {
  test("keeps what others wrote meanwhile, and puts a run in the place of the one before", () => {
    const [one, two] = [new Store(folder), new Store(folder)];
    one.putRun(runs[0]!);
    two.putRun(runs[1]!);
    one.putRun({ ...runs[0]!, ms: 5 });
    const text = readFileSync(join(folder, FILE), "utf8");
    expect(JSON.parse(text).runs).toEqual([{ ...runs[0], ms: 5 }, runs[1]]);
    expect(new Store(folder).run(runs[1]!)).toEqual(runs[1]);
  });

  test("what is run again is forgotten first", () => {
    const store = new Store(folder);
    store.forget(new Set([keyOf(runs[0]!)]));
    expect(store.run(runs[0]!)).toBeUndefined();
    expect(new Store(folder).run(runs[1]!)).toBeDefined();
  });
});
