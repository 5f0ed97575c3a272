// The study as heat maps, a table and curves.

import {
  curves,
  dataTable,
  element,
  fixed,
  type Heatmap,
  heatmap,
  integer,
  math,
  number,
  percent,
  scientific,
  statRow,
  statTile,
} from "../../ui/index.js";
import { mapGrid, quantile } from "../../ui/maps.js";
import { NAMES } from "./names.js";
import { sizesOf } from "./problem.js";
import { APPROXIMATIONS, type ApproximationName, type Study } from "./study.js";
import { termsWithin } from "./terms.js";
import type { TwinStudy } from "./twin.js";

/** How near a sum of Kronecker products is asked to come. */
const NEAR = 0.1;
/** Share of the numbers that the colours tell apart; the largest look alike. */
const SHOWN = 0.99;

export interface ResultsView {
  readonly element: HTMLElement;
  show(study: Study): void;
  /** The same in f64, once it is there. */
  check(study: Study, twin: TwinStudy): void;
}

export function resultsView(signal: AbortSignal): ResultsView {
  const size = statTile({ label: "Unknowns of the kernel" });
  const first = statTile({ label: "Share of the first Kronecker term" });
  const terms = statTile({ label: `Terms to come within ${percent(NEAR, 0)}` });
  const step = statTile({ label: "Exact step, GPU against f64" });

  const exactMap = heatmap({
    title: math("H_{u}", "H u"),
    name: "Exact H",
    caption: "exact",
    size: 320,
    signal,
  });
  const maps = Object.fromEntries(
    APPROXIMATIONS.map((name) => [name, heatmap({ ...NAMES[name], size: 320, signal })]),
  ) as Record<ApproximationName, Heatmap>;

  const table = dataTable({
    caption: "Each approximation against the exact curvature; f64 beside the GPU’s numbers",
    columns: [
      { label: "" },
      { label: "Error", numeric: true },
      { label: "in f64", numeric: true },
      { label: "Size", numeric: true },
      { label: "Cosine", numeric: true },
      { label: "in f64", numeric: true },
      { label: "Decrease", numeric: true },
      { label: "CG iterations", numeric: true },
    ],
  });
  const plot = curves({
    title: "Conjugate gradients, with each approximation as preconditioner",
    x: { label: "Iteration", format: integer },
    y: { label: "Residual ‖r‖ / ‖G‖", log: true },
    series: [
      { label: "None", color: 5, dash: [2, 3] },
      { label: NAMES.expand.title, color: 1, dash: [] },
      { label: NAMES.reduce.title, color: 2, dash: [8, 4] },
      { label: NAMES.ekfac.title, color: 3, dash: [] },
      { label: NAMES.kfoc.title, color: 4, dash: [10, 3, 2, 3] },
      { label: NAMES.meanFluctuation.title, color: 2, dash: [] },
    ],
    height: 320,
    signal,
  });
  const all = [exactMap, ...APPROXIMATIONS.map((name) => maps[name])];
  const grid = element("div", { class: "figures maps" }, ...all.map((map) => map.element));
  const layout = mapGrid(grid, all, signal);
  const summary = element("p", { role: "status" });
  const made = element(
    "div",
    { class: "convolution-results", hidden: true },
    statRow(size, first, terms, step),
    grid,
    element(
      "p",
      { class: "note" },
      "Rows and columns are the kernel’s weights, a block for each pair of inputs. All maps share one scale; the largest hundredth of the numbers has the colour of its end.",
    ),
    summary,
    table.element,
    element(
      "p",
      { class: "note" },
      "Error: ‖H̃ − H‖ / ‖H‖. Size: ‖H̃‖ / ‖H‖; below 1, a damping beside it weighs too much. Cosine: of the angle between (H̃ + λI)⁻¹G and the exact step. Decrease: what that step takes off the quadratic model at its best length, as a share of what the exact one does. Iterations: to a residual of 10⁻⁵.",
    ),
    plot.element,
  );

  const rows = (study: Study, twin?: TwinStudy) => {
    const none = study.measures[0]!;
    table.set([
      [
        "Gradient alone",
        "–",
        "–",
        "–",
        fixed(none.cosine, 4),
        "–",
        percent(none.shareAtBestStep),
        iterationsOf(study, 0),
      ],
      ...APPROXIMATIONS.map((name, index) => {
        const measures = study.measures[index + 1]!;
        const reference = twin?.qualities[index];
        const { error, size: norm } = study.approximations[name];
        return [
          NAMES[name].title,
          fixed(error, 4),
          reference ? fixed(reference.error, 4) : "…",
          fixed(norm, 3),
          fixed(measures.cosine, 4),
          reference ? fixed(reference.cosine, 4) : "…",
          percent(measures.shareAtBestStep),
          iterationsOf(study, index + 1),
        ];
      }),
    ]);
  };

  return {
    element: made,
    show(study) {
      const { rows: out, cols, unknowns, positions } = sizesOf(study.problem);
      made.hidden = false;
      delete made.dataset.checked;
      size.set(
        integer(unknowns),
        `${out} × ${cols}, applied at ${positions} position${positions === 1 ? "" : "s"}`,
      );
      for (const tile of [first, terms, step]) tile.set("…", "");
      const limit = quantile(study.exact.data, SHOWN);
      layout.resize(unknowns);
      exactMap.update(study.exact, { limit });
      for (const name of APPROXIMATIONS) maps[name].update(study.approximations[name].dense, { limit });
      rows(study);
      for (const [index, { cg }] of study.measures.entries()) {
        plot.set(index, { x: cg.residuals.map((_, k) => k), y: cg.residuals });
      }
      summary.textContent = summaryOf(study);
    },
    check(study, twin) {
      rows(study, twin);
      const share = twin.terms[0] ?? 0;
      first.set(
        percent(share),
        `the nearest product misses ${number(Math.sqrt(Math.max(0, 1 - share)))} of H`,
      );
      terms.set(
        integer(termsWithin(twin.terms, NEAR)),
        `of at most ${twin.terms.length}; a matrix product needs 1`,
      );
      const cosine = cosineOf(study.step, twin.step.data);
      step.set(fixed(cosine, 6), `their cosine; ${certificateText(study)}`);
      made.dataset.deviation = String(deviation(study.exact.data, twin.H.data));
      made.dataset.cosine = String(cosine);
      made.dataset.checked = JSON.stringify(study.problem);
    },
  };
}

function certificateText({ certificate }: Study): string {
  return certificate === undefined ? "" : `residual ${scientific(certificate)}`;
}

function iterationsOf({ measures }: Study, index: number): string {
  const { status, iterations } = measures[index]!.cg;
  return status === "converged" ? String(iterations) : `${iterations} (${status})`;
}

/** The best of each measure, in a sentence. */
function summaryOf({ approximations, measures }: Study): string {
  const best = (score: (name: ApproximationName, index: number) => number) =>
    APPROXIMATIONS.map((name, index) => ({ name, score: score(name, index) })).reduce((a, b) =>
      b.score < a.score ? b : a,
    );
  const near = best((name) => approximations[name].error);
  const direction = best((_, index) => -measures[index + 1]!.cosine);
  const solver = best((_, index) => measures[index + 1]!.cg.iterations);
  const plain = measures[0]!.cg.iterations;
  return [
    `Nearest to H here: ${NAMES[near.name].title}, with an error of ${number(near.score)}.`,
    `Best direction: ${NAMES[direction.name].title}, cosine ${number(-direction.score)}.`,
    `Fewest iterations: ${NAMES[solver.name].title}, ${solver.score} against ${plain} without a preconditioner.`,
  ].join(" ");
}

/** ‖X − Y‖/‖Y‖. */
function deviation(X: ArrayLike<number>, Y: ArrayLike<number>): number {
  let [difference, size] = [0, 0];
  for (let k = 0; k < Y.length; k++) {
    difference += (X[k]! - Y[k]!) ** 2;
    size += Y[k]! ** 2;
  }
  return Math.sqrt(difference / size);
}

function cosineOf(x: ArrayLike<number>, y: ArrayLike<number>): number {
  let [xy, xx, yy] = [0, 0, 0];
  for (let k = 0; k < x.length; k++) {
    xy += x[k]! * y[k]!;
    xx += x[k]! ** 2;
    yy += y[k]! ** 2;
  }
  return xy / Math.sqrt(xx * yy);
}
