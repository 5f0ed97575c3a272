/** The JSON records on stdout. Numbers that are not finite become null. */
import type { LayerRecord } from "./engine.js";
import { type DoneStep, worstStatus } from "./trainer.js";

export interface StepLine {
  step: number;
  epoch: number;
  /** Mean over the batch, before the step. */
  loss: number;
  /** Since the start of training. */
  seconds: number;
  gradientNorm: number;
  updateNorm: number;
  /** Damping; null without curvature. */
  lambda: number | null;
  /** "ok", or the words of the layer that fares worst. */
  status: string;
  layers: readonly LayerRecord[];
}

export function stepLine({ step, epoch, record }: DoneStep, seconds: number): StepLine {
  const { loss, gradientNorm, updateNorm, lambda, layers } = record;
  return {
    step,
    epoch,
    loss,
    seconds,
    gradientNorm,
    updateNorm,
    lambda: lambda ?? null,
    status: worstStatus(layers),
    layers: layers ?? [],
  };
}

export interface EpochLine {
  epoch: number;
  /** Share of the test examples classified right; null without test data. */
  testAccuracy: number | null;
  /** Mean over all training examples. */
  trainLoss: number;
  seconds: number;
}
