// The adapter of a run, and what to print about it.
import { execFileSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import os from "node:os";
import { fileURLToPath } from "node:url";
import { findDrivers } from "../scripts/drivers.mjs";

/**
 * The wanted driver, or the best there is.
 * @param {string | undefined} adapter
 * @throws Error that says what is missing
 */
export function chooseDriver(adapter) {
  if (adapter) process.env.KFAC_DRIVER = adapter === "hardware" ? "gpu" : adapter;
  const driver = findDrivers()[0];
  const wanted = process.env.KFAC_DRIVER;
  if (!driver)
    throw new Error(wanted ? `this machine has no adapter ${wanted}` : "this machine has no WebGPU adapter");
  if (adapter && driver.id !== process.env.KFAC_DRIVER) {
    throw new Error(`the environment names the driver ${driver.icd}, which is not ${adapter}`);
  }
  return driver;
}

/**
 * @typedef {ReturnType<typeof describeMachine>} Machine
 *
 * @param {import("./gpu.mjs").Engine} engine @param {{ id: string, name: string }} driver
 * @param {Readonly<Record<string, string>>} versions
 */
export function describeMachine(engine, driver, versions) {
  const { adapter, vendor, architecture, software, features } = engine.capabilities;
  return {
    date: new Date().toISOString(),
    adapter,
    vendor,
    architecture,
    software,
    driver: driver.id,
    driverName: driver.name,
    features,
    cpu: os.cpus()[0]?.model.trim() ?? "unknown",
    cores: os.availableParallelism(),
    memoryGiB: Math.round(os.totalmem() / 2 ** 30),
    load: os.loadavg()[0],
    platform: `${os.platform()} ${os.arch()} ${os.release()}`,
    versions: { node: process.versions.node, ...versions },
  };
}

/** Of this library and of Dawn, and the commit measured. */
export function ownVersions() {
  const text = (/** @type {string} */ path) => readFileSync(new URL(path, import.meta.url), "utf8");
  const dawn = new URL("../node_modules/webgpu/package.json", import.meta.url);
  /** @type {Record<string, string>} */
  const versions = { "kfac-webgpu": JSON.parse(text("../package.json")).version };
  if (existsSync(dawn)) versions["webgpu (Dawn)"] = JSON.parse(readFileSync(dawn, "utf8")).version;
  const bundle = new URL("../bundle.json", import.meta.url);
  const commit = existsSync(bundle) ? JSON.parse(readFileSync(bundle, "utf8")).commit : commitOf();
  if (commit) versions.commit = commit;
  return versions;
}

function commitOf() {
  const cwd = fileURLToPath(new URL("..", import.meta.url));
  try {
    const git = (/** @type {string[]} */ ...args) =>
      execFileSync("git", args, { cwd, encoding: "utf8", stdio: ["ignore", "pipe", "ignore"] }).trim();
    const changed = git("status", "--porcelain", "--", "src", "shaders") !== "";
    return `${git("rev-parse", "--short", "HEAD")}${changed ? " with changes" : ""}`;
  } catch {
    return undefined;
  }
}
