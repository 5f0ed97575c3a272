// The library beside another in this page: samples that leave the page its frames, interleaved as in bench/.
import { AbortedError } from "kfac-webgpu";
import {
  affordablePairs,
  calibrate,
  medianMs,
  type Runner,
  sample,
  samplePairs,
} from "../../../../src/timing/index.js";
import { nextFrame } from "../../../ui/frame.js";
import type { Contender } from "./contender.js";

/** Long enough for a browser's clock, short enough to leave the page its frames. */
const SAMPLE_MS = 30;
const MOST_REPETITIONS = 64;
const MOST_PAIRS = 15;
/** Slow operations get fewer pairs. */
const BUDGET_MS = 1000;

export interface Comparison {
  /** Medians, milliseconds a call. */
  oursMs: number;
  theirsMs: number;
  /** How many times as long theirs takes: the median of the ratios within each pair, and its interval. */
  ratio: number;
  low: number;
  high: number;
  pairs: number;
}

/** @throws AbortedError between two samples, once the signal fires */
export async function compare(mine: Contender, theirs: Contender, signal: AbortSignal): Promise<Comparison> {
  const a = await ready(mine, signal);
  const b = await ready(theirs, signal);
  const pairs = affordablePairs(MOST_PAIRS, a.repetitions * a.ms + b.repetitions * b.ms, BUDGET_MS);
  const { ratio, ...samples } = await samplePairs(a, b, pairs);
  return {
    oursMs: medianMs(samples.a),
    theirsMs: medianMs(samples.b),
    ratio: ratio.value,
    low: ratio.low,
    high: ratio.high,
    pairs,
  };
}

/** The fastest of several ways, by one warm call each; the others are disposed of. */
export async function fastest(contenders: readonly Contender[], signal: AbortSignal): Promise<Contender> {
  let best: { contender: Contender; ms: number } | undefined;
  try {
    for (const contender of contenders) {
      const runner = polite(contender, signal);
      const first = await sample(runner, 1);
      // The first call compiles; one that takes this long even so is not worth a second.
      const { ms } = best && first.ms > 20 * best.ms ? first : await sample(runner, 1);
      if (!best || ms < best.ms) best = { contender, ms };
    }
  } catch (error) {
    for (const contender of contenders) contender.dispose();
    throw error;
  }
  for (const contender of contenders) if (contender !== best?.contender) contender.dispose();
  return best!.contender;
}

async function ready(contender: Contender, signal: AbortSignal) {
  const runner = polite(contender, signal);
  return { runner, ...(await calibrate(runner, { sampleMs: SAMPLE_MS })) };
}

/** A frame for the page before every sample, which is also where a benchmark stops that is no longer wanted. */
function polite(contender: Contender, signal: AbortSignal): Runner {
  return {
    most: MOST_REPETITIONS,
    async enter() {
      await nextFrame();
      if (signal.aborted) throw new AbortedError("benchmark", signal.reason);
    },
    run: (repetitions) => contender.run(repetitions),
  };
}
