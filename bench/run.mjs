// npm run bench: the library beside other JavaScript libraries, in one process on one adapter. README.md says how the figures
// are made.
import { spawn, spawnSync } from "node:child_process";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { chooseDriver, describeMachine, ownVersions } from "./adapter.mjs";
import { HELP, readArguments } from "./arguments.mjs";
import { compare, History } from "./compare.mjs";
import { OPERATIONS } from "./operations/index.mjs";
import { installed, installNavigator, loadPeer, PEERS, packagesIn } from "./peers/index.mjs";
import { machineText, tableOf } from "./report/table.mjs";

const here = fileURLToPath(new URL(".", import.meta.url));
/** Of the CPU or the GPU, generously. A quick run does without. */
const CACHE_BYTES = { quick: 2 ** 20, software: 32 * 2 ** 20, hardware: 64 * 2 ** 20 };

/** @param {readonly string[]} argv @returns {Promise<number>} the exit code */
async function main(argv) {
  const known = { operations: OPERATIONS.map(({ id }) => id), peers: PEERS };
  const options = readArguments(argv, known);
  if (options.help) {
    process.stdout.write(
      HELP.replace("OPERATIONS", known.operations.join(", ")).replace("PEERS", PEERS.join(", ")),
    );
    return 0;
  }
  const driver = chooseDriver(options.adapter);
  if (driver.relaunch) return await relaunch(argv, driver.relaunch);
  // With the results on standard output, what is said meanwhile goes elsewhere.
  const say = options.json === "-" ? console.error : console.log;
  if (options.peers.length > 0 && options.install) installPeers();

  const library = await import("../dist/node.js");
  const gpu = await library.nodeGpu();
  installNavigator(gpu);
  const where = packagesIn(gpu);
  const peers = [];
  for (const id of options.peers) peers.push(await loadPeer(id, where));

  const first = await library.createNodeEngine();
  const { software } = first.capabilities;
  /** @type {Record<string, string>} */
  const versions = ownVersions();
  for (const peer of peers) if ("version" in peer) versions[peer.id] = peer.version;
  const machine = describeMachine(first, driver, versions);
  first.dispose();
  say(`${machineText(machine)}\n`);

  const history = new History();
  const result = { machine, options, rows: /** @type {import("./compare.mjs").Row[]} */ ([]) };
  for (const operation of OPERATIONS.filter(({ id }) => options.only.includes(id))) {
    const rows = [];
    const cases = operation.cases(options.quick ? "quick" : "full", software).filter(isWanted(options));
    for (const one of cases) {
      // A new engine has compiled nothing yet, so its first call is a first call.
      const engine = await library.createNodeEngine();
      const lab = {
        library,
        engine,
        cacheBytes: CACHE_BYTES[options.quick ? "quick" : software ? "software" : "hardware"],
      };
      try {
        rows.push(await compare(lab, operation, one, peers, options, history));
      } finally {
        engine.dispose();
      }
      progress(operation.title, rows.at(-1)?.label ?? "");
    }
    progress("", "");
    if (rows.length > 0) say(`${tableOf(operation.title, rows)}\n`);
    result.rows.push(...rows);
  }
  await publish(result, options, driver.id, say);
  return result.rows.some(({ failure }) => failure) ? 1 : 0;
}

/** @param {import("./arguments.mjs").Options} options */
function isWanted({ cases }) {
  return (/** @type {{ id: string }} */ { id }) =>
    cases.length === 0 || cases.some((part) => id.includes(part));
}

/** @param {string} title @param {string} label */
function progress(title, label) {
  if (process.stderr.isTTY) process.stderr.write(`\r\x1b[K${title ? `${title}: ${label}` : ""}`);
}

async function publish(result, options, driver, say) {
  const text = `${JSON.stringify(result, null, 1)}\n`;
  if (options.json === "-") process.stdout.write(text);
  else if (options.json) writeFileSync(options.json, text);
  const out = options.out ?? (options.quick ? undefined : join(here, "results", driver));
  if (!out) return;
  mkdirSync(out, { recursive: true });
  writeFileSync(join(out, "bench.json"), text);
  say(`Results are in ${out}.`);
}

/** The peers are pinned by a lock file of their own. */
function installPeers() {
  if (installed()) return;
  console.error("bench: installing the peers (npm ci in bench/)");
  const args = ["ci", "--prefix", here, "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"];
  const npm = process.env.npm_execpath;
  const [command, rest] = npm?.endsWith("npm-cli.js") ? [process.execPath, [npm, ...args]] : ["npm", args];
  // What npm says is not the program's output. A peer that is missing is a row that says so.
  spawnSync(command, rest, { stdio: ["ignore", 2, 2], shell: process.platform === "win32" });
}

/** @param {readonly string[]} argv @param {Record<string, string>} environment @returns {Promise<number>} */
function relaunch(argv, environment) {
  const child = spawn(process.execPath, [fileURLToPath(import.meta.url), ...argv], {
    stdio: "inherit",
    env: { ...process.env, ...environment },
  });
  return new Promise((resolve, reject) => {
    child.on("error", reject);
    child.on("exit", (code) => resolve(code ?? 1));
  });
}

try {
  // Dawn's threads and the peers' would keep the process alive.
  process.exit(await main(process.argv.slice(2)));
} catch (error) {
  console.error(
    `bench: ${error instanceof Error ? (process.env.KFAC_DEBUG ? error.stack : error.message) : error}`,
  );
  process.exit(2);
}
