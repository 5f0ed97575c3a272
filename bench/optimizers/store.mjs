// The results as they are kept: one JSON file, whole at every moment, so that a run that was cut off goes on. Programs that
// run side by side may share it: each puts its own runs among those that are there.
import { existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";

/**
 * @typedef {import("./run.mjs").Run} Run
 * @typedef {import("./run.mjs").Identity} Identity
 * @typedef {import("./epochs.mjs").EpochRun} EpochRun
 * @typedef {import("./cost.mjs").CostRow} CostRow
 *
 * @typedef {object} Results
 * @property {import("../adapter.mjs").Machine} [machine] of the last program
 * @property {Run[]} runs
 * @property {EpochRun[]} epochs
 * @property {CostRow[]} cost
 */

export const FILE = "optimizers.json";

/** @param {Identity} one */
export const keyOf = ({ task, optimizer, setting, seed }) => `${task} ${optimizer} ${setting} ${seed}`;

/** Results in a folder, or in memory alone. */
export class Store {
  /** @type {Results} */
  results = { runs: [], epochs: [], cost: [] };
  /** @type {string | undefined} */
  #file;

  /** @param {string | undefined} folder */
  constructor(folder) {
    if (folder === undefined) return;
    mkdirSync(folder, { recursive: true });
    this.#file = join(folder, FILE);
    this.#read();
  }

  /** @param {(results: Results) => void} change */
  #write(change) {
    this.#read();
    change(this.results);
    if (this.#file === undefined) return;
    const temporary = `${this.#file}.${process.pid}.tmp`;
    writeFileSync(temporary, textOf(this.results));
    renameSync(temporary, this.#file);
  }

  #read() {
    if (this.#file === undefined || !existsSync(this.#file)) return;
    this.results = JSON.parse(readFileSync(this.#file, "utf8"));
  }

  /** @param {import("../adapter.mjs").Machine} machine */
  begin(machine) {
    this.#write((results) => {
      results.machine = machine;
    });
  }

  /** Puts a run in the place of the one before. @param {Run} run */
  putRun(run) {
    this.#write((results) => put(results.runs, run));
  }

  /** @param {EpochRun} run */
  putEpochs(run) {
    this.#write((results) => put(results.epochs, run));
  }

  /** @param {CostRow} row */
  putCost(row) {
    this.#write((results) => {
      results.cost = [...results.cost.filter(({ task }) => task !== row.task), row];
    });
  }

  /** Forgets what is to be run again. @param {ReadonlySet<string>} keys */
  forget(keys) {
    const others = (/** @type {Identity} */ one) => !keys.has(keyOf(one));
    this.#write((results) => {
      results.runs = results.runs.filter(others);
      results.epochs = results.epochs.filter(others);
    });
  }

  /** @param {Identity} identity @returns {Run | undefined} */
  run(identity) {
    return this.results.runs.find((one) => keyOf(one) === keyOf(identity));
  }

  /** @param {Identity} identity @returns {EpochRun | undefined} */
  epochs(identity) {
    return this.results.epochs.find((one) => keyOf(one) === keyOf(identity));
  }
}

/** @template {Identity} T @param {T[]} list @param {T} one */
function put(list, one) {
  const at = list.findIndex((other) => keyOf(other) === keyOf(one));
  if (at < 0) list.push(one);
  else list[at] = one;
}

/** A line for each run, so that a change of one is a change of its line. @param {Results} results */
export function textOf({ machine, runs, epochs, cost }) {
  const lines = (/** @type {readonly unknown[]} */ list) =>
    list.length === 0 ? "[]" : `[\n${list.map((one) => JSON.stringify(one)).join(",\n")}\n]`;
  return `{"machine": ${JSON.stringify(machine ?? null)},
"runs": ${lines(runs)},
"epochs": ${lines(epochs)},
"cost": ${lines(cost)}}
`;
}
