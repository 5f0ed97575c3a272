// What was measured during a race.
import { KINDS, type Kind } from "./settings.js";

export interface Measurement {
  step: number;
  /** Of this optimiser's own steps, measuring not counted. */
  seconds: number;
  /** Mean over the same training digits each time. */
  loss: number;
  /** Share of the test digits classified right. */
  accuracy: number;
}

export class RaceLog {
  readonly #entries: Record<Kind, Measurement[]> = { kfac: [], adam: [], sgd: [] };

  /** @throws RangeError unless the step is later than the last one of this optimiser */
  add(kind: Kind, measurement: Measurement): void {
    const last = this.last(kind);
    if (last && measurement.step <= last.step) {
      throw new RangeError(`step ${measurement.step} of ${kind} comes after step ${last.step}`);
    }
    this.#entries[kind].push(measurement);
  }

  of(kind: Kind): readonly Measurement[] {
    return this.#entries[kind];
  }

  last(kind: Kind): Measurement | undefined {
    return this.#entries[kind].at(-1);
  }

  /** Forgets what was measured after `step`. */
  truncate(step: number): void {
    for (const kind of KINDS) {
      const list = this.#entries[kind];
      while (list.length > 0 && list.at(-1)!.step > step) list.pop();
    }
  }

  clear(): void {
    this.truncate(-1);
  }

  /** Where an optimiser's loss was lowest so far. */
  lowest(kind: Kind): Measurement | undefined {
    let best: Measurement | undefined;
    for (const entry of this.#entries[kind]) if (!best || entry.loss < best.loss) best = entry;
    return best;
  }

  /** Where `kind` first came to the lowest loss of `other`; undefined while it has not. */
  reach(kind: Kind, other: Kind): Measurement | undefined {
    const goal = this.lowest(other);
    return goal && this.#entries[kind].find(({ loss }) => loss <= goal.loss);
  }

  points(kind: Kind, axis: "step" | "seconds"): { x: number[]; y: number[] } {
    const list = this.#entries[kind];
    return { x: list.map((entry) => entry[axis]), y: list.map(({ loss }) => loss) };
  }
}
