// npm run bench:bundle: everything that the benchmark, `verify` and the kernel suite need on an x86-64 Linux machine with a
// Vulkan driver and nothing else, as a folder and as an archive. It is for the Node and the system that build it, or newer ones.
//   node bench/bundle/build.mjs [--out DIR] [--no-archive]
import { execFileSync, spawnSync } from "node:child_process";
import {
  chmodSync,
  cpSync,
  existsSync,
  mkdirSync,
  realpathSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { join, relative, resolve } from "node:path";
import { parseArgs } from "node:util";
import { bundle, root } from "../../test/harness/bundle.mjs";
import { ownVersions } from "../adapter.mjs";
import { installPeers } from "../peers/install.mjs";
import { manifest, takes } from "./manifest.mjs";

const MOST_BYTES = 60e6;
const NAME = "kfac-bench";

const { values } = parseArgs({
  options: {
    out: { type: "string", default: join(root, "dist-bundle") },
    "no-archive": { type: "boolean", default: false },
  },
});
if (process.platform !== "linux" || process.arch !== "x64") {
  throw new Error(
    `the bundle is built on x86-64 Linux, for the same; this is ${process.platform} ${process.arch}`,
  );
}
const out = resolve(values.out);
const folder = join(out, NAME);

installPeers();
rmSync(folder, { recursive: true, force: true });
mkdirSync(folder, { recursive: true });
const suite = await bundle({ entry: "bench/bundle/suite.ts", name: "bundle" });
for (const item of manifest({ node: process.execPath, suite })) {
  const source = realpathSync(resolve(root, item.from));
  const filter = (/** @type {string} */ path) =>
    takes(item, relative(source, path) + (statSync(path).isDirectory() ? "/" : ""));
  cpSync(source, join(folder, item.to), { recursive: true, dereference: true, filter });
}
writeFileSync(
  join(folder, "app/bundle.json"),
  `${JSON.stringify({ built: new Date().toISOString(), ...ownVersions() })}\n`,
);
// A loader is no driver: it finds the machine's own, and some containers have drivers but no loader.
const loader = "/usr/lib/x86_64-linux-gnu/libvulkan.so.1";
if (existsSync(loader)) {
  mkdirSync(join(folder, "lib"));
  cpSync(realpathSync(loader), join(folder, "lib/libvulkan.so.1"));
}
chmodSync(join(folder, "run"), 0o755);
chmodSync(join(folder, "bin/node"), 0o755);
// Symbols are a tenth of it; a machine without strip keeps them.
spawnSync("strip", [join(folder, "bin/node")], { stdio: "ignore" });
execFileSync(join(folder, "bin/node"), ["--version"], { stdio: "ignore" });

console.log(`${folder}: run it with ./run`);
if (!values["no-archive"]) archive();

function archive() {
  // xz is far smaller than gzip; either unpacks by `tar xf`.
  const hasXz = spawnSync("xz", ["--version"], { stdio: "ignore" }).status === 0;
  const file = join(out, `${NAME}.tar.${hasXz ? "xz" : "gz"}`);
  const args = hasXz ? ["-cJf", file] : ["-czf", file];
  execFileSync("tar", ["-C", out, ...args, NAME], {
    env: { ...process.env, XZ_OPT: "-6 -T0" },
    stdio: ["ignore", 2, 2],
  });
  const { size } = statSync(file);
  if (size > MOST_BYTES)
    throw new Error(`${file} has ${(size / 1e6).toFixed(1)} MB, more than ${MOST_BYTES / 1e6}`);
  console.log(`${file}: ${(size / 1e6).toFixed(1)} MB`);
}
