// Makes the README's picture from the report that `npm start` writes: node scripts/picture.mjs [REPORT] [PICTURE]
import { pathToFileURL } from "node:url";
import puppeteer from "puppeteer";
import { findBrowser } from "./drivers.mjs";

const [report = ".kfac/report.html", picture = "docs/images/mnist.png"] = process.argv.slice(2);

const found = findBrowser();
if (!found) {
  console.error("No Chrome or Chromium found: npm run setup installs one where it can.");
  process.exit(1);
}
const browser = await puppeteer.launch({
  executablePath: found.path,
  args: ["--no-sandbox", "--disable-background-networking", "--disable-component-update", "--disable-sync"],
});
try {
  const page = await browser.newPage();
  await page.setViewport({ width: 900, height: 1200, deviceScaleFactor: 2 });
  await page.emulateMediaFeatures([{ name: "prefers-color-scheme", value: "light" }]);
  await page.goto(pathToFileURL(report).href);
  const chart = await page.$("svg.chart");
  if (!chart) throw new Error(`${report} has no chart`);
  await chart.screenshot({ path: picture });
  console.log(picture);
} finally {
  await browser.close();
}
