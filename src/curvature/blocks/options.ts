import { must, NON_NEGATIVE, shown } from "../../arguments.js";
import { ArgumentError } from "../../errors.js";

/** @throws ArgumentError unless λ is finite and not negative */
export function requireDamping(value: number): number {
  must("kfac", "damping", value, { ...NON_NEGATIVE, words: "a number that is not negative" });
  return value;
}

/** @throws ArgumentError unless 0 ≤ β < 1 */
export function requireDecay(value: number): number {
  if (typeof value === "number" && value >= 0 && value < 1) return value;
  throw new ArgumentError("kfac", "emaDecay", `must lie in [0, 1), got ${shown(value)}`);
}
