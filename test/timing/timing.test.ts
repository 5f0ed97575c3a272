/** How figures are made: medians, intervals, calibration, interleaved pairs. */
import { describe, expect, test } from "vitest";
import {
  affordablePairs,
  calibrate,
  intervalRank,
  median,
  medianInterval,
  medianMs,
  pairedRatios,
  type Runner,
  Stopwatch,
  samplePairs,
} from "../../src/timing/index.js";

describe("medians and their intervals", () => {
  test("median of odd and even counts, in any order; none of nothing", () => {
    expect(median([3, 1, 2])).toBe(2);
    expect(median([4, 1, 3, 2])).toBe(2.5);
    expect(median([])).toBeNaN();
  });

  // From tables of the sign test.
  test.each([
    [5, 1, 0.9375],
    [6, 1, 0.96875],
    [9, 2, 0.9609375],
    [15, 4, 0.96484375],
    [20, 6, 0.958610534667968],
    [30, 10, 0.957226],
  ])("of %i samples the interval starts at number %i, with confidence %f", (count, rank, confidence) => {
    const found = intervalRank(count, 0.95);
    expect(found.rank).toBe(rank);
    expect(found.confidence).toBeCloseTo(confidence, 6);
  });

  test("the interval is between order statistics", () => {
    const values = [15, 1, 14, 2, 13, 3, 12, 4, 11, 5, 10, 6, 9, 7, 8];
    expect(medianInterval(values)).toMatchObject({ value: 8, low: 4, high: 12, count: 15 });
  });

  test("few samples give their range and say how sure that is", () => {
    expect(medianInterval([2, 1, 3])).toEqual({ value: 2, low: 1, high: 3, confidence: 0.75, count: 3 });
    expect(medianInterval([7])).toEqual({ value: 7, low: 7, high: 7, confidence: 0, count: 1 });
  });

  test("it holds the median as often as it says", () => {
    let state = 1;
    const random = () => {
      state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
      return state / 2 ** 32;
    };
    let inside = 0;
    const trials = 4000;
    for (let trial = 0; trial < trials; trial++) {
      const { low, high } = medianInterval(Array.from({ length: 15 }, () => random() ** 3));
      if (low <= 0.125 && 0.125 <= high) inside++;
    }
    expect(inside / trials).toBeGreaterThan(0.95);
    expect(inside / trials).toBeLessThan(0.98);
  });
});

test("ratios are taken pair by pair", () => {
  expect(pairedRatios([{ ms: 1 }, { ms: 4 }], [{ ms: 3 }, { ms: 2 }])).toEqual([3, 0.5]);
  expect(() => pairedRatios([{ ms: 1 }], [])).toThrow("1 samples are not paired with 0");
});

test("fewer pairs where all would outlast the budget, but never none", () => {
  expect(affordablePairs(15, 10, 10_000)).toBe(15);
  expect(affordablePairs(15, 2000, 10_000)).toBe(5);
  expect(affordablePairs(15, 1500, 2000)).toBe(3);
  expect(affordablePairs(15, 4000, 2000)).toBe(2);
  expect(affordablePairs(15, 9000, 2000)).toBe(1);
  expect(affordablePairs(2, 1500, 2000)).toBe(2);
});

/** Takes its time by a clock of its own. */
function runnerOf(ms: number, log: string[] = [], name = ""): Runner & { calls: number[] } {
  const calls: number[] = [];
  return {
    calls,
    async run(repetitions) {
      calls.push(repetitions);
      log.push(name);
      const end = performance.now() + ms * repetitions;
      while (performance.now() < end);
    },
  };
}

test("repetitions fill a sample, the first call aside", async () => {
  const runner = runnerOf(0.5);
  const { repetitions, firstMs, ms } = await calibrate(runner, { sampleMs: 10 });
  expect(runner.calls[0]).toBe(1);
  expect(repetitions * ms).toBeGreaterThan(9.9);
  expect(repetitions).toBeLessThanOrEqual(23);
  expect(firstMs).toBeGreaterThan(0.49);
});

test("memory limits repetitions, and a call of seconds is not made a third time", async () => {
  expect((await calibrate({ ...runnerOf(0.01), most: 3 }, { sampleMs: 10 })).repetitions).toBe(3);
  const runner = runnerOf(1);
  expect(await calibrate(runner, { sampleMs: 10, firstMs: 4000, secondMs: 3000 })).toEqual({
    repetitions: 1,
    firstMs: 4000,
    ms: 3000,
  });
  expect(runner.calls).toEqual([]);
});

test("pairs are interleaved", async () => {
  const log: string[] = [];
  const [a, b] = [runnerOf(0.1, log, "A"), runnerOf(0.3, log, "B")];
  const samples = await samplePairs({ runner: a, repetitions: 2 }, { runner: b, repetitions: 1 }, 3);
  expect(log.join("")).toBe("ABABAB");
  expect(a.calls).toEqual([2, 2, 2]);
  expect(samples.a).toHaveLength(3);
  expect(samples.ratio).toMatchObject({ count: 3, confidence: 0.75 });
  expect(samples.ratio.value).toBe(medianInterval(pairedRatios(samples.a, samples.b)).value);
  expect(samples.ratio.value).toBeGreaterThan(1.5);
  expect(medianMs(samples.b)).toBeGreaterThan(0.29);
  expect(Math.min(...samples.b.map(({ ms }) => ms))).toBeGreaterThan(0.29);
});

test("what a runner tells counts instead of the clock, and each sample is entered first", async () => {
  const log: string[] = [];
  const runner: Runner = {
    enter: () => void log.push("enter"),
    run: async (repetitions) => {
      log.push("run");
      return { totalMs: 5 * repetitions, deviceMs: 2 * repetitions };
    },
  };
  const { a, b, ratio } = await samplePairs({ runner, repetitions: 3 }, { runner, repetitions: 1 }, 2);
  expect([...a, ...b]).toEqual(Array(4).fill({ ms: 5, deviceMs: 2 }));
  expect(ratio).toMatchObject({ value: 1, low: 1, high: 1, count: 2 });
  expect(log).toEqual(Array(4).fill(["enter", "run"]).flat());
});

test("a stopwatch counts what runs, and goes on from what is on the clock", () => {
  let now = 1000;
  const watch = new Stopwatch(() => now, 2);
  now += 500;
  expect(watch.seconds).toBe(2.5);
  watch.pause();
  now += 10_000;
  expect(watch.seconds).toBe(2.5);
  watch.pause();
  watch.resume();
  now += 250;
  watch.resume();
  expect(watch.seconds).toBe(2.75);
});
