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

const SETTINGS = [
  { rows: 5, columns: 7, examples: 60, log: 3 },
  { rows: 1, columns: 1, examples: 12, log: 0 },
  { rows: 8, columns: 10, examples: 200, log: 5 },
];

/** The controls take effect in the next frame. */
async function settled(demo: Demo) {
  await demo.page.evaluate(
    () => new Promise((resolve) => requestAnimationFrame(() => setTimeout(resolve, 0))),
  );
  return numbers(demo);
}

test("one step on the GPU lands at the f64 minimum, whatever the sizes and the condition", async () => {
  const demo = await open({ reducedMotion: true });
  await numbers(demo);
  for (const { rows, columns, examples, log } of SETTINGS) {
    const name = `${rows} × ${columns}, κ = 10^${log}`;
    await demo.control("Rows of W, m", rows);
    await demo.control("Columns of W, n", columns);
    await demo.control("Examples, N", examples);
    await demo.control("Condition of H, κ", log);
    const { landed, least, crawled, difference, errors } = await settled(demo);

    expect(await demo.text(".stats")).toContain(`W is ${rows} × ${columns},`);
    expect(least, name).toBeGreaterThan(0);
    expect(Math.abs(landed - least) / least, name).toBeLessThan(1e-6);
    if (log >= 3) expect(crawled - least, name).toBeGreaterThan(100 * Math.abs(landed - least));
    expect(difference, name).toBeLessThan(16 * EPS);
    const kappa = 10 ** (log / 2);
    const bounds: [operation: string, bound: number][] = [
      ["gram", 8 * EPS],
      ["gram", 8 * EPS],
      ["matmul", 100 * EPS],
      ["invert", 8 * EPS * kappa],
      ["invert", 8 * EPS * kappa],
      ["sandwich", 200 * EPS * kappa],
    ];
    expect(errors.map((one) => one.name)).toEqual(bounds.map(([operation]) => operation));
    for (const [index, { name: operation, error }] of errors.entries()) {
      expect(error, `${name}: ${operation}`).toBeLessThan(bounds[index]![1]);
      expect(error, `${name}: ${operation}`).toBeGreaterThanOrEqual(0);
    }
  }
});

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

  // The walk begins where all of the excess is left, and ends where it ended before.
  const left = () => demo.text(".curves .legend li:last-child .legend-value");
  const end = await left();
  await demo.press("Walk again");
  await demo.page.waitForFunction(
    (text) => document.querySelector(".curves .legend li:last-child .legend-value")?.textContent !== text,
    {},
    end,
  );
  await demo.page.waitForFunction(
    (text) => document.querySelector(".curves .legend li:last-child .legend-value")?.textContent === text,
    {},
    end,
  );
});

test("sliders moved fast end at the last position, and every width and theme shows it", async () => {
  const demo = await open({ reducedMotion: true });
  await numbers(demo);
  for (const value of [2, 9, 3, 8, 4, 7]) await demo.control("Columns of W, n", value);
  await settled(demo);
  const sizes = await demo.page.$$eval(
    "tbody tr:first-child td:nth-child(3)",
    (cells) => cells[0]?.textContent,
  );
  expect(sizes).toBe("7 × 7");
  await demo.screenshots("linear");
});
