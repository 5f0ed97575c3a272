#!/usr/bin/env node
// The command line's launcher: points Dawn at the best driver of this machine, then runs the built program.

import { spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { constants } from "node:os";
import { fileURLToPath } from "node:url";
import { findDrivers } from "../scripts/drivers.mjs";

/** @param {string[]} args @returns {Promise<number>} the exit code */
async function launch(args) {
  const driver = findDrivers()[0];
  if (!driver) throw new Error(noAdapter());
  /** @type {Record<string, string>} */
  const environment = { ...driver.env, KFAC_DRIVER_NAME: driver.id };
  // The dynamic linker reads its path once, at the start of a process, so a new path needs a new process.
  if (environment.LD_LIBRARY_PATH && environment.LD_LIBRARY_PATH !== process.env.LD_LIBRARY_PATH) {
    return await relaunch(args, environment);
  }
  Object.assign(process.env, environment);
  const program = new URL("../dist/cli.js", import.meta.url);
  if (!existsSync(program)) throw new Error("dist/ is not built: run `npm run build` first.");
  const { main } = await import(program.href);
  return await main(args);
}

/** @param {string[]} args @param {Record<string, string>} environment @returns {Promise<number>} */
function relaunch(args, environment) {
  const child = spawn(process.execPath, [fileURLToPath(import.meta.url), ...args], {
    stdio: "inherit",
    env: { ...process.env, ...environment },
  });
  for (const signal of /** @type {const} */ (["SIGINT", "SIGTERM"]))
    process.on(signal, () => child.kill(signal));
  return new Promise((resolve, reject) => {
    child.on("error", reject);
    child.on("exit", (code, signal) => resolve(code ?? 128 + constants.signals[signal ?? "SIGTERM"]));
  });
}

function noAdapter() {
  const wanted = process.env.KFAC_DRIVER;
  if (wanted)
    return `KFAC_DRIVER asks for ${wanted}, which this machine does not have (gpu, lavapipe or swiftshader).`;
  return "No WebGPU adapter: install Chrome or Chromium (its SwiftShader will do) or Mesa 24 or newer (package mesa-vulkan-drivers).";
}

try {
  process.exitCode = await launch(process.argv.slice(2));
} catch (error) {
  const { message, stack } = error instanceof Error ? error : new Error(String(error));
  console.error(process.env.KFAC_DEBUG === "1" ? stack : `kfac: ${message}`);
  process.exitCode = 1;
}
