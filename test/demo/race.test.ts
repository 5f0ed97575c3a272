/** Chapter 2: the race, the digits, the inspector, and what happens when the GPU goes away. */
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import { readDigits } from "../../demo/assets/digits.js";
import { type Demo, useDemo } from "./harness.js";

const open = useDemo();

const step = (demo: Demo) => demo.page.$eval(".race", (race) => Number((race as HTMLElement).dataset.step));

async function ready(demo: Demo): Promise<void> {
  await demo.page.waitForSelector('.race[data-phase="ready"]', { timeout: 60_000 });
}

async function reach(demo: Demo, wanted: number): Promise<void> {
  await demo.page.waitForFunction(
    (least) => Number(document.querySelector<HTMLElement>(".race")?.dataset.step) >= least,
    { timeout: 90_000 },
    wanted,
  );
}

/** The numbers of the race's curves, from the table beside them: a step (or seconds), then a loss of each optimiser. */
async function curves(demo: Demo): Promise<{ head: string; rows: number[][] }> {
  await demo.page.$eval(".race .as-table", (details) => {
    (details as HTMLDetailsElement).open = true;
  });
  await demo.page.waitForSelector(".race .as-table tbody tr");
  // The table is made again in the frame after a change.
  await demo.page.evaluate(
    () => new Promise((resolve) => requestAnimationFrame(() => requestAnimationFrame(resolve))),
  );
  return demo.page.$eval(".race .as-table table", (table) => ({
    head: table.querySelector("thead th")?.textContent ?? "",
    rows: [...table.querySelectorAll("tbody tr")].map((row) =>
      [...row.children].map((cell) => Number((cell.textContent || "NaN").replace("\u202f", ""))),
    ),
  }));
}

async function inspection(demo: Demo): Promise<Record<"error" | "reference" | "deviation" | "step", number>> {
  await demo.press("Look at the curvature");
  await demo.page.waitForSelector(".inspector[data-error]", { timeout: 60_000 });
  return demo.page.$eval(".inspector", (element) => {
    const { error, reference, deviation, step: at } = (element as HTMLElement).dataset;
    return {
      error: Number(error),
      reference: Number(reference),
      deviation: Number(deviation),
      step: Number(at),
    };
  });
}

/** 0.0312, or 4.12 × 10⁻⁸. */
function numberOf(text: string): number {
  const [mantissa, power] = text.split(" × 10");
  const digits = [...(power ?? "")].map((c) => (c === "⁻" ? "-" : "⁰¹²³⁴⁵⁶⁷⁸⁹".indexOf(c))).join("");
  return Number(mantissa) * 10 ** Number(digits);
}

test("K-FAC, Adam and SGD race; pause, look, resume on another device, reset", async () => {
  const file = fileURLToPath(new URL("../../demo/assets/digits.dat", import.meta.url));
  const digits = await readDigits(Uint8Array.from(readFileSync(file)));
  const demo = await open({ chapter: "race" });
  const { page } = demo;
  await ready(demo);
  const start = await curves(demo);
  expect(start.head).toBe("Steps");
  expect(start.rows).toHaveLength(1);
  const [at0, kfac0, ...others0] = start.rows[0]!;
  expect(at0).toBe(0);
  expect(others0).toEqual([kfac0, kfac0]);

  await demo.press("Start");
  await reach(demo, 60);
  await demo.press("Pause");
  await ready(demo);
  const paused = await step(demo);
  const { rows } = await curves(demo);
  await new Promise((resolve) => setTimeout(resolve, 500));
  expect(await step(demo)).toBe(paused);
  expect((await curves(demo)).rows).toEqual(rows);
  expect(rows.map((row) => row[0])).toEqual(rows.map((_, k) => 5 * k));
  const at60 = rows.find((row) => row[0] === 60)!;
  const [, kfac, adam, sgd] = at60 as [number, number, number, number];
  expect(kfac).toBeLessThan(0.9 * adam);
  expect(kfac).toBeLessThan(0.9 * sgd);
  expect(adam).toBeLessThan(0.5 * kfac0!);
  expect(sgd).toBeLessThan(0.5 * kfac0!);

  await demo.control("Curves by", "seconds");
  const seconds = await curves(demo);
  expect(seconds.head).toMatch(/^Seconds/);
  // Every optimiser has a time of its own for each step.
  expect(seconds.rows.length).toBeGreaterThan(rows.length);
  const times = seconds.rows.map((row) => row[0]!);
  expect(times.every((time, k) => Number.isFinite(time) && (k === 0 || time >= times[k - 1]!))).toBe(true);
  await demo.control("Curves by", "step");

  // A test digit by the keyboard: the second one, then back to the first.
  const truth = (index: number) => digits.test.labels[index];
  await page.focus('.digit-pick input[type="number"]');
  await page.keyboard.press("ArrowUp");
  await page.keyboard.press("Enter");
  await demo.until(
    ".digit-truth",
    new RegExp(`^This is a ${truth(1)}\\. K-FAC’s network takes it for a \\d`),
  );
  await demo.press("Previous");
  const answer = await demo.until(".digit-truth", new RegExp(`^This is a ${truth(0)}\\. .* takes it`));
  expect(answer).toMatch(new RegExp(`takes it for a ${truth(0)}, with`));
  // A vertical stroke is a 1.
  await demo.press("Clear");
  await demo.until(".digit-truth", /^Draw a digit/);
  const box = (await (await page.$(".digit-pad"))!.boundingBox())!;
  await page.mouse.move(box.x + 0.52 * box.width, box.y + 0.2 * box.height);
  await page.mouse.down();
  await page.mouse.move(box.x + 0.48 * box.width, box.y + 0.8 * box.height, { steps: 6 });
  await page.mouse.up();
  // Parts of the stroke are answered for before the whole.
  await demo.until(".digit-truth", /takes it for a 1,/);

  expect(await demo.text(".race-decisions")).toMatch(/^K-FAC’s last step: rate .*, momentum .*, λ /);

  const found = await inspection(demo);
  expect(found.step).toBe(paused);
  expect(found.error).toBeGreaterThan(0.01);
  expect(Math.abs(found.error - found.reference)).toBeLessThan(1e-5 * found.reference + 1e-6);
  expect(found.deviation).toBeGreaterThan(0);
  expect(found.deviation).toBeLessThan(1e-5);
  const layers = await page.$$eval(".inspector-results > .table-scroll tbody tr", (lines) =>
    lines.map((line) => [...line.children].map((cell) => cell.textContent ?? "")),
  );
  expect(layers.map((line) => [line[1], line[6]])).toEqual([
    ["197, 64", "ok"],
    ["65, 32", "ok"],
    ["33, 10", "ok"],
  ]);
  for (const line of layers) {
    const [sizeA, sizeB] = line[1]!.split(",").map(Number);
    const [pi, lambda, rankA, rankB] = line.slice(2, 6).map(numberOf);
    // A thousandth of the running loss when the inverse was made.
    expect(lambda).toBeGreaterThan(1e-6);
    expect(lambda).toBeLessThan(3e-3);
    expect(pi).toBeGreaterThan(0);
    expect(rankA! > 0 && rankA! < sizeA!).toBe(true);
    expect(rankB! > 0 && rankB! < sizeB!).toBe(true);
  }

  await demo.screenshots("race");

  // Paused, the race goes on at exactly this step.
  await demo.loseDevices();
  await demo.until("#failure", /The GPU device was lost/);
  await demo.press("Open the GPU again");
  await ready(demo);
  expect(await step(demo)).toBe(paused);
  expect((await curves(demo)).rows).toEqual(rows);

  // Other settings count from the next step on, and running it goes on by itself.
  await demo.control("Fisher, for B̄", "exact");
  await demo.control("New inverses every", 2);
  // Numbers in the place of what K-FAC finds by itself.
  await demo.control("Learning rate of K-FAC", 20);
  await demo.control("Damping λ", 20);
  await demo.press("Continue");
  await reach(demo, paused + 4);
  await demo.loseDevices();
  await demo.until("#failure", /The GPU device was lost/);
  await demo.press("Open the GPU again");
  await page.waitForSelector('.race[data-phase="running"]', { timeout: 60_000 });
  expect(await step(demo)).toBeGreaterThanOrEqual(paused);
  await reach(demo, paused + 8);
  await demo.press("Pause");
  await ready(demo);
  const after = await curves(demo);
  expect(after.rows.slice(0, rows.length)).toEqual(rows);
  expect(after.rows.map((row) => row[0])).toEqual(after.rows.map((_, k) => 5 * k));
  for (const row of after.rows) expect(row.every(Number.isFinite)).toBe(true);

  await demo.press("Reset");
  await page.waitForSelector('.race[data-phase="ready"][data-step="0"]', { timeout: 60_000 });
  expect((await curves(demo)).rows).toEqual(start.rows);
  expect(await demo.text(".inspector")).toMatch(/Take a few steps first/);
});

test("the page keeps its frames while the race runs", async () => {
  const demo = await open({ chapter: "race", reducedMotion: true });
  const { page } = demo;
  await ready(demo);
  await demo.press("Start");
  await reach(demo, 5);
  const gaps = await page.evaluate(
    () =>
      new Promise<number[]>((resolve) => {
        const times = [performance.now()];
        const frame = () => {
          times.push(performance.now());
          if (times.at(-1)! - times[0]! > 1500) resolve(times.slice(1).map((time, k) => time - times[k]!));
          else requestAnimationFrame(frame);
        };
        requestAnimationFrame(frame);
      }),
  );
  gaps.sort((a, b) => a - b);
  expect(gaps[Math.floor(gaps.length / 2)]).toBeLessThan(100);
  expect(gaps.at(-1)).toBeLessThan(1000);
  // Leaving the chapter while it runs is no error, and coming back starts afresh.
  await demo.visit("linear");
  await demo.visit("race");
  await ready(demo);
  expect(await step(demo)).toBe(0);
});
