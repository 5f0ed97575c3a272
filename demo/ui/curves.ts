// Live curves by uPlot, with a legend that shows numbers and a table beside them.
import uPlot from "uplot";
import "uplot/dist/uPlot.min.css";
import { logTicks, tickText } from "../../src/charts/index.js";
import { detailsTable } from "./details-table.js";
import { element } from "./dom.js";
import { number } from "./format.js";
import { inNextFrame } from "./frame.js";
import { cssColor, onThemeChange } from "./theme.js";

export interface Series {
  label: string;
  /** Which of the style sheet's series colours, `--series-1` … `--series-5`; defaults to the next one in order. */
  color?: 1 | 2 | 3 | 4 | 5;
  /** Dashes in CSS pixels, so that colour alone tells nothing; defaults to the next one in order. */
  dash?: readonly number[];
  /** Draw the points, for a curve of few. */
  points?: boolean;
}

export interface CurvesOptions {
  title: string;
  x: { label: string; format?: (x: number) => string };
  /** With `log`, numbers that are not above zero are left out. */
  y: { label: string; log?: boolean; format?: (y: number) => string };
  series: readonly Series[];
  /** CSS pixels; defaults to 300. */
  height?: number;
  /** Ends the listeners when the chapter is left. */
  signal?: AbortSignal;
}

export interface Points {
  readonly x: readonly number[];
  readonly y: readonly number[];
}

export interface Curves {
  readonly element: HTMLElement;
  /** Adds a point to a series; drawn in the next frame. Its x must not be below the last one. */
  append(series: number, x: number, y: number): void;
  /** Replaces the points of a series. */
  set(series: number, points: Points): void;
  /** Takes all points away. */
  clear(): void;
  /** Another meaning of x (epochs, seconds): the points go, as theirs was the old one. */
  setX(label: string): void;
  dispose(): void;
}

const DASHES: readonly (readonly number[])[] = [[], [8, 4], [2, 3], [10, 3, 2, 3], [5, 5]];
const TABLE_ROWS = 40;
/** Our own marks, all of them shown: uPlot's own leave out most of theirs. */
const LOG_MARKS: Partial<uPlot.Axis> = {
  splits: (_self, _axis, min, max) => (min > 0 ? logTicks([min, max], 6) : []),
  filter: (_self, splits) => splits,
};

export function curves(options: CurvesOptions): Curves {
  const { title, series, signal, height = 300 } = options;
  const formatX = options.x.format ?? ((x: number) => number(x));
  const formatY = options.y.format ?? ((y: number) => number(y));
  let xLabel = options.x.label;
  const points = series.map(() => ({ x: [] as number[], y: [] as number[] }));
  const dashOf = (index: number) => series[index]?.dash ?? DASHES[index % DASHES.length] ?? [];
  const colorOf = (index: number) => `--series-${series[index]?.color ?? (index % 5) + 1}`;

  const values = series.map(() => element("span", { class: "legend-value" }, "–"));
  const legend = element(
    "ul",
    { class: "legend" },
    ...series.map(({ label }, index) => {
      const swatch = element("canvas", {
        class: "legend-swatch",
        width: 56,
        height: 8,
        "aria-hidden": "true",
      });
      return element("li", {}, swatch, element("span", {}, label), values[index]);
    }),
  );
  const plot = element("div", { class: "curves-plot", role: "img" });
  const table = detailsTable(title, () => tableOf(xLabel, series, points, formatX, formatY));
  const figure = element(
    "figure",
    { class: "curves" },
    element("figcaption", {}, title),
    legend,
    plot,
    table.element,
  );

  let chart: uPlot | undefined;
  const width = () => Math.max(200, Math.floor(plot.clientWidth));
  const build = () => {
    chart?.destroy();
    chart = new uPlot(configuration(), dataOf(points, options.y.log), plot);
  };

  const configuration = (): uPlot.Options => {
    const ink = cssColor("--ink-soft");
    const grid = { stroke: cssColor("--rule"), width: 1 };
    const font = "12px system-ui, sans-serif";
    const axis = { stroke: ink, font, labelFont: font, grid, ticks: { ...grid, size: 5 } };
    return {
      width: width(),
      height,
      legend: { show: false },
      cursor: { drag: { x: false, y: false }, points: { size: 7 } },
      scales: { x: { time: false }, y: options.y.log ? { distr: 3 } : {} },
      axes: [
        { ...axis, label: xLabel, labelSize: 22, size: 34, values: (_, ticks) => ticks.map(tickText) },
        {
          ...axis,
          label: options.y.label,
          labelSize: 24,
          size: (_, texts) => 16 + 7 * Math.max(2, ...(texts ?? []).map((text) => text?.length ?? 0)),
          values: (_, ticks) => ticks.map(tickText),
          ...(options.y.log ? LOG_MARKS : {}),
        },
      ],
      series: [
        {},
        ...series.map(({ label, points: shown = false }, index) => ({
          label,
          stroke: cssColor(colorOf(index)),
          width: 2,
          dash: [...dashOf(index)],
          spanGaps: true,
          points: { show: shown, size: 6 },
        })),
      ],
      hooks: { setCursor: [(self) => readOut(self.cursor.idx ?? undefined)] },
    };
  };

  /** The numbers in the legend: under the pointer, else the last ones. */
  const readOut = (index?: number) => {
    for (const [s, output] of values.entries()) {
      const { y } = points[s]!;
      const hovered = index === undefined ? undefined : (chart?.data[s + 1]?.[index] ?? undefined);
      const value = hovered ?? y.at(-1);
      output.textContent = value === undefined ? "–" : formatY(value);
    }
  };

  const redraw = inNextFrame(() => {
    if (!figure.isConnected) return;
    if (!chart) build();
    chart?.setData(dataOf(points, options.y.log));
    readOut();
    const ends = series.map(({ label }, s) => {
      const { x, y } = points[s]!;
      if (x.length === 0) return `${label}: no points yet`;
      return `${label}: from ${formatY(y[0]!)} to ${formatY(y.at(-1)!)} at ${formatX(x.at(-1)!)}`;
    });
    plot.setAttribute("aria-label", `${title}. ${options.y.label} over ${xLabel}. ${ends.join("; ")}.`);
    table.refresh();
  });

  const drawSwatches = () => {
    for (const [index, swatch] of [...legend.querySelectorAll("canvas")].entries()) {
      const context = swatch.getContext("2d");
      if (!context) continue;
      context.clearRect(0, 0, swatch.width, swatch.height);
      context.strokeStyle = cssColor(colorOf(index));
      context.lineWidth = 4;
      context.setLineDash(dashOf(index).map((length) => 2 * length));
      context.beginPath();
      context.moveTo(0, 4);
      context.lineTo(56, 4);
      context.stroke();
    }
  };
  drawSwatches();
  onThemeChange(() => {
    drawSwatches();
    if (chart) build();
  }, signal);

  const observer = new ResizeObserver(() => {
    if (chart && chart.width !== width()) chart.setSize({ width: width(), height });
    else if (!chart) redraw();
  });
  observer.observe(plot);
  const dispose = () => {
    observer.disconnect();
    chart?.destroy();
    chart = undefined;
  };
  signal?.addEventListener("abort", dispose, { once: true });
  redraw();

  return {
    element: figure,
    append(index, x, y) {
      points[index]?.x.push(x);
      points[index]?.y.push(y);
      redraw();
    },
    set(index, { x, y }) {
      points[index] = { x: [...x], y: [...y] };
      redraw();
    },
    clear() {
      for (const entry of points) entry.x.length = entry.y.length = 0;
      redraw();
    },
    setX(label) {
      xLabel = label;
      for (const entry of points) entry.x.length = entry.y.length = 0;
      if (chart) build();
      redraw();
    },
    dispose,
  };
}

/** All series over the union of their x, as uPlot wants them. */
function dataOf(points: readonly Points[], log = false): uPlot.AlignedData {
  const drawable = (y: number) => Number.isFinite(y) && (!log || y > 0);
  const tables = points
    .filter(({ x }) => x.length > 0)
    .map(({ x, y }): uPlot.AlignedData => [[...x], y.map((value) => (drawable(value) ? value : null))]);
  if (tables.length === 0) return [[], ...points.map(() => [])] as uPlot.AlignedData;
  const joined = uPlot.join(tables);
  const columns = [...joined.slice(1)];
  const empty = (joined[0] as number[]).map(() => null);
  return [
    joined[0],
    ...points.map(({ x }) => (x.length > 0 ? columns.shift()! : empty)),
  ] as uPlot.AlignedData;
}

function tableOf(
  xLabel: string,
  series: readonly Series[],
  points: readonly Points[],
  formatX: (x: number) => string,
  formatY: (y: number) => string,
) {
  const [all = [], ...columns] = dataOf(points) as (readonly (number | null | undefined)[])[];
  const stride = Math.max(1, Math.ceil(all.length / TABLE_ROWS));
  const kept = all
    .map((_, index) => index)
    .filter((index) => index % stride === 0 || index === all.length - 1);
  return {
    columns: [{ label: xLabel, numeric: true }, ...series.map(({ label }) => ({ label, numeric: true }))],
    rows: kept.map((index) => [
      formatX(all[index] ?? 0),
      ...columns.map((column) => {
        const value = column[index];
        return typeof value === "number" ? formatY(value) : "";
      }),
    ]),
    note: stride > 1 ? `Every ${stride}th of ${all.length} points, and the last.` : undefined,
  };
}
