import { eighError } from "../check.mjs";
import { spd } from "../data.mjs";
import { Arena, recordedRunner, squareArenas } from "../gpu.mjs";

/** @type {import("./index.mjs").Operation} */
export const eigh = {
  id: "eigh",
  title: "Eigen-decomposition of a symmetric matrix",
  kind: "eigh",
  cases: (extent) =>
    extent === "quick"
      ? [decomposition(1, 64)]
      : [decomposition(1, 64), decomposition(1, 128), decomposition(1, 256), decomposition(256, 128)],
};

/** @param {number} count @param {number} n @returns {import("./index.mjs").Case<import("./index.mjs").InputsOf["eigh"]>} */
function decomposition(count, n) {
  return {
    id: `eigh ${count > 1 ? `${count} of ` : ""}${n}x${n}`,
    label: count > 1 ? `${count} of ${n} × ${n}` : `${n} × ${n}`,
    size: n,
    series: count > 1 ? undefined : "one matrix",
    work: count * n ** 3,
    bytes: 4 * count * n * n,
    inputs: (seed) => ({
      list: Array.from({ length: count }, (_, k) => ({
        n,
        S: Float32Array.from(spd(n, 1000, seed + 7919 * k, 8)),
      })),
    }),
    check: (outputs, { list }) =>
      Math.max(...list.map(({ S }, k) => eighError(outputs[2 * k] ?? [], outputs[2 * k + 1] ?? [], S, n))),
    tolerance: 1e-4,
    ours(lab, sets) {
      const { eigh: record } = lab.library;
      const shapes = Array.from({ length: count }, () => ({ rows: n, cols: n }));
      const inputs = squareArenas(lab, sets);
      const vectors = new Arena(lab, shapes);
      const values = new Arena(
        lab,
        shapes.map(() => ({ rows: 1, cols: n })),
      );
      const status = new Arena(lab, [{ rows: 1, cols: count }]);
      return recordedRunner(
        lab,
        inputs,
        (recorder, { views }) =>
          record(
            recorder,
            views.map((S, k) => ({ S, vectors: vectors.views[k], values: values.views[k] })),
            status.buffer,
          ),
        {
          async output() {
            const [L, V] = [await values.read(), await vectors.read()];
            return L.flatMap((list, k) => [list, V[k]]);
          },
          dispose() {
            for (const arena of [...inputs, vectors, values, status]) arena.dispose();
          },
        },
      );
    },
  };
}
