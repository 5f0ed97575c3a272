import type { LayerStatus } from "../curvature/index.js";
import { GRADIENT_NOT_FINITE, type TailOutcome, UPDATE_NOT_FINITE } from "./tail.js";

/** What one step did. It arrives some time after the step was submitted. */
export interface StepRecord {
  /** 1 for the first step. */
  readonly step: number;
  /** Mean loss of the batch before the step. */
  readonly loss: number;
  /** Share of the batch classified right before the step; 0 for losses without classes. */
  readonly accuracy: number;
  /** ‖G‖ of what the direction was made of: the gradient with weight decay, over the layers that stepped. */
  readonly gradientNorm: number;
  /** ‖ηU‖ of this step's own direction U, clipped, before momentum. */
  readonly updateNorm: number;
  readonly learningRate: number;
  /** λ as set; undefined for first-order optimisers. */
  readonly lambda?: number;
  /** ν of the norm clip; 1 where it changes nothing. */
  readonly clip: number;
  /** Layers that this step left alone because numbers were not finite or no inverse was ready; 0 when all is well. */
  readonly skippedLayers: number;
  /** How each layer's factors stand; undefined for optimisers without. */
  readonly layers?: readonly LayerStatus[];
  /** `"ok"`, or what is the matter, in words. */
  readonly status: string;
}

/** What a step was, in words; `trouble` is the direction's own. */
export function statusOf(
  { flags, skippedLayers }: TailOutcome,
  scope: "network" | "layer",
  trouble?: string,
): string {
  if (scope === "network" && flags & GRADIENT_NOT_FINITE) return "gradient not finite";
  if (scope === "network" && flags & UPDATE_NOT_FINITE) return "update not finite";
  return trouble ?? (skippedLayers > 0 ? "layers skipped" : "ok");
}
