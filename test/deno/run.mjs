// Runs the kernel suite under Deno, whose WebGPU is wgpu with the naga compiler, as in Firefox.
// Usage: node test/deno/run.mjs [-t pattern] [file part …]
import { spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { findDeno, findDrivers } from "../../scripts/drivers.mjs";
import { suiteArguments } from "../harness/arguments.mjs";
import { bundle, cache } from "../harness/bundle.mjs";
import { parse } from "../harness/protocol.mjs";
import { supervise } from "../harness/supervise.mjs";

const options = suiteArguments();
const deno = findDeno();
if (!deno) throw new Error("no deno binary found: run `npm install` (its platform package carries it)");
const outDir = await bundle({ entry: "test/deno/main.ts", name: "deno" });
const driver = findDrivers()[0];

// Everything Deno keeps stays inside the checkout, and nothing is fetched.
const home = (name) => join(cache, "deno-home", name);
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
  const passed = JSON.stringify({ ...options, from });
  const child = spawn(deno, ["run", ...flags, join(outDir, "main.js"), passed], {
    env,
    stdio: ["ignore", "pipe", "pipe"],
  });
  const lastWords = [];
  for (const stream of [child.stdout, child.stderr]) {
    createInterface(stream).on("line", (line) => {
      const event = parse(line);
      if (event) return onEvent(event);
      lastWords.push(line);
      if (lastWords.length > 20) lastWords.shift();
      console.log(line);
    });
  }
  const done = once(child, "close").then(
    ([code, signal]) => `Deno ended with ${signal ?? code}\n${lastWords.join("\n")}`,
  );
  const stop = async () => {
    child.kill("SIGKILL");
    await done;
  };
  return { done, stop };
});
