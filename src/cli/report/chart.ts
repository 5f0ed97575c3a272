/** Line charts as SVG. Colours come from the page's style sheet, so that one drawing serves light and dark. */
import { escapeText } from "./escape.js";
import { linearScale, logScale, type Scale, tickText } from "./scale.js";

export interface Series {
  name: string;
  /** 0, 1 or 2: its colour and dash. */
  style: number;
  points: readonly (readonly [x: number, y: number])[];
  /** A faint line behind the others, without points or label. */
  faint?: boolean;
}

export interface Chart {
  title: string;
  /** What the axes count. */
  x: string;
  y: string;
  logarithmic?: boolean;
  /** How a y value reads. */
  format?: (y: number) => string;
  series: readonly Series[];
}

const WIDTH = 720;
const HEIGHT = 340;
const LEFT = 64;
const RIGHT = 104;
const TOP = 16;
const BOTTOM = 48;
/** More points than this are drawn as means of neighbours. */
const MOST_POINTS = 600;

/** The `<svg>` element. Points that are not finite (or, on a logarithmic axis, not positive) are left out. */
export function renderChart(chart: Chart): string {
  const usable = ([x, y]: readonly [number, number]) =>
    Number.isFinite(x) && Number.isFinite(y) && (!chart.logarithmic || y > 0);
  const series = chart.series
    .map((one) => ({ ...one, points: thin(one.points.filter(usable)) }))
    .filter((one) => one.points.length > 0);
  const title = `<title>${escapeText(chart.title)}</title>`;
  const open = `<svg class="chart" viewBox="0 0 ${WIDTH} ${HEIGHT}" role="img">${title}`;
  if (series.length === 0) {
    return `${open}<text class="tick" x="${WIDTH / 2}" y="${HEIGHT / 2}" text-anchor="middle">no data</text></svg>`;
  }
  const xs = series.flatMap(({ points }) => points.map(([x]) => x));
  const ys = series.flatMap(({ points }) => points.map(([, y]) => y));
  const x = linearScale([Math.min(0, least(xs)), most(xs)], [LEFT, WIDTH - RIGHT], false);
  const pixels: [number, number] = [HEIGHT - BOTTOM, TOP];
  const range: [number, number] = [least(ys), most(ys)];
  const y = chart.logarithmic ? logScale(range, pixels) : linearScale(range, pixels, true);
  const format = chart.format ?? tickText;
  return [
    open,
    axes(chart, x, y, format),
    ...series.map((one) => line(one, x, y, chart, format)),
    ...labels(series, x, y),
    "</svg>",
  ].join("\n");
}

function axes(chart: Chart, x: Scale, y: Scale, format: (y: number) => string): string {
  const bottom = HEIGHT - BOTTOM;
  const right = WIDTH - RIGHT;
  const rows = y.ticks.map((value) => {
    const at = round(y.toPixel(value));
    return `<line class="grid" x1="${LEFT}" x2="${right}" y1="${at}" y2="${at}"/><text class="tick" x="${LEFT - 8}" y="${at + 4}" text-anchor="end">${escapeText(format(value))}</text>`;
  });
  const columns = x.ticks.map((value) => {
    const at = round(x.toPixel(value));
    return `<line class="axis" x1="${at}" x2="${at}" y1="${bottom}" y2="${bottom + 5}"/><text class="tick" x="${at}" y="${bottom + 20}" text-anchor="middle">${escapeText(tickText(value))}</text>`;
  });
  return [
    ...rows,
    `<line class="axis" x1="${LEFT}" x2="${right}" y1="${bottom}" y2="${bottom}"/>`,
    ...columns,
    `<text class="name" x="${(LEFT + right) / 2}" y="${HEIGHT - 6}" text-anchor="middle">${escapeText(chart.x)}</text>`,
    `<text class="name" transform="translate(14 ${(TOP + bottom) / 2}) rotate(-90)" text-anchor="middle">${escapeText(chart.y)}</text>`,
  ].join("\n");
}

function line(
  { name, style, points, faint }: Series,
  x: Scale,
  y: Scale,
  chart: Chart,
  format: (y: number) => string,
): string {
  const place = points.map(([px, py]) => `${round(x.toPixel(px))},${round(y.toPixel(py))}`);
  const path = `<polyline class="line s${style}${faint ? " faint" : ""}" points="${place.join(" ")}"/>`;
  if (faint) return path;
  const dots = points.map(([px, py], i) => {
    const [cx, cy] = place[i]!.split(",");
    const tip = `${name}: ${chart.x} ${tickText(Number(px.toPrecision(4)))}, ${chart.y} ${format(Number(py.toPrecision(4)))}`;
    const shown = points.length <= 60 ? "" : " hidden";
    return `<circle class="dot s${style}${shown}" cx="${cx}" cy="${cy}" r="${points.length <= 60 ? 2.5 : 5}"><title>${escapeText(tip)}</title></circle>`;
  });
  return path + dots.join("");
}

/** Names at the ends of the lines, moved apart where they would touch. */
function labels(series: readonly Series[], x: Scale, y: Scale): string[] {
  const gap = 15;
  const places = series
    .filter(({ faint }) => !faint)
    .map(({ name, style, points }) => {
      const [px, py] = points[points.length - 1]!;
      return { name, style, x: x.toPixel(px) + 8, y: y.toPixel(py) + 4 };
    })
    .sort((a, b) => a.y - b.y);
  for (let i = 1; i < places.length; i++) {
    places[i]!.y = Math.max(places[i]!.y, places[i - 1]!.y + gap);
  }
  // Above the axis, whose line would go through a name.
  let limit = HEIGHT - BOTTOM - 4;
  for (const place of places.reverse()) {
    place.y = Math.min(place.y, limit);
    limit = place.y - gap;
  }
  return places.map(
    ({ name, style, ...at }) =>
      `<text class="label s${style}" x="${round(at.x)}" y="${round(at.y)}">${escapeText(name)}</text>`,
  );
}

/** Means of neighbours, so that a long run stays a small file. */
function thin(points: Series["points"]): Series["points"] {
  if (points.length <= MOST_POINTS) return points;
  const size = Math.ceil(points.length / MOST_POINTS);
  const out: [number, number][] = [];
  for (let start = 0; start < points.length; start += size) {
    const part = points.slice(start, start + size);
    out.push([mean(part.map(([px]) => px)), mean(part.map(([, py]) => py))]);
  }
  return out;
}

function mean(values: readonly number[]): number {
  return values.reduce((a, b) => a + b, 0) / values.length;
}

function least(values: readonly number[]): number {
  return values.reduce((a, b) => Math.min(a, b), Number.POSITIVE_INFINITY);
}

function most(values: readonly number[]): number {
  return values.reduce((a, b) => Math.max(a, b), Number.NEGATIVE_INFINITY);
}

function round(pixel: number): number {
  return Math.round(pixel * 10) / 10;
}
