/** Charts and tables of the benchmark. */
import { describe, expect, test } from "vitest";
import { barChart, dotChart, lineChart } from "../../bench/report/chart.mjs";
import { logScale, spread, tickText } from "../../bench/report/scale.mjs";
import { aligned, tableOf, time, times } from "../../bench/report/table.mjs";

describe("logarithmic axes", () => {
  test("equal factors are equal distances", () => {
    const { toPixel } = logScale([1, 1000], [0, 300], { margin: 0 });
    expect(toPixel(1)).toBeCloseTo(0);
    expect(toPixel(10)).toBeCloseTo(100);
    expect(toPixel(1000)).toBeCloseTo(300);
  });

  test("an axis may run backwards, as y does", () => {
    const { toPixel } = logScale([1, 100], [200, 0], { margin: 0 });
    expect(toPixel(10)).toBeCloseTo(100);
    expect(toPixel(100)).toBeCloseTo(0);
  });

  test.each([
    [
      [1, 1e6],
      [1, 10, 100, 1e3, 1e4, 1e5, 1e6],
    ],
    [
      [1, 1e12],
      [1, 100, 1e4, 1e6, 1e8, 1e10, 1e12],
    ],
    [
      [1, 100],
      [1, 2, 5, 10, 20, 50, 100],
    ],
    [
      [0.01, 10],
      [0.01, 0.03, 0.1, 0.3, 1, 3, 10],
    ],
  ] as [[number, number], number[]][])("ticks of %j", (range, ticks) => {
    expect(logScale(range, [0, 1], { wanted: 7, margin: 0.001 }).ticks).toEqual(ticks);
  });

  test("one value still makes an axis", () => {
    const { toPixel } = logScale([5, 5], [0, 100]);
    expect(toPixel(5)).toBeCloseTo(50);
    expect(toPixel(6)).toBeGreaterThan(50);
  });

  test("numbers read well", () => {
    expect([0.01, 0.3, 5, 1024, 16384, 1e6, 1e-4, 5e-5, 2e12].map(tickText)).toEqual([
      ...["0.01", "0.3", "5", "1 024", "16 384", "10⁶", "10⁻⁴", "5·10⁻⁵", "2·10¹²"],
    ]);
  });

  test("labels move apart and stay inside", () => {
    expect(spread([10, 50, 90], 15, [0, 100])).toEqual([10, 50, 90]);
    expect(spread([10, 12, 14], 15, [0, 100])).toEqual([10, 25, 40]);
    expect(spread([90, 95, 99], 15, [0, 100])).toEqual([70, 85, 100]);
  });
});

const heading = { title: "A < B & C", subtitle: "sub", where: "somewhere" };
const charts = {
  line: lineChart({
    ...heading,
    x: "size",
    y: "speed",
    panels: [
      { series: [{ id: "kfac-webgpu", name: "kfac-webgpu", points: [[1, 1] as const, [10, 5] as const] }] },
    ],
  }),
  dots: dotChart({
    ...heading,
    x: "times",
    one: "equal",
    rows: [{ label: "<case>", dots: [{ id: "jax-wasm", name: "jax-js wasm", value: 3, low: 2, high: 4 }] }],
  }),
  bars: barChart({
    ...heading,
    groups: [{ title: "net", bars: [{ label: "gram", value: 2, text: "2 ms" }] }],
  }),
};

test.each(Object.entries(charts))("%s: a standalone file for light and dark", (_, svg) => {
  expect(svg).toMatch(/^<svg xmlns="http:\/\/www.w3.org\/2000\/svg"/);
  expect(svg).toContain("prefers-color-scheme:dark");
  expect(svg).toContain("A &lt; B &amp; C");
  expect(svg).not.toMatch(/NaN|undefined|Infinity/);
  expect(svg).not.toMatch(/https?:(?!\/\/www.w3.org\/2000\/svg)/);
  // Every element is closed.
  const open = svg.match(/<[a-z]+(?=[ >])[^>]*(?<!\/)>/g)?.length;
  expect(svg.match(/<\/[a-z]+>/g)?.length).toBe(open);
});

test("dots carry their interval", () => {
  expect(charts.dots).toContain('class="span jax-wasm"');
  expect(charts.dots).toContain("&lt;case&gt;");
});

describe("the table", () => {
  test("columns line up, numbers to the right", () => {
    expect(
      aligned([
        ["a", "b", "1", "x"],
        ["aa", "b", "10", "y"],
      ]),
    ).toBe("  a   b   1  x\n  aa  b  10  y");
  });

  test("numbers in three digits or so", () => {
    expect([0.0123, 1.234, 12.34, 123.4, 12345].map(time)).toEqual(["0.012", "1.23", "12.3", "123", "12345"]);
    expect([0.5, 12.34, 345.6].map(times)).toEqual(["0.50", "12.3", "346"]);
  });

  test("a peer that was not measured says why", () => {
    const measured = { ms: 2, samples: [2], repetitions: 1, firstMs: 9, error: 1e-7 };
    const text = tableOf("Gram", [
      {
        ...{ operation: "gram", id: "gram", label: "64 × 64", size: 64, flops: 2e6, sets: 2, ours: measured },
        peers: [
          { peer: "a", name: "A", status: "failed", reason: "out of luck" },
          {
            ...{
              peer: "b",
              name: "B",
              status: "measured",
              formulation: "way",
              measured: { ...measured, ms: 6 },
            },
            ratio: { value: 3, low: 2.5, high: 3.5, confidence: 0.96, count: 15 },
            others: [{ formulation: "other way", ms: 8 }],
          },
        ],
      },
    ]);
    expect(text).toMatch(/A +– +failed: out of luck/);
    expect(text).toMatch(/kfac-webgpu +2\.00 +1\.00/);
    expect(text).toMatch(/B +6\.00 +0\.333 +3\.00× +2\.50 – 3\.50 +15 .*way; other way: 8\.00 ms/);
  });
});
