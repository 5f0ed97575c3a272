/** The JSON records on stdout. Numbers that are not finite become null. */
import type { LayerStatus } from "../curvature/index.js";
import type { DoneStep } from "./trainer.js";

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
  /** "ok", or what is the matter, with the layer's name. */
  status: string;
  layers: readonly LayerStatus[];
}

export function stepLine({ step, epoch, record }: DoneStep, seconds: number): StepLine {
  const { loss, gradientNorm, updateNorm, lambda, layers, status } = record;
  return {
    step,
    epoch,
    loss,
    seconds,
    gradientNorm,
    updateNorm,
    lambda: lambda ?? null,
    status,
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
