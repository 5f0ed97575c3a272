// How far inverses in f32 are from the truth, by condition number: matrices with a known spectrum, made in f64 and rounded to
// f32 once, beside the f64 inverse of what was rounded. Sizes are such that each of the library's ways is taken.
import { History } from "../compare.mjs";
import { spd } from "../data.mjs";
import { Arena, recordedRunner } from "../gpu.mjs";
import { messageOf } from "../peers/index.mjs";

/**
 * @typedef {import("../gpu.mjs").Lab & { reference: typeof import("../../src/reference/index.js") }} ReferenceLab
 * @typedef {{ error: number | null, reason?: string }} Outcome
 */

/** A peer's call that would take longer is left out. */
const CAP_MS = 2000;

/**
 * @typedef {object} AccuracyRow
 * @property {number} n
 * @property {number} condition
 * @property {string} who a peer's id, or "kfac-webgpu"
 * @property {string} name
 * @property {string} way
 * @property {number | null} error ‖X − S⁻¹‖ / ‖S⁻¹‖, none where the inverse failed
 * @property {string} [reason]
 */

/** @param {import("./index.mjs").Extent} extent */
export const accuracyGrid = (extent) =>
  extent === "quick"
    ? { sizes: [32, 128], conditions: [1e1, 1e3, 1e5, 1e7] }
    : { sizes: [32, 128, 512], conditions: [1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7] };

/**
 * @param {ReferenceLab} lab
 * @param {readonly import("../peers/index.mjs").MaybePeer[]} peers
 * @param {import("./index.mjs").Extent} extent
 * @returns {Promise<AccuracyRow[]>}
 */
export async function measureAccuracy(lab, peers, extent) {
  const { sizes, conditions } = accuracyGrid(extent);
  /** @type {AccuracyRow[]} */
  const rows = [];
  const history = new History();
  for (const n of sizes) {
    for (const condition of conditions) {
      const S = Float32Array.from(
        spd(n, condition, 17 * n + Math.round(Math.log10(condition)), Math.min(n, 64)),
      );
      const exact = inverseOf(lab.reference, S, n);
      // Rounding to f32 alone may cost the last of 7 digits; then there is nothing to compare with.
      if (!exact) continue;
      const note = (
        /** @type {{ id: string, name: string }} */ { id: who, name },
        /** @type {string} */ way,
        /** @type {Outcome} */ outcome,
      ) => rows.push({ n, condition, who, name, way, ...outcome });
      note({ id: "kfac-webgpu", name: "kfac-webgpu" }, "invert", await ours(lab, S, n, exact));
      for (const peer of peers) {
        if ("error" in peer) continue;
        for (const formulation of peer.formulations("invert")) {
          const key = `${peer.id} ${formulation.name}`;
          if (peer.id === "ml-matrix" || /f64|stack/.test(formulation.name)) continue;
          if (history.predict(key, n ** 3) > CAP_MS) continue;
          const start = performance.now();
          note(peer, formulation.name, await theirs(peer, formulation, { list: [{ S, n }] }, exact));
          history.note(key, performance.now() - start, n ** 3);
        }
      }
    }
  }
  return rows;
}

/** @param {ReferenceLab["reference"]} reference @param {Float32Array} S @param {number} n */
function inverseOf(reference, S, n) {
  const { inverse, status } = reference.invert(reference.matrix(n, n, S));
  return status === 0 ? inverse.data : undefined;
}

/** @param {ArrayLike<number>} X @param {ArrayLike<number>} exact @returns {Outcome} */
function outcomeOf(X, exact) {
  let gap = 0;
  let size = 0;
  for (let e = 0; e < exact.length; e++) {
    gap += (X[e] - exact[e]) ** 2;
    size += exact[e] ** 2;
  }
  const error = Math.sqrt(gap / size);
  return Number.isFinite(error) ? { error } : { error: null, reason: "not finite" };
}

/**
 * @param {ReferenceLab} lab @param {Float32Array} S @param {number} n @param {ArrayLike<number>} exact
 * @returns {Promise<Outcome>}
 */
async function ours(lab, S, n, exact) {
  const { invert } = lab.library;
  const word = [{ rows: 1, cols: 1 }];
  const shape = { rows: n, cols: n };
  const [input, output] = [new Arena(lab, [{ ...shape, data: S }]), new Arena(lab, [shape])];
  const [dampings, status] = [new Arena(lab, word), new Arena(lab, word)];
  const runner = recordedRunner(
    lab,
    [input.views[0]],
    (recorder, view) =>
      invert(recorder, [{ S: view, into: output.views[0] }], {
        dampings: dampings.buffer,
        status: status.buffer,
      }),
    { output: () => output.read(), dispose() {} },
  );
  try {
    const [X] = await runner.output();
    const [words] = await status.read();
    const bits = new Uint32Array(words.buffer, words.byteOffset, 1)[0];
    const { notPositiveDefinite, nonFinite } = lab.library.InvertStatus;
    if (bits & (notPositiveDefinite | nonFinite)) return { error: null, reason: `status ${bits}` };
    return outcomeOf(X, exact);
  } finally {
    for (const arena of [input, output, dampings, status]) arena.dispose();
  }
}

/**
 * @param {import("../peers/index.mjs").Peer} peer @param {import("../peers/index.mjs").Formulation} formulation
 * @param {import("./index.mjs").InputsOf["invert"]} inputs @param {ArrayLike<number>} exact
 * @returns {Promise<Outcome>}
 */
async function theirs(peer, formulation, inputs, exact) {
  let state;
  try {
    await peer.enter();
    state = await formulation.upload(inputs);
    const result = formulation.call(state);
    await peer.finish([result]);
    const [X] = await formulation.read(result);
    const outcome = outcomeOf(X, exact);
    formulation.free(result);
    return outcome;
  } catch (error) {
    return { error: null, reason: messageOf(error) };
  } finally {
    if (state !== undefined) formulation.drop(state);
  }
}
