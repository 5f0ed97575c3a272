// Colours for numbers that people with any colour vision can tell apart.
import type { Theme } from "./theme.js";

export type Rgb = readonly [red: number, green: number, blue: number];

/** Cividis (Nuñez, Anderton and Renslow, 2018), every tenth: dark blue to yellow with an even rise in lightness. */
const CIVIDIS: readonly Rgb[] = [
  [0, 34, 78],
  [8, 51, 112],
  [53, 69, 108],
  [79, 87, 108],
  [102, 105, 112],
  [125, 124, 120],
  [148, 142, 119],
  [174, 163, 113],
  [200, 184, 102],
  [229, 207, 82],
  [254, 232, 56],
];

const ORANGES: readonly Rgb[] = [
  [245, 168, 90],
  [214, 108, 20],
  [140, 58, 5],
];
const BLUES: readonly Rgb[] = [
  [132, 178, 224],
  [43, 116, 184],
  [10, 60, 118],
];
const PAPER: Rgb = [247, 246, 242];
const NIGHT: Rgb = [28, 31, 36];

/** Position 0 … 1 → colour. */
export function magnitude(position: number): Rgb {
  return interpolate(CIVIDIS, position);
}

/** Position −1 … 1 → colour: blue below zero, the paper at zero, orange above. */
export function signed(position: number, theme: Theme): Rgb {
  const side = position < 0 ? BLUES : ORANGES;
  const stops = theme === "dark" ? [NIGHT, ...[...side].reverse()] : [PAPER, ...side];
  return interpolate(stops, Math.abs(position));
}

function interpolate(stops: readonly Rgb[], position: number): Rgb {
  const clamped = Number.isFinite(position) ? Math.min(1, Math.max(0, position)) : 0;
  const place = clamped * (stops.length - 1);
  const index = Math.min(stops.length - 2, Math.floor(place));
  const [from, to] = [stops[index]!, stops[index + 1]!];
  const t = place - index;
  return [0, 1, 2].map((c) => Math.round(from[c]! + t * (to[c]! - from[c]!))) as unknown as Rgb;
}
