// The peers are pinned by a lock file of their own and installed when they are first wanted.
import { spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import { installed } from "./index.mjs";

const folder = fileURLToPath(new URL("..", import.meta.url));

/** Does nothing where they are there. A peer that is missing afterwards is a row that says so. */
export function installPeers() {
  if (installed()) return;
  console.error("bench: installing the peers (npm ci in bench/)");
  const args = ["ci", "--prefix", folder, "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"];
  const npm = process.env.npm_execpath;
  // What npm says is not the program's output.
  /** @type {import("node:child_process").SpawnSyncOptions} */
  const options = { stdio: ["ignore", 2, 2] };
  if (npm?.endsWith("npm-cli.js")) spawnSync(process.execPath, [npm, ...args], options);
  else spawnSync("npm", args, { ...options, shell: process.platform === "win32" });
}
