/** Charts as SVG text, for reports: of the command line, of the benchmark. They need no page, and no GPU. */
export { type Bar, type BarChart, barChart } from "./bar-chart.js";
export { htmlDocument } from "./document.js";
export { type Dot, type DotChart, dotChart } from "./dot-chart.js";
export { escapeText } from "./escape.js";
export { type Axis, type LineChart, lineChart, type Panel, type Point, type Series } from "./line-chart.js";
export { chartStyle, type Look, type Looks } from "./looks.js";
export { grouped, superscript, tickText } from "./numbers.js";
export type { Picture } from "./picture.js";
export { logTicks } from "./scales.js";
