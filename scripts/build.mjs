// Builds dist/: the JavaScript in about a second, for set-up; with declarations, which take longer, for publishing.

import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("..", import.meta.url));
// Beside dist/, not in it: what is in dist/ gets published.
const stampFile = join(root, ".kfac/built");

/**
 * @param {{ declarations: boolean, quiet?: boolean }} options with declarations it is a full build, into an empty dist
 * @returns {Promise<void>} rejects when a source does not compile
 */
export async function build({ declarations, quiet = false }) {
  const dist = join(root, "dist");
  // A full build happens beside dist/ and takes its place at the end: a program may be importing from dist/ meanwhile.
  const target = declarations ? join(root, "dist.new") : dist;
  try {
    // Imported here, since set-up loads this file before any package is installed.
    const vite = await import("vite");
    await vite.build({ root, logLevel: quiet ? "warn" : "info", build: { outDir: target } });
    if (declarations) {
      emitDeclarations(target);
      rmSync(dist, { recursive: true, force: true });
      renameSync(target, dist);
    }
  } finally {
    if (declarations) rmSync(target, { recursive: true, force: true });
  }
  mkdirSync(join(root, ".kfac"), { recursive: true });
  writeFileSync(stampFile, sourceHash());
}

/** Whether dist/ holds what the sources say now. */
export function isBuilt() {
  if (!existsSync(join(root, "dist/cli.js")) || !existsSync(stampFile)) return false;
  return readFileSync(stampFile, "utf8") === sourceHash();
}

function sourceHash() {
  const hash = createHash("sha256");
  const add = (/** @type {string} */ path) => {
    if (statSync(path).isDirectory()) for (const name of readdirSync(path).sort()) add(join(path, name));
    else hash.update(path).update(readFileSync(path));
  };
  for (const path of ["src", "shaders", "vite.config.ts", "package-lock.json"]) add(join(root, path));
  return hash.digest("hex");
}

/** @param {string} target */
function emitDeclarations(target) {
  const compiler = createRequire(import.meta.url).resolve("typescript/bin/tsc");
  const { status } = spawnSync(
    process.execPath,
    [compiler, "-p", "tsconfig.build.json", "--outDir", target],
    {
      cwd: root,
      // Compiler messages are not the program's output.
      stdio: ["ignore", 2, 2],
    },
  );
  if (status !== 0) throw new Error("The declarations did not compile.");
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  try {
    await build({ declarations: true });
  } catch (error) {
    console.error(error instanceof Error ? error.message : error);
    process.exitCode = 1;
  }
}
