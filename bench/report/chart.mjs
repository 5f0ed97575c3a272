// Charts as standalone SVG files, light or dark as the reader's system is. Everyone has one colour and one mark throughout;
// the colours are Okabe and Ito's, which do not depend on telling red from green.
import { logScale, spread, tickText } from "./scale.mjs";

/** @type {Record<string, { light: string, dark: string, mark: "circle" | "square" | "triangle" | "diamond" }>} */
const LOOKS = {
  "kfac-webgpu": { light: "#0072b2", dark: "#4db2ee", mark: "circle" },
  "jax-webgpu": { light: "#d55e00", dark: "#f08040", mark: "circle" },
  "jax-wasm": { light: "#c98500", dark: "#f0b030", mark: "square" },
  "tfjs-webgpu": { light: "#00805c", dark: "#20c095", mark: "circle" },
  "tfjs-wasm": { light: "#3f9fd0", dark: "#8fcff5", mark: "square" },
  "numpy-ts": { light: "#b8568c", dark: "#e39ac2", mark: "diamond" },
  "ml-matrix": { light: "#777777", dark: "#aaaaaa", mark: "triangle" },
  scipy: { light: "#7a5a2f", dark: "#c9a56f", mark: "diamond" },
  torch: { light: "#222222", dark: "#eeeeee", mark: "triangle" },
  "torch-tf32": { light: "#8a2be2", dark: "#b98cff", mark: "triangle" },
};

const WIDTH = 760;
/** Below title and subtitle. */
const HEAD = 78;

/** @param {string} text */
export const escapeText = (text) =>
  text.replace(/[&<>"]/g, (c) => ({ "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;" })[c] ?? c);

const classOf = (/** @type {string} */ id) =>
  id in LOOKS ? id : id.startsWith("torch") ? "native" : "ml-matrix";
const round = (/** @type {number} */ pixel) => Math.round(pixel * 10) / 10;

function style() {
  const colours = (/** @type {"light" | "dark"} */ mode) =>
    Object.entries(LOOKS)
      .map(([id, look]) => `--${id}:${look[mode]}`)
      .join(";");
  const light = "--paper:#ffffff;--ink:#1b1f24;--soft:#57606a;--grid:#e3e6ea;--axis:#8c959f";
  const dark = "--paper:#0f1318;--ink:#e6e9ee;--soft:#9aa4b0;--grid:#262c34;--axis:#5c6670";
  const rules = Object.keys(LOOKS).map((id) => `.${id}{--own:var(--${id})}`);
  return `<style>
.chart{${light};${colours("light")};font:12px system-ui,-apple-system,"Segoe UI",Roboto,"DejaVu Sans",sans-serif}
@media (prefers-color-scheme:dark){.chart{${dark};${colours("dark")}}}
.chart .paper{fill:var(--paper)}
.chart text{fill:var(--ink)}
.chart .title{font-size:16px;font-weight:600}
.chart .soft{fill:var(--soft)}
.chart .grid{stroke:var(--grid)}
.chart .axis{stroke:var(--axis)}
.chart .one{stroke:var(--axis);stroke-dasharray:4 3}
.chart .line{fill:none;stroke:var(--own);stroke-width:1.6;stroke-linejoin:round}
.chart .line.kfac-webgpu{stroke-width:2.6}
.chart .mark{fill:var(--own);stroke:var(--paper);stroke-width:1}
.chart .span{stroke:var(--own);stroke-width:2;stroke-linecap:round;opacity:.55}
.chart .name{fill:var(--own)}
.chart .name.kfac-webgpu{font-weight:600}
.chart .bar{fill:var(--own)}
${rules.join("\n")}
</style>`;
}

/**
 * @typedef {{ title: string, subtitle: string, where: string }} Heading `where` tells adapter and date
 *
 * @param {Heading & { height: number }} frame
 * @param {readonly string[]} body
 */
function svg({ title, subtitle, where, height }, body) {
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" class="chart" viewBox="0 0 ${WIDTH} ${height}" width="${WIDTH}" role="img">`,
    `<title>${escapeText(title)}</title>`,
    style(),
    `<rect class="paper" width="${WIDTH}" height="${height}"/>`,
    `<text class="title" x="16" y="26">${escapeText(title)}</text>`,
    `<text class="soft" x="16" y="45">${escapeText(subtitle)}</text>`,
    `<text class="soft" x="16" y="62">${escapeText(where)}</text>`,
    ...body,
    "</svg>",
  ].join("\n");
}

/** @param {string} id @param {number} x @param {number} y @param {string} tip @param {number} [size] */
function mark(id, x, y, tip, size = id === "kfac-webgpu" ? 4.5 : 4) {
  const name = classOf(id);
  const [cx, cy] = [round(x), round(y)];
  const r = size;
  const title = `<title>${escapeText(tip)}</title>`;
  const look = LOOKS[name]?.mark;
  if (look === "circle")
    return `<circle class="mark ${name}" cx="${cx}" cy="${cy}" r="${r}">${title}</circle>`;
  const points = {
    square: [
      [-r, -r],
      [r, -r],
      [r, r],
      [-r, r],
    ],
    diamond: [
      [0, -1.3 * r],
      [1.3 * r, 0],
      [0, 1.3 * r],
      [-1.3 * r, 0],
    ],
    triangle: [
      [0, -1.2 * r],
      [1.2 * r, r],
      [-1.2 * r, r],
    ],
  }[look ?? "square"];
  const list = points.map(([dx, dy]) => `${round(x + dx)},${round(y + dy)}`).join(" ");
  return `<polygon class="mark ${name}" points="${list}">${title}</polygon>`;
}

/**
 * @typedef {{ id: string, name: string, points: (readonly [number, number])[] }} Series
 * @typedef {{ title?: string, series: Series[], reference?: { name: string, points: (readonly [number, number])[] } }} Panel
 */

/**
 * Lines on logarithmic axes, named at their ends; several panels share their axes and a legend.
 * @param {Heading & { x: string, y: string, xTicks?: number[], panels: Panel[] }} chart
 */
export function lineChart({ title, subtitle, where, x: xName, y: yName, xTicks, panels }) {
  const height = 420;
  const named = panels.length === 1;
  const who = [...new Map(panels.flatMap(({ series }) => series).map(({ id, name }) => [id, name]))];
  who.sort(([a], [b]) => order(a) - order(b));
  const legend = legendOf(who);
  const [left, right] = [64, named ? 158 : 100];
  const [top, bottom] = [named ? HEAD + 6 : legend.bottom + 36, height - 52];
  const gap = 20;
  const width = (WIDTH - left - right - gap * (panels.length - 1)) / panels.length;
  const all = panels.flatMap(({ series, reference }) => [...series, ...(reference ? [reference] : [])]);
  const xs = all.flatMap(({ points }) => points.map(([value]) => value));
  const ys = all.flatMap(({ points }) => points.map(([, value]) => value));
  const y = logScale([Math.min(...ys), Math.max(...ys)], [bottom, top], { wanted: 7 });
  const body = named ? [] : [...legend.marks];
  panels.forEach((panel, p) => {
    const start = left + p * (width + gap);
    const x = logScale([Math.min(...xs), Math.max(...xs)], [start, start + width], {
      ticks: xTicks,
      wanted: 4,
    });
    for (const tick of y.ticks) {
      const at = round(y.toPixel(tick));
      body.push(
        `<line class="grid" x1="${round(start)}" x2="${round(start + width)}" y1="${at}" y2="${at}"/>`,
      );
      if (p === 0)
        body.push(
          `<text class="soft" x="${left - 8}" y="${at + 4}" text-anchor="end">${tickText(tick)}</text>`,
        );
    }
    body.push(
      `<line class="axis" x1="${round(start)}" x2="${round(start + width)}" y1="${bottom}" y2="${bottom}"/>`,
    );
    for (const tick of x.ticks) {
      const at = round(x.toPixel(tick));
      body.push(
        `<line class="axis" x1="${at}" x2="${at}" y1="${bottom}" y2="${bottom + 5}"/>`,
        `<text class="soft" x="${at}" y="${bottom + 19}" text-anchor="middle">${tickText(tick)}</text>`,
      );
    }
    if (panel.title) body.push(`<text x="${round(start)}" y="${top - 10}">${escapeText(panel.title)}</text>`);
    if (panel.reference) {
      const path = panel.reference.points
        .map(([a, b]) => `${round(x.toPixel(a))},${round(y.toPixel(b))}`)
        .join(" ");
      body.push(`<polyline class="one" fill="none" points="${path}"/>`);
    }
    // Ours last, on top.
    for (const { id, name, points } of [...panel.series].sort((a, b) => order(b.id) - order(a.id))) {
      const places = points.map(([a, b]) => [x.toPixel(a), y.toPixel(b)]);
      const path = places.map(([a, b]) => `${round(a)},${round(b)}`).join(" ");
      body.push(`<polyline class="line ${classOf(id)}" points="${path}"/>`);
      places.forEach(([a, b], k) => {
        const tip = `${name}: ${tickText(points[k][0])}, ${tickText(Number(points[k][1].toPrecision(3)))}`;
        body.push(mark(id, a, b, tip));
      });
    }
    const labelled = named ? panel : { series: [], reference: panel.reference };
    if (p === panels.length - 1) body.push(...endLabels(labelled, x, y, [start + width, top, bottom]));
  });
  body.push(
    `<text class="soft" x="${(left + WIDTH - right) / 2}" y="${height - 12}" text-anchor="middle">${escapeText(xName)}</text>`,
    `<text class="soft" transform="translate(17 ${(top + bottom) / 2}) rotate(-90)" text-anchor="middle">${escapeText(yName)}</text>`,
  );
  return svg({ title, subtitle, where, height }, body);
}

/** Who has which mark, in rows. @param {readonly (readonly [id: string, name: string])[]} who */
function legendOf(who) {
  const marks = [];
  let [x, y] = [16, HEAD + 8];
  for (const [id, name] of who) {
    const width = (id === "kfac-webgpu" ? 42 : 32) + 7.2 * name.length;
    if (x + width > WIDTH - 16) [x, y] = [16, y + 20];
    marks.push(
      mark(id, x + 6, y - 4, name),
      `<text class="name ${classOf(id)}" x="${round(x + 16)}" y="${y}">${escapeText(name)}</text>`,
    );
    x += width;
  }
  return { marks, bottom: y };
}

const order = (/** @type {string} */ id) => Object.keys(LOOKS).indexOf(classOf(id));

/** Names where the lines end, moved apart where they would touch. */
function endLabels({ series, reference }, x, y, [edge, top, bottom]) {
  const ends = [...series, ...(reference ? [{ id: "", ...reference }] : [])]
    .map(({ id, name, points }) => {
      const [px, py] = points[points.length - 1];
      return { id, name, x: x.toPixel(px), y: y.toPixel(py) };
    })
    .sort((a, b) => a.y - b.y);
  const places = spread(
    ends.map((end) => end.y),
    16,
    [top, bottom],
  );
  return ends.map(({ id, name, x: ex, y: ey }, k) => {
    const at = round(places[k]);
    const text = `<text class="${id ? `name ${classOf(id)}` : "soft"}" x="${round(edge + 18)}" y="${at + 4}">${escapeText(name)}</text>`;
    return `<line class="grid" x1="${round(ex + 7)}" y1="${round(ey)}" x2="${round(edge + 15)}" y2="${at}"/>${text}`;
  });
}

/**
 * Marks on one logarithmic axis, a row a case, with the interval of each.
 * @param {Heading & { x: string, one?: string,
 *   rows: { label: string, dots: { id: string, name: string, value: number, low?: number, high?: number }[] }[] }} chart `one`
 *   names the line at 1
 */
export function dotChart({ title, subtitle, where, x: xName, one, rows }) {
  const pitch = 30;
  const who = [...new Map(rows.flatMap(({ dots }) => dots).map(({ id, name }) => [id, name]))].sort(
    ([a], [b]) => order(a) - order(b),
  );
  const legend = legendOf(who);
  const top = legend.bottom + 16;
  const bottom = top + pitch * rows.length;
  const height = bottom + 50;
  const left = 36 + 6.8 * Math.max(...rows.map(({ label }) => label.length));
  const right = WIDTH - 24;
  const values = rows.flatMap(({ dots }) =>
    dots.flatMap(({ value, low, high }) => [value, low ?? value, high ?? value]),
  );
  if (one) values.push(1);
  const x = logScale([Math.min(...values), Math.max(...values)], [left, right], { wanted: 7 });
  const body = [...legend.marks];
  for (const tick of x.ticks) {
    const at = round(x.toPixel(tick));
    body.push(
      `<line class="grid" x1="${at}" x2="${at}" y1="${top}" y2="${bottom}"/>`,
      `<text class="soft" x="${at}" y="${bottom + 18}" text-anchor="middle">${tickText(tick)}</text>`,
    );
  }
  if (one) {
    const at = round(x.toPixel(1));
    body.push(
      `<line class="one" x1="${at}" x2="${at}" y1="${top}" y2="${bottom}"><title>${escapeText(one)}</title></line>`,
    );
  }
  rows.forEach(({ label, dots }, r) => {
    const y = top + pitch * (r + 0.5);
    body.push(`<text x="${round(left - 12)}" y="${y + 4}" text-anchor="end">${escapeText(label)}</text>`);
    if (r > 0)
      body.push(`<line class="grid" x1="16" x2="${right}" y1="${y - pitch / 2}" y2="${y - pitch / 2}"/>`);
    const sorted = [...dots].sort((a, b) => order(a.id) - order(b.id));
    sorted.forEach(({ id, name, value, low, high }, k) => {
      // Slightly apart, so that equal values stay visible.
      const at = y + (k - (sorted.length - 1) / 2) * Math.min(4, 20 / sorted.length);
      if (low !== undefined && high !== undefined && high > low) {
        body.push(
          `<line class="span ${classOf(id)}" x1="${round(x.toPixel(low))}" x2="${round(x.toPixel(high))}" y1="${round(at)}" y2="${round(at)}"/>`,
        );
      }
      body.push(mark(id, x.toPixel(value), at, `${name}: ${tickText(Number(value.toPrecision(3)))}`));
    });
  });
  body.push(
    `<text class="soft" x="${(left + right) / 2}" y="${height - 12}" text-anchor="middle">${escapeText(xName)}</text>`,
  );
  return svg({ title, subtitle, where, height }, body);
}

/**
 * Bars with their numbers, in groups that share a scale.
 * @param {Heading & { groups: { title: string, bars: { label: string, value: number, text: string }[] }[] }} chart
 */
export function barChart({ title, subtitle, where, groups }) {
  const [left, right] = [190, WIDTH - 220];
  const body = [];
  let y = HEAD + 8;
  for (const { title: name, bars } of groups) {
    const most = Math.max(...bars.map(({ value }) => value));
    body.push(`<text x="16" y="${y + 6}" font-weight="600">${escapeText(name)}</text>`);
    y += 16;
    for (const { label, value, text } of bars) {
      const width = Math.max(1, round(((right - left) * value) / most));
      body.push(
        `<text x="${left - 10}" y="${y + 12}" text-anchor="end">${escapeText(label)}</text>`,
        `<rect class="bar kfac-webgpu" x="${left}" y="${y + 1}" width="${width}" height="14" rx="2"/>`,
        `<text class="soft" x="${left + width + 8}" y="${y + 12}">${escapeText(text)}</text>`,
      );
      y += 19;
    }
    y += 22;
  }
  return svg({ title, subtitle, where, height: y }, body);
}
