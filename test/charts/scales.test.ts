/** Axes and their numbers. */
import { describe, expect, test } from "vitest";
import { tickText } from "../../src/charts/numbers.js";
import { spread } from "../../src/charts/picture.js";
import { linearScale, logScale, logTicks } from "../../src/charts/scales.js";

describe("logarithmic axes", () => {
  test("equal factors are equal distances", () => {
    const { toPixel } = logScale([1, 1000], [0, 300]);
    expect(toPixel(1)).toBeCloseTo(0);
    expect(toPixel(10)).toBeCloseTo(100);
    expect(toPixel(1000)).toBeCloseTo(300);
  });

  test("an axis may run backwards, as y does, and have a margin", () => {
    expect(logScale([1, 100], [200, 0]).toPixel(10)).toBeCloseTo(100);
    const { toPixel } = logScale([1, 100], [240, 0], { margin: 0.1 });
    expect([toPixel(1), toPixel(100)].map(Math.round)).toEqual([220, 20]);
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
    [
      [1, 6],
      [1, 2, 3, 4, 5, 6],
    ],
    [
      [1.1, 1.6],
      [1.1, 1.2, 1.3, 1.4, 1.5, 1.6],
    ],
  ] as [[number, number], number[]][])("ticks of %j", (range, ticks) => {
    expect(logTicks(range, 7).map((tick) => Number(tick.toPrecision(9)))).toEqual(ticks);
  });

  test("however long, there are about as many ticks as were wanted", () => {
    for (const decades of [0.5, 1, 2, 3, 5, 8, 12, 18, 40, 300]) {
      for (const wanted of [4, 6, 7]) {
        const { length } = logTicks([1e-9, 10 ** (decades - 9)], wanted);
        expect(length, `${decades} decades`).toBeGreaterThan(1);
        expect(length, `${decades} decades`).toBeLessThanOrEqual(2 * wanted);
      }
    }
  });

  test("one value still makes an axis", () => {
    const { toPixel } = logScale([5, 5], [0, 100]);
    expect(toPixel(5)).toBeCloseTo(50);
    expect(toPixel(6)).toBeGreaterThan(50);
  });
});

describe("linear axes", () => {
  test("widened to whole ticks", () => {
    const { ticks, toPixel } = linearScale([0, 0.97], [0, 100], { nice: true });
    expect(ticks.map(tickText)).toEqual(["0", "0.2", "0.4", "0.6", "0.8", "1"]);
    expect(toPixel(0.5)).toBeCloseTo(50);
  });

  test("as they are, with ticks of one's own", () => {
    const { ticks, toPixel } = linearScale([0, 90], [10, 100], { ticks: [0, 45] });
    expect(ticks).toEqual([0, 45]);
    expect(toPixel(90)).toBe(100);
  });

  test("one value lies in the middle", () => {
    expect(linearScale([1, 1], [0, 80]).toPixel(1)).toBe(40);
  });
});

test("numbers read well", () => {
  expect([0, 0.01, 0.3, 5, -0.25, 1024, 16384, 1e6, 1e-4, 5e-5, 2e12, -1e-7].map(tickText)).toEqual([
    ...[
      "0",
      "0.01",
      "0.3",
      "5",
      "−0.25",
      "1\u202f024",
      "16\u202f384",
      "10⁶",
      "10⁻⁴",
      "5·10⁻⁵",
      "2·10¹²",
      "−10⁻⁷",
    ],
  ]);
});

test("labels move apart and stay inside", () => {
  expect(spread([10, 50, 90], 15, [0, 100])).toEqual([10, 50, 90]);
  expect(spread([10, 12, 14], 15, [0, 100])).toEqual([10, 25, 40]);
  expect(spread([90, 95, 99], 15, [0, 100])).toEqual([70, 85, 100]);
});
