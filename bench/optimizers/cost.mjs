// What adaptation costs: steps of K-FAC as it is without options, beside steps of the same with fixed numbers, in interleaved
// samples on one engine. Which options those are stands in contestants.mjs.
import { timing } from "../library.mjs";
import { CONTESTANTS, COST_SIDES } from "./contestants.mjs";
import { drive } from "./steps.mjs";
import { lossOf } from "./tasks.mjs";

const { medianMs, sample, samplePairs } = timing;

/**
 * @typedef {object} CostRow
 * @property {string} task
 * @property {number} adaptiveMs of a step
 * @property {number} fixedMs
 * @property {import("../../src/timing/index.js").Interval} ratio adaptive / fixed
 * @property {typeof COST_SIDES} sides
 * @property {string} [commit]
 * @property {string} adapter
 */

/** Batches that take turns. */
const BATCHES = 8;

/**
 * @param {import("./run.mjs").Lab} lab @param {import("./tasks.mjs").Task} task
 * @param {{ pairs: number, steps: number }} how `steps` of a sample, a multiple of all periods of what is timed
 * @returns {Promise<Omit<CostRow, "commit" | "adapter">>}
 */
export async function measureCost({ library, engine }, task, { pairs, steps }) {
  const { batch, input, loss } = task;
  const next = task.stream(1, library);
  const batches = Array.from({ length: BATCHES }, () => next());
  const { make } = /** @type {import("./contestants.mjs").Contestant} */ (
    CONTESTANTS.find(({ id }) => id === "kfac")
  );
  /** @type {{ dispose(): void }[]} */
  const made = [];
  const side = (/** @type {import("./contestants.mjs").Options} */ options) => {
    const network = engine.network(task.modules(library), lossOf(library, loss), {
      batchSize: batch,
      seed: 1,
      input,
    });
    if (task.weights) network.setWeights(task.weights(1));
    const optimizer = make(engine, network, options);
    made.unshift(optimizer, network);
    let at = 0;
    return {
      async run(/** @type {number} */ repetitions) {
        await drive(
          optimizer,
          () => batches[at++ % BATCHES],
          repetitions,
          () => {},
        );
      },
    };
  };
  try {
    const [fixed, adaptive] = [side(COST_SIDES.fixed), side(COST_SIDES.adaptive)];
    // Kernels are compiled, and the first period has more inversions than the others.
    for (const one of [fixed, adaptive]) await sample(one, steps);
    const { a, b, ratio } = await samplePairs(
      { runner: fixed, repetitions: steps },
      { runner: adaptive, repetitions: steps },
      pairs,
    );
    return { task: task.id, adaptiveMs: medianMs(b), fixedMs: medianMs(a), ratio, sides: COST_SIDES };
  } finally {
    for (const one of made) one.dispose();
  }
}
