/** Charts as SVG: well formed, escaped, and with their marks where the numbers say. */
import { describe, expect, test } from "vitest";
import {
  barChart,
  dotChart,
  escapeText,
  type LineChart,
  type Looks,
  lineChart,
} from "../../src/charts/index.js";

const NASTY = `<script>alert("1")</script> & 'x' \u0000\u001b[31m`;
const looks = {
  ours: { light: "#000001", dark: "#fffff1", mark: "circle", strong: true },
  theirs: { light: "#000002", dark: "#fffff2", mark: "diamond", dash: "7 4" },
} as const satisfies Looks;
const picture = { title: NASTY, looks, heading: [NASTY, "where"] };

const line = (points: readonly (readonly [number, number])[], rest: Partial<LineChart> = {}) =>
  lineChart({
    ...{ title: "t", looks, x: { label: "x" }, y: { label: "y" } },
    panels: [{ series: [{ id: "ours", name: "us", points }] }],
    ...rest,
  });

const all = {
  line: line(
    [
      [1, 1],
      [10, 5],
    ],
    { ...picture, x: { label: NASTY, log: true }, y: { label: NASTY, format: () => NASTY, log: true } },
  ),
  panels: lineChart({
    ...picture,
    x: { label: "x", log: true, ticks: [1, 10] },
    y: { label: "y", log: true },
    panels: [1, 2].map((n) => ({
      title: `${n} ${NASTY}`,
      series: [
        {
          id: "theirs",
          name: NASTY,
          points: [
            [1, n],
            [10, 5 * n],
          ],
        },
      ],
      reference: {
        name: NASTY,
        points: [
          [1, 1],
          [10, 10],
        ],
      },
    })),
  }),
  dots: dotChart({
    ...picture,
    x: NASTY,
    one: NASTY,
    rows: [{ label: NASTY, dots: [{ id: "theirs", name: NASTY, value: 3, low: 2, high: 4 }] }],
  }),
  bars: barChart({
    ...picture,
    id: "ours",
    groups: [{ title: NASTY, bars: [{ label: NASTY, value: 2, text: NASTY }] }],
  }),
};

describe.each(Object.entries(all))("%s", (_, svg) => {
  test("a standalone file for light and dark", () => {
    expect(svg).toMatch(/^<svg xmlns="http:\/\/www.w3.org\/2000\/svg"/);
    expect(svg).toContain("prefers-color-scheme:dark");
    expect(svg).not.toMatch(/NaN|undefined|Infinity/);
    expect(svg).not.toMatch(/https?:(?!\/\/www.w3.org\/2000\/svg)/);
  });

  test("text is escaped wherever it comes in", () => {
    for (const bad of ["<script", 'alert("', "\u0000", "\u001b"]) expect(svg).not.toContain(bad);
    expect(svg).toContain(escapeText(NASTY));
  });

  test("every element is closed", () => {
    const drawn = svg.replace(/<style>[\s\S]*?<\/style>/, "");
    const open = drawn.match(/<[a-z]+(?=[ >])[^>]*(?<!\/)>/g)?.length;
    expect(drawn.match(/<\/[a-z]+>/g)?.length).toBe(open);
  });
});

test("text", () => {
  expect(escapeText(NASTY)).toBe("&lt;script&gt;alert(&quot;1&quot;)&lt;/script&gt; &amp; &#39;x&#39; [31m");
});

describe("lines", () => {
  test("in a page they bring no style sheet and no paper", () => {
    const svg = line([[0, 1]]);
    expect(svg).toMatch(/^<svg class="chart" viewBox/);
    expect(svg).not.toMatch(/<style|xmlns|class="paper"/);
  });

  test("what cannot be drawn is left out", () => {
    const points = [
      [0, Number.NaN],
      [1, 0],
      [2, -1],
      [Number.POSITIVE_INFINITY, 1],
    ] as const;
    const log = { y: { label: "y", log: true } };
    expect(line(points, log)).toContain("no data");
    expect(lineChart({ ...picture, x: { label: "x" }, y: { label: "y" }, panels: [] })).toContain("no data");
    const one = line([...points, [3, 1]], log);
    expect(one).not.toMatch(/NaN|Infinity/);
    expect(one).toContain('class="line ours strong"');
  });

  test("an axis from zero, points where they belong", () => {
    const svg = line([
      [0, 0],
      [100, 10],
    ]);
    const [, path = ""] = /class="line[^"]*" d="M([^"]*)"/.exec(svg)!;
    const [[x0, y0], [x1, y1]] = path.split("L").map((place) => place.split(",").map(Number)) as [
      number[],
      number[],
    ];
    const [, zero] = /x="([\d.]+)" y="[\d.]+" text-anchor="middle">0</.exec(svg)!.map(Number);
    expect(x0).toBe(zero);
    expect(x1! - x0!).toBeGreaterThan(400);
    expect(y0! - y1!).toBeGreaterThan(200);
  });

  test("marks become dots, and dots are hidden, as there are more points", () => {
    const of = (count: number) => line(Array.from({ length: count }, (_, k) => [k, k] as const));
    expect(of(10).match(/class="mark/g)).toHaveLength(10);
    expect(of(40).match(/<circle class="point ours"/g)).toHaveLength(40);
    expect(of(100).match(/class="point ours hidden"/g)).toHaveLength(100);
  });

  test("long runs are thinned", () => {
    const points = Array.from({ length: 50_000 }, (_, i) => [i, Math.exp(-i / 1e4)] as const);
    expect(line(points).length).toBeLessThan(200_000);
  });

  test("a faint line has neither marks nor a name", () => {
    const series = [{ id: "ours", name: "us", faint: true, points: [[0, 1] as const, [1, 2] as const] }];
    const svg = line([], { panels: [{ series }] });
    expect(svg).toContain("faint line");
    expect(svg).not.toMatch(/class="(mark|point|name)/);
  });
});

test("dots carry their interval, and lie on it", () => {
  const [, x1, x2] = /class="span theirs" x1="([\d.]+)" x2="([\d.]+)"/.exec(all.dots)!.map(Number);
  // The first is the legend's.
  const [, dot] = [...all.dots.matchAll(/class="mark theirs"[^>]*translate\(([\d.]+),/g)];
  const x = Number(dot![1]);
  // By logarithm, 3 lies 58 % of the way from 2 to 4.
  expect((x - x1!) / (x2! - x1!)).toBeCloseTo(Math.log(1.5) / Math.log(2), 2);
});

test("the longest bar fills its column, the others their share", () => {
  const svg = barChart({
    ...picture,
    id: "ours",
    groups: [{ title: "net", bars: [8, 4, 1].map((value) => ({ label: "k", value, text: "ms" })) }],
  });
  const widths = [...svg.matchAll(/class="bar ours"[^>]*width="([\d.]+)"/g)].map(([, width]) =>
    Number(width),
  );
  expect(widths.map((width) => (width / widths[0]!).toFixed(2))).toEqual(["1.00", "0.50", "0.13"]);
});
