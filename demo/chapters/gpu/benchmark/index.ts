// The benchmark: every case on both libraries, in this page, on this GPU.
import { AbortedError, type Engine } from "kfac-webgpu";
import { type Case, caseMakers, type Operation, type Scale } from "./cases.js";
import type { Contender } from "./contender.js";
import { loadJax } from "./jax.js";
import { type Comparison, compare, fastest } from "./measure.js";
import { ours } from "./ours.js";

export type { Scale } from "./cases.js";

export interface BenchmarkRow extends Comparison {
  operation: Operation;
  size: string;
  /** The fastest of jax-js's ways. */
  formulation: string;
  oursError: number;
  theirsError: number;
}

export interface BenchmarkOptions {
  scale: Scale;
  signal: AbortSignal;
  onProgress(done: number, total: number, what: string): void;
  onRow(row: BenchmarkRow): void;
}

/** @throws AbortedError once the signal fires, DeviceLostError when the GPU goes away */
export async function benchmark(engine: Engine, options: BenchmarkOptions): Promise<BenchmarkRow[]> {
  const { scale, signal, onProgress, onRow } = options;
  const makers = caseMakers(scale);
  const steps = makers.length + 1;
  onProgress(0, steps, "loading jax-js");
  const jax = await loadJax();
  const rows: BenchmarkRow[] = [];
  for (const [index, make] of makers.entries()) {
    if (signal.aborted) throw new AbortedError("benchmark", signal.reason);
    const one = make();
    onProgress(index + 1, steps, `${one.operation}, ${one.size}`);
    const mine = await engine.manager.allocating("benchmark", () => ours(engine, one));
    const row = await measured(one, mine, jax(one), signal);
    rows.push(row);
    onRow(row);
  }
  onProgress(steps, steps, "done");
  return rows;
}

async function measured(
  one: Case,
  mine: Contender,
  all: readonly Contender[],
  signal: AbortSignal,
): Promise<BenchmarkRow> {
  try {
    const theirs = await fastest(all, signal);
    try {
      const [x, y] = [await mine.output(), await theirs.output()];
      return {
        operation: one.operation,
        size: one.size,
        formulation: theirs.formulation,
        oursError: one.error(x),
        theirsError: one.error(y),
        ...(await compare(mine, theirs, signal)),
      };
    } finally {
      theirs.dispose();
    }
  } finally {
    mine.dispose();
  }
}
