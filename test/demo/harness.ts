/**
 * The built page in headless Chromium. Every page opened here is watched: an error or a warning on its console, an
 * uncaught error, an answer that is not 200 or a request to another origin fails the test.
 */
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import type { Browser, BrowserContext, Page } from "puppeteer";
import { afterAll, afterEach, beforeAll, expect, inject } from "vitest";
import { launchChromium } from "../browser/chromium.mjs";
import { root } from "../harness/bundle.mjs";

export type ChapterId = "linear" | "race" | "convolution" | "gpu";

export interface OpenOptions {
  /** Defaults to "linear". */
  chapter?: ChapterId;
  /** CSS pixels; defaults to 1280. */
  width?: number;
  /** Defaults to "light". */
  theme?: "light" | "dark";
  reducedMotion?: boolean;
  /** Runs in the page before any of its scripts. It is sent as text, so it can use nothing from outside. */
  before?: () => void;
  /** Console messages that belong to the test. */
  expected?: RegExp;
}

export interface Demo {
  readonly page: Page;
  /** The addresses that the page asked the network for, in order. */
  readonly requests: string[];
  /** Follows a link of the navigation and waits for the chapter's heading. */
  visit(chapter: ChapterId): Promise<void>;
  /** The trimmed text of the first match. */
  text(selector: string): Promise<string>;
  /** Waits until the page says so; `test` gets the text of `selector`. */
  until(selector: string, test: RegExp, seconds?: number): Promise<string>;
  /** Presses the button with this label. */
  press(label: string): Promise<void>;
  /** Moves a slider or sets a select by its label. */
  control(label: string, value: number | string): Promise<void>;
  /** Destroys every GPU device of the page, as a driver's restart would. */
  loseDevices(): Promise<void>;
  /** `.kfac/screenshots/NAME.png`, the whole page. */
  screenshot(name: string): Promise<void>;
  /** NAME-WIDTH-THEME for a phone, a tablet and a desktop in both themes; nothing may be wider than the page. */
  screenshots(name: string): Promise<void>;
}

const SCREENSHOTS = join(root, ".kfac/screenshots");

/** Keeps the page's devices where a test can reach them. */
function keepDevices(): void {
  const kept: GPUDevice[] = [];
  Object.assign(globalThis, { keptDevices: kept });
  if (typeof GPUAdapter === "undefined") return;
  const request = GPUAdapter.prototype.requestDevice;
  GPUAdapter.prototype.requestDevice = async function (descriptor) {
    const device = await request.call(this, descriptor);
    kept.push(device);
    return device;
  };
}

/** Call once at the top of a test file; the function it returns opens a page of its own for one test. */
export function useDemo(): (options?: OpenOptions) => Promise<Demo> {
  let browser: Browser;
  let open: { context: BrowserContext; problems: string[] }[] = [];

  beforeAll(async () => {
    browser = await launchChromium();
  }, 60_000);

  afterEach(async ({ task }) => {
    const closing = open;
    open = [];
    for (const { context } of closing) await context.close();
    (task.meta as { adapter?: string }).adapter =
      `Chromium ${(await browser.version()).replace(/^.*\//, "")}`;
    expect(closing.flatMap(({ problems }) => problems)).toEqual([]);
  });

  afterAll(() => browser?.close());

  return async (options = {}) => {
    const context = await browser.createBrowserContext();
    const problems: string[] = [];
    open.push({ context, problems });
    return openPage(await context.newPage(), problems, options);
  };
}

async function openPage(page: Page, problems: string[], options: OpenOptions): Promise<Demo> {
  const { chapter = "linear", width = 1280, theme = "light", reducedMotion, before, expected } = options;
  const address = inject("demoAddress");
  const requests: string[] = [];
  watch(page, problems, requests, expected);
  await page.setViewport({ width, height: 900, deviceScaleFactor: 1 });
  await page.emulateMediaFeatures([
    { name: "prefers-color-scheme", value: theme },
    { name: "prefers-reduced-motion", value: reducedMotion ? "reduce" : "no-preference" },
  ]);
  await page.evaluateOnNewDocument(keepDevices);
  if (before) await page.evaluateOnNewDocument(before);
  await page.goto(`${address}#${chapter}`);
  await page.waitForSelector(`#content[data-chapter="${chapter}"] h2`);

  const demo: Demo = {
    page,
    requests,
    async visit(next) {
      await page.locator(`nav a[href="#${next}"]`).click();
      await page.waitForSelector(`#content[data-chapter="${next}"] h2`);
    },
    text: (selector) => page.$eval(selector, (found) => (found.textContent ?? "").trim()),
    async until(selector, test, seconds = 60) {
      // The text that passed, as what is there a moment later may be another chapter's.
      const passed = await page
        .waitForFunction(
          (where: string, source: string, flags: string) => {
            const text = document.querySelector(where)?.textContent ?? "";
            return new RegExp(source, flags).test(text) ? { text } : undefined;
          },
          { timeout: seconds * 1000, polling: 100 },
          selector,
          test.source,
          test.flags,
        )
        .catch(async (error) => {
          const shown = await page.$eval(selector, (found) => found.textContent).catch(() => "(nothing)");
          const panel = await page.$eval("#failure", (found) => found.textContent).catch(() => "");
          throw new Error(
            `${selector} is not ${test}: ${shown}. Panel: ${panel || "none"}. ${error.message}`,
          );
        });
      return (await passed.jsonValue())?.text.trim() ?? "";
    },
    async press(label) {
      await page.locator(`::-p-xpath(//button[normalize-space(.)=${JSON.stringify(label)}])`).click();
    },
    async control(label, value) {
      await page.evaluate(
        (wanted, text) => {
          const labels = [...document.querySelectorAll("label")];
          const found = labels.find((one) => one.textContent?.trim() === wanted);
          const input = found && document.getElementById(found.htmlFor);
          if (!(input instanceof HTMLInputElement || input instanceof HTMLSelectElement))
            throw new Error(`no control is labelled ${wanted}`);
          if (input instanceof HTMLInputElement && input.type === "checkbox") input.checked = text === "true";
          else input.value = text;
          input.dispatchEvent(new Event("input", { bubbles: true }));
          input.dispatchEvent(new Event("change", { bubbles: true }));
        },
        label,
        String(value),
      );
    },
    loseDevices: () =>
      page.evaluate(() => {
        const { keptDevices } = globalThis as unknown as { keptDevices: GPUDevice[] };
        for (const device of keptDevices.splice(0)) device.destroy();
      }),
    async screenshots(name) {
      for (const value of ["light", "dark"]) {
        await page.emulateMediaFeatures([
          { name: "prefers-color-scheme", value },
          { name: "prefers-reduced-motion", value: "reduce" },
        ]);
        for (const wide of [360, 820, 1280]) {
          await page.setViewport({ width: wide, height: 900, deviceScaleFactor: 1 });
          // Charts follow the width in a frame of their own.
          await page.evaluate(() => new Promise((resolve) => setTimeout(resolve, 150)));
          await demo.screenshot(`${name}-${wide}-${value}`);
          const overflow = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
          expect(overflow, `${name} at ${wide}: wider than the page by`).toBeLessThanOrEqual(0);
        }
      }
    },
    async screenshot(name) {
      mkdirSync(SCREENSHOTS, { recursive: true });
      await page.screenshot({ path: join(SCREENSHOTS, `${name}.png`), fullPage: true });
    },
  };
  return demo;
}

function watch(page: Page, problems: string[], requests: string[], expected?: RegExp): void {
  const { origin } = new URL(inject("demoAddress"));
  const problem = (text: string) => {
    if (!expected?.test(text)) problems.push(text);
  };
  page.on("console", (message) => {
    if (["error", "warn"].includes(message.type())) problem(`console ${message.type()}: ${message.text()}`);
  });
  page.on("pageerror", (error) => problem(`uncaught: ${error instanceof Error ? error.stack : error}`));
  page.on("request", (request) => {
    const { protocol, origin: other } = new URL(request.url());
    if (other !== origin && protocol !== "data:" && protocol !== "blob:")
      problem(`request to ${request.url()}`);
  });
  page.on("response", (response) => {
    if (!response.url().startsWith("http")) return;
    if (response.status() !== 200) problem(`${response.status()} for ${response.url()}`);
    requests.push(response.url());
  });
}
