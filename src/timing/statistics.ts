/** Medians of timings, and how sure they are. */

/** The median with an interval around it. */
export interface Interval {
  value: number;
  low: number;
  high: number;
  /** The probability that the interval holds the true median, from 0 to 1. */
  confidence: number;
  /** Of how many values. */
  count: number;
}

/** The middle value, or the mean of the two in the middle; NaN where there is none. */
export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  if (sorted.length % 2 === 1) return sorted[middle]!;
  return sorted.length === 0 ? Number.NaN : (sorted[middle - 1]! + sorted[middle]!) / 2;
}

/**
 * The median with the interval between two order statistics that holds the true median with at least the wanted
 * confidence, whatever the distribution. Too few values give their whole range and the confidence it has.
 * @param wanted defaults to 0.95
 */
export function medianInterval(values: readonly number[], wanted = 0.95): Interval {
  const count = values.length;
  const sorted = [...values].sort((a, b) => a - b);
  const { rank, confidence } = intervalRank(count, wanted);
  return {
    value: median(values),
    low: sorted[rank - 1] ?? Number.NaN,
    high: sorted[count - rank] ?? Number.NaN,
    confidence,
    count,
  };
}

/**
 * The innermost rank r such that the r-th smallest and the r-th largest of `count` values enclose the median often enough:
 * the sign test turned into an interval.
 */
export function intervalRank(count: number, wanted: number): { rank: number; confidence: number } {
  if (count === 0) return { rank: 1, confidence: 0 };
  // Below the r-th smallest lie fewer than r of `count` fair coin tosses.
  let probability = 2 ** -count;
  let below = probability;
  let rank = 1;
  let confidence = 1 - 2 * below;
  for (let r = 2; 2 * r <= count; r++) {
    probability *= (count - r + 2) / (r - 1);
    below += probability;
    if (1 - 2 * below < wanted) break;
    rank = r;
    confidence = 1 - 2 * below;
  }
  return { rank, confidence: Math.max(0, confidence) };
}
