// One case on the library and on every peer: outputs checked first, then interleaved pairs.
import { setsFor } from "./data.mjs";
import { timing } from "./library.mjs";
import { messageOf } from "./peers/index.mjs";

const { affordablePairs, calibrate, median, medianInterval, medianMs, pairedRatios, sample, samplePairs } =
  timing;

/**
 * @typedef {import("./operations/index.mjs").Case} Case
 * @typedef {import("./operations/index.mjs").Operation} Operation
 * @typedef {import("../src/timing/index.js").Interval} Interval
 * @typedef {import("../src/timing/index.js").Sample} Sample
 * @typedef {import("../src/timing/index.js").Runner} Runner
 * @typedef {import("./operations/index.mjs").Inputs} Inputs
 * @typedef {import("./operations/index.mjs").Outputs} Outputs
 * @typedef {import("./gpu.mjs").Lab} Lab
 * @typedef {import("./arguments.mjs").Options} Options
 * @typedef {import("./peers/index.mjs").Peer} Peer
 * @typedef {import("./peers/index.mjs").Formulation} Formulation
 *
 * @typedef {object} Measured
 * @property {number} ms median
 * @property {number} [deviceMs] median from the submit on
 * @property {number[]} samples
 * @property {number} repetitions
 * @property {number} firstMs first call
 * @property {number} error
 * @property {number} [dispatches]
 *
 * @typedef {object} PeerRow
 * @property {string} peer
 * @property {string} name
 * @property {"measured" | "skipped" | "failed" | "absent" | "wrong"} status
 * @property {string} [reason]
 * @property {string} [formulation]
 * @property {Measured} [measured]
 * @property {number[]} [ours] the library's samples of the same pairs
 * @property {Interval} [ratio]
 * @property {number} [deviceRatio] of a native library, beside the time from the submit on
 * @property {{ formulation: string, ms?: number, firstMs?: number, reason?: string }[]} [others]
 *
 * @typedef {object} Row
 * @property {string} operation
 * @property {string} id
 * @property {string} label
 * @property {number} size
 * @property {string} [series]
 * @property {number} [flops]
 * @property {number} sets of inputs that are rotated
 * @property {Measured} [ours]
 * @property {string} [failure] of the library itself
 * @property {PeerRow[]} peers
 */

/** Times of earlier cases, from which those of larger ones are predicted. */
export class History {
  /** @type {Map<string, { ms: number, work: number }>} */
  #last = new Map();

  /** @param {string} key @param {number} ms @param {number} work */
  note(key, ms, work) {
    this.#last.set(key, { ms, work });
  }

  /** @param {string} key @param {number} work */
  predict(key, work) {
    const known = this.#last.get(key);
    return known ? known.ms * Math.max(1, work / known.work) : 0;
  }
}

/**
 * @param {Lab} lab
 * @param {Operation} operation
 * @param {Case} one
 * @param {readonly import("./peers/index.mjs").MaybePeer[]} peers
 * @param {Options} options
 * @param {History} history
 * @returns {Promise<Row>}
 */
export async function compare(lab, operation, one, peers, options, history) {
  const count = setsFor(one.bytes, lab.cacheBytes);
  const sets = Array.from({ length: count }, (_, k) => one.inputs(1 + k * 104729));
  const { id, label, size, series, flops } = one;
  /** @type {Row} */
  const row = { operation: operation.id, id, label, size, series, flops, sets: count, peers: [] };
  let ours;
  try {
    ours = await prepareOurs(lab, one, sets, options);
    row.ours = ours.measured;
    if (!(ours.measured.error <= one.tolerance)) {
      row.failure = `wrong result: error ${ours.measured.error.toExponential(1)}`;
    }
    for (const peer of peers) {
      const variant = "variant" in peer && peer.variant;
      if (variant && peer.formulations(operation.kind).length === 0) continue;
      row.peers.push(await comparePeer(ours, operation, one, sets, peer, options, history));
    }
    if (row.ours.samples.length === 0) {
      const pairs = affordablePairs(options.pairs, ours.measured.ms * ours.repetitions, options.budgetMs);
      for (let k = 0; k < pairs; k++) ours.samples.push(await sample(ours.runner, ours.repetitions));
    }
    summarize(ours.measured, ours.samples);
  } catch (error) {
    row.failure = messageOf(error);
  } finally {
    ours?.runner.dispose();
  }
  return row;
}

/** @typedef {Awaited<ReturnType<typeof prepareOurs>>} Ours */

/** @param {Lab} lab @param {Case} one @param {readonly Inputs[]} sets @param {Options} options */
async function prepareOurs(lab, one, sets, options) {
  const { device } = lab.engine;
  device.pushErrorScope("validation");
  device.pushErrorScope("out-of-memory");
  const runner = one.ours(lab, sets);
  // The first call compiles; it is a figure of its own.
  const { ms: firstMs } = await sample(runner, 1);
  const error = one.check(await runner.output(), sets[0]);
  const calibration = await calibrate(runner, { sampleMs: options.sampleMs, firstMs });
  const [memory, validation] = [await device.popErrorScope(), await device.popErrorScope()];
  const problem = memory ?? validation;
  if (problem) throw new Error(problem.message);
  const { repetitions, ms } = calibration;
  const { dispatches } = runner;
  /** @type {Measured} */
  const measured = { ms, samples: [], repetitions, firstMs, error, dispatches };
  return { runner, repetitions, measured, samples: /** @type {Sample[]} */ ([]) };
}

/** @param {Measured} measured @param {readonly Sample[]} samples */
function summarize(measured, samples) {
  measured.samples = samples.map(({ ms }) => ms);
  measured.ms = medianMs(samples);
  const device = samples.flatMap(({ deviceMs }) => deviceMs ?? []);
  if (device.length > 0) measured.deviceMs = median(device);
}

/**
 * @param {Ours} ours @param {Operation} operation @param {Case} one @param {readonly Inputs[]} sets
 * @param {import("./peers/index.mjs").MaybePeer} peer @param {Options} options @param {History} history
 * @returns {Promise<PeerRow>}
 */
async function comparePeer(ours, operation, one, sets, peer, options, history) {
  const base = { peer: peer.id, name: peer.name };
  const tolerance = one.tolerance * (("looseness" in peer && peer.looseness) || 1);
  if ("error" in peer) return { ...base, status: "absent", reason: peer.error };
  const formulations = peer.formulations(operation.kind);
  if (formulations.length === 0) return { ...base, status: "absent", reason: "has no such operation" };
  /** @type {NonNullable<PeerRow["others"]>} */
  const others = [];
  const anyKey = `${operation.kind} ${peer.id}`;
  /** @type {Candidate | undefined} */
  let best;
  /** @type {number[]} */
  const found = [];
  for (const formulation of formulations) {
    // They are listed by promise, so a quick run takes the first that works.
    if (best && options.quick) break;
    const key = `${operation.kind} ${peer.id} ${formulation.name}`;
    // A way that was not tried yet is held to take as long as the best of the others.
    const predicted = history.predict(key, one.work) || history.predict(anyKey, one.work);
    const cap = Math.min(options.capMs, best ? Math.max(30, 1.5 * best.ms) : Number.POSITIVE_INFINITY);
    if (predicted > cap) {
      const reason = `predicted ${seconds(predicted)} a call`;
      others.push({ formulation: formulation.name, reason });
      continue;
    }
    /** @type {Candidate | undefined} */
    let candidate;
    try {
      candidate = await prepare(peer, formulation, one, sets, options, predicted);
    } catch (error) {
      others.push({ formulation: formulation.name, reason: messageOf(error) });
      continue;
    }
    if (!candidate) continue;
    history.note(key, candidate.ms, one.work);
    found.push(candidate.ms);
    if (!(candidate.error <= tolerance)) {
      others.push({
        formulation: formulation.name,
        reason: `wrong result: error ${candidate.error.toExponential(1)}`,
      });
      candidate.runner.dispose();
      continue;
    }
    const [kept, dropped] = best && best.ms <= candidate.ms ? [best, candidate] : [candidate, best];
    if (dropped) {
      others.push({ formulation: dropped.formulation, ms: dropped.ms, firstMs: dropped.firstMs });
      dropped.runner.dispose();
    }
    best = kept;
  }
  if (found.length > 0) history.note(anyKey, Math.min(...found), one.work);
  if (!best) {
    const reason = others.map((other) => other.reason).filter(Boolean)[0] ?? "no formulation fits";
    const status = reason.startsWith("predicted")
      ? "skipped"
      : reason.startsWith("wrong")
        ? "wrong"
        : "failed";
    return { ...base, status, reason, others };
  }
  try {
    const { formulation, runner, repetitions, firstMs, error } = best;
    const pairMs = best.ms * repetitions + ours.measured.ms * ours.repetitions;
    const pairs = affordablePairs(options.pairs, pairMs, options.budgetMs);
    const samples = await samplePairs(ours, { runner, repetitions }, pairs);
    ours.samples.push(...samples.a);
    ours.measured.samples = ours.samples.map(({ ms }) => ms);
    /** @type {Measured} */
    const measured = { ms: 0, samples: [], repetitions, firstMs, error };
    summarize(measured, samples.b);
    const { ratio } = samples;
    const onDevice = samples.a.map(({ ms, deviceMs }) => ({ ms: deviceMs ?? ms }));
    const deviceRatio = best.native ? medianInterval(pairedRatios(onDevice, samples.b)).value : undefined;
    return {
      ...base,
      status: "measured",
      formulation,
      measured,
      ours: samples.a.map(({ ms }) => ms),
      ratio,
      deviceRatio,
      others,
    };
  } catch (error) {
    return { ...base, status: "failed", reason: messageOf(error), others };
  } finally {
    best.runner.dispose();
  }
}

/**
 * @typedef {object} Candidate a formulation that was tried
 * @property {string} formulation
 * @property {boolean} native whether its library times itself
 * @property {PeerRunner} runner
 * @property {number} repetitions
 * @property {number} ms
 * @property {number} firstMs
 * @property {number} error
 */

/**
 * First call, check and calibration of one formulation; nothing where it does not apply to the case.
 * @param {Peer} peer @param {Formulation} formulation @param {Case} one @param {readonly Inputs[]} sets
 * @param {Options} options @param {number} predicted milliseconds of a call
 * @returns {Promise<Candidate | undefined>}
 */
async function prepare(peer, formulation, one, sets, options, predicted) {
  await peer.enter();
  /** @type {unknown[]} */
  const states = [];
  const { timed } = formulation;
  const runner = timed
    ? timedRunner({ ...formulation, timed }, states)
    : peerRunner(peer, formulation, states, one.bytes);
  try {
    for (const inputs of sets) {
      const state = await formulation.upload(inputs);
      if (state === undefined) return undefined;
      states.push(state);
    }
    const { ms: firstMs, output } = await runner.first();
    const error = one.check(output, sets[0]);
    // Where a smaller case told how long it would take, little of the first call was compiling.
    const isWarm = firstMs > 1000 && firstMs < 2 * predicted;
    const calibration = { sampleMs: options.sampleMs, firstMs, secondMs: isWarm ? firstMs : 0 };
    const { repetitions, ...warm } = await calibrate(runner, calibration);
    // Formulations are chosen by this, so it should not hang on one sample.
    let { ms } = warm;
    for (let k = 0; k < 2 && ms * repetitions < 300; k++) {
      ms = Math.min(ms, (await sample(runner, repetitions)).ms);
    }
    return {
      formulation: formulation.name,
      native: Boolean(formulation.timed),
      runner,
      repetitions,
      ms,
      firstMs,
      error,
    };
  } catch (error) {
    runner.dispose();
    throw error;
  }
}

/**
 * @typedef {Runner & { first(): Promise<{ ms: number, output: Outputs }>, dispose(): void }} PeerRunner `first` is the first
 *   call of all, on the first set, with what it gives
 */

/**
 * A library that times itself.
 * @param {Formulation & Required<Pick<Formulation, "timed">>} formulation @param {unknown[]} states
 * @returns {PeerRunner}
 */
function timedRunner(formulation, states) {
  let next = 0;
  return {
    async run(repetitions) {
      const totalMs = await formulation.timed(states, next, repetitions);
      next = (next + repetitions) % states.length;
      return { totalMs };
    },
    async first() {
      const ms = await formulation.timed(states, 0, 1);
      return { ms, output: await formulation.read(formulation.call(states[0])) };
    },
    dispose() {
      for (const state of states) formulation.drop(state);
      states.length = 0;
    },
  };
}

/** Results of a sample that are held until its end take at most this much. */
const HELD_BYTES = 256 * 2 ** 20;

/**
 * @param {Peer} peer @param {Formulation} formulation @param {unknown[]} states @param {number} bytes of a set of inputs
 * @returns {PeerRunner}
 */
function peerRunner(peer, formulation, states, bytes) {
  let next = 0;
  const calls = async (/** @type {number} */ repetitions) => {
    /** @type {unknown[]} */
    const results = [];
    for (let k = 0; k < repetitions; k++) {
      results.push(formulation.call(states[next]));
      next = (next + 1) % states.length;
    }
    await peer.finish(results);
    return results;
  };
  return {
    most: Math.max(1, Math.floor(HELD_BYTES / bytes)),
    enter: () => Promise.resolve(peer.enter()),
    async run(repetitions) {
      for (const result of await calls(repetitions)) formulation.free(result);
    },
    async first() {
      await peer.enter();
      const start = performance.now();
      const [result] = await calls(1);
      const ms = performance.now() - start;
      const data = await formulation.read(result);
      const output = data.map((numbers) =>
        numbers instanceof Float32Array ? numbers.slice() : Float32Array.from(numbers),
      );
      formulation.free(result);
      return { ms, output };
    },
    dispose() {
      for (const state of states) formulation.drop(state);
      states.length = 0;
    },
  };
}

/** @param {number} ms */
const seconds = (ms) => `${ms >= 10_000 ? (ms / 1000).toFixed(0) : (ms / 1000).toPrecision(2)} s`;
