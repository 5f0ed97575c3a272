// Makes the README's picture of the demo page from the page itself: node scripts/demo-picture.mjs [PICTURE]
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { preview } from "vite";
import { launchChromium } from "../test/browser/chromium.mjs";
import { buildDemo } from "./demo.mjs";

const [picture = "docs/images/demo.png"] = process.argv.slice(2);

const outDir = mkdtempSync(join(tmpdir(), "kfac-demo-picture-"));
const configFile = fileURLToPath(new URL("../demo/vite.config.ts", import.meta.url));
await buildDemo({ outDir });
const server = await preview({
  configFile,
  logLevel: "error",
  build: { outDir },
  preview: { host: "localhost", port: 0, open: false },
});
const browser = await launchChromium();
try {
  const page = await browser.newPage();
  await page.setViewport({ width: 1200, height: 900, deviceScaleFactor: 1.5 });
  await page.emulateMediaFeatures([
    { name: "prefers-color-scheme", value: "light" },
    { name: "prefers-reduced-motion", value: "reduce" },
  ]);
  await page.goto(`${server.resolvedUrls?.local[0]}#linear`);
  await page.waitForSelector("#content:not([aria-busy]) #hessian-difference", { timeout: 60_000 });
  // From the top of the page to the end of the two pictures.
  const height = await page.$eval(
    ".linear-pictures",
    (part) => part.getBoundingClientRect().bottom + scrollY,
  );
  await page.screenshot({ path: picture, clip: { x: 0, y: 0, width: 1200, height: Math.ceil(height) } });
  console.log(picture);
} finally {
  await browser.close();
  await server.close();
  rmSync(outDir, { recursive: true, force: true });
}
