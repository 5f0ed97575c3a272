// Numbers as people read them.

import { grouped, superscript } from "../../src/charts/index.js";

/** Few significant digits, powers of ten where the number is very large or small: 0.0312, 4.1 × 10⁻⁸. */
export function number(value: number, digits = 3): string {
  if (Number.isNaN(value)) return "not a number";
  if (!Number.isFinite(value)) return value > 0 ? "∞" : "−∞";
  if (value === 0) return "0";
  const magnitude = Math.abs(value);
  if (magnitude >= 1e-3 && magnitude < 1e5) return minus(trim(Number(value.toPrecision(digits)), digits));
  return scientific(value, digits - 1);
}

/** 4.12 × 10⁻⁸, always with a power of ten. */
export function scientific(value: number, digits = 1): string {
  if (!Number.isFinite(value) || value === 0) return number(value);
  const [mantissa = "", exponent = "0"] = value.toExponential(digits).split("e");
  return minus(`${mantissa} × 10${superscript(Number(exponent))}`);
}

/** A fixed number of digits after the point. */
export function fixed(value: number, digits = 2): string {
  return Number.isFinite(value) ? minus(value.toFixed(digits)) : number(value);
}

/** 0.934 → 93.4 %. */
export function percent(value: number, digits = 1): string {
  return Number.isFinite(value) ? `${fixed(100 * value, digits)} %` : number(value);
}

/** 0.4 ms, 23 ms, 1.24 s, 2 min 05 s. */
export function duration(milliseconds: number): string {
  if (!Number.isFinite(milliseconds)) return "–";
  if (milliseconds < 10) return `${milliseconds.toFixed(2)} ms`;
  if (milliseconds < 1000) return `${milliseconds.toFixed(0)} ms`;
  if (milliseconds < 60_000) return `${(milliseconds / 1000).toFixed(2)} s`;
  const seconds = Math.round(milliseconds / 1000);
  return `${Math.floor(seconds / 60)} min ${String(seconds % 60).padStart(2, "0")} s`;
}

/** 60,000 as 60 000, with a narrow space that does not break. */
export function integer(value: number): string {
  return minus(grouped(String(Math.round(value))));
}

function trim(value: number, digits: number): string {
  const whole = Math.max(0, Math.floor(Math.log10(Math.abs(value)))) + 1;
  return value.toFixed(Math.min(20, Math.max(0, digits - whole + leadingZeros(value))));
}

function leadingZeros(value: number): number {
  const magnitude = Math.abs(value);
  return magnitude >= 1 ? 0 : -Math.floor(Math.log10(magnitude));
}

const minus = (text: string) => text.replaceAll("-", "−");
