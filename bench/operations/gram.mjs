import { gramError } from "../check.mjs";
import { randoms, transposed } from "../data.mjs";
import { gramFlops } from "../flops.mjs";
import { Arena, recordedRunner } from "../gpu.mjs";

/** @type {[d: number, n: number][]} */
const QUICK = [
  [64, 512],
  [256, 1024],
];
/** @type {[d: number, n: number][]} */
const FULL = [
  [64, 512],
  [64, 16384],
  [256, 4096],
  [256, 16384],
  [512, 512],
  [512, 4096],
  [1024, 2048],
  [1024, 8192],
  [2048, 2048],
];
/** Minutes on a software adapter. @type {[d: number, n: number][]} */
const HARDWARE = [
  [512, 16384],
  [2048, 16384],
  [4096, 4096],
];

/** Once more with A rounded to f16, for the error beside that of f32. @type {Record<"quick" | "full", [d: number, n: number][]>} */
const HALF = {
  quick: [[256, 1024]],
  full: [
    [512, 4096],
    [1024, 2048],
  ],
};

/** One case a size makes the chart's line. */
const CHARTED = new Set(
  [
    [64, 16384],
    [256, 4096],
    [512, 4096],
    [1024, 2048],
    [2048, 2048],
    [4096, 4096],
  ].map(([d, n]) => `${d} ${n}`),
);

/** @type {import("./index.mjs").Operation} */
export const gram = {
  id: "gram",
  title: "Gram matrix AA'",
  kind: "gram",
  cases: (extent, software) => [
    ...(extent === "quick"
      ? QUICK.map(([d, n]) => gramCase(d, n, true))
      : (software ? FULL : [...FULL, ...HARDWARE]).map(([d, n]) => gramCase(d, n, CHARTED.has(`${d} ${n}`)))),
    ...HALF[extent].map(([d, n]) => ({
      ...gramCase(d, n, false, "f16"),
      id: `gram ${d}x${n} f16`,
      label: `${d} × ${n}, f16`,
      tolerance: 1e-3,
    })),
  ],
};

/**
 * @param {number} d @param {number} n @param {boolean} charted
 * @param {import("../../src/index.js").Precision} [precision]
 * @returns {import("./index.mjs").Case<import("./index.mjs").InputsOf["gram"]>}
 */
function gramCase(d, n, charted, precision = "f32") {
  return {
    id: `gram ${d}x${n}`,
    label: `${d} × ${n}`,
    precision,
    size: d,
    series: charted ? "one a size" : undefined,
    work: gramFlops(d, n),
    flops: gramFlops(d, n),
    bytes: 4 * d * n,
    inputs: (seed) => {
      const A = randoms(d * n, seed);
      return { A, X: transposed(A, d, n), d, n };
    },
    check: ([S], { A }) => gramError(S, A, d, n),
    tolerance: 1e-5,
    ours(lab, sets) {
      const { gram: record } = lab.library;
      // One example a row: the layout in which the network keeps activations, and the peers may choose theirs.
      const inputs = new Arena(
        lab,
        sets.map(({ X }) => ({ rows: n, cols: d, data: X })),
      );
      const output = new Arena(lab, [{ rows: d, cols: d }]);
      return recordedRunner(
        lab,
        inputs.views,
        (recorder, A) => record(recorder, { A, into: output.views[0], examples: "rows", precision }),
        {
          output: () => output.read(),
          dispose() {
            inputs.dispose();
            output.dispose();
          },
        },
      );
    },
  };
}
