/** What all charts have around them: the `<svg>` element, headings, a legend, ticks. */
import { chartStyle, classes, inOrder, type Looks, mark, theme } from "./looks.js";
import { tickText } from "./numbers.js";
import type { Scale } from "./scales.js";
import { tag, text, tip } from "./svg.js";

/** What every chart takes. */
export interface Picture {
  title: string;
  looks: Looks;
  /**
   * Lines under the title. With them the chart stands alone: title, lines, paper and style sheet are in the drawing, light
   * or dark as the reader's system is. Without them a page gives all that.
   */
  heading?: readonly string[];
}

/** Width of every chart, in the units of its drawing. */
export const WIDTH = 760;

/** An axis in words. */
export interface AxisText {
  /** What it counts. */
  label: string;
  /** How a value reads; defaults to `tickText`. */
  format?: (value: number) => string;
}

/** How much of the drawing the heading takes. */
export function headHeight({ heading }: Picture): number {
  return heading ? 44 + 17 * heading.length : 0;
}

/** The `<svg>` element around what is drawn in it. */
export function svg(picture: Picture, height: number, body: readonly string[]): string {
  const { title, looks, heading } = picture;
  const head = heading
    ? [
        `<style>\n${theme(".chart")}\n${chartStyle(looks)}\n</style>`,
        tag("rect", { class: "paper", width: WIDTH, height }),
        text({ class: "title", x: 16, y: 26 }, title),
        ...heading.map((line, k) => text({ class: "soft", x: 16, y: 45 + 17 * k }, line)),
      ]
    : [];
  const attributes = {
    // Only a file of its own needs the name space; a page knows it.
    xmlns: heading ? "http://www.w3.org/2000/svg" : undefined,
    class: "chart",
    viewBox: `0 0 ${WIDTH} ${height}`,
    width: heading ? WIDTH : undefined,
    role: "img",
  };
  return tag("svg", attributes, ["", tip(title), ...head, ...body, ""].join("\n"));
}

/** Who has which mark, in rows below `top`, and where the last row ends. */
export function legend(
  series: readonly { id: string; name: string }[],
  looks: Looks,
  top: number,
): { marks: string[]; bottom: number } {
  const once = new Map(series.map((one) => [one.id, one]));
  const marks: string[] = [];
  let [x, y] = [16, top + 8];
  for (const { id, name } of inOrder([...once.values()], looks)) {
    // Letters are about this wide.
    const width = (looks[id]?.strong ? 42 : 32) + 7.2 * name.length;
    if (x + width > WIDTH - 16) [x, y] = [16, y + 20];
    marks.push(
      mark(id, looks, [x + 6, y - 4], name),
      text({ class: classes("name", id, looks), x: x + 16, y }, name),
    );
    x += width;
  }
  return { marks, bottom: y };
}

/** The sides of what an axis belongs to, in pixels. */
export interface Box {
  left: number;
  right: number;
  top: number;
  bottom: number;
}

/** Ticks below the box: short ones under a line, or (with `grid`) lines through the whole box. */
export function bottomAxis(scale: Scale, box: Box, format = tickText, grid = false): string[] {
  const { top, bottom } = box;
  const ticks = scale.ticks.flatMap((value) => {
    const x = scale.toPixel(value);
    return [
      grid
        ? tag("line", { class: "grid", x1: x, x2: x, y1: top, y2: bottom })
        : tag("line", { class: "axis", x1: x, x2: x, y1: bottom, y2: bottom + 5 }),
      text({ class: "soft", x, y: bottom + 19, "text-anchor": "middle" }, format(value)),
    ];
  });
  const line = tag("line", { class: "axis", x1: box.left, x2: box.right, y1: bottom, y2: bottom });
  return grid ? ticks : [line, ...ticks];
}

/** Lines through the box at each tick of a vertical axis, with or without their numbers. */
export function leftAxis(
  scale: Scale,
  box: Box,
  format: (value: number) => string,
  numbered: boolean,
): string[] {
  return scale.ticks.flatMap((value) => {
    const y = scale.toPixel(value);
    const line = tag("line", { class: "grid", x1: box.left, x2: box.right, y1: y, y2: y });
    if (!numbered) return [line];
    return [line, text({ class: "soft", x: box.left - 8, y: y + 4, "text-anchor": "end" }, format(value))];
  });
}

/** What the axes count: under the drawing, and up its left side. */
export function axisNames(
  { left, right, top, bottom }: Box,
  height: number,
  x: string,
  y?: string,
): string[] {
  const under = { class: "soft", x: (left + right) / 2, y: height - 12, "text-anchor": "middle" };
  const turned = `translate(17 ${(top + bottom) / 2}) rotate(-90)`;
  const beside = { class: "soft", transform: turned, "text-anchor": "middle" };
  return [text(under, x), ...(y === undefined ? [] : [text(beside, y)])];
}

/**
 * Positions of labels that must not touch: as near as may be to where they belong, in order, within the limits.
 * @param wanted rising
 */
export function spread(
  wanted: readonly number[],
  gap: number,
  [top, bottom]: readonly [number, number],
): number[] {
  const out = [...wanted];
  for (let i = 0; i < out.length; i++) out[i] = Math.max(out[i]!, i === 0 ? top : out[i - 1]! + gap);
  for (let i = out.length - 1; i >= 0; i--)
    out[i] = Math.min(out[i]!, i === out.length - 1 ? bottom : out[i + 1]! - gap);
  return out;
}
