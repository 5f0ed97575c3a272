import { describe, expect, it } from "vitest";
import { type Comparison, reachOf } from "../../src/cli/comparison.js";
import { comparisonReport, comparisonRows } from "../../src/cli/report/comparison.js";
import { renderPage } from "../../src/cli/report/page.js";
import { duration, percent, short, textTable } from "../../src/cli/table.js";

const NASTY = `<script>alert("1")</script> & 'x' \u0000\u001b[31m`;

describe("the report", () => {
  it("escapes text wherever it comes in", () => {
    const html = renderPage({
      title: NASTY,
      lead: NASTY,
      table: { head: [NASTY], rows: [[NASTY, NASTY]], note: NASTY },
      charts: [
        {
          title: NASTY,
          x: { label: NASTY },
          y: { label: NASTY, format: () => NASTY },
          series: [{ id: "first", name: NASTY, points: [[0, 1] as const, [1, 2] as const] }],
        },
      ],
      facts: [[NASTY, NASTY]],
    });
    for (const bad of ["<script", 'alert("', "\u0000", "\u001b"]) expect(html).not.toContain(bad);
  });

  it("loads nothing and has both colour schemes", () => {
    const html = comparisonReport(comparison);
    expect(html).not.toMatch(/https?:|src=|@import|url\(|<link/);
    expect(html).toMatch(/prefers-color-scheme: ?dark/);
  });

  it("draws each optimiser in a look of its own", () => {
    const html = comparisonReport(comparison);
    expect(html.match(/<svg/g)).toHaveLength(3);
    for (const look of ["first", "second", "third"]) {
      expect(html).toMatch(new RegExp(`class="line ${look}"`));
      expect(html).toContain(`.chart .${look}{--own:`);
    }
  });
});

const comparison: Comparison = {
  adapter: "an adapter",
  sizes: [4, 3, 2],
  examples: 60_000,
  batchSize: 500,
  seed: 1,
  sampleSize: 10_000,
  measureEvery: 20,
  runs: (["kfac", "sgd", "adam"] as const).map((kind, k) => ({
    kind,
    name: { kfac: "K-FAC", sgd: "SGD", adam: "Adam" }[kind],
    settings: { learningRate: 0.1 },
    testAccuracy: 0.9 + k / 100,
    measurements: [0, 20, 40].map((step) => ({
      step,
      seconds: step / (10 * (k + 1)),
      loss: 2 * Math.exp((-step * (3 - k)) / 100) + (kind === "sgd" ? 0.5 : 0),
      ...(step === 0 ? {} : { testAccuracy: 0.9 }),
    })),
  })),
};

describe("the comparison", () => {
  it("finds when each run was as low as Adam's best", () => {
    const steps = comparison.runs.map((run) => reachOf(comparison.runs, run)?.step);
    expect(steps).toEqual([20, undefined, 40]);
    expect(comparisonRows(comparison).map((row) => row.slice(5))).toEqual([
      ["20", "2.0 s"],
      ["not reached", "–"],
      ["40", "1.3 s"],
    ]);
    expect(reachOf([comparison.runs[0]!], comparison.runs[0]!)).toBeUndefined();
  });
});

describe("text for people", () => {
  it("formats numbers", () => {
    expect([0, 0.0312, 1.25, 12.4, 123456, 1.2e-7, Number.NaN, undefined].map(short)).toEqual([
      "0",
      "0.0312",
      "1.2500",
      "12.40",
      "1.23e+5",
      "1.20e-7",
      "–",
      "–",
    ]);
    expect([4.24, 65, 3723, 59.97].map(duration)).toEqual(["4.2 s", "1:05", "1:02:03", "60.0 s"]);
    expect([0.98765, null].map(percent)).toEqual(["98.77 %", "–"]);
  });

  it("aligns tables", () => {
    expect(textTable(["a", "long"], [["xyz", "1"]])).toBe("a     long\n──────────\nxyz      1");
  });
});
