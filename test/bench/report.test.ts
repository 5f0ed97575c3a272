/** Charts and tables of the benchmark. */
import { describe, expect, test } from "vitest";
import type { Row } from "../../bench/compare.mjs";
import { PEERS } from "../../bench/peers/index.mjs";
import { drawings } from "../../bench/report/charts.mjs";
import { LOOKS } from "../../bench/report/looks.mjs";
import { page } from "../../bench/report/page.mjs";
import { aligned, tableOf, time, times } from "../../bench/report/table.mjs";

const machine = {
  adapter: "an adapter <b>",
  date: "2026-01-02T03:04:05Z",
};
const measured = (ms: number) => ({ ms, samples: [ms], repetitions: 1, firstMs: 3 * ms, error: 1e-7 });
const gramRow = (size: number, peers: string[]): Row => ({
  ...{ operation: "gram", id: `gram ${size}`, label: `${size} × 99`, size, series: "all", flops: 1e6 * size },
  ...{ sets: 2, ours: measured(size / 100) },
  peers: peers.map((peer) => ({
    ...{ peer, name: peer, status: "measured", measured: measured(size / 50) },
    ratio: { value: 2, low: 1.5, high: 2.5, confidence: 0.96, count: 15 },
  })),
});
const result = {
  machine,
  rows: [gramRow(64, PEERS), gramRow(128, PEERS)],
  steps: [
    {
      ...{ id: "mlp", label: "9-9", batch: 5 },
      kernels: {
        sgd: [],
        kfac: Array.from({ length: 10 }, (_, k) => ({ kernel: `k${k}`, dispatches: 1, ms: 10 - k })),
      },
    },
  ],
  accuracy: [1e1, 1e3, 1e5].flatMap((condition) =>
    [32, 64].map((n) => ({
      ...{ n, condition, who: "kfac-webgpu", name: "kfac-webgpu", way: "invert", error: condition * 1e-8 },
    })),
  ),
};

describe("the charts", () => {
  const made = drawings(result, (operation) => `Title of ${operation}`);

  test("there is one of each kind", () => {
    expect(made.map(({ name }) => name)).toEqual([
      ...["speed-gram", "ratio-gram", "error-invert", "step-kernels", "first-call"],
    ]);
  });

  test.each(made.map(({ name, svg }) => [name, svg]))("%s: a file that stands alone", (_, svg) => {
    expect(svg).toMatch(/^<svg xmlns="http:\/\/www.w3.org\/2000\/svg"/);
    expect(svg).toContain("an adapter &lt;b&gt;, 2026-01-02");
    expect(svg).not.toMatch(/NaN|undefined|Infinity/);
  });

  test("every peer has a look of its own", () => {
    expect(Object.keys(LOOKS).slice(1).sort()).toEqual([...PEERS].sort());
    const seen = Object.values(LOOKS).map(({ light, mark }) => `${light} ${mark}`);
    expect(new Set(seen).size).toBe(seen.length);
  });

  test("kernels beyond the first eight are added up", () => {
    expect(made.find(({ name }) => name === "step-kernels")?.svg).toMatch(
      /2 others.*3\.00 ms, 5 %, 2 dispatches/s,
    );
  });

  test("the page holds them all and loads nothing", () => {
    const html = page({ heading: "a < b", facts: "<facts>", drawings: made, tables: ["<table>"] });
    for (const { name } of made) expect(html).toContain(`<figure id="${name}"><svg`);
    expect(html).toContain("&lt;table&gt;");
    expect(html).not.toMatch(/https?:(?!\/\/www.w3.org\/2000\/svg)|src=|@import|url\(|<link/);
  });
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
