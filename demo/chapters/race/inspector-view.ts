// The curvature inspector: heat maps, spectra and a table of the layers.

import {
  button,
  buttonRow,
  curves,
  dataTable,
  element,
  heatmap,
  integer,
  math,
  number,
  scientific,
  select,
  statRow,
  statTile,
} from "../../ui/index.js";
import { mapGrid, quantile } from "../../ui/maps.js";
import type { Inspection } from "./inspect.js";
import { INSPECTED } from "./inspect.js";

/** Share of the numbers that the colours tell apart; the largest look alike. */
const SHOWN = 0.99;
const EMPTY = "Take a few steps first: there are no factors yet.";

export interface InspectorView {
  readonly element: HTMLElement;
  /** The layer to look at, from 0. */
  readonly layer: number;
  busy(busy: boolean): void;
  /** Whether there is anything to look at yet. */
  enabled(enabled: boolean): void;
  show(inspection: Inspection): void;
  /** Another race: what is shown is of the old one. */
  clear(): void;
}

export function inspectorView(options: {
  layers: readonly string[];
  signal: AbortSignal;
  onInspect(): void;
}): InspectorView {
  const { signal } = options;
  const look = button({ label: "Look at the curvature", disabled: true, onClick: options.onInspect });
  let ready = false;
  let working = false;
  /** What is said when nothing is being computed. */
  let settled = EMPTY;
  const layer = select({
    label: "Layer",
    options: options.layers.map((label, index) => ({ value: String(index), label })),
    value: String(options.layers.length - 1),
    onInput: () => {
      if (ready && !working) options.onInspect();
    },
  });
  layer.element.classList.add("race-axis");
  const state = element("p", { class: "note", role: "status" }, EMPTY);

  const exact = heatmap({ title: "Exact, H", caption: "part of the block", signal });
  const kronecker = heatmap({
    title: math("Ā ⊗ B̄", "A bar times B bar"),
    name: "Kronecker product of the factors",
    caption: "the same part",
    signal,
  });
  const difference = heatmap({ title: "Difference", caption: "the product minus H", signal });

  const error = statTile({ label: "Error of Ā ⊗ B̄, whole layer", note: "‖Ā ⊗ B̄ − H‖ / ‖H‖" });
  const reference = statTile({ label: "The same in f64" });
  const cosine = statTile({ label: "Cosine to the exact step" });
  const iterations = statTile({ label: "CG iterations to that step" });

  const spectrum = (title: string, factor: string) =>
    curves({
      title,
      x: { label: "Number of the eigenvalue, largest first", format: integer },
      y: { label: "Eigenvalue", log: true },
      series: [
        { label: `Eigenvalues of ${factor}`, color: 1 },
        { label: "Damping added", color: 4, dash: [8, 4] },
      ],
      height: 240,
      signal,
    });
  const spectrumA = spectrum("Spectrum of Ā (inputs)", "Ā");
  const spectrumB = spectrum("Spectrum of B̄ (derivatives)", "B̄");
  const table = dataTable({
    caption: "K-FAC’s layers: size, split of the damping, and directions that the damping leaves alone",
    columns: [
      { label: "Layer" },
      { label: "Ā, B̄", numeric: true },
      { label: "π", numeric: true },
      { label: "λ", numeric: true },
      { label: "Effective rank of Ā", numeric: true },
      { label: "of B̄", numeric: true },
      { label: "Status" },
    ],
  });

  const grid = element(
    "div",
    { class: "figures maps" },
    exact.element,
    kronecker.element,
    difference.element,
  );
  const maps = mapGrid(grid, [exact, kronecker, difference], signal);
  const results = element(
    "div",
    { class: "inspector-results", hidden: true },
    statRow(error, reference, cosine, iterations),
    grid,
    element(
      "p",
      { class: "note" },
      "Rows and columns are weights: the outputs with the largest B̄ for each of the inputs with the largest Ā. All three maps share one scale; the largest hundredth of the numbers has the colour of its end.",
    ),
    element("div", { class: "figures spectra" }, spectrumA.element, spectrumB.element),
    table.element,
  );
  const made = element(
    "div",
    { class: "inspector" },
    element("div", { class: "race-head" }, buttonRow(look), layer.element),
    state,
    results,
  );
  const update = () => {
    look.disabled = !ready || working;
    layer.disabled = working;
  };

  return {
    element: made,
    get layer() {
      return Number(layer.value);
    },
    busy(busy) {
      working = busy;
      state.textContent = busy ? "Computing the exact block …" : settled;
      update();
    },
    enabled(enabled) {
      ready = enabled;
      update();
    },
    clear() {
      results.hidden = true;
      settled = EMPTY;
      if (!working) state.textContent = settled;
      delete made.dataset.error;
    },
    show(found) {
      const { spectra, status, selection } = found;
      settled = `After step ${integer(found.step)}, on a batch of ${INSPECTED} training digits with exact columns.`;
      results.hidden = false;
      made.dataset.error = String(found.error);
      made.dataset.reference = String(found.errorReference);
      made.dataset.deviation = String(found.deviation);
      made.dataset.step = String(found.step);
      error.set(`${found.estimated ? "≈ " : ""}${number(found.error)}`);
      reference.set(
        number(found.errorReference),
        `H on the GPU is within ${scientific(found.deviation)} of it`,
      );
      cosine.set(
        number(found.cosine.kfac),
        `of K-FAC’s step; ${number(found.cosine.gradient)} of the gradient’s`,
      );
      iterations.set(
        integer(found.iterations.kfac),
        `with K-FAC before it; ${integer(found.iterations.plain)} without`,
      );
      const limit = quantile(found.exact.data, SHOWN);
      maps.resize(found.exact.rows);
      exact.update(found.exact, { limit });
      kronecker.update(found.kronecker, { limit });
      difference.update(
        { ...found.exact, data: found.kronecker.data.map((x, k) => x - found.exact.data[k]!) },
        { limit },
      );
      const own = spectra[found.layer]!;
      for (const [plot, spectrum] of [
        [spectrumA, own.A],
        [spectrumB, own.B],
      ] as const) {
        plot.element.hidden = !spectrum;
        if (!spectrum) continue;
        const { values, damping } = spectrum;
        plot.set(0, { x: values.map((_, k) => k + 1), y: values });
        plot.set(1, { x: [1, values.length], y: [damping, damping] });
      }
      table.set(
        spectra.map((one, l) => [
          one.name,
          `${one.in}, ${one.out}`,
          number(status[l]!.pi),
          number(status[l]!.lambda),
          one.A ? number(one.A.effectiveRank) : "not computed",
          one.B ? number(one.B.effectiveRank) : "not computed",
          status[l]!.text,
        ]),
      );
      made.dataset.shown = `${selection.outputs.length}x${selection.inputs.length}`;
    },
  };
}
