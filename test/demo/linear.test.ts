/** Chapter 1: what the page shows is what the theorem says, within f32. */
import { expect, test } from "vitest";
import { type Demo, useDemo } from "./harness.js";

const open = useDemo();

/** Numbers as the page keeps them beside its rounded words. */
async function numbers(demo: Demo) {
  await demo.page.waitForFunction(
    () => !document.querySelector("#content[aria-busy]") && document.querySelector("#hessian-difference"),
    { timeout: 60_000 },
  );
  return demo.page.evaluate(() => {
    const tile = (label: string) => {
      const found = [...document.querySelectorAll<HTMLElement>(".stat")].find((stat) =>
        stat.textContent?.startsWith(label),
      );
      return Number(found?.dataset.value);
    };
    return {
      landed: tile("After one Newton step"),
      least: tile("Least possible"),
      crawled: tile("After 200 steps"),
      difference: Number(document.querySelector<HTMLElement>("#hessian-difference")?.dataset.value),
      errors: [...document.querySelectorAll<HTMLElement>(".relative-error")].map(({ dataset }) => ({
        name: dataset.name ?? "",
        error: Number(dataset.value),
      })),
    };
  });
}

const EPS = 2 ** -24;

test.each([
  { rows: 5, columns: 7, examples: 60, log: 3 },
  { rows: 1, columns: 1, examples: 12, log: 0 },
  { rows: 8, columns: 10, examples: 200, log: 5 },
])(
  "one step on the GPU lands at the f64 minimum: $rows × $columns, κ = 10^$log",
  async ({ rows, columns, examples, log }) => {
    const demo = await open({ reducedMotion: true });
    await numbers(demo);
    await demo.control("Rows of W, m", rows);
    await demo.control("Columns of W, n", columns);
    await demo.control("Examples, N", examples);
    await demo.control("Condition of H, κ", log);
    // The controls take effect in the next frame.
    await demo.page.evaluate(
      () => new Promise((resolve) => requestAnimationFrame(() => setTimeout(resolve, 0))),
    );
    const shown = await numbers(demo);
    const kappa = 10 ** (log / 2);

    expect(shown.least).toBeGreaterThan(0);
    expect(Math.abs(shown.landed - shown.least) / shown.least).toBeLessThan(1e-6);
    if (log >= 3)
      expect(shown.crawled - shown.least).toBeGreaterThan(100 * Math.abs(shown.landed - shown.least));
    expect(shown.difference).toBeLessThan(16 * EPS);
    expect(shown.errors.map(({ name }) => name)).toEqual([
      "gram",
      "gram",
      "matmul",
      "invert",
      "invert",
      "sandwich",
    ]);
    for (const { name, error } of shown.errors) {
      const bound = {
        gram: 8 * EPS,
        matmul: 100 * EPS,
        invert: 8 * EPS * kappa,
        sandwich: 200 * EPS * kappa,
      }[name]!;
      expect(error, name).toBeLessThan(bound);
      expect(error, name).toBeGreaterThanOrEqual(0);
    }
  },
);

test("other numbers make another problem, and the walk can be seen again", async () => {
  const demo = await open();
  const before = await numbers(demo);
  await demo.press("Other numbers");
  await demo.page.waitForFunction(
    (least) => document.querySelectorAll<HTMLElement>(".stat")[2]?.dataset.value !== String(least),
    {},
    before.least,
  );
  const after = await numbers(demo);
  expect(after.least).not.toBe(before.least);
  expect(Math.abs(after.landed - after.least) / after.least).toBeLessThan(1e-6);
  await demo.press("Walk again");
  // While it walks, gradient descent's curve is short; at the end it is whole.
  await demo.until(".curves .legend li:last-child .legend-value", /10⁻|0\./);
});

test("sliders moved fast end at the last position, without leftovers", async () => {
  const demo = await open({ reducedMotion: true });
  await numbers(demo);
  for (const value of [2, 9, 3, 8, 4]) await demo.control("Columns of W, n", value);
  await demo.page.evaluate(
    () => new Promise((resolve) => requestAnimationFrame(() => setTimeout(resolve, 0))),
  );
  await numbers(demo);
  const sizes = await demo.page.$$eval(
    "tbody tr:first-child td:nth-child(3)",
    (cells) => cells[0]?.textContent,
  );
  expect(sizes).toBe("4 × 4");
});

test("screenshots", async () => {
  const demo = await open({ reducedMotion: true });
  await numbers(demo);
  await demo.screenshots("linear");
});
