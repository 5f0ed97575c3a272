/** What a step's settings say of weight decay. */
export interface DecaySettings {
  readonly weightDecay: number;
  readonly decay: "coupled" | "decoupled";
}

/** ω of the penalty ½ω‖W‖², which is a part of the loss; 0 where the decay is decoupled. */
export function penaltyOf({ weightDecay, decay }: DecaySettings): number {
  return decay === "coupled" ? weightDecay : 0;
}

/** ω of W ← W − ηωW beside the step; 0 where the decay is coupled. */
export function decoupledOf({ weightDecay, decay }: DecaySettings): number {
  return decay === "decoupled" ? weightDecay : 0;
}
