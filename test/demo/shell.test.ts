/** The page around the chapters: navigation, failures, size, keyboard, colours. */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { expect, inject, test } from "vitest";
import { type ChapterId, type Demo, useDemo } from "./harness.js";

const open = useDemo();
const CHAPTERS: readonly ChapterId[] = ["linear", "race", "convolution", "gpu"];

const panel = (demo: Demo) => demo.until("#failure [role=alert]", /\w/, 30);

test("every chapter opens from the navigation, and by the browser's back button", async () => {
  const demo = await open();
  for (const chapter of ["race", "convolution", "gpu", "linear"] as const) {
    await demo.visit(chapter);
    expect(await demo.page.$eval("nav [aria-current]", (link) => link.getAttribute("href"))).toBe(
      `#${chapter}`,
    );
    expect(await demo.page.$$eval("h2", (heads) => heads.length)).toBe(1);
  }
  await demo.page.goBack();
  await demo.page.waitForSelector('#content[data-chapter="gpu"] h2');
  expect(await demo.page.title()).toContain("Your GPU");
});

test("the first load of any chapter is at most 325 KB compressed, digits aside, and holds no jax-js", async () => {
  const folder = inject("demoFolder");
  const isPeer = (file: string) =>
    file.endsWith(".js") && readFileSync(join(folder, file), "utf8").includes("not ready, call init() first");
  const peers = readdirSync(join(folder, "assets")).filter((name) => isPeer(`assets/${name}`));
  expect(peers).toHaveLength(1);
  for (const chapter of CHAPTERS) {
    const demo = await open({ chapter });
    await demo.page.waitForNetworkIdle({ idleTime: 300 });
    const files = demo.requests.map(
      (url) => url.slice(inject("demoAddress").length).replace(/[#?].*$/, "") || "index.html",
    );
    expect(files.length, chapter).toBeGreaterThan(3);
    const sizes = files
      .filter((file) => !/digits/.test(file))
      .map((file) => gzipSync(readFileSync(join(folder, file))).length);
    expect(
      sizes.reduce((sum, bytes) => sum + bytes, 0),
      chapter,
    ).toBeLessThanOrEqual(325_000);
    expect(files.filter(isPeer)).toEqual([]);
  }
});

test("the policy of the page forbids everything but its own files", async () => {
  const demo = await open({ expected: /Executing inline script violates/ });
  const policy = await demo.page.$eval("meta[http-equiv=Content-Security-Policy]", (meta) =>
    meta.getAttribute("content"),
  );
  expect(policy).toMatch(/^default-src 'none'; script-src 'self'; style-src 'self';/);
  expect(policy).not.toMatch(/unsafe|https?:|\*/);
  // It is the policy that stops what is not allowed, not only its words.
  const ran = await demo.page.evaluate(async () => {
    const script = document.createElement("script");
    script.textContent = "globalThis.ran = true";
    document.head.append(script);
    return (globalThis as { ran?: boolean }).ran === true;
  });
  expect(ran).toBe(false);
});

test("without WebGPU the page says so and keeps its text", async () => {
  const demo = await open({
    before: () => Object.defineProperty(Navigator.prototype, "gpu", { value: undefined }),
  });
  expect(await panel(demo)).toMatch(/offers no WebGPU.*Chrome and Edge have WebGPU/s);
  expect(await demo.text("#content h2")).toMatch(/one step lands at the minimum/);
  for (const chapter of ["race", "convolution", "gpu"] as const) {
    await demo.visit(chapter);
    if (chapter === "gpu") await panel(demo);
    expect(await demo.text("#content h2")).toMatch(/\w/);
  }
});

test("without an adapter the page says what to switch on, and tries again when asked", async () => {
  const demo = await open({
    before: () => {
      const request = GPU.prototype.requestAdapter;
      let calls = 0;
      GPU.prototype.requestAdapter = async function (options) {
        calls += 1;
        return calls === 1 ? null : request.call(this, options);
      };
    },
  });
  expect(await panel(demo)).toMatch(/No GPU adapter was found.*hardware acceleration/s);
  await demo.press("Try again");
  await demo.until("#hessian-difference", /10/);
  expect(await demo.page.$eval("#failure", (failure) => failure.childElementCount)).toBe(0);
});

test("memory that runs out is explained, and what follows from it does not hide it", async () => {
  const demo = await open();
  await demo.until("#hessian-difference", /10/);
  await demo.page.evaluate(() => {
    const [device] = (globalThis as unknown as { keptDevices: GPUDevice[] }).keptDevices;
    for (const error of [new GPUOutOfMemoryError("no room"), new GPUValidationError("invalid buffer")]) {
      device!.dispatchEvent(new GPUUncapturedErrorEvent("uncapturederror", { error, cancelable: true }));
    }
  });
  expect(await panel(demo)).toMatch(/no memory left.*smaller.*GPUOutOfMemoryError: no room/s);
  await demo.press("Try again");
  await demo.until("#hessian-difference", /10/);
});

test("a lost device is explained, and the chapter goes on with a new one", async () => {
  const demo = await open({ chapter: "linear" });
  await demo.until("#hessian-difference", /10/);
  await demo.loseDevices();
  expect(await panel(demo)).toMatch(/device was lost.*opens the GPU again/s);
  await demo.press("Open the GPU again");
  await demo.until("#hessian-difference", /10/);
  expect(await demo.page.$eval("#failure", (failure) => failure.childElementCount)).toBe(0);
});

test("the keyboard reaches everything, in the order of the page, and the focus shows", async () => {
  const demo = await open({ reducedMotion: true });
  await demo.until("#hessian-difference", /10/);
  const visited: string[] = [];
  for (let presses = 0; presses < 24; presses++) {
    await demo.page.keyboard.press("Tab");
    visited.push(
      await demo.page.evaluate(() => {
        const focused = document.activeElement as HTMLElement;
        const label =
          focused instanceof HTMLInputElement || focused instanceof HTMLSelectElement
            ? focused.labels?.[0]
            : focused;
        const { outlineStyle, outlineWidth } = getComputedStyle(focused);
        if (focused !== document.body && (outlineStyle === "none" || outlineWidth === "0px"))
          throw new Error(`no focus ring on ${focused.outerHTML.slice(0, 80)}`);
        return (label?.getAttribute("aria-label") ?? label?.textContent ?? "").trim().replace(/\s+/g, " ");
      }),
    );
  }
  const wanted = [
    "Skip to the chapter",
    "Dark colours",
    "1 One step",
    "4 Your GPU",
    "Rows of W, m",
    "Condition of H, κ",
    "Step of gradient descent",
    "Walk again",
    "Other numbers",
  ];
  const order = wanted.map((name) => visited.indexOf(name));
  expect(order, visited.join(" | ")).not.toContain(-1);
  expect(order).toEqual([...order].sort((a, b) => a - b));
});

test("the skip link and the navigation move the focus to the chapter", async () => {
  const demo = await open();
  await demo.page.keyboard.press("Tab");
  await demo.page.keyboard.press("Enter");
  expect(await demo.page.evaluate(() => document.activeElement?.id)).toBe("chapter");
  expect(await demo.page.$eval("#content", (content) => (content as HTMLElement).dataset.chapter)).toBe(
    "linear",
  );
  await demo.visit("gpu");
  expect(await demo.page.evaluate(() => document.activeElement?.id)).toBe("chapter");
});

test("the theme follows the system until somebody chooses, and the choice is remembered", async () => {
  const demo = await open({ theme: "dark" });
  const background = () => demo.page.evaluate(() => getComputedStyle(document.body).backgroundColor);
  const dark = await background();
  await demo.press("Light");
  const light = await background();
  expect(light).not.toBe(dark);
  await demo.page.reload();
  await demo.page.waitForSelector("#content h2");
  expect(await background()).toBe(light);
});

test("controls, figures and landmarks have names, and every plot a table", async () => {
  const demo = await open();
  await demo.until("#hessian-difference", /10/);
  const problems = await demo.page.evaluate(() => {
    const found: string[] = [];
    if (document.documentElement.lang !== "en") found.push("no language");
    for (const input of document.querySelectorAll("input, select")) {
      if (!(input as HTMLInputElement).labels?.[0]?.textContent?.trim())
        found.push(`no label: ${input.outerHTML}`);
    }
    for (const image of document.querySelectorAll("[role=img]")) {
      if (!image.getAttribute("aria-label")) found.push(`no name: ${image.outerHTML.slice(0, 80)}`);
    }
    for (const figure of document.querySelectorAll("figure")) {
      if (!figure.querySelector("details.as-table"))
        found.push(`no table: ${figure.textContent?.slice(0, 40)}`);
      const details = figure.querySelector("details");
      if (details) details.open = true;
    }
    const ids = [...document.querySelectorAll("[id]")].map(({ id }) => id);
    if (new Set(ids).size !== ids.length) found.push("an id twice");
    return found;
  });
  expect(problems).toEqual([]);
  await demo.page.waitForFunction(() =>
    [...document.querySelectorAll("figure details")].every((details) => details.querySelector("tbody tr td")),
  );
});
