// One run: a task, an optimiser with one setting, a seed.
import { createWriteStream, mkdirSync } from "node:fs";
import { join } from "node:path";
import { messageOf } from "../peers/index.mjs";
import { drive, kept, Ledger, WINDOW } from "./steps.mjs";
import { lossOf } from "./tasks.mjs";

/**
 * @typedef {import("./tasks.mjs").Task} Task
 * @typedef {import("./contestants.mjs").Contestant} Contestant
 * @typedef {import("./contestants.mjs").Setting} Setting
 * @typedef {Pick<import("../gpu.mjs").Lab, "library" | "engine">} Lab
 *
 * @typedef {object} Identity
 * @property {string} task
 * @property {string} optimizer id of the contestant
 * @property {string} setting label of the setting
 * @property {number} seed
 *
 * @typedef {Identity & import("./steps.mjs").Told & {
 *   options: import("./contestants.mjs").Options,
 *   steps: number,
 *   start: number | null,
 *   ms: number | null,
 *   failure?: string,
 *   commit?: string,
 *   adapter: string,
 *   date: string,
 * }} Run `start` is the mean loss of the first weights on the first WINDOW batches, `ms` the time of a step once warm
 */

/** Steps that are not timed. */
const WARM = 10;

/**
 * @param {Lab} lab @param {Task} task @param {Contestant} contestant @param {Setting} setting
 * @param {{ seed: number, steps: number, marks: readonly number[], trace?: string }} how `trace` is a folder for all records
 * @returns {Promise<Omit<Run, "commit" | "adapter" | "date">>}
 */
export async function run({ library, engine }, task, contestant, setting, { seed, steps, marks, trace }) {
  const { id, batch, input, loss } = task;
  const ledger = new Ledger(marks);
  const identity = { task: id, optimizer: contestant.id, setting: setting.label, seed };
  const log = trace === undefined ? undefined : traceOf(trace, identity);
  /** @type {number | null} */
  let start = null;
  /** @type {number | null} */
  let ms = null;
  let failure;
  /** @type {{ dispose(): void }[]} */
  const made = [];
  try {
    const network = engine.network(task.modules(library), lossOf(library, loss), {
      batchSize: batch,
      seed,
      input,
    });
    made.unshift(network);
    if (task.weights) network.setWeights(task.weights(seed));
    start = kept(await startLoss(network, task.stream(seed, library)));
    const optimizer = contestant.make(engine, network, setting.options);
    made.unshift(optimizer);
    let since = 0;
    let done = 0;
    await drive(optimizer, task.stream(seed, library), steps, (record) => {
      if (++done === WARM) since = performance.now();
      ledger.take(record);
      log?.write(`${JSON.stringify(record)}\n`);
    });
    if (steps > WARM) ms = kept((performance.now() - since) / (steps - WARM));
  } catch (error) {
    failure = messageOf(error);
  } finally {
    for (const one of made) one.dispose();
    log?.end();
  }
  return {
    ...identity,
    options: setting.options,
    steps,
    start,
    ms,
    ...ledger.told,
    ...(failure && { failure }),
  };
}

/** @param {import("../../src/index.js").Network} network @param {import("./problems.mjs").Stream} next */
async function startLoss(network, next) {
  let sum = 0;
  for (let k = 0; k < WINDOW; k++) sum += (await network.evaluate(next())).loss;
  return sum / WINDOW;
}

/** @param {string} folder @param {Identity} identity */
function traceOf(folder, { task, optimizer, setting, seed }) {
  mkdirSync(folder, { recursive: true });
  return createWriteStream(join(folder, `${task}.${optimizer}.${setting}.${seed}.jsonl`));
}
