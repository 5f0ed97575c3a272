/** Marks in rows over one logarithmic axis, each with its interval. */
import { classes, inOrder, mark } from "./looks.js";
import { roughly, tickText } from "./numbers.js";
import { axisNames, bottomAxis, headHeight, legend, type Picture, svg, WIDTH } from "./picture.js";
import { logScale } from "./scales.js";
import { tag, text, tip } from "./svg.js";

/** One mark, and the ends of its interval where it has one. */
export interface Dot {
  /** Which of the looks is its own. */
  id: string;
  name: string;
  value: number;
  low?: number;
  high?: number;
}

/** A chart of marks, a row a case. */
export interface DotChart extends Picture {
  /** What the axis counts. */
  x: string;
  /** The name of the line at 1; none is drawn without it. */
  one?: string;
  rows: readonly { label: string; dots: readonly Dot[] }[];
}

/** From one row to the next. */
const PITCH = 30;

/** The drawing. All values must be positive. */
export function dotChart(chart: DotChart): string {
  const { x: label, one, rows, looks } = chart;
  const who = legend(
    rows.flatMap(({ dots }) => dots),
    looks,
    headHeight(chart),
  );
  const top = who.bottom + 16;
  const bottom = top + PITCH * rows.length;
  const height = bottom + 50;
  const left = 36 + 6.8 * Math.max(...rows.map((row) => row.label.length));
  const box = { left, right: WIDTH - 24, top, bottom };
  const values = rows.flatMap(({ dots }) =>
    dots.flatMap(({ value, low = value, high = value }) => [value, low, high]),
  );
  if (one !== undefined) values.push(1);
  const options = { wanted: 7, margin: 0.04 };
  const x = logScale([Math.min(...values), Math.max(...values)], [left, box.right], options);
  const body = [...who.marks, ...bottomAxis(x, box, tickText, true)];
  if (one !== undefined) {
    const at = x.toPixel(1);
    body.push(tag("line", { class: "reference", x1: at, x2: at, y1: top, y2: bottom }, tip(one)));
  }
  rows.forEach((row, r) => {
    const y = top + PITCH * (r + 0.5);
    body.push(text({ x: left - 12, y: y + 4, "text-anchor": "end" }, row.label));
    const edge = y - PITCH / 2;
    if (r > 0) body.push(tag("line", { class: "grid", x1: 16, x2: box.right, y1: edge, y2: edge }));
    const dots = inOrder(row.dots, looks);
    dots.forEach(({ id, name, value, low, high }, k) => {
      // Slightly apart, so that equal values stay visible.
      const at = y + (k - (dots.length - 1) / 2) * Math.min(4, 20 / dots.length);
      if (low !== undefined && high !== undefined && high > low) {
        const ends = { x1: x.toPixel(low), x2: x.toPixel(high), y1: at, y2: at };
        body.push(tag("line", { class: classes("span", id, looks), ...ends }));
      }
      body.push(mark(id, looks, [x.toPixel(value), at], `${name}: ${tickText(roughly(value))}`));
    });
  });
  return svg(chart, height, [...body, ...axisNames(box, height, label)]);
}
