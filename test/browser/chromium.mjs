// Headless Chrome or Chromium with WebGPU and without the network.
import puppeteer from "puppeteer";
import { findBrowser, findDrivers } from "../../scripts/drivers.mjs";

const OFFLINE = [
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
  "--disable-quic",
  "--disable-default-apps",
  "--no-first-run",
];

const SWIFTSHADER = ["--use-webgpu-adapter=swiftshader"];
/** Chrome on Linux keeps a real GPU from headless pages unless it is told to use Vulkan for everything. */
const REAL = process.platform === "linux" ? ["--enable-features=Vulkan", "--use-angle=vulkan"] : [];

/** The real adapter where there is one, else (and where a page gets none) the software one inside the browser. */
export async function launchChromium() {
  if (findDrivers()[0]?.id === "gpu") {
    const browser = await launch(REAL);
    if (await hasAdapter(browser)) return browser;
    await browser.close();
    console.log("Chromium offers no adapter on this GPU; it runs on SwiftShader instead.");
  }
  return launch(SWIFTSHADER);
}

/** @param {readonly string[]} flags */
async function launch(flags) {
  const found = findBrowser();
  if (!found) {
    throw new Error("no Chrome or Chromium found: install one, or point CHROME_PATH at it");
  }
  return puppeteer.launch({
    executablePath: found.path,
    headless: true,
    args: ["--no-sandbox", "--enable-unsafe-webgpu", ...OFFLINE, ...flags],
    protocolTimeout: 600_000,
  });
}

/** @param {import("puppeteer").Browser} browser */
async function hasAdapter(browser) {
  const page = await browser.newPage();
  try {
    // WebGPU needs a secure context; a page of the browser's own is one, without a server.
    await page.goto("chrome://version");
    return await page.evaluate(async () => {
      const adapter = await navigator.gpu?.requestAdapter();
      return Boolean(adapter && !adapter.info.isFallbackAdapter);
    });
  } finally {
    await page.close();
  }
}
