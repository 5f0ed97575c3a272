// The benchmark of the field, trained by epochs: MNIST auto-encoder, training loss the mean over the epoch's own steps, test
// loss after each epoch. A run that was cut off goes on from its last epoch.
import { existsSync, mkdirSync } from "node:fs";
import { join } from "node:path";
import { mnist, ownTargets } from "./mnist.mjs";
import { drive, kept, Ledger } from "./steps.mjs";
import { AUTOENCODER } from "./tasks.mjs";

/**
 * @typedef {object} Epoch
 * @property {number} epoch counting from 1
 * @property {number | null} train mean loss of its steps, each on its batch before the step
 * @property {number | null} test loss on the test set after it
 * @property {number} seconds of training up to its end, without evaluation
 *
 * @typedef {import("./run.mjs").Identity & {
 *   options: import("./contestants.mjs").Options,
 *   epochs: Epoch[],
 *   rejected: number,
 *   skipped: number,
 *   statuses: Record<string, number>,
 *   commit?: string,
 *   adapter: string,
 *   date: string,
 * }} EpochRun
 */

/**
 * @param {import("./run.mjs").Lab} lab
 * @param {import("./contestants.mjs").Contestant} contestant @param {import("./contestants.mjs").Setting} setting
 * @param {{ seed: number, epochs: number, before?: EpochRun, folder?: string, facts: { commit?: string, adapter: string } }} how
 *   `before` is what there is of it, `folder` where checkpoints lie
 * @param {(run: EpochRun) => void} keep gets the run after each epoch
 */
export async function runEpochs({ library, engine }, contestant, setting, how, keep) {
  const { seed, epochs, folder, facts } = how;
  const { train, test } = mnist(library);
  if (!test) throw new Error("the MNIST folder has no test set");
  const { batch, modules } = AUTOENCODER;
  const stepsPerEpoch = Math.ceil(train.count / batch);
  const network = engine.network(modules(library), library.sigmoidCrossEntropy(), { batchSize: batch, seed });
  const optimizer = contestant.make(engine, network, setting.options);
  const identity = { task: AUTOENCODER.id, optimizer: contestant.id, setting: setting.label, seed };
  const file =
    folder && join(folder, `${identity.task}.${identity.optimizer}.${identity.setting}.${seed}.kfac`);
  try {
    /** @type {EpochRun} */
    let run = {
      ...{ ...identity, options: setting.options, epochs: [], rejected: 0, skipped: 0, statuses: {} },
      ...{ ...facts, date: new Date().toISOString() },
    };
    if (how.before && file && existsSync(file)) {
      const checkpoint = library.readCheckpoint(file);
      await library.restoreRun(checkpoint, network, optimizer);
      // The checkpoint is written first: an epoch that it has and the results lack is told again from it.
      run = { ...run, .../** @type {{ run: EpochRun }} */ (/** @type {unknown} */ (checkpoint.meta)).run };
      keep(run);
    }
    while (run.epochs.length < epochs) {
      const epoch = run.epochs.length;
      const order = [...library.batches(train.count, batch, seed, epoch)];
      const ledger = new Ledger([]);
      let [sum, next] = [0, 0];
      const began = performance.now();
      await drive(
        optimizer,
        () => ownTargets(library, train, order[next++]),
        stepsPerEpoch,
        (record) => {
          sum += record.loss;
          ledger.take(record);
        },
      );
      const seconds = (run.epochs.at(-1)?.seconds ?? 0) + (performance.now() - began) / 1000;
      const evaluation = await network.evaluate(
        (start, end) =>
          ownTargets(
            library,
            test,
            Uint32Array.from({ length: end - start }, (_, i) => start + i),
          ),
        { total: test.count },
      );
      const { rejected, skipped, statuses } = ledger.told;
      run = {
        ...run,
        epochs: [
          ...run.epochs,
          {
            ...{ epoch: epoch + 1, train: kept(sum / stepsPerEpoch), test: kept(evaluation.loss) },
            seconds: Number(seconds.toFixed(3)),
          },
        ],
        // A running total, also over a run that goes on from a checkpoint.
        rejected,
        skipped: run.skipped + skipped,
        statuses: added(run.statuses, statuses),
        date: new Date().toISOString(),
      };
      if (file) {
        mkdirSync(/** @type {string} */ (folder), { recursive: true });
        library.writeCheckpoint(file, await library.saveRun(network, optimizer, { run: json(run) }));
      }
      keep(run);
    }
    return run;
  } finally {
    optimizer.dispose();
    network.dispose();
  }
}

/** @param {Record<string, number>} a @param {Record<string, number>} b @returns {Record<string, number>} */
function added(a, b) {
  const sum = { ...a };
  for (const [status, count] of Object.entries(b)) sum[status] = (sum[status] ?? 0) + count;
  return sum;
}

/** @param {unknown} value @returns {import("../../src/index.js").JsonValue} */
const json = (value) => JSON.parse(JSON.stringify(value));

/**
 * The epochs to each training loss, the best test loss, and the seconds to a loss.
 * @param {readonly Epoch[]} epochs
 */
export function reached(epochs) {
  const first = (/** @type {number} */ mark) => epochs.find(({ train }) => train !== null && train <= mark);
  const tests = epochs.flatMap(({ test }) => test ?? []);
  return {
    epochs: AUTOENCODER.marks.map((mark) => first(mark)?.epoch),
    seconds: AUTOENCODER.marks.map((mark) => first(mark)?.seconds),
    test: tests.length > 0 ? { best: Math.min(...tests), last: epochs.at(-1)?.test ?? null } : undefined,
  };
}
