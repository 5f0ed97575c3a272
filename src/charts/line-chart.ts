/** Lines, on linear or logarithmic axes. */
import { classes, inOrder, type Looks, mark } from "./looks.js";
import { roughly, tickText } from "./numbers.js";
import {
  type AxisText,
  axisNames,
  type Box,
  bottomAxis,
  headHeight,
  leftAxis,
  legend,
  type Picture,
  spread,
  svg,
  WIDTH,
} from "./picture.js";
import { type Extent, linearScale, logScale, type Pixels, type Scale, type ScaleOptions } from "./scales.js";
import { type Place, polyline, round, tag, text, tip } from "./svg.js";

/** A value of x and one of y. */
export type Point = readonly [x: number, y: number];

/** One line. */
export interface Series {
  /** Which of the looks is its own. */
  id: string;
  name: string;
  points: readonly Point[];
  /** A thin line behind the others, without marks or name; defaults to false. */
  faint?: boolean;
}

/** One axis of a line chart. */
export interface Axis extends AxisText {
  /** Equal factors are equal distances; values that are not positive are left out. Defaults to false. */
  log?: boolean;
  /** Ticks of one's own instead of round numbers. */
  ticks?: readonly number[];
  /** Only whole numbers get ticks, as there is nothing between them; defaults to false. */
  whole?: boolean;
}

/** What is drawn over one horizontal axis. */
export interface Panel {
  title?: string;
  series: readonly Series[];
  /** A dashed line to hold the others against. */
  reference?: { name: string; points: readonly Point[] };
}

/** A chart of lines: one panel with names at the ends of its lines, or several side by side with a legend. */
export interface LineChart extends Picture {
  x: Axis;
  y: Axis;
  panels: readonly Panel[];
  /** Names right behind the last points, or in a column at the edge, where they cross no line; defaults to "edge". */
  names?: "ends" | "edge";
}

/** Space between panels. */
const GAP = 20;
/** Up to here a point gets its full mark, from here to the next number a small one, beyond it none until pointed at. */
const MARKED = 16;
const DOTTED = 60;
/** More points than this are drawn as means of neighbours, so that a long run stays a small file. */
const MOST_POINTS = 600;

/** The drawing. Points that cannot be drawn are left out; where there is none, it says so. */
export function lineChart(chart: LineChart): string {
  const { looks, x: xAxis, y: yAxis } = chart;
  const panels = chart.panels.map((panel) => drawable(panel, xAxis, yAxis));
  const all = panels.flatMap(({ series, reference }) => [...series, ...(reference ? [reference] : [])]);
  const points = all.flatMap((one) => one.points);
  const head = headHeight(chart);
  const height = head + 342;
  if (points.length === 0) {
    const middle = { class: "soft", x: WIDTH / 2, y: height / 2, "text-anchor": "middle" };
    return svg(chart, height, [text(middle, "no data")]);
  }
  const single = panels.length === 1;
  const who = single
    ? { marks: [], bottom: head }
    : legend(
        panels.flatMap(({ series }) => series),
        looks,
        head,
      );
  const [top, bottom] = [single ? head + 14 : who.bottom + 36, height - 52];
  const y = scaleOf(yAxis, extentOf(points, 1), [bottom, top], { wanted: yAxis.log ? 8 : 5, nice: true });
  const [left, right] = [leftMargin(y, yAxis), WIDTH - (single ? rightMargin(chart, all) : 100)];
  const width = (right - left - GAP * (panels.length - 1)) / panels.length;
  const [least, most] = extentOf(points, 0);
  // A linear axis begins at zero, so that it shows how far everything has come.
  const xs: Extent = xAxis.log ? [least, most] : [Math.min(0, least), most];
  const body = [...who.marks];
  panels.forEach((panel, p) => {
    const start = left + p * (width + GAP);
    const box = { left: start, right: start + width, top, bottom };
    const x = scaleOf(xAxis, xs, [box.left, box.right], { wanted: single ? 6 : 4 });
    const place = ([a, b]: Point): Place => [x.toPixel(a), y.toPixel(b)];
    body.push(
      ...leftAxis(y, box, yAxis.format ?? tickText, p === 0),
      ...bottomAxis(x, box, xAxis.format),
      ...(panel.title ? [text({ x: start, y: top - 10 }, panel.title)] : []),
      ...drawn(panel, chart, place),
    );
    if (single) body.push(...names(panel, chart, place, box));
    else if (p === panels.length - 1) body.push(...names({ ...panel, series: [] }, chart, place, box));
  });
  return svg(chart, height, [
    ...body,
    ...axisNames({ left, right, top, bottom }, height, xAxis.label, yAxis.label),
  ]);
}

function scaleOf({ log, ticks, whole }: Axis, extent: Extent, pixels: Pixels, options: ScaleOptions): Scale {
  const scale = log
    ? logScale(extent, pixels, { ...options, ticks, margin: 0.04 })
    : linearScale(extent, pixels, { ...options, ticks });
  return whole ? { ...scale, ticks: scale.ticks.filter(Number.isInteger) } : scale;
}

function extentOf(points: readonly Point[], axis: 0 | 1): Extent {
  let [low, high] = [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY];
  for (const point of points) [low, high] = [Math.min(low, point[axis]), Math.max(high, point[axis])];
  return [low, high];
}

/** The axis's name and its numbers stand beside each other. */
function leftMargin({ ticks }: Scale, { format = tickText }: Axis): number {
  return 36 + 7 * Math.max(4, ...ticks.map((value) => format(value).length));
}

/** Names at the edge need space for the longest. */
function rightMargin({ names: where = "edge" }: LineChart, all: readonly { name?: string }[]): number {
  const longest = Math.max(...all.map(({ name = "" }) => name.length));
  return (where === "edge" ? 36 : 20) + 7.6 * Math.max(8, longest);
}

/** A panel without the points that the axes have no place for. */
function drawable({ title, series, reference }: Panel, x: Axis, y: Axis): Panel {
  const fits = (value: number, { log }: Axis) => Number.isFinite(value) && (!log || value > 0);
  const usable = ([a, b]: Point) => fits(a, x) && fits(b, y);
  const kept = <T extends { points: readonly Point[] }>(one: T) => ({
    ...one,
    points: one.points.filter(usable),
  });
  return {
    title,
    series: series
      .map(kept)
      .map((one) => ({ ...one, points: thinned(one.points) }))
      .filter(({ points }) => points.length > 0),
    reference: reference && kept(reference),
  };
}

function thinned(points: readonly Point[]): readonly Point[] {
  if (points.length <= MOST_POINTS) return points;
  const size = Math.ceil(points.length / MOST_POINTS);
  return Array.from({ length: Math.ceil(points.length / size) }, (_, k): Point => {
    const part = points.slice(k * size, (k + 1) * size);
    const mean = (axis: 0 | 1) => part.reduce((sum, point) => sum + point[axis], 0) / part.length;
    return [mean(0), mean(1)];
  });
}

/** The lines and their marks, those with the first look last and so on top. */
function drawn(
  { series, reference }: Panel,
  { looks, x, y }: LineChart,
  place: (point: Point) => Place,
): string[] {
  const dashed = reference && tag("path", { class: "reference", d: polyline(reference.points.map(place)) });
  const lines = inOrder(series, looks)
    .reverse()
    .map(({ id, name, points, faint }) => {
      const path = tag("path", {
        class: classes(faint ? "faint line" : "line", id, looks),
        d: polyline(points.map(place)),
      });
      if (faint) return path;
      const told = ([a, b]: Point) =>
        `${name}: ${x.label} ${(x.format ?? tickText)(a)}, ${y.label} ${(y.format ?? tickText)(roughly(b))}`;
      return path + points.map((point) => spot(id, looks, place(point), told(point), points.length)).join("");
    });
  return dashed ? [dashed, ...lines] : lines;
}

/** A point's mark, which says its numbers when pointed at; the more points, the smaller. */
function spot(id: string, looks: Looks, at: Place, told: string, count: number): string {
  if (count <= MARKED) return mark(id, looks, at, told);
  const hidden = count > DOTTED;
  return tag(
    "circle",
    { class: `point ${id}${hidden ? " hidden" : ""}`, cx: at[0], cy: at[1], r: hidden ? 5 : 2.5 },
    tip(told),
  );
}

/** Names of the lines, moved apart where they would touch. */
function names(
  { series, reference }: Panel,
  { looks, names: where = "edge" }: LineChart,
  place: (point: Point) => Place,
  { right, top, bottom }: Box,
): string[] {
  const lines = [...series.filter(({ faint }) => !faint), ...(reference ? [{ id: "", ...reference }] : [])];
  const ends = lines
    .filter(({ points }) => points.length > 0)
    .map(({ id, name, points }) => ({ id, name, end: place(points.at(-1)!) }))
    .sort((a, b) => a.end[1] - b.end[1]);
  const wanted = ends.map(({ end }) => end[1]);
  // The lowest stays clear of the axis, whose line would go through it.
  const places = spread(wanted, 16, [top, bottom - 6]);
  return ends.map(({ id, name, end: [x, y] }, k) => {
    const own = id ? `${classes("name", id, looks)}${where === "ends" ? " end" : ""}` : "soft";
    const at = round(places[k]!);
    const label = text({ class: own, x: where === "edge" ? right + 18 : x + 9, y: at + 4 }, name);
    if (where === "ends") return label;
    return tag("line", { class: "grid", x1: x + 7, y1: y, x2: right + 15, y2: at }) + label;
  });
}
