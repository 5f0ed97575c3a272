// Says what this machine offers, what is missing, and the one line that helps. `--json` for programs.

import { execFileSync } from "node:child_process";
import { findBrowser, findDeno, findDrivers, probe } from "./drivers.mjs";

const interesting = [
  "maxBufferSize",
  "maxStorageBufferBindingSize",
  "maxStorageBuffersPerShaderStage",
  "maxComputeInvocationsPerWorkgroup",
  "maxComputeWorkgroupSizeX",
  "maxComputeWorkgroupStorageSize",
  "maxComputeWorkgroupsPerDimension",
  "minStorageBufferOffsetAlignment",
];

/**
 * @typedef {import("./drivers.mjs").Driver & import("./drivers.mjs").Probe} Examined
 * @typedef {{ node: string, npm?: string, platform: string, drivers: Examined[], browser: ReturnType<typeof findBrowser>, deno?: string }} Machine
 */

/** @returns {Machine} */
function examine() {
  // In turn, each in its own process: a driver that crashes is reported like one that refuses.
  const drivers = findDrivers().map((driver) => ({ ...driver, ...probe(driver) }));
  return {
    node: process.versions.node,
    npm: npmVersion(),
    platform: `${process.platform} ${process.arch}`,
    drivers,
    browser: findBrowser(),
    deno: findDeno(),
  };
}

/** @param {Machine} machine @returns {string[]} one line for each thing, with what helps */
function missing({ drivers, browser, deno }) {
  const has = (/** @type {string} */ id) => drivers.some((driver) => driver.ok && driver.id === id);
  const lines = [];
  const wanted = process.env.KFAC_DRIVER;
  if (drivers.length === 0 && wanted)
    lines.push(`KFAC_DRIVER asks for ${wanted}, which is not here. Unset it.`);
  else if (!drivers.some(({ ok }) => ok)) {
    lines.push(
      "No WebGPU adapter for Node. As root on Debian or Ubuntu: apt install mesa-vulkan-drivers (24 or newer).",
    );
  } else if (!has("gpu") && !has("lavapipe")) {
    lines.push(
      "Only SwiftShader, which is slow. As root: apt install mesa-vulkan-drivers (24 or newer; Debian 12: from backports).",
    );
  }
  if (!browser)
    lines.push("No browser. Install Chrome or Chromium (Debian: apt install chromium), or set CHROME_PATH.");
  if (!deno) lines.push("No Deno, so shaders are not checked against wgpu. Run: npm ci");
  return lines;
}

function npmVersion() {
  const agent = /npm\/(\S+)/.exec(process.env.npm_config_user_agent ?? "")?.[1];
  if (agent) return agent;
  try {
    return execFileSync("npm", ["--version"], {
      encoding: "utf8",
      shell: process.platform === "win32",
    }).trim();
  } catch {
    return undefined;
  }
}

/** @param {number} value bytes as MiB where they are whole, everything else as it is */
const readable = (value) =>
  value >= 2 ** 20 && value % 2 ** 20 === 0 ? `${value / 2 ** 20} MiB` : String(value);

/** @param {Machine} machine @param {string[]} lacking */
function print({ node, npm, platform, drivers, browser, deno }, lacking) {
  console.log(`Node ${node}, npm ${npm ?? "not found"}, ${platform}`);
  console.log(`Browser: ${browser ? `${browser.path} ${browser.version ?? ""}` : "none"}`);
  console.log(`Deno: ${deno ?? "none"}`);
  for (const [
    index,
    { id, name, icd, ok, error, info = {}, features = [], limits = {} },
  ] of drivers.entries()) {
    console.log(`\n${id}: ${name}${index === 0 ? " (taken by default)" : ""}`);
    if (icd) console.log(`  Vulkan manifest  ${icd}`);
    if (!ok) {
      console.log(`  does not work: ${error}`);
      continue;
    }
    console.log(
      `  adapter          ${info.description || info.device} (${info.vendor}, ${info.architecture})`,
    );
    console.log(`  subgroups        ${info.subgroupMinSize} to ${info.subgroupMaxSize}`);
    console.log(`  features         ${features.join(", ")}`);
    for (const limit of interesting) console.log(`  ${limit.padEnd(35)} ${readable(limits[limit] ?? 0)}`);
  }
  const advice = lacking.map((line) => `  ${line}`).join("\n");
  console.log(advice ? `\nMissing:\n${advice}` : "\nNothing is missing.");
}

const machine = examine();
const lacking = missing(machine);
if (process.argv.includes("--json")) console.log(JSON.stringify({ ...machine, missing: lacking }, null, 2));
else print(machine, lacking);
process.exitCode = machine.drivers.some(({ ok }) => ok) ? 0 : 1;
