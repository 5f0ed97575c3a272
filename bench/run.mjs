// npm run bench: the library beside other JavaScript libraries, in one process on one adapter. README.md says how the figures
// are made.
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { enterDriver } from "../scripts/enter-driver.mjs";
import { chooseDriver, describeMachine, ownVersions } from "./adapter.mjs";
import { HELP, readArguments } from "./arguments.mjs";
import { compare, History } from "./compare.mjs";
import { asksForHost, runHost } from "./host/index.mjs";
import { loadLibrary, loadReference } from "./library.mjs";
import { measureAccuracy } from "./operations/accuracy.mjs";
import { OPERATIONS } from "./operations/index.mjs";
import { measureSteps, trainings } from "./operations/steps.mjs";
import { asksForOptimizers } from "./optimizers/arguments.mjs";
import { runOptimizers } from "./optimizers/index.mjs";
import { installNavigator, loadPeer, PEERS } from "./peers/index.mjs";
import { installPeers } from "./peers/install.mjs";
import { drawings } from "./report/charts.mjs";
import { page } from "./report/page.mjs";
import { accuracyTable, machineText, stepTable, tableOf } from "./report/table.mjs";

const here = fileURLToPath(new URL(".", import.meta.url));
/** Of the CPU or the GPU, generously. A quick run does without. */
const CACHE_BYTES = { quick: 2 ** 20, software: 32 * 2 ** 20, hardware: 64 * 2 ** 20 };

/**
 * @typedef {object} Result
 * @property {import("./adapter.mjs").Machine} machine
 * @property {import("./arguments.mjs").Options} options
 * @property {import("./compare.mjs").Row[]} rows
 * @property {import("./operations/steps.mjs").StepRow[]} steps
 * @property {import("./operations/accuracy.mjs").AccuracyRow[]} accuracy
 */

/** @param {readonly string[]} argv @returns {Promise<number>} the exit code */
async function main(argv) {
  if (asksForOptimizers(argv)) return runOptimizers(argv, fileURLToPath(import.meta.url));
  if (asksForHost(argv)) return runHost(argv, fileURLToPath(import.meta.url));
  const known = { operations: [...OPERATIONS.map(({ id }) => id), "steps", "accuracy"], peers: PEERS };
  const options = readArguments(argv, known);
  if (options.help) {
    process.stdout.write(
      HELP.replace("OPERATIONS", known.operations.join(", ")).replace("PEERS", PEERS.join(", ")),
    );
    return 0;
  }
  const driver = chooseDriver(options.adapter);
  const done = await enterDriver(driver.env, { program: fileURLToPath(import.meta.url), args: argv });
  if (done !== undefined) return done;
  // With the results on standard output, what is said meanwhile goes elsewhere.
  const say = options.json === "-" ? console.error : console.log;
  if (options.peers.length > 0 && options.install) installPeers();

  const library = await loadLibrary();
  const gpu = await library.nodeGpu();
  installNavigator(gpu);
  /** @type {import("./peers/index.mjs").MaybePeer[]} */
  const peers = [];
  for (const id of options.peers) {
    const peer = await loadPeer(id);
    // Where PyTorch is missing, one row that says so is enough.
    if ("error" in peer && id === "torch-tf32" && options.peers.includes("torch")) continue;
    peers.push(peer);
  }

  const first = await library.createNodeEngine();
  const { software, f16 } = first.capabilities;
  /** @type {Record<string, string>} */
  const versions = ownVersions();
  for (const peer of peers) if ("version" in peer) versions[peer.id] = peer.version;
  const machine = describeMachine(first, driver, versions);
  first.dispose();
  say(`${machineText(machine)}\n`);

  const cacheBytes = CACHE_BYTES[options.quick ? "quick" : software ? "software" : "hardware"];
  const extent = options.quick ? "quick" : "full";
  /**
   * A new engine has compiled nothing yet, so its first call is a first call.
   * @template T
   * @param {(lab: import("./gpu.mjs").Lab) => Promise<T>} body
   */
  const withLab = async (body) => {
    const engine = await library.createNodeEngine();
    try {
      return await body({ library, engine, cacheBytes });
    } finally {
      engine.dispose();
    }
  };
  /** @type {Result} */
  const result = { machine, options, rows: [], steps: [], accuracy: [] };
  /** @type {string[]} */
  const tables = [];
  const show = (/** @type {string} */ table) => {
    tables.push(table);
    say(`${table}\n`);
  };
  const history = new History();
  for (const operation of OPERATIONS.filter(({ id }) => options.only.includes(id))) {
    /** @type {import("./compare.mjs").Row[]} */
    const rows = [];
    for (const one of operation.cases(extent, software).filter(isWanted(options))) {
      const half = one.precision === "f16";
      if (half && !f16) continue;
      progress(`${operation.title}: ${one.label}`);
      // The peers' are of f32.
      const others = half ? [] : peers;
      const row = await withLab((lab) => compare(lab, operation, one, others, options, history));
      rows.push(row);
      result.rows.push(row);
      publish(result, tables, driver.id);
    }
    progress();
    if (rows.length > 0) show(tableOf(operation.title, rows));
  }
  if (options.only.includes("steps")) {
    for (const training of trainings(extent).filter(isWanted(options))) {
      progress(`Training step: ${training.label}`);
      result.steps.push(await withLab((lab) => measureSteps(lab, training, options)));
    }
    progress();
    if (result.steps.length > 0) show(stepTable(result.steps));
  }
  if (options.only.includes("accuracy")) {
    progress("Error of the inverse");
    const reference = await loadReference();
    result.accuracy = await withLab((lab) => measureAccuracy({ ...lab, reference }, peers, extent));
    progress();
    show(accuracyTable(result.accuracy));
  }
  for (const peer of peers) if ("dispose" in peer) peer.dispose?.();
  const out = publish(result, tables, driver.id);
  if (options.json === "-") process.stdout.write(textOf(result));
  if (out) say(`Results are in ${out}.`);
  return [...result.rows, ...result.steps].some(({ failure }) => failure) ? 1 : 0;
}

/** @param {import("./arguments.mjs").Options} options */
function isWanted({ cases }) {
  return (/** @type {{ id: string }} */ { id }) =>
    cases.length === 0 || cases.some((part) => id.includes(part));
}

/** @param {string} [what] */
function progress(what = "") {
  if (process.stderr.isTTY) process.stderr.write(`\r\x1b[K${what}`);
}

/** @param {Result} result */
const textOf = (result) => `${JSON.stringify(result, null, 1)}\n`;

/**
 * Writes what there is so far, so that a run that is cut off leaves something.
 * @param {Result} result @param {readonly string[]} tables @param {string} driver
 * @returns {string | undefined} the folder
 */
function publish(result, tables, driver) {
  const { options, machine } = result;
  const text = textOf(result);
  if (options.json && options.json !== "-") writeFileSync(options.json, text);
  const out = options.out ?? (options.quick ? undefined : join(here, "results", driver));
  if (!out) return undefined;
  mkdirSync(out, { recursive: true });
  const titles = new Map(OPERATIONS.map(({ id, title }) => [id, title]));
  const charts = drawings(result, (operation) => titles.get(operation) ?? operation);
  for (const { name, svg } of charts) writeFileSync(join(out, `${name}.svg`), `${svg}\n`);
  const facts = machineText(machine);
  const heading = `kfac-webgpu on ${machine.adapter}`;
  writeFileSync(join(out, "bench.json"), text);
  writeFileSync(join(out, "bench.txt"), `${[facts, ...tables].join("\n\n")}\n`);
  writeFileSync(join(out, "bench.html"), page({ heading, facts, drawings: charts, tables: [...tables] }));
  return out;
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
