/** One claim of the documentation, measured on the user's adapter. */
export interface Certificate {
  claim: string;
  /** Sizes, condition numbers or settings of this instance. */
  sizes: string;
  /** What was measured, almost always a relative error against f64 or the exact curvature. */
  error: number;
  /** What it was held against. */
  bound: number;
  /** `"atMost"`, or `"atLeast"` for a claim that something is not exact: the gap must then be there. */
  held: "atMost" | "atLeast";
  pass: boolean;
}

/** `error` at most `bound`. A number that is not one passes nothing. */
export function atMost(claim: string, sizes: string, error: number, bound: number): Certificate {
  return { claim, sizes, error, bound, held: "atMost", pass: error <= bound };
}

/** The failing twin: `gap` at least `floor`. */
export function atLeast(claim: string, sizes: string, gap: number, floor: number): Certificate {
  return { claim, sizes, error: gap, bound: floor, held: "atLeast", pass: gap >= floor };
}

/** Half a unit in the last place of f32. */
export const EPS = 2 ** -24;
