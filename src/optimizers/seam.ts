import { nearest, shown } from "../arguments.js";
import { ArgumentError } from "../errors.js";
import type { BufferRange } from "./ranges.js";

/** Ranges of f32 on the GPU by name. They can be copied from and to, and belong to the optimiser and its model. */
export type SeamTensors = Readonly<Record<string, Required<BufferRange>>>;

/**
 * Where a step lets other processes in: each trains on a part of the batch, and at the seam what they computed is averaged, in
 * place, so that all take the same step. A hook may return a promise; the step goes on when it resolves, and ends, with
 * the weights as they were, when it rejects.
 *
 *     optimizer.seam = { gradients: averageOverProcesses, statistics: averageOverProcesses };
 *
 * All processes start from the same weights and take parts of one size. Monte-Carlo samples differ between processes where
 * their seeds do. A hook must not wait for the model's `weights`, `predict` or `evaluate`, nor for a step: these come after the step
 * that waits for the hook. K-FAC's learning rate and momentum must be numbers, since its quadratic model is of one part alone.
 */
export interface Seam {
  /** After the backward pass: `gradients` (laid out as the model's), and `statistics`, the mean loss and accuracy. */
  gradients?(tensors: SeamTensors): void | Promise<void>;
  /** After the statistics of the curvature, in steps that take them: their moving means. */
  statistics?(tensors: SeamTensors): void | Promise<void>;
}

const HOOKS = ["gradients", "statistics"] as const;

/** @throws ArgumentError unless it is a seam or undefined */
export function requireSeam(optimizer: string, seam: unknown): Seam | undefined {
  if (seam === undefined || seam === null) return undefined;
  if (typeof seam !== "object") {
    throw new ArgumentError(optimizer, "seam", `must be an object, got ${shown(seam)}`);
  }
  // A hook under a name that nobody calls would let each process train for itself.
  const meant = Object.keys(seam).find(
    (name) => !HOOKS.some((hook) => hook === name) && nearest(name, HOOKS),
  );
  if (meant !== undefined) {
    throw new ArgumentError(optimizer, `seam.${meant}`, `is no hook; pass ${nearest(meant, HOOKS)}`);
  }
  for (const hook of HOOKS) {
    const own = (seam as Record<string, unknown>)[hook];
    if (own !== undefined && typeof own !== "function") {
      throw new ArgumentError(optimizer, `seam.${hook}`, `must be a function, got ${shown(own)}`);
    }
  }
  return seam;
}

/** Ranges with their offsets filled in. */
export function seamTensors(ranges: Readonly<Record<string, BufferRange>>): SeamTensors {
  return Object.fromEntries(
    Object.entries(ranges).map(([name, { buffer, offset = 0, bytes }]) => [name, { buffer, offset, bytes }]),
  );
}
