// Runs the kernel suite under Deno, whose WebGPU is wgpu with the naga compiler, as in Firefox.
// Usage: node test/deno/run.mjs [-t pattern] [file part …]
import { join } from "node:path";
import { findDeno, findDrivers } from "../../scripts/drivers.mjs";
import { suiteArguments } from "../harness/arguments.mjs";
import { bundle, cache } from "../harness/bundle.mjs";
import { programHost } from "../harness/host.mjs";
import { supervise } from "../harness/supervise.mjs";

const options = suiteArguments();
const deno = findDeno();
if (!deno) throw new Error("no deno binary found: run `npm install` (its platform package carries it)");
const outDir = await bundle({ entry: "test/deno/main.ts", name: "deno" });
const driver = findDrivers()[0];

// Everything Deno keeps stays inside the checkout, and nothing is fetched.
const home = (/** @type {string} */ name) => join(cache, "deno-home", name);
const env = {
  ...process.env,
  ...driver?.env,
  DENO_DIR: home("deno"),
  XDG_CACHE_HOME: home("cache"),
  XDG_DATA_HOME: home("data"),
  DENO_NO_UPDATE_CHECK: "1",
  NO_COLOR: "1",
};

const flags = [
  "--no-remote",
  "--no-npm",
  "--no-config",
  "--no-lock",
  "--no-prompt",
  "--unstable-webgpu",
  `--allow-read=${outDir}`,
];

await supervise(async (from, onEvent) => {
  const args = ["run", ...flags, join(outDir, "main.js"), JSON.stringify({ ...options, from })];
  return programHost("Deno", deno, args, { env, onEvent, aloud: true });
});
