import { productError } from "../check.mjs";
import { randoms, transposed } from "../data.mjs";
import { matmulFlops } from "../flops.mjs";
import { Arena, recordedRunner } from "../gpu.mjs";

/** @type {import("./index.mjs").Operation} */
export const matmul = {
  id: "matmul",
  title: "Product AB",
  kind: "matmul",
  cases: (extent, software) => [
    ...(extent === "quick" ? [256] : software ? [256, 512, 1024] : [256, 512, 1024, 2048, 4096]).map((n) =>
      productCase(n),
    ),
    // Once more with both rounded to f16, for the error beside that of f32.
    ...(extent === "quick" ? [256] : [512, 1024]).map((n) => ({
      ...productCase(n, "f16"),
      id: `matmul ${n} f16`,
      label: `${n} × ${n}, f16`,
      series: undefined,
      tolerance: 1e-3,
    })),
  ],
};

/**
 * @param {number} n @param {import("../../src/index.js").Precision} [precision]
 * @returns {import("./index.mjs").Case<import("./index.mjs").InputsOf["matmul"]>}
 */
function productCase(n, precision = "f32") {
  return {
    id: `matmul ${n}`,
    label: `${n} × ${n}`,
    precision,
    size: n,
    series: "square",
    work: matmulFlops(n, n, n),
    flops: matmulFlops(n, n, n),
    bytes: 8 * n * n,
    inputs: (seed) => ({ A: randoms(n * n, seed), B: randoms(n * n, seed + 500), m: n, k: n, n }),
    check: ([C], { A, B }) => productError(C, A, B, n, n, n),
    tolerance: 1e-5,
    ours(lab, sets) {
      const { matmul: record } = lab.library;
      // A stored with the summed index as the row, as the library lays its operands out.
      const arenas = sets.map(
        ({ A, B }) =>
          new Arena(lab, [
            { rows: n, cols: n, data: transposed(A, n, n) },
            { rows: n, cols: n, data: B },
          ]),
      );
      const output = new Arena(lab, [{ rows: n, cols: n }]);
      return recordedRunner(
        lab,
        arenas,
        (recorder, { views: [A, B] }) =>
          record(recorder, { A, B, into: output.views[0], transposeA: true, precision }),
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
