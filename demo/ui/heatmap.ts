// A matrix as colours, with its scale in numbers and itself as a table.
import { magnitude, signed } from "./colormap.js";
import { detailsTable } from "./details-table.js";
import { element } from "./dom.js";
import { number } from "./format.js";
import { currentTheme, onThemeChange } from "./theme.js";

/** Row-major, f32 or f64: what the engine and the reference both return. */
export interface HeatmapMatrix {
  readonly rows: number;
  readonly cols: number;
  readonly data: ArrayLike<number>;
}

export interface HeatmapOptions {
  title: string | Node;
  /** The title in words, where it is a formula. */
  name?: string;
  caption?: string;
  /** Defaults to "signed" (blue below zero, orange above); "magnitude" is for numbers from zero up. */
  kind?: "signed" | "magnitude";
  /** CSS pixels of the longer side at most; it shrinks with the page. Defaults to 280. */
  size?: number;
  /** Ends the listeners when the chapter is left. */
  signal?: AbortSignal;
}

export interface HeatmapRange {
  /** The number at the end of the scale; defaults to the largest magnitude of the matrix. */
  limit?: number;
}

export interface Heatmap {
  readonly element: HTMLElement;
  update(matrix: HeatmapMatrix, range?: HeatmapRange): void;
}

const TABLE_LIMIT = 24;

export function heatmap(options: HeatmapOptions): Heatmap {
  const { title, caption, kind = "signed", size = 280, signal } = options;
  const name = options.name ?? (typeof title === "string" ? title : (title.textContent ?? ""));
  const canvas = element("canvas", {
    class: "heatmap-canvas",
    role: "img",
    "aria-label": `${name}: not computed yet`,
    width: 1,
    height: 1,
  });
  const scale = element("canvas", { class: "heatmap-scale", width: 129, height: 1, "aria-hidden": "true" });
  const low = element("span");
  const middle = element("span");
  const high = element("span");
  const reading = element("span", { class: "heatmap-reading", "aria-hidden": "true" }, "not computed yet");
  let matrix: HeatmapMatrix = { rows: 0, cols: 0, data: [] };
  let limit = 1;

  const color = (value: number) =>
    kind === "magnitude" ? magnitude(Math.abs(value) / limit) : signed(value / limit, currentTheme());

  const paint = (target: HTMLCanvasElement, values: ArrayLike<number>) => {
    const context = target.getContext("2d");
    if (!context || target.width * target.height === 0) return;
    const image = context.createImageData(target.width, target.height);
    for (let k = 0; k < target.width * target.height; k++) {
      const [red, green, blue] = color(values[k] ?? 0);
      image.data.set([red, green, blue, 255], 4 * k);
    }
    context.putImageData(image, 0, 0);
  };
  const draw = () => {
    paint(canvas, matrix.data);
    const from = kind === "magnitude" ? 0 : -limit;
    paint(
      scale,
      Float64Array.from({ length: 129 }, (_, k) => from + ((limit - from) * k) / 128),
    );
  };
  onThemeChange(draw, signal);

  const table = detailsTable(name, () => {
    const [rows, cols] = [Math.min(matrix.rows, TABLE_LIMIT), Math.min(matrix.cols, TABLE_LIMIT)];
    const cut = rows < matrix.rows || cols < matrix.cols;
    return {
      columns: [
        { label: "row" },
        ...Array.from({ length: cols }, (_, j) => ({ label: String(j + 1), numeric: true })),
      ],
      rows: Array.from({ length: rows }, (_, i) => [
        String(i + 1),
        ...Array.from({ length: cols }, (_, j) => number(matrix.data[i * matrix.cols + j] ?? 0)),
      ]),
      note: cut ? `The first ${rows} × ${cols} of ${matrix.rows} × ${matrix.cols} numbers.` : undefined,
    };
  });

  canvas.addEventListener("pointermove", (event) => {
    const box = canvas.getBoundingClientRect();
    const i = Math.floor(((event.clientY - box.top) / box.height) * matrix.rows);
    const j = Math.floor(((event.clientX - box.left) / box.width) * matrix.cols);
    const value = i >= 0 && j >= 0 && i < matrix.rows && j < matrix.cols && matrix.data[i * matrix.cols + j];
    if (typeof value === "number") reading.textContent = `row ${i + 1}, column ${j + 1}: ${number(value, 4)}`;
  });
  canvas.addEventListener("pointerleave", () => {
    reading.textContent = "\u00a0";
  });

  const made = element(
    "figure",
    { class: "heatmap heatmap-empty" },
    element("figcaption", {}, title, caption ? element("span", { class: "caption-note" }, caption) : null),
    canvas,
    element(
      "div",
      { class: "heatmap-legend" },
      scale,
      element("div", { class: "heatmap-ticks" }, low, middle, high),
    ),
    reading,
    table.element,
  );
  made.style.setProperty("--heatmap-size", `${size}px`);

  return {
    element: made,
    update(next, range = {}) {
      matrix = next;
      if (made.classList.contains("heatmap-empty")) {
        made.classList.remove("heatmap-empty");
        reading.textContent = "\u00a0";
      }
      let [smallest, largest] = [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY];
      for (let k = 0; k < next.data.length; k++) {
        smallest = Math.min(smallest, next.data[k]!);
        largest = Math.max(largest, next.data[k]!);
      }
      limit = range.limit ?? Math.max(Math.abs(smallest), Math.abs(largest));
      if (!(limit > 0 && Number.isFinite(limit))) limit = 1;
      canvas.width = Math.max(1, next.cols);
      canvas.height = Math.max(1, next.rows);
      canvas.style.aspectRatio = `${canvas.width} / ${canvas.height}`;
      const ends = `smallest ${number(smallest)}, largest ${number(largest)}`;
      canvas.setAttribute("aria-label", `${name}: heat map of ${next.rows} × ${next.cols} numbers, ${ends}`);
      low.textContent = kind === "magnitude" ? "0" : number(-limit);
      middle.textContent = kind === "magnitude" ? number(limit / 2) : "0";
      high.textContent = number(limit);
      draw();
      table.refresh();
    },
  };
}

/** Figures side by side, as many as fit. */
export function figureGrid(...figures: readonly { readonly element: HTMLElement }[]): HTMLElement {
  return element("div", { class: "figures" }, ...figures.map((figure) => figure.element));
}
