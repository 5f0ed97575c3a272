import { describe, expect, it } from "vitest";
import { type Comparison, reachOf } from "../../src/cli/comparison.js";
import { renderChart } from "../../src/cli/report/chart.js";
import { comparisonReport, comparisonRows } from "../../src/cli/report/comparison.js";
import { escapeText } from "../../src/cli/report/escape.js";
import { renderPage } from "../../src/cli/report/page.js";
import { linearScale, logScale, tickText } from "../../src/cli/report/scale.js";
import { duration, percent, short, textTable } from "../../src/cli/table.js";

const NASTY = `<script>alert("1")</script> & 'x' \u0000\u001b[31m`;

describe("the report", () => {
  it("escapes text wherever it comes in", () => {
    const chart = {
      title: NASTY,
      x: NASTY,
      y: NASTY,
      format: () => NASTY,
      series: [{ name: NASTY, style: 0, points: [[0, 1] as const, [1, 2] as const] }],
    };
    const html = renderPage({
      title: NASTY,
      lead: NASTY,
      table: { head: [NASTY], rows: [[NASTY, NASTY]], note: NASTY },
      charts: [chart],
      facts: [[NASTY, NASTY]],
    });
    for (const bad of ["<script", 'alert("', "\u0000", "\u001b"]) expect(html).not.toContain(bad);
    expect(escapeText(NASTY)).toBe(
      "&lt;script&gt;alert(&quot;1&quot;)&lt;/script&gt; &amp; &#39;x&#39; [31m",
    );
  });

  it("loads nothing and has both colour schemes", () => {
    const html = comparisonReport(comparison);
    expect(html).not.toMatch(/https?:|src=|@import|url\(|<link/);
    expect(html).toContain("prefers-color-scheme: dark");
  });

  it("leaves out what cannot be drawn", () => {
    const points = [
      [0, Number.NaN],
      [1, 0],
      [2, -1],
      [Number.POSITIVE_INFINITY, 1],
    ] as const;
    const chart = { title: "t", x: "x", y: "y", logarithmic: true };
    expect(renderChart({ ...chart, series: [{ name: "s", style: 0, points }] })).toContain("no data");
    const one = renderChart({ ...chart, series: [{ name: "s", style: 0, points: [...points, [3, 1]] }] });
    expect(one).not.toMatch(/NaN|Infinity/);
    expect(one).toContain("<polyline");
  });

  it("thins long runs", () => {
    const points = Array.from({ length: 50_000 }, (_, i) => [i, Math.exp(-i / 1e4)] as const);
    expect(
      renderChart({ title: "t", x: "x", y: "y", series: [{ name: "s", style: 0, points }] }).length,
    ).toBeLessThan(200_000);
  });
});

describe("scales", () => {
  it("puts ticks inside the range", () => {
    const linear = linearScale([0, 0.97], [0, 100], true);
    expect(linear.ticks.map(tickText)).toEqual(["0", "0.2", "0.4", "0.6", "0.8", "1"]);
    expect(linear.toPixel(0.5)).toBeCloseTo(50);
    const log = logScale([0.02, 3], [100, 0]);
    expect(log.ticks).toEqual([0.02, 0.05, 0.1, 0.2, 0.5, 1, 2]);
    expect(logScale([1e-9, 1e9], [0, 1]).ticks.length).toBeLessThan(9);
    for (const scale of [linearScale([1, 1], [0, 1], true), logScale([1, 1], [0, 1])]) {
      expect(scale.toPixel(1)).toBeGreaterThanOrEqual(0);
      expect(scale.toPixel(1)).toBeLessThanOrEqual(1);
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
