import type { ControlReport, StepRecord } from "../optimizers/index.js";

/** The record with what optimisers that judge their batches add to it. */
export function judged(record: StepRecord): StepRecord & Partial<ControlReport> {
  return record;
}
