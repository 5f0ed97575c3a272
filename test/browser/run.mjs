// Runs the kernel suite in headless Chromium. Usage: node test/browser/run.mjs [-t pattern] [file part …]
import { preview } from "vite";
import { suiteArguments } from "../harness/arguments.mjs";
import { bundle, root } from "../harness/bundle.mjs";
import { supervise } from "../harness/supervise.mjs";
import { launchChromium } from "./chromium.mjs";

const { files, name } = suiteArguments();
const outDir = await bundle({ entry: "test/browser/page.html", name: "page" });
const server = await preview({
  configFile: false,
  root,
  logLevel: "error",
  build: { outDir },
  preview: { host: "localhost", port: 0, open: false },
});

await supervise(async (from, onEvent) => {
  const browser = await launchChromium();
  const page = await browser.newPage();
  await page.exposeFunction("report", onEvent);
  page.on("console", (message) => {
    if (message.type() === "error") console.log(`console: ${message.text()}`);
  });
  /** @type {Promise<string>} */
  const done = new Promise((resolve) => {
    page.on("pageerror", (error) => resolve(`page error: ${error instanceof Error ? error.message : error}`));
    page.on("error", (error) => resolve(`the page crashed: ${error.message}`));
    browser.on("disconnected", () => resolve("the browser ended"));
  });
  const address = new URL("/test/browser/page.html", server.resolvedUrls?.local[0]);
  address.searchParams.set("from", String(from));
  if (name) address.searchParams.set("name", name);
  for (const file of files) address.searchParams.append("file", file);
  await page.goto(address.href);
  return { done, stop: () => browser.close() };
});

await server.close();
