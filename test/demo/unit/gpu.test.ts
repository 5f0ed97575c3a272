/** Chapter 4's benchmark: what it checks and how it counts, with contenders that only pretend to work. */
import { expect, test } from "vitest";
import { caseMakers } from "../../../demo/chapters/gpu/benchmark/cases.js";
import type { Contender } from "../../../demo/chapters/gpu/benchmark/contender.js";
import { compare, fastest } from "../../../demo/chapters/gpu/benchmark/measure.js";
import { gram, invert, matmul, matrix } from "../../../src/reference/index.js";

// Node has no frames; the page's own fall-back by a timer is what runs here.
Object.assign(globalThis, { requestAnimationFrame: () => 0, cancelAnimationFrame: () => {} });

const never = new AbortController().signal;

function sleeper(formulation: string, ms: number): Contender & { calls: number; disposed: boolean } {
  return {
    formulation,
    calls: 0,
    disposed: false,
    async run(repetitions) {
      this.calls += 1;
      await new Promise((resolve) => setTimeout(resolve, ms * repetitions));
    },
    output: async () => new Float32Array(),
    dispose() {
      this.disposed = true;
    },
  };
}

test("every case takes the right result and refuses a wrong one", () => {
  for (const make of caseMakers("small")) {
    const { operation, size, inputs, error } = make();
    const [A, B] = inputs.map(({ rows, cols, data }) => matrix(rows, cols, data));
    const right = {
      gram: () => gram({ A: A!, examples: "rows" }),
      invert: () => invert(A!).inverse,
      matmul: () => matmul(A!, B!),
    }[operation]();
    const name = `${operation} ${size}`;
    expect(error(right.data), name).toBeLessThan(1e-6);
    const wrong = Float32Array.from(right.data);
    wrong[3]! += 0.1 * Math.max(...wrong.map(Math.abs));
    expect(error(wrong), name).toBeGreaterThan(1e-4);
    expect(error(new Float32Array(wrong.length).fill(Number.NaN)), name).toBeNaN();
  }
});

test("the ratio is how many times as long the other takes", async () => {
  const result = await compare(sleeper("mine", 20), sleeper("theirs", 60), never);
  expect(result.ratio).toBeGreaterThan(2);
  expect(result.ratio).toBeLessThan(4);
  expect(result.low).toBeLessThanOrEqual(result.ratio);
  expect(result.high).toBeGreaterThanOrEqual(result.ratio);
  expect(result.pairs).toBeGreaterThanOrEqual(3);
});

test("the fastest way counts, the others are let go", async () => {
  const [slow, quick] = [sleeper("slow", 60), sleeper("quick", 5)];
  expect(await fastest([slow, quick], never)).toBe(quick);
  expect([slow.disposed, quick.disposed]).toEqual([true, false]);
});

test("a stop ends it between two samples, and nothing is left", async () => {
  const stop = new AbortController();
  const contenders = [sleeper("one", 5), sleeper("two", 5)];
  stop.abort();
  await expect(fastest(contenders, stop.signal)).rejects.toMatchObject({ code: "aborted" });
  expect(contenders.every(({ disposed }) => disposed)).toBe(true);
});
