import { ArgumentError } from "../../errors.js";

/** @throws ArgumentError unless λ is finite and not negative */
export function requireDamping(value: number): number {
  if (!(value >= 0 && Number.isFinite(value))) {
    throw new ArgumentError("kfac", "damping", `must be a number that is not negative, got ${value}`);
  }
  return value;
}

/** @throws ArgumentError unless 0 ≤ β < 1 */
export function requireDecay(value: number): number {
  if (!(value >= 0 && value < 1)) {
    throw new ArgumentError("kfac", "emaDecay", `must lie in [0, 1), got ${value}`);
  }
  return value;
}
