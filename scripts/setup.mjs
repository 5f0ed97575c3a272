// Makes a fresh clone run: packages, a WebGPU adapter for Node, a browser, dist/. Runs by itself before `npm start`,
// `npm test` and the others, so it is quick when there is nothing to do, and it speaks on stderr only: stdout belongs
// to the program that comes after it.

import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { aptSystem, install } from "./apt.mjs";
import { build, isBuilt } from "./build.mjs";
import { findBrowser, findDrivers } from "./drivers.mjs";

const root = fileURLToPath(new URL("..", import.meta.url));
const quiet = process.argv.includes("--quiet");
const keepGoing = process.argv.includes("--keep-going");

/** What is worth saying even with --quiet: something slow begins, or something is missing. @param {string} line */
const say = (line) => console.error(`setup: ${line}`);

function checkNode() {
  const [major = 0, minor = 0] = process.versions.node.split(".").map(Number);
  if (major > 20 || (major === 20 && minor >= 19)) return;
  throw new Error(
    `this is Node ${process.versions.node}, but Node 20.19 or newer is needed (https://nodejs.org).`,
  );
}

function installPackages() {
  if (packagesAreCurrent()) return;
  say("installing packages (npm ci)");
  // No dependency needs its install script (and some would download): leaving them out makes every npm do the same.
  // Under `npm run` npm tells where it is; otherwise it is on PATH (as a batch file on Windows, hence the shell).
  const npm = process.env.npm_execpath;
  const args = ["ci", "--include=dev", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"];
  // npm's own account of what it did is not the program's output.
  const options = { cwd: root, stdio: ["ignore", 2, 2] };
  const { status } = npm?.endsWith("npm-cli.js")
    ? spawnSync(process.execPath, [npm, ...args], /** @type {any} */ (options))
    : spawnSync("npm", args, /** @type {any} */ ({ ...options, shell: process.platform === "win32" }));
  if (status !== 0) throw new Error("`npm ci` failed; its message is above.");
}

/** Whether npm's own record of node_modules holds what the lock asks for, optional packages of other systems aside. */
function packagesAreCurrent() {
  const installed = readPackages("node_modules/.package-lock.json");
  const locked = readPackages("package-lock.json");
  return (
    installed !== undefined &&
    Object.entries(locked ?? {}).every(([path, { version, optional }]) => {
      return path === "" || (installed[path] ? installed[path].version === version : optional);
    })
  );
}

/** @param {string} file @returns {Record<string, { version?: string, optional?: boolean }> | undefined} */
function readPackages(file) {
  const path = join(root, file);
  return existsSync(path) ? JSON.parse(readFileSync(path, "utf8")).packages : undefined;
}

/** SwiftShader would do, but lavapipe is several times faster. A real GPU or the user's own choice needs neither. */
function needsLavapipe() {
  const { KFAC_DRIVER, VK_DRIVER_FILES, VK_ICD_FILENAMES } = process.env;
  if (VK_DRIVER_FILES || VK_ICD_FILENAMES) return false;
  if (KFAC_DRIVER && KFAC_DRIVER !== "lavapipe") return false;
  return !findDrivers().some(({ id }) => id === "gpu" || id === "lavapipe");
}

/** @returns {boolean} whether Node has an adapter in the end */
function provideAdapter() {
  const triedFile = join(root, ".kfac/apt-tried");
  const missing = () => ({ browser: findBrowser() === undefined, lavapipe: needsLavapipe() });
  let wanted = missing();
  // What apt could not do a moment ago it will not do now: ask it once a day, not before every command.
  const tried =
    Date.now() - (statSync(triedFile, { throwIfNoEntry: false })?.mtimeMs ?? 0) < 24 * 3600 * 1000;
  const system = (wanted.browser || wanted.lavapipe) && !tried ? aptSystem() : undefined;
  if (system) {
    install(system, wanted, say);
    wanted = missing();
    if (wanted.browser || wanted.lavapipe) {
      mkdirSync(join(root, ".kfac"), { recursive: true });
      writeFileSync(triedFile, "");
    }
  }
  const driver = findDrivers()[0];
  if (wanted.browser && !quiet) {
    say(`no browser found: ${browserHint()} The demo page and the browser tests need it.`);
  }
  if (!driver) say(`no WebGPU adapter for Node: ${adapterHint()}`);
  else if (driver.id === "swiftshader" && wanted.lavapipe && !quiet) {
    say(
      "running on the browser's SwiftShader; Mesa's lavapipe (mesa-vulkan-drivers, 24 or newer) is 4-8 times faster.",
    );
  } else if (!quiet) say(`running on ${driver.name}`);
  return driver !== undefined;
}

function browserHint() {
  return process.env.CHROME_PATH
    ? "CHROME_PATH names no program."
    : "install Chrome or Chromium, or set CHROME_PATH.";
}

function adapterHint() {
  const wanted = process.env.KFAC_DRIVER;
  if (wanted) return `KFAC_DRIVER asks for ${wanted}, which is not here; unset it to take the best there is.`;
  return "install Chromium (apt install chromium, as root) or Mesa's Vulkan drivers, 24 or newer (mesa-vulkan-drivers).";
}

async function buildWhenStale() {
  if (isBuilt()) return;
  if (!quiet) say("building dist/");
  await build({ declarations: false, quiet: true });
}

try {
  checkNode();
  installPackages();
  if (!provideAdapter() && !keepGoing) process.exitCode = 1;
  else await buildWhenStale();
} catch (error) {
  say(error instanceof Error ? error.message : String(error));
  process.exitCode = keepGoing ? 0 : 1;
}
