import { sandwichError } from "../check.mjs";
import { randoms, spd } from "../data.mjs";
import { sandwichFlops } from "../flops.mjs";
import { Arena, recordedRunner } from "../gpu.mjs";

/** @type {import("./index.mjs").Operation} */
export const sandwich = {
  id: "sandwich",
  title: "Sandwich PGQ",
  kind: "sandwich",
  cases: (extent) =>
    (extent === "quick"
      ? [[128, 257]]
      : [
          [128, 257],
          [256, 785],
          [1000, 1001],
        ]
    ).map(([m, n]) => sandwichCase(m, n)),
};

/** @param {number} m @param {number} n @returns {import("./index.mjs").Case<import("./index.mjs").InputsOf["sandwich"]>} */
function sandwichCase(m, n) {
  return {
    id: `sandwich ${m}x${n}`,
    label: `${m} × ${n}`,
    size: m,
    work: sandwichFlops(m, n),
    flops: sandwichFlops(m, n),
    bytes: 4 * (m * m + m * n + n * n),
    inputs: (seed) => ({
      P: Float32Array.from(spd(m, 100, seed)),
      G: randoms(m * n, seed + 1),
      Q: Float32Array.from(spd(n, 100, seed + 2)),
      m,
      n,
    }),
    check: ([U], { P, G, Q }) => sandwichError(U, P, G, Q, m, n),
    tolerance: 1e-5,
    ours(lab, sets) {
      const { sandwich: record } = lab.library;
      const arenas = sets.map(
        ({ P, G, Q }) =>
          new Arena(lab, [
            { rows: m, cols: m, data: P },
            { rows: m, cols: n, data: G },
            { rows: n, cols: n, data: Q },
          ]),
      );
      const output = new Arena(lab, [{ rows: m, cols: n }]);
      return recordedRunner(
        lab,
        arenas,
        (recorder, { views: [P, G, Q] }) => record(recorder, { P, G, Q, into: output.views[0] }),
        {
          output: () => output.read(),
          dispose() {
            for (const arena of [...arenas, output]) arena.dispose();
          },
        },
      );
    },
  };
}
