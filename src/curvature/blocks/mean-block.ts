import type { Recorder } from "../../pipeline/index.js";
import type { FactorState } from "./factor-state.js";
import type { StoredNumber } from "./stored.js";

/** What blocks of moving means have in common: λ and β, which their `FactorState` keeps. See `Block` for the members. */
export abstract class MeanBlock {
  /** The last to take memory: what may be too large comes before it. */
  protected abstract readonly state: FactorState;

  get recording(): string | undefined {
    return this.state.settings.recording;
  }

  get damping(): number {
    return this.state.settings.damping;
  }

  set damping(value: number) {
    this.state.settings.damping = value;
  }

  get emaDecay(): number {
    return this.state.settings.decay;
  }

  set emaDecay(value: number) {
    this.state.settings.decay = value;
  }

  recordSettings(recorder: Recorder): void {
    this.state.settings.record(recorder);
  }

  get storedDamping(): StoredNumber | undefined {
    return this.state.settings.stored;
  }

  set storedDamping(number: StoredNumber | undefined) {
    this.state.settings.stored = number;
  }
}
