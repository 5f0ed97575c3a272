/** Chapter 4: the claims, the benchmark, the file. */
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { type Demo, useDemo } from "./harness.js";

const open = useDemo();

async function stat(demo: Demo, label: string): Promise<string> {
  return demo.page.$$eval(
    ".stat",
    (stats, wanted) =>
      stats
        .find((one) => one.querySelector(".stat-label")?.textContent === wanted)
        ?.querySelector(".stat-value")?.textContent ?? "",
    label,
  );
}

test("the claims hold, the benchmark measures, the results download", async () => {
  const demo = await open({ chapter: "gpu" });
  await demo.press("Check every claim");
  await demo.until(".task .progress-text", /all \d+ claims hold/, 110);
  const count = Number(await stat(demo, "Claims that hold"));
  expect(count).toBeGreaterThanOrEqual(91);
  expect(await stat(demo, "Claims that fail")).toBe("0");
  expect(await demo.page.$$eval(".tall-table tbody tr", (rows) => rows.length)).toBe(count);

  await demo.control("Sizes", "small");
  await demo.press("Run the benchmark");
  await demo.page.waitForFunction(
    () =>
      /all operations measured|failed/.test(
        document.querySelectorAll(".task .progress-text")[1]?.textContent ?? "",
      ),
    { timeout: 110_000 },
  );
  const ratios = await demo.page.$$eval(".ratio", (cells) =>
    cells.map((cell) => Number((cell as HTMLElement).dataset.value)),
  );
  expect(ratios).toHaveLength(6);
  for (const ratio of ratios) expect(Number.isFinite(ratio) && ratio > 0).toBe(true);

  const folder = mkdtempSync(join(tmpdir(), "kfac-demo-"));
  try {
    const session = await demo.page.createCDPSession();
    await session.send("Browser.setDownloadBehavior", {
      behavior: "allow",
      downloadPath: folder,
      browserContextId: demo.page.browserContext().id,
    });
    await demo.press("Download the results as JSON");
    let name: string | undefined;
    for (let tries = 0; tries < 100 && !name; tries++) {
      name = readdirSync(folder).find((file) => file.endsWith(".json"));
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
    expect(name).toMatch(/^kfac-webgpu-\d{4}-\d\d-\d\d\.json$/);
    const report = JSON.parse(readFileSync(join(folder, name!), "utf8"));
    expect(report).toMatchObject({ library: "kfac-webgpu", adapter: { adapter: expect.any(String) } });
    expect(report.certificates).toHaveLength(count);
    expect(report.certificates.every((one: { pass: boolean }) => one.pass)).toBe(true);
    expect(report.benchmark).toHaveLength(6);
    for (const row of report.benchmark) {
      expect(row.ratio).toBeGreaterThan(0);
      expect(row.low).toBeLessThanOrEqual(row.ratio);
      expect(row.high).toBeGreaterThanOrEqual(row.ratio);
      // What was timed was also right, on both sides.
      expect(row.oursError).toBeLessThan(1e-4);
      expect(row.theirsError).toBeLessThan(1e-4);
    }
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
  await demo.screenshots("gpu");
});

test("both tasks can be cancelled, and started again", async () => {
  const demo = await open({ chapter: "gpu" });
  await demo.press("Check every claim");
  await demo.until(".task .progress-text", /done/, 60);
  await demo.page.keyboard.press("Enter"); // The focus is on Cancel.
  await demo.until(".task .progress-text", /cancelled/, 30);
  expect(await demo.page.$eval("#failure", (failure) => failure.childElementCount)).toBe(0);
  const some = await demo.page.$$eval(".tall-table tbody tr", (rows) => rows.length);
  expect(some).toBeLessThan(91);

  await demo.press("Run the benchmark");
  await demo.page.waitForFunction(
    () => /gram/.test(document.querySelectorAll(".task .progress-text")[1]?.textContent ?? ""),
    { timeout: 60_000 },
  );
  await demo.page.keyboard.press("Enter");
  await demo.page.waitForFunction(
    () => /cancelled/.test(document.querySelectorAll(".task .progress-text")[1]?.textContent ?? ""),
    { timeout: 60_000 },
  );
  expect(
    await demo.page.$$eval(".task button:first-child", (buttons) =>
      buttons.every((one) => !(one as HTMLButtonElement).disabled),
    ),
  ).toBe(true);
});

test("a device lost on purpose is explained, and the chapter goes on", async () => {
  const demo = await open({ chapter: "gpu" });
  await demo.until("table", /adapter/);
  await demo.press("Lose the device on purpose");
  await demo.until("#failure [role=alert]", /device was lost/);
  await demo.press("Open the GPU again");
  await demo.page.waitForFunction(() => document.querySelector("#failure")?.childElementCount === 0);
  await demo.until("table", /adapter/);
  await demo.press("Check every claim");
  await demo.until(".task .progress-text", /done/, 60);
  expect(await demo.page.$eval("#failure", (failure) => failure.childElementCount)).toBe(0);
});
