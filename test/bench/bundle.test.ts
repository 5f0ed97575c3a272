/** What goes into the bundle for machines without Node. */
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import { manifest, OWN_PACKAGES, PEER_FILES, takes } from "../../bench/bundle/manifest.mjs";

const root = fileURLToPath(new URL("../..", import.meta.url));
const items = manifest({ node: "/usr/bin/node", suite: "/tmp/suite" });
const itemFrom = (from: string) => items.find((item) => item.from === from)!;
const lockOf = (folder: string) =>
  JSON.parse(readFileSync(join(root, folder, "package-lock.json"), "utf8")).packages as Record<
    string,
    { dependencies?: Record<string, string> }
  >;

test("everything that the repository holds is there, at a place of its own", () => {
  const own = items.filter(({ from }) => !from.startsWith("/") && !from.includes("node_modules"));
  for (const { from } of own) expect(existsSync(join(root, from)), from).toBe(true);
  expect(new Set(items.map(({ to }) => to)).size).toBe(items.length);
  for (const { to } of items) expect(to).not.toMatch(/^\/|\.\./);
});

test("all packages that the peers need are taken, as their lock file tells", () => {
  const locked = Object.keys(lockOf("bench"))
    .filter(Boolean)
    .map((path) => path.replace("node_modules/", ""))
    .filter((name) => !/^@types\/|^@webgpu\/types/.test(name));
  expect(Object.keys(PEER_FILES).sort()).toEqual(locked.sort());
});

test("so are the library's own and what they need", () => {
  const packages = lockOf(".");
  const needed = (names: string[]): string[] =>
    names.flatMap((name) => [
      name,
      ...needed(Object.keys(packages[`node_modules/${name}`]?.dependencies ?? {})),
    ]);
  // What webgpu depends on serves its own build: it loads alone.
  expect([...OWN_PACKAGES].sort()).toEqual(["webgpu", ...new Set(needed(["typegpu"]))].sort());
});

test.each([
  ["node_modules/webgpu", "dist/linux-x64/dawn.node", true],
  ["node_modules/webgpu", "dist/", true],
  ["node_modules/webgpu", "dist/win32-x64/", false],
  ["node_modules/typegpu", "index.js", true],
  ["node_modules/typegpu", "index.d.ts", false],
  ["dist", "cli.js.map", false],
  ["dist", "chunks/src.js", true],
  ["bench", "node_modules/", false],
  ["bench", "results/", false],
  ["bench", "peers/", true],
  ["bench", "run.mjs", true],
  ["bench", "torch_bench.py", true],
  ["bench", "bundle/build.mjs", false],
  ["bench/node_modules/@jax-js/jax", "dist/index.js", true],
  ["bench/node_modules/@jax-js/jax", "dist/index.cjs", false],
  ["bench/node_modules/@tensorflow/tfjs-backend-wasm", "dist/tfjs-backend-wasm-simd.wasm", true],
  ["bench/node_modules/@tensorflow/tfjs-backend-wasm", "dist/tf-backend-wasm.js", false],
  ["bench/node_modules/long", "umd/index.js", true],
  ["bench/node_modules/long", "README.md", false],
])("of %s, %s: %s", (from, inside, taken) => {
  expect(takes(itemFrom(from), inside)).toBe(taken);
});
