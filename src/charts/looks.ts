/** Who looks how in a chart: one colour, one mark and one kind of line throughout. */
import {
  type SymbolType,
  symbol,
  symbolCircle,
  symbolDiamond2,
  symbolSquare,
  symbolTriangle,
} from "d3-shape";
import { type Place, round, tag, tip } from "./svg.js";

/** The look of one series. */
export interface Look {
  /** Its colour on white paper. */
  light: string;
  /** Its colour on black paper. */
  dark: string;
  mark: "circle" | "square" | "triangle" | "diamond";
  /** Dashes of its line, as SVG writes them; defaults to none. */
  dash?: string;
  /** Drawn heavier than the others and on top of them; defaults to false. */
  strong?: boolean;
}

/** Looks by the class that stands for them in the drawing: a word of letters, digits and hyphens. */
export type Looks = Readonly<Record<string, Look>>;

const MARKS: Record<Look["mark"], SymbolType> = {
  circle: symbolCircle,
  square: symbolSquare,
  triangle: symbolTriangle,
  diamond: symbolDiamond2,
};

/** Colours of paper and ink, as custom properties of the elements that a CSS selector names, for light and dark. */
export function theme(selector: string): string {
  const light = "--paper:#ffffff;--card:#f7f8fa;--ink:#1b1f24;--soft:#57606a;--rule:#dfe3e8;--axis:#8c959f";
  const dark = "--paper:#0f1318;--card:#191d23;--ink:#e6e9ee;--soft:#9aa4b0;--rule:#2b323b;--axis:#5c6670";
  return `${selector}{${light}}\n@media (prefers-color-scheme:dark){${selector}{${dark}}}`;
}

/** The style sheet of charts with these looks, to stand behind that of `theme`. */
export function chartStyle(looks: Looks): string {
  const entries = Object.entries(looks);
  const colours = (mode: "light" | "dark") =>
    entries.map(([id, look]) => `.chart .${id}{--own:${look[mode]}}`).join("\n");
  const dashes = entries.flatMap(([id, { dash }]) =>
    dash ? [`.chart .line.${id}{stroke-dasharray:${dash}}`] : [],
  );
  return `.chart{display:block;font:12px system-ui,-apple-system,"Segoe UI",Roboto,"DejaVu Sans",sans-serif}
.chart .paper{fill:var(--paper)}
.chart text{fill:var(--ink)}
.chart .title{font-size:16px;font-weight:600}
.chart .soft{fill:var(--soft)}
.chart .grid{stroke:var(--rule)}
.chart .axis{stroke:var(--axis)}
.chart .reference{fill:none;stroke:var(--axis);stroke-dasharray:4 3}
.chart .line{fill:none;stroke:var(--own);stroke-width:1.8;stroke-linejoin:round}
.chart .strong.line{stroke-width:2.6}
.chart .faint.line{stroke-width:1;stroke-dasharray:none;opacity:.3}
.chart .mark{fill:var(--own);stroke:var(--paper);stroke-width:1}
.chart .point{fill:var(--own)}
.chart .hidden{opacity:0}
.chart .hidden:hover{opacity:1}
.chart .span{stroke:var(--own);stroke-width:2;stroke-linecap:round;opacity:.55}
.chart .name{fill:var(--own)}
.chart .end,.chart .strong.name{font-weight:600}
.chart .bar{fill:var(--own)}
${colours("light")}
@media (prefers-color-scheme:dark){
${colours("dark")}
}
${dashes.join("\n")}`;
}

/** The classes of an element that belongs to a series. */
export function classes(kind: string, id: string, looks: Looks): string {
  return `${kind} ${id}${looks[id]?.strong ? " strong" : ""}`;
}

/** A series' mark, in its own shape. `size` is about its half width in pixels; defaults to 4, and 4.5 for a strong one. */
export function mark(
  id: string,
  looks: Looks,
  [x, y]: Place,
  told: string,
  size = looks[id]?.strong ? 4.5 : 4,
): string {
  // d3 counts a symbol's area.
  const path = symbol(MARKS[looks[id]?.mark ?? "circle"], Math.PI * size * size).digits(1)() ?? "";
  const at = `translate(${round(x)},${round(y)})`;
  return tag("path", { class: classes("mark", id, looks), d: path, transform: at }, tip(told));
}

/** Series in the order of their looks, those without one last. */
export function inOrder<T extends { id: string }>(series: readonly T[], looks: Looks): T[] {
  const place = Object.keys(looks);
  const rank = ({ id }: T) => (id in looks ? place.indexOf(id) : place.length);
  return [...series].sort((a, b) => rank(a) - rank(b));
}
