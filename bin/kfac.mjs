#!/usr/bin/env node
// The command line's launcher: points Dawn at the best driver of this machine, then runs the built program.

import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { findDrivers } from "../scripts/drivers.mjs";
import { enterDriver } from "../scripts/enter-driver.mjs";

/** @param {string[]} args @returns {Promise<number>} the exit code */
async function launch(args) {
  const driver = findDrivers()[0];
  if (!driver) throw new Error(noAdapter());
  const environment = { ...driver.env, KFAC_DRIVER_NAME: driver.id };
  const done = await enterDriver(environment, { program: fileURLToPath(import.meta.url), args });
  if (done !== undefined) return done;
  const program = new URL("../dist/cli.js", import.meta.url);
  if (!existsSync(program)) throw new Error("dist/ is not built: run `npm run build` first.");
  const { main } = await import(program.href);
  return await main(args);
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
