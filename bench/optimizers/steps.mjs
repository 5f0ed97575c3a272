// Steps of one run, a few of them in flight, and what is kept of their records.

/**
 * @typedef {import("../../src/index.js").Batch} Batch
 * @typedef {import("../../src/index.js").StepRecord & { rejected?: number, heldBatches?: number }} StepRecord
 * @typedef {import("./contestants.mjs").Contestant} Contestant
 * @typedef {ReturnType<Contestant["make"]>} Optimizer
 */

/** Steps sent off before the first one's record is back: enough to keep the device busy. */
const IN_FLIGHT = 4;
/** A loss is told as the mean of so many steps. */
export const WINDOW = 15;
/** Steps between two points that are kept of the running mean. */
export const EVERY = 5;

/**
 * @param {Optimizer} optimizer @param {() => Batch} next @param {number} count
 * @param {(record: StepRecord) => void} take gets the records in order
 */
export async function drive(optimizer, next, count, take) {
  /** @type {Promise<StepRecord>[]} */
  const pending = [];
  let sent = 0;
  try {
    for (;;) {
      while (sent < count && pending.length < IN_FLIGHT) {
        const record = /** @type {Promise<StepRecord>} */ (optimizer.step(next()));
        // It is awaited below; a rejection before that must not count as unhandled.
        record.catch(() => {});
        pending.push(record);
        sent++;
      }
      const record = pending.shift();
      if (record === undefined) return;
      take(await record);
    }
  } finally {
    await Promise.allSettled(pending);
  }
}

/**
 * @typedef {object} Told of the records of a run
 * @property {Record<string, number | null>} ends the mean of the last WINDOW losses at each mark; null where it is not finite
 * @property {{ loss: number | null, step: number }} highest of all losses
 * @property {(number | null)[]} curve the same mean at every EVERY-th step; before step WINDOW of the steps there are
 * @property {number} rejected steps that the optimiser took back
 * @property {number} [held] batches that it left out; absent in older results
 * @property {number} skipped layers left alone, over all steps
 * @property {Record<string, number>} statuses how often each but "ok"
 */

/** Takes the records of a run in order. */
export class Ledger {
  /** @type {number[]} */
  #window = [];
  #step = 0;
  /** @type {Told} */
  told = {
    ends: {},
    highest: { loss: -Infinity, step: 0 },
    curve: [],
    rejected: 0,
    held: 0,
    skipped: 0,
    statuses: {},
  };
  /** @type {readonly number[]} */
  #marks;

  /** @param {readonly number[]} marks steps at which the loss is told */
  constructor(marks) {
    this.#marks = marks;
  }

  /** @param {StepRecord} record */
  take({ loss, rejected, heldBatches, skippedLayers, status }) {
    const { told } = this;
    this.#step++;
    this.#window.push(loss);
    if (this.#window.length > WINDOW) this.#window.shift();
    const mean = this.#window.reduce((sum, value) => sum + value, 0) / this.#window.length;
    if (this.#marks.includes(this.#step)) told.ends[this.#step] = kept(mean);
    if (this.#step % EVERY === 0) told.curve.push(kept(mean));
    // Once a loss is not finite none is higher.
    const { highest } = told;
    if (highest.loss !== null && !(loss <= highest.loss))
      told.highest = { loss: kept(loss), step: this.#step };
    // Running totals of the run.
    told.rejected = rejected ?? 0;
    told.held = heldBatches ?? 0;
    told.skipped += skippedLayers;
    if (status !== "ok") told.statuses[status] = (told.statuses[status] ?? 0) + 1;
  }
}

/** In six digits; JSON has no number that is not finite. @param {number} value */
export const kept = (value) => (Number.isFinite(value) ? Number(value.toPrecision(6)) : null);
