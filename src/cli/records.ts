/** The JSON records on stdout. Numbers that are not finite become null. */
import type { LayerStatus } from "../curvature/index.js";
import type { ControlReport } from "../optimizers/index.js";
import { judged } from "./judged.js";
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
  /** Of this step; where the optimiser finds it, before it was shortened by a clip. */
  learningRate: number;
  /** Share of the last step that this one kept; null where the optimiser does not say. */
  momentum: number | null;
  /** Damping; null without curvature. */
  lambda: number | null;
  /** What became of the batch; null where the optimiser judges none. */
  verdict: ControlReport["verdict"] | null;
  /** Steps taken back, and batches left out, so far. */
  rejected: number;
  heldBatches: number;
  /** "ok", or what is the matter, with the layer's name. */
  status: string;
  layers: readonly LayerStatus[];
}

export function stepLine({ step, epoch, record }: DoneStep, seconds: number): StepLine {
  const { loss, gradientNorm, updateNorm, learningRate, layers, status } = record;
  const { momentum = null, lambda = null, verdict = null, rejected = 0, heldBatches = 0 } = judged(record);
  return {
    step,
    epoch,
    loss,
    seconds,
    gradientNorm,
    updateNorm,
    learningRate,
    momentum,
    lambda,
    verdict,
    rejected,
    heldBatches,
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
