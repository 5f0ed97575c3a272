import { inverseError } from "../check.mjs";
import { spd } from "../data.mjs";
import { invertFlops } from "../flops.mjs";
import { Arena, recordedRunner, squareArenas } from "../gpu.mjs";

/** Of the factors of damped curvature, which is what is inverted in training. */
const CONDITION = 1000;

/** The factors of 784-256-128-10 with biases. */
const NETWORK = [785, 256, 257, 128, 129, 10];

/** @type {import("./index.mjs").Operation} */
export const invert = {
  id: "invert",
  title: "SPD inverse",
  kind: "invert",
  cases(extent, software) {
    const single = (/** @type {number} */ n) => inversion(`${n} × ${n}`, [n], n, "one matrix");
    const batch = (/** @type {number} */ count, /** @type {number} */ n) =>
      inversion(
        `${count} of ${n} × ${n}`,
        Array.from({ length: count }, () => n),
        n,
      );
    const mixed = inversion("785, 256, 257, 128, 129, 10", NETWORK, 785);
    if (extent === "quick") return [single(64), single(256), batch(16, 32)];
    const cases = [
      ...[64, 128, 256, 512, 1024, 2048].map(single),
      batch(256, 32),
      batch(64, 128),
      batch(16, 512),
      mixed,
    ];
    return software ? cases : [...cases, single(4096), batch(256, 128), batch(64, 512)];
  },
};

/**
 * @param {string} label @param {number[]} sizes @param {number} size
 * @param {string} [series]
 * @returns {import("./index.mjs").Case<import("./index.mjs").InputsOf["invert"]>}
 */
function inversion(label, sizes, size, series) {
  const elements = sizes.reduce((sum, n) => sum + n * n, 0);
  return {
    id: `invert ${label.replaceAll(" × ", "x")}`,
    label,
    size,
    series,
    work: invertFlops(sizes),
    flops: invertFlops(sizes),
    bytes: 4 * elements,
    inputs: (seed) => ({
      list: sizes.map((n, k) => ({ n, S: Float32Array.from(spd(n, CONDITION, seed + 7919 * k)) })),
    }),
    check: (outputs, { list }) =>
      Math.max(...list.map(({ S, n }, k) => inverseError(outputs[k] ?? [], S, n))),
    // A residual as large as the condition number makes the forward error.
    tolerance: CONDITION * 2 ** -20,
    ours(lab, sets) {
      const { invert: record } = lab.library;
      const inputs = squareArenas(lab, sets);
      const shapes = sizes.map((n) => ({ rows: n, cols: n }));
      const output = new Arena(lab, shapes);
      const words = [{ rows: 1, cols: sizes.length }];
      const [dampings, status] = [new Arena(lab, words), new Arena(lab, words)];
      const buffers = { dampings: dampings.buffer, status: status.buffer };
      return recordedRunner(
        lab,
        inputs,
        (recorder, { views }) =>
          record(
            recorder,
            views.map((S, k) => ({ S, into: output.views[k] })),
            buffers,
          ),
        {
          output: () => output.read(),
          dispose() {
            for (const arena of [...inputs, output, dampings, status]) arena.dispose();
          },
        },
      );
    },
  };
}
