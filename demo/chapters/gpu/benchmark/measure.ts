// How a figure is made: repetitions that fill a sample, interleaved pairs, the median of the paired ratios.
import { AbortedError } from "kfac-webgpu";
import { nextFrame } from "../../../ui/frame.js";
import type { Contender } from "./contender.js";

/** Long enough for a browser's clock, short enough to leave the page its frames. */
const SAMPLE_MS = 30;
const MOST_REPETITIONS = 64;
const PAIRS = { most: 15, least: 3 };
/** Slow operations get fewer pairs. */
const BUDGET_MS = 1000;

export interface Comparison {
  /** Medians, milliseconds a call. */
  oursMs: number;
  theirsMs: number;
  /** Median of theirs/ours over the pairs, with the smallest and the largest. */
  ratio: number;
  low: number;
  high: number;
  pairs: number;
}

export async function compare(mine: Contender, theirs: Contender, signal: AbortSignal): Promise<Comparison> {
  const a = await calibrate(mine, signal);
  const b = await calibrate(theirs, signal);
  const pairMs = a.repetitions * a.ms + b.repetitions * b.ms;
  const pairs = Math.round(Math.min(PAIRS.most, Math.max(PAIRS.least, BUDGET_MS / pairMs)));
  const samples: [mine: number, theirs: number][] = [];
  for (let pair = 0; pair < pairs; pair++) {
    samples.push([await sample(mine, a.repetitions, signal), await sample(theirs, b.repetitions, signal)]);
  }
  const ratios = samples.map(([x, y]) => y / x);
  return {
    oursMs: median(samples.map(([x]) => x)),
    theirsMs: median(samples.map(([, y]) => y)),
    ratio: median(ratios),
    low: Math.min(...ratios),
    high: Math.max(...ratios),
    pairs,
  };
}

/** The fastest of several ways, by one warm call each; the others are disposed of. */
export async function fastest(contenders: readonly Contender[], signal: AbortSignal): Promise<Contender> {
  let best: { contender: Contender; ms: number } | undefined;
  try {
    for (const contender of contenders) {
      const first = await sample(contender, 1, signal);
      // The first call compiles; one that takes this long even so is not worth a second.
      const ms = best && first > 20 * best.ms ? first : await sample(contender, 1, signal);
      if (!best || ms < best.ms) best = { contender, ms };
    }
  } catch (error) {
    for (const contender of contenders) contender.dispose();
    throw error;
  }
  for (const contender of contenders) if (contender !== best?.contender) contender.dispose();
  return best!.contender;
}

async function calibrate(contender: Contender, signal: AbortSignal) {
  let repetitions = 1;
  await sample(contender, 1, signal);
  let ms = await sample(contender, 1, signal);
  while (ms * repetitions < SAMPLE_MS / 2 && repetitions < MOST_REPETITIONS) {
    // In steps: the first warm calls are still slower than later ones.
    repetitions = Math.min(MOST_REPETITIONS, 4 * repetitions, Math.ceil(SAMPLE_MS / Math.max(ms, 1e-3)));
    ms = await sample(contender, repetitions, signal);
  }
  return { repetitions, ms };
}

/** Milliseconds a call, after a frame for the page. */
async function sample(contender: Contender, repetitions: number, signal: AbortSignal): Promise<number> {
  await nextFrame();
  if (signal.aborted) throw new AbortedError("benchmark", signal.reason);
  const start = performance.now();
  await contender.run(repetitions);
  return (performance.now() - start) / repetitions;
}

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((x, y) => x - y);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}
