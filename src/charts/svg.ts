/** SVG elements as text. */
import { line } from "d3-shape";
import { escapeText } from "./escape.js";

/** Attributes of an element; those that are undefined are left out, and pixels are rounded to tenths. */
export type Attributes = Readonly<Record<string, string | number | undefined>>;

/** A place in pixels. */
export type Place = readonly [x: number, y: number];

/** Tenths of a pixel: finer ones are not seen, and make the file long. */
export function round(pixel: number): number {
  return Math.round(pixel * 10) / 10;
}

/** An element with attributes, escaped, and elements in it, as they are. */
export function tag(name: string, attributes: Attributes, ...children: readonly string[]): string {
  const words = Object.entries(attributes).flatMap(([key, value]) =>
    value === undefined ? [] : [` ${key}="${typeof value === "number" ? round(value) : escapeText(value)}"`],
  );
  const open = `<${name}${words.join("")}`;
  return children.length === 0 ? `${open}/>` : `${open}>${children.join("")}</${name}>`;
}

/** An element with text in it, escaped. */
export function text(attributes: Attributes, content: string): string {
  return tag("text", attributes, escapeText(content));
}

/** What a browser shows when the pointer rests on the element around it. */
export function tip(content: string): string {
  return tag("title", {}, escapeText(content));
}

const pathOf = line<Place>().digits(1);

/** The path from place to place. */
export function polyline(places: Iterable<Place>): string {
  return pathOf(places) ?? "";
}
