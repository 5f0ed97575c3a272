/** Chapter 3: every number of the page against the f64 reference, computed here from the digits alone. */
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import { readDigits } from "../../demo/assets/digits.js";
import { examplesOf } from "../../demo/assets/load.js";
import {
  CLASSES,
  EXAMPLES,
  PROBLEM,
  type Problem,
  SEED,
  sizesOf,
} from "../../demo/chapters/convolution/problem.js";
import { twinStudy } from "../../demo/chapters/convolution/twin.js";
import { initialWeights } from "../../src/reference/index.js";
import { type Demo, useDemo } from "./harness.js";

const open = useDemo();
const NAMES = ["KFC (expand)", "Reduce", "EKFAC", "KFOC", "Mean + fluctuation"];

interface Row {
  error: number;
  errorReference: number;
  size: number;
  cosine: number;
  cosineReference: number;
  iterations: number;
}

/** The page's numbers for a problem, once they are checked in f64. */
async function numbers(demo: Demo, problem: Problem) {
  const { page } = demo;
  await page.waitForFunction(
    (wanted) => document.querySelector<HTMLElement>(".convolution-results")?.dataset.checked === wanted,
    { timeout: 60_000 },
    JSON.stringify(problem),
  );
  const cells = await page.$$eval(".convolution-results > .table-scroll tbody tr", (rows) =>
    rows.map((row) => [...row.children].map((cell) => cell.textContent ?? "")),
  );
  const rows = Object.fromEntries(
    cells.map(([name, error, errorReference, size, cosine, cosineReference, , iterations]) => [
      name,
      {
        error: Number(error),
        errorReference: Number(errorReference),
        size: Number(size),
        cosine: Number(cosine),
        cosineReference: Number(cosineReference),
        iterations: Number(iterations),
      },
    ]),
  ) as Record<string, Row>;
  const data = await page.$eval(".convolution-results", (element) => ({
    ...(element as HTMLElement).dataset,
  }));
  const share = await page.$$eval(
    ".convolution-results .stat",
    (stats) => stats[1]?.querySelector(".stat-value")?.textContent ?? "",
  );
  return { rows, deviation: Number(data.deviation), cosine: Number(data.cosine), share };
}

/** The same problem in f64, for weights as they start. */
async function reference(problem: Problem) {
  const file = fileURLToPath(new URL("../../demo/assets/digits.dat", import.meta.url));
  const digits = await readDigits(Uint8Array.from(readFileSync(file)));
  const { inputs, labels, features } = examplesOf(digits.train, digits, 28 / problem.side);
  const { rows, cols, positions } = sizesOf(problem);
  const weights = [
    initialWeights(problem.channels, 9, { seed: SEED, layerIndex: 0 }),
    initialWeights(rows, cols - 1, { seed: SEED, layerIndex: 1 }),
    initialWeights(CLASSES, problem.head === "flatten" ? rows * positions : rows, {
      seed: SEED,
      layerIndex: 2,
    }),
  ].map(({ data }) => Float32Array.from(data));
  return twinStudy(problem, {
    weights,
    inputs: inputs.subarray(0, EXAMPLES * features),
    labels: labels.subarray(0, EXAMPLES),
  });
}

test("errors, cosines and iterations, trained and untrained, with and without a pool", async () => {
  const demo = await open({ chapter: "convolution" });
  const { page } = demo;
  const trained = await numbers(demo, PROBLEM);
  expect(trained.deviation).toBeLessThan(1e-5);
  expect(trained.cosine).toBeGreaterThan(1 - 1e-6);
  for (const name of NAMES) {
    const row = trained.rows[name]!;
    expect(Math.abs(row.error - row.errorReference), name).toBeLessThanOrEqual(2e-3);
    expect(Math.abs(row.cosine - row.cosineReference), name).toBeLessThanOrEqual(2e-3);
    expect(row.cosine > 0 && row.cosine <= 1, name).toBe(true);
  }
  const { EKFAC, KFOC } = trained.rows;
  expect(EKFAC!.error).toBeLessThanOrEqual(trained.rows["KFC (expand)"]!.error);
  expect(KFOC!.error).toBeLessThanOrEqual(trained.rows["KFC (expand)"]!.error);
  const share = Number(trained.share.replace(" %", "")) / 100;
  expect(KFOC!.error).toBeCloseTo(Math.sqrt(1 - share), 2);
  await demo.screenshots("convolution");

  // Untrained, all that the page shows follows from the digits and the seed.
  await demo.control("Training", 0);
  const untrained = { ...PROBLEM, steps: 0 };
  const shown = await numbers(demo, untrained);
  const twin = await reference(untrained);
  expect(shown.deviation).toBeLessThan(1e-5);
  expect(shown.cosine).toBeGreaterThan(1 - 1e-6);
  twin.qualities.forEach((quality, k) => {
    const row = shown.rows[NAMES[k]!]!;
    // Power iterations of "kfoc" in f32 come less far.
    const bound = quality.name === "kfoc" ? 3e-3 : 2e-4;
    expect(Math.abs(row.error - quality.error), `${quality.name}: error`).toBeLessThan(bound);
    expect(Math.abs(row.cosine - quality.cosine), `${quality.name}: cosine`).toBeLessThan(2e-3);
    expect(Math.abs(row.size - quality.size), `${quality.name}: size`).toBeLessThan(1e-3);
  });
  const shareHere = Number(shown.share.replace(" %", "")) / 100;
  expect(shareHere).toBeCloseTo(twin.terms[0]!, 3);
  const plain = shown.rows["Gradient alone"]!.iterations;
  for (const name of ["KFC (expand)", "EKFAC", "KFOC"]) {
    expect(shown.rows[name]!.iterations, name).toBeLessThan(plain);
  }

  // Behind an average over positions KFC is many times too small.
  await demo.control("Positions are", "average");
  const pooled = await numbers(demo, { ...untrained, head: "average" });
  const twinPooled = await reference({ ...untrained, head: "average" });
  expect(pooled.rows["KFC (expand)"]!.size).toBeLessThan(0.2);
  expect(pooled.rows.Reduce!.error).toBeLessThan(pooled.rows["KFC (expand)"]!.error);
  expect(pooled.rows.Reduce!.error).toBeCloseTo(twinPooled.qualities[1]!.error, 3);

  // A change while it computes, then a lost device: the last setting is what is shown.
  await demo.control("Kernel", 1);
  await demo.control("Kernel", 2);
  await numbers(demo, { ...untrained, head: "average", kernel: 2 });
  await demo.loseDevices();
  await demo.until("#failure", /The GPU device was lost/);
  await page.$eval(".convolution-results", (element) => {
    delete (element as HTMLElement).dataset.checked;
  });
  await demo.press("Open the GPU again");
  const again = await numbers(demo, { ...untrained, head: "average", kernel: 2 });
  expect(again.cosine).toBeGreaterThan(1 - 1e-6);
});
